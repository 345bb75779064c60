// Live queries: asked again when something that they show has changed, told only what differs.
import type { CallOptions, Live } from './types.js'

/** What has changed, as the device says. */
export interface Changes {
  tables: string[]
  vehicles: string[]
  records: { collection: string; id: string }[]
}

export type Concerns = (changes: Changes) => boolean

/** Hears of changes; `null` stands for anything at all. */
export interface News {
  hear(listener: (changes: Changes | null) => void): () => void
}

/** A live query: `read` gives a text, `parse` makes the value of it. */
export function live<T>(
  news: News,
  concerns: Concerns,
  read: (options?: CallOptions) => Promise<string>,
  parse: (text: string) => T,
): Live<T> {
  function subscribe(listener: (value: T) => void, onError?: (error: unknown) => void): () => void {
    const ended = new AbortController()
    let shown: string | undefined
    let reading = false
    let stale = true
    const refresh = async () => {
      if (reading) return
      reading = true
      while (stale && !ended.signal.aborted) {
        stale = false
        try {
          const text = await read({ signal: ended.signal })
          if (ended.signal.aborted || text === shown) continue
          shown = text
          listener(parse(text))
        } catch (error) {
          if (!ended.signal.aborted) onError?.(error)
        }
      }
      reading = false
    }
    const stop = news.hear((changes) => {
      if (changes && !concerns(changes)) return
      stale = true
      void refresh()
    })
    void refresh()
    return () => {
      ended.abort()
      stop()
    }
  }

  return {
    get: async (options) => parse(await read(options)),
    subscribe,
    async *[Symbol.asyncIterator]() {
      let latest: { value: T } | undefined
      let failure: { error: unknown } | undefined
      let wake = () => {}
      const stop = subscribe(
        (value) => { latest = { value }; wake() },
        (error) => { failure = { error }; wake() },
      )
      try {
        for (;;) {
          if (failure) throw failure.error
          if (latest) {
            const { value } = latest
            latest = undefined
            yield value
          } else {
            await new Promise<void>((resolve) => { wake = resolve })
          }
        }
      } finally {
        stop()
      }
    },
  }
}
