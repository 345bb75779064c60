// Photographing for an event that is not saved yet. Photos of a session survive a crash with it.
import { captureText } from './arguments.js'
import type { Hash, Session } from './generated.js'
import { uuidv7 } from './id.js'
import type { Line } from './line.js'
import type { CallOptions, NewEvent, NewSession, WriteOptions } from './types.js'

/** Capture sessions. Photos go in with `client.addPhoto({ session, step }, file)`. */
export class Sessions {
  readonly #line: Line
  /** @internal */
  constructor(line: Line) {
    this.#line = line
  }

  /** Begins one. */
  async begin({ vehicleId, flow, path = 'quick' }: NewSession, options: WriteOptions = {}): Promise<Session> {
    const id = options.id ?? uuidv7()
    return this.#session('beginSession', [id, vehicleId, flow, path], { ...options, id })
  }

  /** Sessions that a person can go on with, the last touched first. */
  async list(options?: CallOptions): Promise<Session[]> {
    return JSON.parse(await this.#line.call('sessions', [], options))
  }

  /** The person goes to a step. */
  async step(session: string, step: string, options?: CallOptions): Promise<Session> {
    return this.#session('sessionStep', [session, step], options)
  }

  /** Goes on with one after a crash, or with the photos of one that was left. */
  async resume(session: string, options?: CallOptions): Promise<Session> {
    return this.#session('resumeSession', [session], options)
  }

  /** The person leaves it. Its photos stay. */
  async leave(session: string, reason: 'back_button' | 'closed_tab' | 'navigation', options?: CallOptions): Promise<Session> {
    return this.#session('leaveSession', [session, reason], options)
  }

  /** Throws a photo out of it. */
  async removePhoto(session: string, photo: Hash, options?: CallOptions): Promise<Session> {
    return this.#session('removeSessionPhoto', [session, photo], options)
  }

  /** Throws away what is left of it, with photos that nothing else needs. */
  async discard(session: string, options?: CallOptions): Promise<void> {
    await this.#line.call('discardSession', [session], options)
  }

  /** Saves its event with its photos, durable together. The answer's id is the event's. */
  async complete(session: string, event: NewEvent, options: WriteOptions = {}): Promise<{ id: string; duplicate: boolean }> {
    const id = options.id ?? uuidv7()
    const answer = await this.#line.call('completeSession', [session, captureText(event, id)], { ...options, id })
    const { op_id, duplicate } = JSON.parse(answer)
    return { id: op_id, duplicate }
  }

  async #session(method: string, args: unknown[], options?: WriteOptions): Promise<Session> {
    return JSON.parse(await this.#line.call(method, args, options))
  }
}
