// Where this device is: asked at the shutter, never waited for longer than this.
import { fixOf, type NewEvent } from '@motomind/client'

const PATIENCE_MS = 5_000

export type Located = Pick<NewEvent, 'fix' | 'fixAbsent'>

/** A fix, or why there is none. */
export function locate(): Promise<Located> {
  if (!navigator.geolocation) return Promise.resolve({ fixAbsent: 'not_supported' })
  return new Promise((resolve) => {
    navigator.geolocation.getCurrentPosition(
      (position) => resolve({ fix: fixOf(position) }),
      ({ code }) => resolve({ fixAbsent: (['', 'permission_denied', 'position_unavailable', 'timeout'] as const)[code] || 'position_unavailable' }),
      { enableHighAccuracy: true, timeout: PATIENCE_MS, maximumAge: 0 },
    )
  })
}

/** How far a measured position can be trusted, in words. */
export function quality(accuracy: number | null | undefined): { word: string; tone: 'good' | 'fair' | 'poor' } {
  if (accuracy == null) return { word: 'accuracy unknown', tone: 'poor' }
  if (accuracy <= 5) return { word: 'exact', tone: 'good' }
  if (accuracy <= 100) return { word: 'good', tone: 'good' }
  if (accuracy <= 500) return { word: 'low accuracy', tone: 'fair' }
  return { word: accuracy > 1000 ? 'unusable as a position' : 'poor accuracy', tone: 'poor' }
}

/** Metres between two places, for showing while a pin is dragged; what counts is computed by the engine. */
export function apart(a: { latitude: number; longitude: number }, b: { latitude: number; longitude: number }): number {
  const rad = Math.PI / 180
  const h = Math.sin((b.latitude - a.latitude) * rad / 2) ** 2 +
    Math.cos(a.latitude * rad) * Math.cos(b.latitude * rad) * Math.sin((b.longitude - a.longitude) * rad / 2) ** 2
  return 2 * 6_371_008.8 * Math.asin(Math.min(1, Math.sqrt(h)))
}
