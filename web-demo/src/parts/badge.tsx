import { useEffect } from 'react'
import { useStatus } from '../live'

/** The figure on the app's icon: what is on this device alone. */
export function Badge() {
  const status = useStatus()
  const waiting = status ? status.unsent + status.refused + status.pictures_unsent + status.pictures_refused : 0
  useEffect(() => {
    document.title = waiting > 0 ? `(${waiting}) MotoMind Sync` : 'MotoMind Sync'
    const shown = waiting > 0 ? navigator.setAppBadge?.(waiting) : navigator.clearAppBadge?.()
    shown?.catch(() => {})
  }, [waiting])
  return null
}
