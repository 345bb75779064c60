// The owner: it has the files open, carries calls out one after the other, syncs, and tells what changed.
import { DIRECT, type Bindings, type Device, photoMethods, reads } from './engine.js'
import { identityOf } from './identity.js'
import type { Changes } from './live.js'
import { ROOT, directoryOf } from './files.js'
import { Syncing } from './syncing.js'
import type { Hello, Settings } from './wire.js'

/** What the owner tells its seat, and asks of it. */
export interface Around {
  changed(changes: Changes): void
  token(): Promise<string | null>
  settings(settings: Settings): void
  gone(): void
  /** The engine cannot go on. */
  broken(): void
}

/** How long changes are gathered before they are told: a frame, ms. */
const TELL_MS = 8
/** How often taking the files is tried, where a tab that has ended has not let go of them yet, ms. */
const TAKE_AGAIN_MS = 25

export class Owner {
  readonly #syncing: Syncing
  readonly #own: Record<string, (...args: never[]) => unknown>
  #publishing = false
  #ended = false

  private constructor(
    readonly device: Device,
    readonly around: Around,
    readonly hello: Hello,
    public settings: Settings,
    replyBytesMax: number,
  ) {
    this.#syncing = new Syncing(device, hello.url, replyBytesMax, () => around.token(), () => this.#publish(true))
    this.#own = {
      ...photoMethods(device),
      status: () => JSON.stringify({ ...JSON.parse(device.status()), ...this.#syncing.shown() }),
      startSync: () => this.#set({ syncing: true }),
      stopSync: () => this.#set({ syncing: false }),
      syncOnce: () => this.#syncing.once(),
      setTransferPolicy: (policy: string) => this.#set({ policy }),
      setNetworkMetered: (metered: boolean) => this.#set({ metered }),
      signOut: () => this.#signOut(),
    }
    this.#apply()
  }

  static async open(bindings: Bindings, hello: Hello, settings: Settings, around: Around, patienceMs: number): Promise<Owner> {
    const until = Date.now() + patienceMs
    for (;;) {
      try {
        const device = await openDevice(bindings, hello, around)
        return new Owner(device, around, hello, settings, bindings.Device.replyBytesMax())
      } catch (error) {
        // The lock is ours: whoever had the files has ended, and the browser is about to see that.
        if ((error as { code?: string }).code !== 'already_open' || Date.now() > until) throw error
        await new Promise((resolve) => setTimeout(resolve, TAKE_AGAIN_MS))
      }
    }
  }

  async call(method: string, args: unknown[]): Promise<unknown> {
    const own = this.#own[method]
    try {
      if (own) return await own(...args as never[])
      if (!DIRECT.has(method)) throw Object.assign(new Error(`no method ${method}`), { code: 'malformed' })
      return (this.device as unknown as Record<string, (...args: unknown[]) => unknown>)[method]!(...args)
    } catch (error) {
      // Whatever state a panic has left, the files are as they were; a fresh worker takes them up.
      if (error instanceof WebAssembly.RuntimeError) setTimeout(() => this.around.broken())
      throw error
    } finally {
      if (!this.#ended && !reads(method)) {
        this.#publish()
        this.#syncing.wake()
      }
    }
  }

  end() {
    this.#syncing.end()
    this.#ended = true
  }

  /** Tells what changed: soon after an answer, never before it. */
  #publish(anyway = false) {
    if (this.#publishing) return
    this.#publishing = true
    setTimeout(() => {
      this.#publishing = false
      if (this.#ended) return
      const changes: Changes = JSON.parse(this.device.takeChanges())
      if (anyway) changes.tables.push('status')
      if (changes.tables.length + changes.vehicles.length + changes.records.length > 0) this.around.changed(changes)
    }, TELL_MS)
  }

  #set(settings: Partial<Settings>): string {
    this.settings = { ...this.settings, ...settings }
    this.#apply()
    this.around.settings(this.settings)
    return ''
  }

  #apply() {
    const { policy, metered, syncing } = this.settings
    if (policy !== null) this.device.setTransferPolicy(policy)
    if (metered !== null) this.device.setNetworkMetered(metered)
    if (syncing) this.#syncing.start()
    else this.#syncing.stop()
  }

  async #signOut() {
    this.#syncing.stop()
    this.around.gone()
  }
}

async function openDevice({ Device }: Bindings, hello: Hello, around: Around): Promise<Device> {
  const seed = () => crypto.getRandomValues(new Uint8Array(32))
  const directory = hello.storage === 'memory' ? undefined : `${ROOT}/${directoryOf(hello.name)}`
  const open = (identity?: object) =>
    Device.open(directory, identity && JSON.stringify(identity), seed(), hello.encryptionKey)
  try {
    return await open(hello.identity)
  } catch (error) {
    if ((error as { code?: string }).code !== 'no_identity') throw error
    // The very first opening: the token says whose it is.
    const identity = identityOf(await around.token())
    if (!identity) throw error
    return open(identity)
  }
}

