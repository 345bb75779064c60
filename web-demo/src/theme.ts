// Light, dark, or as the system says.
import { useSyncExternalStore } from 'react'

export type Theme = 'system' | 'light' | 'dark'
const KEY = 'motomind.theme'
const CHANGED = 'motomind-theme'

export const themeNow = () => (localStorage.getItem(KEY) ?? 'system') as Theme

export function applyTheme() {
  const theme = themeNow()
  if (theme === 'system') delete document.documentElement.dataset.theme
  else document.documentElement.dataset.theme = theme
}

export function setTheme(theme: Theme) {
  localStorage.setItem(KEY, theme)
  applyTheme()
  dispatchEvent(new Event(CHANGED))
}

export function useTheme(): Theme {
  return useSyncExternalStore((changed) => {
    addEventListener(CHANGED, changed)
    addEventListener('storage', changed)
    return () => {
      removeEventListener(CHANGED, changed)
      removeEventListener('storage', changed)
    }
  }, themeNow)
}

export const isDark = () => themeNow() === 'dark' || (themeNow() === 'system' && matchMedia('(prefers-color-scheme: dark)').matches)
