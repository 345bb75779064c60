// Photos on their way from the files that a person picked into the engine, and back.
import type { GivenPhoto } from './arguments.js'
import type { Device } from './core.js'
import type { PendingItem, PhotoShown } from './generated.js'
import type { AddedPhoto } from './types.js'

// Of a worker's scope, which TypeScript does not offer beside a page's.
declare const FileReaderSync: (new () => { readAsArrayBuffer(blob: Blob): ArrayBuffer }) | undefined

/** The most that crosses the border at once, bytes. */
const PIECE_BYTES = 1024 * 1024
/** The longer side of a preview, pixels. */
const PREVIEW_SIDE = 1600

export class Pictures {
  constructor(readonly device: Device) {}

  /** Adds a photo piece by piece; captures and reading go on between the pieces. */
  async add(target: string, { file, meta }: GivenPhoto, id: string): Promise<string> {
    const before = this.#addedBefore(id)
    if (before) return JSON.stringify(before)
    const photo = this.device.beginPhoto(target, await withRoom(meta))
    for (let at = 0; at < file.size; at += PIECE_BYTES) {
      this.device.writePhoto(photo, await bytesOf(file.slice(at, at + PIECE_BYTES)))
    }
    const added = JSON.parse(this.device.finishPhoto(photo, undefined, id))
    // Away from the shutter: the photo is safe before its small picture is made.
    const made = this.device.makePreview(added.photo, await previewOf(file))
    return JSON.stringify({ ...added, preview: JSON.parse(made) })
  }

  /** What was put on an event under this id, where its caller did not hear of it. */
  #addedBefore(id: string): AddedPhoto | null {
    const said = (JSON.parse(this.device.operation(id)) as PendingItem | null)?.photo
    if (!said) return null
    const photos: PhotoShown[] = JSON.parse(this.device.photos(said.event_id))
    const { photo, facts, flags } = photos.find((one) => one.photo === said.photo) ?? { ...said, flags: null }
    return { photo, facts: facts ?? null, flags, notes: [], preview: null, duplicate: true, op_id: id }
  }

  /** Captures an event with its photos in one call. */
  async capture(capture: string, photos: GivenPhoto[]): Promise<string> {
    const given = []
    for (const { file, meta } of photos) {
      given.push({ read: await readerOf(file), meta: await withRoom(meta), preview: await previewOf(file) })
    }
    return this.device.captureWithPhotos(capture, given)
  }

  /** A picture's bytes; null where they are not here. */
  read(photo: string, which: 'original' | 'preview'): Blob | null {
    const pieces: Uint8Array<ArrayBuffer>[] = []
    let type = ''
    for (let have = 0, total = 1; have < total;) {
      const piece = this.device.readPhoto(photo, which, have, PIECE_BYTES)
      if (!piece) return null
      pieces.push(piece.bytes)
      have += piece.bytes.length
      total = piece.total
      type = piece.mime
    }
    return new Blob(pieces, { type })
  }
}

/** Says how much room the browser gives, where the app has not. */
async function withRoom(meta: string): Promise<string> {
  const said = JSON.parse(meta)
  if (said.room) return meta
  const { usage, quota } = await globalThis.navigator?.storage?.estimate?.().catch(() => ({})) as StorageEstimate ?? {}
  if (usage === undefined || quota === undefined) return meta
  return JSON.stringify({ ...said, room: { free_bytes: Math.max(0, quota - usage) } })
}

async function bytesOf(blob: Blob): Promise<Uint8Array> {
  try {
    return new Uint8Array(await blob.arrayBuffer())
  } catch (error) {
    throw Object.assign(new Error(`the file cannot be read: ${error}`), { code: 'host' })
  }
}

/** Reads parts of a file at once: as a worker may, or from memory where there is no such reader. */
async function readerOf(file: Blob): Promise<(from: number, to: number) => Uint8Array> {
  if (typeof FileReaderSync === 'undefined') {
    const bytes = await bytesOf(file)
    return (from, to) => bytes.subarray(from, to)
  }
  const reader = new FileReaderSync()
  return (from, to) => new Uint8Array(reader.readAsArrayBuffer(file.slice(from, to)))
}

/** The browser's own small picture, upright; none of what it cannot decode. */
async function previewOf(file: Blob): Promise<Uint8Array | undefined> {
  if (typeof createImageBitmap === 'undefined' || typeof OffscreenCanvas === 'undefined') return undefined
  const picture = await createImageBitmap(file).catch(() => null)
  if (!picture) return undefined
  const scale = Math.min(1, PREVIEW_SIDE / Math.max(picture.width, picture.height))
  const canvas = new OffscreenCanvas(Math.round(picture.width * scale), Math.round(picture.height * scale))
  canvas.getContext('2d')!.drawImage(picture, 0, 0, canvas.width, canvas.height)
  picture.close()
  const blob = await canvas.convertToBlob({ type: 'image/jpeg', quality: 0.8 })
  return new Uint8Array(await blob.arrayBuffer())
}
