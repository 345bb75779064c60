// The page's end of the line to its worker: calls that are not answered yet, and a worker that may die.
import { Closed, MotoMindError, errorOf } from './errors.js'
import type { Changes, News } from './live.js'
import type { Answer, Call, FromWorker, Hello, Port, ToWorker } from './wire.js'

/** A worker that was started. */
export interface Started {
  port: Port<ToWorker, FromWorker>
  /** Resolves when it has ended, however; called once it is ready. */
  ended(aliveLock: string): Promise<void>
  end(): void
}

interface Waiting {
  call: Call
  resolve: (value: string) => void
  reject: (error: unknown) => void
}

/** How often a worker may end before it was ready. */
const STARTS_MAX = 3

export class Line implements News {
  #started: Started | null = null
  #failedStarts = 0
  #closed = false
  readonly #waiting = new Map<string, Waiting>()
  readonly #listeners = new Set<(changes: Changes | null) => void>()
  readonly #onClose: (() => void)[] = []

  constructor(
    readonly start: () => Started,
    readonly hello: Omit<Hello, 'aliveLock'>,
    readonly getToken: () => Promise<string | null>,
  ) {}

  /** Has a method of the engine carried out. What it answers is a text, as it left the engine. */
  call(method: string, args: unknown[], { signal, id }: { signal?: AbortSignal; id?: string } = {}): Promise<string> {
    if (this.#closed) return Promise.reject(new Closed())
    if (signal?.aborted) return Promise.reject(signal.reason)
    const call: Call = { id: crypto.randomUUID(), method, args }
    return new Promise((resolve, reject) => {
      const ended = () => {
        this.#waiting.delete(call.id)
        signal?.removeEventListener('abort', abort)
      }
      const abort = () => {
        ended()
        this.#post({ kind: 'cancel', id: call.id })
        reject(signal!.reason)
      }
      signal?.addEventListener('abort', abort, { once: true })
      this.#waiting.set(call.id, {
        call,
        resolve: (value) => { ended(); resolve(value) },
        reject: (failure) => { ended(); reject(failure instanceof Error ? failure : errorOf(failure as never, id)) },
      })
      if (this.#started) this.#post({ kind: 'call', call })
      else this.#begin()
    })
  }

  hear(listener: (changes: Changes | null) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Calls once this line is closed. */
  onClose(listener: () => void) {
    this.#onClose.push(listener)
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#started?.end()
    this.#started = null
    for (const { reject } of [...this.#waiting.values()]) reject(new Closed())
    for (const listener of this.#onClose) listener()
  }

  /** Starts a worker, and says again what was not answered. */
  #begin() {
    const started = this.start()
    this.#started = started
    const aliveLock = `motomind-alive-${crypto.randomUUID()}`
    started.port.onmessage = ({ data }) => this.#hear(started, aliveLock, data)
    this.#post({ kind: 'hello', hello: { ...this.hello, aliveLock } })
    for (const { call } of this.#waiting.values()) this.#post({ kind: 'call', call })
  }

  #hear(started: Started, aliveLock: string, message: FromWorker) {
    if (started !== this.#started) return
    switch (message.kind) {
      case 'ready':
        this.#failedStarts = 0
        void started.ended(aliveLock).then(() => this.#ended(started))
        return
      case 'answer':
        return this.#answered(message.answer)
      case 'changed':
        for (const listener of [...this.#listeners]) listener(message.changes)
        return
      case 'token?':
        void this.getToken().catch(() => null)
          .then((token) => this.#post({ kind: 'token', ask: message.ask, token }))
        return
      case 'gone':
        void this.close()
    }
  }

  #answered(answer: Answer) {
    const waiting = this.#waiting.get(answer.id)
    if ('failure' in answer) waiting?.reject(answer.failure)
    else waiting?.resolve(answer.value as string)
  }

  /** The worker has ended by itself: another one takes its place. */
  #ended(started: Started) {
    if (started !== this.#started) return
    started.end()
    this.#started = null
    if (this.#waiting.size > 0 || this.#listeners.size > 0) this.#begin()
  }

  /** The worker could not be started. */
  failed(why: string) {
    this.#started?.end()
    this.#started = null
    this.#failedStarts += 1
    if (this.#failedStarts < STARTS_MAX && this.#waiting.size > 0) return this.#begin()
    const error = new MotoMindError('engine_failed', `the engine's worker cannot be started: ${why}`)
    for (const { reject } of [...this.#waiting.values()]) reject(error)
  }

  #post(message: ToWorker) {
    this.#started?.port.postMessage(message)
  }
}
