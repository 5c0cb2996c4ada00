/**
 * TensorFlow through tfjs-node-gpu, else tfjs-node, where one of them is installed. Both are optional: their install
 * scripts fetch a library that cannot be had everywhere.
 */

import * as util from 'node:util'
import * as tf from '@tensorflow/tfjs-core'
import type { Engine } from './define.ts'
import { defineEngine, type Unavailable } from './local.ts'
import { tfjsEngine } from './tfjs/engine.ts'

const PACKAGES = ['@tensorflow/tfjs-node-gpu', '@tensorflow/tfjs-node'] as const

export default defineEngine({ name: 'tensorflow', rank: 30, open })

async function open(reason: string): Promise<Engine | Unavailable> {
  restoreRemovedUtilities()
  const refusals: string[] = []
  for (const name of PACKAGES) {
    try {
      await import(name)
      return await tfjsEngine('tensorflow', 'tensorflow', () => describe(name), reason)
    } catch (error) {
      refusals.push(`${name}: ${firstLine(error)}`)
    }
  }
  return { unavailable: refusals.join('; ') }
}

/** tfjs-node 4.22 still calls utilities that Node 23 removed. */
function restoreRemovedUtilities() {
  const utilities = (util as { default?: Record<string, unknown> }).default ?? {}
  utilities.isNullOrUndefined ??= (value: unknown) => value === null || value === undefined
  utilities.isArray ??= Array.isArray
}

function describe(name: string): string {
  const backend = tf.backend() as { isUsingGpuDevice?: boolean }
  return `${name}, ${backend.isUsingGpuDevice ? 'GPU' : 'CPU'}`
}

function firstLine(error: unknown): string {
  const code = (error as { code?: string }).code
  if (code === 'ERR_MODULE_NOT_FOUND') return 'not installed'
  return (error instanceof Error ? error.message : String(error)).split('\n')[0]
}
