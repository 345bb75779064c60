export const TITLE = 'motomind.area'

/** What the person's area file was called; null where there is none. */
export const areaTitle = () => localStorage.getItem(TITLE)
