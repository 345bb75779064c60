// A technician's browser from the first capture without signal to a colleague's screen: the package in
// a real Chromium, on OPFS, against the real server and Postgres.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { startBrowser } from './browser.mjs'
import { check, summary } from './checks.mjs'
import { filesInOpfs } from './opfs.mjs'
import { startServer } from './server.mjs'
import { serveSite } from './site.mjs'

const scratch = mkdtempSync(join(tmpdir(), 'motomind-browser-'))
const endings = [() => rmSync(scratch, { recursive: true, force: true })]
// Whatever was started is ended, in reverse, also when a check has thrown everything off.
const started = (thing, end) => (endings.unshift(end), thing)

try {
  const here = dirname(fileURLToPath(import.meta.url))
  const site = await serveSite(here)
  started(site, () => site.close())
  const elsewhere = await serveSite(here)
  started(elsewhere, () => elsewhere.close())
  const server = await startServer(site.origin)
  started(server, () => server.stop())
  await story({ site, elsewhere, server })
} catch (error) {
  await check('the story could be told', () => Promise.reject(error))
} finally {
  for (const end of endings) await end()
}
process.exitCode = summary() ? 0 : 1

async function story({ site, elsewhere, server }) {
  const alice = { profile: join(scratch, 'alice'), files: 'alice', ...server.alice }
  const bob = { profile: join(scratch, 'bob'), files: 'bob', ...server.bob }
  const timezone = 'America/Denver'
  const dayThere = new Intl.DateTimeFormat('en-CA', { timeZone: timezone }) // YYYY-MM-DD
  const capture = (type, more, at = Date.now()) => ({
    vehicleId: server.vehicle, type, occurredAt: at, date: dayThere.format(at), timezone, ...more,
  })
  const reading = capture('odometer', { miles: 54_120, notes: 'read in the basement' })
  const damage = capture('damage', {
    payload: { description: 'a dent in the left door' },
    fix: { latitude: 39.7392, longitude: -104.9903, accuracy_m: 12, fixed_at: Date.now(), source: 'gps' },
  })

  const at = { url: server.url }
  let browser = await startBrowser(alice.profile)
  let page = await browser.page(site.origin)
  let first

  await check('a device opens on OPFS in a dedicated worker', async () => {
    await page.call('open', alice.files, alice.identity, at)
    assert.deepEqual(await page.call('pending'), [])
  })
  await check('a capture without signal is durable when it returns', async () => {
    first = await page.call('capture', reading)
    assert.equal(first.duplicate, false)
    const log = (await page.evaluate(filesInOpfs))['journal.db-wal']
    assert.ok(log.text.includes('read in the basement'), 'the journal is not on disk')
  })
  await check('both files are in WAL mode, with no shared memory and no rollback journal', async () => {
    const files = await page.evaluate(filesInOpfs)
    assert.deepEqual(Object.keys(files).sort(), ['journal.db', 'journal.db-wal', 'mirror.db', 'mirror.db-wal'])
    assert.equal(files['journal.db'].version, '2,2')
    assert.equal(files['mirror.db'].version, '2,2')
  })
  await check('the same capture twice is one capture', async () => {
    const again = await page.call('capture', reading, { id: first.id })
    assert.equal(again.duplicate, true)
    assert.equal((await page.call('pending')).length, 1)
  })
  await check('a bad capture is refused with its reason, and nothing is stored', async () => {
    await assert.rejects(page.call('capture', capture('odometer', { miles: -1 })), /invalid: miles/)
    assert.equal((await page.call('pending')).length, 1)
  })
  await check('a second tab sees it, and what one captures the other sees', async () => {
    const second = await browser.page(site.origin)
    await second.call('open', alice.files, alice.identity, at)
    assert.equal((await second.call('pending'))[0].op_id, first.id)
    await second.call('capture', damage)
    assert.equal((await page.call('entries')).length, 2)
    await second.close()
  })
  await check('captures survive the death of the browser', async () => {
    await browser.kill()
    browser = await startBrowser(alice.profile)
    page = await browser.page(site.origin)
    await page.call('open', alice.files, undefined, at)
    const entries = await page.call('entries')
    assert.deepEqual(entries.map((entry) => [entry.type, entry.state]), [['damage', 'queued'], ['odometer', 'queued']])
    assert.equal(entries[1].miles, 54_120)
    assert.equal((await page.call('pending')).length, 2)
  })
  await check('a closed device opens in another tab, for its own user only', async () => {
    await page.call('close')
    const other = await browser.page(site.origin)
    await assert.rejects(other.call('open', alice.files, bob.identity, at), /wrong_identity/)
    await page.call('open', alice.files, alice.identity, at)
    assert.equal((await page.call('entries')).length, 2)
    await other.close()
  })
  await check('without a token, with a colleague\'s, or with no server, nothing is sent and nothing lost', async () => {
    assert.match((await page.call('sync.once')).why, /needs_token/)
    await page.call('setToken', bob.token)
    assert.match((await page.call('sync.once')).why, /wrong_identity/)
    await page.call('setToken', alice.token)
    await page.call('close')
    await page.call('open', alice.files, undefined, { url: 'http://127.0.0.1:9' })
    assert.equal((await page.call('sync.once')).end, 'later')
    await page.call('close')
    await page.call('open', alice.files, undefined, at)
    assert.equal((await page.call('pending')).length, 2)
  })
  await check('with signal everything arrives, across origins', async () => {
    assert.deepEqual(await page.call('sync.once'), { end: 'caught_up' })
    assert.deepEqual(await page.call('pending'), [])
    const entries = await page.call('entries')
    assert.deepEqual(entries.map((entry) => [entry.type, entry.state]), [['damage', 'accepted'], ['odometer', 'accepted']])
    assert.deepEqual((await page.call('vehicles')).map((vehicle) => vehicle.miles), [54_120])
    assert.equal(server.sql('SELECT count(*) FROM vehicle_events'), '2')
  })
  await check('a page of an origin that is not allowed cannot call the server', async () => {
    const status = (url) => fetch(`${url}/v1/sync/pull`, { headers: { authorization: 'Bearer x' } })
      .then((response) => response.status, () => 'blocked')
    const stranger = await browser.page(elsewhere.origin)
    assert.equal(await page.evaluate(status, server.url), 401)
    assert.equal(await stranger.evaluate(status, server.url), 'blocked')
    await stranger.close()
  })

  await check('of a burst that the browser\'s death cuts off, every acknowledged capture is there, once', async () => {
    const files = 'burst'
    const acknowledged = []
    let mortal = await startBrowser(join(scratch, 'burst'))
    let tab = await mortal.page(site.origin)
    await tab.call('open', files, alice.identity, at)
    const enough = new Promise((resolve) =>
      tab.expose('acknowledge', (id) => acknowledged.push(id) === 60 && resolve()).then(() =>
        tab.evaluate(async (wash) => {
          for (;;) window.acknowledge((await window.call('capture', wash)).id)
        }, capture('car_wash')).catch(() => {}))) // cut off
    await enough
    await mortal.kill()
    mortal = await startBrowser(join(scratch, 'burst'))
    tab = await mortal.page(site.origin)
    await tab.call('open', files, undefined, at)
    const kept = (await tab.call('pending')).map((item) => item.op_id)
    assert.deepEqual(acknowledged.filter((id) => !kept.includes(id)), [])
    assert.equal(new Set(kept).size, kept.length)
    const shown = (await tab.call('entries', null, { limit: 500 })).map((entry) => entry.event_id)
    assert.deepEqual(shown.sort(), kept.slice(-500).sort())
    await mortal.quit()
  })

  const colleague = await startBrowser(bob.profile)
  const hers = page
  const his = await colleague.page(site.origin)
  await check('a colleague in another browser sees it, once', async () => {
    await his.call('open', bob.files, bob.identity, at)
    await his.call('setToken', bob.token)
    assert.deepEqual(await his.call('sync.once'), { end: 'caught_up' })
    const ids = (entries) => entries.map((entry) => entry.event_id)
    assert.deepEqual(ids(await his.call('entries')), ids(await hers.call('entries')))
  })
  await check('a refused reading stays with its reason, and the rest goes through', async () => {
    await his.call('capture', capture('odometer', { miles: 54_020 }, Date.now() + 1_000))
    await his.call('capture', capture('car_wash', { total_minor: 1_500 }))
    await his.call('sync.once')
    const pending = await his.call('pending')
    assert.deepEqual(pending.map((item) => [item.state, item.reason.code]), [['rejected', 'odometer_out_of_order']])
    assert.equal((await his.call('status')).refused, 1)
    await hers.call('sync.once')
    assert.deepEqual((await hers.call('entries')).map((entry) => entry.type), ['car_wash', 'damage', 'odometer'])
  })
  await check('syncing goes on by itself: a colleague\'s open timeline shows what was just captured, from a tab without a token', async () => {
    await hers.call('sync.start')
    await his.call('sync.start')
    const second = await browser.page(site.origin)
    await second.call('open', alice.files, undefined, at)
    const seen = his.evaluate((vehicle) => new Promise((resolve) => {
      window.client().watch.timeline(vehicle).subscribe((rows) => rows[0].record.event.notes === 'live' && resolve(rows[0].event_id))
    }), server.vehicle)
    const { id, settled } = await second.evaluate(async (event) => {
      const write = await window.client().capture(event)
      return { id: write.id, settled: await write.settled() }
    }, capture('car_wash', { notes: 'live' }, Date.now() + 5_000))
    assert.equal(settled, 'accepted')
    assert.equal(await seen, id)
    for (const page of [hers, his]) {
      await page.call('sync.stop')
      assert.equal((await page.call('status')).sync, 'off')
    }
    await second.close()
  })
  await check('the tab that holds the files asks another one for a token that it has not', async () => {
    const second = await browser.page(site.origin)
    await second.call('open', alice.files, undefined, at)
    await hers.call('setToken', null)
    await second.call('setToken', alice.token)
    await hers.close() // and with it the token that was asked for last
    await second.call('pending')
    assert.equal(await second.call('role'), 'owner')
    await second.call('setToken', null)
    const third = await browser.page(site.origin)
    await third.call('open', alice.files, undefined, at)
    await third.call('setToken', alice.token)
    assert.equal((await third.call('sync.once')).end, 'caught_up')
    page = third
    await second.close()
  })
  await check('both browsers quit and open again with the same timeline', async () => {
    const before = await page.call('timeline')
    await browser.quit()
    browser = await startBrowser(alice.profile)
    page = await browser.page(site.origin)
    await page.call('open', alice.files, undefined, at)
    assert.deepEqual(await page.call('timeline'), before)
  })
  await browser.quit()
  await colleague.quit()
}
