import type { Collections, Entry } from '@motomind/client'
import { type FormEvent, useState } from 'react'
import { dueOf } from '../due'
import { words } from '../format'
import { useClient, useLive, useVehicles } from '../live'
import { Dialog } from '../parts/dialog'
import { Icon } from '../parts/icon'
import { complain, notify } from '../parts/notices'
import { Page } from '../parts/page'

type Reminder = Entry<'reminders'>
type Fields = Collections['reminders']

export function RemindersScreen() {
  const client = useClient()
  const reminders = useLive((client) => client.records('reminders').watch(), [])
  const vehicles = useVehicles()
  const [editing, setEditing] = useState<Reminder | 'new' | null>(null)
  const of = (id: string | null | undefined) => vehicles?.find(({ vehicle }) => vehicle.id === id)
  const due = (reminder: Reminder) => dueOf(reminder.fields, of(reminder.fields.vehicle_id)?.miles ?? null)
  const active = reminders?.filter(({ fields }) => (fields.status ?? 'active') === 'active') ?? []
  const done = reminders?.filter(({ fields }) => (fields.status ?? 'active') !== 'active') ?? []
  active.sort((a, b) => (due(a)?.rank ?? 1e9) - (due(b)?.rank ?? 1e9))
  const complete = async ({ id, fields }: Reminder) => {
    await client.records('reminders').edit(id, { status: 'completed' })
    notify(`Done: ${fields.title}`)
  }
  return (
    <Page title="Reminders">
      {reminders && active.length === 0 && <p className="empty">Nothing is due.</p>}
      <ul className="list">
        {active.map((reminder) => {
          const when = due(reminder)
          return (
            <li key={reminder.id} className="row reminder">
              <button className="done" onClick={() => void complete(reminder).catch(complain)} aria-label={`Done: ${reminder.fields.title}`}><Icon name="check" /></button>
              <button className="row-text bare" onClick={() => setEditing(reminder)}>
                <strong>{reminder.fields.title}</strong>
                <small>{of(reminder.fields.vehicle_id)?.name}{reminder.fields.description && ` · ${reminder.fields.description}`}</small>
                <small>{when && <span className={`due ${when.tone}`}>{when.text}</span>}{reminder.state !== 'agreed' && <span className="state wait"><Icon name="clock" />unsent</span>}
                  {reminder.conflicts > 0 && <span className="state wait"><Icon name="split" />two answers</span>}</small>
              </button>
            </li>
          )
        })}
      </ul>
      <button className="plain wide" onClick={() => setEditing('new')}><Icon name="plus" />Add a reminder</button>
      {done.length > 0 && (
        <details className="finished"><summary>{done.length} finished</summary>
          <ul className="list">{done.map(({ id, fields }) => (
            <li key={id} className="row"><span className="row-text"><strong>{fields.title}</strong><small>{of(fields.vehicle_id)?.name} · {fields.status}</small></span>
              <button className="small plain" onClick={() => void client.records('reminders').edit(id, { status: 'active' }).catch(complain)}>Again<span className="unseen"> {fields.title}</span></button></li>
          ))}</ul>
        </details>
      )}
      {editing && <Editor reminder={editing === 'new' ? null : editing} close={() => setEditing(null)} />}
    </Page>
  )
}

function Editor({ reminder, close }: { reminder: Reminder | null; close: () => void }) {
  const client = useClient()
  const vehicles = useVehicles()
  const [fields, setFields] = useState<Fields>({})
  const value = (name: keyof Fields) => String((name in fields ? fields[name] : reminder?.fields[name]) ?? '')
  const set = (name: keyof Fields) => ({ target }: { target: { value: string } }) =>
    setFields({ ...fields, [name]: target.value === '' ? null : name === 'due_miles' ? Number(target.value) : target.value })
  const save = async (event: FormEvent) => {
    event.preventDefault()
    const reminders = client.records('reminders')
    if (reminder) await reminders.edit(reminder.id, fields)
    else await reminders.create({ status: 'active', ...fields })
    notify('Saved on this device.')
    close()
  }
  return (
    <Dialog title={reminder ? 'Reminder' : 'New reminder'} close={close}>
      <form onSubmit={(event) => void save(event).catch(complain)}>
        <label className="field">What<input required maxLength={255} value={value('title')} onChange={set('title')} /></label>
        <label className="field">Vehicle
          <select required value={value('vehicle_id')} onChange={set('vehicle_id')}>
            <option value="">Choose</option>
            {vehicles?.map(({ vehicle, name }) => <option key={vehicle.id} value={vehicle.id}>{name}</option>)}
          </select>
        </label>
        <div className="pairs">
          <label className="field">Due on<input type="date" value={value('due_date')} onChange={set('due_date')} /></label>
          <label className="field">Due at, mi<input inputMode="numeric" pattern="[0-9]*" value={value('due_miles')} onChange={set('due_miles')} /></label>
        </div>
        <label className="field">Kind
          <select value={value('category')} onChange={set('category')}>
            <option value="">None</option>
            {['registration', 'inspection', 'emissions', 'maintenance', 'other'].map((one) => <option key={one} value={one}>{words(one)}</option>)}
          </select>
        </label>
        <label className="field">Description<textarea rows={2} maxLength={1000} value={value('description')} onChange={set('description')} /></label>
        <div className="buttons"><button type="button" className="plain" onClick={close}>Cancel</button><button>Save</button></div>
      </form>
    </Dialog>
  )
}
