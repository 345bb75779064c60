import { useRegisterSW } from 'virtual:pwa-register/react'

/** Keeps the shell on this device, and says when there is a newer one: never in the middle of a capture. */
export function Updates() {
  const { needRefresh: [waiting, setWaiting], updateServiceWorker } = useRegisterSW({ immediate: true })
  if (!waiting) return null
  return (
    <aside className="update" aria-label="Update">
      <p>A newer version is ready. What you captured stays.</p>
      <button className="small" onClick={() => void updateServiceWorker(true)}>Use it</button>
      <button className="small plain" onClick={() => setWaiting(false)}>Later</button>
    </aside>
  )
}
