// The client as an app sees it. It converts and asks; the engine, in a worker, decides.
import { captureText, photoArguments, queryText } from './arguments.js'
import { Closed, Unsent } from './errors.js'
import type {
  Collections, CustodyReport, EventRecord, Garage, Hash, PendingItem, PhotoEdit, PhotoShown, PlaceShown,
  RecordConflict, Session, SpaceReport, UploadItem, VehicleEntry,
} from './generated.js'
import { uuidv7 } from './id.js'
import type { Line } from './line.js'
import { type Changes, type Concerns, live } from './live.js'
import { Records } from './records.js'
import { Sessions } from './sessions.js'
import type {
  AddedPhoto, CallOptions, Collection, DeviceIdentity, Entry, EventFamily, Live, LocationSaid, NewEvent, NewPhoto, OpenOptions, PhotoTarget,
  Picture, RecordWrite, Status, StorageReport, TimelineEntry, TimelinePage, TimelineQuery, TransferPolicy, Verified,
  Write, WriteOptions,
} from './types.js'
import { captured, edited } from './write.js'

/** One person's vehicles on this device. Open it with `MotoMind.open`. */
export class Client {
  /** Live queries. */
  readonly watch: Watch
  /** Syncing at a glance: read it, subscribe to it, iterate over it. */
  readonly status: Live<Status>
  /** Photographing step by step, or in one go, with photos that survive a crash before the event is saved. */
  readonly sessions: Sessions
  /** Syncing. It goes on by itself, in whichever tab holds the files. */
  readonly sync: Sync
  #asked = false

  /** @internal */
  constructor(
    /** @internal */
    readonly line: Line,
    readonly options: OpenOptions,
    /** Removes the files, once every tab has let go of them. */
    readonly erase: () => Promise<void> = async () => {},
  ) {
    this.watch = new Watch(this)
    this.status = this.watch.status()
    this.sessions = new Sessions(line)
    this.sync = new Sync(line)
  }

  /** Who this device is. */
  async identity(options?: CallOptions): Promise<DeviceIdentity> {
    return JSON.parse(await this.line.call('identity', [], options))
  }

  /** Whether this tab holds the files, or asks the one that does. Of interest to the curious alone. */
  async role(options?: CallOptions): Promise<'owner' | 'other'> {
    return await this.line.call('role', [], options) as 'owner' | 'other'
  }

  /** Captures a fact, with its photos. Resolves once it is durable on this device. */
  async capture(event: NewEvent, options: WriteOptions = {}): Promise<Write> {
    const id = options.id ?? uuidv7()
    this.#askToPersist()
    const { photos } = event
    const text = captureText(event, id)
    const answer = photos?.length
      ? await this.line.call('captureWithPhotos', [text, photoArguments(photos)], { ...options, id })
      : await this.line.call('capture', [text], { ...options, id })
    return captured(this, answer)
  }

  /** Replaces a capture by a mended one, whether or not the server has it. */
  async amend(event: string, mended: NewEvent, options: WriteOptions = {}): Promise<Write> {
    const id = options.id ?? uuidv7()
    return captured(this, await this.line.call('amend', [event, captureText(mended, null), id], { ...options, id }))
  }

  /** Takes back a write of this device: a capture, an edit, or what was said of a photo or place. */
  async discard(write: string, reason: string, options?: WriteOptions): Promise<Write> {
    return this.#write('discard', [write, reason], options)
  }

  /** Takes back an event, whoever captured it. */
  async retract(event: string, reason: string, options?: WriteOptions): Promise<Write> {
    return this.#write('retract', [event, reason], options)
  }

  /** Brings back an event that was taken back. */
  async restore(event: string, reason: string, options?: WriteOptions): Promise<Write> {
    return this.#write('restore', [event, reason], options)
  }

  /** The whole story of an event: who stated, corrected, retracted and restored it. Null where it is not known here. */
  async family(event: string, options?: CallOptions): Promise<EventFamily | null> {
    const family = JSON.parse(await this.line.call('family', [event], options))
    for (const member of family?.members ?? []) member.entry = entryOf(member.entry)
    return family
  }

  /** Says where an event happened. What was measured stays beside it. */
  async correctLocation(event: string, said: Pick<LocationSaid, 'latitude' | 'longitude'> & Partial<LocationSaid>, options?: WriteOptions): Promise<Write> {
    return this.#write('correctLocation', [event, JSON.stringify({ method: 'map_pin', ...said })], options)
  }

  /** Takes back what was said of where an event happened. */
  async withdrawLocation(event: string, reason: string, options?: WriteOptions): Promise<Write> {
    return this.#write('withdrawLocation', [event, reason], options)
  }

  /** What is known of where an event happened: as shown, as measured, and what people said. */
  async place(event: string, options?: CallOptions): Promise<PlaceShown | null> {
    return JSON.parse(await this.line.call('place', [event], options))
  }

  /** The photos on an event, and where their bytes are. */
  async photos(event: string, options?: CallOptions): Promise<PhotoShown[]> {
    return JSON.parse(await this.line.call('photos', [event], options))
  }

  /** Adds a photo to an event, or to a session that goes on. Resolves once it is durable. */
  async addPhoto(target: PhotoTarget, photo: Blob | NewPhoto, options: WriteOptions = {}): Promise<AddedPhoto> {
    const id = options.id ?? uuidv7()
    this.#askToPersist()
    const [given] = photoArguments([photo])
    return JSON.parse(await this.line.call('addPhoto', [JSON.stringify(target), given, id], { ...options, id }))
  }

  /** Puts a photo that is here already on another event. */
  async attachPhoto(event: string, photo: Hash, about: Partial<Omit<NewPhoto, 'file'>> = {}, options?: WriteOptions): Promise<Write> {
    return this.#write('attachPhoto', [event, photo, JSON.stringify(about)], options)
  }

  /** Changes what is said of a photo on an event. */
  async describePhoto(event: string, photo: Hash, edit: Partial<PhotoEdit>, options?: WriteOptions): Promise<Write> {
    const whole: PhotoEdit = { caption: null, sequence: null, is_primary: null, ...edit }
    return this.#write('describePhoto', [event, photo, JSON.stringify(whole)], options)
  }

  /** Takes a photo off an event. Its bytes stay. */
  async removePhoto(event: string, photo: Hash, reason: string, options?: WriteOptions): Promise<Write> {
    return this.#write('removePhoto', [event, photo, reason], options)
  }

  /** A picture's bytes, read from this device; null where they are not here (`fetchPhoto` gets them). */
  async photo(photo: Hash, which: Picture = 'preview', options?: CallOptions): Promise<Blob | null> {
    return this.line.call('readPhoto', [photo, which], options) as unknown as Promise<Blob | null>
  }

  /** Fetches a picture from the server with the next sync. */
  async fetchPhoto(photo: Hash, which: Picture = 'original', options?: CallOptions): Promise<void> {
    await this.line.call('fetchPhoto', [photo, which], options)
  }

  /** Records of a collection. */
  records<C extends Collection>(collection: C): Records<C> {
    return new Records(this, collection)
  }

  /** Every field of every record with competing values. */
  async conflicts(options?: CallOptions): Promise<RecordConflict[]> {
    return this.watch.conflicts().get(options)
  }

  /** Replaces a refused or unsent creation or edit by a mended one. */
  async amendEdit(write: string, fields: Partial<Collections[Collection]>, options: WriteOptions = {}): Promise<RecordWrite> {
    const id = options.id ?? uuidv7()
    return edited(this, await this.line.call('amendEdit', [write, JSON.stringify(fields), id], { ...options, id }))
  }

  /** A page of the timeline of a vehicle, or of all. */
  async timeline(vehicleId?: string | null, query: TimelineQuery = {}, options?: CallOptions): Promise<TimelinePage> {
    return pageOf(await this.line.call('timeline', [queryText(vehicleId, query)], options))
  }

  /** Live vehicles by name, with mileage and what is unsent. */
  async vehicles(options?: CallOptions): Promise<VehicleEntry[]> {
    return this.watch.vehicles().get(options)
  }

  /** One vehicle, deleted or not. */
  async vehicle(id: string, options?: CallOptions): Promise<VehicleEntry | null> {
    return this.watch.vehicle(id).get(options)
  }

  /** Live garages by name. */
  async garages(options?: CallOptions): Promise<Garage[]> {
    return JSON.parse(await this.line.call('garages', [], options))
  }

  /** Everything that the server does not have or has refused, in the order of capture. */
  async pending(options?: CallOptions): Promise<PendingItem[]> {
    return this.watch.pending().get(options)
  }

  /** One write of this device, whatever its state, as long as the journal holds it. */
  async operation(id: string, options?: CallOptions): Promise<PendingItem | null> {
    return JSON.parse(await this.line.call('operation', [id], options))
  }

  /** Offers a refused or resting write again as it is. */
  async retry(id: string, options?: CallOptions): Promise<void> {
    await this.line.call('retry', [id], options)
  }

  /** Every picture that goes up or has gone. */
  async uploads(options?: CallOptions): Promise<UploadItem[]> {
    return this.watch.uploads().get(options)
  }

  /** Offers a refused picture again. */
  async retryUpload(photo: Hash, which: Picture, options?: CallOptions): Promise<void> {
    await this.line.call('retryUpload', [photo, which], options)
  }

  /** Says what may be transferred when, until the files are closed. */
  async setTransferPolicy(policy: Partial<TransferPolicy>, options?: CallOptions): Promise<void> {
    await this.line.call('setTransferPolicy', [JSON.stringify(policy)], options)
  }

  /** What takes space on this device, bytes. */
  async space(options?: CallOptions): Promise<SpaceReport> {
    return JSON.parse(await this.line.call('space', [], options))
  }

  /** Frees so many bytes, as far as the server has what would go. */
  async freeSpace(bytes: number, options?: CallOptions): Promise<void> {
    await this.line.call('freeSpace', [bytes], options)
  }

  /** Where data is kept and how much room there is, as the browser says. */
  async storage(): Promise<StorageReport> {
    const where = this.options.storage ?? 'opfs'
    const { usage = 0, quota = 0 } = await globalThis.navigator?.storage?.estimate?.() ?? {}
    const persisted = where === 'opfs' && (await globalThis.navigator?.storage?.persisted?.() ?? false)
    return { where, persisted, used: usage, quota }
  }

  /** Asks the browser to keep the data for good. Asked by itself at the first capture. */
  async persist(): Promise<boolean> {
    this.#asked = true
    return await globalThis.navigator?.storage?.persist?.() ?? false
  }

  /** What the server does not have, as a file of JSON lines that anyone can keep and read. */
  async exportPending(options?: CallOptions): Promise<Blob> {
    return this.#export('unsettled', options)
  }

  /** Everything that this device wrote and still holds. */
  async exportAll(options?: CallOptions): Promise<Blob> {
    return this.#export('everything', options)
  }

  /** Checks this device's own evidence: the chain of operations and the bytes of every photo. */
  async verify(options?: CallOptions): Promise<Verified> {
    const chain = JSON.parse(await this.line.call('verify', [], options))
    return { chain, photos: JSON.parse(await this.line.call('verifyPhotos', [], options)) }
  }

  /** What the last comparison with the server found; `compare` asks for one with the next sync. */
  async custody({ compare = false, ...options }: CallOptions & { compare?: boolean } = {}): Promise<CustodyReport | null> {
    if (compare) await this.line.call('compareCustody', [], options)
    return JSON.parse(await this.line.call('custody', [], options))
  }

  /** Ends this tab's part in it. The files stay; other tabs go on. */
  async close(): Promise<void> {
    await this.line.close()
  }

  /**
   * Removes the person's files from this device and closes every tab's client. Refused while anything
   * is on this device alone, unless that is said to be fine.
   */
  async signOut({ discardUnsent = false }: { discardUnsent?: boolean } = {}): Promise<void> {
    const { unsent, refused, pictures_unsent, pictures_refused } = await this.status.get()
    const count = unsent + refused + pictures_unsent + pictures_refused
    if (count > 0 && !discardUnsent) throw new Unsent(count)
    // Every tab is told, this one too, maybe before it hears the answer.
    await this.line.call('signOut', []).catch((error) => {
      if (!(error instanceof Closed)) throw error
    })
    await this.close()
    await this.erase()
  }

  async #write(method: string, args: string[], options: WriteOptions = {}): Promise<Write> {
    const id = options.id ?? uuidv7()
    return captured(this, await this.line.call(method, [...args, id], { ...options, id }))
  }

  async #export(scope: string, options?: CallOptions): Promise<Blob> {
    return new Blob([await this.line.call('export', [scope], options)], { type: 'application/x-ndjson' })
  }

  #askToPersist() {
    if (this.#asked || this.options.storage === 'memory') return
    void this.persist().catch(() => {})
  }
}

/** Syncing, from any tab. */
export class Sync {
  readonly #line: Line
  /** @internal */
  constructor(line: Line) {
    this.#line = line
  }
  /** Syncs from now on, whenever there is something to do. */
  async start(options?: CallOptions): Promise<void> {
    await this.#line.call('startSync', [], options)
  }
  /** Stops syncing, in every tab, until it is started again. */
  async stop(options?: CallOptions): Promise<void> {
    await this.#line.call('stopSync', [], options)
  }
  /** Syncs now, until everything that can go has gone and everything there was has come. */
  async once(options?: CallOptions): Promise<{ end: 'caught_up' | 'later' | 'blocked'; at?: number; why?: string }> {
    return JSON.parse(await this.#line.call('syncOnce', [], options))
  }
  /** Says whether the network at hand is metered. */
  async setMetered(metered: boolean, options?: CallOptions): Promise<void> {
    await this.#line.call('setNetworkMetered', [metered], options)
  }
}

/** Live queries. */
export class Watch {
  readonly #client: Client
  /** @internal */
  constructor(client: Client) {
    this.#client = client
  }
  /** The newest entries of a vehicle's timeline, or of all. */
  timeline(vehicleId?: string | null, query: TimelineQuery = {}): Live<TimelineEntry[]> {
    const concerns: Concerns = ({ tables, vehicles }) =>
      tables.includes('photos') || (vehicleId ? vehicles.includes(vehicleId) : tables.includes('events'))
    return this.#live(concerns, 'timeline', [queryText(vehicleId, query)], (text) => pageOf(text).entries)
  }
  /** Live vehicles by name. */
  vehicles(): Live<VehicleEntry[]> {
    return this.#live(of('events', 'pending', 'vehicles'), 'vehicles', [])
  }
  /** One vehicle. */
  vehicle(id: string): Live<VehicleEntry | null> {
    return this.#live(of('events', 'pending', 'vehicles'), 'vehicle', [id])
  }
  /** What the server does not have or has refused. */
  pending(): Live<PendingItem[]> {
    // The age of each grows by itself; what makes it another list is everything else.
    return this.#live(of('pending'), 'pending', [])
  }
  /** Syncing at a glance. */
  status(): Live<Status> {
    return this.#live(of('pending', 'status', 'photos'), 'status', [])
  }
  /** Fields with competing values. */
  conflicts(): Live<RecordConflict[]> {
    return this.#live(({ records }) => records.length > 0, 'conflicts', [])
  }
  /** Pictures that go up or have gone. */
  uploads(): Live<UploadItem[]> {
    return this.#live(of('photos', 'status'), 'uploads', [])
  }
  /** The photos on an event. */
  photos(event: string): Live<PhotoShown[]> {
    return this.#live(of('photos', 'events'), 'photos', [event])
  }
  /** Sessions that a person can go on with. */
  sessions(): Live<Session[]> {
    return this.#live(() => true, 'sessions', [])
  }
  /** @internal */
  records<C extends Collection>(collection: C, deletedToo = false) {
    return this.#live<Entry<C>[]>(of(collection), 'records', [collection, deletedToo])
  }

  #live<T>(concerns: Concerns, method: string, args: unknown[], parse: (text: string) => T = JSON.parse): Live<T> {
    const { line } = this.#client
    return live(line, concerns, (options) => line.call(method, args, options), parse)
  }
}

const of = (...names: string[]): Concerns => ({ tables }: Changes) => tables.some((table) => names.includes(table))

function pageOf(text: string): TimelinePage {
  const page = JSON.parse(text)
  return { entries: page.entries.map(entryOf), next: page.next }
}

function entryOf({ record_json, ...entry }: { record_json: string }): TimelineEntry {
  return { ...entry, record: JSON.parse(record_json) as EventRecord } as TimelineEntry
}
