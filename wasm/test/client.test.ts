// The client as an app uses it, over the real engine in memory.
import { afterEach, expect, test } from 'vitest'

import { Closed, Conflicting, ConfirmJump, Invalid, Unknown, type Client } from '../dist/index.js'
import { openInMemory } from '../dist/testing.js'

const open: Client[] = []
async function client() {
  const one = await openInMemory()
  open.push(one)
  return one
}
afterEach(async () => {
  for (const one of open.splice(0)) await one.close()
})
const vehicleId = crypto.randomUUID()
const at = Date.UTC(2026, 10, 1, 12)

test('a capture is durable, shown, pending, and knows where it stands', async () => {
  const device = await client()
  const write = await device.capture({ vehicleId, type: 'odometer', miles: 54_120, occurredAt: at })
  expect(write).toMatchObject({ durable: true, duplicate: false, state: 'queued', warnings: [] })
  const { entries, next } = await device.timeline(vehicleId)
  expect(entries).toMatchObject([{ event_id: write.id, type: 'odometer', miles: 54_120, state: 'queued' }])
  expect(entries[0]!.record.event).toMatchObject({ occurred_at: at, miles: 54_120 })
  expect(next).toBeNull()
  expect(await device.pending()).toMatchObject([{ op_id: write.id, state: 'queued' }])
  expect(await device.status.get()).toMatchObject({ unsent: 1, refused: 0, sync: 'off' })
})

test('asked for again under its id, nothing is done twice', async () => {
  const device = await client()
  const id = crypto.randomUUID()
  const reading = { vehicleId, type: 'odometer', miles: 10, occurredAt: at } as const
  expect((await device.capture(reading, { id })).duplicate).toBe(false)
  expect((await device.capture(reading, { id })).duplicate).toBe(true)
  await expect(device.capture({ ...reading, miles: 11 }, { id })).rejects.toThrow(Conflicting)
  const [discard, edit] = [crypto.randomUUID(), crypto.randomUUID()]
  expect((await device.discard(id, 'twice', { id: discard })).id).toBe(discard)
  expect((await device.discard(id, 'twice', { id: discard })).duplicate).toBe(true)
  const garage = await device.records('garages').create({ name: 'Home' }, { id: edit })
  const again = await device.records('garages').create({ name: 'Home' }, { id: edit })
  expect(again).toMatchObject({ duplicate: true, record: garage.record })
  expect(await device.records('garages').list()).toHaveLength(1)
})

test('what is wrong has a class, a stable code, and names the fields', async () => {
  const device = await client()
  const wrong = await device.capture({ vehicleId, type: 'odometer', miles: -1 }).catch((error) => error)
  expect(wrong).toBeInstanceOf(Invalid)
  expect(wrong).toMatchObject({ code: 'invalid', violations: [{ field: 'miles', code: 'out_of_range' }] })
  await device.capture({ vehicleId, type: 'odometer', miles: 10, occurredAt: at })
  const jump = await device.capture({ vehicleId, type: 'odometer', miles: 90_000, occurredAt: at + 1 }).catch((error) => error)
  expect(jump).toBeInstanceOf(ConfirmJump)
  expect(jump).toMatchObject({ miles: 90_000, before: 10 })
  await expect(device.retry(crypto.randomUUID())).rejects.toThrow(Unknown)
  await expect(device.line.call('eval', [])).rejects.toMatchObject({ code: 'malformed' })
})

test('live queries tell what differs, and end when they are left', async () => {
  const device = await client()
  const seen: number[] = []
  const done = (async () => {
    for await (const rows of device.watch.timeline(vehicleId)) {
      seen.push(rows.length)
      if (rows.length === 2) return
    }
  })()
  await device.capture({ vehicleId, type: 'car_wash', occurredAt: at })
  await device.capture({ vehicleId: crypto.randomUUID(), type: 'car_wash', occurredAt: at })
  await device.capture({ vehicleId, type: 'car_wash', occurredAt: at + 1 })
  await done
  expect(seen.at(-1)).toBe(2)
  expect(new Set(seen).size).toBe(seen.length)
  const states: number[] = []
  const stop = device.status.subscribe(({ unsent }) => states.push(unsent))
  await new Promise<void>((resolve) => device.watch.pending().subscribe((items) => items.length === 3 && resolve()))
  stop()
  await device.capture({ vehicleId, type: 'car_wash', occurredAt: at + 2 })
  await device.pending()
  expect(states.every((unsent) => unsent <= 3)).toBe(true)
})

test('an amended capture, a corrected place, a story', async () => {
  const device = await client()
  const fix = { latitude: 39.7392, longitude: -104.9903, accuracy_m: 12, fixed_at: at, source: 'gps' }
  const first = await device.capture({ vehicleId, type: 'odometer', miles: 5, occurredAt: at, fix })
  const mended = await device.amend(first.id, { vehicleId, type: 'odometer', miles: 6, occurredAt: at, fix })
  expect((await device.timeline(vehicleId)).entries.map((entry) => entry.miles)).toEqual([6])
  await device.correctLocation(mended.id, { latitude: 39.75, longitude: -104.99, reason: 'the yard' })
  expect(await device.place(mended.id)).toMatchObject({ place: { latitude: 39.75 }, measured: { latitude: 39.7392 } })
  expect((await device.family(mended.id))!.members[0]!.entry.record.event.miles).toBe(6)
})

test('records: created, edited, deleted, restored; texts merge as texts', async () => {
  const device = await client()
  const vehicles = device.records('vehicles')
  const { record } = await vehicles.create({ nickname: 'Truck 7', year: 2019 })
  expect((await vehicles.edit(record.id, { nickname: 'Truck 7' })).changed).toBe(false)
  await vehicles.edit(record.id, { color: 'red', year: null })
  expect((await vehicles.get(record.id))!.fields).toEqual({ nickname: 'Truck 7', color: 'red' })
  expect(await device.vehicles()).toMatchObject([{ name: 'Truck 7', pending: 2 }])
  await vehicles.delete(record.id)
  expect(await vehicles.list()).toEqual([])
  await vehicles.restore(record.id)
  expect(await vehicles.history(record.id)).not.toHaveLength(0)
  expect(await device.conflicts()).toEqual([])
})

test('aborted and closed calls end at once', async () => {
  const device = await client()
  const over = AbortSignal.abort(new Error('no more'))
  await expect(device.timeline(vehicleId, {}, { signal: over })).rejects.toThrow('no more')
  const ending = new AbortController()
  const settled = (await device.capture({ vehicleId, type: 'car_wash' })).settled({ signal: ending.signal })
  ending.abort(new Error('left'))
  await expect(settled).rejects.toThrow('left')
  const late = device.pending()
  await device.close()
  await expect(late).rejects.toThrow(Closed)
  await expect(device.pending()).rejects.toThrow(Closed)
})

test('an export holds every sealed text, and evidence is whole', async () => {
  const device = await client()
  await device.capture({ vehicleId, type: 'car_wash' })
  const lines = (await (await device.exportPending()).text()).trim().split('\n').map((line) => JSON.parse(line))
  expect(lines[0]).toMatchObject({ format: 'motomind-export' })
  expect(lines.at(-1)).toMatchObject({ operations: 1 })
  expect(await device.verify()).toEqual({ chain: null, photos: [] })
  await expect(device.signOut()).rejects.toMatchObject({ code: 'unsent', count: 1 })
})
