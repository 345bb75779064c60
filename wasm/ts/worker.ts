// The worker of a tab: its seat among the tabs, and the engine where this tab holds the files.
import { loadBindings } from './engine.js'
import { Seat } from './seat.js'
import type { FromWorker, Port, ToWorker } from './wire.js'

const page = globalThis as unknown as Port<FromWorker, ToWorker>
let seat: Promise<Seat> | undefined

page.onmessage = ({ data: message }) => {
  if (message.kind !== 'hello') return void seat?.then((seat) => seat.hear(message))
  const { hello } = message
  seat = alive(hello.aliveLock).then(() => {
    page.postMessage({ kind: 'ready' })
    return new Seat(page, hello, loadBindings)
  })
}

/** Takes the lock that shows this worker's life to its page, for as long as that lasts. */
function alive(lock: string): Promise<void> {
  const { locks } = navigator
  if (!locks) return Promise.resolve()
  return new Promise((resolve) => void locks.request(lock, () => {
    resolve()
    return new Promise(() => {})
  }))
}
