/** The command `lossd evaluate`. */
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { setFlagsFromString } from 'node:v8'
import { reportPage } from '../evaluation/report.ts'
import type { Evaluation } from '../evaluation/result.ts'
import { count, evaluationTable, visible } from '../evaluation/text-table.ts'
import { didYouMean } from '../nearest.ts'
import { Database, type DataFile } from './database.ts'
import { EvaluationFailed, systemWords } from './failure.ts'
import { findFiles, type Search, statsAt } from './files.ts'
import { type Guess, guessColumns } from './guess.ts'
import { checkOutput, checkWritable, writeOutput } from './output.ts'
import { ProgressBar, type Screen } from './progress-bar.ts'
import {
  DEFAULT_QUANTILES,
  type EvaluationRequest,
  type LossAsk,
  type Road,
  replicatesOf,
} from './request.ts'
import type { Costs } from './road.ts'
import { Service } from './service.ts'
import { Threads } from './threads.ts'

export const EVALUATE_USAGE = `lossd evaluate <file>                   prints mean losses of predictions, with their uncertainty

  <file>      Parquet, CSV, JSON lines, Arrow IPC, npz or safetensors; or a folder, or a pattern in quotes: 'sales/*.parquet'
  --loss      default: mse and l1. A name of the catalog, with parameters: huber:delta=2; or a file with a definition (.json) or a formula
              (may be repeated)
  --predictions, --targets   the columns, by default those that are called so (y_hat, y); columns with commas between them, or one with lists, are classes
  --input     another input of the loss: variance=var_hat (may be repeated)
  --by        columns that slices are made of: region,month
  --weight    a column with weights
  --compare   columns with the predictions of two or more models: y_hat_a,y_hat_b
  --bootstrap <replicates>, --seed, --cluster <column>   intervals by the bootstrap, of rows or of clusters
  --quantiles 0.5,0.9,0.99   of the losses; the default for up to 10 million rows, and with --report
  --worst     how many of the rows with the largest losses are shown
  --on-bad    fail (default) or skip: what becomes of rows with nulls, NaN or labels out of range
  --report    a file for the report as a web page (.html)
  --out       a file for the numbers (.json, .csv or .parquet)
  --json      prints JSON
  --threads, --road auto|sql|kernels
  --url       a service that evaluates: files of this machine are uploaded, any other path is one of its own.
              Its key is in LOSSD_API_KEY`

/** What a command has to do with the process. */
export interface Terminal extends Screen {
  readonly out: (text: string) => void
  /** Aborted when the person wants no answer any more. */
  readonly signal?: AbortSignal
  /** The key for a service. */
  readonly apiKey?: string | undefined
}

const text = { type: 'string' } as const
const texts = { type: 'string', multiple: true } as const
const OPTIONS = {
  loss: texts,
  input: texts,
  predictions: text,
  targets: text,
  by: text,
  weight: text,
  compare: text,
  bootstrap: text,
  seed: text,
  cluster: text,
  quantiles: text,
  worst: text,
  'on-bad': text,
  report: text,
  out: text,
  json: { type: 'boolean' },
  threads: text,
  road: text,
  url: text,
} as const

/**
 * @throws Problem, EvaluationFailed, or TypeError with the usage
 * @example
 * await runEvaluate(['predictions.parquet', '--loss', 'huber', '--predictions', 'y_hat', '--targets', 'y'], terminal)
 */
export async function runEvaluate(args: readonly string[], terminal: Terminal): Promise<void> {
  const { values, positionals } = parsed(args)
  const [path] = positionals
  if (positionals.length === 0) throw new TypeError(EVALUATE_USAGE)
  if (positionals.length > 1)
    throw new TypeError(
      `evaluate takes one file, one folder, or a pattern in quotes, got ${positionals.slice(0, 3).join(' ')}${positionals.length > 3 ? ' ...' : ''}`,
    )
  const asked = requestOf(values)
  const { report, out } = values
  if (out !== undefined) checkOutput(out)
  for (const path of [report, out]) if (path !== undefined) await written(path, () => checkWritable(path))
  const { answer, guessed } =
    values.url === undefined
      ? await evaluateHere(path, asked, values.threads, terminal)
      : await evaluateThere(path, asked, values.url, terminal)
  if (!values.json) tellGuess(guessed, terminal)
  terminal.out(values.json ? JSON.stringify(answer, null, 2) : evaluationTable(answer).trimEnd())
  if (args.length === 1) terminal.out(nextSteps(path))
  if (report !== undefined) await written(report, () => writeFileSync(report, reportPage(answer)))
  if (out !== undefined) await written(out, () => writeOutput(out, answer))
}

/** @throws TypeError of one line */
function parsed(args: readonly string[]) {
  try {
    const found = parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true, tokens: true })
    checkGivenOnce(found.tokens.flatMap((token) => (token.kind === 'option' ? [token.name] : [])))
    return found
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    const unknown = code === 'ERR_PARSE_ARGS_UNKNOWN_OPTION' ? /'(-[^' ]*)/.exec(message)?.[1] : undefined
    if (unknown === undefined) throw new TypeError(message.replaceAll('\n', ' '))
    const names = Object.keys(OPTIONS).map((name) => `--${name}`)
    throw new TypeError(
      `there is no option ${unknown}${didYouMean(unknown, names) || '.'} lossd evaluate --help explains all options`,
    )
  }
}

/** Of two columns, only the second would count, and nobody would be told. */
function checkGivenOnce(names: readonly string[]) {
  const twice = names.find((name, place) => {
    const { type, multiple } = OPTIONS[name as keyof typeof OPTIONS] as { type: string; multiple?: boolean }
    return type === 'string' && !multiple && names.indexOf(name) !== place
  })
  if (twice !== undefined)
    throw new TypeError(
      `--${twice} may be given once. Several columns or numbers have commas between them: a,b`,
    )
}

/** @throws EvaluationFailed if it cannot be written */
async function written(path: string, write: () => void | Promise<void>): Promise<void> {
  try {
    await write()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === undefined) throw error
    throw new EvaluationFailed('unwritable', `${path} cannot be written: ${systemWords(error)}`, {
      cause: error,
    })
  }
}

interface Answered {
  readonly answer: Evaluation
  readonly guessed: Guess['guessed']
}

/**
 * Rows are looked at by WebAssembly. What is left runs once for a block, and V8 would spend a fifth of the time of an
 * evaluation on optimizing it, in every thread. Loops over rows are still noticed: for formats that are read in JavaScript.
 */
const PATIENT = '--interrupt-budget=2000000'

/** On this machine, people may read whatever their links lead to. */
const HERE: Search = { followsLinks: true }

async function evaluateHere(
  path: string,
  asked: EvaluationRequest,
  threads: string | undefined,
  terminal: Terminal,
): Promise<Answered> {
  setFlagsFromString(PATIENT)
  const files = findFiles(path, HERE)
  const wanted = threads === undefined ? availableParallelism() : numberOf(threads, '--threads', 1)
  const ahead = wanted > 1 && areLarge(files) ? new Threads(wanted - 1) : undefined
  // They load beside this thread.
  const { evaluate } = await import('./evaluate.ts')
  const { loadCatalogFor } = await import('../losses/load-catalog.ts')
  const { request, guessed } = await guess(asked, files[0])
  const bar = new ProgressBar(terminal)
  try {
    const answer = await evaluate(request, files, {
      catalog: await loadCatalogFor(request.losses.flatMap((ask) => ('loss' in ask ? [ask.loss] : []))),
      threads: wanted,
      ahead,
      onProgress: (progress) => bar.show(progress),
      onMeasured: (costs) => tellCosts(costs, terminal),
      ...(terminal.signal === undefined ? {} : { signal: terminal.signal }),
    })
    return { answer, guessed }
  } finally {
    bar.clear()
  }
}

/** On a service: files of this machine are uploaded first, any other path is one of the service's own. */
async function evaluateThere(
  path: string,
  asked: EvaluationRequest,
  url: string,
  terminal: Terminal,
): Promise<Answered> {
  const service = new Service(url, terminal)
  const files = filesHere(path)
  if (files === undefined) return { answer: await service.evaluate(asked, { path }), guessed: {} }
  const { request, guessed } = await guess(asked, files[0])
  const ids: string[] = []
  for (const file of files) ids.push(await service.upload(file))
  return { answer: await service.evaluate(request, { dataset: ids }), guessed }
}

/** @returns undefined if there are none */
function filesHere(path: string): DataFile[] | undefined {
  try {
    return findFiles(path, HERE)
  } catch (error) {
    if (error instanceof EvaluationFailed && !existsSync(path)) return undefined
    throw error
  }
}

/** Files of so many bytes are worth more threads than one. */
const LARGE_BYTES = 2 ** 25

function areLarge(files: readonly DataFile[]): boolean {
  return files.reduce((sum, { path }) => sum + statSync(path).size, 0) >= LARGE_BYTES
}

const nextSteps = (path: string) => `
Next: lossd evaluate ${path} --loss huber:delta=2 --by <column> --bootstrap 1000 --worst 10 --report report.html
      lossd evaluate --help explains all options`

async function guess(request: EvaluationRequest, file: DataFile): Promise<Guess> {
  const database = new Database()
  try {
    return guessColumns(request, await database.columns(file))
  } finally {
    await database.close()
  }
}

function tellGuess(guessed: Guess['guessed'], { out }: Terminal) {
  const parts = Object.entries(guessed).map(([input, column]) => `${visible(column)} as the ${input}`)
  if (parts.length > 0)
    out(
      `Took ${parts.join(' and ')}; ${Object.keys(guessed)
        .map((input) => `--${input}`)
        .join(' and ')} would say otherwise.\n`,
    )
}

function tellCosts({ rows, kernels, sql }: Costs, { note, isInteractive }: Terminal) {
  const [inKernels, inSql] = [kernels, sql].map((ns) => Math.round(ns))
  if (isInteractive)
    note(`${count(rows)} rows by two roads: ${inKernels} ns each by compiled kernels, ${inSql} ns in SQL\n`)
}

type Values = ReturnType<typeof parseArgs<{ options: typeof OPTIONS }>>['values']

function requestOf(values: Values): EvaluationRequest {
  const onBad = values['on-bad'] ?? 'fail'
  const road = values.road ?? 'auto'
  if (onBad !== 'fail' && onBad !== 'skip') throw new TypeError(`--on-bad is fail or skip, not ${onBad}`)
  if (!['auto', 'sql', 'kernels'].includes(road))
    throw new TypeError(`--road is auto, sql or kernels, not ${road}`)
  const columns = Object.fromEntries([
    ...(['predictions', 'targets'] as const).flatMap((name) => {
      const given = values[name]
      return given === undefined ? [] : [[name, listOf(given)] as const]
    }),
    ...(values.input ?? [])
      .map((one) => assignment(one, '--input'))
      .map(([name, column]) => [name, listOf(column)] as const),
  ])
  return {
    losses: (values.loss ?? ['mse', 'l1']).map(lossAsk),
    columns,
    ...(values.compare === undefined ? {} : { compare: listOf(values.compare).map((one) => one.split('+')) }),
    weight: values.weight,
    by: listOf(values.by),
    cluster: values.cluster,
    bootstrap:
      values.bootstrap === undefined
        ? replicatesOf({ cluster: values.cluster })
        : numberOf(values.bootstrap, '--bootstrap'),
    quantiles: quantilesOf(values),
    worst: numberOf(values.worst ?? '0', '--worst'),
    seed: numberOf(values.seed ?? '0', '--seed'),
    onBad,
    road: road as Road,
  }
}

/** A report shows the distribution of the losses, however many they are. */
function quantilesOf({ quantiles, report }: Values): readonly number[] | undefined {
  if (quantiles !== undefined) return listOf(quantiles).map(Number)
  return report === undefined ? undefined : DEFAULT_QUANTILES
}

/** `huber:delta=2,reduction=...`, or a file. A folder that is called like a loss is no file. */
function lossAsk(asked: string): LossAsk {
  const [name, ...rest] = asked.split(':')
  const params = paramsOf(rest.join(':'))
  const stats = statsAt(name)
  if (stats === undefined || stats.isDirectory()) return { loss: name, params }
  const content = textOf(name)
  return name.endsWith('.json')
    ? { definition: definitionIn(name, content), params }
    : { formula: content.trimEnd(), params }
}

/** @throws TypeError of one line */
function textOf(name: string): string {
  try {
    return readFileSync(name, 'utf8')
  } catch (error) {
    throw new TypeError(`--loss: ${name} cannot be read: ${systemWords(error)}`, { cause: error })
  }
}

/** @throws TypeError of one line */
function definitionIn(name: string, content: string): object {
  try {
    return JSON.parse(content) as object
  } catch (error) {
    const why = (error as Error).message.replaceAll(/\s+/g, ' ')
    throw new TypeError(`--loss: ${name} is not JSON: ${why}`, { cause: error })
  }
}

function paramsOf(given: string): Record<string, unknown> {
  const pairs = given === '' ? [] : splitAtCommas(given).map((one) => assignment(one, '--loss'))
  return Object.fromEntries(pairs.map(([name, value]) => [name, valueOfWord(value)]))
}

/** @example splitAtCommas('cutoffs=[1,2],name="a,b"') // ['cutoffs=[1,2]', 'name="a,b"'] */
function splitAtCommas(given: string): string[] {
  const parts = ['']
  let [depth, isQuoted] = [0, false]
  for (const [sign] of given.matchAll(/\\.|./gsu)) {
    if (sign === '"') isQuoted = !isQuoted
    if (!isQuoted && '[{'.includes(sign)) depth++
    if (!isQuoted && ']}'.includes(sign)) depth--
    if (sign === ',' && !isQuoted && depth <= 0) parts.push('')
    else parts.push(`${parts.pop()}${sign}`)
  }
  return parts
}

/** A number, true, false or null; or a word. */
function valueOfWord(word: string): unknown {
  try {
    return JSON.parse(word)
  } catch {
    return word
  }
}

function assignment(given: string, option: string): [string, string] {
  const at = given.indexOf('=')
  if (at <= 0) throw new TypeError(`${option} takes name=value, got "${given}"`)
  return [given.slice(0, at), given.slice(at + 1)]
}

function listOf(given: string | undefined): string[] {
  return given === undefined || given === '' ? [] : given.split(',')
}

function numberOf(given: string, option: string, least = 0): number {
  const value = Number(given)
  if (given.trim() === '' || !Number.isInteger(value) || value < least)
    throw new TypeError(`${option} takes an integer >= ${least}, got "${given}"`)
  return value
}
