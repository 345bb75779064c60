// An event with everything that is known of it: what it says now, what was first said, where it was
// measured and where it was, its photos and where their bytes are.
import type { FamilyMember, PhotoShown, PlaceShown, TimelineEntry } from '@motomind/client'
import { useMemo, useState } from 'react'
import { ago, bytes, clock, day, degrees, metres, miles, money, words } from '../format'
import { kindOf } from '../kinds'
import { useClient, useFresh, useLive, useNames, useOpened } from '../live'
import { PhotoButtons, type Shot } from '../parts/camera'
import { Dialog } from '../parts/dialog'
import { Icon } from '../parts/icon'
import { PlaceMap, type Point } from '../parts/map'
import { complain, notify } from '../parts/notices'
import { Page } from '../parts/page'
import { Photo } from '../parts/photo'
import { Refusal } from '../parts/refusal'
import { State } from '../parts/state'

export function EventScreen({ vehicleId, id }: { vehicleId: string; id: string }) {
  const { client, person } = useOpened()
  const nameOf = useNames()
  const vehicle = useLive((client) => client.watch.vehicle(vehicleId), [vehicleId])
  const family = useFresh((client) => client.family(id), [id])
  const place = useFresh((client) => client.place(id), [id])
  const item = useFresh((client) => client.operation(id), [id])
  const photos = useLive((client) => client.watch.photos(id), [id])
  const [asking, setAsking] = useState<'retract' | 'discard' | null>(null)
  const back = `#/v/${vehicleId}`

  const member = family?.members.find(({ entry }) => entry.event_id === id)
  if (family === undefined) return <Page title="…" back={back}><p aria-busy="true" className="quiet">Reading…</p></Page>
  if (!member) return <Page title="Event" back={back}><p className="empty">This event is not known here.</p></Page>
  const { entry } = member
  const kind = kindOf(entry.type)
  const { event } = entry.record
  const refused = entry.state === 'rejected'
  const why = family?.members.findLast(({ act }) => act === 'retracts')?.reason
  const mine = item != null && item.state !== 'accepted'

  const takeBack = async (reason: string) => {
    if (asking === 'discard') await client.discard(id, reason)
    else await client.retract(id, reason)
    notify(asking === 'discard' ? 'Discarded.' : 'Taken back. It stays in the history.')
    location.hash = back
  }

  return (
    <Page title={kind.label} sub={vehicle?.name} back={back}>
      {item?.reason && <Refusal reason={item.reason} />}
      {member.retracted && <p className="note">This was taken back{why ? `: ${why}` : '.'}</p>}
      <section className="card facts" aria-label="What was seen">
        {event.miles != null && <div className="big-figure"><strong>{miles(event.miles)}</strong><small>odometer</small></div>}
        <dl>
          <dt>When</dt><dd>{day(event.date)}, {clock(event.occurred_at, event.timezone)} <small>{event.timezone}</small></dd>
          <dt>By</dt><dd>{nameOf(entry.record.user_id ?? person.user_id)}, {ago(member.said_at)}</dd>
          {facts(entry).map(([name, value]) => <div key={name} className="pair"><dt>{name}</dt><dd>{value}</dd></div>)}
          <dt>State</dt><dd><State state={entry.state} always /></dd>
        </dl>
        <div className="buttons">
          <a className="button plain" href={`#/v/${vehicleId}/amend/${id}`}><Icon name="edit" />{refused ? 'Mend' : 'Correct'}</a>
          {mine && <button className="plain danger" onClick={() => setAsking('discard')}><Icon name="trash" />Discard</button>}
          {!mine && person.role === 'manager' && !member.retracted && <button className="plain danger" onClick={() => setAsking('retract')}><Icon name="trash" />Take back</button>}
          {member.retracted && person.role === 'manager' && <button className="plain" onClick={() => void client.restore(id, 'it counts after all').catch(complain)}>Bring back</button>}
        </div>
      </section>
      <Photos id={id} photos={photos ?? []} label={kind.label} />
      <Place id={id} place={place} />
      {family && family.members.length > 1 && <Story members={family.members} shown={id} />}
      {asking && (
        <Reason title={asking === 'discard' ? 'Discard this capture?' : 'Take this back?'} act={asking === 'discard' ? 'Discard' : 'Take back'}
          text={asking === 'discard' ? 'It will not be sent. This device’s own log remembers that it was there.' : 'It no longer counts, for everyone. It stays in the history and can be brought back.'}
          done={(reason) => { setAsking(null); takeBack(reason).catch(complain) }} close={() => setAsking(null)} />
      )}
    </Page>
  )
}

/** What an event says, as pairs for people. Keys of newer versions are shown as they are. */
function facts({ record: { event } }: TimelineEntry): [string, string][] {
  const pairs: [string, string][] = []
  if (event.total_minor != null) pairs.push(['Total', money(event.total_minor, event.currency ?? 'USD')])
  if (event.vendor) pairs.push(['Vendor', event.vendor])
  for (const [name, value] of Object.entries(event.payload)) {
    if (value == null || name === 'photos' || name === 'logged_by') continue
    pairs.push([words(name.replace(/_minor$/, '')), name.endsWith('_minor') ? money(Number(value), event.currency ?? 'USD') : said(value)])
  }
  if (event.notes) pairs.push(['Notes', event.notes])
  if (event.reason) pairs.push(['Why corrected', event.reason])
  return pairs
}

function said(value: unknown): string {
  if (typeof value === 'boolean') return value ? 'yes' : 'no'
  if (Array.isArray(value)) return value.map(said).join(', ')
  if (typeof value === 'object' && value) return Object.entries(value).map(([name, one]) => `${words(name)} ${said(one)}`).join(', ')
  return String(value)
}

function Photos({ id, photos, label }: { id: string; photos: PhotoShown[]; label: string }) {
  const client = useClient()
  const [large, setLarge] = useState<PhotoShown>()
  const [busy, setBusy] = useState(false)
  const add = async (shots: Shot[]) => {
    setBusy(true)
    for (const { file, method, durationMs } of shots) {
      await client.addPhoto({ event: id }, { file, capture: { capture_method: method, capture_duration_ms: durationMs } })
    }
  }
  return (
    <section className="card" aria-label="Photos">
      <h2>Photos</h2>
      <ul className="shots">
        {photos.map((photo, n) => (
          <li key={photo.photo}>
            <button type="button" className="bare" onClick={() => setLarge(photo)} aria-label={`Photo ${n + 1}: ${photo.caption ?? 'open'}`}>
              <Photo photo={photo.photo} alt="" className="shot" />
            </button>
            <small className="photo-state">{whereabouts(photo)}</small>
          </li>
        ))}
      </ul>
      <PhotoButtons take={(shots) => void add(shots).catch(complain).finally(() => setBusy(false))} label={label} busy={busy} />
      {large && <Large id={id} photo={large} close={() => setLarge(undefined)} />}
    </section>
  )
}

function whereabouts({ original, preview }: PhotoShown): string {
  if (original.on_server) return 'sent'
  if (!original.here) return preview.on_server ? 'preview here' : 'not here yet'
  const size = original.bytes ?? 0
  return original.acked > 0 && original.acked < size ? `${Math.round(100 * original.acked / size)}% of ${bytes(size)} sent` : `${bytes(size)} to send`
}

function Large({ id, photo, close }: { id: string; photo: PhotoShown; close: () => void }) {
  const { client, person } = useOpened()
  const { facts, flags } = photo
  const hero = async () => {
    const event = (await client.family(id))?.members[0]?.entry
    if (event) await client.records('vehicles').edit(event.vehicle_id, { hero_photo: photo.photo })
    notify('This is the vehicle’s picture now.')
    close()
  }
  const remove = async () => {
    await client.removePhoto(id, photo.photo, 'taken off by hand')
    close()
  }
  return (
    <Dialog title={photo.caption ?? 'Photo'} close={close}>
      <Photo photo={photo.photo} alt={photo.caption ?? 'Photo of the event'} className="large" />
      <p className="quiet">
        {facts && [facts.width && `${facts.width} × ${facts.height}`, bytes(facts.size), [facts.make, facts.model].filter(Boolean).join(' ')].filter(Boolean).join(' · ')}
        {flags?.screenshot && <span className="tag">screenshot</span>}{flags?.edited && <span className="tag">edited</span>}{flags?.stale && <span className="tag">older than a week</span>}
      </p>
      <p className="hash" title="SHA-256 of the original">{photo.photo}</p>
      <div className="buttons">
        {person.role !== 'viewer' && <button className="plain" onClick={() => void hero().catch(complain)}>Use as the vehicle’s picture</button>}
        <button className="plain danger" onClick={() => void remove().catch(complain)}>Take off</button>
        <button onClick={close}>Close</button>
      </div>
    </Dialog>
  )
}

function Place({ id, place }: { id: string; place: PlaceShown | null | undefined }) {
  const client = useClient()
  const nameOf = useNames()
  const [moving, setMoving] = useState(false)
  const [pin, setPin] = useState<Point | null>(null)
  const counts = place?.corrections.find((one) => one.counts && !one.said.withdrawn)?.said ?? null
  const measured = useMemo(() => place?.measured ?? null, [JSON.stringify(place?.measured)])
  const corrected = useMemo(() => counts, [counts?.latitude, counts?.longitude])
  if (!place?.place) return <section className="card"><h2>Place</h2><p className="quiet">None was measured.</p></section>
  const save = async () => {
    if (pin) await client.correctLocation(id, { ...pin, method: 'map_pin' })
    setMoving(false)
    setPin(null)
    notify('The place is corrected. The measured one stays beside it.')
  }
  return (
    <section className="card" aria-label="Place">
      <h2>Place</h2>
      <PlaceMap measured={measured} corrected={moving ? pin ?? corrected : corrected} {...(moving && { move: setPin })} />
      <dl className="place-facts">
        {measured && <div><dt>Measured</dt><dd>{degrees(measured.latitude, measured.longitude)}{measured.accuracy_m != null && ` ± ${metres(measured.accuracy_m)}`}{measured.from === 'photo' && ', from the photo'}</dd></div>}
        {place.corrections.filter(({ said }) => !said.withdrawn).map((one) => (
          <div key={one.op_id ?? one.said_at}><dt>{one.counts ? 'Corrected' : 'Also said'}</dt>
            <dd>{degrees(one.said.latitude, one.said.longitude)}{one.said.distance_m != null && `, ${metres(one.said.distance_m)} away`}, by {nameOf(one.user_id)} <State state={one.state} /></dd></div>
        ))}
      </dl>
      <div className="buttons">
        {!moving && <button className="plain" onClick={() => setMoving(true)}><Icon name="pin" />Correct the place</button>}
        {moving && <><button className="plain" onClick={() => { setMoving(false); setPin(null) }}>Cancel</button><button disabled={!pin} onClick={() => void save().catch(complain)}>Save the place</button></>}
        {!moving && counts && <button className="plain" onClick={() => void client.withdrawLocation(id, 'measured place was right').catch(complain)}>Back to the measured</button>}
      </div>
    </section>
  )
}

function Story({ members, shown }: { members: (Omit<FamilyMember, 'entry'> & { entry: TimelineEntry })[]; shown: string }) {
  const nameOf = useNames()
  return (
    <section className="card" aria-label="History">
      <h2>History</h2>
      <ol className="story">
        {members.map(({ entry, act, counts, user_id, said_at, reason }, n) => (
          <li key={entry.event_id} className={counts ? 'counts' : ''}>
            <strong>{n === 0 ? 'First said' : words(act)}</strong> by {nameOf(user_id)}, {ago(said_at)}{counts && <span className="tag">counts</span>} <State state={entry.state} />
            <br />
            <span className={counts ? '' : 'struck'}>{[entry.miles !== null && miles(entry.miles), ...facts(entry).slice(0, 3).map(([name, value]) => `${name} ${value}`)].filter(Boolean).join(' · ')}</span>
            {reason && <em> “{reason}”</em>}
            {entry.event_id !== shown && <> <a href={`#/v/${entry.vehicle_id}/e/${entry.event_id}`}>look</a></>}
          </li>
        ))}
      </ol>
    </section>
  )
}

/** Asks why, and whether really. */
export function Reason({ title, text, act, done, close }: { title: string; text: string; act: string; done: (reason: string) => void; close: () => void }) {
  const [reason, setReason] = useState('')
  return (
    <Dialog title={title} close={close}>
      <p>{text}</p>
      <label className="field">Why<input value={reason} onChange={({ target }) => setReason(target.value)} /></label>
      <div className="buttons"><button className="plain" onClick={close}>Keep it</button><button className="danger" onClick={() => done(reason.trim() || 'no reason given')}>{act}</button></div>
    </Dialog>
  )
}
