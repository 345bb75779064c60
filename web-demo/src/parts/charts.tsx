// Mileage and fuel economy, drawn small and plain. Everything in them is in the tables below them, too.
import type { TimelineEntry } from '@motomind/client'
import { useEffect, useState } from 'react'
import { useClient } from '../live'
import { day, miles } from '../format'

const PAGES_MAX = 20

interface Spot { at: number; date: string; value: number }

export function Charts({ vehicleId, mpg }: { vehicleId: string; mpg: number | null }) {
  const client = useClient()
  const [entries, setEntries] = useState<TimelineEntry[]>()
  useEffect(() => {
    let ended = false
    const all = async () => {
      const found: TimelineEntry[] = []
      for (let before = null as Awaited<ReturnType<typeof client.timeline>>['next'], page = 0; page < PAGES_MAX; page += 1) {
        const { entries, next } = await client.timeline(vehicleId, { limit: 500, before })
        found.push(...entries)
        if (!next) break
        before = next
      }
      if (!ended) setEntries(found.filter(({ state }) => state !== 'rejected').reverse())
    }
    // Whenever the newest of this vehicle's entries change.
    const stop = client.watch.timeline(vehicleId).subscribe(() => void all().catch(() => {}))
    return () => {
      ended = true
      stop()
    }
  }, [client, vehicleId])
  if (!entries) return <p aria-busy="true" className="quiet">Reading…</p>
  const mileage = entries.flatMap(({ miles, occurred_at: at, date }) => (miles === null ? [] : [{ at, date, value: miles }]))
  const economy = economyOf(entries)
  const mean = economy.length > 0 ? economy.reduce((sum, { value }) => sum + value, 0) / economy.length : null
  return (
    <>
      <Chart title="Fuel economy" unit="mpg" spots={economy} digits={1} line={mpg} lineName="EPA" mean={5}
        note={mean === null ? 'Needs two fill-ups with an odometer reading.' : `${mean.toFixed(1)} mpg on average over ${economy.length} fill-ups; the line is the mean of five`} />
      <Chart title="Mileage" unit="mi" spots={mileage} digits={0}
        note={mileage.length < 2 ? 'Needs two readings.' : `${miles(mileage.at(-1)!.value - mileage[0]!.value)} since ${day(mileage[0]!.date)}`} />
    </>
  )
}

/** Miles per gallon from one fill-up to the next; a fill-up that says it was partial counts with the next one. */
export function economyOf(entries: TimelineEntry[]): Spot[] {
  const spots: Spot[] = []
  let from: number | null = null
  let gallons = 0
  for (const { type, miles, occurred_at: at, date, record } of entries) {
    if (type !== 'fuel' || typeof record.event.payload.gallons !== 'number' || miles === null) continue
    gallons += record.event.payload.gallons
    if (record.event.payload.full_tank === false) continue
    if (from !== null && miles > from) spots.push({ at, date, value: (miles - from) / gallons })
    from = miles
    gallons = 0
  }
  return spots
}

const WIDTH = 360
const HEIGHT = 160
const LEFT = 46
const BOTTOM = 22

function Chart({ title, unit, spots, digits, note, line, lineName, mean = 1 }: {
  title: string; unit: string; spots: Spot[]; digits: number; note: string; line?: number | null; lineName?: string
  /** The line is the mean of so many; each is a dot of its own. */
  mean?: number
}) {
  const figure = (value: number) => value.toLocaleString('en-US', { maximumFractionDigits: digits, minimumFractionDigits: digits })
  if (spots.length < 2) return <section className="card chart"><h2>{title}</h2><p className="quiet">{note}</p></section>
  const values = [...spots.map(({ value }) => value), ...(line ? [line] : [])]
  const [low, high] = around(Math.min(...values), Math.max(...values))
  const [first, last] = [spots[0]!.at, spots.at(-1)!.at]
  const x = (at: number) => LEFT + (WIDTH - LEFT - 8) * (last === first ? 0.5 : (at - first) / (last - first))
  const y = (value: number) => 8 + (HEIGHT - 8 - BOTTOM) * (1 - (value - low) / (high - low))
  const smooth = spots.map((spot, n) => {
    const these = spots.slice(Math.max(0, n - mean + 1), n + 1)
    return { ...spot, value: these.reduce((sum, { value }) => sum + value, 0) / these.length }
  })
  const path = smooth.map(({ at, value }, n) => `${n ? 'L' : 'M'}${x(at).toFixed(1)} ${y(value).toFixed(1)}`).join('')
  const newest = spots.at(-1)!
  return (
    <section className="card chart">
      <h2>{title}</h2>
      <p className="quiet">{note}</p>
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={`${title}: from ${figure(spots[0]!.value)} to ${figure(newest.value)} ${unit}`}>
        {[low, (low + high) / 2, high].map((value) => (
          <g key={value}><path className="grid" d={`M${LEFT} ${y(value)}H${WIDTH - 8}`} /><text x={LEFT - 6} y={y(value) + 4} textAnchor="end">{figure(value)}</text></g>
        ))}
        {line && <path className="mean" d={`M${LEFT} ${y(line)}H${WIDTH - 8}`} />}
        {(mean > 1 || spots.length < 60) && spots.map(({ at, value }) => <circle key={at} className="spot" cx={x(at)} cy={y(value)} r="2.5" />)}
        <path className="line" d={path} />
        {line && <text className="mean-name" x={LEFT + 4} y={y(line) - 4}>{lineName} {line}</text>}
        <circle className="newest" cx={x(newest.at)} cy={y(smooth.at(-1)!.value)} r="5" />
        <text x={LEFT} y={HEIGHT - 4}>{spots[0]!.date}</text>
        <text x={WIDTH - 8} y={HEIGHT - 4} textAnchor="end">{newest.date}</text>
      </svg>
      <details>
        <summary>As a table</summary>
        <table><thead><tr><th scope="col">Day</th><th scope="col">{unit}</th></tr></thead>
          <tbody>{spots.slice(-24).reverse().map(({ at, date, value }) => <tr key={`${at}${value}`}><td>{date}</td><td>{figure(value)}</td></tr>)}</tbody></table>
      </details>
    </section>
  )
}

function around(low: number, high: number): [number, number] {
  const room = (high - low || Math.abs(high) || 1) * 0.1
  return [Math.max(0, low - room), high + room]
}
