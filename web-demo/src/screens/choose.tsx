import { useState } from 'react'
import { useLive, useVehicles } from '../live'
import { count, miles } from '../format'
import { KINDS } from '../kinds'
import { Icon } from '../parts/icon'
import { Page } from '../parts/page'

const GUIDED = 'motomind.guided'

/** Which vehicle, then what was seen of it. */
export function ChooseScreen({ vehicleId }: { vehicleId?: string }) {
  return vehicleId ? <Kinds vehicleId={vehicleId} /> : <Which />
}

function Which() {
  const vehicles = useVehicles()
  return (
    <Page title="Capture" sub="Of which vehicle?">
      <ul className="list">
        {vehicles?.map(({ vehicle, name, miles: reading }) => (
          <li key={vehicle.id}>
            <a className="row" href={`#/v/${vehicle.id}/new`}>
              <span className="row-text"><strong>{name}</strong><small>{[vehicle.license_plate, miles(reading)].filter(Boolean).join(' · ')}</small></span>
              <Icon name="next" />
            </a>
          </li>
        ))}
      </ul>
      {vehicles?.length === 0 && <p className="empty">No vehicles here yet.</p>}
    </Page>
  )
}

function Kinds({ vehicleId }: { vehicleId: string }) {
  const entry = useLive((client) => client.watch.vehicle(vehicleId), [vehicleId])
  const [guided, setGuided] = useState(localStorage.getItem(GUIDED) === 'yes')
  return (
    <Page title="Capture" sub={entry?.name} back={`#/v/${vehicleId}`}>
      <div className="segments" role="group" aria-label="How">
        {[false, true].map((way) => (
          <button key={String(way)} aria-pressed={guided === way} onClick={() => { setGuided(way); localStorage.setItem(GUIDED, way ? 'yes' : 'no') }}>
            {way ? 'Guided, step by step' : 'Quick'}
          </button>
        ))}
      </div>
      <ul className="kinds">
        {KINDS.map((kind) => {
          const steps = guided && kind.steps.length > 0
          return (
            <li key={kind.type}>
              <a className="card kind-card" href={`#/v/${vehicleId}/new/${kind.flow}${steps ? '?guided' : ''}`}>
                <span className={`kind ${kind.type}`}><Icon name={kind.icon} /></span>
                <strong>{kind.label}</strong>
                <small>{steps ? count(kind.steps.length, 'step') : guided ? 'one form' : ' '}</small>
              </a>
            </li>
          )
        })}
      </ul>
    </Page>
  )
}
