// Opening: once per name, with the worker that belongs to it.
import { Client } from './client.js'
import { MotoMindError, Unsupported } from './errors.js'
import { eraseFiles } from './files.js'
import { Line, type Started } from './line.js'
import { missing } from './support.js'
import type { CallOptions, OpenOptions } from './types.js'
import type { Hello } from './wire.js'

const open = new Map<string, Promise<Client>>()

/** An offline-first vehicle database. */
export const MotoMind = {
  /**
   * Opens the person's files on this device, or joins the tab that has them open. Opening the same name
   * again gives the same client. Needs no network, and no token but at the very first opening.
   */
  async open(options: OpenOptions, { signal }: CallOptions = {}): Promise<Client> {
    signal?.throwIfAborted()
    const name = options.name ?? 'motomind'
    const there = open.get(name)
    if (there) return there
    const opening = begin({ ...options, name }, signal)
    open.set(name, opening)
    opening.catch(() => open.get(name) === opening && open.delete(name))
    const client = await opening
    client.line.onClose(() => open.get(name) === opening && open.delete(name))
    return client
  },

  /** What this browser lacks for keeping data; empty where there is everything. */
  missing,
}

async function begin(options: OpenOptions & { name: string }, signal?: AbortSignal): Promise<Client> {
  const lacking = missing(options.storage ?? 'opfs')
  if (lacking.length > 0) throw new Unsupported(lacking)
  const line: Line = new Line(() => startWorker(options, (why) => line.failed(why)), helloOf(options), tokenOf(options))
  const files = options.storage !== 'memory'
  const client = new Client(line, options, files ? () => eraseFiles(options.name) : undefined)
  await joined(client, options, signal)
  return client
}

/** Resolves once there are files to speak of, and they are this person's. */
export async function joined(client: Client, { identity }: OpenOptions, signal?: AbortSignal): Promise<void> {
  try {
    const who = await client.identity({ signal })
    if (identity && (identity.tenant_id !== who.tenant_id || identity.user_id !== who.user_id)) {
      throw new MotoMindError('wrong_identity', `these files belong to user ${who.user_id} of tenant ${who.tenant_id}`)
    }
  } catch (error) {
    await client.close()
    throw error
  }
}

export function helloOf({ getToken: _, workerUrl: __, ...options }: OpenOptions & { name: string }): Omit<Hello, 'aliveLock'> {
  // A page may be anywhere; its worker is where the package is.
  const base = globalThis.location?.href
  const wasmUrl = options.wasmUrl ? new URL(options.wasmUrl, base).href : null
  return { ...options, wasmUrl }
}

export function tokenOf({ getToken }: OpenOptions): () => Promise<string | null> {
  return async () => (await getToken?.()) ?? null
}

function startWorker({ name, workerUrl, encryptionKey }: OpenOptions & { name: string }, failed: (why: string) => void): Started {
  // Written out like this, bundlers find the files.
  const worker = workerUrl
    ? new Worker(workerUrl, { type: 'module', name: `motomind ${name}` })
    : encryptionKey === undefined
      ? new Worker(new URL('./worker.js', import.meta.url), { type: 'module', name: 'motomind' })
      : new Worker(new URL('./worker-encrypted.js', import.meta.url), { type: 'module', name: 'motomind' })
  worker.onerror = (event) => failed(event.message || 'its script cannot be loaded')
  return {
    port: worker as unknown as Started['port'],
    // The worker holds the lock for as long as it lives, whatever ends it.
    ended: (lock) => globalThis.navigator?.locks
      ? navigator.locks.request(lock, () => {}) as Promise<void>
      : new Promise<void>(() => {}),
    end: () => worker.terminate(),
  }
}
