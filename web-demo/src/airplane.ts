// Airplane mode: nothing is sent or fetched, in any tab, until it is switched off; also after a reload.
import type { Client } from '@motomind/client'
import { useStatus } from './live'

const KEY = 'motomind.airplane'

export const airplaneAtStart = () => localStorage.getItem(KEY) === 'on'

export async function setAirplane(client: Client, on: boolean) {
  localStorage.setItem(KEY, on ? 'on' : 'off')
  await (on ? client.sync.stop() : client.sync.start())
}

export const useAirplane = () => useStatus()?.sync === 'off'
