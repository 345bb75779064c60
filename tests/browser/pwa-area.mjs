// A map of an area as a `.pmtiles` file: one raster tile for the whole world, as small as the format allows.
import { deflateSync } from 'node:zlib'

const NO_COMPRESSION = 1
const PNG = 2

export function areaFile() {
  const tile = png(256, [196, 214, 190])
  const metadata = Buffer.from(JSON.stringify({ name: 'one colour' }))
  // One entry: tile 0, once, so long, at the beginning.
  const directory = Buffer.concat([1, 0, 1, tile.length, 1].map(varint))
  const header = Buffer.alloc(127)
  header.write('PMTiles', 'latin1')
  header[7] = 3
  const parts = [directory, metadata, Buffer.alloc(0), tile]
  let at = header.length
  parts.forEach((part, n) => {
    header.writeBigUInt64LE(BigInt(at), 8 + 16 * n)
    header.writeBigUInt64LE(BigInt(part.length), 16 + 16 * n)
    at += part.length
  })
  for (const place of [72, 80, 88]) header.writeBigUInt64LE(1n, place)
  header[96] = 1 // clustered
  header[97] = NO_COMPRESSION
  header[98] = NO_COMPRESSION
  header[99] = PNG
  for (const [place, degrees] of [[102, -180], [106, -85], [110, 180], [114, 85]]) header.writeInt32LE(degrees * 1e7, place)
  return Buffer.concat([header, ...parts])
}

function varint(value) {
  const bytes = []
  for (; value > 127; value >>>= 7) bytes.push((value & 127) | 128)
  return Buffer.from([...bytes, value])
}

function png(size, colour) {
  const row = Buffer.concat([Buffer.from([0]), Buffer.alloc(size * 3, Buffer.from(colour))])
  const header = Buffer.alloc(13)
  header.writeUInt32BE(size, 0)
  header.writeUInt32BE(size, 4)
  header.set([8, 2, 0, 0, 0], 8)
  const rows = Buffer.concat(Array.from({ length: size }, () => row))
  return Buffer.concat([Buffer.from('89504e470d0a1a0a', 'hex'), chunk('IHDR', header), chunk('IDAT', deflateSync(rows)), chunk('IEND', Buffer.alloc(0))])
}

function chunk(name, data) {
  const body = Buffer.concat([Buffer.from(name, 'latin1'), data])
  const whole = Buffer.alloc(body.length + 8)
  whole.writeUInt32BE(data.length, 0)
  body.copy(whole, 4)
  whole.writeUInt32BE(crc(body), body.length + 4)
  return whole
}

function crc(bytes) {
  let sum = 0xffffffff
  for (const byte of bytes) {
    sum ^= byte
    for (let bit = 0; bit < 8; bit += 1) sum = sum & 1 ? (sum >>> 1) ^ 0xedb88320 : sum >>> 1
  }
  return (sum ^ 0xffffffff) >>> 0
}
