// Holds one device. Answers `{ id, name, args }` with `{ id, result }` or `{ id, error }`, and tells
// of progress with `{ progress }`.
import init, { Device } from '/dist/motomind_wasm.js'
import { addPhoto, preview, readPhoto } from '/site/photos.js'

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
  identity: () => JSON.parse(device.identity()),
  setToken: (token) => device.setToken(token),
  sync: async (url) => JSON.parse(await device.syncOnce(url)),
  close: () => device.close(),

  beginSession: (...args) => JSON.parse(device.beginSession(...args)),
  resumeSession: (session) => JSON.parse(device.resumeSession(session)),
  sessions: () => JSON.parse(device.sessions()),
  completeSession: (session, capture) => JSON.parse(device.completeSession(session, JSON.stringify(capture))),
  discardSession: (session) => device.discardSession(session),
  addPhoto: (file, target, meta) =>
    addPhoto(device, file, target, meta, (written) => postMessage({ progress: { name: file.name, written } })),
  async captureWithPhotos(capture, files) {
    const given = []
    for (const file of files) given.push({ file, meta: '{}', preview: await preview(file) })
    postMessage({ progress: { name: 'capture', written: 0 } })
    return JSON.parse(device.captureWithPhotos(JSON.stringify(capture), given))
  },
  photos: (event) => JSON.parse(device.photos(event)),
  verifyPhotos: () => JSON.parse(device.verifyPhotos()),
  // What a picture here is made of, as the browser reckons it; null where it is not here.
  async made(photo, which) {
    const bytes = await readPhoto(device, photo, which)?.arrayBuffer()
    if (!bytes) return null
    const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes))
    const sha256 = [...hash].map((byte) => byte.toString(16).padStart(2, '0')).join('')
    return { bytes: bytes.byteLength, sha256 }
  },
  fetchPhoto: (photo, which) => device.fetchPhoto(photo, which),

  uploads: () => JSON.parse(device.uploads()),
  setTransferPolicy: (policy) => device.setTransferPolicy(JSON.stringify(policy)),
  space: () => JSON.parse(device.space()),
  freeSpace: (bytes) => device.freeSpace(bytes),
  correctLocation: (event, said) => JSON.parse(device.correctLocation(event, JSON.stringify(said))),
  withdrawLocation: (event, reason) => JSON.parse(device.withdrawLocation(event, reason)),
  place: (event) => JSON.parse(device.place(event)),
  compareCustody: () => device.compareCustody(),
  custody: () => JSON.parse(device.custody()),
}

onmessage = async ({ data: { id, name, args } }) => {
  try {
    await ready
    postMessage({ id, result: await calls[name](...args) })
  } catch (error) {
    postMessage({ id, error: error.code ? `${error.code}: ${error.message}` : String(error) })
  }
}
