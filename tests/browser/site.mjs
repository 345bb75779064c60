// The pages under test, served from 127.0.0.1 (a secure context) on a port of the system's choice.
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { createServer } from 'node:http'
import { extname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'

// The package as it was built, where the pages find it.
const CLIENT = fileURLToPath(new URL('../../wasm/dist', import.meta.url))
const SQLITE = fileURLToPath(new URL('node_modules/@sqlite.org/sqlite-wasm/dist', import.meta.url))
const TYPES = { '.mjs': 'text/javascript', '.html': 'text/html', '.js': 'text/javascript', '.wasm': 'application/wasm' }

export async function serveSite(root, client = CLIENT) {
  const server = createServer(async (request, response) => {
    const path = normalize(new URL(request.url, 'http://site').pathname)
    const elsewhere = Object.entries({ '/client/': client, '/sqlite/': SQLITE }).find(([prefix]) => path.startsWith(prefix))
    const file = elsewhere
      ? join(elsewhere[1], path.slice(elsewhere[0].length))
      : join(root, path === '/' ? 'site/index.html' : path)
    const found = await stat(file).catch(() => null)
    if (!found?.isFile()) return response.writeHead(404).end()
    response.writeHead(200, { 'content-type': TYPES[extname(file)] ?? 'application/octet-stream' })
    createReadStream(file).pipe(response)
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { origin: `http://127.0.0.1:${server.address().port}`, close: () => server.close() }
}
