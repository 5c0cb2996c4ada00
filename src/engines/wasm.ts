/** tfjs on WebAssembly with SIMD: the fallback for programs that the compiled engine cannot run. */
import { createRequire } from 'node:module'
import { dirname } from 'node:path'
import type { Engine } from './contract.ts'
import { defineEngine } from './define.ts'

const BINARY = '@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm.wasm'

export default defineEngine({ name: 'wasm', rank: 20, mergesExactly: true, home: 'thread', open })

/** tfjs is loaded only where it computes. */
async function open(reason: string): Promise<Engine> {
  const { setWasmPaths } = await import('@tensorflow/tfjs-backend-wasm')
  const { env } = await import('@tensorflow/tfjs-core')
  const { tfjsEngine } = await import('./tfjs/engine.ts')
  setWasmPaths(`${dirname(createRequire(import.meta.url).resolve(BINARY))}/`)
  const simd = () => (env().getBool('WASM_HAS_SIMD_SUPPORT') ? 'simd, ' : '')
  return tfjsEngine('wasm', 'wasm', () => `tfjs wasm, ${simd()}1 thread`, reason)
}
