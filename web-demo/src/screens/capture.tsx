// One capture: photos, what was seen, where. Photos rest in a session of the engine's, so that neither a
// reload nor an empty battery takes them; what was typed rests beside it.
import { ConfirmJump, type Event, Invalid, type NewEvent, type PendingItem, uuidv7 } from '@motomind/client'
import { type FormEvent, useEffect, useState } from 'react'
import { draftOf, mend, type Problems, readDraft } from '../draft'
import { miles } from '../format'
import { type Kind, kindOf, kindOfFlow } from '../kinds'
import { useClient, useLive, useOpened } from '../live'
import { Dialog } from '../parts/dialog'
import { type Draft, FieldInput } from '../parts/fields'
import { Icon } from '../parts/icon'
import { complain, notify } from '../parts/notices'
import { Page } from '../parts/page'
import { PlaceField, usePlace } from '../parts/place-field'
import { Refusal } from '../parts/refusal'
import { SessionPhotos, Stepper, useSession } from '../parts/session-photos'
import { go } from '../route'

interface Props {
  vehicleId: string
  flow?: string
  session?: string | null
  guided?: boolean
  /** The event, or the refused capture, that this one takes the place of. */
  amends?: string
}

export function CaptureScreen(props: Props) {
  return props.amends ? <Amend {...props} amends={props.amends} /> : <New {...props} kind={kindOfFlow(props.flow ?? 'odometer')} />
}

/** What was typed, kept until it is saved. */
function useDraft(key: string): [Draft, (name: string, value: Draft[string]) => void, () => void] {
  const [draft, setDraft] = useState<Draft>(() => JSON.parse(localStorage.getItem(key) ?? '{}'))
  return [
    draft,
    (name, value) => setDraft((before) => {
      const after = { ...before, [name]: value }
      localStorage.setItem(key, JSON.stringify(after))
      return after
    }),
    () => localStorage.removeItem(key),
  ]
}

function New({ vehicleId, session: resumed, guided = false, kind }: Props & { kind: Kind }) {
  const client = useClient()
  const { person } = useOpened()
  const vehicle = useLive((client) => client.watch.vehicle(vehicleId), [vehicleId])
  const [draft, change, forget] = useDraft(`motomind.draft.${person.user_id}.${vehicleId}.${kind.flow}`)
  const place = usePlace()
  const session = useSession({ vehicleId, flow: kind.flow, guided, resumed: resumed ?? null, shutter: place.measure })
  const [typing, setTyping] = useState(!guided)
  const [problems, setProblems] = useState<Problems>({})
  const [jump, setJump] = useState<ConfirmJump>()
  const [saving, setSaving] = useState(false)
  // One id for every attempt at saving: pressing twice is saving once.
  const [id] = useState(uuidv7)

  const save = async (confirmed = false) => {
    const { event, problems } = readDraft(kind, draft)
    setProblems(problems)
    if (Object.keys(problems).length > 0) return
    setSaving(true)
    try {
      const now = Date.now()
      const when = typeof draft.when === 'string' && draft.when ? new Date(draft.when).getTime() : now
      const whole = {
        ...event, ...place.located(now), type: kind.type, vehicleId, occurredAt: when,
        payload: { ...event.payload, ...(confirmed && { confirmed_jump: true }) },
      } as NewEvent
      const write = session.current ? await client.sessions.complete(session.current.id, whole, { id }) : await client.capture(whole, { id })
      if (place.pin) await client.correctLocation(write.id, { ...place.pin, method: 'map_pin' })
      forget()
      notify(`${kind.label} saved on this device.`)
      for (const warning of 'warnings' in write ? write.warnings : []) notify(warning.message)
      go(`#/v/${vehicleId}`)
    } catch (error) {
      if (error instanceof ConfirmJump) setJump(error)
      else if (error instanceof Invalid) setProblems(problemsOf(error))
      else complain(error)
    } finally {
      setSaving(false)
    }
  }

  const leave = async () => {
    await session.leave()
    go(`#/v/${vehicleId}`)
  }

  return (
    <Page title={kind.label} sub={vehicle?.name} pill={false}
      action={<button className="round" onClick={() => void leave()} aria-label="Leave; photos stay"><Icon name="close" /></button>}>
      {!typing
        ? <Stepper kind={kind} session={session} done={() => setTyping(true)} />
        : (
          <Form kind={kind} draft={draft} change={change} problems={problems} saving={saving} save={() => void save()}
            hint={vehicle?.miles != null ? `Last reading ${miles(vehicle.miles)}` : undefined}
            before={<SessionPhotos kind={kind} session={session} guided={guided} back={() => setTyping(false)} />}>
            <PlaceField place={place} />
            <label className="field">When
              <input type="datetime-local" value={String(draft.when ?? '')} onChange={({ target }) => change('when', target.value)} aria-describedby="when-hint" />
              <small id="when-hint">Left empty: now.</small>
            </label>
          </Form>
        )}
      {jump && <Jump jump={jump} confirm={() => { setJump(undefined); void save(true) }} close={() => setJump(undefined)} />}
    </Page>
  )
}

function Amend({ vehicleId, amends }: Props & { amends: string }) {
  const client = useClient()
  const [found, setFound] = useState<{ event: Event; item: PendingItem | null } | null>()
  useEffect(() => {
    const find = async () => {
      const item = await client.operation(amends)
      if (item?.event && item.state !== 'superseded') return { event: item.event, item }
      const member = (await client.family(amends))?.members.find(({ entry }) => entry.event_id === amends)
      return member ? { event: member.entry.record.event, item: null } : null
    }
    find().then(setFound, complain)
  }, [client, amends])
  if (found === undefined) return <Page title="Mend" back={`#/v/${vehicleId}`}><p aria-busy="true" className="quiet">Reading…</p></Page>
  if (found === null) return <Page title="Mend" back={`#/v/${vehicleId}`}><p className="empty">This is no longer here.</p></Page>
  return <Mending vehicleId={vehicleId} amends={amends} before={found.event} item={found.item} />
}

function Mending({ vehicleId, amends, before, item }: { vehicleId: string; amends: string; before: Event; item: PendingItem | null }) {
  const client = useClient()
  const kind = kindOf(before.type)
  const [draft, setDraft] = useState(() => draftOf(kind, before))
  const [problems, setProblems] = useState<Problems>(() => item?.reason?.field ? { [item.reason.field.replace(/^payload\./, '')]: item.reason.message } : {})
  const [jump, setJump] = useState<ConfirmJump>()
  const [saving, setSaving] = useState(false)
  const refused = item?.state === 'rejected'

  const save = async (confirmed = false) => {
    const { event, problems } = readDraft(kind, draft)
    setProblems(problems)
    if (Object.keys(problems).length > 0) return
    setSaving(true)
    try {
      const typed = { ...event, payload: { ...event.payload, ...(confirmed && { confirmed_jump: true }) } }
      const reason = typeof draft.reason === 'string' && draft.reason.trim()
      await client.amend(amends, { ...mend(kind, before, typed), ...(reason && { reason }) })
      notify(refused ? 'Mended. It goes again.' : 'Corrected. What was first said is kept beside it.')
      history.back()
    } catch (error) {
      if (error instanceof ConfirmJump) setJump(error)
      else if (error instanceof Invalid) setProblems(problemsOf(error))
      else complain(error)
    } finally {
      setSaving(false)
    }
  }

  return (
    <Page title={refused ? `Mend ${kind.label.toLowerCase()}` : `Correct ${kind.label.toLowerCase()}`} back={refused ? '#/sync' : `#/v/${vehicleId}/e/${amends}`} pill={false}>
      {item?.reason && <Refusal reason={item.reason} />}
      <Form kind={kind} draft={draft} change={(name, value) => setDraft((old) => ({ ...old, [name]: value }))} problems={problems} saving={saving} save={() => void save()}>
        {!refused && (
          <label className="field">Why
            <input value={String(draft.reason ?? '')} onChange={({ target }) => setDraft((old) => ({ ...old, reason: target.value }))} />
          </label>
        )}
      </Form>
      {jump && <Jump jump={jump} confirm={() => { setJump(undefined); void save(true) }} close={() => setJump(undefined)} />}
    </Page>
  )
}

function Form({ kind, draft, change, problems, saving, save, before, children, hint }: {
  kind: Kind; draft: Draft; change: (name: string, value: Draft[string]) => void; problems: Problems; saving: boolean; save: () => void
  before?: React.ReactNode; children?: React.ReactNode; hint?: string | undefined
}) {
  const submit = (event: FormEvent) => {
    event.preventDefault()
    save()
  }
  const known = new Set(kind.fields.map(({ name }) => name))
  const elsewhere = Object.entries(problems).filter(([name]) => !known.has(name))
  return (
    <form onSubmit={submit} noValidate>
      {before}
      {elsewhere.map(([name, problem]) => <p key={name} className="note bad" role="alert">{problem}</p>)}
      {kind.fields.map((field) => (
        <div key={field.name}>
          <FieldInput field={field} value={draft[field.name]} change={(value) => change(field.name, value)} problem={problems[field.name]} />
          {field.name === 'miles' && hint && <p className="hint">{hint}</p>}
        </div>
      ))}
      {children}
      <div className="save-bar"><button className="save" disabled={saving}>{saving ? 'Saving…' : 'Save'}</button></div>
    </form>
  )
}

function Jump({ jump, confirm, close }: { jump: ConfirmJump; confirm: () => void; close: () => void }) {
  return (
    <Dialog title="Is that right?" close={close}>
      <p>The last reading was <strong>{miles(jump.before)}</strong>. You typed <strong>{miles(jump.miles)}</strong>, {miles(jump.miles - jump.before)} more.</p>
      <div className="buttons"><button className="plain" onClick={close}>Change it</button><button onClick={confirm}>It is right</button></div>
    </Dialog>
  )
}

function problemsOf(error: Invalid): Problems {
  return Object.fromEntries(error.violations.map(({ field, message }) => [field.replace(/^payload\./, ''), message]))
}
