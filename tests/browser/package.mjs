// The package as it is published, in an app made with Vite: in development and built.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import * as vite from 'vite'

import { startBrowser } from './browser.mjs'
import { check, summary } from './checks.mjs'

const here = dirname(fileURLToPath(import.meta.url))
const scratch = mkdtempSync(join(tmpdir(), 'motomind-package-'))
const app = join(scratch, 'app')
const browser = await startBrowser(join(scratch, 'profile'))
try {
  cpSync(join(here, 'vite'), app, { recursive: true })
  install(join(here, '../../wasm'), app)
  const common = { root: app, logLevel: 'warn', clearScreen: false, server: { host: '127.0.0.1', port: 0 }, preview: { host: '127.0.0.1', port: 0 } }

  await check('an app made with Vite runs in development with nothing configured', async () => {
    const server = await vite.createServer(common)
    try {
      await server.listen()
      await runs(server.resolvedUrls.local[0])
    } finally {
      await server.close()
    }
  })
  await check('… and built: each engine is one asset, its worker one script, and only the plain ones are loaded', async () => {
    await vite.build(common)
    const assets = readdirSync(join(app, 'dist/assets')).map((name) => name.replace(/-[\w-]{8}\./, '.')).sort()
    assert.deepEqual(assets, ['core-encrypted.wasm', 'core.wasm', 'index.js', 'worker-encrypted.js', 'worker.js'])
    const server = await vite.preview(common)
    try {
      const loaded = await runs(server.resolvedUrls.local[0])
      assert.ok(loaded.some((url) => url.endsWith('.wasm')) && !loaded.some((url) => url.includes('encrypted')), `${loaded}`)
    } finally {
      await server.close()
    }
  })
} catch (error) {
  await check('the story could be told', () => Promise.reject(error))
} finally {
  await browser.quit()
  rmSync(scratch, { recursive: true, force: true })
}
process.exitCode = summary() ? 0 : 1

// Packs a package and unpacks it where an app finds it, as `npm install` does.
function install(source, app) {
  const packed = execFileSync('npm', ['pack', '--silent', '--pack-destination', scratch], { cwd: source, encoding: 'utf8' })
  const target = join(app, 'node_modules/@motomind/client')
  mkdirSync(target, { recursive: true })
  execFileSync('tar', ['-xzf', join(scratch, packed.trim().split('\n').at(-1)), '-C', target, '--strip-components=1'])
}

async function runs(url) {
  const loaded = []
  const page = await browser.plain(url, (asked) => loaded.push(asked))
  try {
    await page.waitForFunction(() => document.title === '1 rows, 54120 miles', null, { timeout: 20_000 })
    return loaded
  } catch (error) {
    error.message += `; the page: ${await page.title()}`
    throw error
  } finally {
    await page.close()
  }
}
