// Photos as a camera makes them: real JPEGs of some 5 MB, drawn and encoded by the browser.
import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

const BYTES_MIN = 5_000_000

// Writes so many into a directory: `{ name, path, bytes, sha256 }` of each, all different.
export async function takePictures(page, directory, count, { width = 2800, height = 2100, bytesMin = BYTES_MIN } = {}) {
  const pictures = []
  for (let n = 1; n <= count; n += 1) {
    const bytes = Buffer.from(await page.evaluate(drawn, { seed: n, width, height }), 'base64')
    if (bytes.length < bytesMin) throw new Error(`a picture of ${bytes.length} bytes is too small`)
    const name = `IMG_${String(n).padStart(4, '0')}.jpg`
    const path = join(directory, name)
    writeFileSync(path, bytes)
    pictures.push({ name, path, bytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') })
  }
  return pictures
}

// Runs in the page. Noise: an encoder finds little to leave out.
async function drawn({ seed, width, height }) {
  const canvas = new OffscreenCanvas(width, height)
  const drawing = canvas.getContext('2d')
  const image = drawing.createImageData(canvas.width, canvas.height)
  const pixels = new Uint32Array(image.data.buffer)
  let dice = seed * 2654435761 >>> 0
  for (let i = 0; i < pixels.length; i += 1) {
    dice ^= dice << 13; dice ^= dice >>> 17; dice ^= dice << 5
    pixels[i] = 0xff000000 | dice
  }
  drawing.putImageData(image, 0, 0)
  const blob = await canvas.convertToBlob({ type: 'image/jpeg', quality: 0.97 })
  const url = await new Promise((resolve) => {
    const reader = new FileReader()
    reader.onload = () => resolve(reader.result)
    reader.readAsDataURL(blob)
  })
  return url.slice(url.indexOf(',') + 1)
}
