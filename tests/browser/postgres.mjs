// A private Postgres in a directory of its own, gone when it is stopped.
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

// Postgres refuses to run as root.
const ROOT = process.getuid() === 0
const AS_POSTGRES = ROOT ? ['setpriv', '--reuid=postgres', '--regid=postgres', '--clear-groups'] : []

export async function startPostgres(bin) {
  const dir = mkdtempSync(join(tmpdir(), 'motomind-pg-'))
  if (ROOT) chownSync(dir, idOf('-u'), idOf('-g'))
  const data = join(dir, 'data')
  const [initdb, ...initArgs] = [...AS_POSTGRES, join(bin, 'initdb'), '-D', data, '-U', 'postgres',
    '--auth=trust', '--no-sync', '--encoding=UTF8', '--locale=C']
  execFileSync(initdb, initArgs, { stdio: 'pipe' })

  const port = await freePort()
  const [postgres, ...args] = [...AS_POSTGRES, join(bin, 'postgres'), '-D', data, '-p', String(port), '-k', dir,
    '-c', 'listen_addresses=127.0.0.1', '-c', 'log_destination=stderr']
  const child = spawn(postgres, args, { stdio: ['ignore', 'ignore', 'pipe'] })
  await lineWith(child.stderr, 'ready to accept connections', child)
  return {
    url: (database, user = 'postgres') => `postgres://${user}@127.0.0.1:${port}/${database}`,
    async stop() {
      const ended = once(child, 'exit')
      child.kill('SIGINT') // fast shutdown
      await ended
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

// Resolves with the first line that holds `text`; the rest of the stream is read and dropped.
export function lineWith(stream, text, child) {
  return new Promise((resolve, reject) => {
    const seen = []
    const lines = createInterface({ input: stream })
    lines.on('line', (line) => {
      if (seen.length < 50) seen.push(line)
      if (line.includes(text)) resolve(line)
    })
    child.once('error', reject)
    child.once('exit', (code) => reject(new Error(`ended with ${code}:\n${seen.join('\n')}`)))
  })
}

export async function freePort() {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address()
  probe.close()
  await once(probe, 'close')
  return port
}

function idOf(flag) {
  return Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' }))
}
