/**
 * Self-test: computes one small loss with its gradient when the engine opens. A setup that computes wrong results
 * is not used, and the compiler and the device are warmed up before the first request.
 */
import { interpret } from '../../language/interpret.ts'
import { lower } from '../../language/lower.ts'
import { parse } from '../../language/parse.ts'
import type { Batch, Engine } from '../contract.ts'

const FORMULA = 'logsumexp(x, classes) - pick(x, labels, classes)'
const AXES = ['rows', 'classes']
const X = Float32Array.of(1, 2, 3, 4, 5, 6)
const LABELS = Int32Array.of(1, 0)
/** A few roundings of float32, for numbers near 1. */
const TOLERANCE = 1e-4

/** The results. */
export interface Probed {
  readonly values: readonly number[]
  readonly gradient: readonly number[]
  /** Whether XLA compiled it; otherwise it ran op by op. */
  readonly isCompiled: boolean
}

/**
 * @throws Error if the numbers differ from the interpreter's
 * @example
 * await probe(engine) // { values: [1.4076059...], gradient: [...], isCompiled: true }
 */
export async function probe(engine: Pick<Engine, 'run'>): Promise<Probed> {
  const batch = crossEntropy()
  const { program, sizes, scalars } = batch
  const want = interpret(program, { sizes, scalars, inputs: { x: X, labels: LABELS } })
  const { values, gradients, compileMs } = await engine.run(batch)
  compare([...values, ...gradients.x], [...want.values, ...want.gradients.x])
  return { values: [...values], gradient: [...gradients.x], isCompiled: compileMs !== undefined }
}

function crossEntropy(): Batch {
  const scope = {
    inputs: {
      x: { type: 'real', axes: AXES },
      labels: { type: 'index', axes: ['rows'] },
    },
    absent: [],
    params: {},
    axes: AXES,
  } as const
  return {
    programKey: 'probe',
    program: lower(parse(FORMULA), scope, ['x']),
    precision: 'float32',
    sizes: { rows: 2, classes: 3 },
    inputs: { x: [X], labels: [LABELS] },
    scalars: {},
    cotangent: [Float32Array.of(1)],
  }
}

function compare(got: readonly number[], want: readonly number[]) {
  const isRight = want.every((number, i) => Math.abs(got[i] - number) <= TOLERANCE)
  if (!isRight) throw new Error(`it computes ${got.join(' ')} instead of ${want.join(' ')}`)
}
