import { useEffect, useState } from 'react'

/** Keeps the app's files on this device, and says when there are newer ones: never in the middle of a capture. */
export function Updates() {
  const [take, setTake] = useState<() => void>()
  useEffect(() => {
    const { serviceWorker } = navigator
    if (!import.meta.env.PROD || !serviceWorker) return
    const had = Boolean(serviceWorker.controller)
    let wanted = false
    const offer = (worker: ServiceWorker | null) => {
      // The very first one replaces nothing.
      if (worker && serviceWorker.controller) setTake(() => () => { wanted = true; worker.postMessage('take over') })
    }
    const taken = () => {
      if (!had) return
      // Wanted in another tab: this one goes on as it is until its person is done.
      if (wanted) location.reload()
      else setTake(() => () => location.reload())
    }
    serviceWorker.addEventListener('controllerchange', taken)
    serviceWorker.register('/sw.js', { updateViaCache: 'none' }).then((registration) => {
      offer(registration.waiting)
      registration.addEventListener('updatefound', () => {
        const worker = registration.installing
        worker?.addEventListener('statechange', () => { if (worker.state === 'installed') offer(worker) })
      })
    }).catch((error) => console.warn('no offline shell', error))
    return () => serviceWorker.removeEventListener('controllerchange', taken)
  }, [])
  if (!take) return null
  return (
    <aside className="update" aria-label="Update">
      <p>A newer version is ready. What you captured stays.</p>
      <button className="small" onClick={take}>Use it</button>
      <button className="small plain" onClick={() => setTake(undefined)}>Later</button>
    </aside>
  )
}
