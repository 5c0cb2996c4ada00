/**
 * tfjs-node as `npm run setup:tensorflow` leaves it in .tensorflow, and how it is loaded. The one file that knows its
 * insides; it computes nothing.
 */
import { createRequire } from 'node:module'
import { join } from 'node:path'
import * as util from 'node:util'
import * as tf from '@tensorflow/tfjs-core'
import type { Writer } from './saved-model.ts'
import { FOLDER, type Setup } from './setup.ts'

/** A SavedModel as tfjs-node runs it: tensors in the order of its signature, and out likewise. */
export interface LoadedModel {
  predict(inputs: tf.Tensor[]): tf.Tensor[]
  dispose(): void
}

/** The addon's package, loaded. */
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
 * Loads it into this process and makes TensorFlow the backend of the one tfjs that there is.
 *
 * @throws Error in one line when the library cannot be loaded; says what to do
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

/** Two copies of tfjs-core would each have a registry, and ours would know nothing of TensorFlow. */
function checkRegistry() {
  if (tf.findBackend('tensorflow') !== null) return
  throw new Error('there are two copies of @tensorflow/tfjs-core')
}

/** tfjs-node 4.22 still calls utilities that Node 23 removed, and of which Node 22 warns. */
function restoreRemovedUtilities() {
  const utilities = (util as { default?: Record<string, unknown> }).default ?? {}
  utilities.isNullOrUndefined = (value: unknown) => value === null || value === undefined
  utilities.isArray = Array.isArray
}

/** The loader's own first line names the library; behind it stands what helps. */
function explained(error: unknown, { isForGpu }: Setup): string {
  const line = (error instanceof Error ? error.message : String(error)).split('\n')[0].trim()
  return `cannot be loaded: ${line} (npm run setup:tensorflow -- ${isForGpu ? '--gpu ' : ''}--again makes it anew)`
}
