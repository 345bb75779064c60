import { useStatus } from '../live'
import { useRoute } from '../route'
import { Icon } from './icon'

/** The four places and the one action, within the thumb's reach. */
export function Nav() {
  const { parts: [place = 'vehicles', id, what] } = useRoute()
  const status = useStatus()
  const waiting = status ? status.unsent + status.refused + status.pictures_unsent + status.pictures_refused : 0
  const trouble = (status?.refused ?? 0) + (status?.pictures_refused ?? 0) > 0
  if (what === 'new' || what === 'amend' || (place === 'v' && (what === 'edit' || id === 'new'))) return null
  const capture = place === 'v' && id ? `#/v/${id}/new` : '#/capture'
  const here = (name: string) => (place === name || (name === 'vehicles' && place === 'v') ? 'page' as const : undefined)
  return (
    <nav className="nav" aria-label="Main">
      <a href="#/" aria-current={here('vehicles')}><Icon name="car" />Vehicles</a>
      <a href="#/reminders" aria-current={here('reminders')}><Icon name="bell" />Reminders</a>
      <a href={capture} className="nav-capture" aria-current={here('capture')}><span><Icon name="plus" /></span>Capture</a>
      <a href="#/sync" aria-current={here('sync')}>
        <Icon name="sync" />Sync
        {waiting > 0 && <b className={trouble ? 'count refused' : 'count'}>{waiting > 99 ? '99+' : waiting}<span className="unseen"> waiting</span></b>}
      </a>
      <a href="#/more" aria-current={here('more')}><Icon name="more" />More</a>
    </nav>
  )
}
