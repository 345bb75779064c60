// Holds one device. Answers `{ id, name, args }` with `{ id, result }` or `{ id, error }`.
import init, { Device } from '/dist/motomind_wasm.js'

const ready = init()
let device

const calls = {
  async open(name, identity) {
    const seed = crypto.getRandomValues(new Uint8Array(32))
    device = await Device.open(name, identity && JSON.stringify(identity), seed)
  },
  capture: (capture) => JSON.parse(device.capture(JSON.stringify(capture))),
  timeline: (query) => JSON.parse(device.timeline(JSON.stringify(query ?? {}))),
  vehicles: () => JSON.parse(device.vehicles()),
  pending: () => JSON.parse(device.pending()),
  status: () => JSON.parse(device.status()),
  setToken: (token) => device.setToken(token),
  sync: async (url) => JSON.parse(await device.syncOnce(url)),
  close: () => device.close(),
}

onmessage = async ({ data: { id, name, args } }) => {
  try {
    await ready
    postMessage({ id, result: await calls[name](...args) })
  } catch (error) {
    postMessage({ id, error: error.code ? `${error.code}: ${error.message}` : String(error) })
  }
}
