import type { Status } from '@motomind/client'
import { useStatus } from '../live'
import { count } from '../format'
import { Icon } from './icon'

/** Where syncing stands, in a word and a colour. */
export function standing(status: Status): { tone: 'good' | 'busy' | 'wait' | 'off' | 'bad'; word: string; icon: string } {
  const waiting = status.unsent + status.pictures_unsent
  const refused = status.refused + status.pictures_refused
  const held = waiting > 0 ? `${waiting} held` : 'offline'
  if (status.sync === 'off') return { tone: 'off', word: waiting > 0 ? `Airplane · ${waiting} held` : 'Airplane mode', icon: 'plane' }
  if (refused > 0) return { tone: 'bad', word: `${refused} refused`, icon: 'warning' }
  if (!status.online) return { tone: 'off', word: waiting > 0 ? `Offline · ${held}` : 'Offline', icon: 'off' }
  if (status.sync === 'blocked') return { tone: 'wait', word: waiting > 0 ? `Paused · ${held}` : 'Paused', icon: 'warning' }
  if (status.next_try_at !== null && status.last_problem) return { tone: 'off', word: waiting > 0 ? `No server · ${held}` : 'No server', icon: 'off' }
  if (waiting > 0) return { tone: 'busy', word: `Sending ${waiting}`, icon: 'sync' }
  if (status.last_success_at === null || (status.sync === 'running' && status.seq < Math.max(status.head, 1))) return { tone: 'busy', word: 'Receiving', icon: 'sync' }
  return { tone: 'good', word: 'All sent', icon: 'check' }
}

/** The same in as few words as a header has room for; the icon says the rest. */
function short(status: Status, word: string): string {
  const waiting = status.unsent + status.pictures_unsent
  return word.includes(' · ') ? `${waiting} held` : word
}

export function StatusPill() {
  const status = useStatus()
  if (!status) return <span className="pill" />
  const { tone, word, icon } = standing(status)
  const all = `${word}: ${count(status.unsent, 'capture')} and ${count(status.pictures_unsent, 'picture')} unsent, ${status.refused} refused`
  return (
    <a href="#/sync" className={`pill ${tone}`} aria-label={`Sync. ${all}`} data-testid="pill">
      <Icon name={icon} />{short(status, word)}
    </a>
  )
}
