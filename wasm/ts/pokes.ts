// The server's "something new": a stream of events that is read for as long as nothing else is to do.

/** Silence after which a stream counts as broken, ms; the server sends a heartbeat every 20 s. */
const SILENCE_MS = 45_000
/** Pause before it is opened again, ms. */
const AGAIN_MS = 5_000

/** Resolves when the server names another head than the one seen. Never where it cannot be reached. */
export async function firstNews(url: string, token: string | null, seen: number, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    if (await read(url, token, seen, signal).catch(() => false)) return
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, AGAIN_MS)
      signal.addEventListener('abort', () => { clearTimeout(timer); resolve() }, { once: true })
    })
  }
}

async function read(url: string, token: string | null, seen: number, signal: AbortSignal): Promise<boolean> {
  const silent = new AbortController()
  const over = () => silent.abort()
  signal.addEventListener('abort', over, { once: true })
  let timer = setTimeout(() => silent.abort(), SILENCE_MS)
  try {
    const headers = { accept: 'text/event-stream', ...(token && { authorization: `Bearer ${token}` }) }
    const response = await fetch(`${url.replace(/\/+$/, '')}/v1/sync/events`, { headers, signal: silent.signal })
    if (!response.ok || !response.body) return false
    const chunks = response.body.pipeThrough(new TextDecoderStream()).getReader()
    for (let rest = ''; ;) {
      const { done, value } = await chunks.read()
      if (done) return false
      clearTimeout(timer)
      timer = setTimeout(() => silent.abort(), SILENCE_MS)
      const lines = (rest + value).split('\n')
      rest = lines.pop()!
      for (const line of lines) {
        if (line.startsWith('data:') && JSON.parse(line.slice(5)).head !== seen) return true
      }
    }
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', over)
    silent.abort()
  }
}
