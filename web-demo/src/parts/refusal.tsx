import type { Rejection } from '@motomind/client'
import { day, miles } from '../format'
import { Icon } from './icon'

/** Why the server refused something, in its own words, and against what. */
export function Refusal({ reason }: { reason: Rejection }) {
  const { neighbour } = reason
  return (
    <div className="note bad refusal" data-code={reason.code}>
      <Icon name="warning" />
      <div>
        <p><strong>Refused.</strong> {reason.message}</p>
        {neighbour && <p>It contradicts the reading of <strong>{miles(neighbour.miles)}</strong> on {day(new Date(neighbour.at).toISOString().slice(0, 10))}.</p>}
        {reason.violations && reason.violations.length > 1 && <ul>{reason.violations.map(({ field, message }) => <li key={field + message}>{message}</li>)}</ul>}
      </div>
    </div>
  )
}
