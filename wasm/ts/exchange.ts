// One round of syncing: what the engine wants sent is sent, and it hears what came back. Nothing is
// decided here; captures and reading go on while bytes are on their way.
import type { Device } from './engine.js'

/** How long a request may take to be answered with a first byte, and how long a reply may pause, ms. */
const SILENCE_MS = 60_000

interface Request {
  id: number
  method: string
  path: string
  headers: [string, string][]
  body: Uint8Array<ArrayBuffer>
}

type Outcome = { status: number; headers: [string, string][]; body: Uint8Array } | 'network' | 'timeout' | 'too_large'

/** How a round ended. */
export type End = { end: 'caught_up' } | { end: 'later'; at: number } | { end: 'blocked'; why: string }

/** Syncs until everything is there, or nothing more can be done now. */
export async function round(device: Device, url: string, replyBytesMax: number, signal: AbortSignal): Promise<End> {
  const base = url.replace(/\/+$/, '')
  const flying = new Set<Promise<void>>()
  device.onPoke()
  for (;;) {
    const { send, wait } = device.nextStep() as { send?: Request[]; wait?: number }
    for (const request of send ?? []) {
      const one = exchange(base, request, replyBytesMax, signal).then((outcome) => {
        if (signal.aborted) return
        if (typeof outcome === 'string') device.onFailure(request.id, outcome)
        else device.onReply(request.id, outcome.status, JSON.stringify(outcome.headers), outcome.body)
      }).finally(() => flying.delete(one))
      flying.add(one)
    }
    if (flying.size > 0) {
      await Promise.race(flying)
      signal.throwIfAborted()
      continue
    }
    if (wait !== undefined) return { end: 'later', at: wait }
    const why = device.blocked()
    return why === undefined ? { end: 'caught_up' } : { end: 'blocked', why }
  }
}

async function exchange(
  base: string, { method, path, headers, body }: Request, replyBytesMax: number, signal: AbortSignal,
): Promise<Outcome> {
  const ending = new AbortController()
  const end = () => ending.abort()
  signal.addEventListener('abort', end, { once: true })
  let silent = false
  let timer: ReturnType<typeof setTimeout> | undefined
  const heard = () => {
    clearTimeout(timer)
    timer = setTimeout(() => {
      silent = true
      end()
    }, SILENCE_MS)
  }
  try {
    heard()
    const response = await fetch(base + path, {
      method, headers, signal: ending.signal,
      ...(method !== 'GET' && method !== 'HEAD' && { body }),
      // A redirect is a portal: what was captured goes nowhere but to this server.
      redirect: 'error', credentials: 'omit', cache: 'no-store',
    })
    const pieces: Uint8Array<ArrayBuffer>[] = []
    let bytes = 0
    const reader = response.body?.getReader()
    for (;;) {
      heard()
      const { done, value } = await reader?.read() ?? { done: true }
      if (done) break
      pieces.push(value)
      bytes += value.length
      if (bytes > replyBytesMax) {
        end()
        return 'too_large'
      }
    }
    const whole = new Uint8Array(await new Blob(pieces).arrayBuffer())
    return { status: response.status, headers: [...response.headers], body: whole }
  } catch {
    return silent ? 'timeout' : 'network'
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', end)
  }
}
