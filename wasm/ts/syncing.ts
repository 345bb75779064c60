// Syncing in the owner: rounds of the engine's own, one after the other, with a pause between them that
// the server's pokes, a write, or the network's return cuts short.
import type { Device } from './engine.js'
import { type End, round } from './exchange.js'
import { expiryOf } from './identity.js'
import { firstNews } from './pokes.js'
import type { Status } from './types.js'

/** How long to wait for a poke before polling, ms. */
const POLL_MS = 60_000
/** A token that ends so soon is not used any more, ms. */
const TOKEN_ENDS_MS = 30_000
/** How often live queries hear of a round that goes on, ms. */
const TELL_MS = 100
/** How soon a person is asked for a token again that they did not have, ms. */
const ASK_AGAIN_MS = 15_000

export class Syncing {
  readonly #ended = new AbortController()
  #on = false
  #loop: Promise<void> | null = null
  #round: Promise<End> | null = null
  #wake = () => {}
  #woken = false
  #token: string | null = null
  #state: Pick<Status, 'sync' | 'next_try_at'> = { sync: 'off', next_try_at: null }

  constructor(
    readonly device: Device,
    readonly url: string,
    readonly replyBytesMax: number,
    readonly askToken: () => Promise<string | null>,
    readonly tell: () => void,
  ) {
    globalThis.addEventListener?.('online', () => this.#now())
  }

  shown(): Pick<Status, 'sync' | 'next_try_at' | 'online'> {
    return { ...this.#state, online: globalThis.navigator?.onLine ?? true }
  }

  start() {
    if (this.#on) return
    this.#on = true
    this.#loop ??= this.#run().finally(() => { this.#loop = null })
    this.#now()
  }

  stop() {
    this.#on = false
    this.#show('off')
    this.#wake()
  }

  /** Ends what is on its way; for good. */
  end() {
    this.stop()
    this.#ended.abort()
  }

  /** There may be something to send. It waits its turn where the last round has failed. */
  wake() {
    if (this.#state.sync === 'blocked' || this.#state.next_try_at !== null) return
    this.#now()
  }

  #now() {
    this.#woken = true
    this.#wake()
  }

  /** One round, now, also where syncing is off. */
  async once(): Promise<string> {
    return JSON.stringify(await this.#sync())
  }

  async #run() {
    while (this.#on) {
      this.#woken = false
      const end = await this.#sync().catch((error): End => ({ end: 'blocked', why: String(error?.message ?? error) }))
      if (!this.#on) break
      this.#show(end.end === 'blocked' ? 'blocked' : 'waiting', end.end === 'later' ? end.at : null)
      await this.#pause(end)
    }
    this.#show('off')
  }

  /** One round; whoever asks while one goes on gets that one's end. */
  #sync(): Promise<End> {
    this.#round ??= this.#syncNow().finally(() => { this.#round = null })
    return this.#round
  }

  async #syncNow(): Promise<End> {
    this.#show('running')
    const telling = setInterval(this.tell, TELL_MS)
    try {
      let end = await this.#with(await this.#freshToken())
      // What was thought good the server no longer takes: there may be another by now.
      if (end.end === 'blocked' && end.why.startsWith('needs_token') && this.#token) {
        this.#token = null
        end = await this.#with(await this.#freshToken())
      }
      return end
    } finally {
      clearInterval(telling)
      if (!this.#on) this.#show('off')
      this.tell()
    }
  }

  async #with(token: string | null): Promise<End> {
    this.device.setToken(token ?? undefined)
    return round(this.device, this.url, this.replyBytesMax, this.#ended.signal)
  }

  async #freshToken(): Promise<string | null> {
    if (!this.#token || expiryOf(this.#token) - TOKEN_ENDS_MS < Date.now()) this.#token = await this.askToken()
    return this.#token
  }

  async #pause(end: End) {
    if (this.#woken || !this.#on) return
    const over = new AbortController()
    const most = end.end === 'later' ? Math.max(0, end.at - Date.now())
      : end.end === 'blocked' ? ASK_AGAIN_MS : POLL_MS
    const slept = new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, Math.min(most, POLL_MS))
      this.#wake = () => { clearTimeout(timer); resolve() }
    })
    const poked = end.end === 'caught_up'
      ? firstNews(this.url, this.#token, JSON.parse(this.device.status()).head, over.signal)
      : new Promise<void>(() => {})
    await Promise.race([slept, poked])
    this.#wake = () => {}
    over.abort()
  }

  #show(sync: Status['sync'], next_try_at: number | null = null) {
    if (this.#state.sync === sync && this.#state.next_try_at === next_try_at) return
    this.#state = { sync, next_try_at }
    this.tell()
  }
}
