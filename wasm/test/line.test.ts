// The page's end of the line, over workers that do as they are told.
import { expect, test } from 'vitest'

import { Line, type Started } from '../dist/line.js'
import type { Call, FromWorker, ToWorker } from '../dist/wire.js'

const hello = { url: '', name: 'x', wasmUrl: null }

/** Workers that are started one after the other; each can be ended, and remembers what it was told. */
function workers() {
  const started: { told: ToWorker[]; end: () => void; say: (message: FromWorker) => void }[] = []
  const start = (): Started => {
    const told: ToWorker[] = []
    let ended = () => {}
    const port: Started['port'] = { onmessage: null, postMessage: (message) => void told.push(message) }
    const end = new Promise<void>((resolve) => { ended = resolve })
    started.push({ told, end: ended, say: (data) => port.onmessage?.({ data }) })
    return { port, ended: () => end, end: () => {} }
  }
  return { started, start }
}

const calls = (told: ToWorker[]): Call[] => told.flatMap((message) => (message.kind === 'call' ? [message.call] : []))

test('nothing is started before the first call', () => {
  const { started, start } = workers()
  new Line(start, hello, async () => null)
  expect(started).toHaveLength(0)
})

test('what a worker did not answer before it ended, the next one is asked', async () => {
  const { started, start } = workers()
  const line = new Line(start, hello, async () => null)
  const [first, second] = [line.call('vehicles', []), line.call('capture', ['{}'])]
  const [one] = started
  one!.say({ kind: 'ready' })
  const [vehicles, capture] = calls(one!.told)
  one!.say({ kind: 'answer', answer: { id: vehicles!.id, value: '[]' } })
  expect(await first).toBe('[]')
  one!.end()
  await expect.poll(() => started.length).toBe(2)
  expect(calls(started[1]!.told)).toEqual([capture])
  one!.say({ kind: 'answer', answer: { id: capture!.id, value: 'from the dead' } })
  started[1]!.say({ kind: 'answer', answer: { id: capture!.id, value: '{}' } })
  expect(await second).toBe('{}')
})

test('a worker that cannot be started is given up in the end, with a code', async () => {
  const { started, start } = workers()
  const line: Line = new Line(start, hello, async () => null)
  const call = line.call('vehicles', [])
  for (let n = 0; n < 3; n += 1) line.failed('blocked by policy')
  await expect(call).rejects.toMatchObject({ code: 'engine_failed' })
  expect(started).toHaveLength(3)
})

test('an aborted call is told to the worker, and its late answer is nobody\'s', async () => {
  const { started, start } = workers()
  const line = new Line(start, hello, async () => null)
  const ending = new AbortController()
  const call = line.call('verify', [], { signal: ending.signal })
  ending.abort(new Error('enough'))
  await expect(call).rejects.toThrow('enough')
  const { told, say } = started[0]!
  const [{ id }] = calls(told) as [Call]
  expect(told.at(-1)).toEqual({ kind: 'cancel', id })
  say({ kind: 'answer', answer: { id, value: 'null' } })
})

test('a token is asked of the app; one that fails is none', async () => {
  const { started, start } = workers()
  const line = new Line(start, hello, async () => { throw new Error('no network') })
  void line.call('vehicles', []).catch(() => {})
  started[0]!.say({ kind: 'token?', ask: 'a' })
  await expect.poll(() => started[0]!.told.at(-1)).toEqual({ kind: 'token', ask: 'a', token: null })
})

test('a tab that signs out closes this one', async () => {
  const { started, start } = workers()
  const line = new Line(start, hello, async () => null)
  let closed = false
  line.onClose(() => { closed = true })
  const call = line.call('vehicles', [])
  started[0]!.say({ kind: 'gone' })
  await expect(call).rejects.toMatchObject({ code: 'closed' })
  expect(closed).toBe(true)
})
