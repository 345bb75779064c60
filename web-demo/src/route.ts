// Where the person is: the hash of the address, so that every screen opens without a network.
import { useSyncExternalStore } from 'react'

export interface Route {
  /** The path's parts: `#/v/1/new` is `['v', '1', 'new']`. */
  parts: string[]
  query: URLSearchParams
}

let shown: { hash: string; route: Route } | undefined

function routeNow(): Route {
  const { hash } = location
  if (shown?.hash !== hash) {
    const [path = '', query = ''] = hash.replace(/^#\/?/, '').split('?')
    const parts = path.split('/').filter(Boolean).map(decodeURIComponent)
    shown = { hash, route: { parts, query: new URLSearchParams(query) } }
  }
  return shown.route
}

export function useRoute(): Route {
  return useSyncExternalStore((changed) => {
    addEventListener('hashchange', changed)
    return () => removeEventListener('hashchange', changed)
  }, routeNow)
}

/** The address of a screen. */
export function to(...parts: string[]): string {
  return `#/${parts.map(encodeURIComponent).join('/')}`
}

export function go(address: string, { replace = false } = {}) {
  if (!replace) {
    location.hash = address
    return
  }
  history.replaceState(null, '', address)
  dispatchEvent(new HashChangeEvent('hashchange'))
}
