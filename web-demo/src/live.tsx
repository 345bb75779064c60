// The client for everything below it, and what it shows as it changes.
import type { Client, Live } from '@motomind/client'
import { MotoMindProvider, useLive as useShown, useMotoMind } from '@motomind/client/react'
import { createContext, type DependencyList, type ReactNode, useContext, useEffect, useMemo, useState } from 'react'
import type { Person } from './people'

const SignedIn = createContext<Person | null>(null)

export function OpenedProvider({ client, person, children }: { client: Client; person: Person; children: ReactNode }) {
  return <SignedIn.Provider value={person}><MotoMindProvider client={client}>{children}</MotoMindProvider></SignedIn.Provider>
}

export const useClient = useMotoMind

/** The client and whose it is. */
export function useOpened(): { client: Client; person: Person } {
  const client = useMotoMind()
  const person = useContext(SignedIn)
  if (!person) throw new Error('nobody is signed in here')
  return { client, person }
}

/** The value of a live query; undefined until it is first known. */
export function useLive<T>(make: (client: Client) => Live<T>, deps: DependencyList): T | undefined {
  const client = useMotoMind()
  // eslint-disable-next-line react-hooks/exhaustive-deps
  return useShown(useMemo(() => make(client), [client, ...deps])).value
}

/** What a call answers, asked again whenever something is written, sent or received. */
export function useFresh<T>(read: (client: Client) => Promise<T>, deps: DependencyList): T | undefined {
  const client = useMotoMind()
  const [shown, setShown] = useState<{ value: T }>()
  useEffect(() => {
    let ended = false
    const again = () => {
      read(client).then((value) => { if (!ended) setShown({ value }) }, report)
    }
    setShown(undefined)
    const stops = [client.status.subscribe(again, report), client.watch.pending().subscribe(again, report)]
    return () => {
      ended = true
      for (const stop of stops) stop()
    }
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [client, ...deps])
  return shown?.value
}

export const useStatus = () => useLive((client) => client.status, [])
export const useVehicles = () => useLive((client) => client.watch.vehicles(), [])
export const usePending = () => useLive((client) => client.watch.pending(), [])
export const useConflicts = () => useLive((client) => client.watch.conflicts(), [])

/** The names of the people of the tenant, by their ids. */
export function useNames(): (user: string | null | undefined) => string {
  const { person } = useOpened()
  const profiles = useLive((client) => client.records('profiles').watch(), [])
  return (user) => {
    if (!user) return 'the office'
    if (user === person.user_id) return 'you'
    return profiles?.find(({ id }) => id === user)?.fields.full_name ?? 'a colleague'
  }
}

function report(error: unknown) {
  const { code } = error as { code?: string }
  if (code !== 'closed' && (error as Error)?.name !== 'AbortError') console.warn('live query', error)
}
