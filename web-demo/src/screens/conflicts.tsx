import type { Collection, JsonValue, RecordConflict } from '@motomind/client'
import { ago, words } from '../format'
import { useClient, useConflicts, useLive, useNames } from '../live'
import { Icon } from '../parts/icon'
import { complain, notify } from '../parts/notices'
import { Page } from '../parts/page'

export function ConflictsScreen() {
  const conflicts = useConflicts()
  return (
    <Page title="Two answers" sub="Several people changed the same thing without seeing each other" back="#/">
      {conflicts?.length === 0 && <p className="empty"><Icon name="check" />Nothing to decide. Everyone agrees.</p>}
      {conflicts?.map((conflict) => <Choose key={conflict.record.id + conflict.field} conflict={conflict} />)}
    </Page>
  )
}

/** The values of a field side by side, each with who said it and when. */
export function Choose({ conflict }: { conflict: RecordConflict }) {
  const client = useClient()
  const nameOf = useNames()
  const garages = useLive((client) => client.records('garages').watch(), [])
  const shown = (value: JsonValue) => {
    if (value === null || value === '') return '(empty)'
    if (conflict.field === 'garage_id') return garages?.find(({ id }) => id === value)?.label ?? String(value)
    return typeof value === 'object' ? JSON.stringify(value) : String(value)
  }
  const keep = async (value: JsonValue) => {
    await client.records(conflict.record.collection as Collection).resolve(conflict.record.id, conflict.field, value)
    notify(`${words(conflict.field)} of ${conflict.label}: ${shown(value)}`)
  }
  return (
    <section className="card conflict" aria-label={`${words(conflict.field)} of ${conflict.label}`} data-field={conflict.field}>
      <h2>{conflict.label} · {words(conflict.field)}</h2>
      <div className="sides">
        {conflict.values.map(({ value, user_id, device_id, at }, n) => (
          <div key={n} className="side">
            <strong>{shown(value)}</strong>
            <small>{device_id ? nameOf(user_id) : 'the office'}, {ago(at)}{n === 0 && <span className="tag">shown now</span>}</small>
            <button onClick={() => void keep(value).catch(complain)} aria-label={`Keep this: ${shown(value)}`}>Keep this</button>
          </div>
        ))}
      </div>
    </section>
  )
}
