// What a page loads of the published package: it must not grow beyond what it is, and is to become less.
//   scripts/wasm --sizes
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { brotliCompressSync, gzipSync, constants } from 'node:zlib'

const KB = 1000
const BOUNDS = { brotli: 1_110 * KB, gzip: 1_460 * KB, mainGzip: 15 * KB }
const AIM = { brotli: 640 * KB, gzip: 800 * KB }

const here = dirname(fileURLToPath(import.meta.url))
const dist = join(here, '../dist')
const require = createRequire(join(here, '../../tests/browser/package.json'))
const { rolldown } = await import(pathToFileURL(require.resolve('rolldown')))

// As an app's bundler makes them: one file for the page, one for the worker, minified.
const bundled = async (entry) => {
  const bundle = await rolldown({ input: join(dist, entry), logLevel: 'silent' })
  const { output } = await bundle.generate({ format: 'es', minify: true })
  return Buffer.from(output[0].code)
}
const brotli = (bytes) => brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_LGWIN]: 22 } }).length
const sizes = (bytes) => ({ raw: bytes.length, gzip: gzipSync(bytes, { level: 9 }).length, brotli: brotli(bytes) })
const rows = {
  page: sizes(await bundled('index.js')),
  worker: sizes(await bundled('worker.js')),
  wasm: sizes(readFileSync(join(dist, 'core.wasm'))),
}
const sum = (key) => Object.values(rows).reduce((all, row) => all + row[key], 0)
const total = { raw: sum('raw'), gzip: sum('gzip'), brotli: sum('brotli') }
for (const [name, { raw, gzip, brotli }] of Object.entries({ ...rows, total })) {
  console.log(`${name.padEnd(7)} ${String(raw).padStart(9)} bytes, ${String(gzip).padStart(8)} gzip, ${String(brotli).padStart(8)} brotli`)
}
console.log(`aim     ${' '.repeat(17)}${String(AIM.gzip).padStart(8)} gzip, ${String(AIM.brotli).padStart(8)} brotli`)
const over = []
if (total.brotli > BOUNDS.brotli) over.push(`${total.brotli} bytes brotli, at most ${BOUNDS.brotli}`)
if (total.gzip > BOUNDS.gzip) over.push(`${total.gzip} bytes gzip, at most ${BOUNDS.gzip}`)
if (rows.page.gzip > BOUNDS.mainGzip) over.push(`the page ${rows.page.gzip} bytes gzip, at most ${BOUNDS.mainGzip}`)
for (const line of over) console.log(`too large: ${line}`)
process.exitCode = over.length ? 1 : 0
