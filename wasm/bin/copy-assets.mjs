#!/usr/bin/env node
// Copies the worker, what it imports, and the engine's wasm to a directory that the app serves.
//   motomind-copy-assets public/motomind
// Then: MotoMind.open({ …, workerUrl: '/motomind/worker.js' }); the wasm is found beside it.
import { copyFileSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const [to] = process.argv.slice(2)
if (!to) {
  console.error('say where to: motomind-copy-assets DIRECTORY')
  process.exit(2)
}
const from = fileURLToPath(new URL('../dist', import.meta.url))
const files = new Set(['core.wasm'])
const imported = (file) => {
  if (files.has(file)) return
  files.add(file)
  for (const [, next] of readFileSync(join(from, file), 'utf8').matchAll(/from '\.\/([\w-]+\.js)'/g)) imported(next)
}
imported('worker.js')
mkdirSync(to, { recursive: true })
for (const file of files) copyFileSync(join(from, file), join(to, file))
console.log(`${files.size} files copied to ${to}`)
