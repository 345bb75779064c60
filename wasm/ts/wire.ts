// What goes between a page, its worker, and the worker of the tab that holds the files.
import type { Failure } from './errors.js'
import type { Changes } from './live.js'
import type { OpenOptions } from './types.js'

/** A call on its way. Carried out at most once under its id by any one owner. */
export interface Call {
  id: string
  method: string
  args: unknown[]
}

export type Answer = { id: string; value: unknown } | { id: string; failure: Failure }

/** What the page says of how to open. */
export type Hello = Omit<OpenOptions, 'getToken' | 'workerUrl' | 'wasmUrl'> & {
  name: string
  wasmUrl: string | null
  /** Held by the worker as long as it lives: the page notices its end. */
  aliveLock: string
}

export type ToWorker =
  | { kind: 'hello'; hello: Hello }
  | { kind: 'call'; call: Call }
  | { kind: 'cancel'; id: string }
  | { kind: 'token'; ask: string; token: string | null }

export type FromWorker =
  | { kind: 'ready' }
  | { kind: 'answer'; answer: Answer }
  | { kind: 'changed'; changes: Changes | null }
  | { kind: 'token?'; ask: string }
  | { kind: 'gone' }

/** What every tab hears of the owner. */
export type News =
  | { kind: 'owner'; term: string; settings: Settings }
  | { kind: 'beat'; term: string }
  | { kind: 'changed'; changes: Changes }
  | { kind: 'token?'; ask: string }
  | { kind: 'gone' }

/** What the owner hears of the tabs. */
export type Request =
  | { kind: 'who' }
  | { kind: 'call'; from: string; call: Call; deadline: number }
  | { kind: 'token'; ask: string; token: string | null }

/** What one tab hears of the owner. `expired`: it came too late and was not carried out. */
export type Reply = { term: string; answer: Answer } | { term: string; expired: string }

/** What people set and a new owner takes over. */
export interface Settings {
  syncing: boolean
  policy: string | null
  metered: boolean | null
}

/** One end of a line: a worker, the worker's own scope, or one half of a pair in one thread. */
export interface Port<Out, In> {
  postMessage(message: Out): void
  onmessage: ((event: { data: In }) => void) | null
}
