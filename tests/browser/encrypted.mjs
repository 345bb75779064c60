// Encryption at rest in the browser: what rests in OPFS says nothing, and only the key opens it.
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { startBrowser } from './browser.mjs'
import { check, summary } from './checks.mjs'
import { filesInOpfs } from './opfs.mjs'
import { serveSite } from './site.mjs'

const CANARY = 'the canary sings in plaintext'
const scratch = mkdtempSync(join(tmpdir(), 'motomind-encrypted-'))
const identity = { tenant_id: randomUUID(), user_id: randomUUID() }
const site = await serveSite(dirname(fileURLToPath(import.meta.url)))
let browser = await startBrowser(join(scratch, 'profile'))
try {
  const encryptionKey = randomUUID()
  const open = async (name, options) => {
    const page = await browser.page(site.origin)
    await page.call('open', name, identity, options)
    return page
  }
  const wash = { vehicleId: randomUUID(), type: 'car_wash', notes: CANARY }
  const holding = (files) => Object.keys(files).filter((name) => files[name].text.includes(CANARY))

  await check('the canary is found where nothing is encrypted', async () => {
    const page = await open('plain')
    await page.call('capture', wash)
    assert.deepEqual(holding(await page.evaluate(filesInOpfs)), ['journal.db-wal'])
    await page.call('signOut', { discardUnsent: true })
    await page.close()
  })
  await check('with a key nothing in OPFS holds it, nor says that it is a database', async () => {
    const page = await open('secret', { encryptionKey })
    await page.call('capture', wash)
    assert.equal((await page.call('entries'))[0].record.event.notes, CANARY)
    const files = await page.evaluate(filesInOpfs)
    assert.ok(files['journal.db-wal'].text.length > 0)
    assert.deepEqual(holding(files), [])
    assert.ok(Object.values(files).every(({ text }) => !text.startsWith('SQLite format 3')))
  })
  await check('after the browser died the key opens it, in every tab; another key or none does not', async () => {
    await browser.kill()
    browser = await startBrowser(join(scratch, 'profile'))
    await assert.rejects(open('secret', { encryptionKey: 'guessed' }), /wrong_key/)
    await assert.rejects(open('secret'), /journal_damaged.*with its key/)
    const pages = [await open('secret', { encryptionKey }), await open('secret', { encryptionKey })]
    for (const page of pages) assert.equal((await page.call('entries'))[0].record.event.notes, CANARY)
  })
} catch (error) {
  await check('the story could be told', () => Promise.reject(error))
} finally {
  await browser.quit()
  site.close()
  rmSync(scratch, { recursive: true, force: true })
}
process.exitCode = summary() ? 0 : 1
