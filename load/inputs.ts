/** What is sent and computed: the same numbers at every run and on every side (`bench/torch_bench.py` repeats them). */

/** One tensor, in C order. */
export interface Column {
  readonly shape: readonly number[]
  readonly data: Float32Array | Int32Array
}

/** Input name -> its tensor; the first one is what the gradient is wanted of. */
export type Inputs = Readonly<Record<string, Column>>

/** Loss -> what it is given. */
const MAKERS: Readonly<Record<string, (rows: number, columns: number) => Inputs>> = {
  cross_entropy: classified,
  softmax_focal: classified,
  multi_margin: classified,
  triplet_margin: (rows, columns) => ({
    anchor: reals(rows, columns, Math.sin),
    positive: reals(rows, columns, Math.cos),
    negative: reals(rows, columns, (i) => Math.sin(1.7 * i)),
  }),
  sigmoid_focal: (rows, columns) => ({
    predictions: reals(rows, columns, Math.sin),
    targets: reals(rows, columns, (i) => (i % 3 === 0 ? 1 / 3 : 0)),
  }),
  huber: (rows, columns) => ({
    predictions: reals(rows, columns, Math.sin),
    targets: reals(rows, columns, Math.cos),
  }),
  nt_xent: (rows, columns) => ({
    embeddings: reals(rows, columns, Math.sin),
    labels: labels(rows, rows / 2),
  }),
}

/** @throws Error for a loss that nothing is known of */
export function inputsOf(loss: string, rows: number, columns: number): Inputs {
  const make = MAKERS[loss]
  if (make === undefined) throw new Error(`load/inputs.ts does not know what ${loss} is given`)
  return make(rows, columns)
}

function classified(rows: number, columns: number): Inputs {
  return { predictions: reals(rows, columns, Math.sin), targets: labels(rows, columns) }
}

/** Three times a function of the place, so that logits are neither flat nor sure. */
function reals(rows: number, columns: number, at: (i: number) => number): Column {
  return { shape: [rows, columns], data: Float32Array.from({ length: rows * columns }, (_, i) => 3 * at(i)) }
}

function labels(rows: number, classes: number): Column {
  return { shape: [rows], data: Int32Array.from({ length: rows }, (_, i) => i % classes) }
}
