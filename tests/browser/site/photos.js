// Photos on their way from the files that a person picked into the device; runs in its worker.
const PIECE_BYTES = 1024 * 1024 // the most that crosses the border at once
const PREVIEW_SIDE = 1600

// Adds one photo piece by piece. `told` hears how many of its bytes the device has taken.
export async function addPhoto(device, file, target, meta, told) {
  const given = { mime: file.type, size: file.size, ...meta }
  const photo = device.beginPhoto(JSON.stringify(target), JSON.stringify(given))
  for (let at = 0; at < file.size; at += PIECE_BYTES) {
    const piece = await file.slice(at, at + PIECE_BYTES).arrayBuffer()
    device.writePhoto(photo, new Uint8Array(piece))
    told(Math.min(at + PIECE_BYTES, file.size))
  }
  const added = JSON.parse(device.finishPhoto(photo))
  // Away from the shutter: the photo is safe before its small picture is made.
  return { ...added, preview: JSON.parse(device.makePreview(added.photo, await preview(file))) }
}

// The browser's own small picture, upright; none of what it cannot decode.
export async function preview(file) {
  const picture = await createImageBitmap(file).catch(() => null)
  if (!picture) return undefined
  const scale = Math.min(1, PREVIEW_SIDE / Math.max(picture.width, picture.height))
  const canvas = new OffscreenCanvas(Math.round(picture.width * scale), Math.round(picture.height * scale))
  canvas.getContext('2d').drawImage(picture, 0, 0, canvas.width, canvas.height)
  picture.close()
  const blob = await canvas.convertToBlob({ type: 'image/jpeg', quality: 0.8 })
  return new Uint8Array(await blob.arrayBuffer())
}

// A photo, or its small picture, as one Blob; null where its bytes are not here.
export function readPhoto(device, photo, which) {
  const pieces = []
  for (let have = 0, total = 1; have < total;) {
    const piece = device.readPhoto(photo, which, have, PIECE_BYTES)
    if (!piece) return null
    pieces.push(piece.bytes)
    have += piece.bytes.length
    total = piece.total
  }
  return new Blob(pieces)
}
