// A person's browser: a profile directory that outlives the processes which use it.
import { readFileSync, readdirSync } from 'node:fs'
import { chromium } from 'playwright-core'

const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync']

export async function startBrowser(profile) {
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    headless: true,
    args: FLAGS,
  })
  return {
    // A page whose worker holds the device. `call` runs one of the worker's functions.
    async page(origin) {
      const page = await context.newPage()
      page.on('pageerror', (error) => console.log(`    page: ${error}`))
      await page.goto(`${origin}/`)
      let devtools
      return {
        call: (name, ...args) => page.evaluate(([n, a]) => window.call(n, ...a), [name, args]),
        expose: (name, body) => page.exposeFunction(name, body),
        evaluate: (body, arg) => page.evaluate(body, arg),
        // The files that a person picks, by their paths.
        pick: (paths) => page.setInputFiles('#picked', paths),
        // Says how many bytes the origin may take (as many as the browser finds right when absent), and
        // returns `{ usage, quota }` as they really are: the page itself is told other figures.
        async quota(bytes) {
          devtools ??= await context.newCDPSession(page)
          await devtools.send('Storage.overrideQuotaForOrigin', { origin, quotaSize: bytes })
          return devtools.send('Storage.getUsageAndQuota', { origin })
        },
        close: () => page.close(),
      }
    },
    quit: () => context.close(),
    // As a dead battery would have it: no handler runs, nothing is flushed on the way out.
    async kill() {
      const gone = new Promise((resolve) => context.once('close', resolve))
      process.kill(browserPid(profile), 'SIGKILL')
      await gone
    },
  }
}

// The browser's first process is the one that names the profile and is no helper (`--type=`).
function browserPid(profile) {
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    let words
    try {
      words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
    } catch {
      continue // ended meanwhile
    }
    if (words.includes(`--user-data-dir=${profile}`) && !words.some((w) => w.startsWith('--type='))) {
      return Number(pid)
    }
  }
  throw new Error(`no browser runs on ${profile}`)
}
