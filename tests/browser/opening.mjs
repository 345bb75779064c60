// How long a page waits from open() to the first rows of a timeline, beside the official SQLite that
// opens a pool of its own and asks the same. Figures, not checks:
//   scripts/wasm --release && node tests/browser/opening.mjs
import { randomUUID } from 'node:crypto'
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { rolldown } from 'rolldown'

import { startBrowser } from './browser.mjs'
import { serveSite } from './site.mjs'

const EVENTS = 1_000
const ROUNDS = 7
const scratch = mkdtempSync(join(tmpdir(), 'motomind-opening-'))
const here = dirname(fileURLToPath(import.meta.url))
const site = await serveSite(here, await bundled(join(here, '../../wasm/dist')))
const vehicleId = randomUUID()
const identity = { tenant_id: randomUUID(), user_id: randomUUID() }

// As an app's bundler makes it: one script for the page, one for the worker.
async function bundled(dist) {
  for (const entry of ['index.js', 'worker.js']) {
    const bundle = await rolldown({ input: join(dist, entry), logLevel: 'silent' })
    await bundle.write({ file: join(scratch, 'client', entry), format: 'es', minify: true })
  }
  copyFileSync(join(dist, 'core.wasm'), join(scratch, 'client/core.wasm'))
  return join(scratch, 'client')
}

const ours = async (page, captures = 0) => page.evaluate(async ([identity, vehicleId, captures]) => {
  const since = performance.now()
  await window.call('open', 'opening', identity)
  const { entries } = await window.client().timeline(vehicleId)
  const ms = performance.now() - since
  for (let n = 0; n < captures; n += 1) await window.client().capture({ vehicleId, type: 'car_wash', occurredAt: Date.now() + n })
  return { ms, rows: entries.length, data: (await window.client().timeline(vehicleId)).entries[0] }
}, [identity, vehicleId, captures])

const theirs = async (page, events) => page.evaluate(async (events) => {
  const since = performance.now()
  const worker = new Worker('/site/sqlite.js', { type: 'module' })
  const rows = await new Promise((resolve) => {
    worker.onmessage = ({ data }) => resolve(data)
    worker.postMessage({ events })
  })
  return { ms: performance.now() - since, rows }
}, events)

const median = (numbers) => [...numbers].sort((a, b) => a - b)[numbers.length >> 1]
const profile = join(scratch, 'profile')
const figures = { cold: { ours: [], theirs: [] }, warm: { ours: [], theirs: [] } }
let browser = await startBrowser(profile)
try {
  const first = await browser.page(site.origin)
  const { data } = await ours(first, EVENTS)
  const text = JSON.stringify(data)
  await theirs(first, Array.from({ length: EVENTS }, (_, n) => ({ id: randomUUID(), at: n, data: text })))
  await first.close()
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const [name, open] of [['ours', ours], ['theirs', theirs]]) {
      await browser.quit()
      browser = await startBrowser(profile)
      for (const temperature of ['cold', 'warm']) {
        const page = await browser.page(site.origin)
        const { ms, rows } = await open(page)
        if (rows !== 50) throw new Error(`${name}: ${rows} rows`)
        figures[temperature][name].push(ms)
        await page.close()
      }
    }
  }
  for (const [temperature, { ours, theirs }] of Object.entries(figures)) {
    const [a, b] = [median(ours), median(theirs)]
    console.log(`${temperature}: open() to the first rows ${a.toFixed(0)} ms; the official SQLite ${b.toFixed(0)} ms; ratio ${(a / b).toFixed(2)}`)
  }
} finally {
  await browser.quit()
  site.close()
  rmSync(scratch, { recursive: true, force: true })
}
