/**
 * The tensors that are sent and computed: the same numbers in every run and on every side (`bench/torch_bench.py`
 * repeats them).
 */

/** One tensor, in C order. */
export interface Column {
  readonly shape: readonly number[]
  readonly data: Float32Array | Int32Array
}

/** Input name -> its tensor. The gradient is requested for the first one. */
export type Inputs = Readonly<Record<string, Column>>

/** Loss -> its inputs. */
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
  ctc: (rows, classes) => ({
    predictions: { ...reals(rows * CTC.time, classes, Math.sin), shape: [rows, CTC.time, classes] },
    targets: whole([rows, CTC.labels], (i) => 1 + ((i * i) % (classes - 1))),
    input_lengths: whole([rows], () => CTC.time),
    target_lengths: whole([rows], () => CTC.labels),
  }),
  lovasz: (rows, pixels) => ({
    predictions: { ...reals(rows * REGIONS, pixels, Math.sin), shape: [rows, REGIONS, pixels] },
    targets: whole([rows, pixels], (i) => Math.floor(i / 3) % REGIONS),
  }),
  list_mle: (rows, items) => ({
    predictions: reals(rows, items, Math.sin),
    targets: reals(rows, items, Math.cos),
  }),
  lambda_rank: (rows, items) => ({
    predictions: reals(rows, items, Math.sin),
    targets: reals(rows, items, (i) => ((i * 7) % 11) / 3),
  }),
  multiclass_sparsemax: classified,
  nt_xent: (rows, columns) => ({
    embeddings: reals(rows, columns, Math.sin),
    labels: labels(rows, rows / 2),
  }),
}

/** Time steps and labels of a row of ctc. */
const CTC = { time: 200, labels: 40 } as const
/** Classes of lovasz. */
const REGIONS = 2

/** @throws Error for a loss that has no inputs here */
export function inputsOf(loss: string, rows: number, columns: number): Inputs {
  const make = MAKERS[loss]
  if (make === undefined) throw new Error(`load/fixed-inputs.ts has no inputs for ${loss}`)
  return make(rows, columns)
}

function classified(rows: number, columns: number): Inputs {
  return { predictions: reals(rows, columns, Math.sin), targets: labels(rows, columns) }
}

/** Three times a function of the index, so that logits are neither flat nor saturated. */
function reals(rows: number, columns: number, at: (i: number) => number): Column {
  return { shape: [rows, columns], data: Float32Array.from({ length: rows * columns }, (_, i) => 3 * at(i)) }
}

function whole(shape: readonly number[], at: (i: number) => number): Column {
  const length = shape.reduce((product, size) => product * size, 1)
  return { shape, data: Int32Array.from({ length }, (_, i) => at(i)) }
}

function labels(rows: number, classes: number): Column {
  return { shape: [rows], data: Int32Array.from({ length: rows }, (_, i) => i % classes) }
}
