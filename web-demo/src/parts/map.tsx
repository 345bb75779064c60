// Where something was measured and where it was: both shown, the pin to be dragged. The engine of the
// map and its ground come as a piece of their own, when a map is first looked at.
import { useEffect, useRef, useState } from 'react'
import { metres } from '../format'
import { apart, quality } from '../places'
import { Icon } from './icon'
import type { DrawnMap, Ground } from './map-engine'

export interface Point { latitude: number; longitude: number }
export interface Measured extends Point { accuracy_m?: number | null }

export function PlaceMap({ measured, corrected, move }: {
  measured: Measured | null
  corrected: Point | null
  /** Where the pin was put; absent where it cannot be moved. */
  move?: (to: Point) => void
}) {
  const frame = useRef<HTMLDivElement>(null)
  const drawn = useRef<DrawnMap>(undefined)
  const moved = useRef(move)
  moved.current = move
  const [ground, setGround] = useState<Ground>()
  const movable = Boolean(move)

  useEffect(() => {
    let ended = false
    import('./map-engine').then(async ({ draw }) => {
      const map = await draw(frame.current!, movable ? (to) => moved.current?.(to) : undefined)
      if (ended) return map.remove()
      drawn.current = map
      map.show(measured, corrected)
      setGround(map.ground)
    }).catch((error) => {
      console.warn('map', error)
      if (!ended) setGround('none')
    })
    return () => {
      ended = true
      drawn.current?.remove()
      drawn.current = undefined
    }
    // The map is drawn once; what is on it follows below.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [movable])

  useEffect(() => void drawn.current?.show(measured, corrected), [measured, corrected])

  const nudge = (north: number, east: number) => {
    const from = corrected ?? measured
    if (!from || !move) return
    const metre = 1 / 111_320
    move({ latitude: from.latitude + north * 5 * metre, longitude: from.longitude + east * 5 * metre / Math.cos(from.latitude * Math.PI / 180) })
  }

  return (
    <figure className="map" data-ground={ground} data-ready={ground ? '' : undefined}>
      <div ref={frame} className="map-frame" role="application" tabIndex={movable ? 0 : -1}
        aria-label={movable ? 'Map. Drag the pin, or move it by 5 metres with the arrow keys.' : 'Map of where it was.'}
        onKeyDown={(event) => {
          const step = { ArrowUp: [1, 0], ArrowDown: [-1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key]
          if (!step || !movable) return
          event.preventDefault()
          event.stopPropagation()
          nudge(step[0]!, step[1]!)
        }} />
      <figcaption>
        {measured && (
          <span><i className="dot measured" />Measured{measured.accuracy_m != null && ` ± ${metres(measured.accuracy_m)}, ${quality(measured.accuracy_m).word}`}</span>
        )}
        {corrected && (
          <span><i className="dot corrected" />Corrected{measured && `, ${metres(apart(measured, corrected))} away`}</span>
        )}
        {movable && !corrected && <span><Icon name="pin" />Drag the pin to where it was</span>}
        {ground === 'none' && <span>No map can be drawn here.</span>}
      </figcaption>
    </figure>
  )
}
