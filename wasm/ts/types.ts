// What is handed in and what comes back, where it is not a Rust type as it is.
import type {
  Collections, CommonPayload, EventRecord, Family, FamilyMember, Fix, FixAbsence, JsonValue, LocationSaid, OpId, OpState, Payloads,
  PhotoMeta, RecordEntry, RecordRef, RecordView, Session, Status as CoreStatus, TimelineEntry as CoreEntry,
  TimelineQuery as CoreQuery, Hash, PreviewAbsence, PhotoFacts, FlagsShown, PhotoNote, TransferPolicy, Warning,
} from './generated.js'

/** Whose data it is. */
export interface Identity {
  tenant_id: string
  user_id: string
}

/** How a client is opened. */
export interface OpenOptions {
  /** The server, such as `https://sync.example.com`. */
  url: string
  /**
   * The person's token now, or null where there is none. Asked when syncing needs one, never for
   * capturing or reading. The first one says whose data this is, where `identity` does not.
   */
  getToken?: () => string | null | undefined | Promise<string | null | undefined>
  /** Names the files on this device: one person's, one name. `motomind` by default. */
  name?: string
  /** Who the person is; needed at the very first opening where there is no token. */
  identity?: Identity
  /** `memory` forgets everything when the last page closes: for browsers without OPFS whose people accept that. */
  storage?: 'opfs' | 'memory'
  /** Encrypts the files (an extra build of the engine; see README). */
  encryptionKey?: string
  /** Whether syncing begins by itself. True by default. */
  sync?: boolean
  /** Where the worker's script is, if the bundler cannot tell. */
  workerUrl?: string | URL
  /** Where the engine's wasm is, if the bundler cannot tell. */
  wasmUrl?: string | URL
  /** How long another tab may be silent before a call ends with `storage_busy`, ms. 5,000 by default. */
  patienceMs?: number
}

/** What every call takes. */
export interface CallOptions {
  /** Ends the call. A write that was carried out already stays; ask again with the same id to learn of it. */
  signal?: AbortSignal
}

/** What every write takes. */
export interface WriteOptions extends CallOptions {
  /** The write's id (UUID), to ask again for the same one without doing it twice. Made for you when absent. */
  id?: OpId
}

/** The name of an event type; others of newer peers are kept. */
export type EventType = keyof Payloads

interface Envelope<T extends string, P> {
  /** A name from the registry. */
  type: T
  vehicleId: string
  /** When it happened; now when absent. */
  occurredAt?: number | Date
  /** The calendar day there, `YYYY-MM-DD`; that of `occurredAt` in `timezone` when absent. */
  date?: string
  /** IANA name of the time zone there; the browser's when absent. */
  timezone?: string
  /** Odometer, miles. */
  miles?: number
  /** Money, minor units. */
  totalMinor?: number
  /** ISO 4217. */
  currency?: string
  /** Who sold or did it. */
  vendor?: string
  /** The person's own words. */
  notes?: string
  /** Keys of the type. */
  payload?: P
  /** Where: a fix, or what `navigator.geolocation` gives. */
  fix?: Fix | GeolocationPosition
  /** Why there is no fix. */
  fixAbsent?: FixAbsence
  /** The event that this one corrects. */
  corrects?: string
  /** Why it corrects it. */
  reason?: string
  /** Photos of it: the files, or each with what is known of it. */
  photos?: (Blob | NewPhoto)[]
}

/** A fact to capture. */
export type NewEvent = {
  [T in EventType]: Envelope<T, Payloads[T] & CommonPayload & Record<string, JsonValue | undefined>>
}[EventType]

/** A photo and what is known of it. */
export interface NewPhoto extends Partial<PhotoMeta> {
  file: Blob
}

/** Where a photo belongs. */
export type PhotoTarget = { event: string } | { session: string; step?: string }

/** A photo that is durable on this device. */
export interface AddedPhoto {
  photo: Hash
  facts: PhotoFacts | null
  flags: FlagsShown | null
  notes: PhotoNote[]
  preview: { sha256: Hash } | { absent: PreviewAbsence } | null
  duplicate: boolean
  op_id: OpId | null
}

/** Which picture of a photo. */
export type Picture = 'original' | 'preview'

/** An event as shown in a list, with its record. */
export type TimelineEntry = Omit<CoreEntry, 'record_json'> & { record: EventRecord }

/** The whole story of an event. */
export type EventFamily = Omit<Family, 'members'> & { members: (Omit<FamilyMember, 'entry'> & { entry: TimelineEntry })[] }

/** A page of the timeline. */
export interface TimelinePage {
  /** Newest first. */
  entries: TimelineEntry[]
  /** Where to go on (`before`); null at the end. */
  next: CoreQuery['before']
}

/** Which part of the timeline. */
export type TimelineQuery = Partial<CoreQuery>

/** Syncing at a glance. */
export interface Status extends CoreStatus {
  /** `off` where it was stopped, `running` now, `waiting` for news or another try, `blocked` until someone acts. */
  sync: 'off' | 'running' | 'waiting' | 'blocked'
  /** When the next try is, UTC ms, while `waiting` after a failure. */
  next_try_at: number | null
  /** What the browser says of the network. */
  online: boolean
}

/** Where data is kept, as the browser says. */
export interface StorageReport {
  where: 'opfs' | 'memory'
  /** Whether the browser has promised to keep it. */
  persisted: boolean
  /** Used by the origin, bytes. */
  used: number
  /** What the origin may use, bytes. */
  quota: number
}

/** A collection of records. */
export type Collection = keyof Collections

/** A record of a collection in a list. */
export type Entry<C extends Collection> = Omit<RecordEntry, 'fields'> & { fields: Collections[C] }

/** A record with everything that is known of it. */
export type View<C extends Collection> = Omit<RecordView, 'fields' | 'agreed'> & {
  fields: Collections[C]
  agreed: Collections[C] | null
}

/** A write that is durable on this device. */
export interface Write {
  /** Its operation; of a capture, equally the event's id. Null where nothing would have changed. */
  readonly id: OpId
  /** It had been done before under this id. */
  readonly duplicate: boolean
  /** What is worth a second look. Never blocking. */
  readonly warnings: Warning[]
  readonly durable: true
  /** Where it stands, as last heard. */
  readonly state: OpState
  /** Resolves once the server has accepted or refused it. */
  settled(options?: CallOptions): Promise<'accepted' | 'rejected'>
  /** Calls with its state now and whenever that changes; returns how to stop. */
  subscribe(listener: (state: OpState) => void): () => void
}

/** A durable write to a record. */
export interface RecordWrite extends Write {
  readonly record: RecordRef
  /** Whether anything changed: what is the same already is not written again. */
  readonly changed: boolean
}

/** A value that changes: read it, subscribe to it, or iterate over it. */
export interface Live<T> extends AsyncIterable<T> {
  /** The value now. */
  get(options?: CallOptions): Promise<T>
  /** Calls with the value now and whenever it changes; returns how to stop. */
  subscribe(listener: (value: T) => void, onError?: (error: unknown) => void): () => void
}

/** How a session is done. */
export type NewSession = { vehicleId: string; flow: string; path?: 'quick' | 'guided' }

/** What a check of this device's own evidence found. */
export interface Verified {
  /** Null where the chain of operations is whole; else what is wrong with it. */
  chain: string | null
  /** Photos whose bytes are not what their hash says. */
  photos: Hash[]
}

/** Who this device is. */
export interface DeviceIdentity extends Identity {
  device_id: string
  incarnation: string
}

export type { LocationSaid, Session, TransferPolicy }
