/** Target -> what runs its sources, and how far they may be from the service's answers. */
import type { Precision } from '../../../src/tensor.ts'
import type { Bounds } from '../every-source.ts'
import { FLOAT64 } from '../rounding.ts'
import { cWith } from './c.ts'
import { duckdbRunner } from './duckdb.ts'
import { go } from './go.ts'
import { bigqueryRunner } from './googlesql.ts'
import { java } from './java.ts'
import { postgresRunner } from './postgres.ts'
import { python } from './python.ts'
import type { Runner } from './runner.ts'
import { rust } from './rust.ts'
import { sparkRunner } from './spark.ts'
import { tfjs } from './tfjs.ts'
import { snowflakeRunner } from './translated.ts'
import { typescript } from './typescript.ts'

interface Entry {
  readonly runner: Runner
  /** Whether each source takes this so long that all structures are only run with `--all`. */
  readonly isSlow?: boolean
  /** In float64; in float32 the bounds follow from the program (rounding.ts). */
  readonly bounds: Bounds
  /** The precisions that the same text is run in; default: those that the target writes. */
  readonly precisions?: readonly Precision[]
  /** How failures begin that are the library's own, with the reason. */
  readonly excused?: Readonly<Record<string, string>>
}

/** The same operations in the same order; only exp, log and their kin may differ in the last bits, and sums in their order. */
const ROUNDINGS: Bounds = { tolerance: 1e-12, smallest: 1e-290 }

/**
 * In float32 alone. Kernels of TensorFlow.js have digits of their own, and a slope of 56 or a difference of equal numbers multiplies
 * a rounding (6e-8).
 */
const NARROW: Bounds = { tolerance: 5e-4, smallest: 1e-3, isFixed: true }

/** What is promised of queries. */
const QUERY: Bounds = { tolerance: 1e-12, smallest: 1e-290 }

/** Libraries add in an order of their own, contract products and sums, and have their own exp and log. */
const LIBRARY: Bounds = FLOAT64

/** XLA and the kernels of TensorFlow take denormals for 0: 1e-300 * 1e-9 is equal to 1e-300 * 1e-30. */
const FLUSHING: Bounds = { ...FLOAT64, smallest: 2 ** -1022 }

/** The polynomial for log1p of XLA, which is right for x > -0.29, is used down to -0.414, where it is off by 129 ulp. */
const XLA: Bounds = { ...FLUSHING, log1p: 260 }

const BOTH = ['float64', 'float32'] as const

const KERAS: Readonly<Record<string, Bounds>> = { tensorflow: FLUSHING, jax: XLA, torch: LIBRARY }

/** Their arcs and angles have the digits of float32. */
const KERAS_ON_JAX = Object.fromEntries(
  ['ciou', 'margin_softmax'].flatMap((loss) =>
    ['ordinary', 'extreme', 'tied', 'any size'].map((mode) => [
      `${loss}, ${mode}`,
      'Keras 3.15 computes sin, cos, arctan and their kin in float32 on JAX, also of float64',
    ]),
  ),
)

/** The same source on one of its backends. */
function keras(backend: string, needs: string): Entry {
  const packages = ['numpy==2.4.6', 'keras==3.15.1', needs]
  const runner = python('keras_driver', packages, { KERAS_BACKEND: backend })
  const excused = backend === 'jax' ? KERAS_ON_JAX : {}
  return { runner, bounds: KERAS[backend]!, isSlow: true, excused }
}

export const RUNNERS: Readonly<Record<string, Entry>> = {
  numpy: { runner: python('numpy_driver', ['numpy==2.4.6']), bounds: ROUNDINGS, precisions: BOTH },
  jax: { runner: python('jax_driver', ['numpy==2.4.6', 'jax==0.10.2']), bounds: XLA, isSlow: true },
  torch: {
    runner: python('torch_driver', ['numpy==2.4.6', 'torch==2.15.0']),
    bounds: LIBRARY,
    precisions: BOTH,
    excused: {
      'rotation_angle, ordinary: gradgradcheck':
        'the sampled matrices are no rotations, and beyond half a turn torch.where multiplies the infinite slope of asin by 0',
    },
  },
  tensorflow: {
    runner: python('tensorflow_driver', ['numpy==2.4.6', 'tensorflow-cpu==2.21.0']),
    bounds: FLUSHING,
    isSlow: true,
  },
  'keras tensorflow': keras('tensorflow', 'tensorflow-cpu==2.21.0'),
  'keras jax': keras('jax', 'jax==0.10.2'),
  'keras torch': keras('torch', 'torch==2.15.0'),
  tfjs: { runner: tfjs, bounds: NARROW },
  c: { runner: cWith('gcc', '-O0'), bounds: ROUNDINGS },
  // Its loops as vectors.
  'c -O3': { runner: cWith('gcc', '-O3', '-march=native'), bounds: ROUNDINGS, isSlow: true },
  'c clang': { runner: cWith('clang', '-O2'), bounds: ROUNDINGS, isSlow: true },
  // math.Pow of Go is off by up to 1e-10 where its exponent is not whole and its base is far from 1.
  go: { runner: go, bounds: { tolerance: 1e-10, smallest: 1e-290 } },
  rust: { runner: rust, bounds: ROUNDINGS },
  java: { runner: java, bounds: ROUNDINGS },
  typescript: { runner: typescript, bounds: ROUNDINGS },
  'sql postgres': { runner: postgresRunner, bounds: QUERY },
  'sql spark': { runner: sparkRunner, bounds: QUERY },
  'sql bigquery': { runner: bigqueryRunner, bounds: QUERY },
  'sql snowflake': { runner: snowflakeRunner, bounds: QUERY, isSlow: true },
  'sql duckdb': { runner: duckdbRunner, bounds: QUERY },
}
