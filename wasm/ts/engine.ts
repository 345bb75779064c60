// The engine's methods, by the names under which pages call them.
import type { GivenPhoto } from './arguments.js'
import type { Device } from './core.js'
import { Pictures } from './pictures.js'

/** The engine's wasm, loaded. */
export type Bindings = { Device: typeof Device }
export type { Device }

/** Methods that are called as they are: what goes in and comes out are texts, numbers and truths. */
export const DIRECT = new Set([
  'identity', 'capture', 'amend', 'discard', 'retract', 'restore', 'family', 'operation', 'retry',
  'correctLocation', 'withdrawLocation', 'place',
  'photos', 'attachPhoto', 'describePhoto', 'removePhoto', 'fetchPhoto', 'verifyPhotos', 'uploads', 'retryUpload',
  'beginSession', 'sessions', 'sessionStep', 'resumeSession', 'leaveSession', 'removeSessionPhoto', 'discardSession',
  'completeSession',
  'records', 'record', 'create', 'edit', 'deleteRecord', 'restoreRecord', 'resolve', 'conflicts', 'history',
  'amendEdit', 'sameAs',
  'timeline', 'vehicles', 'vehicle', 'garages', 'pending', 'space', 'freeSpace', 'verify', 'export', 'custody',
  'compareCustody',
])

/** Methods that read, and so change nothing that anyone watches. */
const READING = new Set([
  'identity', 'family', 'operation', 'place', 'photos', 'verifyPhotos', 'uploads', 'sessions', 'records', 'record',
  'conflicts', 'history', 'timeline', 'vehicles', 'vehicle', 'garages', 'pending', 'space', 'verify', 'export',
  'custody', 'status', 'readPhoto',
])

export const reads = (method: string) => READING.has(method)

/** Photos: their bytes are read here, piece by piece, from the files that the page has. */
export const photoMethods = (device: Device, pictures = new Pictures(device)) => ({
  addPhoto: (target: string, photo: GivenPhoto, id: string) => pictures.add(target, photo, id),
  captureWithPhotos: (capture: string, photos: GivenPhoto[]) => pictures.capture(capture, photos),
  readPhoto: (photo: string, which: 'original' | 'preview') => pictures.read(photo, which),
})
