import { type MotoMindError, Unsupported } from '@motomind/client'

/** The device's files cannot be opened: why, and what helps. Nothing is deleted. */
export function TroubleScreen({ error, leave }: { error: MotoMindError; leave: () => void }) {
  return (
    <main className="sign-in">
      <h1>{error instanceof Unsupported ? 'This browser cannot keep your captures' : 'Your data cannot be opened now'}</h1>
      <p className="note bad">{error.message}</p>
      {error instanceof Unsupported
        ? <p>It lacks: {error.missing.join(', ')}. A current Chrome, Edge, Firefox or Safari outside of private browsing has it.</p>
        : <p>What was captured stays on this device. {error.code === 'storage_busy' && 'Close other tabs of this app, then try again.'}</p>}
      <button onClick={() => location.reload()}>Try again</button>
      <button className="plain" onClick={leave}>Someone else</button>
    </main>
  )
}
