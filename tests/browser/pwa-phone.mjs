// A person with a phone: the app as they see it and press it.
import { startBrowser } from './browser.mjs'

const SCREEN = { viewport: { width: 412, height: 880 }, isMobile: true, hasTouch: true }
// The map is drawn in software; the camera shows a test picture.
const FLAGS = ['--use-angle=swiftshader', '--enable-unsafe-swiftshader',
  '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream']
const PATIENCE_MS = 45_000

export async function startPhone(profile, origin, options = {}) {
  const browser = await startBrowser(profile, {
    flags: FLAGS, ...SCREEN, permissions: ['geolocation', 'camera'],
    geolocation: { latitude: 39.7392, longitude: -104.9903, accuracy: 84 }, ...options,
  })
  browser.context.setDefaultTimeout(PATIENCE_MS)
  return {
    context: browser.context,
    kill: browser.kill,
    quit: browser.quit,
    async tab(address = '#/') {
      const page = await browser.context.newPage()
      page.on('pageerror', (error) => console.log(`    page: ${error}`))
      page.on('console', (line) => line.text().startsWith('complains: ') && console.log(`    ${line.text()}`))
      await page.addInitScript(tellComplaints)
      await page.addInitScript(seeBadge)
      await page.goto(`${origin}/${address}`)
      return tabOf(page, origin)
    },
  }
}

function tabOf(page, origin) {
  const tab = {
    page,
    at: (address) => page.goto(`${origin}/${address}`),
    async signIn(name) {
      await page.getByRole('button', { name }).click()
      await page.getByRole('navigation', { name: 'Main' }).waitFor()
    },
    // The words of the pill that every screen has, once they are these.
    standing: (words) => page.getByTestId('pill').filter({ hasText: words }).waitFor(),
    field: (name) => page.getByRole('textbox', { name: new RegExp(`^${name}`) }),
    vehicle: (name) => page.locator('.vehicle').filter({ hasText: name }),
    async openVehicle(name) {
      await tab.at('#/')
      await tab.vehicle(name).click()
      await page.getByRole('heading', { level: 1, name }).waitFor()
    },
    async begin(vehicle, kind) {
      await tab.openVehicle(vehicle)
      await page.locator('.nav-capture').click()
      await page.locator('.kind-card').filter({ hasText: kind }).click()
      await page.getByRole('heading', { level: 1, name: kind }).waitFor()
    },
    // Resolves once the engine has every one of them.
    async photograph(paths) {
      const before = await page.locator('.shots li').count()
      await page.getByTestId('files').setInputFiles(paths)
      await page.locator('.shots li').nth(before + paths.length - 1).waitFor()
    },
    save: async () => {
      await page.getByRole('button', { name: 'Save', exact: true }).click()
      await page.locator('.big-figure').waitFor()
    },
    // The pin is dragged by so many pixels. Resolves once the app shows how far that is.
    async dragPin(right, down) {
      await page.locator('.map[data-ready]').waitFor()
      const pin = page.getByTestId('pin')
      await pin.scrollIntoViewIfNeeded()
      const { x, y, width, height } = await pin.boundingBox()
      const [fromX, fromY] = [x + width / 2, y + height / 2]
      await page.mouse.move(fromX, fromY)
      await page.mouse.down()
      await page.mouse.move(fromX + right / 2, fromY + down / 2, { steps: 4 })
      await page.mouse.move(fromX + right, fromY + down, { steps: 4 })
      await page.mouse.up()
      await page.locator('.map figcaption').getByText(/Corrected, [\d.]+ k?m away/).waitFor()
    },
    // What the sync screen lists, by operation.
    async pending() {
      await tab.at('#/sync')
      await page.getByTestId('standing').waitFor()
      await page.waitForFunction(() => !document.querySelector('[aria-busy=true]') && ![...document.querySelectorAll('.item strong')].some((it) => it.innerText.endsWith('…')))
      return page.locator('.item[data-op]').evaluateAll((items) => items.map(({ dataset, innerText }) => ({ ...dataset, text: innerText })))
    },
    async airplane(on) {
      await tab.at('#/more')
      const airplane = page.getByRole('switch', { name: /Airplane mode/ })
      await airplane.waitFor()
      if (await airplane.isChecked() !== on) await airplane.click()
      await page.waitForFunction((on) => document.querySelector('[role=switch]').checked === on, on)
    },
  }
  return tab
}

// What the app complains of is gone from the screen after some seconds. Runs in the page.
function tellComplaints() {
  new MutationObserver((changes) => {
    for (const { addedNodes } of changes) {
      for (const node of addedNodes) if (node.matches?.('.notices .bad')) console.log(`complains: ${node.innerText}`)
    }
  }).observe(document, { subtree: true, childList: true })
}

// The figure on the app's icon, which no page can read. Runs in the page.
function seeBadge() {
  window.badge = 0
  navigator.setAppBadge = async (count) => { window.badge = count }
  navigator.clearAppBadge = async () => { window.badge = 0 }
}
