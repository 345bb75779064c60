// The worker with the engine that can encrypt.
import init, { Device } from './core-encrypted.js'
import { serve } from './serve.js'

// Written out like this, bundlers find the file.
serve((wasmUrl) => init({ module_or_path: wasmUrl ?? new URL('./core-encrypted.wasm', import.meta.url) }).then(() => ({ Device })))
