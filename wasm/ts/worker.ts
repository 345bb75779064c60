// The worker with the engine.
import init, { Device } from './core.js'
import { serve } from './serve.js'

// Written out like this, bundlers find the file.
serve((wasmUrl) => init({ module_or_path: wasmUrl ?? new URL('./core.wasm', import.meta.url) }).then(() => ({ Device })))
