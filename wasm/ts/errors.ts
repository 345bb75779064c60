// What a call can end with. Outcomes are values; these are what should not happen, or what a person
// has to mend. `code` is stable, `message` is a sentence for people.
import type { OpId, Violation } from './generated.js'

/** A call ended without doing what it was asked for. */
export class MotoMindError extends Error {
  override name = 'MotoMindError'
  constructor(
    /** A stable name, for programs. */
    readonly code: string,
    message: string,
    /** The id under which the write may be asked for again without being done twice. */
    readonly id?: OpId,
  ) {
    super(message)
  }
}

/** The browser lacks something that the engine needs. Open with `storage: 'memory'`, or tell the person. */
export class Unsupported extends MotoMindError {
  override name = 'Unsupported'
  constructor(
    /** What is missing, such as `navigator.storage.getDirectory (OPFS)`. */
    readonly missing: string[],
  ) {
    super('unsupported', `this browser lacks ${missing.join(', ')}`)
  }
}

/**
 * The tab that holds the files does not answer; it may be frozen. Nothing was acknowledged. The call
 * succeeds when it is made again after that tab thaws or closes; with `id`, a write that was carried
 * out after all is not carried out again.
 */
export class StorageBusy extends MotoMindError {
  override name = 'StorageBusy'
}

/** Fields to mend; nothing was stored. */
export class Invalid extends MotoMindError {
  override name = 'Invalid'
  constructor(message: string, readonly violations: Violation[], id?: OpId) {
    super('invalid', message, id)
  }
}

/** The reading jumps far above the one before: ask the person, then set `payload.confirmed_jump`. */
export class ConfirmJump extends MotoMindError {
  override name = 'ConfirmJump'
  constructor(message: string, readonly miles: number, readonly before: number, id?: OpId) {
    super('confirm_jump', message, id)
  }
}

/** The device does not know the operation, event, record, photo or session that was named. */
export class Unknown extends MotoMindError {
  override name = 'Unknown'
}

/** What is there stands against it: an id of another capture, an edit that was accepted or replaced. */
export class Conflicting extends MotoMindError {
  override name = 'Conflicting'
}

/** The bytes are not taken as a photo. */
export class PhotoRefused extends MotoMindError {
  override name = 'PhotoRefused'
}

/** There is no room: free some space, then call again. */
export class NoRoom extends MotoMindError {
  override name = 'NoRoom'
}

/** The files belong to someone else, or nobody was named at the first opening. */
export class WrongIdentity extends MotoMindError {
  override name = 'WrongIdentity'
}

/** The key does not open the files, or this build cannot encrypt. */
export class WrongKey extends MotoMindError {
  override name = 'WrongKey'
}

/** The files cannot be used: damaged, or of a newer version of the app. Nothing was changed. */
export class Unusable extends MotoMindError {
  override name = 'Unusable'
}

/** Signing out would leave captures behind that no server has. */
export class Unsent extends MotoMindError {
  override name = 'Unsent'
  constructor(
    /** How many. */
    readonly count: number,
  ) {
    super('unsent', `${count} captures or pictures are on this device alone; export them, or say that they may go`)
  }
}

/** The client was closed. */
export class Closed extends MotoMindError {
  override name = 'Closed'
  constructor() {
    super('closed', 'this client was closed')
  }
}

/** An error on its way between threads and tabs. */
export interface Failure {
  code: string
  message: string
  data?: { violations?: Violation[]; miles?: number; before?: number; missing?: string[] }
}

const KINDS: Record<string, new (code: string, message: string, id?: OpId) => MotoMindError> = {
  storage_busy: StorageBusy, already_open: StorageBusy,
  unknown_operation: Unknown, unknown_record: Unknown, unknown_photo: Unknown, unknown_session: Unknown,
  not_being_written: Unknown,
  id_reused: Conflicting, already_accepted: Conflicting, already_superseded: Conflicting,
  not_refused: Conflicting, session_over: Conflicting, steps_missing: Conflicting,
  photo: PhotoRefused, piece_too_large: PhotoRefused, host: PhotoRefused,
  no_room: NoRoom, disk_full: NoRoom,
  wrong_identity: WrongIdentity, no_identity: WrongIdentity,
  wrong_key: WrongKey, no_encryption: WrongKey,
  newer_schema: Unusable, journal_damaged: Unusable, damaged: Unusable,
}

/** The error that a failure stands for. */
export function errorOf({ code, message, data }: Failure, id?: OpId): MotoMindError {
  if (code === 'invalid') return new Invalid(message, data?.violations ?? [], id)
  if (code === 'confirm_jump') return new ConfirmJump(message, data?.miles ?? 0, data?.before ?? 0, id)
  if (code === 'unsupported') return new Unsupported(data?.missing ?? [message])
  if (code === 'closed') return new Closed()
  return new (KINDS[code] ?? MotoMindError)(code, message, id)
}

/** What travels of whatever was thrown. */
export function failureOf(error: unknown): Failure {
  const { code, message, data } = error as Partial<Failure>
  return typeof code === 'string'
    ? { code, message: message ?? code, ...(data && { data }) }
    : { code: 'internal', message: String((error as Error)?.stack ?? error) }
}
