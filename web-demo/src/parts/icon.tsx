// Drawn on a grid of 24, in the colour of the text around them.
const PATHS: Record<string, string> = {
  gauge: 'M4 17a8.5 8.5 0 1 1 16 0M12 14l4-5M12 14v.01',
  fuel: 'M5 21V5a2 2 0 0 1 2-2h6a2 2 0 0 1 2 2v16M3 21h14M7.5 7h5v4h-5zM15 12h2a2 2 0 0 1 2 2v3a1.5 1.5 0 0 0 3 0V9l-3-3',
  damage: 'M13 2L4.5 13.5H11L9.5 22 19 9.5h-6.5z',
  wrench: 'M14.5 6.5a4 4 0 0 0 5 5L21 13l-8 8-3-3 1.5-1.5M14.5 6.5L17 4a5 5 0 0 0-6.5 6.5L3 18l3 3 7-7',
  tire: 'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM12 16a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM12 3v5M12 16v5M3 12h5M16 12h5',
  document: 'M6 3h8l5 5v13H6zM14 3v5h5M9 13h7M9 17h7',
  warning: 'M12 3l10 18H2zM12 10v5M12 18v.01',
  check: 'M4 12.5l5 5L20 6.5',
  car: 'M3 16v-4l2.5-6h13L21 12v4M3 12h18M3 16h18v3h-3v-3M6 16v3H3v-3M7 14h.01M17 14h.01',
  plus: 'M12 5v14M5 12h14',
  bell: 'M6 17V11a6 6 0 0 1 12 0v6l2 2H4zM10 21h4',
  sync: 'M4 11a8 8 0 0 1 14-4.5L20 9M20 4v5h-5M20 13a8 8 0 0 1-14 4.5L4 15M4 20v-5h5',
  more: 'M5 12h.01M12 12h.01M19 12h.01',
  camera: 'M4 8h3l2-3h6l2 3h3v11H4zM12 16.5a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7z',
  image: 'M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4M15.5 9h.01',
  pin: 'M12 21s7-6.5 7-11.5a7 7 0 0 0-14 0C5 14.500 12 21 12 21zM12 12a2.500 2.500 0 1 0 0-5 2.500 2.500 0 0 0 0 5z',
  back: 'M15 5l-7 7 7 7',
  next: 'M9 5l7 7-7 7',
  edit: 'M4 20l1-5L16 4l4 4L9 19zM14 6l4 4',
  trash: 'M5 7h14M10 7V4h4v3M7 7l1 14h8l1-14M10 11v6M14 11v6',
  plane: 'M21 3L3 10.500l6.500 3 3 6.500z',
  cloud: 'M7 18a4.500 4.500 0 0 1-.5-9 6 6 0 0 1 11.500 1.500A3.800 3.800 0 0 1 17.500 18z',
  off: 'M3 3l18 18M7 18a4.500 4.500 0 0 1-.5-9c.2-.7.6-1.400 1.100-2M11 5.100A6 6 0 0 1 18 10.500a3.800 3.800 0 0 1 2.500 5.500M17 18H7',
  close: 'M6 6l12 12M18 6L6 18',
  clock: 'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM12 7v5l3 2',
  split: 'M12 21v-7M12 14L5 7M12 14l7-7M5 12V7h5M19 12V7h-5',
  download: 'M12 4v11M7 11l5 5 5-5M4 20h16',
  garage: 'M3 21V9l9-5 9 5v12M7 21v-8h10v8M7 17h10',
  chart: 'M4 4v16h16M8 15l4-5 3 3 5-6',
  shield: 'M12 3l8 3v6c0 5-3.500 7.500-8 9-4.500-1.500-8-4-8-9V6z',
  tabs: 'M8 4h12v12H8zM4 8v12h12',
  moon: 'M20 14.500A8 8 0 1 1 9.500 4a6.500 6.500 0 0 0 10.500 10.500z',
  map: 'M9 4L3 6.500V20l6-2.500 6 2.500 6-2.500V4l-6 2.500zM9 4v13.500M15 6.500V20',
  out: 'M14 4H5v16h9M10 12h11M17 8l4 4-4 4',
}

export function Icon({ name }: { name: string }) {
  return (
    <svg className="icon" viewBox="0 0 24 24" aria-hidden="true">
      <path d={PATHS[name] ?? PATHS.document} />
    </svg>
  )
}
