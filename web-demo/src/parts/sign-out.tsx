import { Unsent } from '@motomind/client'
import { useState } from 'react'
import { count } from '../format'
import { useOpened } from '../live'
import { forgetToken } from '../people'
import { Dialog } from './dialog'
import { Icon } from './icon'
import { complain } from './notices'

/** Signing out removes this person's files from the device: not while anything is on it alone, but for an explicit yes. */
export function SignOut({ leave, close, keep }: { leave: () => void; close: () => void; keep: () => void }) {
  const { client, person } = useOpened()
  const [unsent, setUnsent] = useState<number>()
  const [certain, setCertain] = useState(false)
  const [busy, setBusy] = useState(false)
  const out = async (discardUnsent: boolean) => {
    setBusy(true)
    try {
      await client.signOut({ discardUnsent })
      forgetToken(person)
      leave()
    } catch (error) {
      setBusy(false)
      if (error instanceof Unsent) setUnsent(error.count)
      else complain(error)
    }
  }
  if (unsent === undefined) {
    return (
      <Dialog title={`Sign out ${person.name ?? ''}?`} close={close}>
        <p>This removes your vehicles and photos from this device. What the server has stays there.</p>
        <div className="buttons"><button className="plain" onClick={close}>Stay</button><button disabled={busy} onClick={() => void out(false)}>Sign out</button></div>
      </Dialog>
    )
  }
  return (
    <Dialog title="Not yet" close={close}>
      <div className="note bad" data-testid="guard"><Icon name="warning" /><p><strong>{count(unsent, 'capture or picture', 'captures or pictures')}</strong> exist on this device alone. Signing out would delete them for good.</p></div>
      <button className="wide" onClick={close}>Stay and let them go up</button>
      <button className="plain wide" onClick={keep}><Icon name="download" />Export them to a file</button>
      <label className="field truth"><input type="checkbox" checked={certain} onChange={({ target }) => setCertain(target.checked)} />Yes, delete what was not sent</label>
      <button className="danger wide" disabled={!certain || busy} onClick={() => void out(true)}>Delete and sign out</button>
    </Dialog>
  )
}
