/** tfjs on WebAssembly with SIMD: the default where no TensorFlow is installed. */
import { createRequire } from 'node:module'
import { dirname } from 'node:path'
import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm'
import { env } from '@tensorflow/tfjs-core'
import { defineEngine } from './local.ts'
import { tfjsEngine } from './tfjs/engine.ts'

const BINARY = '@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm.wasm'

export default defineEngine({
  name: 'wasm',
  rank: 20,
  mergesExactly: true,
  home: 'thread',
  open: (reason) => {
    setWasmPaths(`${dirname(createRequire(import.meta.url).resolve(BINARY))}/`)
    return tfjsEngine('wasm', 'wasm', device, reason)
  },
})

function device(): string {
  return env().getBool('WASM_HAS_SIMD_SUPPORT') ? 'tfjs wasm, simd, 1 thread' : 'tfjs wasm, 1 thread'
}
