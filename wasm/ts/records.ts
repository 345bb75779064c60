// Records of one collection: small documents that people edit at the same time, offline.
import type { Client } from './client.js'
import type { Collections, JsonValue, Moved, Revision } from './generated.js'
import { uuidv7 } from './id.js'
import type { CallOptions, Collection, Entry, Live, RecordWrite, View, WriteOptions } from './types.js'
import { edited } from './write.js'

/** Records of a collection. */
export class Records<C extends Collection> {
  readonly #client: Client
  /** @internal */
  constructor(client: Client, readonly collection: C) {
    this.#client = client
  }

  /** All of them by their labels. */
  async list({ deletedToo = false, ...options }: CallOptions & { deletedToo?: boolean } = {}): Promise<Entry<C>[]> {
    return this.watch({ deletedToo }).get(options)
  }

  /** All of them, live. */
  watch({ deletedToo = false }: { deletedToo?: boolean } = {}): Live<Entry<C>[]> {
    return this.#client.watch.records(this.collection, deletedToo)
  }

  /** One of them, deleted or not, with conflicts and refusals. Null where nothing is known of it. */
  async get(id: string, options?: CallOptions): Promise<View<C> | null> {
    return JSON.parse(await this.#client.line.call('record', [this.#ref(id)], options))
  }

  /** Creates one; `record` is its id where other records are to name it already. */
  async create(fields: Partial<Collections[C]>, options: WriteOptions & { record?: string } = {}): Promise<RecordWrite> {
    const ref = options.record ? this.#ref(options.record) : this.#ref(null)
    return this.#write('create', [ref, JSON.stringify(fields)], options)
  }

  /** Changes fields; `null` clears one. Long texts and objects are given whole. */
  async edit(id: string, fields: Partial<Collections[C]>, options?: WriteOptions): Promise<RecordWrite> {
    return this.#write('edit', [this.#ref(id), JSON.stringify(fields)], options)
  }

  /** Marks one as deleted. The vehicles of a deleted garage go to `reassignTo`, or to none. */
  async delete(id: string, options: WriteOptions & { reassignTo?: string } = {}): Promise<RecordWrite> {
    return this.#write('deleteRecord', [this.#ref(id), options.reassignTo], options)
  }

  /** Takes the mark of deletion away. */
  async restore(id: string, options?: WriteOptions): Promise<RecordWrite> {
    return this.#write('restoreRecord', [this.#ref(id)], options)
  }

  /** Decides between competing values. */
  async resolve(id: string, field: string, value: JsonValue, options?: WriteOptions): Promise<RecordWrite> {
    return this.#write('resolve', [this.#ref(id), field, JSON.stringify(value)], options)
  }

  /** Who changed what of it and when, oldest first. */
  async history(id: string, options?: CallOptions): Promise<Revision[]> {
    return JSON.parse(await this.#client.line.call('history', [this.#ref(id)], options))
  }

  /** Says that one whose creation was refused is the same as an existing one. */
  async sameAs(refused: string, existing: string, options: WriteOptions = {}): Promise<Moved> {
    const id = options.id ?? uuidv7()
    return JSON.parse(await this.#client.line.call('sameAs', [this.#ref(refused), this.#ref(existing), id], { ...options, id }))
  }

  #ref(id: string | null): string {
    return JSON.stringify({ collection: this.collection, id })
  }

  async #write(method: string, args: unknown[], options: WriteOptions = {}): Promise<RecordWrite> {
    const id = options.id ?? uuidv7()
    return edited(this.#client, await this.#client.line.call(method, [...args, id], { ...options, id }))
  }
}
