/** tfjs in plain JavaScript: runs everywhere, slowly. */
import '@tensorflow/tfjs-backend-cpu'
import { defineEngine } from './local.ts'
import { tfjsEngine } from './tfjs/engine.ts'

export default defineEngine({
  name: 'cpu',
  rank: 10,
  mergesExactly: true,
  home: 'thread',
  open: (reason) => tfjsEngine('cpu', 'cpu', () => 'tfjs cpu, 1 thread', reason),
})
