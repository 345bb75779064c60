// What an app says, in the words of the engine.
import type { Fix } from './generated.js'
import type { NewEvent, NewPhoto, TimelineQuery } from './types.js'

/** A photo on its way to the engine. */
export interface GivenPhoto {
  file: Blob
  meta: string
}

/** An event to capture, as the engine reads it. */
export function captureText(event: NewEvent, id: string | null): string {
  const { vehicleId, occurredAt, totalMinor, fix, fixAbsent, photos: _, date, timezone, ...rest } = event
  const at = Number(occurredAt ?? Date.now())
  const zone = timezone ?? Intl.DateTimeFormat().resolvedOptions().timeZone
  return JSON.stringify({
    ...rest,
    op_id: id,
    vehicle_id: vehicleId,
    occurred_at: at,
    date: date ?? dayIn(zone, at),
    timezone: zone,
    total_minor: totalMinor,
    fix: fix && fixOf(fix),
    fix_absent: fixAbsent,
  })
}

/** What `navigator.geolocation` gives, as a fix. */
export function fixOf(position: Fix | GeolocationPosition): Fix {
  if (!('coords' in position)) return position
  const { latitude, longitude, accuracy, altitude, altitudeAccuracy, heading, speed } = position.coords
  return {
    latitude, longitude, accuracy_m: accuracy,
    ...(altitude !== null && { altitude_m: altitude }),
    ...(altitudeAccuracy !== null && { altitude_accuracy_m: altitudeAccuracy }),
    // A device that stands still says NaN.
    ...(heading !== null && !Number.isNaN(heading) && { heading_deg: heading }),
    ...(speed !== null && { speed_mps: speed }),
    fixed_at: Math.round(position.timestamp), source: 'fused',
  }
}

/** Photos, each with what is known of it. */
export function photoArguments(photos: (Blob | NewPhoto)[]): GivenPhoto[] {
  return photos.map((photo) => {
    const { file, ...meta } = photo instanceof Blob ? { file: photo } : photo
    return { file, meta: JSON.stringify({ ...(file.type && { mime: file.type }), size: file.size, ...meta }) }
  })
}

/** A question to the timeline. */
export function queryText(vehicleId: string | null | undefined, query: TimelineQuery): string {
  return JSON.stringify({ ...query, vehicle: vehicleId ?? query.vehicle ?? null })
}

const days = new Map<string, Intl.DateTimeFormat>()

function dayIn(timezone: string, at: number): string {
  let day = days.get(timezone)
  if (!day) {
    day = new Intl.DateTimeFormat('en-CA', { timeZone: timezone, year: 'numeric', month: '2-digit', day: '2-digit' })
    days.set(timezone, day)
  }
  return day.format(at)
}
