// The frame around every screen: who is signed in, where the person is, and whether all is sent.
import { type Client, MotoMind, type MotoMindError } from '@motomind/client'
import { useEffect, useState } from 'react'
import { airplaneAtStart } from './airplane'
import { OpenedProvider } from './live'
import { Badge } from './parts/badge'
import { Nav } from './parts/nav'
import { Notices } from './parts/notices'
import { forgetPhotos } from './parts/photo'
import { Updates } from './parts/updates'
import { filesOf, type Person, rememberPerson, signedIn, tokenOf } from './people'
import { go, useRoute } from './route'
import { CaptureScreen } from './screens/capture'
import { ChooseScreen } from './screens/choose'
import { ConflictsScreen } from './screens/conflicts'
import { EventScreen } from './screens/event'
import { GaragesScreen } from './screens/garages'
import { MoreScreen } from './screens/more'
import { RemindersScreen } from './screens/reminders'
import { SignInScreen } from './screens/sign-in'
import { SyncScreen } from './screens/sync'
import { TroubleScreen } from './screens/trouble'
import { VehicleScreen } from './screens/vehicle'
import { VehicleEditScreen } from './screens/vehicle-edit'
import { VehiclesScreen } from './screens/vehicles'

type Standing = { client: Client; person: Person } | { error: MotoMindError } | null

export function App() {
  const [person, setPerson] = useState(signedIn)
  const [standing, setStanding] = useState<Standing>(null)

  useEffect(() => {
    if (!person) return setStanding(null)
    let ended = false
    const { tenant_id, user_id } = person
    MotoMind.open({
      url: location.origin,
      name: filesOf(person),
      identity: { tenant_id, user_id },
      getToken: () => tokenOf(person),
      sync: !airplaneAtStart(),
    }).then(
      (client) => { if (!ended) setStanding({ client, person }) },
      (error) => { if (!ended) setStanding({ error }) },
    )
    return () => { ended = true }
  }, [person])

  const enter = (next: Person | null) => {
    rememberPerson(next)
    forgetPhotos()
    setStanding(null)
    setPerson(next)
    go('#/')
  }

  return (
    <>
      <Updates />
      {!person ? <SignInScreen enter={enter} />
        : !standing ? <main className="opening" aria-busy="true"><p>Opening this device’s data…</p></main>
          : 'error' in standing ? <TroubleScreen error={standing.error} leave={() => enter(null)} />
            : (
              <OpenedProvider {...standing} key={filesOf(standing.person)}>
                <Badge />
                <Screen leave={() => enter(null)} />
                <Nav />
              </OpenedProvider>
            )}
      <Notices />
    </>
  )
}

function Screen({ leave }: { leave: () => void }) {
  const { parts: [place, id, what, which], query } = useRoute()
  useEffect(() => void scrollTo(0, 0), [place, id, what, which])
  if (place === 'v' && id === 'new') return <VehicleEditScreen />
  if (place === 'v' && id) {
    if (what === 'edit') return <VehicleEditScreen id={id} key={id} />
    if (what === 'new' && which) {
      // Not keyed by its session: a capture gets one with its first photo, and stays the same capture.
      return <CaptureScreen key={id + which} vehicleId={id} flow={which} session={query.get('session')} guided={query.has('guided')} />
    }
    if (what === 'new') return <ChooseScreen vehicleId={id} />
    if (what === 'amend' && which) return <CaptureScreen key={which} vehicleId={id} amends={which} />
    if (what === 'e' && which) return <EventScreen key={which} vehicleId={id} id={which} />
    return <VehicleScreen key={id} id={id} show={what === 'charts' ? 'charts' : 'timeline'} />
  }
  switch (place) {
    case 'capture': return <ChooseScreen />
    case 'garages': return <GaragesScreen />
    case 'reminders': return <RemindersScreen />
    case 'sync': return <SyncScreen leave={leave} />
    case 'conflicts': return <ConflictsScreen />
    case 'more': return <MoreScreen leave={leave} />
    default: return <VehiclesScreen />
  }
}
