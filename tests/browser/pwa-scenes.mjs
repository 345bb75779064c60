// What the camera of the pictures sees: drawn in the browser, so that no photograph of anyone's is needed.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

const PAINTS = { 'Shop Van': '#e9edeb', 'Blue Heron': '#5f93c9', 'Snowball': '#b9c2c6', 'Shop truck': '#b4473c' }

export async function drawScenes(page, directory) {
  const draw = async (name, what, argument) => {
    const bytes = Buffer.from(await page.evaluate(drawn, { what, argument }), 'base64')
    const path = join(directory, `${name}.jpg`)
    writeFileSync(path, bytes)
    return path
  }
  const vehicles = {}
  for (const [name, paint] of Object.entries(PAINTS)) vehicles[name] = await draw(name.replace(' ', '-'), 'vehicle', { paint, van: name !== 'Shop truck' })
  return {
    vehicles,
    damage: [await draw('roof', 'dents', 11), await draw('bonnet', 'dents', 5)],
    receipt: await draw('receipt', 'receipt', 0),
  }
}

// Runs in the page.
async function drawn({ what, argument }) {
  const [width, height] = [1600, 1200]
  const canvas = new OffscreenCanvas(width, height)
  const on = canvas.getContext('2d')
  const fill = (paint, shape) => { on.fillStyle = paint; on.beginPath(); shape(); on.fill() }
  const shade = (from, to, top, bottom) => {
    const gradient = on.createLinearGradient(0, top, 0, bottom)
    gradient.addColorStop(0, from)
    gradient.addColorStop(1, to)
    return gradient
  }
  let dice = 7 + Number(argument || 0)
  const chance = () => (dice = dice * 16807 % 2147483647) / 2147483647
  if (what === 'vehicle') {
    fill(shade('#9fc3df', '#e6eef2', 0, 700), () => on.rect(0, 0, width, 720))
    fill('#7f9a86', () => { on.moveTo(0, 620); for (let x = 0; x <= width; x += 100) on.lineTo(x, 560 - 130 * chance()); on.lineTo(width, 760); on.lineTo(0, 760) })
    fill(shade('#8d8f8b', '#5f625f', 720, height), () => on.rect(0, 720, width, 480))
    fill('rgb(0 0 0 / 30%)', () => on.ellipse(800, 965, 640, 46, 0, 0, 7))
    const { paint, van } = argument
    fill(paint, () => (van ? on.roundRect(230, 400, 1120, 530, [120, 210, 40, 40]) : on.roundRect(200, 600, 1200, 320, [60, 80, 40, 40])))
    if (!van) fill(paint, () => on.roundRect(560, 420, 560, 260, [110, 150, 0, 0]))
    fill('rgb(0 0 0 / 12%)', () => on.rect(van ? 230 : 200, 800, van ? 1120 : 1200, 130))
    fill('#26323a', () => (van ? on.roundRect(990, 460, 290, 190, [20, 110, 20, 20]) : on.roundRect(620, 460, 440, 150, [50, 80, 10, 10])))
    if (van) fill('#3a474f', () => on.roundRect(640, 470, 310, 160, 20))
    fill('#f4d48a', () => on.roundRect(van ? 1300 : 1360, 700, 50, 60, 12))
    for (const x of van ? [450, 1120] : [440, 1160]) {
      fill('#1d2120', () => on.arc(x, 920, 108, 0, 7))
      fill('#aab2b0', () => on.arc(x, 920, 54, 0, 7))
      fill('#5d6664', () => on.arc(x, 920, 18, 0, 7))
    }
  } else if (what === 'dents') {
    fill(shade('#7faedb', '#3f719f', 0, height), () => on.rect(0, 0, width, height))
    fill('rgb(255 255 255 / 35%)', () => on.ellipse(700, 180, 900, 110, -0.1, 0, 7))
    for (let n = 0; n < argument * 3; n += 1) {
      const [x, y, r] = [chance() * width, 150 + chance() * 950, 26 + chance() * 60]
      const dent = on.createRadialGradient(x - r / 3, y - r / 3, r / 8, x, y, r)
      dent.addColorStop(0, 'rgb(10 30 60 / 55%)')
      dent.addColorStop(0.75, 'rgb(30 70 120 / 25%)')
      dent.addColorStop(1, 'rgb(255 255 255 / 40%)')
      fill(dent, () => on.arc(x, y, r, 0, 7))
    }
  } else {
    fill('#6b5a48', () => on.rect(0, 0, width, height))
    fill('#fbfaf5', () => on.rect(450, 60, 700, 1080))
    on.fillStyle = '#222'
    on.font = '600 54px monospace'
    on.fillText('PHILLIPS 66', 610, 170)
    on.font = '44px monospace'
    for (const [n, text] of ['REGULAR      17.204 GAL', '$/GAL         3.040', '', 'TOTAL        $52.30', '', 'THANK YOU'].entries()) on.fillText(text, 500, 330 + 90 * n)
  }
  const blob = await canvas.convertToBlob({ type: 'image/jpeg', quality: 0.9 })
  const bytes = new Uint8Array(await blob.arrayBuffer())
  let text = ''
  for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192))
  return btoa(text)
}
