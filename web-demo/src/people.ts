// Who uses this device. A demo signs in by choosing a person; a token comes from the server's
// development endpoints, and stays with the person for as long as it is good.
import type { Identity } from '@motomind/client'

export interface Person extends Identity {
  tenant: string
  name: string | null
  role: string
}

const SIGNED_IN = 'motomind.person'
const PEOPLE = 'motomind.people'
const token = ({ tenant_id, user_id }: Identity) => `motomind.token.${tenant_id}.${user_id}`

/** The name of a person's files on this device. */
export const filesOf = ({ tenant_id, user_id }: Identity) => `${tenant_id}.${user_id}`

export function signedIn(): Person | null {
  return JSON.parse(localStorage.getItem(SIGNED_IN) ?? 'null')
}

export function rememberPerson(person: Person | null) {
  if (person) localStorage.setItem(SIGNED_IN, JSON.stringify(person))
  else localStorage.removeItem(SIGNED_IN)
}

export function forgetToken(person: Person) {
  localStorage.removeItem(token(person))
}

/** Everyone whom the server lets in; without a network, those it last named. */
export async function people(): Promise<Person[]> {
  try {
    const answer = await fetch('/dev/people')
    if (!answer.ok) throw new Error(`the server says ${answer.status}`)
    const named: Person[] = await answer.json()
    localStorage.setItem(PEOPLE, JSON.stringify(named))
    return named
  } catch (error) {
    const remembered = localStorage.getItem(PEOPLE)
    if (!remembered) throw error
    return JSON.parse(remembered)
  }
}

/** A token that is still good for a minute; a new one where there is a network, else null. */
export async function tokenOf(person: Person): Promise<string | null> {
  const kept = localStorage.getItem(token(person))
  if (kept && expiry(kept) > Date.now() + 60_000) return kept
  try {
    const answer = await fetch('/dev/token', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ tenant_id: person.tenant_id, user_id: person.user_id }),
    })
    if (!answer.ok) return null
    const { token: fresh } = await answer.json() as { token: string }
    localStorage.setItem(token(person), fresh)
    return fresh
  } catch {
    return null
  }
}

function expiry(jwt: string): number {
  try {
    return JSON.parse(atob(jwt.split('.')[1]!.replaceAll('-', '+').replaceAll('_', '/'))).exp * 1000
  } catch {
    return 0
  }
}
