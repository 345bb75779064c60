import { useRef, useState } from 'react'
import { setAirplane, useAirplane } from '../airplane'
import { areaTitle } from '../area-title'
import { bytes, count } from '../format'
import { useFresh, useLive, useOpened } from '../live'
import { Icon } from '../parts/icon'
import { complain, notify } from '../parts/notices'
import { Page } from '../parts/page'
import { SignOut } from '../parts/sign-out'
import { save } from '../save'
import { setTheme, type Theme, useTheme } from '../theme'

export function MoreScreen({ leave }: { leave: () => void }) {
  const { client, person } = useOpened()
  const conflicts = useLive((client) => client.watch.conflicts(), [])
  const [leaving, setLeaving] = useState(false)
  // Their files stay on the device, unsent captures included; the next one has their own.
  const change = async () => {
    await client.close()
    leave()
  }
  const keep = () => void client.exportPending().then((file) => save(file, 'motomind-unsent.ndjson'), complain)
  return (
    <Page title="More">
      <section className="card person" aria-label="You">
        <span className="avatar" aria-hidden="true">{(person.name ?? '?').slice(0, 1)}</span>
        <div><strong>{person.name}</strong><br /><small>{person.role} · {person.tenant}</small></div>
        <div className="buttons">
          <button className="plain" onClick={() => void change().catch(complain)}>Someone else</button>
          <button className="plain" onClick={() => setLeaving(true)}>Sign out</button>
        </div>
      </section>
      <ul className="list">
        <li><a className="row" href="#/garages"><Icon name="garage" /><span className="row-text"><strong>Garages</strong></span><Icon name="next" /></a></li>
        <li><a className="row" href="#/conflicts"><Icon name="split" /><span className="row-text"><strong>Two answers</strong><small>{conflicts ? count(conflicts.length, 'field') : ''}</small></span><Icon name="next" /></a></li>
        <li><a className="row" href={`${location.pathname}#/`} target="_blank" rel="opener"><Icon name="tabs" /><span className="row-text"><strong>Open a second tab</strong><small>Both work at once, also without a signal</small></span><Icon name="next" /></a></li>
      </ul>
      <Airplane />
      <Look />
      <Area />
      <Evidence />
      <Deleted />
      {leaving && <SignOut leave={leave} close={() => setLeaving(false)} keep={keep} />}
    </Page>
  )
}

function Airplane() {
  const { client } = useOpened()
  const off = useAirplane()
  return (
    <section className="card" aria-label="Airplane mode">
      <label className="switch"><input type="checkbox" role="switch" checked={off} onChange={() => void setAirplane(client, !off).catch(complain)} />
        <span><strong>Airplane mode</strong><br /><small>Nothing is sent or fetched, in any tab. Everything else works.</small></span></label>
    </section>
  )
}

function Look() {
  const theme = useTheme()
  return (
    <section className="card" aria-label="Look">
      <h2>Look</h2>
      <div className="segments" role="group" aria-label="Theme">
        {(['system', 'light', 'dark'] as Theme[]).map((one) => <button key={one} aria-pressed={theme === one} onClick={() => setTheme(one)}>{one === 'system' ? 'System' : one === 'light' ? 'Light' : 'Dark'}</button>)}
      </div>
    </section>
  )
}

function Area() {
  const [title, setTitle] = useState(areaTitle)
  const picker = useRef<HTMLInputElement>(null)
  const keep = async (file: File) => {
    await (await import('../area')).keepArea(file)
    setTitle(areaTitle())
    notify(`${file.name} is on this device now (${bytes(file.size)}).`)
  }
  const forget = async () => {
    await (await import('../area')).forgetArea()
    setTitle(null)
  }
  return (
    <section className="card" aria-label="Map">
      <h2>Map</h2>
      <p className="quiet">{title ? `Maps are drawn on ${title}, without a network.` : 'Maps show borders. For streets or terrain, open a .pmtiles file of your area; it stays on this device.'}</p>
      <div className="buttons">
        <button className="plain" onClick={() => picker.current?.click()}><Icon name="map" />Open a .pmtiles file</button>
        {title && <button className="plain" onClick={() => void forget().catch(complain)}>Take it off</button>}
      </div>
      <input ref={picker} type="file" accept=".pmtiles" hidden data-testid="area" aria-label="Area file"
        onChange={({ target }) => { const [file] = target.files ?? []; target.value = ''; if (file) keep(file).catch(() => complain(new Error(`${file.name} is no map that can be read`))) }} />
    </section>
  )
}

function Evidence() {
  const { client } = useOpened()
  const identity = useFresh((client) => client.identity(), [])
  const [found, setFound] = useState<string>()
  const check = async () => {
    const { chain, photos } = await client.verify()
    setFound(chain === null && photos.length === 0 ? 'Whole: every capture and photo is as it was sealed.' : [chain, photos.length > 0 && `${count(photos.length, 'photo')} damaged`].filter(Boolean).join('; '))
  }
  return (
    <section className="card" aria-label="Evidence">
      <h2>Evidence</h2>
      <p className="quiet">Every capture is sealed with the one before it, every photo by its hash.</p>
      {identity && <p className="hash">Device {identity.device_id}</p>}
      {found && <p role="status">{found}</p>}
      <div className="buttons">
        <button className="plain" onClick={() => void check().catch(complain)}><Icon name="shield" />Check this device</button>
        <button className="plain" onClick={() => void client.exportAll().then((file) => save(file, 'motomind-device.ndjson'), complain)}><Icon name="download" />Export its log</button>
      </div>
    </section>
  )
}

function Deleted() {
  const { client, person } = useOpened()
  const all = useLive((client) => client.records('vehicles').watch({ deletedToo: true }), [])
  const gone = all?.filter(({ deleted_at }) => deleted_at !== null) ?? []
  if (gone.length === 0 || person.role !== 'manager') return null
  return (
    <section className="card" aria-label="Deleted vehicles">
      <h2>Deleted vehicles</h2>
      <ul className="list">{gone.map(({ id, label }) => <li key={id} className="row"><span className="row-text">{label}</span><button className="small plain" onClick={() => void client.records('vehicles').restore(id).catch(complain)}>Restore<span className="unseen"> {label}</span></button></li>)}</ul>
    </section>
  )
}
