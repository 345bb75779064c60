// Handles of durable writes: where each stands, and when it is settled.
import type { Client } from './client.js'
import type { Captured, Edited, OpState, PendingItem } from './generated.js'
import { type Concerns, live } from './live.js'
import type { CallOptions, RecordWrite, Write } from './types.js'

const concerns: Concerns = ({ tables }) => tables.includes('pending')

class Handle implements RecordWrite {
  readonly durable = true
  state: OpState
  declare readonly record: Edited['record']
  readonly #client: Client

  constructor(
    client: Client,
    readonly id: string,
    readonly duplicate: boolean,
    readonly warnings: Captured['warnings'],
    record: Edited['record'] | null,
    readonly changed = true,
  ) {
    this.#client = client
    if (record) this.record = record
    this.state = changed ? 'queued' : 'accepted'
  }

  subscribe(listener: (state: OpState) => void): () => void {
    return this.#states(listener)
  }

  async settled({ signal }: CallOptions = {}): Promise<'accepted' | 'rejected'> {
    signal?.throwIfAborted()
    let stop = () => {}
    let abort = () => {}
    try {
      return await new Promise((resolve, reject) => {
        abort = () => reject(signal!.reason)
        signal?.addEventListener('abort', abort, { once: true })
        stop = this.#states((state) => {
          if (state === 'accepted' || state === 'rejected') resolve(state)
          // What took its place is a write of its own.
          if (state === 'superseded') resolve('rejected')
        }, reject)
      })
    } finally {
      stop()
      signal?.removeEventListener('abort', abort)
    }
  }

  #states(listener: (state: OpState) => void, onError?: (error: unknown) => void) {
    if (!this.changed) {
      queueMicrotask(() => listener(this.state))
      return () => {}
    }
    const { line } = this.#client
    const read = (options?: CallOptions) => line.call('operation', [this.id], options)
    // Pruned once it had been accepted for long enough.
    const stateOf = (text: string) => (JSON.parse(text) as PendingItem | null)?.state ?? 'accepted'
    let told: OpState | undefined
    return live(line, concerns, read, stateOf).subscribe((state) => {
      this.state = state
      if (told !== state) listener(told = state)
    }, onError)
  }
}

export function captured(client: Client, answer: string): Write {
  const { op_id, duplicate, warnings }: Captured = JSON.parse(answer)
  return new Handle(client, op_id, duplicate, warnings, null)
}

export function edited(client: Client, answer: string): RecordWrite {
  const { record, op_id, duplicate, warnings }: Edited & { duplicate: boolean } = JSON.parse(answer)
  return new Handle(client, op_id ?? '', duplicate, warnings, record, op_id !== null)
}
