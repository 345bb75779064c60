// A tab's seat among the tabs of one name. Whoever holds the Web Lock is the owner: its worker has the
// files open and answers for all. The others send their calls to it over BroadcastChannel, and say
// again to a new owner what the old one had not answered.
//
// ```text
//   page ── call ──▶ seat ──┬─ owner: carry out ──────────────▶ answer
//                           └─ else: requests ─▶ the owner's seat ─▶ replies
//   the owner's tab closes or crashes ─▶ the lock is the next seat's ─▶ `owner` ─▶ calls again
//   the owner is frozen ─▶ silence ─▶ `storage_busy`, and what comes too late is not carried out
// ```
import { failureOf } from './errors.js'
import { lockOf } from './files.js'
import type { Changes } from './live.js'
import { Owner } from './owner.js'
import type { Answer, Call, FromWorker, Hello, News, Port, Reply, Request, Settings, ToWorker } from './wire.js'
import { type Bindings, reads } from './engine.js'

const PATIENCE_MS = 5_000
/** How often an owner with requests in hand says that it is alive. */
const BEAT_MS = 1_000
/** How often silence is looked for. */
const LOOK_MS = 250
/** How long a page may take to give a token. */
const TOKEN_MS = 10_000
/** Answers that are remembered, for callers that say again what was carried out. */
const ANSWERS_MAX = 256

interface Waiting {
  call: Call
  since: number
}

export class Seat {
  readonly #tab = crypto.randomUUID()
  readonly #waiting = new Map<string, Waiting>()
  readonly #tokens = new Map<string, (token: string | null) => void>()
  readonly #shared: boolean
  readonly #patience: number
  #settings: Settings
  #owner: Owner | null = null
  /** This seat wants the lock, or has it. */
  #candidate = false
  /** It has the lock and opens the files. */
  #opening = false
  /** The owner heard of last. */
  #term: string | null = null
  #heard = 0
  #looking: ReturnType<typeof setInterval> | undefined
  // Between the tabs.
  #news: BroadcastChannel | undefined
  #requests: BroadcastChannel | undefined
  #replies: BroadcastChannel | undefined
  // As the owner.
  readonly #tabs = new Map<string, BroadcastChannel>()
  readonly #running = new Set<string>()
  readonly #answers = new Map<string, Reply>()
  #beating: ReturnType<typeof setInterval> | undefined

  constructor(
    readonly page: Port<FromWorker, ToWorker>,
    readonly hello: Hello,
    readonly load: (wasmUrl: string | null) => Promise<Bindings>,
  ) {
    this.#shared = hello.storage !== 'memory'
    this.#patience = hello.patienceMs ?? PATIENCE_MS
    this.#settings = { syncing: hello.sync ?? true, policy: null, metered: null }
    if (!this.#shared) return
    const channel = (name: string) => new BroadcastChannel(`motomind:${hello.name}:${name}`)
    this.#news = channel('news')
    this.#news.onmessage = ({ data }) => this.#hearNews(data)
    this.#replies = channel(`tab:${this.#tab}`)
    this.#replies.onmessage = ({ data }) => this.#hearReply(data)
    this.#requests = channel('owner')
    this.#ask({ kind: 'who' })
  }

  /** Lets go of everything, where no worker ends with its page. */
  end() {
    for (const channel of [this.#news, this.#requests, this.#replies, ...this.#tabs.values()]) channel?.close()
    for (const timer of [this.#looking, this.#beating]) clearInterval(timer)
    this.#owner?.end()
  }

  // What the page says.

  hear(message: ToWorker) {
    switch (message.kind) {
      case 'call':
        this.#waiting.set(message.call.id, { call: message.call, since: Date.now() })
        return this.#dispatch(message.call)
      case 'cancel':
        // What has gone to an owner is carried out as soon as that hears of it.
        return void this.#waiting.delete(message.id)
      case 'token':
        this.#tokens.get(message.ask)?.(message.token)
        return this.#ask({ kind: 'token', ask: message.ask, token: message.token })
    }
  }

  #dispatch(call: Call) {
    this.#stand()
    // Which seat this is, only the seat itself knows.
    if (call.method === 'role') return this.#answer({ id: call.id, value: this.#owner ? 'owner' : 'other' })
    if (this.#owner) return void this.#carryOut(call).then((answer) => this.#answer(answer))
    this.#look()
    if (!this.#opening && this.#term) {
      this.#ask({ kind: 'call', from: this.#tab, call, deadline: Date.now() + this.#patience })
    }
  }

  #answer(answer: Answer) {
    if (!this.#waiting.delete(answer.id)) return
    this.page.postMessage({ kind: 'answer', answer })
  }

  #again() {
    for (const { call } of [...this.#waiting.values()]) this.#dispatch(call)
  }

  /** Ends calls whose owner has been silent for too long. */
  #look() {
    this.#looking ??= setInterval(() => {
      if (this.#waiting.size === 0 || this.#owner) {
        clearInterval(this.#looking)
        this.#looking = undefined
      }
      if (this.#owner || this.#opening) return
      const now = Date.now()
      for (const { call, since } of [...this.#waiting.values()]) {
        if (now - Math.max(since, this.#heard) < this.#patience) continue
        const message = 'another tab holds the files and does not answer'
        this.#answer({ id: call.id, failure: { code: 'storage_busy', message } })
      }
    }, LOOK_MS)
  }

  // Who holds the files.

  #stand() {
    if (this.#candidate) return
    this.#candidate = true
    if (!this.#shared) return void this.#open().catch(() => {})
    void navigator.locks.request(lockOf(this.hello.name), async () => {
      await this.#open()
      // For as long as this worker lives.
      await new Promise(() => {})
    }).catch(() => {}).finally(() => { this.#candidate = false })
  }

  async #open() {
    this.#opening = true
    try {
      const bindings = await this.load(this.hello.wasmUrl)
      this.#owner = await Owner.open(bindings, this.hello, this.#settings, {
        changed: (changes) => this.#changed(changes),
        token: () => this.#token(),
        settings: (settings) => {
          this.#settings = settings
          this.#announce()
        },
        gone: () => {
          this.#news?.postMessage({ kind: 'gone' } satisfies News)
          this.page.postMessage({ kind: 'gone' })
        },
        broken: () => (globalThis as unknown as { close?(): void }).close?.(),
      }, this.#patience)
    } catch (error) {
      const failure = failureOf(error)
      for (const id of [...this.#waiting.keys()]) this.#answer({ id, failure })
      if (!this.#shared) this.#candidate = false
      throw error
    } finally {
      this.#opening = false
    }
    this.#term = crypto.randomUUID()
    if (this.#requests) this.#requests.onmessage = ({ data }) => this.#hearRequest(data)
    this.#announce()
    this.page.postMessage({ kind: 'changed', changes: null })
    this.#again()
  }

  async #carryOut({ id, method, args }: Call): Promise<Answer> {
    try {
      return { id, value: await this.#owner!.call(method, args) }
    } catch (error) {
      return { id, failure: failureOf(error) }
    }
  }

  #changed(changes: Changes) {
    this.page.postMessage({ kind: 'changed', changes })
    this.#news?.postMessage({ kind: 'changed', changes } satisfies News)
  }

  #announce() {
    if (!this.#owner) return
    this.#news?.postMessage({ kind: 'owner', term: this.#term!, settings: this.#settings } satisfies News)
  }

  /** A token from any page that has one, this one first. */
  async #token(): Promise<string | null> {
    const asked = (send: (ask: string) => void) => new Promise<string | null>((resolve) => {
      const ask = crypto.randomUUID()
      const ended = setTimeout(() => done(null), TOKEN_MS)
      const done = (token: string | null) => {
        clearTimeout(ended)
        this.#tokens.delete(ask)
        resolve(token)
      }
      this.#tokens.set(ask, done)
      send(ask)
    })
    const own = await asked((ask) => this.page.postMessage({ kind: 'token?', ask }))
    if (own || !this.#news || this.#tabs.size === 0) return own
    return asked((ask) => this.#news!.postMessage({ kind: 'token?', ask } satisfies News))
  }

  // What the owner hears of the others.

  #hearRequest(request: Request) {
    switch (request.kind) {
      case 'who':
        return this.#announce()
      case 'token':
        if (request.token) this.#tokens.get(request.ask)?.(request.token)
        return
      case 'call':
        return void this.#serve(request)
    }
  }

  async #serve({ from, call, deadline }: Request & { kind: 'call' }) {
    const term = this.#term!
    const known = this.#answers.get(call.id)
    if (known) return this.#channelOf(from).postMessage(known)
    if (this.#running.has(call.id)) return
    // Whoever asked has given up, and was told that nothing was done.
    if (Date.now() > deadline) return this.#channelOf(from).postMessage({ term, expired: call.id } satisfies Reply)
    this.#running.add(call.id)
    this.#beat()
    const reply: Reply = { term, answer: await this.#carryOut(call) }
    this.#running.delete(call.id)
    // Reading again does no harm, and answers may be long.
    if (!reads(call.method)) this.#answers.set(call.id, reply)
    if (this.#answers.size > ANSWERS_MAX) this.#answers.delete(this.#answers.keys().next().value!)
    this.#channelOf(from).postMessage(reply)
  }

  #channelOf(tab: string): BroadcastChannel {
    let channel = this.#tabs.get(tab)
    if (!channel) {
      channel = new BroadcastChannel(`motomind:${this.hello.name}:tab:${tab}`)
      this.#tabs.set(tab, channel)
    }
    return channel
  }

  #beat() {
    this.#beating ??= setInterval(() => {
      if (this.#running.size > 0) return this.#news?.postMessage({ kind: 'beat', term: this.#term! } satisfies News)
      clearInterval(this.#beating)
      this.#beating = undefined
    }, BEAT_MS)
  }

  // What the others hear of the owner.

  #ask(request: Request) {
    this.#requests?.postMessage(request)
  }

  #hearNews(news: News) {
    switch (news.kind) {
      case 'owner':
        this.#settings = news.settings
        return this.#hearOwner(news.term)
      case 'beat':
        return this.#hearOwner(news.term)
      case 'changed':
        return this.page.postMessage({ kind: 'changed', changes: news.changes })
      case 'token?':
        return this.page.postMessage(news)
      case 'gone':
        return this.page.postMessage({ kind: 'gone' })
    }
  }

  #hearOwner(term: string) {
    this.#heard = Date.now()
    if (term === this.#term) return
    this.#term = term
    this.page.postMessage({ kind: 'changed', changes: null })
    this.#again()
  }

  #hearReply(reply: Reply) {
    this.#heard = Date.now()
    if ('answer' in reply) return this.#answer(reply.answer)
    const waiting = this.#waiting.get(reply.expired)
    if (waiting) this.#dispatch(waiting.call)
  }
}
