// Borders of countries, states and counties, from the public-domain atlases in npm.
import { feature, mesh } from 'topojson-client'
import countriesUrl from 'world-atlas/countries-110m.json?url'
import countiesUrl from 'us-atlas/counties-10m.json?url'

type Topology = Parameters<typeof feature>[0]

async function topology(url: string): Promise<Topology> {
  return (await fetch(url)).json()
}

export async function borders() {
  const [world, us] = await Promise.all([topology(countriesUrl), topology(countiesUrl)])
  const lines = (name: string): GeoJSON.Feature => ({
    type: 'Feature', properties: {}, geometry: mesh(us, us.objects[name] as never) as unknown as GeoJSON.MultiLineString,
  })
  return {
    countries: feature(world, world.objects.countries!) as unknown as GeoJSON.FeatureCollection,
    states: lines('states'),
    counties: lines('counties'),
  }
}
