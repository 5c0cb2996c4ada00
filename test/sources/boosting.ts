/**
 * Holds objectives for gradient boosting to the service's answers with `hessian: diagonal`: derivatives of each row, with and without
 * weights, with a floor, and the mean that the metric tells.
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { interpret } from '../../src/language/interpret.ts'
import { hessianKey } from '../../src/language/ir.ts'
import type { Loss } from '../../src/losses/define.ts'
import { batchAxisOf } from '../../src/losses/program.ts'
import { boostingProgram } from '../../src/sources/boosting.ts'
import { CannotWrite, type SourceInput, type SourceProgram, type Target } from '../../src/sources/contract.ts'
import { writeSource } from '../../src/sources/write.ts'
import type { DecodedTensor } from '../../src/wire/define.ts'
import { check } from '../support/evaluate.ts'
import { type Unit, unitsOf } from './cases.ts'
import { allowedIn, compare } from './compare.ts'
import { fromHex, toHex } from './doubles.ts'
import type { Report } from './every-source.ts'
import { pythonWith } from './runners/python-environment.ts'

/** NumPy's exp, log and pow differ from those of the service in the last bits. */
const TOLERANCE = 1e-12
/** On extreme inputs, the terms of a second derivative cancel down to a thousandth of what pow rounds (barron_robust). */
const TOLERANCE_OF_EXTREMES = 1e-9
const FLOOR = 1e-3

/** What a case is asked: rows of weight 0 have NaN for a score. */
interface Question {
  readonly label: string
  readonly weight: readonly number[] | null
  readonly floor: number
}

interface Answer {
  readonly gradient: string
  readonly hessian: string
  readonly mean: number
}

interface Expected {
  readonly gradient: Float64Array
  readonly hessian: Float64Array
  readonly mean: number
}

interface Job {
  readonly id: string
  readonly name: string
  readonly unit: Unit
  readonly source: SourceProgram
  readonly text: string
}

export function checkBoosting(target: Target, losses: readonly Loss[]): Report {
  const refused = new Map<string, string>()
  const jobs = losses.flatMap((loss) =>
    unitsOf(loss).flatMap((unit, place) => jobOf(target, unit, place, refused)),
  )
  const answers = run(jobs)
  const failures = jobs.flatMap((job, place) => {
    const own = questionsOf(job)
    return own.flatMap((question, i) => failuresOf(job, question, answers[place]![i]!))
  })
  const numbers = answers.flat().reduce((total, { gradient }) => total + 2 * fromHex(gradient).length + 1, 0)
  return { sources: jobs.length, cases: answers.flat().length, failures, numbers, unbounded: 0, refused }
}

function jobOf(target: Target, unit: Unit, place: number, refused: Map<string, string>): Job[] {
  const { loss } = unit.request
  try {
    const { text, name } = writeSource(target, unit.request)
    return [{ id: `${loss.name}_${place}`, name, unit, source: boostingProgram(unit.request), text }]
  } catch (error) {
    if (!(error instanceof CannotWrite)) throw error
    refused.set(loss.name, error.message)
    return []
  }
}

type Tensors = ReadonlyMap<string, DecodedTensor>
type Asked = Question & { readonly tensors: Tensors }

/** Scores have rows, and perhaps classes: of other axes, which are the last ones, the first place alone. */
function plainTensors({ inputs }: Loss, tensors: Tensors): Tensors {
  const hasMore = (name: string) => inputs[name]!.axes.indexOf('...') > 0
  return new Map(
    [...tensors].map(([name, tensor]) => {
      if (!hasMore(name)) return [name, tensor]
      const [width, shape] = [tensor.shape.at(-1)!, tensor.shape.slice(0, -1)]
      return [name, { ...tensor, shape, data: tensor.data.filter((_, place) => place % width === 0) }]
    }),
  )
}

/** Each case alone, and with weights; a floor only where it is asked for. */
function questionsOf({ unit, source }: Job): Asked[] {
  // Second derivatives of numbers of any size overflow.
  const cases = unit.cases.filter(({ label }) => label !== 'any size')
  return cases.flatMap((one) => {
    const tensors = plainTensors(unit.request.loss, one.tensors)
    const rows = tensors.get(Object.keys(source.program.gradients)[0]!)!.shape[0]!
    const weight = Array.from({ length: rows }, (_, row) => [1, 0, 2.5, 0.5][row % 4]!)
    return [
      { label: one.label, weight: null, floor: Number.NEGATIVE_INFINITY, tensors },
      { label: `${one.label}, weighted`, weight, floor: FLOOR, tensors },
    ]
  })
}

function run(jobs: readonly Job[]): Answer[][] {
  const interpreter = pythonWith(['numpy==2.4.6'])
  const folder = mkdtempSync(join(tmpdir(), 'lossd-sources-'))
  try {
    for (const { id, text } of jobs) writeFileSync(join(folder, `${id}.py`), text)
    writeFileSync(join(folder, 'jobs.json'), JSON.stringify(jobs.map(described)))
    const driver = new URL('drivers/boosting_driver.py', import.meta.url).pathname
    const options = { encoding: 'utf8', maxBuffer: 2 ** 30 } as const
    // Python writes NaN and Infinity, which JSON has not.
    return JSON.parse(
      execFileSync(interpreter, [driver, folder], options).replaceAll(/\bNaN\b|-?\bInfinity\b/g, 'null'),
    )
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function described(job: Job) {
  const { id, name, unit, source } = job
  const [scores] = Object.keys(source.program.gradients)
  const first = batchAxisOf(source.loss)
  const others = source.inputs.filter(({ name }) => name !== scores)
  const label = others.find(({ axes, trailing }) => axes.includes(first) && !trailing)
  const numbers = Object.entries(unit.request.params).filter(([, value]) => typeof value === 'number')
  return {
    id,
    name,
    params: Object.fromEntries(numbers),
    cases: questionsOf(job).map(({ tensors, weight, floor }) => ({
      scores: entryOf(tensors, scores!),
      label: label === undefined ? null : entryOf(tensors, label.name),
      shared: others
        .filter((input) => input !== label)
        .map((input: SourceInput) => entryOf(tensors, input.name)),
      weight: weight === null ? null : toHex(weight),
      floor: floor === Number.NEGATIVE_INFINITY ? -1e300 : floor,
    })),
  }
}

function entryOf(tensors: Tensors, name: string) {
  const { shape, data } = tensors.get(name)!
  return { name, shape, data: toHex(data) }
}

/** What the service answers. */
function expected({ unit, source }: Job, { tensors, weight, floor }: Asked): Expected {
  const { loss, params } = unit.request
  const [of] = Object.keys(source.program.gradients)
  const asked = { params, reduction: 'none', gradients: [of], hessian: 'diagonal' }
  const { job } = check(loss, tensors, asked)
  const { values, gradients, denominators } = interpret(job.program, job)
  const rows = tensors.get(of!)!.shape[0]!
  const weightOf = (length: number, place: number) => weight?.[Math.floor((place * rows) / length)] ?? 1
  const weighted = (numbers: Float64Array) =>
    numbers.map((x, i) => (weightOf(numbers.length, i) === 0 ? 0 : x * weightOf(numbers.length, i)))
  const hessian = weighted(gradients[hessianKey(of!)]!)
  const total = weighted(values).reduce((sum, x) => sum + x, 0)
  const count = weighted(denominators ?? new Float64Array(values.length).fill(1)).reduce(
    (sum, x) => sum + x,
    0,
  )
  return {
    gradient: weighted(gradients[of!]!),
    hessian: hessian.map((x) => (x < floor ? floor : x)),
    mean: count === 0 ? 0 : total / count,
  }
}

function failuresOf(job: Job, question: Asked, answer: Answer): string[] {
  const want = expected(job, question)
  const { program } = job.source
  const [of] = Object.keys(program.gradients)
  const rows = question.tensors.get(of!)!.shape[0]!
  const width = job.unit.request.loss.couples === 'element' ? 1 : want.gradient.length / rows
  const isExtreme = question.label.startsWith('extreme')
  const tolerance = isExtreme ? TOLERANCE_OF_EXTREMES : TOLERANCE
  const different = (what: string, got: ArrayLike<number>, wanted: Float64Array, own: number) => {
    const allowed = allowedIn(wanted, own, { tolerance, smallest: 1e-290 })
    const { difference: found } = compare({ got, want: wanted, allowed })
    return found === undefined
      ? []
      : [`${job.unit.label}, ${question.label}: ${what}[${found.place}] is ${found.got}, not ${found.want}`]
  }
  // A sum of extremes is whatever its order makes of it.
  return [
    ...different('gradient', fromHex(answer.gradient), want.gradient, width),
    ...different('hessian', fromHex(answer.hessian), want.hessian, width),
    ...(isExtreme ? [] : different('mean', [answer.mean ?? Number.NaN], Float64Array.of(want.mean), 1)),
  ]
}
