// The fields of a kind of event, as the person fills them in: texts until they are read.
import { useId } from 'react'
import type { Field } from '../kinds'
import { words } from '../format'

export type Draft = Record<string, string | boolean | string[] | Record<string, string>>

const WHEELS = ['fl', 'fr', 'rl', 'rr'] as const

export function FieldInput({ field, value, change, problem }: {
  field: Field; value: Draft[string] | undefined; change: (value: Draft[string]) => void; problem?: string
}) {
  const id = useId()
  const said = problem ? { 'aria-invalid': true, 'aria-describedby': `${id}-problem` } : {}
  const label = <label htmlFor={id}>{field.label}{field.required && <em> needed</em>}</label>
  const unit = field.unit && <span className="unit" aria-hidden="true">{field.unit}</span>
  const wrong = problem && <p className="problem" id={`${id}-problem`}>{problem}</p>
  const text = typeof value === 'string' ? value : ''

  switch (field.kind) {
    case 'truth':
      return (
        <div className="field truth">
          <input id={id} type="checkbox" checked={value === true} onChange={({ target }) => change(target.checked)} {...said} />
          {label}{wrong}
        </div>
      )
    case 'choice':
      return (
        <fieldset className="field">
          <legend>{field.label}{field.required && <em> needed</em>}</legend>
          <div className="choices">
            {field.choices!.map((choice) => (
              <button key={choice} type="button" aria-pressed={value === choice} onClick={() => change(value === choice ? '' : choice)}>{words(choice)}</button>
            ))}
          </div>
          {wrong}
        </fieldset>
      )
    case 'lights': {
      const chosen = Array.isArray(value) ? value : []
      return (
        <fieldset className="field">
          <legend>{field.label}{field.required && <em> needed</em>}</legend>
          <div className="choices">
            {field.choices!.map((choice) => (
              <button key={choice} type="button" aria-pressed={chosen.includes(choice)}
                onClick={() => change(chosen.includes(choice) ? chosen.filter((one) => one !== choice) : [...chosen, choice])}>{words(choice)}</button>
            ))}
          </div>
          {wrong}
        </fieldset>
      )
    }
    case 'wheels': {
      const given = typeof value === 'object' && !Array.isArray(value) ? value : {}
      return (
        <fieldset className="field">
          <legend>{field.label} <small>{field.unit}</small></legend>
          <div className="wheels">
            {WHEELS.map((wheel) => (
              <label key={wheel}>{words(wheel)}
                <input inputMode="decimal" value={given[wheel] ?? ''} onChange={({ target }) => change({ ...given, [wheel]: target.value })} />
              </label>
            ))}
          </div>
          {wrong}
        </fieldset>
      )
    }
    case 'long':
      return <div className="field">{label}<textarea id={id} rows={2} value={text} onChange={({ target }) => change(target.value)} {...said} />{wrong}</div>
    case 'date':
      return <div className="field">{label}<input id={id} type="date" value={text} onChange={({ target }) => change(target.value)} {...said} />{wrong}</div>
    default: {
      const mode = field.kind === 'miles' ? 'numeric' as const : field.kind === 'text' ? 'text' as const : 'decimal' as const
      return (
        <div className={`field ${field.kind}`}>
          {label}
          <div className="with-unit">
            <input id={id} inputMode={mode} autoComplete="off" value={text} onChange={({ target }) => change(target.value)} {...said} />
            {unit}
          </div>
          {wrong}
        </div>
      )
    }
  }
}
