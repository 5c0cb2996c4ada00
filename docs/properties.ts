/**
 * Writes docs/properties.md: what is proved of every loss of the catalog, with its default parameters. This takes a
 * few minutes, so the tests do not repeat it; test/analysis/truths.test.ts holds what the literature knows.
 */
import { writeFileSync } from 'node:fs'
import { analyze, PROPERTIES } from '../src/analysis/analyze.ts'
import type { Verdict } from '../src/analysis/verdict.ts'
import type { Loss, Params } from '../src/losses/define.ts'
import { loadCatalog } from '../src/losses/load-catalog.ts'

const BUDGET_MS = 4000

/** The time that this process has computed, so that a busy machine finds the same answers. */
performance.now = () => {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

const COLUMNS = [
  'finite',
  'continuous',
  'differentiable',
  'lipschitz',
  'smooth',
  'convex',
  'quasiconvex',
  'bounded_below',
] as const
const MARKS = { proved: 'yes', refuted: 'no', supported: 'likely', unknown: '?' } as const

function defaultsOf(loss: Loss): Params {
  return Object.fromEntries(
    Object.entries(loss.params.properties).map(([name, schema]) => [name, schema.default]),
  )
}

function cell(property: string, found: Verdict | undefined): string {
  if (found === undefined) return ''
  const bound = property === 'lipschitz' || property === 'smooth' ? found.evidence.bound : undefined
  const isShown = found.verdict === 'proved' && typeof bound === 'number'
  return isShown ? `yes, ${Number(bound.toPrecision(3))}` : MARKS[found.verdict]
}

/** What else is proved or refuted, in words. */
function others(properties: Readonly<Record<string, Verdict>>): string {
  const names = PROPERTIES.map(({ name }) => name).filter(
    (name) => !(COLUMNS as readonly string[]).includes(name),
  )
  return names
    .flatMap((name) => {
      const found = properties[name]
      if (found === undefined || found.verdict === 'unknown' || name.startsWith('float')) return []
      const { of, level, breakdown, efficiency, loss, factor } = found.evidence
      const detail =
        of ?? breakdown ?? efficiency ?? (loss === undefined ? undefined : `${factor} times ${loss}`)
      const shown = detail === undefined ? '' : `: ${detail}${level === undefined ? '' : ` ${level}`}`
      return found.verdict === 'refuted'
        ? []
        : [`${name}${shown}${found.verdict === 'supported' ? ' (likely)' : ''}`]
    })
    .join(', ')
}

/** What the analysis says it does not know -> what would decide it. */
const NEEDED: readonly (readonly [begins: string, needed: string])[] = [
  [
    'no rule says so',
    'a rule for quotients, norms and sorting of several numbers, or pieces in several dimensions',
  ],
  [
    'the formula could not be cut',
    'pieces in several dimensions: conditions here compare what many numbers make',
  ],
  [
    'a condition or a jump',
    'bounds of the slope on each side of a condition that depends on several numbers',
  ],
  ['the sign of the second derivative', 'third derivatives, which would bound the second more closely'],
  ['the time was over', 'a smaller formula, or more time'],
]

const neededFor = (method: string) =>
  NEEDED.find(([begins]) => method.startsWith(begins))?.[1] ?? 'tighter bounds'

const { losses } = await loadCatalog()
const open: string[] = []
const rows = losses.map((loss) => {
  const of = Object.keys(loss.inputs).find((name) => loss.inputs[name].differentiable)!
  const question = { loss, params: defaultsOf(loss), of, domain: {}, sizes: {}, catalog: losses }
  const { properties } = analyze(question, BUDGET_MS)
  for (const name of ['convex', 'lipschitz', 'differentiable']) {
    const found = properties[name]
    if (found?.verdict === 'unknown')
      open.push(`| ${loss.name} | ${name} | ${found.method} | ${neededFor(found.method)} |`)
  }
  console.error(loss.name)
  return `| [${loss.name}](losses/${loss.name}.md) | ${COLUMNS.map((name) => cell(name, properties[name])).join(' | ')} | ${others(properties)} |`
})

const text = `# Properties of the losses

What [the analysis](analysis.md) proves of each loss of the catalog with its default parameters, as a function of its
first differentiable input. \`yes\`: proved; \`no\`: refuted by a counterexample; \`likely\`: no counterexample was found;
\`?\`: not decided. Bounds hold on the default domain, and for 5 classes, one row or three rows that are compared.
Written by \`npm run docs:properties\`.

| loss | ${COLUMNS.join(' | ')} | also proved |
|---|${COLUMNS.map(() => '---').join('|')}|---|
${rows.join('\n')}

## Not decided

Of ${3 * losses.length} questions about convexity, bounded slopes and differentiability, these ${open.length} are open.

| loss | question | what is missing | what would be needed |
|---|---|---|---|
${open.join('\n')}
`
writeFileSync(new URL('./properties.md', import.meta.url), text)
