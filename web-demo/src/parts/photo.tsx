// A picture by its hash: from this device where its bytes are here, else asked for with the next sync.
import type { Client } from '@motomind/client'
import { useEffect, useState } from 'react'
import { useClient } from '../live'
import { Icon } from './icon'

const KEPT = 200
const urls = new Map<string, string>()

/** When another person takes the device. */
export function forgetPhotos() {
  for (const url of urls.values()) URL.revokeObjectURL(url)
  urls.clear()
}

async function urlOf(client: Client, photo: string): Promise<string | null> {
  const kept = urls.get(photo)
  if (kept) return kept
  const blob = await client.photo(photo, 'preview') ?? await client.photo(photo, 'original')
  if (!blob) return null
  const url = URL.createObjectURL(blob)
  urls.set(photo, url)
  if (urls.size > KEPT) {
    const [oldest, old] = urls.entries().next().value!
    urls.delete(oldest)
    URL.revokeObjectURL(old)
  }
  return url
}

export function Photo({ photo, alt, className = '' }: { photo: string; alt: string; className?: string }) {
  const client = useClient()
  const [url, setUrl] = useState(() => urls.get(photo))
  useEffect(() => {
    let ended = false
    let asked = false
    const look = async () => {
      const found = await urlOf(client, photo)
      if (ended) return
      if (found) return setUrl(found)
      if (asked) return
      asked = true
      await client.fetchPhoto(photo, 'preview')
    }
    setUrl(urls.get(photo))
    // What is fetched comes with a sync, and that shows in the status.
    const stop = client.status.subscribe(() => { if (!urls.has(photo)) look().catch(() => {}) })
    look().catch(() => {})
    return () => {
      ended = true
      stop()
    }
  }, [client, photo])
  if (!url) return <span className={`photo missing ${className}`} role="img" aria-label={`${alt} (not on this device yet)`}><Icon name="image" /></span>
  return <img className={`photo ${className}`} src={url} alt={alt} />
}
