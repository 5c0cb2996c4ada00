/**
 * The commands but `evaluate`: `lossd serve`, `lossd losses`, `lossd source huber --target sql --dialect duckdb`, `lossd
 * analyze formula.txt`, `lossd keys add --name trainer`.
 */
import { userInfo } from 'node:os'
import { parseArgs } from 'node:util'
import { KEYS_USAGE, runKeys } from './access/command.ts'
import { InvalidAccess } from './access/grants.ts'
import { keySourceOf } from './access/key-source.ts'
import type { Progress } from './analysis/analyze.ts'
import { explain } from './analysis/explanation.ts'
import type { AnalysisRequest } from './analysis/subject.ts'
import { analysisTable, smallPlot } from './analysis/table.ts'
import { ConfigError, loadConfig } from './config.ts'
import { Problem } from './errors.ts'
import { ANONYMOUS } from './losses/custom.ts'
import { type Params, type ResolvedLoss, withoutPreset } from './losses/define.ts'
import { loadCatalog } from './losses/load-catalog.ts'
import { checkDefinition } from './schemas/definition.ts'
import { resolveLoss } from './schemas/find-loss.ts'
import { definitionOfFormula } from './schemas/formula-source.ts'
import { findTarget, SOURCE_OPTIONS, sourceProblem, sourceRequest } from './schemas/source-request.ts'
import { checkParams } from './schemas/unknown-names.ts'
import { TARGETS } from './sources/targets.ts'
import { writeSource } from './sources/write.ts'
import { StoreDown } from './store/contract.ts'
import { openStore } from './store/index.ts'

const USAGE = `lossd serve                             starts the service; its settings are environment variables
lossd losses                            lists the catalog
lossd source <loss> --target <target>   prints a loss as source
lossd analyze <loss>                    prints what can be proved of a loss, and a plot
lossd evaluate <file>                   evaluates losses over the rows of a file (lossd evaluate --help)

  <loss>      a name of the catalog, or a file: a definition (.json), or a formula
  --target    ${TARGETS.map(({ name }) => name).join(', ')}
  --dialect, --table, --params, --precision, --gradients, --optional, --per_class, --name
  --columns   SQL: {"predictions": "y_hat"}

  analyze: --of <input>, --params, --budget <ms>, --json

${KEYS_USAGE}`

const COMMANDS: Readonly<Record<string, (args: string[]) => Promise<void>>> = {
  serve,
  losses,
  source,
  analyze,
  keys,
}

/** Errors that are not bugs of this program: the message is enough. */
export const TOLD = [Problem, TypeError, ConfigError, InvalidAccess, StoreDown]

/** @throws TypeError with the usage */
export async function runCommand(command: string, args: string[]): Promise<void> {
  const run = Object.hasOwn(COMMANDS, command) ? COMMANDS[command] : undefined
  if (run === undefined) throw new TypeError(USAGE)
  await run(args)
}

async function serve() {
  await import('./server.ts')
}

async function losses() {
  const { losses: all } = await loadCatalog()
  const width = Math.max(...all.map(({ name }) => name.length))
  for (const { name, family, about } of all)
    console.log(`${name.padEnd(width)}  ${family.padEnd(12)}  ${about.split('. ')[0]}`)
}

async function source(args: string[]) {
  const text = { type: 'string' } as const
  const options = {
    target: text,
    columns: text,
    ...Object.fromEntries(SOURCE_OPTIONS.map((name) => [name, text])),
  }
  const { values, positionals } = parseArgs({ args, options, allowPositionals: true })
  const { target: name, ...ask } = values as Record<string, string | undefined>
  if (positionals.length !== 1 || name === undefined) throw new TypeError(USAGE)
  const target = findTarget(TARGETS, name)
  const resolved = await lossOf(positionals[0])
  const request = sourceRequest(resolved, target, ask)
  try {
    process.stdout.write(writeSource(target, request).text)
  } catch (error) {
    throw sourceProblem(error, request.loss, target)
  }
}

async function analyze(args: string[]) {
  const text = { type: 'string' } as const
  const options = { of: text, params: text, budget: text, json: { type: 'boolean' } } as const
  const { values, positionals } = parseArgs({ args, options, allowPositionals: true })
  if (positionals.length !== 1) throw new TypeError(USAGE)
  const given = (values.params === undefined ? {} : JSON.parse(values.params)) as Params
  const resolved = await lossOf(positionals[0], given)
  const { losses: catalog } = await loadCatalog()
  const question = { ...questionOf(resolved, given, values.of), catalog }
  const { isTTY } = process.stderr
  const { analysis, curves } = explain(
    question,
    Number(values.budget ?? 2000),
    isTTY ? showProgress : undefined,
  )
  if (isTTY) process.stderr.write(CLEAR_LINE)
  if (values.json) return console.log(JSON.stringify(analysis, null, 2))
  console.log(analysisTable(analysis))
  if (curves[0] !== undefined) console.log(smallPlot(curves[0]))
}

async function keys(args: string[]) {
  const config = loadConfig(process.env)
  if (config.keys === '') throw new ConfigError('LOSSD_KEYS says where keys are kept: file:path, or store')
  const store = config.keys === 'store' ? openStore(config.store, config) : undefined
  try {
    await runKeys(args, {
      source: keySourceOf(config.keys, store),
      user: userName(),
      out: (line) => console.log(line),
      note: (line) => console.error(line),
    })
  } finally {
    await store?.close()
  }
}

/** A container may run as a user that has no name. */
function userName(): string {
  try {
    return userInfo().username
  } catch {
    return `uid ${process.getuid?.()}`
  }
}

const CLEAR_LINE = '\r\x1b[K'

/** One line that is written over. */
function showProgress({ property, done, total }: Progress) {
  const width = 20
  const bar = '#'.repeat(Math.round((width * done) / total)).padEnd(width, '.')
  process.stderr.write(`${CLEAR_LINE}[${bar}] ${done} of ${total}: ${property}`)
}

function questionOf(resolved: ResolvedLoss, given: Params, asked: string | undefined): AnalysisRequest {
  const { loss } = resolved
  const names = Object.keys(loss.inputs).filter((name) => loss.inputs[name].differentiable)
  const of = asked ?? names[0]
  if (of === undefined || !names.includes(of))
    throw new TypeError(
      `${loss.name} has no gradient with respect to "${of ?? ''}", only to ${names.join(', ')}`,
    )
  return { loss, params: checkParams(resolved, given), of, domain: {}, sizes: {} }
}

/** @param params of a formula that stands alone */
async function lossOf(name: string, params: Params = {}): Promise<ResolvedLoss> {
  const { existsSync, readFileSync } = await import('node:fs')
  if (name.endsWith('.json'))
    return withoutPreset(checkDefinition(JSON.parse(readFileSync(name, 'utf8')), ''))
  if (!existsSync(name)) return resolveLoss(await loadCatalog(), name, 'lossd losses')
  const formula = readFileSync(name, 'utf8').trimEnd()
  return withoutPreset(checkDefinition(definitionOfFormula({ formula, params }), '', ANONYMOUS))
}
