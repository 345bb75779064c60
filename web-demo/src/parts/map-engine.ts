// MapLibre with a ground of our own: borders from the atlas packages, and the area that the person
// opened as a `.pmtiles` file. Nothing is asked of any network.
import { type GeoJSONSource, LngLatBounds, Map, Marker, ScaleControl, type StyleSpecification, setWorkerUrl } from 'maplibre-gl'
import workerUrl from 'maplibre-gl/dist/maplibre-gl-worker.mjs?worker&url'
import 'maplibre-gl/dist/maplibre-gl.css'
import { areaLayers } from '../area'
import { isDark } from '../theme'
import { borders } from './borders'
import type { Measured, Point } from './map'

setWorkerUrl(workerUrl)

/** What the map is drawn on: a person's own area, borders alone, or nothing. */
export type Ground = 'area' | 'borders' | 'none'

export interface DrawnMap {
  ground: Ground
  show(measured: Measured | null, corrected: Point | null): void
  remove(): void
}

const empty = { type: 'FeatureCollection' as const, features: [] }

export async function draw(frame: HTMLElement, moved?: (to: Point) => void): Promise<DrawnMap> {
  const dark = isDark()
  const land = await borders()
  const area = await areaLayers()
  const style: StyleSpecification = {
    version: 8,
    sources: {
      countries: { type: 'geojson', data: land.countries },
      states: { type: 'geojson', data: land.states },
      counties: { type: 'geojson', data: land.counties },
      ...area?.sources,
      accuracy: { type: 'geojson', data: empty },
      between: { type: 'geojson', data: empty },
    },
    layers: [
      { id: 'sea', type: 'background', paint: { 'background-color': dark ? '#0e1a20' : '#cfdde3' } },
      { id: 'land', type: 'fill', source: 'countries', paint: { 'fill-color': dark ? '#1c2723' : '#eef0e6' } },
      { id: 'counties', type: 'line', source: 'counties', minzoom: 5, paint: { 'line-color': dark ? '#34433d' : '#c3c9bb', 'line-width': 1 } },
      { id: 'states', type: 'line', source: 'states', paint: { 'line-color': dark ? '#566860' : '#8f9a8c', 'line-width': 1.5 } },
      { id: 'countries', type: 'line', source: 'countries', paint: { 'line-color': dark ? '#72857c' : '#6f7b70', 'line-width': 1.5 } },
      ...area?.layers ?? [],
      { id: 'accuracy', type: 'fill', source: 'accuracy', paint: { 'fill-color': '#1668c7', 'fill-opacity': 0.18 } },
      { id: 'accuracy-edge', type: 'line', source: 'accuracy', paint: { 'line-color': '#1668c7', 'line-width': 2 } },
      { id: 'between', type: 'line', source: 'between', paint: { 'line-color': '#b3261e', 'line-width': 3, 'line-dasharray': [1.5, 1.5] } },
    ],
  }
  const map = new Map({
    container: frame, style, attributionControl: false, maxZoom: 19, keyboard: !moved, dragRotate: false, fadeDuration: 0,
    center: [-105, 39.7], zoom: 8,
  })
  map.addControl(new ScaleControl({ maxWidth: 100, unit: 'metric' }), 'bottom-left')
  const loaded = map.once('load')
  const measuredAt = new Marker({ element: dot('measured') })
  const pin = new Marker({ element: pinShape(), anchor: 'bottom', draggable: Boolean(moved) })
  pin.on('dragend', () => {
    const { lat, lng } = pin.getLngLat()
    moved?.({ latitude: lat, longitude: lng })
  })
  let framed = ''

  function show(measured: Measured | null, corrected: Point | null) {
    const at = corrected ?? measured
    if (measured) measuredAt.setLngLat([measured.longitude, measured.latitude]).addTo(map)
    else measuredAt.remove()
    if (at && (corrected || moved)) pin.setLngLat([at.longitude, at.latitude]).addTo(map)
    else pin.remove()
    void loaded.then(() => {
      if (!map.getSource('accuracy')) return
      const circle = measured?.accuracy_m ? [ring(measured, measured.accuracy_m)] : []
      map.getSource<GeoJSONSource>('accuracy')?.setData({ ...empty, features: circle })
      map.getSource<GeoJSONSource>('between')?.setData({ ...empty, features: measured && corrected ? [line(measured, corrected)] : [] })
    })
    // The person's own panning is left alone while they drag about one measurement.
    const key = JSON.stringify(measured)
    if (!at || framed === key) return
    framed = key
    const around = new LngLatBounds([at.longitude, at.latitude], [at.longitude, at.latitude])
    if (measured) {
      const circle = ring(measured, Math.max(measured.accuracy_m ?? 0, 40))
      for (const spot of circle.geometry.coordinates[0]!) around.extend(spot as [number, number])
    }
    map.fitBounds(around, { padding: 48, maxZoom: 17, animate: false })
  }

  await loaded
  return { ground: area ? 'area' : 'borders', show, remove: () => map.remove() }
}

function dot(name: string) {
  const element = document.createElement('i')
  element.className = `dot ${name} on-map`
  return element
}

function pinShape() {
  const element = document.createElement('div')
  element.className = 'pin'
  element.dataset.testid = 'pin'
  element.innerHTML = '<svg viewBox="0 0 40 52" width="40" height="52" aria-hidden="true"><path d="M20 51S38 33 38 19a18 18 0 1 0-36 0c0 14 18 32 18 32z" fill="#b3261e" stroke="#fff" stroke-width="2.5"/><circle cx="20" cy="19" r="7" fill="#fff"/></svg>'
  return element
}

function ring({ latitude, longitude }: Point, radius: number) {
  const north = radius / 111_320
  const east = north / Math.cos(latitude * Math.PI / 180)
  const spots = Array.from({ length: 65 }, (_, n) => {
    const angle = n / 32 * Math.PI
    return [longitude + east * Math.sin(angle), latitude + north * Math.cos(angle)]
  })
  return { type: 'Feature' as const, properties: {}, geometry: { type: 'Polygon' as const, coordinates: [spots] } }
}

function line(from: Point, to: Point) {
  return {
    type: 'Feature' as const, properties: {},
    geometry: { type: 'LineString' as const, coordinates: [[from.longitude, from.latitude], [to.longitude, to.latitude]] },
  }
}
