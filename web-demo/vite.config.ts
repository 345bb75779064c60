import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'
import { VitePWA } from 'vite-plugin-pwa'

// The engine is one file and has to be there without a network, however large it is.
const PRECACHED_BYTES_MAX = 32 * 1024 * 1024

export default defineConfig({
  plugins: [
    react(),
    VitePWA({
      registerType: 'prompt',
      injectRegister: false,
      manifest: {
        id: '/',
        name: 'MotoMind Sync',
        short_name: 'MotoMind',
        description: 'Vehicles and what was seen of them, with or without a signal.',
        start_url: '/',
        scope: '/',
        display: 'standalone',
        orientation: 'portrait',
        background_color: '#f4f6f5',
        theme_color: '#0d3b36',
        categories: ['productivity', 'utilities'],
        icons: [
          { src: 'icon-192.png', sizes: '192x192', type: 'image/png' },
          { src: 'icon-512.png', sizes: '512x512', type: 'image/png' },
          { src: 'icon-maskable-512.png', sizes: '512x512', type: 'image/png', purpose: 'maskable' },
        ],
        shortcuts: [{ name: 'What is unsent', url: '/#/sync' }],
      },
      workbox: {
        globPatterns: ['**/*.{js,css,html,svg,png,wasm,json}'],
        // The engine that encrypts is for apps with a key; this one has none.
        globIgnores: ['**/*encrypted*'],
        maximumFileSizeToCacheInBytes: PRECACHED_BYTES_MAX,
        navigateFallback: 'index.html',
        navigateFallbackDenylist: [/^\/(v1|dev)\//, /^\/(healthz|readyz|metrics|openapi\.json)$/],
        // A tab that was never controlled may need another tab, or a reload, while offline.
        clientsClaim: true,
      },
    }),
  ],
  // The package is linked here; its own React must not come along.
  resolve: { dedupe: ['react', 'react-dom'] },
  worker: { format: 'es' },
  build: { target: 'es2022', sourcemap: false, chunkSizeWarningLimit: 1500 },
  server: { proxy: { '/v1': 'http://127.0.0.1:8787', '/dev': 'http://127.0.0.1:8787' } },
})
