// The real server on a private Postgres, with a tenant, a vehicle and two technicians.
import { execFileSync, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { join } from 'node:path'

import { lineWith, startPostgres } from './postgres.mjs'

const SECRET = 'only-for-the-browser-tests-0123456789abcdef'

// `origin`: the one web origin that may call.
export async function startServer(origin) {
  const program = join(required('CARGO_TARGET_DIR'), 'debug', 'motomind-server')
  const postgres = await startPostgres(required('PG_BIN'))
  try {
    const admin = postgres.url('postgres')
    const env = { ...process.env, MOTOMIND_ADMIN_URL: admin, MOTOMIND_JWT_SECRET: SECRET, MOTOMIND_LOG: 'info' }
    const run = (...args) => execFileSync(program, args, { env, encoding: 'utf8' }).trim()
    const psql = (sql) =>
      execFileSync(join(process.env.PG_BIN, 'psql'), ['-XAtq', '-v', 'ON_ERROR_STOP=1', admin, '-c', sql], { encoding: 'utf8' }).trim()

    run('migrate', 'up')
    const tenant = run('tenant', 'add', 'Workshop')
    const person = (name) => {
      const user = run('user', 'add', '--tenant', tenant, '--name', name, '--role', 'technician')
      const token = run('token', '--tenant', tenant, '--user', user, '--role', 'technician')
      return { identity: { tenant_id: tenant, user_id: user }, token }
    }
    const vehicle = randomUUID()
    psql(`INSERT INTO vehicles (tenant_id, id, nickname, timezone) VALUES ('${tenant}', '${vehicle}', 'Truck 7', 'America/Denver')`)

    const child = spawn(program, ['--log-format', 'json', 'serve', '--listen', '127.0.0.1:0',
      '--database-url', postgres.url('postgres', 'motomind_server'), '--cors-origins', origin],
      { env, stdio: ['ignore', 'ignore', 'pipe'] })
    const line = JSON.parse(await lineWith(child.stderr, '"serving"', child))
    return {
      url: `http://${line.fields.address}`,
      alice: person('Alice'),
      bob: person('Bob'),
      vehicle,
      sql: psql,
      operate: run,
      async stop() {
        const ended = once(child, 'exit')
        child.kill('SIGTERM')
        await ended
        await postgres.stop()
      },
    }
  } catch (error) {
    await postgres.stop()
    throw error
  }
}

function required(name) {
  const value = process.env[name]
  if (!value) throw new Error(`${name} is not set; run scripts/browser`)
  return value
}
