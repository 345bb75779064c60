import { useEffect, useState } from 'react'
import { Icon } from '../parts/icon'
import { people, type Person } from '../people'

/** Who is using this device. A demo: the server names its people, and anyone may be anyone. */
export function SignInScreen({ enter }: { enter: (person: Person) => void }) {
  const [named, setNamed] = useState<Person[]>()
  const [why, setWhy] = useState<string>()
  const look = () => {
    setWhy(undefined)
    people().then(setNamed, () => setWhy('The server cannot be reached. The first sign-in on a device needs it once.'))
  }
  useEffect(look, [])
  const tenants = [...new Set(named?.map(({ tenant_id }) => tenant_id))]
  return (
    <main className="sign-in">
      <img src="/icon.svg" alt="" width="72" height="72" />
      <h1>MotoMind Sync</h1>
      <p className="lead">Vehicles and what was seen of them, with or without a signal.</p>
      {why && <><p className="note bad">{why}</p><button onClick={look}>Try again</button></>}
      {!named && !why && <p aria-busy="true">Asking the server who works here…</p>}
      {named?.length === 0 && <p className="note">The server knows nobody yet.</p>}
      {tenants.map((tenant) => (
        <section key={tenant} aria-label={named!.find(({ tenant_id }) => tenant_id === tenant)!.tenant}>
          <h2>{named!.find(({ tenant_id }) => tenant_id === tenant)!.tenant}</h2>
          <ul className="list">
            {named!.filter(({ tenant_id }) => tenant_id === tenant).map((person) => (
              <li key={person.user_id}>
                <button className="row" onClick={() => enter(person)}>
                  <span className="row-text"><strong>{person.name ?? 'Someone'}</strong><small>{person.role}</small></span>
                  <Icon name="next" />
                </button>
              </li>
            ))}
          </ul>
        </section>
      ))}
      <p className="fine">A demonstration: no passwords. Each person has their own files on this device, and nobody sends another’s.</p>
    </main>
  )
}
