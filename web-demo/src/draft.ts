// From what was typed to a capture, and back. What is left empty is absent: nothing is made up.
import type { Event, NewEvent } from '@motomind/client'
import type { Field, Kind } from './kinds'
import type { Draft } from './parts/fields'

/** What was typed, as far as it could be read: columns of the event, and its payload. */
export type Typed = Record<string, unknown> & { payload: Record<string, unknown> }

/** What could not be read, by field. */
export type Problems = Record<string, string>

export function readDraft(kind: Kind, draft: Draft): { event: Typed; problems: Problems } {
  const problems: Problems = {}
  const event: Record<string, unknown> = {}
  const payload: Record<string, unknown> = {}
  for (const field of kind.fields) {
    const value = read(field, draft[field.name], problems)
    if (value === undefined) {
      if (field.required && !problems[field.name]) problems[field.name] = 'This is needed'
      continue
    }
    if (field.at === 'payload') payload[field.name] = value
    else event[field.name === 'total_minor' ? 'totalMinor' : field.name] = value
  }
  return { event: { ...event, payload }, problems }
}

function read(field: Field, value: Draft[string] | undefined, problems: Problems): unknown {
  if (typeof value === 'boolean') return value || undefined
  if (Array.isArray(value)) return value.length > 0 ? value : undefined
  if (typeof value === 'object') {
    const wheels = Object.entries(value).filter(([, text]) => text.trim() !== '').map(([wheel, text]) => [wheel, figure(text)] as const)
    if (wheels.some(([, read]) => read === null)) problems[field.name] = 'Figures only, such as 6 or 5.5'
    return wheels.length > 0 ? Object.fromEntries(wheels) : undefined
  }
  const text = value?.trim() ?? ''
  if (text === '') return undefined
  if (field.kind !== 'miles' && field.kind !== 'number' && field.kind !== 'money') return text
  const figures = figure(text)
  if (figures === null || (field.kind === 'miles' && !Number.isInteger(figures))) {
    problems[field.name] = field.kind === 'miles' ? 'Whole miles, such as 54120' : 'A figure, such as 12.5'
    return undefined
  }
  return field.kind === 'money' ? Math.round(figures * 100) : figures
}

function figure(text: string): number | null {
  const plain = text.replaceAll(',', '').trim()
  return /^\d+(\.\d+)?$|^\.\d+$/.test(plain) ? Number(plain) : null
}

/** An event as its form shows it. */
export function draftOf(kind: Kind, event: Event): Draft {
  const draft: Draft = {}
  const columns = event as unknown as Record<string, unknown>
  for (const field of kind.fields) {
    const value = (field.at === 'payload' ? event.payload : columns)[field.name]
    if (value === undefined || value === null) continue
    if (field.kind === 'money') draft[field.name] = (Number(value) / 100).toFixed(2)
    else if (typeof value === 'boolean' || Array.isArray(value)) draft[field.name] = value as boolean | string[]
    else if (typeof value === 'object') draft[field.name] = Object.fromEntries(Object.entries(value).map(([name, one]) => [name, String(one)]))
    else draft[field.name] = String(value)
  }
  return draft
}

/** The whole of a mended event: what the form does not show stays as it was. */
export function mend(kind: Kind, before: Event, { payload, ...typed }: Typed): NewEvent {
  const shown = new Set(kind.fields.map(({ name }) => name))
  const kept = (name: keyof Event) => (shown.has(name) ? undefined : before[name] ?? undefined)
  return {
    type: before.type, vehicleId: before.vehicle_id, occurredAt: before.occurred_at, date: before.date, timezone: before.timezone,
    miles: kept('miles'), totalMinor: kept('total_minor'), currency: before.currency ?? undefined, vendor: kept('vendor'), notes: kept('notes'),
    fix: before.fix ?? undefined, fixAbsent: before.fix_absent ?? undefined, corrects: before.corrects ?? undefined, reason: before.reason ?? undefined,
    session_id: before.session_id ?? undefined,
    ...typed,
    payload: { ...Object.fromEntries(Object.entries(before.payload).filter(([name]) => !shown.has(name))), ...payload },
  } as unknown as NewEvent
}
