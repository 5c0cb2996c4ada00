/**
 * `npm run accuracy [-- --seeds 1,2,3 --only huber,mse --dtype float64]`: measures the largest error of each loss on
 * numerically hard inputs and writes docs/accuracy.md, together with PyTorch's errors if `LOSSD_BENCH_PYTHON` (default
 * python3) has torch. With --only or --dtype it prints the table instead. Fails if a loss exceeds its bound.
 */
import { writeFileSync } from 'node:fs'
import { env } from 'node:process'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { openJsonLines } from '../load/json-lines.ts'
import compiled from '../src/engines/compiled.ts'
import type { Engine } from '../src/engines/contract.ts'
import { defaultSignature } from '../src/losses/custom.ts'
import type { Loss } from '../src/losses/define.ts'
import { loadCatalog } from '../src/losses/load-catalog.ts'
import { createProgramSource } from '../src/losses/program.ts'
import type { Precision } from '../src/tensor.ts'
import {
  type Answering,
  answersOf,
  BEYOND,
  type Inaccuracy,
  inaccuraciesOf,
  MODES,
  type Results,
  ROWS,
  type Sides,
  tensorsOf,
} from '../test/support/accuracy.ts'
import { openInterpreter } from '../test/support/evaluate.ts'
import { EXACT_ENGINE, isExactlyDefined } from '../test/support/exact-interpreter.ts'
import { defaultsOf } from '../test/support/sample.ts'

const LIMIT = 16
/** Maximum number of values of a row that are shown. */
const MOST_SHOWN = 6
const PAGE = new URL('accuracy.md', import.meta.url)

const { values: flags } = parseArgs({
  options: {
    seeds: { type: 'string', default: '1,2,3,4,5' },
    only: { type: 'string' },
    dtype: { type: 'string', default: 'float32' },
  },
})
const seeds = flags.seeds.split(',').map(Number)
const { losses } = await loadCatalog()
const chosen = losses.filter(({ name }) => flags.only === undefined || flags.only.split(',').includes(name))
const precision: Precision = flags.dtype === 'float64' ? 'float64' : 'float32'
const exact = precision === 'float64' ? EXACT_ENGINE : await openInterpreter()
const engine = (await compiled.open('npm run accuracy')) as Engine
const torch = precision === 'float64' ? noTorch() : await openTorch()

const rows: Row[] = []
for (const loss of chosen) {
  if (precision === 'float64' && !hasReference(loss)) continue
  const own = await worstOf({ answer: answersOf(engine), exact, precision }, loss)
  rows.push({ loss, own, theirs: torch.answer && (await worstOf({ answer: torch.answer, exact }, loss)) })
}
torch.close()
const page = pageOf(rows, torch.about)
if (flags.only === undefined && precision === 'float32') writeFileSync(PAGE, page)
else console.log(tableOf(rows))
const broken = rows.filter(({ loss, own }) => !(roundings(own) <= (BEYOND[loss.name]?.roundings ?? LIMIT)))
for (const { loss, own } of broken)
  console.error(`${loss.name} is ${roundings(own).toFixed(0)} roundings off`)
const behind = rows.filter(
  ({ own, theirs }) =>
    theirs !== undefined && theirs.length > 0 && roundings(own) > Math.max(LIMIT, roundings(theirs)),
)
for (const { loss } of behind) console.log(`PyTorch is more accurate in ${loss.name}`)
process.exit(broken.length > 0 ? 1 : 0)

/** Whether the exact interpreter knows all of its ops. */
function hasReference(loss: Loss): boolean {
  const { program } = createProgramSource()(loss, defaultSignature(loss))
  return program.nodes.every(({ op }) => isExactlyDefined(op))
}

interface Row {
  readonly loss: Loss
  readonly own: readonly Inaccuracy[]
  /** PyTorch's results; empty if it does not have this loss. */
  readonly theirs: readonly Inaccuracy[] | undefined
}

/** The largest error of each result, over all seeds. */
async function worstOf(sides: Sides, loss: Loss): Promise<(Inaccuracy & { readonly seed: number })[]> {
  const worst = new Map<string, Inaccuracy & { readonly seed: number }>()
  for (const seed of seeds) {
    for (const found of await inaccuraciesOf(sides, loss, seed)) {
      const before = worst.get(found.result)
      if (before === undefined || !(found.roundings <= before.roundings))
        worst.set(found.result, { ...found, seed })
    }
  }
  return [...worst.values()]
}

function worst(found: readonly Inaccuracy[], isGradient?: boolean): Inaccuracy | undefined {
  return found
    .filter(({ result }) => isGradient === undefined || result.startsWith('gradients.') === isGradient)
    .reduce<Inaccuracy | undefined>(
      (most, one) => (most !== undefined && one.roundings <= most.roundings ? most : one),
      undefined,
    )
}

function roundings(found: readonly Inaccuracy[]): number {
  return worst(found)?.roundings ?? 0
}

function pageOf(all: readonly Row[], about: string): string {
  return `# Accuracy

<!-- Written by \`npm run accuracy\`. -->

This page shows how far float32 results are from the exact ones, counted in roundings. The exact result is that of the float64
definition, for the same float32 inputs. A float32 result may differ from it by what one rounding of the inputs and parameters
changes, and by its own roundings. The error is therefore counted as \`|result - exact| / (2^-24 |exact| + moved)\`, where
\`moved\` is how much the exact result changes when each input changes by up to one rounding. The float32 sum of exact terms has
an error of up to about 1, and its logarithm an error of 2. Each loss is computed for
${MODES.map(({ label }) => label).join('; ')}. Each is computed with its default parameters and with each
numeric parameter changed, for the seeds ${seeds.join(', ')}. A number smaller than 1/4096 of the largest number in its row counts
as if it had that size.

float64 results are measured in the same way, with \`2^-53\` and against exact results of a hundred digits:
\`npm run accuracy -- --dtype float64\`.

Some errors are unavoidable in float32. At a stationary point (poisson_nll where exp(x) = y, a softmax that equals its soft
targets) the gradient is the difference of two equal numbers, and only their rounding errors remain. Single elements far below
the largest one of their row carry the rounding errors of the row's sums. Where the exact result exceeds the range of float32,
the result is an infinity with the right sign. A check that does not allow for the first two will find a few more large errors:
js_div and fenchel_young where the predicted probabilities equal the given ones, generalized_dice with one pixel per region, and
an item of unique_softmax whose share is 1e-20 of another's.

For comparison: ${about}. Its float32 results for the same inputs are compared with the same definition.

${tableOf(all)}

## Beyond ${LIMIT} roundings

A test checks the bound of each of these losses. float32 allows nothing better, for the following reasons:

| loss | bound | reason |
|---|--:|---|
${Object.entries(BEYOND)
  .map(
    ([name, { roundings: bound, reason }]) =>
      `| \`${name}\` | ${Number.isFinite(bound) ? bound : 'none'} | ${reason} |`,
  )
  .join('\n')}
`
}

function tableOf(all: readonly Row[]): string {
  const head = [
    '| loss | value | gradient | PyTorch value | PyTorch gradient | worst at | got | exact |',
    '|---|--:|--:|--:|--:|---|--:|--:|',
  ]
  return [...head, ...all.map(rowOf)].join('\n')
}

function rowOf({ loss, own, theirs = [] }: Row): string {
  const top = worst(own)
  const cells = [
    `\`${loss.name}\``,
    ...[own, theirs].flatMap((found) => [count(worst(found, false)), count(worst(found, true))]),
    top === undefined ? '' : whereOf(loss, top),
    top === undefined ? '' : short(top.got),
    top === undefined ? '' : short(top.exact),
  ]
  return `| ${cells.join(' | ')} |`
}

function count(found: Inaccuracy | undefined): string {
  if (found === undefined) return ''
  if (!Number.isFinite(found.roundings)) return Number.isNaN(found.got) ? 'NaN' : 'infinite'
  return found.roundings < 10 ? found.roundings.toFixed(1) : found.roundings.toPrecision(2).replace('e+', 'e')
}

/** The name of the result, and the inputs of its row in a few digits. */
function whereOf(loss: Loss, { result, params, mode, perClass, place, ...rest }: Inaccuracy): string {
  const { seed } = rest as { seed?: number }
  const told = Object.keys(params).length === 0 ? '' : `, ${JSON.stringify(params)}`
  const tensors = tensorsOf(loss, {
    params,
    mode: MODES.find(({ label }) => label === mode)!,
    seed: seed!,
    precision,
    perClass,
  })!
  const rows = loss.couples === 'element' ? undefined : ROWS
  const of = (data: ArrayLike<number>) => data.length / (rows ?? data.length)
  const differentiated = tensors.get(result.slice('gradients.'.length))
  const row = Math.floor(
    place / (rows === undefined ? 1 : differentiated === undefined ? 1 : of(differentiated.data)),
  )
  const inputs = [...tensors].flatMap(([name, { data }]) => {
    const width = of(data)
    if (!Number.isInteger(width) || width > MOST_SHOWN || row >= data.length / width) return []
    const numbers = Array.from(data as Float32Array).slice(row * width, (row + 1) * width)
    return [`${name} ${numbers.map(short).join(' ')}`]
  })
  return [`${result}${told}`, mode, ...inputs].join(', ')
}

function short(x: number): string {
  return Number.isFinite(x) ? String(Number(x.toPrecision(6))) : String(x)
}

interface Torch {
  readonly about: string
  readonly answer: Answering | undefined
  close(): void
}

/** float64 is compared with exact results alone. */
function noTorch(): Torch {
  return { about: '', answer: undefined, close: () => {} }
}

/** PyTorch in a process of its own, if it is available. */
async function openTorch(): Promise<Torch> {
  const python = env.LOSSD_BENCH_PYTHON || 'python3'
  const script = fileURLToPath(new URL('accuracy_torch.py', import.meta.url))
  const { hear, ask, close } = openJsonLines(python, [script])
  const hello = await hear()
  if (hello?.about === undefined) {
    return {
      about: `PyTorch is not available here (${hello?.unavailable ?? `${python} does not run`})`,
      answer: undefined,
      close,
    }
  }
  const answer: Answering = async (loss, tensors, params) => {
    const sent = [...tensors].map(([name, { dtype, shape, data }]) => [
      name,
      { dtype, shape, data: Array.from(data as Float32Array) },
    ])
    const request = {
      loss: loss.name,
      params: { ...defaultsOf(loss), ...params },
      tensors: Object.fromEntries(sent),
    }
    return resultsIn(await ask(request))
  }
  return { about: hello.about, answer, close }
}

interface TorchAnswer {
  readonly unsupported?: unknown
  readonly loss?: readonly (number | string)[]
  readonly gradients?: Readonly<Record<string, readonly (number | string)[]>>
}

function resultsIn({ unsupported, loss = [], gradients = {} }: TorchAnswer): Results | undefined {
  if (unsupported !== undefined) return undefined
  const numbers = (told: readonly (number | string)[]) =>
    told.map((x) => (x === 'inf' ? Infinity : x === '-inf' ? -Infinity : Number(x)))
  const all = Object.entries(gradients).map(([name, told]) => [`gradients.${name}`, numbers(told)] as const)
  return new Map([['loss', numbers(loss)], ...all])
}
