// The last step of a build: a service worker that keeps every file of it on the device. Written here
// instead of taken from Workbox, which brings 300 packages for what are 60 lines.
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import type { Plugin } from 'vite'

export function offlineShell({ without }: { without: RegExp }): Plugin {
  let root = ''
  let out = ''
  return {
    name: 'offline-shell',
    apply: 'build',
    configResolved(config) {
      root = config.root
      out = join(config.root, config.build.outDir)
    },
    closeBundle: {
      order: 'post',
      sequential: true,
      handler() {
        const files = filesIn(out).map((path) => `/${relative(out, path)}`).filter((path) => path !== '/sw.js' && !without.test(path)).sort()
        const version = createHash('sha256')
        for (const file of files) version.update(file).update(readFileSync(join(out, file)))
        const worker = readFileSync(join(root, 'shell', 'worker.js'), 'utf8')
          .replace('__FILES__', JSON.stringify(files))
          .replace('__VERSION__', JSON.stringify(version.digest('hex').slice(0, 16)))
        writeFileSync(join(out, 'sw.js'), worker)
      },
    },
  }
}

function filesIn(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    return entry.isDirectory() ? filesIn(path) : [path]
  })
}
