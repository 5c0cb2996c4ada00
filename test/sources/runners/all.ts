/** Target -> what runs its sources, and how far they may be from the service's answers. */
import type { Precision } from '../../../src/tensor.ts'
import type { Bounds } from '../every-source.ts'
import { c } from './c.ts'
import { duckdb } from './duckdb.ts'
import { go } from './go.ts'
import { java } from './java.ts'
import { postgres } from './postgres.ts'
import { python } from './python.ts'
import type { Runner } from './runner.ts'
import { rust } from './rust.ts'
import { spark } from './spark.ts'
import { typescript } from './typescript.ts'

interface Entry {
  readonly runner: Runner
  bounds(precision: Precision): Bounds
  /** Cases (as failures begin) that the library itself gets wrong, with the reason. */
  readonly excused?: Readonly<Record<string, string>>
}

/** The same operations in the same order; only exp, log and their kin may differ in the last bits, and sums in their order. */
const ROUNDINGS: Readonly<Record<Precision, Bounds>> = {
  float64: { tolerance: 1e-12, smallest: 1e-290 },
  float32: { tolerance: 3e-5, smallest: 1e-30 },
}

/** What is promised of queries. */
const QUERY: Bounds = { tolerance: 1e-12, smallest: 1e-290 }

/**
 * Libraries add in an order of their own, and their functions differ in the last bits: where terms of size 1 cancel,
 * what is left may be off by a rounding of those.
 */
const LIBRARY: Readonly<Record<Precision, Bounds>> = {
  float64: { tolerance: 1e-10, smallest: 1e-4 },
  float32: { tolerance: 1e-4, smallest: 1e-3 },
}
const library = (precision: Precision) => LIBRARY[precision]
const roundings = (precision: Precision) => ROUNDINGS[precision]

/** TensorFlow's kernels flush denormals: 1e-300 * 1e-9 is 0, and equal to 1e-300 * 1e-30. */
const DENORMALS = { 'categorical_hinge, targets per class, extreme': 'two products differ by denormals' }

/** The same source on one of its backends. */
function keras(backend: string, needs: string): Entry {
  const packages = ['numpy==2.4.6', 'keras==3.15.1', needs]
  const runner = python('keras_driver', packages, { KERAS_BACKEND: backend })
  return { runner, bounds: library, ...(backend === 'tensorflow' ? { excused: DENORMALS } : {}) }
}

export const RUNNERS: Readonly<Record<string, Entry>> = {
  numpy: { runner: python('numpy_driver', ['numpy==2.4.6']), bounds: roundings },
  jax: { runner: python('jax_driver', ['numpy==2.4.6', 'jax==0.10.2']), bounds: library },
  torch: { runner: python('torch_driver', ['numpy==2.4.6', 'torch==2.15.0']), bounds: library },
  tensorflow: {
    runner: python('tensorflow_driver', ['numpy==2.4.6', 'tensorflow-cpu==2.21.0']),
    bounds: library,
    excused: DENORMALS,
  },
  'keras tensorflow': keras('tensorflow', 'tensorflow-cpu==2.21.0'),
  'keras jax': keras('jax', 'jax==0.10.2'),
  'keras torch': keras('torch', 'torch==2.15.0'),
  c: { runner: c, bounds: roundings },
  // math.Pow of Go is off by up to 1e-10 where its exponent is not whole and its base is far from 1.
  go: {
    runner: go,
    bounds: (precision) =>
      precision === 'float32' ? ROUNDINGS.float32 : { tolerance: 1e-10, smallest: 1e-290 },
  },
  rust: { runner: rust, bounds: roundings },
  java: { runner: java, bounds: roundings },
  typescript: { runner: typescript, bounds: roundings },
  'sql postgres': { runner: postgres, bounds: () => QUERY },
  'sql spark': { runner: spark, bounds: () => QUERY },
  'sql duckdb': { runner: duckdb, bounds: () => QUERY },
}
