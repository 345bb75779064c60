// A technician's photos in a browser that dies twice: while they are taken, and while they go up. The
// core on OPFS in a real Chromium, against the real server, its photo store and Postgres.
import assert from 'node:assert/strict'
import { createHash, randomUUID } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { startBrowser } from './browser.mjs'
import { check, summary } from './checks.mjs'
import { takePictures } from './pictures.mjs'
import { startServer } from './server.mjs'
import { serveSite } from './site.mjs'

const MIB = 1024 * 1024
const scratch = mkdtempSync(join(tmpdir(), 'motomind-photos-'))
process.env.MOTOMIND_PHOTO_STORE = join(scratch, 'store')
const endings = [() => rmSync(scratch, { recursive: true, force: true })]

try {
  for (const name of ['store', 'camera']) mkdirSync(join(scratch, name))
  const site = await serveSite(dirname(fileURLToPath(import.meta.url)))
  endings.unshift(() => site.close())
  const server = await startServer(site.origin)
  endings.unshift(() => server.stop())
  await story(site.origin, server)
} catch (error) {
  await check('the story could be told', () => Promise.reject(error))
} finally {
  for (const end of endings) await end()
}
process.exitCode = summary() ? 0 : 1

async function story(origin, server) {
  const alice = { profile: join(scratch, 'alice'), files: 'alice', ...server.alice }
  const bob = { profile: join(scratch, 'bob'), files: 'bob', ...server.bob }
  const timezone = 'America/Denver'
  const dayThere = new Intl.DateTimeFormat('en-CA', { timeZone: timezone }) // YYYY-MM-DD
  const capture = (type, more, at = Date.now()) => ({
    vehicleId: server.vehicle, type, occurredAt: at, date: dayThere.format(at), timezone, ...more,
  })
  const damage = capture('damage', {
    payload: { description: 'four tyres and a dashboard' },
    fix: { latitude: 39.7392, longitude: -104.9903, accuracy_m: 300, fixed_at: Date.now(), source: 'gps' },
  })
  const sum = (numbers) => numbers.reduce((a, b) => a + b, 0)
  const at = { url: server.url }
  const add = (page, n, target, meta = {}) => page.evaluate(([n, target, meta]) =>
    window.call('addPhoto', target, { file: window.picked()[n], ...meta }), [n, target, meta])
  const caughtUp = async (page) => {
    for (const until = Date.now() + 30_000; Date.now() < until;) {
      if ((await page.call('sync.once')).end === 'caught_up') return
    }
    assert.fail('not everything arrived within 30 s')
  }
  // What the journal holds beyond photos that are whole, and their small pictures; bytes.
  const besides = async (page, photos) => {
    const made = []
    for (const photo of photos) {
      made.push(await page.call('made', photo, 'original'), await page.call('made', photo, 'preview'))
    }
    const { journal, empty } = await page.call('space')
    return journal - empty - sum(made.map((one) => one?.bytes ?? 0))
  }
  // Whoever's browser is still there at the end is ended, also when a check has thrown everything off.
  const start = async (profile) => {
    const browser = await startBrowser(profile)
    endings.unshift(() => browser.quit())
    return browser
  }
  const openAgain = async () => {
    browser = await start(alice.profile)
    page = await browser.page(origin)
    await page.call('open', alice.files, alice.identity, at)
    await page.pick(pictures.map((picture) => picture.path))
  }

  let browser = await start(alice.profile)
  let page = await browser.page(origin)
  const pictures = await takePictures(page, join(scratch, 'camera'), 12)
  await page.close()
  await browser.quit()
  const [ten, eleventh, twelfth] = [pictures.slice(0, 10), pictures[10], pictures[11]]
  const hashes = ten.map((picture) => picture.sha256)
  let session
  let event

  await check('the browser dies while photos are taken: the finished ones are in a session, whole', async () => {
    await openAgain()
    const { id } = await page.call('sessions.begin', { vehicleId: server.vehicle, flow: 'damage' })
    const finished = []
    const all = async () => {
      for (let n = 0; n < 10; n += 1) finished.push((await add(page, n, { session: id })).photo)
    }
    all().catch(() => {}) // cut off
    // In the middle of the fifth: its bytes are on their way into the journal.
    await page.evaluate(async ([session, bytes]) => {
      const photos = async () => (await window.call('sessions.list')).find((one) => one.id === session).photos.length
      while (await photos() < 4) { /* they are being added */ }
      const { journal } = await window.call('space')
      while ((await window.call('space')).journal < journal + bytes) { /* the fifth is */ }
    }, [id, 2 * MIB])
    await browser.kill()
    await openAgain()
    const sessions = await page.call('sessions.list')
    assert.deepEqual(sessions.map((one) => one.id), [id])
    session = sessions[0]
    const kept = session.photos.map((one) => one.photo)
    assert.deepEqual(kept, hashes.slice(0, kept.length))
    assert.ok(finished.length >= 4 && finished.length <= kept.length && kept.length < 10, `${finished.length}, ${kept.length}`)
    assert.deepEqual(finished, hashes.slice(0, finished.length))
    for (const photo of kept) assert.equal((await page.call('made', photo, 'original')).sha256, photo)
    assert.deepEqual((await page.call('verify')).photos, [])
  })
  await check('nothing is left of the one that was being written, and no event without its photos', async () => {
    const kept = session.photos.map((one) => one.photo)
    const { photos_of_sessions: bytes } = await page.call('space')
    assert.equal(bytes, sum(ten.slice(0, kept.length).map((picture) => picture.bytes)))
    const rest = await besides(page, kept)
    assert.ok(rest < MIB, `${rest} bytes are nobody's`)
    assert.deepEqual(await page.call('entries'), [])
    assert.deepEqual(await page.call('uploads'), [])
  })
  await check('the session goes on, and becomes an event with its ten photos', async () => {
    await page.call('sessions.resume', session.id)
    for (let n = session.photos.length; n < 10; n += 1) await add(page, n, { session: session.id })
    const captured = await page.call('sessions.complete', session.id, damage)
    event = captured.id
    const again = await page.call('sessions.complete', session.id, damage, { id: event })
    assert.equal(again.duplicate, true)
    assert.deepEqual(await page.call('sessions.list'), [])
    const photos = await page.call('photos', event)
    assert.deepEqual(photos.map((one) => one.photo), hashes)
    assert.ok(photos.every((one) => one.preview.here && one.preview.upload === 'queued' && one.facts.width === 2800))
    assert.equal((await page.call('uploads')).length, 20)
  })
  await check('the pin is dragged: the place that was measured stays', async () => {
    await page.call('correctLocation', event, { latitude: 39.7419, longitude: -104.99, method: 'map_pin', reason: 'a garage' })
    const { place, measured } = await page.call('place', event)
    assert.deepEqual([place.latitude, measured.latitude], [39.7419, 39.7392])
  })

  await check('the browser dies while they go up: the event is there, some photos are', async () => {
    await page.call('setToken', alice.token)
    page.call('sync.once').catch(() => {}) // cut off
    await page.evaluate(async () => {
      for (let begun = false, stored = 0; !begun || stored < 3;) {
        const originals = (await window.call('uploads')).filter((one) => one.variant === 'original')
        begun = originals.some((one) => one.state === 'sending' && one.acked > 0)
        stored = originals.filter((one) => one.state === 'stored').length
      }
    })
    await browser.kill()
    await openAgain()
    const states = (await page.call('uploads')).filter((one) => one.variant === 'original').map((one) => one.state)
    const stored = states.filter((state) => state === 'stored').length
    assert.ok(stored >= 3 && stored < 10, `${states}`)
    assert.equal(server.sql('SELECT count(*) FROM vehicle_events'), '1')
    assert.deepEqual((await page.call('photos', event)).map((one) => one.photo), hashes)
    assert.deepEqual((await page.call('verify')).photos, [])
  })
  await check('the rest goes up, and hardly a byte twice', async () => {
    await page.call('setToken', alice.token)
    await caughtUp(page)
    const uploads = await page.call('uploads')
    assert.deepEqual(uploads.filter((one) => one.state !== 'stored'), [])
    const twice = sum(uploads.map((one) => one.sent - one.bytes))
    assert.ok(twice >= 0 && twice <= MIB, `${twice} bytes were sent again`)
  })
  const { device_id: device } = await page.call('identity')
  const onServer = async (photo) => {
    const headers = { authorization: `Bearer ${alice.token}`, 'motomind-device': device }
    const reply = await fetch(`${server.url}/v1/photos/${photo}`, { headers })
    assert.equal(reply.status, 200)
    return createHash('sha256').update(Buffer.from(await reply.arrayBuffer())).digest('hex')
  }
  await check('every photo on the server is the one that was taken; the device\'s evidence holds', async () => {
    for (const photo of hashes) assert.equal(await onServer(photo), photo)
    server.operate('verify', '--device', device, '--photos') // fails on any finding
    await page.call('custody', { compare: true })
    await caughtUp(page)
    const { held, offered_again, photos_again, photos_lost, chains_differ } = await page.call('custody')
    assert.ok(held >= 13, `${held} operations`)
    assert.deepEqual([offered_again, photos_again, photos_lost, chains_differ], [[], [], [], false])
  })
  await check('a colleague in another browser sees them, and the corrected place', async () => {
    const colleague = await start(bob.profile)
    const his = await colleague.page(origin)
    await his.call('open', bob.files, bob.identity, at)
    await his.call('setToken', bob.token)
    await caughtUp(his)
    const photos = await his.call('photos', event)
    assert.deepEqual(photos.map((one) => one.photo), hashes)
    for (const one of photos) assert.equal((await his.call('made', one.photo, 'preview')).sha256, one.preview.sha256)
    assert.equal(await his.call('made', hashes[6], 'original'), null)
    await his.call('fetchPhoto', hashes[6], 'original')
    await caughtUp(his)
    assert.equal((await his.call('made', hashes[6], 'original')).sha256, hashes[6])
    assert.equal((await his.call('place', event)).place.latitude, 39.7419)
    await colleague.quit()
  })

  await check('the browser dies in the one call that captures an event with ten photos: all of it or a session', async () => {
    const profile = join(scratch, 'hurried')
    const mortal = async () => {
      const browser = await start(profile)
      const page = await browser.page(origin)
      await page.call('open', 'hurried', alice.identity, at)
      await page.pick(ten.map((picture) => picture.path))
      return { browser, page }
    }
    const whole = randomUUID()
    const all = (page) => page.evaluate(([event, id]) =>
      window.call('capture', { ...event, photos: window.picked() }, { id }), [damage, whole])
    let { browser, page } = await mortal()
    all(page).catch(() => {}) // cut off
    // Their small pictures are made, and the call itself begins: nothing else is answered meanwhile.
    await page.evaluate(async () => {
      for (let answered = true; answered;) {
        answered = false
        const call = window.call('status').then(() => { answered = true })
        await Promise.race([call, new Promise((resolve) => setTimeout(resolve, 150))])
      }
    })
    await browser.kill();
    ({ browser, page } = await mortal())
    const [entries, sessions] = [await page.call('entries'), await page.call('sessions.list')]
    const kept = sessions.flatMap((one) => one.photos.map((photo) => photo.photo))
    const done = entries.length === 1
    assert.deepEqual(kept, done ? [] : hashes.slice(0, kept.length))
    assert.deepEqual((await page.call('verify')).photos, [])
    assert.ok(await besides(page, done ? hashes : kept) < MIB)
    assert.equal((await all(page)).duplicate, done)
    assert.deepEqual((await page.call('photos', whole)).map((one) => one.photo), hashes)
    assert.deepEqual([await page.call('sessions.list'), (await page.call('pending')).length], [[], 12])
    await browser.quit()
  })

  await check('with the quota used up a photo is refused by name, and nothing of it stays', async () => {
    const before = await standing(page)
    const { usage } = await page.quota()
    const tight = await page.quota(usage + MIB)
    // Told how much room there is, the device does not begin.
    const room = { free_bytes: tight.quota - tight.usage }
    await assert.rejects(add(page, 10, { event }, { room }), /no_room: the photo needs/)
    // Not told, as by a browser whose own figures do not show its quota, it finds out.
    await assert.rejects(add(page, 10, { event }), /disk_full/)
    assert.deepEqual(await standing(page), before)
    assert.deepEqual((await page.call('verify')).photos, [])
  })
  await check('what was captured before is intact after the browser dies with no room', async () => {
    const before = await standing(page)
    await browser.kill()
    await openAgain()
    assert.deepEqual(await standing(page), before)
    assert.equal((await page.call('made', hashes[0], 'original')).sha256, hashes[0])
  })
  await check('with room again, the same photo is taken and goes up', async () => {
    const { usage, quota } = await page.quota() // as it was
    const room = { free_bytes: quota - usage }
    const before = await besides(page, hashes)
    assert.equal((await add(page, 10, { event }, { room })).photo, eleventh.sha256)
    const after = await besides(page, [...hashes, eleventh.sha256])
    assert.ok(after - before < MIB, `${after - before} bytes are nobody's`)
    await page.call('setToken', alice.token)
    await caughtUp(page)
    assert.equal(await onServer(eleventh.sha256), eleventh.sha256)
  })
  await check('an event with its photos in one call is one capture; what is no photo leaves nothing', async () => {
    const note = join(scratch, 'camera', 'note.jpg')
    writeFileSync(note, 'this is no picture')
    await page.pick([twelfth.path, note])
    const id = randomUUID()
    const all = (event, files) => page.evaluate(([event, files, id]) =>
      window.call('capture', { ...event, photos: window.picked().slice(0, files) }, { id }), [event, files, id])
    const scratched = capture('damage', { payload: { description: 'a scratch' } })
    const before = await standing(page)
    await assert.rejects(all(scratched, 2), /photo: this is no JPEG/)
    assert.deepEqual(await standing(page), before)
    assert.equal((await all(scratched, 1)).duplicate, false)
    assert.equal((await all(scratched, 1)).duplicate, true)
    await caughtUp(page)
    assert.equal(await onServer(twelfth.sha256), twelfth.sha256)
    server.operate('verify', '--device', device, '--photos')
  })
  await browser.quit()

  // What a person sees of all this.
  async function standing(page) {
    const entries = await page.call('entries')
    const [photos, sessions] = [await page.call('photos', event), await page.call('sessions.list')]
    const uploads = (await page.call('uploads')).map((one) => [one.sha256, one.state])
    return { entries, photos, sessions, uploads, pending: await page.call('pending') }
  }
}
