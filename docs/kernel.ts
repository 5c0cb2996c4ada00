/**
 * `npm run kernel -- huber [param=value ...]`: prints the formula of a loss and the loops of the kernel that
 * computes its value and gradients. The instructions are defined in src/engines/compiled/emit.ts and emit/.
 */
import { planOf } from '../src/engines/compiled/kernel.ts'
import { laneAxesOf, vectorizationThreshold } from '../src/engines/compiled/lanes.ts'
import { printPlan } from '../src/engines/compiled/print-plan.ts'
import type { Program } from '../src/language/ir.ts'
import type { Loss, Params } from '../src/losses/define.ts'
import { loadCatalog } from '../src/losses/load-catalog.ts'
import { createProgramSource } from '../src/losses/program.ts'
import { createRequestPlanSource } from '../src/schemas/request-plan.ts'
import { formats } from '../src/wire/index.ts'

/** One cotangent for all values, and no parameter known at compile time. */
const VARIANT = { uniform: true, staticPredicates: new Map() }

const [name, ...assignments] = process.argv.slice(2)
const catalog = await loadCatalog()
const loss = name === undefined ? undefined : catalog.find(name)
if (loss === undefined) {
  console.error(
    `usage: npm run kernel -- LOSS [param=value ...], LOSS one of ${catalog.losses.map((one) => one.name).join(', ')}`,
  )
  process.exitCode = 1
} else {
  console.log(formulaOf(loss))
  console.log(`\n${kernelOf(loss, paramsOf(assignments))}`)
}

function formulaOf({ name: title, formula, denominator }: Loss): string {
  const lines = formula.source.trim().replaceAll(/\n +/g, '\n')
  return `# ${title}\n${lines}${denominator === undefined ? '' : `\n# each value's share of the mean's denominator\n${denominator.source}`}`
}

/** The kernel that the service would compile for the loss's first example. */
function kernelOf(chosen: Loss, params: Params): string {
  const { inputs, params: own } = chosen.examples[0]
  const body = { ...inputs, params: { ...own, ...params } }
  const json = formats.find((format) => format.name === 'json')!
  const limits = { maxElements: 1e6, maxTensors: 32, maxIntermediate: 1e9, maxCost: 1e12 }
  const decoded = json.decode(Buffer.from(JSON.stringify(body)), limits)
  const { program } = createRequestPlanSource(createProgramSource(), limits)(
    catalog.resolve(chosen.name)!,
    decoded,
  )
  return [printPlan(planOf(program.program, VARIANT)), ...shortRows(program.program)].join('\n\n')
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
