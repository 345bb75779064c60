// A person's browser: a profile directory that outlives the processes which use it.
import { readFileSync, readdirSync } from 'node:fs'
import { chromium } from 'playwright-core'

const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync']

// `flags` are the browser's own; everything else is playwright's, such as the size of the screen.
export async function startBrowser(profile, { flags = [], ...options } = {}) {
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    headless: true,
    args: [...FLAGS, ...flags],
    ...options,
  })
  return {
    context,
    // A page with the package in it; `call` runs one of its functions (site/calls.js). `before` runs in
    // it before any script of its own.
    async page(origin, before) {
      const page = await context.newPage()
      page.on('pageerror', (error) => console.log(`    page: ${error}`))
      if (before) await page.addInitScript(before)
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
        // The process that renders it: the one that works while it is made to.
        async process() {
          const before = new Map(renderers(profile).map((pid) => [pid, ticksOf(pid)]))
          await page.evaluate(() => { for (const until = Date.now() + 400; Date.now() < until;); })
          const worked = [...before].map(([pid, ticks]) => ({ pid, ticks: ticksOf(pid) - ticks }))
          return worked.sort((a, b) => b.ticks - a.ticks)[0].pid
        },
        // As a page does that runs out of memory.
        async crash() {
          const session = await context.newCDPSession(page)
          const gone = new Promise((resolve) => page.once('crash', resolve))
          session.send('Page.crash').catch(() => {}) // nobody is left to answer
          await gone
          await page.close()
        },
        close: () => page.close(),
      }
    },
    // Any page, as playwright has it.
    async plain(url, asked = () => {}) {
      const page = await context.newPage()
      context.on('request', (request) => asked(request.url())) // a worker's, too
      page.on('pageerror', (error) => console.log(`    page: ${error}`))
      page.on('console', (line) => line.type() === 'error' && console.log(`    page: ${line.text()}`))
      await page.goto(url)
      return page
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

// The processes of a profile's browser that render pages.
function renderers(profile) {
  return pids().filter((pid) => {
    const words = wordsOf(pid)
    return words.includes('--type=renderer') && words.includes(`--user-data-dir=${profile}`)
  })
}

// What a process has worked so far, in ticks of the system's clock.
function ticksOf(pid) {
  const [utime, stime] = readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /, '').split(' ').slice(11, 13)
  return Number(utime) + Number(stime)
}

// The browser's first process is the one that names the profile and is no helper (`--type=`).
function browserPid(profile) {
  const pid = pids().find((pid) => {
    const words = wordsOf(pid)
    return words.includes(`--user-data-dir=${profile}`) && !words.some((w) => w.startsWith('--type='))
  })
  if (!pid) throw new Error(`no browser runs on ${profile}`)
  return pid
}

const pids = () => readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(Number)

function wordsOf(pid) {
  try {
    // A process that was forked from the zygote has one line instead of words.
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split(/[\0 ]/)
  } catch {
    return [] // ended meanwhile
  }
}
