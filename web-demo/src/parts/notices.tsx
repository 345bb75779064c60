// Short messages that say what has just become true, read out by screen readers.
import { useSyncExternalStore } from 'react'

type Notice = { id: number; text: string; tone: 'good' | 'bad' }
const SHOWN_MS = 5_000

let notices: Notice[] = []
let next = 1
const listeners = new Set<() => void>()
const set = (changed: Notice[]) => {
  notices = changed
  for (const listener of listeners) listener()
}

export function notify(text: string, tone: Notice['tone'] = 'good') {
  const id = next++
  set([...notices.slice(-2), { id, text, tone }])
  setTimeout(() => set(notices.filter((one) => one.id !== id)), SHOWN_MS)
}

export const complain = (error: unknown) => notify((error as Error)?.message ?? String(error), 'bad')

export function Notices() {
  const shown = useSyncExternalStore((changed) => {
    listeners.add(changed)
    return () => listeners.delete(changed)
  }, () => notices)
  return (
    <div className="notices" role="status" aria-live="polite">
      {shown.map(({ id, text, tone }) => <p key={id} className={tone}>{text}</p>)}
    </div>
  )
}
