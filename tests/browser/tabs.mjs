// Many tabs over one person's files: all of them write, one of them holds the files, and it is closed,
// crashed, frozen or loses its worker while they do.
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { startBrowser } from './browser.mjs'
import { check, summary } from './checks.mjs'
import { serveSite } from './site.mjs'

const TABS = 8
const KILLS = Number(process.env.TAB_KILLS ?? 10)
const scratch = mkdtempSync(join(tmpdir(), 'motomind-tabs-'))
const identity = { tenant_id: randomUUID(), user_id: randomUUID() }
const vehicleId = randomUUID()

const site = await serveSite(dirname(fileURLToPath(import.meta.url)))
const browser = await startBrowser(join(scratch, 'profile'))
try {
  await killed()
  await frozen()
  await terminated()
  await signedOut()
  await old()
} catch (error) {
  await check('the story could be told', () => Promise.reject(error))
} finally {
  await browser.quit()
  site.close()
  rmSync(scratch, { recursive: true, force: true })
}
process.exitCode = summary() ? 0 : 1

async function tab(name, options, before) {
  const page = await browser.page(site.origin, before)
  await page.call('open', name, identity, options)
  return page
}

async function ownerOf(pages) {
  for (;;) {
    const roles = await Promise.all(pages.map((page) => page.call('role')))
    const owners = roles.flatMap((role, n) => (role === 'owner' ? [n] : []))
    assert.ok(owners.length <= 1, `${owners.length} tabs hold the files`)
    if (owners.length === 1) return pages[owners[0]]
  }
}

async function killed() {
  const attempted = new Set()
  const acknowledged = []
  let acknowledgedSince = () => {}
  const gaps = []
  // Captures until its end; what ends with `storage_busy` is asked for again under its id.
  const writer = async () => {
    const page = await tab('killed')
    await page.expose('attempt', (id) => { attempted.add(id) })
    await page.expose('acknowledge', (id, ms) => { acknowledged.push(id); gaps.push(ms); acknowledgedSince() })
    page.evaluate(async (vehicleId) => {
      for (;;) {
        const id = crypto.randomUUID()
        await window.attempt(id)
        const since = performance.now()
        const event = { vehicleId, type: 'car_wash', occurredAt: Date.now() }
        for (let done = false; !done;) {
          await window.call('capture', event, { id }).then(() => { done = true }, (error) => {
            if (!error.message.startsWith('storage_busy')) throw error
          })
        }
        await window.acknowledge(id, performance.now() - since)
      }
    }, vehicleId).catch((error) => { // cut off
      if (!/closed|crashed|destroyed/.test(error.message)) throw error
    })
    return page
  }
  const more = (count) => new Promise((resolve) => {
    const enough = acknowledged.length + count
    acknowledgedSince = () => acknowledged.length >= enough && resolve()
  })
  let pages = []

  await check(`${TABS} tabs capture at once, and the one that holds the files is ended ${KILLS} times`, async () => {
    pages = await Promise.all(Array.from({ length: TABS }, writer))
    for (let kill = 0; kill < KILLS; kill += 1) {
      await more(2 * TABS)
      const owner = await ownerOf(pages)
      if (kill % 2) await owner.crash()
      else await owner.close()
      pages = [...pages.filter((page) => page !== owner), await writer()]
    }
    await more(2 * TABS)
  })
  await check('nothing that was acknowledged is lost, nothing is there twice, and the chain is of one hand', async () => {
    const reader = await tab('killed')
    await Promise.all(pages.map((page) => page.close()))
    const kept = (await reader.call('pending')).map((item) => item.op_id)
    assert.deepEqual(acknowledged.filter((id) => !kept.includes(id)), [])
    assert.deepEqual(kept.filter((id) => !attempted.has(id)), [])
    assert.equal(new Set(kept).size, kept.length)
    assert.equal((await reader.call('verify')).chain, null)
    await reader.close()
    gaps.sort((a, b) => a - b)
    const at = (part) => Math.round(gaps[Math.floor((gaps.length - 1) * part)])
    console.log(`    ${kept.length} captures; capture p50 ${at(0.5)} ms, the longest, over a takeover, ${at(1)} ms`)
  })
}

async function frozen() {
  const patient = { patienceMs: 1_000 }
  const owner = await tab('frozen', patient)
  // A tab whose process is another one: its owner's is going to be stopped.
  const held = await owner.process()
  const crowd = [await tab('frozen', patient)]
  while (await crowd.at(-1).process() === held) crowd.push(await tab('frozen', patient))
  const other = crowd.at(-1)
  const freeze = (signal) => process.kill(held, signal)
  const wash = (n) => ({ vehicleId, type: 'car_wash', occurredAt: Date.now() + n })
  await check('while the owner is frozen a call ends with storage_busy, in bounded time, and acknowledges nothing', async () => {
    await other.call('capture', wash(0))
    freeze('SIGSTOP')
    const id = randomUUID()
    const ended = await other.evaluate(async ([event, id]) => {
      const since = performance.now()
      const error = await window.client().capture(event, { id }).catch((error) => error)
      return { ms: performance.now() - since, name: error.name, code: error.code, id: error.id }
    }, [wash(1), id])
    assert.deepEqual([ended.name, ended.code, ended.id], ['StorageBusy', 'storage_busy', id])
    assert.ok(ended.ms < 3_000, `${ended.ms} ms`)
    await assert.rejects(other.call('timeline'), /storage_busy/)
  })
  await check('after it thaws calls succeed, and what had been given up was not carried out behind anyone\'s back', async () => {
    freeze('SIGCONT')
    const again = await other.call('capture', wash(2))
    const kept = (await other.call('pending')).map((item) => item.op_id)
    assert.equal(kept.length, 2)
    assert.ok(kept.includes(again.id))
  })
  await check('a frozen owner that is closed hands over', async () => {
    freeze('SIGSTOP')
    await assert.rejects(other.call('pending'), /storage_busy/)
    freeze('SIGKILL')
    assert.equal((await other.call('pending')).length, 2)
    assert.equal(await other.call('role'), 'owner')
    await Promise.all(crowd.map((page) => page.close()))
    await owner.close()
  })
}

async function terminated() {
  // The page does not know: the worker is ended behind the package's back.
  const keepWorkers = () => {
    window.workers = []
    window.Worker = class extends Worker {
      constructor(...args) {
        super(...args)
        window.workers.push(this)
      }
    }
  }
  const page = await tab('terminated', {}, keepWorkers)
  await check('a worker that is ended is replaced; what was asked meanwhile is answered, live queries go on', async () => {
    const seen = await page.evaluate(async (vehicleId) => {
      const rows = []
      window.client().watch.timeline(vehicleId).subscribe((shown) => rows.push(shown.length))
      const wash = (n) => ({ vehicleId, type: 'car_wash', occurredAt: Date.now() + n })
      await window.client().capture(wash(0))
      const cut = window.client().capture(wash(1))
      window.workers.at(-1).terminate()
      await cut
      await window.client().capture(wash(2))
      while (rows.at(-1) !== 3) await new Promise((resolve) => setTimeout(resolve, 10))
      return { pending: (await window.client().pending()).length, workers: window.workers.length }
    }, vehicleId)
    assert.deepEqual(seen, { pending: 3, workers: 2 })
    await page.close()
  })
}

async function signedOut() {
  const [first, second] = [await tab('leaving'), await tab('leaving')]
  await check('signing out over unsent captures is refused, unless it is said that they may go', async () => {
    await second.call('capture', { vehicleId, type: 'car_wash' })
    await assert.rejects(second.call('signOut'), /unsent: 1 captures/)
    const lines = await second.evaluate(async () => (await window.client().exportPending()).text())
    assert.equal(lines.trim().split('\n').length, 3)
    await second.call('signOut', { discardUnsent: true })
    await assert.rejects(first.call('pending'), /closed/)
    await assert.rejects(second.call('pending'), /closed/)
  })
  await check('another person can have the name then', async () => {
    await second.call('open', 'leaving', { ...identity, user_id: randomUUID() })
    assert.deepEqual(await second.call('pending'), [])
    await Promise.all([first.close(), second.close()])
  })
}

async function old() {
  await check('an old browser is told what it lacks; memory works where that is asked for', async () => {
    const page = await browser.page(site.origin, () => {
      delete StorageManager.prototype.getDirectory
      Object.defineProperty(Navigator.prototype, 'locks', { get: () => undefined })
    })
    const error = await page.evaluate(() => window.MotoMind.open({ url: 'http://127.0.0.1:9' })
      .catch(({ name, code, missing }) => ({ name, code, missing })))
    assert.deepEqual(error, {
      name: 'Unsupported', code: 'unsupported',
      missing: ['navigator.storage.getDirectory (OPFS)', 'navigator.locks (Web Locks)'],
    })
    await page.call('open', 'old', identity, { storage: 'memory' })
    await page.call('capture', { vehicleId, type: 'car_wash' })
    assert.equal((await page.call('pending')).length, 1)
    assert.equal((await page.call('storage')).where, 'memory')
    await page.close()
  })
}
