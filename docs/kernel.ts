/**
 * `npm run kernel -- huber [param=value ...]`: prints the formula of a loss and the loops of the kernel that computes its
 * value and gradients. For a custom loss, pass the file of its definition instead of a name. The instructions are defined
 * in src/engines/compiled/emit.ts and emit/.
 */
import { readFileSync } from 'node:fs'
import { planOf } from '../src/engines/compiled/kernel.ts'
import { laneAxesOf, vectorizationThreshold } from '../src/engines/compiled/lanes.ts'
import { printPlan } from '../src/engines/compiled/print-plan.ts'
import { Problem } from '../src/errors.ts'
import type { Program } from '../src/language/ir.ts'
import { defaultSignature } from '../src/losses/custom.ts'
import type { Loss, Params } from '../src/losses/define.ts'
import { loadCatalog } from '../src/losses/load-catalog.ts'
import { createProgramSource, type ProgramSignature } from '../src/losses/program.ts'
import { checkDefinition } from '../src/schemas/definition.ts'
import { createRequestPlanSource } from '../src/schemas/request-plan.ts'
import { decodeObject } from '../src/wire/index.ts'

/** One cotangent for all values, and no parameter known at compile time. */
const VARIANT = { uniform: true, staticPredicates: new Map() }

const [name, ...assignments] = process.argv.slice(2)
const catalog = await loadCatalog()
try {
  const loss = lossCalled(name)
  console.log(formulaOf(loss))
  console.log(`\n${kernelOf(loss, paramsOf(assignments))}`)
} catch (error) {
  console.error(error instanceof Problem ? error.message : String(error))
  process.exitCode = 1
}

function lossCalled(called = ''): Loss {
  if (called.endsWith('.json')) return checkDefinition(JSON.parse(readFileSync(called, 'utf8')), '')
  const found = catalog.find(called)
  if (found !== undefined) return found
  const names = catalog.losses.map((one) => one.name).join(', ')
  throw new Problem(
    'unknown-loss',
    `usage: npm run kernel -- LOSS [param=value ...], LOSS a definition's file or one of ${names}`,
  )
}

function formulaOf({ name: title, formula, denominator }: Loss): string {
  const lines = formula.source.trim().replaceAll(/\n +/g, '\n')
  return `# ${title}\n${lines}${denominator === undefined ? '' : `\n# each value's share of the mean's denominator\n${denominator.source}`}`
}

/** The kernel that the service would compile for the loss's first example, or for a typical request of a custom loss. */
function kernelOf(chosen: Loss, params: Params): string {
  const { program } = createProgramSource()(chosen, structureOf(chosen, params))
  return [printPlan(planOf(program, VARIANT)), ...shortRows(program)].join('\n\n')
}

function structureOf(chosen: Loss, params: Params): ProgramSignature {
  const [example] = chosen.examples
  if (example === undefined || chosen.family === 'custom') {
    const usual = defaultSignature(chosen)
    return { ...usual, params: { ...usual.params, ...params } }
  }
  const body = { ...example.inputs, params: { ...example.params, ...params } }
  const limits = { maxElements: 1e6, maxTensors: 32, maxIntermediate: 1e9, maxCost: 1e12 }
  const decoded = decodeObject(body, limits)
  const plan = createRequestPlanSource(createProgramSource(), limits)(catalog.resolve(chosen.name)!, decoded)
  return { inputs: plan.layouts, params: plan.options.params, wants: plan.wants, hessians: [] }
}

/** The second kernel of a program, if it has one: with rows in the SIMD lanes. */
function shortRows(program: Program): string[] {
  const axes = laneAxesOf(program)
  if (axes === undefined) return []
  const across = planOf(program, { ...VARIANT, lanes: axes.outermost })
  const limit = Math.floor(vectorizationThreshold(across, axes.outermost))
  return limit < 1
    ? []
    : [`# up to ${limit} ${axes.fastest}, ${axes.outermost} in the lanes\n${printPlan(across)}`]
}

function paramsOf(texts: readonly string[]): Params {
  return Object.fromEntries(
    texts.map((text) => [text.split('=')[0]!, JSON.parse(text.slice(text.indexOf('=') + 1))]),
  )
}
