// What rests in a page's OPFS, read from outside SQLite and the core. Runs in the page.
// A pool slot is 512 bytes of name, flags, and from byte 4096 the file itself.
export async function filesInOpfs() {
  const files = {}
  async function walk(directory) {
    for await (const handle of directory.values()) {
      if (handle.kind === 'directory') {
        await walk(handle)
        continue
      }
      const bytes = new Uint8Array(await (await handle.getFile()).arrayBuffer())
      const name = new TextDecoder().decode(bytes.slice(0, 512)).replace(/\0+$/, '')
      // Byte 18 and 19 of a SQLite file: 2 and 2 where it is in WAL mode.
      const version = [...bytes.slice(4096 + 18, 4096 + 20)].join()
      const text = new TextDecoder('latin1').decode(bytes.slice(4096))
      if (name) files[name] = { version, text }
    }
  }
  await walk(await navigator.storage.getDirectory())
  return files
}
