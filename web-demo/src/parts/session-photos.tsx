// Photos of a capture that is not saved yet.
import { type Session, uuidv7 } from '@motomind/client'
import { useEffect, useRef, useState } from 'react'
import { bytes, count } from '../format'
import type { Kind } from '../kinds'
import { useClient } from '../live'
import { go } from '../route'
import { PhotoButtons, type Shot } from './camera'
import { Icon } from './icon'
import { complain } from './notices'
import { Photo } from './photo'

export interface SessionState {
  current: Session | null
  /** Photos that are being taken in: how many, and their bytes. */
  busy: { count: number; bytes: number } | null
  take: (shots: Shot[], step: string | null) => void
  drop: (photo: string) => void
  goTo: (step: string) => void
  leave: () => Promise<void>
}

export function useSession({ vehicleId, flow, guided, resumed, shutter }: {
  vehicleId: string; flow: string; guided: boolean; resumed: string | null; shutter: () => void
}): SessionState {
  const client = useClient()
  const [current, setCurrent] = useState<Session | null>(null)
  const [busy, setBusy] = useState<SessionState['busy']>(null)
  const [fresh] = useState(uuidv7)
  const beginning = useRef<Promise<Session>>(undefined)
  const retakes = useRef<Record<string, number>>({})

  const shown = (session: Session) => {
    setCurrent(session)
    go(`#/v/${vehicleId}/new/${flow}?session=${session.id}${guided ? '&guided' : ''}`, { replace: true })
    return session
  }
  const begin = () => {
    beginning.current ??= client.sessions.begin({ vehicleId, flow, path: guided ? 'guided' : 'quick' }, { id: fresh }).then(shown)
    beginning.current.catch(() => { beginning.current = undefined })
    return beginning.current
  }

  useEffect(() => {
    if (resumed && resumed !== fresh) {
      beginning.current ??= client.sessions.resume(resumed).then(shown)
      beginning.current.catch(complain)
    } else if (guided) {
      begin().catch(complain)
    }
    // Once: the session goes on whatever the address says later.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [])

  const reread = async (id: string) => {
    const session = (await client.sessions.list()).find((one) => one.id === id)
    if (session) setCurrent(session)
  }

  return {
    current,
    busy,
    take(shots, step) {
      shutter()
      setBusy({ count: shots.length, bytes: shots.reduce((sum, { file }) => sum + file.size, 0) })
      const all = async () => {
        const { id } = await begin()
        for (const { file, method, durationMs } of shots) {
          const name = step ?? ''
          const retake_count = retakes.current[name] ?? 0
          retakes.current[name] = retake_count + 1
          await client.addPhoto({ session: id, ...(step && { step }) }, {
            file,
            capture: { capture_method: method, step_id: step, capture_duration_ms: durationMs, retake_count: step ? retake_count : null },
          })
          await reread(id)
        }
      }
      all().catch(complain).finally(() => setBusy(null))
    },
    drop(photo) {
      if (current) client.sessions.removePhoto(current.id, photo).then(setCurrent, complain)
    },
    goTo(step) {
      if (current) client.sessions.step(current.id, step).then(setCurrent, complain)
    },
    async leave() {
      const session = await beginning.current?.catch(() => null)
      if (!session) return
      const there = (await client.sessions.list()).find(({ id }) => id === (current ?? session).id)
      if (there?.standing.status !== 'active') return
      await client.sessions.leave(there.id, 'back_button').catch(complain)
    },
  }
}

function Thumbs({ photos, drop }: { photos: Session['photos']; drop: (photo: string) => void }) {
  return (
    <ul className="shots">
      {photos.map(({ photo, step_id }, n) => (
        <li key={photo}>
          <Photo photo={photo} alt={`Photo ${n + 1}${step_id ? `, ${step_id}` : ''}`} className="shot" />
          <button type="button" className="drop" onClick={() => drop(photo)} aria-label={`Throw away photo ${n + 1}`}><Icon name="close" /></button>
        </li>
      ))}
    </ul>
  )
}

/** The photos of the quick path, and what was taken on the guided one. */
export function SessionPhotos({ kind, session, guided, back }: { kind: Kind; session: SessionState; guided: boolean; back: () => void }) {
  const photos = session.current?.photos ?? []
  return (
    <section className="field photos" aria-label="Photos">
      <div className="photos-head">
        <strong>{photos.length > 0 ? count(photos.length, 'photo') : 'Photos'}</strong>
        {session.busy ? <span className="quiet" aria-live="polite">Keeping {count(session.busy.count, 'photo')}, {bytes(session.busy.bytes)}…</span>
          : photos.length > 0 && <span className="state good"><Icon name="check" />kept on this device</span>}
      </div>
      {photos.length > 0 && <Thumbs photos={photos} drop={session.drop} />}
      {guided ? <button type="button" className="plain" onClick={back}><Icon name="back" />Back to the steps</button>
        : <PhotoButtons take={(shots) => session.take(shots, null)} label={kind.label} busy={Boolean(session.busy)} />}
    </section>
  )
}

/** Step by step: what to photograph, and what may be left out. */
export function Stepper({ kind, session, done }: { kind: Kind; session: SessionState; done: () => void }) {
  const { current } = session
  const at = Math.max(0, kind.steps.findIndex(({ id }) => id === current?.current_step))
  const step = kind.steps[at]
  if (!step || !current) return <p aria-busy="true" className="quiet">Beginning…</p>
  const taken = (id: string) => current.photos.filter(({ step_id }) => step_id === id)
  const these = step.several ? taken(step.id) : taken(step.id).slice(-1)
  const missing = kind.steps.filter(({ id, need }) => need === 'required' && taken(id).length === 0)
  const last = at === kind.steps.length - 1
  const next = () => (last ? done() : session.goTo(kind.steps[at + 1]!.id))
  return (
    <section className="stepper" aria-label="Steps">
      <ol className="steps">
        {kind.steps.map(({ id, label, need }, n) => (
          <li key={id}>
            <button type="button" aria-current={n === at ? 'step' : undefined} className={taken(id).length > 0 ? 'taken' : need} onClick={() => session.goTo(id)}
              aria-label={`${n + 1}: ${label}, ${taken(id).length > 0 ? 'taken' : need}`}>{taken(id).length > 0 ? <Icon name="check" /> : n + 1}</button>
          </li>
        ))}
      </ol>
      <h2>{step.label}</h2>
      <p className="quiet">{step.need === 'required' ? 'Needed' : step.need === 'recommended' ? 'Worth having' : 'Only if there is something to see'}{step.several && ', several are fine'}</p>
      {these.length > 0 ? <Thumbs photos={these} drop={session.drop} /> : <div className="viewfinder"><Icon name="camera" /></div>}
      {session.busy && <p className="quiet" aria-live="polite">Keeping {bytes(session.busy.bytes)}…</p>}
      <PhotoButtons take={(shots) => session.take(shots, step.id)} label={step.label} busy={Boolean(session.busy)} />
      <div className="save-bar">
        <button type="button" className="plain" disabled={missing.length > 0} onClick={done}>{missing.length > 0 ? `${missing.length} needed` : 'To the form'}</button>
        <button type="button" className="save" disabled={Boolean(session.busy) || (step.need === 'required' && these.length === 0) || (last && missing.length > 0)} onClick={next}>
          {last ? 'Finish' : these.length > 0 ? 'Next' : step.need === 'required' ? 'Take it first' : 'Skip'}
        </button>
      </div>
    </section>
  )
}
