import type { Collections, Entry } from '@motomind/client'
import { type FormEvent, useState } from 'react'
import { useLive, useOpened, useVehicles } from '../live'
import { count } from '../format'
import { Dialog } from '../parts/dialog'
import { Icon } from '../parts/icon'
import { complain, notify } from '../parts/notices'
import { Page } from '../parts/page'

type Fields = Collections['garages']

export function GaragesScreen() {
  const garages = useLive((client) => client.records('garages').watch(), [])
  const vehicles = useVehicles()
  const [editing, setEditing] = useState<Entry<'garages'> | 'new' | null>(null)
  return (
    <Page title="Garages" back="#/more">
      {garages?.length === 0 && <p className="empty">No garages yet.</p>}
      <ul className="list">
        {garages?.map((garage) => {
          const there = vehicles?.filter(({ vehicle }) => vehicle.garage_id === garage.id).length ?? 0
          return (
            <li key={garage.id}>
              <button className="row" onClick={() => setEditing(garage)}>
                <Icon name="garage" />
                <span className="row-text"><strong>{garage.label}</strong><small>{garage.fields.address}</small>
                  <small>{count(there, 'vehicle')}{garage.fields.is_default && <span className="tag">default</span>}{garage.state !== 'agreed' && <span className="state wait"><Icon name="clock" />unsent</span>}</small></span>
                <Icon name="edit" />
              </button>
            </li>
          )
        })}
      </ul>
      <button className="plain wide" onClick={() => setEditing('new')}><Icon name="plus" />Add a garage</button>
      {editing && <Editor garage={editing === 'new' ? null : editing} others={garages ?? []} close={() => setEditing(null)} />}
    </Page>
  )
}

function Editor({ garage, others, close }: { garage: Entry<'garages'> | null; others: Entry<'garages'>[]; close: () => void }) {
  const { client, person } = useOpened()
  const [fields, setFields] = useState<Fields>({})
  const [target, setTarget] = useState('')
  const value = (name: 'name' | 'address') => String((name in fields ? fields[name] : garage?.fields[name]) ?? '')
  const save = async (event: FormEvent) => {
    event.preventDefault()
    const garages = client.records('garages')
    if (garage) await garages.edit(garage.id, fields)
    else await garages.create(fields)
    notify('Saved on this device.')
    close()
  }
  const remove = async () => {
    await client.records('garages').delete(garage!.id, target ? { reassignTo: target } : {})
    close()
  }
  return (
    <Dialog title={garage ? garage.label : 'New garage'} close={close}>
      <form onSubmit={(event) => void save(event).catch(complain)}>
        <label className="field">Name<input required maxLength={100} value={value('name')} onChange={({ target }) => setFields({ ...fields, name: target.value })} /></label>
        <label className="field">Address<input value={value('address')} onChange={({ target }) => setFields({ ...fields, address: target.value || null })} /></label>
        <div className="buttons"><button type="button" className="plain" onClick={close}>Cancel</button><button>Save</button></div>
      </form>
      {garage && person.role === 'manager' && (
        <details className="danger-zone"><summary>Delete</summary>
          <label className="field">Its vehicles go to
            <select value={target} onChange={({ target }) => setTarget(target.value)}>
              <option value="">no garage</option>
              {others.filter(({ id }) => id !== garage.id).map(({ id, label }) => <option key={id} value={id}>{label}</option>)}
            </select>
          </label>
          <button className="danger wide" onClick={() => void remove().catch(complain)}>Delete {garage.label}</button>
        </details>
      )}
    </Dialog>
  )
}
