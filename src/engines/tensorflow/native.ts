/**
 * Loads tfjs-node from .tensorflow, where `npm run setup:tensorflow` has put it. This is the only file that knows
 * its internals; it computes nothing.
 */
import { createRequire } from 'node:module'
import { join } from 'node:path'
import * as util from 'node:util'
import * as tf from '@tensorflow/tfjs-core'
import type { Writer } from './saved-model.ts'
import { FOLDER, type Setup } from './setup.ts'

/** A SavedModel as tfjs-node runs it: input tensors in the order of its signature, and outputs likewise. */
export interface LoadedModel {
  predict(inputs: tf.Tensor[]): tf.Tensor[]
  dispose(): void
}

/** The loaded package of the addon. */
export interface Native {
  readonly setup: Setup
  readonly isUsingGpu: boolean
  loadSavedModel(path: string, tags: string[], signature: string): Promise<LoadedModel>
  newWriter(): Writer
}

interface NodePackage {
  readonly node: Pick<Native, 'loadSavedModel'>
}

/**
 * Loads it into this process and makes TensorFlow the backend of the process's only tfjs.
 *
 * @throws Error in one line if the library cannot be loaded; it says what to do
 */
export function loadNative(setup: Setup, folder: string = FOLDER): Native {
  restoreRemovedUtilities()
  const require = createRequire(join(folder, 'package.json'))
  try {
    const { node } = require(setup.package) as NodePackage
    checkRegistry()
    const { isUsingGpuDevice } = tf.backend() as tf.KernelBackend & { isUsingGpuDevice: boolean }
    const { BinaryWriter } = require('google-protobuf') as { BinaryWriter: new () => Writer }
    return {
      setup,
      isUsingGpu: isUsingGpuDevice,
      loadSavedModel: node.loadSavedModel,
      newWriter: () => new BinaryWriter(),
    }
  } catch (error) {
    throw new Error(explained(error, setup))
  }
}

/** With two copies of tfjs-core each would have its own registry, and ours would not contain TensorFlow. */
function checkRegistry() {
  if (tf.findBackend('tensorflow') !== null) return
  throw new Error('there are two copies of @tensorflow/tfjs-core')
}

/** tfjs-node 4.22 still calls utilities that Node 23 has removed and that Node 22 warns about. */
function restoreRemovedUtilities() {
  const utilities = (util as { default?: Record<string, unknown> }).default ?? {}
  utilities.isNullOrUndefined = (value: unknown) => value === null || value === undefined
  utilities.isArray = Array.isArray
}

/** The first line of the loader's error names the library; what helps is added after it. */
function explained(error: unknown, { isForGpu }: Setup): string {
  const line = (error instanceof Error ? error.message : String(error)).split('\n')[0].trim()
  return `cannot be loaded: ${line} (npm run setup:tensorflow -- ${isForGpu ? '--gpu ' : ''}--again installs it again)`
}
