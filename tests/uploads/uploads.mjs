// The npm tus-js-client, without our own client, against the real server and Postgres.
import assert from 'node:assert/strict'
import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import * as tus from 'tus-js-client'

import { check, summary } from '../browser/checks.mjs'
import { startServer } from '../browser/server.mjs'

const CHUNK_BYTES = 256 * 1024
const store = mkdtempSync(join(tmpdir(), 'motomind-photos-'))
process.env.MOTOMIND_PHOTO_STORE ??= store // or an S3 that the environment names
const endings = [() => rmSync(store, { recursive: true, force: true })]
try {
  const server = await startServer('https://app.example')
  endings.unshift(() => server.stop())
  await story(server)
} catch (error) {
  await check('the story could be told', () => Promise.reject(error))
} finally {
  for (const end of endings) await end()
}
process.exitCode = summary() ? 0 : 1

async function story({ url, alice }) {
  const device = randomUUID()
  const headers = { authorization: `Bearer ${alice.token}`, 'motomind-device': device }
  const photo = (bytes) => Buffer.concat([Buffer.from([0xff, 0xd8, 0xff, 0xe0]), randomBytes(bytes - 4)])
  const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex')
  const metadata = (bytes) => ({ sha256: sha256(bytes), mime: 'image/jpeg', filename: 'IMG_0001.JPG' })
  const stored = async (bytes) => {
    const reply = await fetch(`${url}/v1/photos/${sha256(bytes)}`, { headers })
    assert.equal(reply.status, 200)
    return Buffer.from(await reply.arrayBuffer()).equals(bytes)
  }
  const options = (bytes, more) => ({
    endpoint: `${url}/v1/uploads`, metadata: metadata(bytes), headers, chunkSize: CHUNK_BYTES, retryDelays: null, ...more,
  })

  await check('a photo goes up in chunks', async () => {
    const picture = photo(3_000_000)
    await finished(picture, options(picture))
    assert(await stored(picture))
  })

  await check('an upload that was stopped is resumed by its capability alone', async () => {
    const picture = photo(3_000_000)
    let capability
    const upload = new tus.Upload(picture, options(picture, {
      onAfterResponse: (_, reply) => { capability ??= reply.getHeader('motomind-upload-capability') },
      onChunkComplete: (_, sent) => { if (sent >= 4 * CHUNK_BYTES) upload.abort() },
    }))
    const stopped = new Promise((resolve) => {
      const abort = upload.abort.bind(upload)
      upload.abort = (...args) => abort(...args).finally(resolve)
    })
    upload.start()
    await stopped
    const asked = []
    await finished(picture, options(picture, {
      uploadUrl: upload.url, headers: { authorization: `Bearer ${capability}` },
      onBeforeRequest: (request) => asked.push([request.getMethod(), request.getHeader('Upload-Offset')]),
    }))
    assert.equal(asked[0][0], 'HEAD')
    assert.equal(Number(asked[1][1]), 4 * CHUNK_BYTES)
    assert(await stored(picture))
  })

  await check('a cut connection costs at most a chunk', async () => {
    const picture = photo(8_000_000)
    const proxy = await cutting(new URL(url).port, [3_000_000, 2_000_000])
    const offsets = []
    await finished(picture, options(picture, {
      endpoint: `http://127.0.0.1:${proxy.port}/v1/uploads`, chunkSize: Infinity, retryDelays: [0, 0, 0, 0],
      onBeforeRequest: (request) => {
        if (request.getMethod() === 'PATCH') offsets.push(Number(request.getHeader('Upload-Offset')))
      },
    }))
    await proxy.close()
    assert.equal(offsets.length, 3)
    assert(offsets[1] > 3_000_000 - CHUNK_BYTES && offsets[2] > 5_000_000 - 2 * CHUNK_BYTES, String(offsets))
    assert(await stored(picture))
  })

  await check('a photo that is there does not travel again', async () => {
    const picture = photo(900_000)
    await finished(picture, options(picture))
    const methods = []
    await finished(picture, options(picture, {
      uploadDataDuringCreation: true, chunkSize: 1, onBeforeRequest: (request) => methods.push(request.getMethod()),
    }))
    assert.deepEqual(methods, ['POST'])
  })

  await check('an upload that was given up is gone', async () => {
    const picture = photo(600_000)
    const upload = new tus.Upload(picture, options(picture, {
      onChunkComplete: () => resolve(upload.abort(true)),
    }))
    let resolve
    const gone = new Promise((done) => { resolve = done })
    upload.start()
    await gone
    const reply = await fetch(upload.url, { method: 'HEAD', headers: { ...headers, 'tus-resumable': '1.0.0' } })
    assert.equal(reply.status, 404)
  })

  await check('what hashes to something else is refused for good', async () => {
    const [picture, other] = [photo(300_000), photo(300_000)]
    const error = await finished(picture, options(picture, { metadata: metadata(other) })).then(assert.fail, (e) => e)
    assert.equal(error.originalResponse.getStatus(), 422)
    assert.equal(JSON.parse(error.originalResponse.getBody()).code, 'hash_mismatch')
  })

  await check('nothing of an upload is left, of its photo one object', async () => {
    const names = await objects()
    assert.deepEqual(names.filter((name) => name.includes('uploads/')), [])
    assert.equal(names.filter((name) => name.includes('photos/')).length, 4)
  })
}

// The names of all objects of the photo store.
async function objects() {
  const [, bucket] = process.env.MOTOMIND_PHOTO_STORE.match(/^s3:\/\/([^/]+)/) ?? []
  if (!bucket) {
    const entries = readdirSync(store, { recursive: true, withFileTypes: true })
    return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath ?? entry.path, entry.name))
  }
  const listed = await (await fetch(`${process.env.AWS_ENDPOINT}/${bucket}?list-type=2`)).text()
  return [...listed.matchAll(/<Key>([^<]*)<\/Key>/g)].map(([, name]) => name)
}

function finished(bytes, options) {
  return new Promise((resolve, reject) => {
    new tus.Upload(bytes, { ...options, onSuccess: resolve, onError: reject }).start()
  })
}

// A proxy whose first connections that carry much are each cut after so many bytes.
async function cutting(port, cuts) {
  const left = [...cuts]
  const server = createServer((client) => {
    const upstream = connect(port, '127.0.0.1')
    let passed = 0
    client.on('data', (bytes) => {
      passed += bytes.length
      if (left.length > 0 && passed >= left[0]) {
        upstream.end(bytes.subarray(0, bytes.length - (passed - left.shift())))
        client.destroy()
      } else if (!upstream.write(bytes)) {
        client.pause()
        upstream.once('drain', () => client.resume())
      }
    })
    upstream.pipe(client)
    for (const [one, other] of [[client, upstream], [upstream, client]]) {
      one.on('error', () => other.destroy())
      one.on('close', () => other.end())
    }
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { port: server.address().port, close: () => new Promise((done) => server.close(done)) }
}
