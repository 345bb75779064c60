// A map of an area that the person has as a `.pmtiles` file: copied into the browser's own files, so
// that it is there without a network, and read from there by ranges.
import { addProtocol, type LayerSpecification, type SourceSpecification } from 'maplibre-gl'
import { FileSource, PMTiles, Protocol, TileType } from 'pmtiles'
import { areaTitle, TITLE } from './area-title'

const FOLDER = 'maps'
const NAME = 'area.pmtiles'

const protocol = new Protocol({ metadata: true })
let registered = false

async function folder() {
  return (await navigator.storage.getDirectory()).getDirectoryHandle(FOLDER, { create: true })
}

/** Keeps a file as the area; refuses one that is no map. */
export async function keepArea(file: File): Promise<void> {
  await new PMTiles(new FileSource(file)).getHeader()
  const handle = await (await folder()).getFileHandle(NAME, { create: true })
  await file.stream().pipeTo(await handle.createWritable())
  localStorage.setItem(TITLE, file.name)
}

export async function forgetArea(): Promise<void> {
  localStorage.removeItem(TITLE)
  await (await folder()).removeEntry(NAME)
}

/** How the area is drawn; null where there is none. */
export async function areaLayers(): Promise<{ sources: Record<string, SourceSpecification>; layers: LayerSpecification[] } | null> {
  if (!areaTitle()) return null
  const handle = await folder().then((maps) => maps.getFileHandle(NAME)).catch(() => null)
  if (!handle) return null
  const source = new FileSource(await handle.getFile())
  const archive = new PMTiles(source)
  const header = await archive.getHeader()
  if (!registered) addProtocol('pmtiles', protocol.tile)
  registered = true
  protocol.add(archive)
  const url = `pmtiles://${source.getKey()}`
  if (header.tileType !== TileType.Mvt) {
    return {
      sources: { area: { type: 'raster', url, tileSize: 256, attribution: areaTitle() ?? '' } },
      layers: [{ id: 'area', type: 'raster', source: 'area' }],
    }
  }
  const { vector_layers } = await archive.getMetadata() as { vector_layers?: { id: string }[] }
  return {
    sources: { area: { type: 'vector', url } },
    layers: (vector_layers ?? []).flatMap(({ id }): LayerSpecification[] => [
      { id: `${id}-area`, type: 'fill', source: 'area', 'source-layer': id, filter: ['==', ['geometry-type'], 'Polygon'], paint: { 'fill-color': '#7a9a86', 'fill-opacity': 0.15 } },
      { id: `${id}-line`, type: 'line', source: 'area', 'source-layer': id, filter: ['!=', ['geometry-type'], 'Point'], paint: { 'line-color': '#6d7d74', 'line-width': 1 } },
    ]),
  }
}
