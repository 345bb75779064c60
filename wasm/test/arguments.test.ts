import { expect, test } from 'vitest'

import { captureText, fixOf, photoArguments, queryText } from '../dist/arguments.js'
import { errorOf, failureOf, Invalid, StorageBusy, Unsupported } from '../dist/errors.js'
import { uuidv7 } from '../dist/id.js'
import { expiryOf, identityOf } from '../dist/identity.js'

const at = Date.UTC(2026, 10, 20, 3)

test('an event is said in the words of the engine; the day is the one there', () => {
  const said = captureText({ vehicleId: 'v', type: 'fuel', occurredAt: at, timezone: 'America/Denver', totalMinor: 4_200, payload: { gallons: 11 } }, 'id')
  expect(JSON.parse(said)).toEqual({
    op_id: 'id', vehicle_id: 'v', type: 'fuel', occurred_at: at, date: '2026-11-19', timezone: 'America/Denver',
    total_minor: 4_200, payload: { gallons: 11 },
  })
  expect(JSON.parse(captureText({ vehicleId: 'v', type: 'car_wash', occurredAt: new Date(at), timezone: 'Asia/Tokyo' }, null)).date).toBe('2026-11-20')
})

test('what the browser says of a position is a fix; what it does not know is absent', () => {
  const coords = { latitude: 1, longitude: 2, accuracy: 3, altitude: null, altitudeAccuracy: null, heading: NaN, speed: 0 }
  expect(fixOf({ coords, timestamp: 4.4 } as GeolocationPosition)).toEqual({
    latitude: 1, longitude: 2, accuracy_m: 3, speed_mps: 0, fixed_at: 4, source: 'fused',
  })
})

test('photos carry what is known of them, questions the vehicle', () => {
  const file = new Blob(['x'], { type: 'image/jpeg' })
  const [plain, told] = photoArguments([file, { file, caption: 'a dent', size: 7 }])
  expect(JSON.parse(plain!.meta)).toEqual({ mime: 'image/jpeg', size: 1 })
  expect(JSON.parse(told!.meta)).toEqual({ mime: 'image/jpeg', size: 7, caption: 'a dent' })
  expect(JSON.parse(queryText(null, { limit: 5 }))).toEqual({ limit: 5, vehicle: null })
})

test('ids are UUIDv7 in the order of time', () => {
  const ids = [uuidv7(at), uuidv7(at + 1), uuidv7(at + 2 ** 33)]
  expect([...ids].sort()).toEqual(ids)
  for (const id of ids) expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
})

test('a token says whose it is and when it ends; anything else says nothing', () => {
  const claims = { sub: 'ü', exp: 5, app_metadata: { tenant_id: 't' } }
  const token = `x.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.y`
  expect(identityOf(token)).toEqual({ tenant_id: 't', user_id: 'ü' })
  expect(expiryOf(token)).toBe(5_000)
  expect(identityOf('nonsense')).toBeNull()
  expect(identityOf(null)).toBeNull()
  expect(expiryOf('nonsense')).toBe(Infinity)
})

test('failures keep their code on the way; what nobody foresaw is named so', () => {
  const invalid = errorOf({ code: 'invalid', message: 'miles', data: { violations: [{ field: 'miles', code: 'missing', message: 'm' }] } }, 'id')
  expect(invalid).toBeInstanceOf(Invalid)
  expect(invalid.id).toBe('id')
  expect(errorOf({ code: 'storage_busy', message: '' })).toBeInstanceOf(StorageBusy)
  expect(errorOf({ code: 'unsupported', message: 'x', data: { missing: ['OPFS'] } })).toMatchObject({ missing: ['OPFS'] } satisfies Partial<Unsupported>)
  expect(errorOf({ code: 'of_a_newer_engine', message: 'x' })).toMatchObject({ code: 'of_a_newer_engine', name: 'MotoMindError' })
  expect(failureOf(new TypeError('x')).code).toBe('internal')
})
