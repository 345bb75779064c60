// Keeps the app's own files, and nothing else: what people capture is the engine's, in files of its own.
// A newer version is fetched whole, then waits until every tab is closed or somebody wants it.
const FILES = __FILES__
const SHELL = `motomind-shell-${__VERSION__}`
// The server's own; never answered from here.
const SERVER = /^\/(v1|dev)\/|^\/(healthz|readyz|metrics|openapi\.json)$/

addEventListener('install', (event) => event.waitUntil(fetchAll()))

addEventListener('activate', (event) => event.waitUntil((async () => {
  for (const name of await caches.keys()) if (name.startsWith('motomind-shell-') && name !== SHELL) await caches.delete(name)
  await clients.claim()
})()))

addEventListener('message', ({ data }) => {
  if (data === 'take over') void skipWaiting()
})

addEventListener('fetch', (event) => {
  const { request } = event
  const { origin, pathname } = new URL(request.url)
  if (request.method !== 'GET' || origin !== location.origin || SERVER.test(pathname)) return
  const file = request.mode === 'navigate' ? '/index.html' : pathname
  if (FILES.includes(file)) event.respondWith(kept(file, request))
})

async function kept(file, request) {
  const cache = await caches.open(SHELL)
  return await cache.match(file) ?? fetch(request)
}

async function fetchAll() {
  const cache = await caches.open(SHELL)
  await Promise.all(FILES.map(async (file) => {
    // What has its content in its name need not come twice.
    const there = file.startsWith('/assets/') && await caches.match(file)
    if (there) return cache.put(file, there)
    await cache.add(new Request(file, { cache: 'reload' }))
  }))
}
