/**
 * An offline-first vehicle database in the browser.
 *
 * ```ts
 * const client = await MotoMind.open({ url, getToken, name: 'alice' })
 * await client.capture({ vehicleId, type: 'odometer', miles: 54120, photos: [file], fix })
 * for await (const rows of client.watch.timeline(vehicleId)) show(rows)
 * ```
 *
 * @module
 */
export { fixOf } from './arguments.js'
export { Client, Sync, Watch } from './client.js'
export * from './errors.js'
export type * from './generated.js'
export { uuidv7 } from './id.js'
export { MotoMind } from './open.js'
export { Records } from './records.js'
export { Sessions } from './sessions.js'
export type {
  AddedPhoto, CallOptions, Collection, DeviceIdentity, Entry, EventFamily, EventType, Identity, Live, NewEvent, NewPhoto,
  NewSession, OpenOptions, PhotoTarget, Picture, RecordWrite, Status, StorageReport, TimelineEntry, TimelinePage,
  TimelineQuery, Verified, View, Write, WriteOptions,
} from './types.js'
