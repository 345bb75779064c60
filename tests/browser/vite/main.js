// The ten lines of the package's README, as an app has them.
import { MotoMind } from '@motomind/client'

const vehicleId = crypto.randomUUID()
const identity = { tenant_id: crypto.randomUUID(), user_id: crypto.randomUUID() }
const client = await MotoMind.open({ url: 'http://127.0.0.1:9', getToken: () => null, name: 'app', identity, sync: false })
await client.capture({ vehicleId, type: 'odometer', miles: 54120 })
for await (const rows of client.watch.timeline(vehicleId)) {
  document.title = `${rows.length} rows, ${rows[0].miles} miles`
}
