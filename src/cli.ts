#!/usr/bin/env node
/**
 * `lossd serve`, `lossd losses`, `lossd source huber --target sql --dialect duckdb`: the service, its catalog, and a loss as
 * source, on the command line. Where there is no npm: `node dist/cli.js`.
 */
import { parseArgs } from 'node:util'
import { Problem } from './errors.ts'
import { type ResolvedLoss, withoutPreset } from './losses/define.ts'
import { loadCatalog } from './losses/load-catalog.ts'
import { checkDefinition } from './schemas/definition.ts'
import { resolveLoss } from './schemas/find-loss.ts'
import { findTarget, SOURCE_OPTIONS, sourceProblem, sourceRequest } from './schemas/source-request.ts'
import { TARGETS } from './sources/targets.ts'
import { writeSource } from './sources/write.ts'

const USAGE = `lossd serve                             starts the service; its settings are environment variables
lossd losses                            lists the catalog
lossd source <loss> --target <target>   prints a loss as source

  <loss>      a name of the catalog, or the file of a definition
  --target    ${TARGETS.map(({ name }) => name).join(', ')}
  --dialect, --table, --params, --precision, --gradients, --optional, --per_class, --name
  --columns   SQL: {"predictions": "y_hat"}`

const COMMANDS: Readonly<Record<string, (args: string[]) => Promise<void>>> = { serve, losses, source }

try {
  const [command = '', ...args] = process.argv.slice(2)
  const run = Object.hasOwn(COMMANDS, command) ? COMMANDS[command] : undefined
  if (run === undefined) throw new TypeError(USAGE)
  await run(args)
} catch (error) {
  const isTold = error instanceof Problem || error instanceof TypeError
  console.error(isTold ? (error as Error).message : error)
  process.exitCode = 1
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
  const { target: name, columns, ...ask } = values as Record<string, string | undefined>
  if (positionals.length !== 1 || name === undefined) throw new TypeError(USAGE)
  const target = findTarget(TARGETS, name)
  const resolved = await lossOf(positionals[0])
  const request = sourceRequest(resolved, target, {
    ...ask,
    ...(columns === undefined ? {} : JSON.parse(columns)),
  })
  try {
    process.stdout.write(writeSource(target, request).text)
  } catch (error) {
    throw sourceProblem(error, request.loss, target)
  }
}

async function lossOf(name: string): Promise<ResolvedLoss> {
  if (!name.endsWith('.json')) return resolveLoss(await loadCatalog(), name)
  const { readFileSync } = await import('node:fs')
  return withoutPreset(checkDefinition(JSON.parse(readFileSync(name, 'utf8')), ''))
}
