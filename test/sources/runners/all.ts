/** Target -> what runs its sources, and how far they may be from the service's answers. */
import type { Precision } from '../../../src/tensor.ts'
import type { Bounds } from '../every-source.ts'
import { c } from './c.ts'
import { duckdbRunner } from './duckdb.ts'
import { go } from './go.ts'
import { java } from './java.ts'
import { postgresRunner } from './postgres.ts'
import { python } from './python.ts'
import type { Runner } from './runner.ts'
import { rust } from './rust.ts'
import { sparkRunner } from './spark.ts'
import { typescript } from './typescript.ts'

interface Entry {
  readonly runner: Runner
  /** Whether each source takes this so long that all structures are only run with `--all`. */
  readonly isSlow?: boolean
  bounds(precision: Precision): Bounds
  /** Cases (as failures begin) that the library itself gets wrong, with the reason. */
  readonly excused?: Readonly<Record<string, string>>
}

/** The same operations in the same order; only exp, log and their kin may differ in the last bits, and sums in their order. */
const ROUNDINGS: Readonly<Record<Precision, Bounds>> = {
  float64: { tolerance: 1e-12, smallest: 1e-290 },
  // The answers are those for inputs that are not rounded to float32: a slope of 56 or a difference of equal numbers
  // multiplies that rounding (6e-8). The same text is held to 1e-12 in float64.
  float32: { tolerance: 5e-4, smallest: 1e-3 },
}

/** What is promised of queries. */
const QUERY: Bounds = { tolerance: 1e-12, smallest: 1e-290 }

/** PyTorch adds in an order of its own: terms that cancel leave a rounding behind, of 1e-19 at most. */
const TORCH: Bounds = { tolerance: 1e-12, smallest: 1e-7 }

/**
 * XLA contracts products and sums and has its own exp and log: where terms of size 1 cancel, a few of their roundings
 * (1e-15) are left.
 */
const JAX: Bounds = {
  tolerance: 1e-12,
  smallest: 1e-3,
  known: [
    {
      source: 'triplet_margin',
      what: 'loss',
      within: 2.4e-7,
      because: 'distances of 1e9 cancel, which round by 1.2e-7',
    },
    {
      source: 'triplet_margin, distance=sqeuclidean',
      what: 'loss',
      within: 256,
      because: 'distances of 1e18 cancel, which round by 128',
    },
    ...['margin=0.7', 'swap=true'].map((param) => ({
      source: `triplet_margin, ${param}`,
      what: 'loss',
      within: 2.4e-7,
      because: 'distances of 1e9 cancel, which round by 1.2e-7',
    })),
    ...['predictions', 'targets'].map((input) => ({
      source: 'binary_cross_entropy, weight',
      what: `gradient of ${input}`,
      within: 2.4e-7,
      because: 'the rounding of the slope, 1.1e-16, is multiplied by weights of up to 1e9',
    })),
    {
      source: 'categorical_hinge, targets per class',
      what: 'gradient of predictions',
      within: 0.5,
      because:
        'XLA on CPUs takes subnormal products for 0: they tie with other zeros, which then share the gradient in halves',
    },
  ],
}
/** TensorFlow and Keras on its backends add in an order of their own: terms of size 1 that cancel leave roundings behind. */
const LIBRARY: Bounds = { tolerance: 1e-10, smallest: 1e-4 }
const library = () => LIBRARY
const roundings = (precision: Precision) => ROUNDINGS[precision]

/** TensorFlow's kernels flush denormals: 1e-300 * 1e-9 is 0, and equal to 1e-300 * 1e-30. */
const DENORMALS = { 'categorical_hinge, targets per class, extreme': 'two products differ by denormals' }

/** The same source on one of its backends. */
function keras(backend: string, needs: string): Entry {
  const packages = ['numpy==2.4.6', 'keras==3.15.1', needs]
  const runner = python('keras_driver', packages, { KERAS_BACKEND: backend })
  return {
    runner,
    bounds: library,
    isSlow: true,
    ...(backend === 'tensorflow' ? { excused: DENORMALS } : {}),
  }
}

export const RUNNERS: Readonly<Record<string, Entry>> = {
  numpy: { runner: python('numpy_driver', ['numpy==2.4.6']), bounds: roundings },
  jax: { runner: python('jax_driver', ['numpy==2.4.6', 'jax==0.10.2']), bounds: () => JAX, isSlow: true },
  torch: { runner: python('torch_driver', ['numpy==2.4.6', 'torch==2.15.0']), bounds: () => TORCH },
  tensorflow: {
    runner: python('tensorflow_driver', ['numpy==2.4.6', 'tensorflow-cpu==2.21.0']),
    bounds: library,
    isSlow: true,
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
  'sql postgres': { runner: postgresRunner, bounds: () => QUERY },
  'sql spark': { runner: sparkRunner, bounds: () => QUERY },
  'sql duckdb': { runner: duckdbRunner, bounds: () => QUERY },
}
