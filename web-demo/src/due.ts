// When a reminder is due, by day and by miles, whichever is nearer.
import type { Collections, Entry, VehicleEntry } from '@motomind/client'

const DAY_MS = 86_400_000
const SOON_DAYS = 14
const SOON_MILES = 500

export interface Due { text: string; tone: 'late' | 'soon' | 'calm'; rank: number }

export function dueOf({ due_date, due_miles }: Collections['reminders'], miles: number | null, now = Date.now()): Due | null {
  const dues: Due[] = []
  if (due_date) {
    const today = new Date(now)
    const days = Math.round((Date.parse(`${due_date}T00:00:00Z`) - Date.UTC(today.getFullYear(), today.getMonth(), today.getDate())) / DAY_MS)
    const text = days < 0 ? `${-days} days late` : days === 0 ? 'today' : days === 1 ? 'tomorrow' : days < 60 ? `in ${days} days` : `on ${due_date}`
    dues.push({ text, tone: days < 0 ? 'late' : days <= SOON_DAYS ? 'soon' : 'calm', rank: days })
  }
  if (due_miles != null && miles != null) {
    const left = due_miles - miles
    const text = left < 0 ? `${(-left).toLocaleString('en-US')} mi over` : `in ${left.toLocaleString('en-US')} mi`
    dues.push({ text, tone: left < 0 ? 'late' : left <= SOON_MILES ? 'soon' : 'calm', rank: left / 30 })
  } else if (due_miles != null) {
    dues.push({ text: `at ${due_miles.toLocaleString('en-US')} mi`, tone: 'calm', rank: 9_999 })
  }
  return dues.sort((a, b) => a.rank - b.rank)[0] ?? null
}

export function soonest(reminders: Entry<'reminders'>[], { vehicle, miles }: VehicleEntry): Entry<'reminders'> | undefined {
  return reminders
    .filter(({ fields }) => fields.vehicle_id === vehicle.id && (fields.status ?? 'active') === 'active' && dueOf(fields, miles))
    .sort((a, b) => dueOf(a.fields, miles)!.rank - dueOf(b.fields, miles)!.rank)[0]
}
