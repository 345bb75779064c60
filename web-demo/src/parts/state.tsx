import type { OpState } from '@motomind/client'
import { Icon } from './icon'

// `sending` may have reached the server: it stays so until an answer comes, however long that takes.
const SAID: Record<OpState, { word: string; tone: string; icon: string }> = {
  queued: { word: 'On this device', tone: 'wait', icon: 'clock' },
  sending: { word: 'Not confirmed yet', tone: 'wait', icon: 'sync' },
  waiting: { word: 'Waits for another', tone: 'wait', icon: 'clock' },
  accepted: { word: 'Sent', tone: 'good', icon: 'check' },
  rejected: { word: 'Refused', tone: 'bad', icon: 'warning' },
  superseded: { word: 'Replaced', tone: 'off', icon: 'split' },
}

/** Where a write stands. What is sent is the rule and says nothing, unless asked to. */
export function State({ state, always = false }: { state: OpState; always?: boolean }) {
  if (state === 'accepted' && !always) return null
  const { word, tone, icon } = SAID[state]
  return <span className={`state ${tone}`}><Icon name={icon} />{word}</span>
}
