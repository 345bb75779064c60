/**
 * Hooks for React.
 *
 * ```tsx
 * <MotoMindProvider client={client}><Timeline /></MotoMindProvider>
 * const { value: rows, error } = useTimeline(vehicleId)
 * ```
 *
 * @module
 */
import { type ReactNode, createContext, useContext, useMemo, useSyncExternalStore } from 'react'

import type { Client } from './client.js'
import type { PendingItem, PhotoShown, RecordConflict, UploadItem, VehicleEntry } from './generated.js'
import type { Collection, Entry, Live, Status, TimelineEntry, TimelineQuery } from './types.js'

const Context = createContext<Client | null>(null)

/** Gives a client to the hooks below it. */
export function MotoMindProvider({ client, children }: { client: Client; children?: ReactNode }) {
  return <Context.Provider value={client}>{children}</Context.Provider>
}

/** The client of the provider above. */
export function useMotoMind(): Client {
  const client = useContext(Context)
  if (!client) throw new Error('there is no <MotoMindProvider> above')
  return client
}

/** What a live query shows: `value` is undefined until it was read for the first time. */
export interface Shown<T> {
  value: T | undefined
  error: unknown
}

const NOTHING: Shown<never> = { value: undefined, error: undefined }

/** Shows a live query. Give the same one at every rendering: make it in `useMemo`. */
export function useLive<T>(live: Live<T>): Shown<T> {
  const store = useMemo(() => storeOf(live), [live])
  return useSyncExternalStore(store.subscribe, store.shown, () => NOTHING)
}

/** The newest entries of a vehicle's timeline, or of all. */
export function useTimeline(vehicleId?: string | null, query: TimelineQuery = {}): Shown<TimelineEntry[]> {
  const client = useMotoMind()
  const asked = JSON.stringify(query)
  return useLive(useMemo(() => client.watch.timeline(vehicleId, JSON.parse(asked)), [client, vehicleId, asked]))
}

/** Live vehicles by name. */
export function useVehicles(): Shown<VehicleEntry[]> {
  const client = useMotoMind()
  return useLive(useMemo(() => client.watch.vehicles(), [client]))
}

/** One vehicle, deleted or not; null where it is not known here. */
export function useVehicle(id: string): Shown<VehicleEntry | null> {
  const client = useMotoMind()
  return useLive(useMemo(() => client.watch.vehicle(id), [client, id]))
}

/** The photos on an event. */
export function usePhotos(event: string): Shown<PhotoShown[]> {
  const client = useMotoMind()
  return useLive(useMemo(() => client.watch.photos(event), [client, event]))
}

/** Records of a collection. */
export function useRecords<C extends Collection>(collection: C, deletedToo = false): Shown<Entry<C>[]> {
  const client = useMotoMind()
  const live = useMemo(() => client.records(collection).watch({ deletedToo }), [client, collection, deletedToo])
  return useLive(live)
}

/** Syncing at a glance. */
export function useStatus(): Shown<Status> {
  return useLive(useMotoMind().status)
}

/** What the server does not have or has refused. */
export function usePending(): Shown<PendingItem[]> {
  const client = useMotoMind()
  return useLive(useMemo(() => client.watch.pending(), [client]))
}

/** Pictures that go up or have gone. */
export function useUploads(): Shown<UploadItem[]> {
  const client = useMotoMind()
  return useLive(useMemo(() => client.watch.uploads(), [client]))
}

/** Fields with competing values. */
export function useConflicts(): Shown<RecordConflict[]> {
  const client = useMotoMind()
  return useLive(useMemo(() => client.watch.conflicts(), [client]))
}

/** A live query as React wants it: a snapshot that stays the same object until it is another one. */
function storeOf<T>(live: Live<T>) {
  let shown: Shown<T> = NOTHING
  const listeners = new Set<() => void>()
  let stop = () => {}
  const show = (next: Shown<T>) => {
    shown = next
    for (const listener of listeners) listener()
  }
  return {
    shown: () => shown,
    subscribe(listener: () => void) {
      if (listeners.size === 0) {
        stop = live.subscribe(
          (value) => show({ value, error: undefined }),
          (error) => show({ value: shown.value, error }),
        )
      }
      listeners.add(listener)
      return () => {
        listeners.delete(listener)
        if (listeners.size === 0) stop()
      }
    },
  }
}
