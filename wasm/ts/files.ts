// Where the files of a name are in OPFS, and their removal.

/** The directory of all of them. */
export const ROOT = 'motomind'

export const directoryOf = (name: string) => encodeURIComponent(name)

/** The lock of whoever has the files open. */
export const lockOf = (name: string) => `motomind:${name}`

/** How often removing is tried, where a worker that has ended has not let go of the files yet, ms. */
const AGAIN_MS = 25
const TRIES_MAX = 200

/** Removes the files of a name, once nobody has them open. */
export async function eraseFiles(name: string): Promise<void> {
  await navigator.locks.request(lockOf(name), async () => {
    const root = await navigator.storage.getDirectory()
    const all = await root.getDirectoryHandle(ROOT, { create: true })
    for (let tries = 1; ; tries += 1) {
      try {
        return await all.removeEntry(directoryOf(name), { recursive: true })
      } catch (error) {
        if ((error as DOMException).name === 'NotFoundError') return
        if (tries === TRIES_MAX) throw error
        await new Promise((resolve) => setTimeout(resolve, AGAIN_MS))
      }
    }
  })
}
