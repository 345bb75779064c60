import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { App } from './app'
import { applyTheme } from './theme'
import './style/base.css'
import './style/parts.css'
import './style/screens.css'

applyTheme()
createRoot(document.getElementById('app')!).render(<StrictMode><App /></StrictMode>)
