// What the worker of a tab does: it has a seat among the tabs, and the engine where it holds the files.
import type { Bindings } from './engine.js'
import { Seat } from './seat.js'
import type { FromWorker, Port, ToWorker } from './wire.js'

/** Serves the page that started this worker, with an engine that is loaded when this tab is to hold the files. */
export function serve(load: (wasmUrl: string | null) => Promise<Bindings>) {
  const page = globalThis as unknown as Port<FromWorker, ToWorker>
  let seat: Promise<Seat> | undefined
  page.onmessage = ({ data: message }) => {
    if (message.kind !== 'hello') return void seat?.then((seat) => seat.hear(message))
    const { hello } = message
    seat = alive(hello.aliveLock).then(() => {
      page.postMessage({ kind: 'ready' })
      return new Seat(page, hello, load)
    })
  }
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
