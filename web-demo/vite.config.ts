import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'
import { offlineShell } from './shell/plugin.ts'

export default defineConfig({
  // The engine that encrypts is for apps with a key; this one has none, and need not keep it.
  plugins: [react(), offlineShell({ without: /encrypted/ })],
  // The package is linked here; its own React must not come along.
  resolve: { dedupe: ['react', 'react-dom'] },
  worker: { format: 'es' },
  build: { target: 'es2022', chunkSizeWarningLimit: 1500 },
  server: { proxy: { '/v1': 'http://127.0.0.1:8787', '/dev': 'http://127.0.0.1:8787' } },
})
