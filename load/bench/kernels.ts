/** The computation alone, without HTTP: every engine, and PyTorch, on the same numbers. */
import { inTurn } from '../rounds.ts'
import { SIZES } from '../scenarios.ts'
import type { Cell, Table } from '../table.ts'
import type { Part } from './part.ts'
import { aboutSides, leadOf, openEngines, openTorch, type Side } from './sides.ts'
import type { Measured, Task as Measurement } from './tasks.ts'

const LOSSES = ['sigmoid_focal', 'softmax_focal', 'cross_entropy', 'huber']

/** Losses that sort, compare pairs, or follow a recursion, at one size each. */
export const STRUCTURED: readonly Task[] = [
  { loss: 'ctc', rows: 32, columns: 80 },
  { loss: 'lovasz', rows: 4, columns: 256 * 256 },
  { loss: 'list_mle', rows: 256, columns: 100 },
  { loss: 'lambda_rank', rows: 256, columns: 100 },
  { loss: 'multiclass_sparsemax', rows: 1024, columns: 1000 },
]

/** What is measured, in the order of the tables. */
function cellsOf(quick: boolean): readonly Task[] {
  const sizes = quick ? SIZES.slice(0, 2) : SIZES
  const dense = LOSSES.flatMap((loss) => sizes.map(({ rows, columns }) => ({ loss, rows, columns })))
  return [...dense, ...(quick ? STRUCTURED.slice(-1) : STRUCTURED)]
}

type Task = Omit<Measurement, 'seconds'>

const kernels: Part = async ({ quick, say }) => {
  const effort = quick ? { rounds: 1, seconds: 0.05 } : { rounds: 3, seconds: 0.3 }
  const [engines, torch] = [await openEngines(), await openTorch()]
  const sides = [...engines, ...torch]
  try {
    const columns = [...engines.filter(({ isHere }) => isHere), ...torch]
    const others = ratioColumns(columns, leadOf(engines))
    const rows: Cell[][] = []
    for (const task of cellsOf(quick)) {
      say(`kernels: ${nameOf(task)}`)
      rows.push(rowOf(task, await measure(columns, task, effort), others))
    }
    const doubles = await doublesOf(columns, leadOf(engines), cellsOf(quick), effort, say)
    return [tableOf(sides, columns, others, rows, effort), doubles]
  } finally {
    for (const side of sides) side.close()
  }
}

export default kernels

/** float64 beside float32 on the lead, and beside the other sides in float64. */
async function doublesOf(
  sides: readonly Side[],
  lead: Side,
  tasks: readonly Task[],
  effort: Effort,
  say: (message: string) => void,
): Promise<Table> {
  const others = sides.filter(({ name }) => /^(interpreter|PyTorch)/.test(name))
  const rows: Cell[][] = []
  for (const task of tasks) {
    say(`kernels in float64: ${nameOf(task)}`)
    const [single] = await measure([lead], task, effort)
    const found = await measure([lead, ...others], { ...task, dtype: 'float64' }, effort)
    const micros = [single, ...found].map((measured) => measured && measured.nanoseconds / 1e3)
    const ratio = (a: Cell, b: Cell) => (typeof a === 'number' && typeof b === 'number' ? a / b : undefined)
    const ratios = micros.slice(2).map((time) => ratio(time, micros[1]))
    rows.push([task.loss, sizeOf(task), ...micros, ratio(micros[1], micros[0]), ...ratios])
  }
  return {
    title: 'Kernels in float64',
    about: `Microseconds per call, value and gradient, measured like the table above. The first column is ${lead.name} in float32.`,
    head: [
      'loss',
      'size',
      `${lead.name} float32`,
      lead.name,
      ...others.map(({ name }) => name),
      'float64 : float32',
      ...others.map(({ name }) => `${name} : ${lead.name}`),
    ],
    rows,
  }
}

export const sizeOf = ({ rows, columns }: Task) => `${rows}x${columns}`
const nameOf = (task: Task) => `${task.loss} ${sizeOf(task)}`

export interface Effort {
  readonly rounds: number
  readonly seconds: number
}

/** @throws Error if two sides do not compute the same result */
export async function measure(sides: readonly Side[], asked: Task, { rounds, seconds }: Effort) {
  const task = { ...asked, seconds }
  const found = await inTurn(
    sides,
    rounds,
    (side) => side.measure(task),
    (measured) => measured?.nanoseconds ?? 0,
  )
  const known = found.flatMap((measured, place) => (measured ? [{ name: sides[place].name, measured }] : []))
  for (const { name, measured } of known) {
    if (!agree(measured, known[0].measured))
      throw new Error(`${name} and ${known[0].name} differ: ${JSON.stringify([task, known])}`)
  }
  return found
}

/** Equal within what float32 rounding and the order of summation explain. */
function agree(a: Measured, b: Measured): boolean {
  const close = (x: number, y: number) => Math.abs(x - y) <= 1e-3 * Math.abs(y)
  return close(a.value, b.value) && close(a.gradient, b.gradient)
}

/** A column with the time of one side relative to the lead's. `side` and `lead` are indices into the sides. */
interface Ratio {
  readonly head: string
  readonly side: number
  readonly lead: number
}

/** tfjs op by op, and PyTorch: what a client would use instead. */
function ratioColumns(sides: readonly Side[], lead: Side): Ratio[] {
  const compared = sides.filter((side) => side !== lead && /^(wasm|PyTorch)/.test(side.name))
  return compared.map((side) => ({
    head: `${side.name} : ${lead.name}`,
    side: sides.indexOf(side),
    lead: sides.indexOf(lead),
  }))
}

/** The column after the lead's call shows the part of it that is computation. */
function rowOf(task: Task, found: readonly (Measured | undefined)[], ratios: readonly Ratio[]): Cell[] {
  const micros = found.map((measured) => measured && measured.nanoseconds / 1e3)
  const compute = found[0]?.compute
  const compared = ratios.map(({ side, lead }) => {
    const [time, leading] = [micros[side], micros[lead]]
    return time && leading && time / leading
  })
  return [task.loss, sizeOf(task), micros[0], compute && compute / 1e3, ...micros.slice(1), ...compared]
}

function tableOf(
  sides: readonly Side[],
  columns: readonly Side[],
  ratios: readonly Ratio[],
  rows: readonly Cell[][],
  { rounds, seconds }: Effort,
): Table {
  const about = [
    `Microseconds per call, value and gradient, float32. A ratio above 1 means that ${columns[0].name} is faster.`,
    `Median of ${rounds} rounds of ${seconds} s. The sides take turns, each in a process of its own. Copying inputs that an engine may keep is not counted.`,
    'lossd computes unreduced values, and the mean is taken outside the kernel. PyTorch runs the forward pass with the mean and the backward pass, and clears the old gradient.',
    'A row of ctc has 200 time steps and 40 labels, one of lovasz 2 classes; their columns are the classes and the pixels.',
    'All sides agree in the loss and in the sum of |gradient| within 1e-3.',
    ...aboutSides(sides),
  ]
  return {
    title: 'Kernels',
    about: about.join(' '),
    head: [
      'loss',
      'size',
      columns[0].name,
      'of that, kernel',
      ...columns.slice(1).map(({ name }) => name),
      ...ratios.map(({ head }) => head),
    ],
    rows,
  }
}
