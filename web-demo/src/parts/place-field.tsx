import type { Fix, NewEvent } from '@motomind/client'
import { useCallback, useEffect, useRef, useState } from 'react'
import { metres } from '../format'
import { type Located, locate, quality } from '../places'
import { Icon } from './icon'
import { PlaceMap, type Point } from './map'

export interface PlaceState {
  fix: Fix | null
  absent: NewEvent['fixAbsent'] | null
  locating: boolean
  pin: Point | null
  setPin: (pin: Point | null) => void
  /** Measures now: at the shutter, or when asked to. */
  measure: () => void
  /** What the capture carries. */
  located: (now: number) => Located
}

/** Measures once when the screen opens, and again at the shutter. The pin is the person's own word. */
export function usePlace(): PlaceState {
  const [fix, setFix] = useState<Fix | null>(null)
  const [absent, setAbsent] = useState<PlaceState['absent']>(null)
  const [locating, setLocating] = useState(false)
  const [pin, setPin] = useState<Point | null>(null)
  const newest = useRef(0)
  const measure = useCallback(() => {
    const asked = ++newest.current
    setLocating(true)
    void locate().then((found) => {
      if (asked !== newest.current) return
      setLocating(false)
      if (found.fix) {
        setFix(found.fix as Fix)
        setAbsent(null)
      } else {
        setAbsent(found.fixAbsent ?? null)
      }
    })
  }, [])
  useEffect(measure, [measure])
  const located = (now: number): Located => {
    if (!fix) return { fixAbsent: absent ?? 'timeout' }
    return { fix: { ...fix, ...(fix.fixed_at != null && { age_ms: Math.max(0, now - fix.fixed_at) }) } }
  }
  return { fix, absent, locating, pin, setPin, measure, located }
}

const WHY: Record<string, string> = {
  permission_denied: 'Location is not allowed for this app', position_unavailable: 'No position to be had here',
  timeout: 'No position within 5 seconds', not_supported: 'This browser has no location',
}

export function PlaceField({ place: { fix, absent, locating, pin, setPin, measure } }: { place: PlaceState }) {
  const grade = fix && quality(fix.accuracy_m)
  return (
    <section className="field place" aria-label="Place">
      <div className="place-head">
        <Icon name="pin" />
        <span data-testid="fix">
          {fix ? <><strong>{fix.accuracy_m != null ? `± ${metres(fix.accuracy_m)}` : 'Measured'}</strong> <span className={`grade ${grade!.tone}`}>{grade!.word}</span></>
            : locating ? 'Measuring…' : <>{WHY[absent ?? ''] ?? 'No position'}. The capture is saved without one.</>}
        </span>
        <button type="button" className="small plain" onClick={measure} disabled={locating}>{locating ? 'Measuring…' : 'Measure again'}</button>
      </div>
      {fix && <PlaceMap measured={fix} corrected={pin} move={setPin} />}
      {pin && <button type="button" className="small plain" onClick={() => setPin(null)}>Use the measured place</button>}
    </section>
  )
}
