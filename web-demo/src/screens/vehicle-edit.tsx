import type { Collections, Entry } from '@motomind/client'
import { type FormEvent, useEffect, useState } from 'react'
import { useClient, useFresh, useLive, useNames, useOpened } from '../live'
import { ago, words } from '../format'
import { Dialog } from '../parts/dialog'
import { complain, notify } from '../parts/notices'
import { Page } from '../parts/page'
import { Refusal } from '../parts/refusal'
import { go } from '../route'
import { Choose } from './conflicts'

type Fields = Collections['vehicles']
type Name = keyof Fields

const TEXTS: Name[] = ['nickname', 'make', 'model', 'trim', 'color', 'license_plate', 'vin']
const FIGURES: Name[] = ['year', 'manufacturer_mpg', 'manufacturer_service_interval_miles', 'current_mileage_override']
const OPTIONAL_FIGURES = new Set<Name>(FIGURES)

/** A vehicle's own words about itself. What others typed meanwhile stays: only what was changed is sent. */
export function VehicleEditScreen({ id }: { id?: string }) {
  const { client, person } = useOpened()
  const view = useFresh((client) => (id ? client.records('vehicles').get(id) : Promise.resolve(null)), [id])
  const garages = useLive((client) => client.records('garages').watch(), [])
  const [typed, setTyped] = useState<Partial<Record<Name, string>>>({})
  const [deleting, setDeleting] = useState(false)
  const back = id ? `#/v/${id}` : '#/'
  if (id && view === undefined) return <Page title="…" back={back}><p aria-busy="true" className="quiet">Reading…</p></Page>

  const value = (name: Name) => typed[name] ?? String(view?.fields[name] ?? '')
  const set = (name: Name) => ({ target }: { target: { value: string } }) => setTyped((before) => ({ ...before, [name]: target.value }))

  const save = async (event: FormEvent) => {
    event.preventDefault()
    const fields: Record<string, unknown> = {}
    for (const [name, text] of Object.entries(typed) as [Name, string][]) {
      if (text === String(view?.fields[name] ?? '')) continue
      const trimmed = text.trim()
      if (OPTIONAL_FIGURES.has(name) && trimmed !== '' && Number.isNaN(Number(trimmed))) return complain(`${words(name)} is a figure`)
      fields[name] = trimmed === '' ? null : OPTIONAL_FIGURES.has(name) ? Number(trimmed) : name === 'vin' ? trimmed.toUpperCase() : trimmed
    }
    try {
      const vehicles = client.records('vehicles')
      const write = id ? await vehicles.edit(id, fields as Fields) : await vehicles.create(fields as Fields)
      for (const warning of write.warnings) notify(warning.message)
      notify('Saved on this device.')
      go(`#/v/${write.record.id}`)
    } catch (error) {
      complain(error)
    }
  }

  return (
    <Page title={id ? 'Edit' : 'New vehicle'} sub={view?.fields.nickname} back={back} pill={false}>
      {view?.refusals.map(([op, reason]) => (
        <div key={op}>
          <Refusal reason={reason} />
          {reason.taken_by && <SameAs refused={id!} existing={reason.taken_by} />}
        </div>
      ))}
      {view?.conflicting.map((conflict) => <Choose key={conflict.field} conflict={{ record: view.record, label: view.fields.nickname ?? 'Vehicle', ...conflict }} />)}
      <form onSubmit={(event) => void save(event)} noValidate>
        {TEXTS.map((name) => <label key={name} className="field">{words(name)}<input value={value(name)} onChange={set(name)} autoComplete="off" /></label>)}
        <div className="pairs">
          {FIGURES.map((name) => <label key={name} className="field">{words(name)}<input inputMode="decimal" value={value(name)} onChange={set(name)} autoComplete="off" /></label>)}
        </div>
        <label className="field">Garage
          <select value={value('garage_id')} onChange={set('garage_id')}>
            <option value="">None</option>
            {garages?.map(({ id, label }) => <option key={id} value={id}>{label}</option>)}
          </select>
        </label>
        {id && person.role === 'manager' && <button type="button" className="plain danger wide" onClick={() => setDeleting(true)}>Delete this vehicle</button>}
        <div className="save-bar"><button className="save">Save</button></div>
      </form>
      {id && <History id={id} />}
      {deleting && (
        <Dialog title="Delete this vehicle?" close={() => setDeleting(false)}>
          <p>It leaves the list, for everyone. Its history stays, and it can be restored under More.</p>
          <div className="buttons"><button className="plain" onClick={() => setDeleting(false)}>Keep it</button>
            <button className="danger" onClick={() => void client.records('vehicles').delete(id!).then(() => go('#/'), complain)}>Delete</button></div>
        </Dialog>
      )}
    </Page>
  )
}

/** Who changed what, the newest first. */
function History({ id }: { id: string }) {
  const nameOf = useNames()
  const revisions = useFresh((client) => client.records('vehicles').history(id), [id])
  if (!revisions || revisions.length === 0) return null
  return (
    <details className="history">
      <summary>Who changed what</summary>
      <ol>
        {[...revisions].reverse().map(({ hash, fields, user_id, device_id, at }) => (
          <li key={hash}>
            <small>{device_id || user_id ? nameOf(user_id) : 'the office'}, {ago(at)}</small><br />
            {Object.entries(fields).map(([name, value]) => `${words(name)}: ${value === null ? 'cleared' : typeof value === 'object' ? JSON.stringify(value) : value}`).join(' · ')}
          </li>
        ))}
      </ol>
    </details>
  )
}

/** The refused one may be a vehicle that is there already: one press, and what was captured moves to it. */
function SameAs({ refused, existing }: { refused: string; existing: string }) {
  const client = useClient()
  const [there, setThere] = useState<Entry<'vehicles'> | null>()
  useEffect(() => {
    client.records('vehicles').list().then((all) => setThere(all.find(({ id }) => id === existing) ?? null), complain)
  }, [client, existing])
  if (!there) return null
  const same = async () => {
    await client.records('vehicles').sameAs(refused, existing)
    notify(`It is ${there.label}. What was captured is on it now.`)
    go(`#/v/${existing}`)
  }
  return <button className="wide" onClick={() => void same().catch(complain)}>It is the same as {there.label}</button>
}
