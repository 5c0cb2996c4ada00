/**
 * TensorFlow through tfjs-node-gpu, else tfjs-node, where one of them is installed. Both are optional: their install
 * scripts fetch a library that cannot be had everywhere.
 */

import { existsSync, readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import * as util from 'node:util'
import * as tf from '@tensorflow/tfjs-core'
import type { Engine } from './define.ts'
import { defineEngine, type Unavailable } from './local.ts'
import { tfjsEngine } from './tfjs/engine.ts'

const PACKAGES = ['@tensorflow/tfjs-node-gpu', '@tensorflow/tfjs-node'] as const

export default defineEngine({ name: 'tensorflow', rank: 30, mergesExactly: false, home: 'process', open })

async function open(reason: string): Promise<Engine | Unavailable> {
  restoreRemovedUtilities()
  const refusals: string[] = []
  for (const name of PACKAGES) {
    try {
      checkNativePart(name)
      await import(name)
      return await tfjsEngine('tensorflow', 'tensorflow', () => describe(name), reason)
    } catch (error) {
      refusals.push(`${name}: ${firstLine(error)}`)
    }
  }
  return { unavailable: refusals.join('; ') }
}

/**
 * Importing a package whose install script could not fetch its library fails only after it has registered half of its
 * kernels, which then stand in the way of the next package's.
 *
 * @throws Error when the package or its native part is not there
 */
function checkNativePart(name: string) {
  const root = dirname(createRequire(import.meta.url).resolve(`${name}/package.json`))
  const folders = existsSync(join(root, 'lib')) ? readdirSync(join(root, 'lib')) : []
  const isThere = folders.some((folder) => existsSync(join(root, 'lib', folder, 'tfjs_binding.node')))
  if (!isThere) throw new Error('installed without its native part')
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
  if (code === 'MODULE_NOT_FOUND') return 'not installed'
  return (error instanceof Error ? error.message : String(error)).split('\n')[0]
}
