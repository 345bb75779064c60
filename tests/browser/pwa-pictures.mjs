// Takes the pictures of the app that README shows: the real app, by scripts/web --pictures.
// AREA: a `.pmtiles` file to draw the map on; borders alone without one.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { startPhone } from './pwa-phone.mjs'
import { drawScenes } from './pwa-scenes.mjs'
import { startApp } from './pwa-site.mjs'

const INTO = new URL('../../docs/pictures/', import.meta.url).pathname
// Where the public-domain map of the tests is.
const PLACE = { latitude: 36.5794, longitude: -118.2931, accuracy: 84 }
const ZONE = { timezoneId: 'America/Denver', locale: 'en-US', deviceScaleFactor: 1.5, viewport: { width: 390, height: 844 }, geolocation: PLACE }

mkdirSync(INTO, { recursive: true })
const home = mkdtempSync(join(tmpdir(), 'motomind-pictures-'))
const app = await startApp()
const phones = []
try {
  const ana = await startPhone(join(home, 'ana'), app.origin, { ...ZONE, colorScheme: 'light' })
  const ben = await startPhone(join(home, 'ben'), app.origin, { ...ZONE, colorScheme: 'light' })
  phones.push(ana, ben)
  const tab = await ana.tab()
  const picture = async (name, { from = tab, theme = 'light' } = {}) => {
    await from.page.evaluate((theme) => { document.documentElement.dataset.theme = theme }, theme)
    await from.page.waitForFunction(() => !document.querySelector('.notices p'), null, { timeout: 20_000 })
    await from.page.screenshot({ path: join(INTO, `app-${name}.png`) })
    console.log(`app-${name}.png`)
  }
  await tab.signIn('Ana Ruiz')
  await tab.vehicle('Snowball').waitFor()
  await tab.standing('All sent')
  const scenes = await drawScenes(tab.page, home)

  // Every vehicle has a picture, and some have something due.
  for (const [name, file] of Object.entries(scenes.vehicles)) {
    await tab.begin(name, 'Inspection')
    await tab.photograph([file])
    await tab.field('Kind').fill('walk-around')
    await tab.page.getByRole('button', { name: 'Pass' }).click()
    await tab.save()
    await tab.page.locator('[data-event]').first().click()
    await tab.page.getByRole('button', { name: /^Photo 1/ }).click()
    await tab.page.getByRole('button', { name: 'Use as the vehicle’s picture' }).click()
    await tab.page.getByRole('dialog').waitFor({ state: 'detached' })
  }
  const remind = async (title, vehicle, { miles, days }) => {
    await tab.at('#/reminders')
    await tab.page.getByRole('button', { name: 'Add a reminder' }).click()
    await tab.field('What').fill(title)
    await tab.page.getByLabel('Vehicle').selectOption({ label: vehicle })
    if (miles) await tab.field('Due at, mi').fill(String(miles))
    if (days) await tab.page.getByLabel('Due on').fill(new Date(Date.now() + days * 86_400_000).toISOString().slice(0, 10))
    await tab.page.getByRole('dialog').getByRole('button', { name: 'Save' }).click()
    await tab.page.getByRole('dialog').waitFor({ state: 'detached' })
  }
  await remind('Oil change', 'Shop Van', { miles: 69_350 })
  await remind('Emissions test', 'Blue Heron', { days: 9 })
  await remind('Registration', 'Snowball', { days: 41 })
  if (process.env.AREA) {
    await tab.at('#/more')
    await tab.page.getByTestId('area').setInputFiles(process.env.AREA)
    await tab.page.getByText('is on this device now').waitFor()
  }
  await tab.at('#/')
  await tab.standing('All sent')

  await app.offline()
  await tab.begin('Blue Heron', 'Damage')
  await tab.photograph(scenes.damage)
  await tab.field('What happened').fill('hail dents on the roof and bonnet')
  await tab.page.getByRole('button', { name: 'Moderate' }).click()
  await tab.page.locator('.page').evaluate(() => scrollTo(0, 0))
  await picture('capture')
  await tab.dragPin(46, -52)
  await tab.page.locator('.place').evaluate((it) => it.scrollIntoView({ block: 'center' }))
  await picture('place', { theme: 'dark' })
  await tab.save()
  await tab.begin('Shop Van', 'Odometer')
  await tab.field('Odometer').fill('69240')
  await tab.save()
  await tab.begin('Snowball', 'Odometer')
  await tab.field('Odometer').fill('5641')
  await tab.save()
  await tab.at('#/')
  await picture('vehicles')
  await tab.openVehicle('Blue Heron')
  await tab.page.locator('.thumb').first().waitFor()
  await picture('timeline')
  await tab.openVehicle('Shop Van')
  await tab.page.getByRole('link', { name: 'Charts' }).click()
  await tab.page.locator('.chart svg').nth(1).waitFor()
  await picture('charts', { theme: 'dark' })

  await app.online()
  await tab.at('#/')
  await tab.standing('1 refused')
  await tab.page.waitForFunction(() => document.querySelectorAll('.state.wait').length <= 1)
  await app.offline()
  await tab.begin('Shop Van', 'Fuel')
  await tab.photograph([scenes.receipt])
  await tab.field('Odometer').fill('69388')
  await tab.field('Gallons').fill('17.204')
  await tab.field('Total').fill('52.30')
  await tab.save()
  await tab.at('#/sync')
  await tab.page.locator('.refusal').waitFor()
  await tab.page.locator('.item').nth(2).waitFor()
  await picture('sync')
  await app.online()

  const there = await ben.tab()
  await there.signIn('Ben Okafor')
  await there.vehicle('Blue Heron').waitFor()
  await there.standing('All sent')
  const name = async (who, nickname) => {
    await who.openVehicle('Blue Heron')
    await who.page.getByRole('link', { name: 'Edit the vehicle' }).click()
    await who.field('Nickname').fill(nickname)
    await who.page.getByRole('button', { name: 'Save', exact: true }).click()
    await who.page.getByRole('heading', { level: 1, name: nickname }).waitFor()
  }
  for (const who of [tab, there]) await who.airplane(true)
  await name(tab, 'Grey Heron')
  await name(there, 'Heron One')
  await tab.airplane(false)
  await tab.at('#/')
  await tab.standing('1 refused')
  await there.airplane(false)
  await there.at('#/conflicts')
  await there.page.locator('.side').nth(1).waitFor()
  await there.standing('All sent')
  await picture('conflict', { from: there })
} finally {
  for (const phone of phones) await phone.quit().catch(() => {})
  await app.stop()
  rmSync(home, { recursive: true, force: true })
}
