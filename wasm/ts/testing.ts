/**
 * The same client in Node, in memory: for an app's own tests. No worker, no files, nothing mocked.
 *
 * ```ts
 * import { openInMemory } from '@motomind/client/testing'
 * const client = await openInMemory()
 * await client.capture({ vehicleId, type: 'odometer', miles: 54120 })
 * ```
 *
 * @module
 */
import { readFile } from 'node:fs/promises'

import { Client } from './client.js'
import init, { Device } from './core.js'
import type { Bindings } from './engine.js'
import { Line, type Started } from './line.js'
import { helloOf, joined, tokenOf } from './open.js'
import { Seat } from './seat.js'
import type { OpenOptions } from './types.js'
import type { FromWorker, ToWorker } from './wire.js'

/** A device in memory, of a person of its own where `identity` names none. Syncs only where it is told a server. */
export async function openInMemory(given: Partial<OpenOptions> = {}): Promise<Client> {
  const identity = given.identity ?? (given.getToken
    ? undefined
    : { tenant_id: crypto.randomUUID(), user_id: crypto.randomUUID() })
  const options = {
    url: 'http://127.0.0.1:9', name: crypto.randomUUID(), sync: given.url !== undefined, ...given,
    ...(identity && { identity }), storage: 'memory' as const,
  }
  const client = new Client(new Line(inThisThread, helloOf(options), tokenOf(options)), options)
  await joined(client, options)
  return client
}

let loaded: Promise<Bindings> | undefined

function load(): Promise<Bindings> {
  loaded ??= readFile(new URL('./core.wasm', import.meta.url))
    .then((bytes) => init({ module_or_path: new Uint8Array(bytes) }))
    .then(() => ({ Device }))
  return loaded
}

/** A seat without a worker: what is said arrives a moment later, as it would from one. */
function inThisThread(): Started {
  const port: Started['port'] = { onmessage: null, postMessage: (message) => queueMicrotask(() => hear(message)) }
  const page = {
    onmessage: null,
    postMessage: (data: FromWorker) => queueMicrotask(() => port.onmessage?.({ data })),
  }
  let seat: Seat | undefined
  const hear = (message: ToWorker) => {
    if (message.kind !== 'hello') return seat?.hear(message)
    seat = new Seat(page, message.hello, load)
    page.postMessage({ kind: 'ready' })
  }
  return { port, ended: () => new Promise<void>(() => {}), end: () => seat?.end() }
}
