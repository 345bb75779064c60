// What can be captured, how it is asked for, and how it is told. The rules are the engine's.
import type { EventType } from '@motomind/client'

export type FieldKind = 'miles' | 'number' | 'money' | 'text' | 'long' | 'choice' | 'truth' | 'date' | 'lights' | 'wheels'

export interface Field {
  /** Where it goes: a column of the event, or a key of its payload. */
  name: string
  at: 'event' | 'payload'
  kind: FieldKind
  label: string
  unit?: string
  step?: string
  choices?: readonly string[]
  required?: boolean
}

export interface Step { id: string; label: string; need: 'required' | 'recommended' | 'optional'; several?: boolean }

export interface Kind {
  type: EventType
  /** The name of its capture flow. */
  flow: string
  label: string
  icon: string
  fields: Field[]
  /** What to photograph, step by step. */
  steps: Step[]
}

const field = (kind: FieldKind, name: string, label: string, more: Partial<Field> = {}): Field =>
  ({ kind, name, label, at: 'payload', ...more })
const column = (kind: FieldKind, name: string, label: string, more: Partial<Field> = {}): Field =>
  ({ kind, name, label, at: 'event', ...more })

const ODOMETER = column('miles', 'miles', 'Odometer', { unit: 'mi' })
const NOTES = column('long', 'notes', 'Notes')
const TOTAL = column('money', 'total_minor', 'Total', { unit: '$' })

const shot = (id: string, label: string, need: Step['need'], several = false): Step => ({ id, label, need, several })

export const KINDS: Kind[] = [
  { type: 'odometer', flow: 'odometer', label: 'Odometer', icon: 'gauge', steps: [],
    fields: [{ ...ODOMETER, required: true }, field('truth', 'odometer_replaced', 'The odometer was replaced'), NOTES] },
  { type: 'fuel', flow: 'fuel', label: 'Fuel', icon: 'fuel',
    steps: [shot('receipt', 'Receipt', 'required'), shot('odometer', 'Odometer', 'recommended'), shot('gauge', 'Fuel gauge', 'optional'), shot('additives', 'Additives', 'optional', true)],
    fields: [ODOMETER, field('number', 'gallons', 'Gallons', { unit: 'gal', step: '0.001' }), TOTAL,
      field('number', 'price_per_gallon', 'Price per gallon', { unit: '$', step: '0.001' }),
      field('truth', 'full_tank', 'Filled up'), column('text', 'vendor', 'Station'), NOTES] },
  { type: 'damage', flow: 'damage', label: 'Damage', icon: 'damage',
    steps: [shot('overview', 'Overview', 'required', true), shot('closeup', 'Close-up', 'required', true), shot('other_party', 'Other party', 'optional', true), shot('scene', 'Scene', 'optional', true)],
    fields: [field('long', 'description', 'What happened'), field('choice', 'severity', 'Severity', { choices: ['minor', 'moderate', 'major'] }),
      field('text', 'location_on_vehicle', 'Where on the vehicle'), field('money', 'estimated_cost_minor', 'Estimated cost', { unit: '$' }), ODOMETER, NOTES] },
  { type: 'maintenance', flow: 'service', label: 'Service', icon: 'wrench',
    steps: [shot('invoice', 'Invoice', 'required'), shot('odometer', 'Odometer', 'recommended'), shot('damage_before', 'Before', 'optional', true), shot('damage_after', 'After', 'optional', true), shot('parts', 'Parts', 'optional', true)],
    fields: [field('choice', 'kind', 'Work', { choices: ['oil_change', 'tires', 'brakes', 'general'], required: true }), ODOMETER, column('text', 'vendor', 'Workshop'), TOTAL,
      field('miles', 'next_due_miles', 'Next due at', { unit: 'mi' }), field('date', 'next_due_date', 'Next due on'), NOTES] },
  { type: 'tire', flow: 'tire', label: 'Tires', icon: 'tire',
    steps: [shot('fl_tread', 'Front left tread', 'required'), shot('fr_tread', 'Front right tread', 'required'), shot('rl_tread', 'Rear left tread', 'required'), shot('rr_tread', 'Rear right tread', 'required'), shot('tire_label', 'Tire label', 'recommended')],
    fields: [field('wheels', 'treads', 'Tread', { unit: '/32 in' }), field('wheels', 'pressures', 'Pressure', { unit: 'psi' }), ODOMETER, NOTES] },
  { type: 'document', flow: 'document', label: 'Document', icon: 'document',
    steps: [shot('document', 'Pages', 'required', true)],
    fields: [field('choice', 'doc_type', 'Kind', { choices: ['insurance', 'registration', 'invoice', 'towing', 'accident', 'other'], required: true }), field('date', 'expiration_date', 'Expires'), NOTES] },
  { type: 'dashboard_warning', flow: 'dashboard_warning', label: 'Warning light', icon: 'warning',
    steps: [shot('warning_lights', 'Warning lights', 'required'), shot('odometer', 'Odometer', 'required')],
    fields: [field('lights', 'warning_lights', 'Lights that are on', { choices: ['check engine', 'oil', 'battery', 'brake', 'ABS', 'tire pressure', 'coolant', 'airbag'], required: true }), ODOMETER, NOTES] },
  { type: 'inspection', flow: 'inspection', label: 'Inspection', icon: 'check', steps: [],
    fields: [field('text', 'inspection_type', 'Kind'), field('choice', 'result', 'Result', { choices: ['pass', 'conditional', 'fail'] }), field('text', 'inspector', 'Inspector'),
      field('date', 'expiration_date', 'Valid until'), ODOMETER, NOTES] },
]

const OTHER: Kind = { type: 'expense', flow: 'other', label: 'Other', icon: 'document', steps: [], fields: [ODOMETER, TOTAL, column('text', 'vendor', 'Vendor'), NOTES] }

export const kindOf = (type: string): Kind => KINDS.find((kind) => kind.type === type) ?? { ...OTHER, type: type as EventType, label: nameOf(type) }
export const kindOfFlow = (flow: string): Kind => KINDS.find((kind) => kind.flow === flow) ?? kindOf(flow)

function nameOf(type: string): string {
  const text = type.replaceAll('_', ' ')
  return text.charAt(0).toUpperCase() + text.slice(1)
}
