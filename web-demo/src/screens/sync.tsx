// Everything that is on this device alone, and what can be done about it.
import type { PendingItem, UploadItem, VehicleEntry } from '@motomind/client'
import { useState } from 'react'
import { setAirplane } from '../airplane'
import { age, ago, bytes, clock, count, miles, old, words } from '../format'
import { kindOf } from '../kinds'
import { useFresh, useLive, useOpened, usePending, useStatus, useVehicles } from '../live'
import { Icon } from '../parts/icon'
import { complain, notify } from '../parts/notices'
import { Page } from '../parts/page'
import { Photo } from '../parts/photo'
import { Refusal } from '../parts/refusal'
import { SignOut } from '../parts/sign-out'
import { State } from '../parts/state'
import { standing } from '../parts/status-pill'
import { save } from '../save'
import { Reason } from './event'

/** How many of those that merely wait are listed. What needs a person is listed whole. */
const SHOWN = 100

export function SyncScreen({ leave }: { leave: () => void }) {
  const { client, person } = useOpened()
  const pending = usePending()
  const uploads = useLive((client) => client.watch.uploads(), [])
  const vehicles = useVehicles()
  const [leaving, setLeaving] = useState(false)
  const up = uploads?.filter(({ state }) => state !== 'stored') ?? []
  const refused = pending?.filter(({ state }) => state === 'rejected') ?? []
  const others = pending?.filter(({ state }) => state !== 'rejected') ?? []
  const keep = async () => {
    const file = await client.exportPending()
    save(file, `motomind-unsent-${new Date().toISOString().slice(0, 10)}.ndjson`)
    notify('Exported. The file holds everything that the server does not have.')
  }

  return (
    <Page title="Sync" sub={person.name} pill={false}>
      <Standing />
      {!(pending && uploads) && <p aria-busy="true" className="quiet">Reading what is unsent…</p>}
      {refused.length > 0 && <h2 className="part bad">Needs you</h2>}
      <ul className="list items">{refused.map((item) => <Item key={item.op_id} item={item} vehicles={vehicles} />)}</ul>
      {others.length > 0 && <h2 className="part">Waiting to be sent</h2>}
      <ul className="list items">{others.slice(0, SHOWN).map((item) => <Item key={item.op_id} item={item} vehicles={vehicles} />)}</ul>
      {others.length > SHOWN && <p className="quiet">and {count(others.length - SHOWN, 'more', 'more')}, sent after these</p>}
      {up.length > 0 && <h2 className="part">Pictures</h2>}
      <ul className="list items">{up.slice(0, SHOWN).map((upload) => <Upload key={upload.photo + upload.variant} upload={upload} />)}</ul>
      {pending?.length === 0 && up.length === 0 && <p className="empty"><Icon name="check" />The server has everything from this device.</p>}
      <div className="buttons">
        <button className="plain" onClick={() => void keep().catch(complain)}><Icon name="download" />Export what is unsent</button>
        <button className="plain" onClick={() => setLeaving(true)}><Icon name="out" />Sign out</button>
      </div>
      <Room />
      {leaving && <SignOut leave={leave} close={() => setLeaving(false)} keep={() => void keep().catch(complain)} />}
    </Page>
  )
}

function Standing() {
  const { client } = useOpened()
  const status = useStatus()
  if (!status) return null
  const { tone, word, icon } = standing(status)
  const waiting = status.unsent + status.pictures_unsent
  const off = status.sync === 'off'
  const behind = Math.max(0, status.head - status.seq)
  return (
    <section className={`card standing ${tone}`} aria-label="Standing">
      <div className="standing-head"><Icon name={icon} /><strong data-testid="standing">{word}</strong></div>
      <p>
        {waiting === 0 ? 'Nothing waits to be sent.' : `${count(status.unsent, 'entry', 'entries')} (${bytes(status.bytes)}) and ${count(status.pictures_unsent, 'picture')} (${bytes(status.picture_bytes)}) wait.`}
        {status.oldest_age_ms !== null && waiting > 0 && ` The oldest is from ${ago(Date.now() - status.oldest_age_ms)}.`}
        {behind > 0 && ` Receiving: ${count(behind, 'change')} to come.`}
      </p>
      <p className="quiet">
        {status.last_success_at ? `The server last answered ${ago(status.last_success_at)}.` : 'The server has not answered yet.'}
        {status.last_problem && ` Last problem: ${status.last_problem}.`}
        {status.blocked && ` Paused: ${words(status.blocked)}.`}
        {status.next_try_at && ` Next try at ${clock(status.next_try_at)}.`}
        {status.clock_offset_ms !== null && Math.abs(status.clock_offset_ms) > 60_000 && ` This device’s clock is ${age(Math.abs(status.clock_offset_ms))} off.`}
      </p>
      <div className="buttons">
        <label className="switch"><input type="checkbox" role="switch" checked={off} onChange={() => void setAirplane(client, !off).catch(complain)} />Airplane mode</label>
        <button className="plain" onClick={() => void client.sync.once().catch(complain)}><Icon name="sync" />Sync now</button>
      </div>
    </section>
  )
}

function Item({ item, vehicles }: { item: PendingItem; vehicles: VehicleEntry[] | undefined }) {
  const { client } = useOpened()
  const [asking, setAsking] = useState(false)
  const { title, about, icon, vehicle } = told(item)
  const name = vehicle && (vehicles ? vehicles.find(({ vehicle: { id } }) => id === vehicle)?.name : '…')
  const refused = item.state === 'rejected'
  const mend = item.event && vehicle ? `#/v/${vehicle}/amend/${item.op_id}` : item.change?.collection === 'vehicles' ? `#/v/${item.change.record_id}/edit` : null
  return (
    <li className={`item ${item.state}`} data-op={item.op_id} data-state={item.state}>
      <div className="row">
        <span className={`kind ${item.event?.type ?? ''}`}><Icon name={icon} /></span>
        <span className="row-text">
          <strong>{title}{name && ` · ${name}`}</strong>
          {about && <span className="said">{about}</span>}
          <small><State state={item.state} always />{old(item.age_ms)} · {bytes(item.bytes)}{item.attempts > 0 && ` · tried ${item.attempts}×`}{item.retry_at && ` · again at ${clock(item.retry_at)}`}</small>
        </span>
      </div>
      {item.reason && <Refusal reason={item.reason} />}
      <div className="buttons">
        {mend && <a className={refused ? 'button' : 'button plain'} href={mend}><Icon name="edit" />{refused ? 'Mend' : 'Change'}</a>}
        {(refused || item.retry_at !== null) && <button className="plain" onClick={() => void client.retry(item.op_id).catch(complain)}><Icon name="sync" />Try again</button>}
        <button className="plain danger" onClick={() => setAsking(true)}><Icon name="trash" />Discard</button>
      </div>
      {asking && (
        <Reason title="Discard this?" act="Discard" text={`${title}${name ? ` of ${name}` : ''} will not be sent. It has not reached the server. Export first if in doubt.`}
          close={() => setAsking(false)} done={(reason) => { setAsking(false); void client.discard(item.op_id, reason).then(() => notify('Discarded.'), complain) }} />
      )}
    </li>
  )
}

/** What an item is, in words. */
function told({ event, change, photo, location, session }: PendingItem): { title: string; about?: string | undefined; icon: string; vehicle?: string } {
  if (event) {
    const kind = kindOf(event.type)
    const about = [event.miles != null && miles(event.miles), event.payload.description, event.vendor, event.notes].filter(Boolean).join(' · ')
    return { title: event.type === 'retraction' ? 'Taking back' : event.corrects ? `${kind.label}, corrected` : kind.label, about, icon: kind.icon, vehicle: event.vehicle_id }
  }
  if (location) return { title: location.withdrawn ? 'Place, taken back' : 'Place corrected', about: location.distance_m != null ? `${Math.round(location.distance_m)} m from the measured one` : undefined, icon: 'pin', vehicle: location.vehicle_id }
  if (photo) return { title: photo.removed ? 'Photo taken off' : 'Photo', about: photo.caption ?? undefined, icon: 'image', vehicle: photo.vehicle_id }
  if (session) return { title: 'Capture session', about: `${session.flow}, ${session.standing.status}`, icon: 'camera', vehicle: session.vehicle_id }
  if (change) {
    const fields = Object.keys(change.patch ?? {}).map(words).join(', ')
    const named = words(change.collection.replace(/ies$/, 'y').replace(/s$/, ''))
    return { title: `${named} ${change.action === 'create' ? 'added' : change.action === 'delete' ? 'deleted' : change.action === 'restore' ? 'restored' : 'edited'}`, about: fields, icon: 'edit', ...(change.collection === 'vehicles' && { vehicle: change.record_id }) }
  }
  return { title: 'Something of a newer version', icon: 'document' }
}

function Upload({ upload }: { upload: UploadItem }) {
  const { client } = useOpened()
  const { photo, variant, bytes: size, acked, state, problem, retry_at } = upload
  return (
    <li className="item" data-upload={photo} data-state={state}>
      <div className="row">
        <Photo photo={photo} alt="" className="thumb" />
        <span className="row-text">
          <strong>{variant === 'original' ? 'Original' : 'Preview'}</strong>
          <progress max={size} value={acked} aria-label={`${variant}: ${bytes(acked)} of ${bytes(size)} sent`} />
          <small>{bytes(acked)} of {bytes(size)} · {state}{retry_at && ` · again at ${clock(retry_at)}`}</small>
          {problem && <small className="problem">{problem}</small>}
        </span>
        {state === 'refused' && <button className="small plain" onClick={() => void client.retryUpload(photo, variant).catch(complain)}>Try again</button>}
      </div>
    </li>
  )
}

function Room() {
  const { client } = useOpened()
  const space = useFresh((client) => client.space(), [])
  const storage = useFresh((client) => client.storage(), [])
  if (!space || !storage) return null
  const rows: [string, number][] = [
    ['Your captures and edits', space.journal], ['Everyone’s vehicles and timelines', space.mirror], ['Photos not yet sent', space.photos_unsent],
    ['Photos the server has, too', space.photos_stored], ['Photos of unfinished captures', space.photos_of_sessions], ['Pictures from colleagues', space.cached],
  ]
  return (
    <section className="card" aria-label="Storage">
      <h2>Storage</h2>
      <p className={storage.persisted ? 'state good' : 'state wait'} data-testid="persisted"><Icon name="shield" />{storage.persisted ? 'Kept: the browser has promised not to clear it' : 'Not promised: the browser may clear it when the disk is full'}</p>
      <dl>{rows.filter(([, size]) => size > 0).map(([name, size]) => <div key={name} className="pair"><dt>{name}</dt><dd>{bytes(size)}</dd></div>)}
        <div className="pair"><dt>Used of what the browser allows</dt><dd>{bytes(storage.used)} of {bytes(storage.quota)}</dd></div></dl>
      <div className="buttons">
        {!storage.persisted && <button className="plain" onClick={() => void client.persist().then((kept) => notify(kept ? 'The browser will keep it.' : 'The browser did not agree. Installing the app helps.'), complain)}>Ask the browser to keep it</button>}
        {space.photos_stored + space.cached > 0 && <button className="plain" onClick={() => void client.freeSpace(space.photos_stored + space.cached).then(() => notify('Freed what the server has, too.'), complain)}>Free {bytes(space.photos_stored + space.cached)}</button>}
      </div>
    </section>
  )
}
