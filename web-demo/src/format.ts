// Figures as people read them.
const number = new Intl.NumberFormat('en-US')

export const miles = (value: number | null | undefined) => value == null ? '—' : `${number.format(value)} mi`
export const count = (value: number, one: string, many = `${one}s`) => `${number.format(value)} ${value === 1 ? one : many}`

export function bytes(value: number): string {
  if (value < 1000) return `${value} B`
  if (value < 999_500) return `${Math.round(value / 1000)} kB`
  if (value < 999_500_000) return `${(value / 1_000_000).toFixed(value < 9_950_000 ? 1 : 0)} MB`
  return `${(value / 1_000_000_000).toFixed(1)} GB`
}

export function money(minor: number, currency = 'USD'): string {
  return new Intl.NumberFormat('en-US', { style: 'currency', currency }).format(minor / 100)
}

export function age(ms: number): string {
  const minutes = Math.floor(ms / 60_000)
  if (minutes < 1) return 'just now'
  if (minutes < 60) return `${minutes} min`
  const hours = Math.floor(minutes / 60)
  if (hours < 48) return `${hours} h`
  return `${Math.floor(hours / 24)} days`
}

/** How long something has been waiting. */
export const old = (ms: number) => (ms < 60_000 ? 'just now' : `${age(ms)} old`)

export function ago(at: number, now = Date.now()): string {
  const text = age(Math.max(0, now - at))
  return text === 'just now' ? text : `${text} ago`
}

/** A calendar day as it was written down, without a time zone's help. */
export function day(date: string): string {
  return new Intl.DateTimeFormat('en-US', { timeZone: 'UTC', weekday: 'short', day: 'numeric', month: 'short', year: 'numeric' })
    .format(new Date(`${date}T00:00:00Z`))
}

export function clock(at: number, timezone?: string): string {
  return new Intl.DateTimeFormat('en-US', { hour: '2-digit', minute: '2-digit', hourCycle: 'h23', ...(timezone && { timeZone: timezone }) }).format(at)
}

export function metres(value: number): string {
  return value < 1000 ? `${value < 10 ? value.toFixed(1) : Math.round(value)} m` : `${(value / 1000).toFixed(1)} km`
}

export const degrees = (latitude: number, longitude: number) =>
  `${Math.abs(latitude).toFixed(5)}° ${latitude < 0 ? 'S' : 'N'}, ${Math.abs(longitude).toFixed(5)}° ${longitude < 0 ? 'W' : 'E'}`

/** `fl_tread` as a person says it. */
export function words(name: string): string {
  const known: Record<string, string> = { vin: 'VIN', manufacturer_mpg: 'EPA mpg', total_minor: 'Total', current_mileage_override: 'Mileage override',
    fl_tread: 'Front left tread', fr_tread: 'Front right tread', rl_tread: 'Rear left tread', rr_tread: 'Rear right tread',
    fl: 'Front left', fr: 'Front right', rl: 'Rear left', rr: 'Rear right', garage_id: 'Garage', vehicle_id: 'Vehicle' }
  const text = known[name] ?? name.replaceAll('_', ' ')
  return text.charAt(0).toUpperCase() + text.slice(1)
}
