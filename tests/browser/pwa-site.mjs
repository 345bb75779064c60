// The app as `motomind-server dev --web` serves it, on a private Postgres, with the demo's two tenants.
// It is reached through a line that can be cut: to a browser that is being without a signal.
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

const ROOT = new URL('../../', import.meta.url).pathname

/** The built app. */
export const WEB = join(ROOT, 'web-demo', 'dist')

export async function startApp(web = WEB) {
  const program = join(required('CARGO_TARGET_DIR'), 'debug', 'motomind-server')
  if (!existsSync(join(web, 'index.html'))) throw new Error('web-demo is not built; run scripts/web')
  const child = spawn(program, ['dev', '--listen', '127.0.0.1:0', '--web', web],
    { env: { ...process.env, MOTOMIND_LOG: 'warn' }, stdio: ['ignore', 'pipe', 'inherit'] })
  const settings = await settingsOf(child)
  const env = { ...process.env, ...settings, MOTOMIND_LOG: 'warn' }
  const run = (...args) => execFileSync(program, args, { env, encoding: 'utf8' }).trim()
  for (const backup of ['backup.json', 'second-tenant.json']) run('import', join(ROOT, 'scripts', 'demo.d', backup))
  const line = await cuttableLine(Number(new URL(settings.MOTOMIND_URL).port))
  return {
    origin: `http://127.0.0.1:${line.port}`,
    offline: line.cut,
    online: line.mend,
    run,
    sql: (text) => execFileSync(join(process.env.PG_BIN, 'psql'),
      ['-XAtq', '-v', 'ON_ERROR_STOP=1', settings.MOTOMIND_ADMIN_URL, '-c', text], { encoding: 'utf8' }).trim(),
    async stop() {
      await line.cut()
      const ended = once(child, 'exit')
      child.kill('SIGTERM')
      await ended
    },
  }
}

// The shell lines that `dev` prints, until it is ready.
async function settingsOf(child) {
  const settings = {}
  for await (const line of createInterface({ input: child.stdout })) {
    if (line === '# ready') return settings
    const [, name, value] = /^(\w+)='?(.*?)'?$/.exec(line) ?? []
    if (name) settings[name] = value
  }
  throw new Error('the server ended before it was ready')
}

// While it is cut nobody listens: connections are refused, and those there were are gone.
async function cuttableLine(target) {
  const open = new Set()
  const server = createServer((near) => {
    const far = connect(target, '127.0.0.1')
    for (const [one, other] of [[near, far], [far, near]]) {
      open.add(one)
      one.on('error', () => other.destroy())
      one.on('close', () => { open.delete(one); other.destroy() })
      one.pipe(other)
    }
  })
  const listen = async (port) => {
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
  }
  await listen(0)
  const { port } = server.address()
  return {
    port,
    async cut() {
      if (!server.listening) return
      const closed = once(server, 'close')
      server.close()
      for (const socket of open) socket.destroy()
      await closed
    },
    mend: () => (server.listening ? undefined : listen(port)),
  }
}

function required(name) {
  const value = process.env[name]
  if (!value) throw new Error(`${name} is not set; run scripts/web`)
  return value
}
