import type { Session, VehicleEntry } from '@motomind/client'
import { useState } from 'react'
import { useClient, useLive, useOpened, useStatus, useVehicles } from '../live'
import { count, miles } from '../format'
import { dueOf, soonest } from '../due'
import { kindOfFlow } from '../kinds'
import { Dialog } from '../parts/dialog'
import { Icon } from '../parts/icon'
import { complain, notify } from '../parts/notices'
import { Page } from '../parts/page'
import { Photo } from '../parts/photo'

export function VehiclesScreen() {
  const { person } = useOpened()
  const vehicles = useVehicles()
  const status = useStatus()
  const records = useLive((client) => client.records('vehicles').watch(), [])
  const reminders = useLive((client) => client.records('reminders').watch(), [])
  const sessions = useLive((client) => client.watch.sessions(), [])
  const conflicts = useLive((client) => client.watch.conflicts(), [])
  const hero = (id: string) => records?.find((record) => record.id === id)?.fields.hero_photo
  const open = sessions?.filter(({ standing, photos }) => standing.status === 'active' || photos.length > 0) ?? []

  return (
    <Page title="Vehicles" sub={person.tenant}>
      {open.map((session) => <Unfinished key={session.id} session={session} vehicle={vehicles?.find(({ vehicle }) => vehicle.id === session.vehicle_id)?.name} />)}
      {conflicts && conflicts.length > 0 && (
        <a className="callout wait" href="#/conflicts">
          <Icon name="split" />
          <span><strong>{count(conflicts.length, 'field')} with two answers</strong><small>Edited by several people at once. Choose.</small></span>
          <Icon name="next" />
        </a>
      )}
      {!vehicles && <p aria-busy="true" className="quiet">Reading…</p>}
      {vehicles?.length === 0 && (status?.seq === 0
        ? <p className="quiet" aria-busy={status.online}>{status.online ? 'Fetching your company’s vehicles…' : 'No vehicles here yet. They come with the first sync.'}</p>
        : <p className="empty">No vehicles yet. Add the first one.</p>)}
      <ul className="cards">
        {vehicles?.map((entry) => <VehicleCard key={entry.vehicle.id} entry={entry} hero={hero(entry.vehicle.id)} next={soonest(reminders ?? [], entry)} />)}
      </ul>
      <a className="button plain wide" href="#/v/new"><Icon name="plus" />Add a vehicle</a>
    </Page>
  )
}

/** A capture that was left with photos: to go on with, or to throw away. */
function Unfinished({ session, vehicle }: { session: Session; vehicle: string | undefined }) {
  const client = useClient()
  const [asking, setAsking] = useState(false)
  const { label } = kindOfFlow(session.flow)
  const discard = async () => {
    setAsking(false)
    await client.sessions.discard(session.id)
    notify('Thrown away.')
  }
  return (
    <div className="unfinished">
      <a className="callout" href={`#/v/${session.vehicle_id}/new/${session.flow}?session=${session.id}${session.path === 'guided' ? '&guided' : ''}`}>
        <Icon name="camera" />
        <span><strong>Go on: {label}</strong><small>{vehicle ?? 'A vehicle'} · {count(session.photos.length, 'photo')} kept</small></span>
        <Icon name="next" />
      </a>
      <button className="round" onClick={() => setAsking(true)} aria-label={`Throw away: ${label}`}><Icon name="trash" /></button>
      {asking && (
        <Dialog title="Throw these photos away?" close={() => setAsking(false)}>
          <p>{count(session.photos.length, 'photo')} of an unfinished {label.toLowerCase()}{vehicle && ` of ${vehicle}`}. Nothing else has them.</p>
          <div className="buttons"><button className="plain" onClick={() => setAsking(false)}>Keep them</button><button className="danger" onClick={() => void discard().catch(complain)}>Throw away</button></div>
        </Dialog>
      )}
    </div>
  )
}

function VehicleCard({ entry, hero, next }: { entry: VehicleEntry; hero: string | null | undefined; next: ReturnType<typeof soonest> }) {
  const { vehicle, name } = entry
  const due = next && dueOf(next.fields, entry.miles)
  return (
    <li>
      <a className="card vehicle" href={`#/v/${vehicle.id}`}>
        {hero ? <Photo photo={hero} alt="" className="hero" /> : <span className="photo hero none" style={{ '--paint': paint(vehicle.color) } as React.CSSProperties}><Icon name="car" /></span>}
        <span className="vehicle-text">
          <strong>{name}</strong>
          <small>{[vehicle.year, vehicle.make, vehicle.model].filter(Boolean).join(' ')}</small>
          <span className="vehicle-miles">{miles(entry.miles)}</span>
        </span>
        <span className="vehicle-notes">
          {vehicle.license_plate && <span className="plate">{vehicle.license_plate}</span>}
          {entry.pending > 0 && <span className="state wait"><Icon name="clock" />{entry.pending} unsent</span>}
          {entry.refused > 0 && <span className="state bad"><Icon name="warning" />{count(entry.refused, 'edit')} refused</span>}
          {entry.conflicts > 0 && <span className="state wait"><Icon name="split" />{count(entry.conflicts, 'conflict')}</span>}
          {next && due && <span className={`due ${due.tone}`}><Icon name="bell" />{next.fields.title} · {due.text}</span>}
        </span>
      </a>
    </li>
  )
}

const PAINTS: Record<string, string> = { white: '#dfe4e2', silver: '#b9c0c2', grey: '#8b9396', gray: '#8b9396', black: '#363c3b', blue: '#7ba6d4', red: '#d98880', green: '#85b594', yellow: '#e0c65c' }
const paint = (color: string | null | undefined) => PAINTS[color?.toLowerCase() ?? ''] ?? '#a9bab4'
