import type { TimelineEntry } from '@motomind/client'
import { useState } from 'react'
import { useLive, useNames } from '../live'
import { count, day, miles, money, words } from '../format'
import { kindOf } from '../kinds'
import { Charts } from '../parts/charts'
import { Icon } from '../parts/icon'
import { Page } from '../parts/page'
import { Photo } from '../parts/photo'
import { State } from '../parts/state'

const PAGE = 50
const THUMBS = 4

export function VehicleScreen({ id, show }: { id: string; show: 'timeline' | 'charts' }) {
  const entry = useLive((client) => client.watch.vehicle(id), [id])
  const [limit, setLimit] = useState(PAGE)
  const entries = useLive((client) => client.watch.timeline(id, { limit }), [id, limit])
  if (entry === null) return <Page title="Unknown vehicle" back="#/"><p className="empty">This device does not know this vehicle.</p></Page>
  const vehicle = entry?.vehicle
  return (
    <Page title={entry?.name ?? '…'} back="#/"
      sub={vehicle && [vehicle.year, vehicle.make, vehicle.model, vehicle.license_plate].filter(Boolean).join(' · ')}
      action={<a className="round" href={`#/v/${id}/edit`} aria-label="Edit the vehicle"><Icon name="edit" /></a>}>
      <div className="figure-row">
        <div className="big-figure"><strong>{entry ? miles(entry.miles) : '…'}</strong><small>odometer</small></div>
        {entry && entry.pending > 0 && <span className="state wait"><Icon name="clock" />{entry.pending} unsent</span>}
        {entry && entry.conflicts > 0 && <a className="state wait" href={`#/v/${id}/edit`}><Icon name="split" />{count(entry.conflicts, 'conflict')}</a>}
        {entry && entry.refused > 0 && <a className="state bad" href={`#/v/${id}/edit`}><Icon name="warning" />{count(entry.refused, 'edit')} refused</a>}
      </div>
      <nav className="tabs" aria-label="View">
        <a href={`#/v/${id}`} aria-current={show === 'timeline' ? 'page' : undefined}><Icon name="clock" />Timeline</a>
        <a href={`#/v/${id}/charts`} aria-current={show === 'charts' ? 'page' : undefined}><Icon name="chart" />Charts</a>
      </nav>
      {show === 'charts' ? <Charts vehicleId={id} mpg={vehicle?.manufacturer_mpg ?? null} /> : (
        <>
          {!entries && <p aria-busy="true" className="quiet">Reading…</p>}
          {entries?.length === 0 && <p className="empty">Nothing captured yet.</p>}
          <Timeline entries={entries ?? []} />
          {entries && entries.length >= limit && <button className="plain wide" onClick={() => setLimit(limit + PAGE)}>Older</button>}
        </>
      )}
    </Page>
  )
}

function Timeline({ entries }: { entries: TimelineEntry[] }) {
  const nameOf = useNames()
  const days = byDay(entries)
  return (
    <ol className="timeline">
      {[...days].map(([date, these]) => (
        <li key={date}>
          <h2 className="day">{day(date)}</h2>
          <ul className="list">{these.map((entry) => <Row key={entry.event_id} entry={entry} nameOf={nameOf} />)}</ul>
        </li>
      ))}
    </ol>
  )
}

function byDay(entries: TimelineEntry[]) {
  const days = new Map<string, TimelineEntry[]>()
  for (const entry of entries) days.set(entry.date, [...days.get(entry.date) ?? [], entry])
  return days
}

function Row({ entry, nameOf }: { entry: TimelineEntry; nameOf: ReturnType<typeof useNames> }) {
  const { event, user_id, flags } = entry.record
  const kind = kindOf(entry.type)
  return (
    <li>
      <a className={`row event ${entry.state === 'rejected' ? 'refused' : ''}`} href={`#/v/${entry.vehicle_id}/e/${entry.event_id}`} data-event={entry.event_id} data-state={entry.state}>
        <span className={`kind ${entry.type}`}><Icon name={kind.icon} /></span>
        <span className="row-text">
          <strong>{kind.label}{entry.type === 'maintenance' && event.payload.kind ? ` · ${words(String(event.payload.kind))}` : ''}</strong>
          <span className="said">{summary(entry)}</span>
          <small>
            {user_id && <span>{nameOf(user_id)}</span>}
            {entry.corrects && <span className="tag">corrected</span>}
            {entry.place?.from === 'correction' && <span className="tag"><Icon name="pin" />place corrected</span>}
            {flags?.includes('clock_ahead') && <span className="tag">clock ahead</span>}
            <State state={entry.state} />
          </small>
          {entry.photos > 0 && <Thumbs entry={entry} />}
        </span>
        <span className="row-end">{entry.miles !== null && <b>{miles(entry.miles)}</b>}</span>
      </a>
    </li>
  )
}

function Thumbs({ entry }: { entry: TimelineEntry }) {
  const photos = useLive((client) => client.watch.photos(entry.event_id), [entry.event_id])
  const shown = photos?.slice(0, THUMBS) ?? []
  return (
    <span className="thumbs">
      {shown.map(({ photo, caption }) => <Photo key={photo} photo={photo} alt={caption ?? 'Photo'} className="thumb" />)}
      {entry.photos > THUMBS && <span className="thumb-more">+{entry.photos - THUMBS}</span>}
    </span>
  )
}

/** An event in a line. */
export function summary({ record: { event } }: TimelineEntry): string {
  const { payload } = event
  const parts = [
    payload.gallons !== undefined && `${payload.gallons} gal`,
    event.total_minor != null && money(event.total_minor, event.currency ?? 'USD'),
    event.vendor,
    payload.description, payload.severity, payload.inspection_type, payload.result,
    payload.doc_type && words(String(payload.doc_type)),
    Array.isArray(payload.warning_lights) && payload.warning_lights.join(', '),
    event.notes,
  ]
  return parts.filter((part) => part !== undefined && part !== null && part !== false && part !== '').join(' · ')
}
