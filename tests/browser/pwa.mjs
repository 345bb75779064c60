// The app, as a technician uses it: installed, without a signal, in two tabs, killed, back in town; and
// what a colleague sees of it. Real Chromium, the real server, a real Postgres.
import assert from 'node:assert/strict'
import { appendFileSync, cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { check, summary } from './checks.mjs'
import { takePictures } from './pictures.mjs'
import { areaFile } from './pwa-area.mjs'
import { startPhone } from './pwa-phone.mjs'
import { WEB, startApp } from './pwa-site.mjs'

const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

const home = mkdtempSync(join(tmpdir(), 'motomind-pwa-'))
// Its own copy of the built app: a story replaces it by a newer one.
const web = join(home, 'web')
cpSync(WEB, web, { recursive: true })
const app = await startApp(web)
const phone = (name, options) => startPhone(join(home, name), app.origin, options)
// What the phone had captured before it was killed.
const ofPhone = () => `id IN (${before.map(({ op }) => `'${op}'`)})`
const events = (where) => Number(app.sql(`SELECT count(*) FROM vehicle_events WHERE ${where}`))

let ana
let ben
let tab
let pictures
let before

try {
  ana = await phone('ana')
  tab = await ana.tab()

  await check('a technician signs in and has the vehicles, with everything there is of them', async () => {
    await tab.signIn('Ana Ruiz')
    await tab.page.locator('.vehicle').nth(3).waitFor()
    await tab.standing('All sent')
    await tab.openVehicle('Shop Van')
    assert.match(await tab.page.locator('.big-figure').innerText(), /69,021 mi/)
    await tab.page.locator('[data-event]').first().waitFor()
    await tab.page.getByRole('link', { name: 'Charts' }).click()
    await tab.page.getByRole('img', { name: /Fuel economy: from/ }).waitFor()
  })

  await check('the app is there after a reload without a network', async () => {
    await tab.page.evaluate(() => navigator.serviceWorker.ready.then(() => null))
    pictures = (await takePictures(tab.page, home, 4, { width: 1200, height: 900, bytesMin: 1_000_000 })).map(({ path }) => path)
    await app.offline()
    await tab.at('#/')
    await tab.page.reload()
    await tab.vehicle('Blue Heron').waitFor()
    assert.equal(await tab.page.locator('.vehicle').count(), 4)
    await tab.standing(/No server|Offline/)
  })

  await check('a damage with photos and a dragged pin, a reading with a photo in another tab, both offline', async () => {
    const other = await ana.tab()
    await tab.begin('Blue Heron', 'Damage')
    await other.begin('Shop Van', 'Odometer')
    await Promise.all([tab.photograph(pictures.slice(0, 2)), other.photograph(pictures.slice(2, 3))])
    await tab.field('What happened').fill('hail dents on the roof')
    await tab.page.getByRole('button', { name: 'Moderate' }).click()
    // A browser draws the tab that is in front.
    await tab.page.bringToFront()
    await tab.dragPin(60, 40)
    await tab.save()
    await other.page.bringToFront()
    await other.field('Odometer').fill('69240')
    await other.save()
    await other.begin('Snowball', 'Odometer')
    await other.field('Odometer').fill('5641')
    await other.save()
    before = await tab.pending()
    // Two of them with a photo each, or two; the pin; and the mistake.
    const kinds = before.map(({ text }) => text)
    for (const part of ['Damage · Blue Heron', 'Place corrected · Blue Heron', 'Odometer · Shop Van', 'Odometer · Snowball']) {
      assert.equal(kinds.filter((text) => text.includes(part)).length, 1, `${part} in ${kinds.join('\n')}`)
    }
    assert.equal(kinds.filter((text) => text.includes('Photo · ')).length, 3)
    for (const text of kinds) assert.match(text, /(just now|min old) · \d/)
    await other.page.close()
  })

  await check('a capture that jumps is asked about, and stays where it was typed', async () => {
    await tab.begin('Shop Van', 'Odometer')
    await tab.field('Odometer').fill('692400')
    await tab.page.getByRole('button', { name: 'Save', exact: true }).click()
    await tab.page.getByRole('dialog').getByText('623,160 mi').waitFor()
    await tab.page.getByRole('button', { name: 'Change it' }).click()
    assert.equal(await tab.field('Odometer').inputValue(), '692400')
    await tab.field('Odometer').fill('')
  })

  await check('signing out is refused while anything is on this device alone', async () => {
    await tab.at('#/sync')
    await tab.page.getByRole('button', { name: 'Sign out' }).click()
    await tab.page.getByRole('dialog').getByRole('button', { name: 'Sign out' }).click()
    await tab.page.getByTestId('guard').waitFor()
    assert.ok(await tab.page.getByRole('button', { name: 'Delete and sign out' }).isDisabled())
    const [file] = await Promise.all([tab.page.waitForEvent('download'), tab.page.getByRole('button', { name: 'Export them to a file' }).click()])
    assert.match(file.suggestedFilename(), /\.ndjson$/)
    await tab.page.getByRole('button', { name: 'Stay and let them go up' }).click()
  })

  await check('a newer version of the app waits until it is wanted, and takes nothing from what is unsent', async () => {
    await tab.airplane(true)
    await app.online()
    appendFileSync(join(web, 'sw.js'), '\n// newer\n')
    await tab.page.evaluate(() => navigator.serviceWorker.getRegistration().then((it) => it.update()).then(() => null))
    await tab.page.getByRole('button', { name: 'Use it' }).click()
    await tab.page.waitForFunction(() => navigator.serviceWorker.getRegistration().then((it) => !it.waiting && !it.installing))
    await tab.page.getByRole('navigation', { name: 'Main' }).waitFor()
    assert.deepEqual((await tab.pending()).map(({ op }) => op), before.map(({ op }) => op))
  })

  await check('the browser is killed: the same captures are there, in the same order', async () => {
    await app.offline()
    await tab.airplane(false)
    await ana.kill()
    ana = await phone('ana')
    tab = await ana.tab('#/sync')
    assert.deepEqual((await tab.pending()).map(({ op }) => op), before.map(({ op }) => op))
    assert.equal(events(ofPhone()), 0)
  })

  await check('back in town everything goes, once, and the one mistake stays with its reason', async () => {
    await app.online()
    await tab.at('#/')
    await tab.standing('1 refused')
    await tab.at('#/sync')
    await tab.page.locator('.refusal[data-code=odometer_out_of_order]').waitFor()
    await tab.page.waitForFunction(() => document.querySelectorAll('.item').length === 1, null, { timeout: 60_000 })
    assert.match(await tab.page.locator('.refusal').innerText(), /56,358 mi/)
    assert.deepEqual(app.sql(`SELECT string_agg(type || coalesce(' ' || miles, ''), ', ' ORDER BY type) FROM vehicle_events WHERE ${ofPhone()}`),
      'damage, odometer 69240')
    assert.equal(Number(app.sql('SELECT count(*) FROM event_photos')), 3)
  })

  await check('the refused reading is mended on the screen, and arrives', async () => {
    await tab.page.getByRole('link', { name: 'Mend' }).click()
    const miles = tab.field('Odometer')
    await miles.fill('56410')
    await tab.page.getByRole('button', { name: 'Save', exact: true }).click()
    await tab.page.getByText('The server has everything from this device.').waitFor()
    assert.equal(events(`miles = 56410 AND vehicle_id = (SELECT id FROM vehicles WHERE nickname = 'Snowball')`), 1)
  })

  await check('a colleague sees all of it: the photos, the place as measured and as corrected', async () => {
    ben = await phone('ben')
    ben.tab1 = await ben.tab()
    const there = ben.tab1
    await there.signIn('Ben Okafor')
    await there.openVehicle('Blue Heron')
    const row = there.page.locator('[data-event]').filter({ hasText: 'hail dents' })
    await row.getByText('place corrected').waitFor()
    await row.getByText('Ana Ruiz').waitFor()
    await there.page.waitForFunction(() => [...document.querySelectorAll('.event img.thumb')].filter((it) => it.naturalWidth > 0).length === 2)
    await row.click()
    await there.page.locator('.map figcaption').getByText(/Measured ± 84 m/).waitFor()
    await there.page.locator('.map figcaption').getByText(/Corrected, [\d.]+ m away/).waitFor()
    assert.equal(await there.page.locator('.photo-state').filter({ hasText: 'sent' }).count(), 2)
    await there.openVehicle('Snowball')
    assert.match(await there.page.locator('.big-figure').innerText(), /56,410 mi/)
  })

  await check('both name one vehicle without seeing each other; one of them chooses', async () => {
    const there = ben.tab1
    const name = async (who, nickname) => {
      await who.openVehicle('Blue Heron')
      await who.page.getByRole('link', { name: 'Edit the vehicle' }).click()
      await who.field('Nickname').fill(nickname)
      await who.page.getByRole('button', { name: 'Save', exact: true }).click()
      await who.page.getByRole('heading', { level: 1, name: nickname }).waitFor()
    }
    await tab.airplane(true)
    await there.airplane(true)
    await name(tab, 'Grey Heron')
    await name(there, 'Heron One')
    await tab.airplane(false)
    await tab.standing('All sent')
    await there.airplane(false)
    await there.at('#/conflicts')
    const conflict = there.page.locator('[data-field=nickname]')
    await conflict.getByText('Grey Heron', { exact: true }).waitFor()
    await conflict.getByText('Heron One', { exact: true }).waitFor()
    await conflict.getByText('Ana Ruiz').waitFor()
    await conflict.getByRole('button', { name: 'Keep this: Heron One' }).click()
    await there.page.getByText('Nothing to decide').waitFor()
    await there.standing('All sent')
    await tab.at('#/')
    await tab.vehicle('Heron One').waitFor()
    await tab.at('#/conflicts')
    await tab.page.getByText('Nothing to decide').waitFor()
  })

  await check('the place is corrected with the keyboard alone; what another said of it stays', async () => {
    const there = ben.tab1
    await there.openVehicle('Heron One')
    await there.page.locator('[data-event]').filter({ hasText: 'hail dents' }).click()
    await there.page.getByRole('button', { name: 'Correct the place' }).press('Enter')
    const map = there.page.getByRole('application')
    await there.page.locator('.map[data-ready]').waitFor()
    for (const key of ['ArrowUp', 'ArrowUp', 'ArrowLeft']) await map.press(key)
    await there.page.getByRole('button', { name: 'Save the place' }).press('Enter')
    await there.page.getByText('Also said').waitFor()
    await there.standing('All sent')
    assert.equal(Number(app.sql('SELECT count(*) FROM location_corrections')), 2)
    await tab.openVehicle('Heron One')
    await tab.page.locator('[data-event]').filter({ hasText: 'hail dents' }).click()
    await tab.page.locator('dd').filter({ hasText: 'by Ben Okafor' }).waitFor()
  })

  await check('a vehicle that was there already: refused with the reason, and one press makes both one', async () => {
    await app.offline()
    await tab.at('#/v/new')
    await tab.field('Nickname').fill('White van')
    await tab.field('VIN').fill('1ftbr1c86mka10427')
    await tab.page.getByRole('button', { name: 'Save', exact: true }).click()
    await tab.page.getByRole('heading', { level: 1, name: 'White van' }).waitFor()
    await tab.begin('White van', 'Odometer')
    await tab.field('Odometer').fill('69255')
    await tab.save()
    assert.equal(await tab.page.evaluate(() => window.badge), 2)
    await app.online()
    await tab.at('#/sync')
    await tab.page.locator('.refusal[data-code=vin_taken]').waitFor()
    await tab.page.locator('.item').filter({ hasText: 'Vehicle added' }).getByRole('link', { name: 'Mend' }).click()
    await tab.page.getByRole('button', { name: 'It is the same as Shop Van' }).click()
    await tab.page.locator('[data-event]').filter({ hasText: '69,255' }).waitFor()
    await tab.standing('All sent')
    assert.equal(events(`miles = 69255 AND vehicle_id = (SELECT id FROM vehicles WHERE vin = '1FTBR1C86MKA10427')`), 1)
    assert.equal(await tab.page.evaluate(() => window.badge), 0)
    // Two names of one car are a question, asked where the car is edited.
    await tab.page.getByRole('link', { name: 'Edit the vehicle' }).click()
    await tab.page.getByRole('button', { name: 'Keep this: Shop Van' }).click()
    await tab.at('#/')
    await tab.vehicle('Shop Van').waitFor()
    await tab.standing('All sent')
  })

  await check('guided, with the camera: a reload between two steps takes no photo', async () => {
    await tab.openVehicle('Shop Van')
    await tab.page.locator('.nav-capture').click()
    await tab.page.getByRole('button', { name: 'Guided' }).click()
    await tab.page.locator('.kind-card').filter({ hasText: 'Warning light' }).click()
    const shoot = async () => {
      await tab.page.getByRole('button', { name: /^Camera/ }).click()
      await tab.page.getByRole('button', { name: 'Take the photo' }).click()
      await tab.page.locator('.shots img').waitFor()
    }
    await shoot()
    await tab.page.reload()
    await tab.page.locator('.shots img').waitFor()
    await tab.at('#/')
    await tab.page.getByRole('link', { name: 'Go on: Warning light' }).click()
    await tab.page.getByRole('button', { name: 'Next' }).click()
    await tab.page.getByRole('heading', { name: 'Odometer' }).waitFor()
    await tab.photograph(pictures.slice(3))
    await tab.page.getByRole('button', { name: 'Finish' }).click()
    await tab.page.getByRole('button', { name: 'Brake' }).click()
    await tab.field('Odometer').fill('69260')
    await tab.save()
    await tab.page.locator('[data-event]').filter({ hasText: 'brake' }).waitFor()
    await tab.at('#/')
    await tab.standing('All sent')
    assert.equal(events(`type = 'dashboard_warning' AND miles = 69260`), 1)
    assert.equal(await tab.page.getByText('Go on:').count(), 0)
  })

  await check('photos of a capture that was left stay, until the person throws them away', async () => {
    await tab.begin('Snowball', 'Document')
    await tab.photograph(pictures.slice(0, 1))
    await tab.page.getByRole('button', { name: 'Leave; photos stay' }).click()
    await tab.page.locator('.big-figure').waitFor()
    await tab.at('#/')
    await tab.page.getByRole('link', { name: 'Go on: Document' }).getByText('1 photo kept').waitFor()
    await tab.page.getByRole('button', { name: 'Throw away: Document' }).click()
    await tab.page.getByRole('dialog').getByRole('button', { name: 'Throw away' }).click()
    await tab.page.getByText('Go on:').waitFor({ state: 'detached' })
  })

  await check('a manager takes an event back, and brings it back', async () => {
    const there = ben.tab1
    const look = async () => {
      await there.openVehicle('Heron One')
      return there.page.locator('[data-event]').filter({ hasText: 'hail dents' })
    }
    await (await look()).click()
    const address = new URL(there.page.url()).hash
    await there.page.getByRole('button', { name: 'Take back' }).click()
    await there.field('Why').fill('another vehicle')
    await there.page.getByRole('dialog').getByRole('button', { name: 'Take back' }).click()
    await there.page.locator('.big-figure').waitFor()
    await (await look()).waitFor({ state: 'detached' })
    await there.standing('All sent')
    await there.at(address)
    await there.page.getByText('This was taken back: another vehicle').waitFor()
    await there.page.getByRole('button', { name: 'Bring back' }).click()
    await (await look()).waitFor()
  })

  await check('what was accepted is corrected: both readings stay', async () => {
    await tab.openVehicle('Shop Van')
    await tab.page.locator('[data-event]').filter({ hasText: '69,240' }).click()
    await tab.page.getByRole('link', { name: 'Correct' }).click()
    await tab.field('Odometer').fill('69241')
    await tab.field('Why').fill('read again in the light')
    await tab.page.getByRole('button', { name: 'Save', exact: true }).click()
    const story = tab.page.locator('.story')
    await story.getByText('69,240 mi').waitFor()
    await story.getByText('69,241 mi').waitFor()
    await story.getByText('read again in the light').first().waitFor()
  })

  await check('the map is drawn on a file of the person’s own, without a network', async () => {
    const file = join(home, 'area.pmtiles')
    writeFileSync(file, areaFile())
    await tab.at('#/more')
    await tab.page.getByTestId('area').setInputFiles(file)
    await tab.page.getByText('area.pmtiles is on this device now').waitFor()
    await app.offline()
    await tab.begin('Shop Van', 'Odometer')
    await tab.page.locator('.map[data-ground=area]').waitFor()
    await app.online()
  })

  await check('another company, on the same phone, sees only its own', async () => {
    await tab.at('#/more')
    await tab.page.getByRole('button', { name: 'Someone else' }).click()
    await tab.signIn('Mia Chen')
    await tab.vehicle('Box Truck 1').waitFor()
    await tab.standing('All sent')
    assert.deepEqual((await tab.page.locator('.vehicle-text strong').allInnerTexts()).sort(), ['Box Truck 1', 'Quiet One'])
    await tab.page.reload()
    await tab.vehicle('Box Truck 1').waitFor()
  })

  await check('no screen has anything that axe finds wrong, in the light and in the dark', async () => {
    const { page } = ben.tab1
    const vehicle = app.sql(`SELECT id FROM vehicles WHERE nickname = 'Heron One'`)
    const event = app.sql(`SELECT id FROM vehicle_events WHERE payload->>'description' = 'hail dents on the roof'`)
    await ben.tab1.airplane(true)
    await ben.tab1.begin('Snowball', 'Fuel')
    await ben.tab1.field('Gallons').fill('12')
    await ben.tab1.save()
    const wrong = []
    const look = async (where) => {
      await page.waitForFunction(() => document.querySelector('main') && !document.querySelector('[aria-busy=true]'))
      for (const theme of ['light', 'dark']) {
        await page.evaluate((theme) => { document.documentElement.dataset.theme = theme }, theme)
        const { violations } = await page.evaluate(() => axe.run())
        for (const { id, nodes } of violations) wrong.push(`${theme} ${where} ${id}: ${nodes.slice(0, 3).map(({ html }) => html.slice(0, 120)).join(' | ')}`)
      }
    }
    await page.evaluate(axeSource)
    for (const address of ['#/', '#/reminders', '#/sync', '#/more', '#/garages', '#/conflicts', '#/capture', '#/v/new', `#/v/${vehicle}`,
      `#/v/${vehicle}/charts`, `#/v/${vehicle}/edit`, `#/v/${vehicle}/new`, `#/v/${vehicle}/new/damage`, `#/v/${vehicle}/new/fuel?guided`,
      `#/v/${vehicle}/new/tire`, `#/v/${vehicle}/e/${event}`, `#/v/${vehicle}/amend/${event}`]) {
      await ben.tab1.at(address)
      await look(address)
    }
    // A question in front of a screen, and the first screen of all.
    await ben.tab1.at('#/sync')
    await page.getByRole('button', { name: 'Discard' }).first().click()
    await look('a dialog')
    await page.getByRole('button', { name: 'Keep it', exact: true }).click()
    await ben.tab1.at('#/more')
    await page.getByRole('button', { name: 'Someone else' }).click()
    await page.getByRole('button', { name: 'Mia Chen' }).waitFor()
    await look('who is it')
    assert.deepEqual(wrong, [])
  })
} finally {
  await ana?.quit().catch(() => {})
  await ben?.quit().catch(() => {})
  await app.stop()
  rmSync(home, { recursive: true, force: true })
}
process.exitCode = summary() ? 0 : 1
