/** tfjs in plain JavaScript: runs everywhere, slowly. */
import type { Engine } from './contract.ts'
import { defineEngine } from './define.ts'

export default defineEngine({ name: 'cpu', rank: 10, mergesExactly: true, home: 'thread', open })

/** tfjs is loaded only where it computes. */
async function open(reason: string): Promise<Engine> {
  await import('@tensorflow/tfjs-backend-cpu')
  const { tfjsEngine } = await import('./tfjs/engine.ts')
  return tfjsEngine('cpu', 'cpu', () => 'tfjs cpu, 1 thread', reason)
}
