// What the stories do with the package, in the page: `call('sessions.begin', …)` is the client's own
// method, a few others are put together here.
import { MotoMind } from '/client/index.js'

let client
let token = null

const calls = {
  async open(name, identity, { url = 'http://127.0.0.1:9', sync = false, ...options } = {}) {
    client = await MotoMind.open({ name, identity, url, sync, getToken: () => token, ...options })
  },
  close: () => client.close(),
  setToken: (given) => { token = given },
  status: () => client.status.get(),
  entries: async (vehicle, query) => (await client.timeline(vehicle, query)).entries,
  // What a picture here is made of, as the browser reckons it; null where it is not here.
  async made(photo, which) {
    const bytes = await (await client.photo(photo, which))?.arrayBuffer()
    if (!bytes) return null
    const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes))
    const sha256 = [...hash].map((byte) => byte.toString(16).padStart(2, '0')).join('')
    return { bytes: bytes.byteLength, sha256 }
  },
}

window.call = async (name, ...args) => {
  try {
    if (calls[name]) return await calls[name](...args)
    const path = name.split('.')
    const method = path.pop()
    const owner = path.reduce((one, key) => one[key], client)
    return await owner[method](...args)
  } catch (error) {
    throw error.code ? new Error(`${error.code}: ${error.message}`) : error
  }
}
window.client = () => client
window.MotoMind = MotoMind
window.picked = () => [...document.getElementById('picked').files]
