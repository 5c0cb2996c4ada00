/**
 * The last part of `npm run docs`: generates docs/losses, a page for each loss and an index, from the definitions. A test
 * fails when they are out of date.
 */
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import type { TSchema } from '@sinclair/typebox'
import { loadConfig } from '../src/config.ts'
import { Problem } from '../src/errors.ts'
import { toLatex } from '../src/language/latex.ts'
import { type DependsOnParam, type InputSpec, KINDS, type Loss, type Params } from '../src/losses/define.ts'
import { guideFor } from '../src/losses/guide.ts'
import { loadCatalog } from '../src/losses/load-catalog.ts'
import { axesOf, createProgramSource } from '../src/losses/program.ts'
import { evaluateExactly } from '../src/schemas/evaluate-exactly.ts'
import { EXAMPLE_ANSWERS } from '../src/schemas/example-answers.ts'
import { describeSchema } from '../src/schemas/expectation.ts'
import type { Explanation } from '../src/schemas/explain-request.ts'
import { exampleBody } from '../src/schemas/openapi.ts'
import { createRequestPlanSource } from '../src/schemas/request-plan.ts'
import { decodeObject } from '../src/wire/index.ts'
import { presetText } from './generated-sections.ts'

const FOLDER = new URL('losses/', import.meta.url)
const config = loadConfig({})
const plans = createRequestPlanSource(createProgramSource(), config)
const { losses } = await loadCatalog()
const guide = guideFor(losses)
/** Losses whose names are also English words. These are not turned into links, because a text may mean the word. */
const WORDS: ReadonlySet<string> = new Set([
  'asymmetric',
  'circle',
  'contrastive',
  'expectile',
  'hinge',
  'ordinal',
  'perceptron',
  'quantile',
])
const linkable = new Set(losses.map(({ name }) => name).filter((name) => !WORDS.has(name)))

/** File in docs/losses -> its text. */
export function lossPages(): ReadonlyMap<string, string> {
  const own = losses.map((loss) => [`${loss.name}.md`, pageOf(loss)] as const)
  return new Map([['README.md', index()], ...own])
}

function index(): string {
  const families = [...new Set(losses.map(({ family }) => family))]
  const parts = families.flatMap((family) => {
    const members = losses.filter((loss) => loss.family === family)
    const rows = members.map(({ name, about }) => [`[\`${name}\`](${name}.md)`, firstSentence(about)])
    return [`## ${family}`, table(['loss', 'what it is'], rows)]
  })
  return document([
    '# Losses',
    `All ${losses.length} losses, by family. To choose one, see [choosing.md](../choosing.md). For the names that frameworks use, see [presets.md](../presets.md). The formulas are written in the [formula language](../language.md).`,
    'The responses on these pages were computed in float64 and rounded to float32. A service that computes in float32 may return a different last digit.',
    ...parts,
  ])
}

function pageOf(loss: Loss): string {
  return document([
    `# ${loss.name}`,
    linked(loss.about, loss.name),
    `Family: [${loss.family}](README.md#${loss.family}). Source: [src/losses/${loss.family}/${loss.name}.ts](../../src/losses/${loss.family}/${loss.name}.ts).`,
    ...adviceOn(loss),
    ...inputsOf(loss),
    ...paramsOf(loss),
    ...formulaOf(loss),
    ...reductionOf(loss),
    ...limitsOf(loss),
    ...namesOf(loss),
    ...examplesOf(loss),
    ...referencesOf(loss),
  ])
}

function adviceOn({ name }: Loss): string[] {
  const rows = guide
    .filter((advice) => advice.losses.includes(name))
    .map(({ task, trouble, wish, because, unless }) => {
      return [[task, trouble, wish].filter(Boolean).join(', '), because, unless]
    })
  return rows.length === 0 ? [] : ['## When to use it', table(['task', 'why', 'avoid if'], rows)]
}

function inputsOf({ inputs }: Loss): string[] {
  const specs = Object.entries(inputs)
  const [first] = Object.keys(inputs)
  const rows = specs.map(([name, spec]) => [
    `\`${name}\`${spec.optional ? ' (optional)' : ''}`,
    shapeOf(spec, first!),
    KINDS[spec.kind],
    gradientOf(spec),
    spec.about,
  ])
  const hasRest = specs.some(([, { axes }]) => axes.includes('...'))
  const legend = hasRest ? ' `...` is any number of axes, the same for all inputs.' : ''
  return [
    '## Inputs',
    table(['input', 'shape', 'values', 'gradient', 'meaning'], rows),
    `Axes with the same name have the same size. Inputs are not broadcast.${legend}`,
  ]
}

function gradientOf({ differentiable, kind }: InputSpec): string {
  if (differentiable) return 'yes'
  return kind === 'class_or_probability' ? 'for probabilities, if listed in `gradients`' : 'no'
}

function shapeOf({ axes, perClass, trailing }: InputSpec, first: string): string {
  const shape = axes.join(', ')
  if (trailing) return `\`[${shape}]\`, the size of the last axis of \`${first}\``
  return `\`[${shape}]\`${perClass ? `, or the shape of \`${first}\`` : ''}`
}

function paramsOf({ params }: Loss): string[] {
  const rows = Object.entries(params.properties).map(([name, schema]) => [
    `\`${name}\``,
    describeSchema(schema),
    `\`${JSON.stringify(schema.default)}\``,
    `${schema.description}${onlyWithText(schema)}`,
  ])
  const none = 'None.'
  return [
    '## Parameters',
    rows.length === 0 ? none : table(['parameter', 'value', 'default', 'meaning'], rows),
  ]
}

function onlyWithText({ onlyWith }: TSchema): string {
  if (onlyWith === undefined) return ''
  const { param, values } = onlyWith as DependsOnParam
  return ` Only with \`${param}\` ${values.join(' or ')}.`
}

function formulaOf(loss: Loss): string[] {
  return [
    '## Formula',
    'In the [formula language](../language.md):',
    fenced('text', dedented(loss.formula.source)),
    'As LaTeX:',
    `$$\n${toLatex(loss.formula, axesOf(loss))}\n$$`,
  ]
}

function reductionOf(loss: Loss): string[] {
  const { denominator, meanPer } = loss
  const unreduced = explanationOf(loss).value.replace(/one number for each of (\[.*\])/, 'of shape `$1`')
  const values = `With \`reduction: "none"\`, the loss is ${unreduced}. \`mean\`, the default, is its sum divided by`
  const per =
    meanPer === undefined
      ? ''
      : ` Before that, each row's loss is divided by its \`${meanPer}\`, but at least by 1.`
  const mean =
    denominator === undefined
      ? [`${values} the number of values.${per}`]
      : [
          `${values} the sum of the following expression over all values (names as in the formula):`,
          fenced('text', dedented(denominator.source)),
        ]
  return ['## Reduction and derivatives', ...mean, `${COUPLING[loss.couples]} ${hessianOf(loss)}`]
}

function limitsOf({ limits: { overflow, detached } = {} }: Loss): string[] {
  const ends = Object.entries(overflow ?? {}).map(([side, limit]) => `${side} ${limit}`)
  const when =
    detached === undefined || detached === true
      ? ''
      : ` with \`${detached.param}\` ${detached.values.join(' or ')}`
  return [
    ...(ends.length === 0
      ? []
      : [
          `Where a real input is ${ends.join(' or ')}, the value itself is too large for float64, and the response says \`finite: false\`.`,
        ]),
    ...(detached === undefined
      ? []
      : [
          `The gradient${when} is not the slope of the value: by definition a factor of the value counts as a constant.`,
        ]),
  ]
}

const COUPLING: Readonly<Record<Loss['couples'], string>> = {
  element: 'The loss of each element is independent of all others.',
  row: 'The loss of each row is independent of the other rows.',
  group: 'Values within a row (a list, an image, a sequence) depend on each other; rows are independent.',
  batch: 'Rows depend on each other: the loss of a row depends on the rest of the batch.',
}

/** Requests the second derivative to find out whether it is supported. */
function hessianOf(loss: Loss): string {
  try {
    evaluateExample(loss, { hessian: 'diagonal' })
    return '`hessian: "diagonal"` is supported.'
  } catch (error) {
    if (!(error instanceof Problem)) throw error
    return '`hessian: "diagonal"` is not supported.'
  }
}

function explanationOf(loss: Loss): Explanation {
  return evaluateExample(loss, { explain: true, reduction: 'sum' }).members.explain as Explanation
}

/** Evaluates the first example with other options. */
function evaluateExample(loss: Loss, options: object) {
  const decoded = decodeObject({ ...exampleBody(loss.examples[0]!), ...options }, config)
  return evaluateExactly({ loss, preset: undefined, params: {} }, decoded, plans)
}

function namesOf({ aliases, presets }: Loss): string[] {
  const also = aliases.map((alias) => `\`${alias}\``).join(', ')
  const rows = Object.entries(presets).map(
    ([framework, { names, params = {}, reduction = 'mean', note = '' }]) => {
      const spellings = Object.entries(names).map(([name, implied]) => `\`${name}\`${further(implied)}`)
      return [framework, spellings.join('<br>') || '-', `reduction ${reduction}${further(params)}`, note]
    },
  )
  const parts = [
    ...(also === '' ? [] : [`Also called ${also}.`]),
    ...(rows.length === 0 ? [] : [table(['preset', 'names that select it', 'sets', 'note'], rows)]),
  ]
  return parts.length === 0 ? [] : ['## Names and presets', ...parts]
}

/** Parameters, to be appended to a name. */
function further(params: Params): string {
  return Object.keys(params).length === 0 ? '' : `, ${presetText(params)}`
}

function examplesOf({ name, examples }: Loss): string[] {
  const answers = EXAMPLE_ANSWERS[name] ?? []
  const parts = examples.flatMap((example, place) => [
    `Checked against ${example.from.replace(/^by hand/, 'numbers computed by hand')}.`,
    `${fenced('sh', curl(name, exampleBody(example)))}\n${fenced('json', answers[place] ?? '')}`,
  ])
  return [examples.length === 1 ? '## Example' : '## Examples', ...parts]
}

function curl(name: string, body: object): string {
  const members = Object.entries(body).map(([member, value]) => `  "${member}": ${spaced(value)}`)
  return `curl -s localhost:8080/v1/losses/${name} -H 'content-type: application/json' -d '{\n${members.join(',\n')}\n}'`
}

function spaced(value: unknown): string {
  return JSON.stringify(value).replaceAll(/[,:]/g, '$& ')
}

function referencesOf({ references }: Loss): string[] {
  const items = references.map((reference) => {
    const arxiv = reference.replace(/arXiv:([\d.]+\d)/, '[arXiv:$1](https://arxiv.org/abs/$1)')
    return `- ${arxiv.replace(/doi:(\S+)$/, '[doi:$1](https://doi.org/$1)')}`
  })
  return ['## References', items.join('\n')]
}

/** Turns the names of losses in a text into links. */
function linked(text: string, self: string): string {
  return text.replaceAll(/(?<![\w.])[a-z]\w*/g, (word) =>
    linkable.has(word) && word !== self ? `[${word}](${word}.md)` : word,
  )
}

function firstSentence(text: string): string {
  return text.replace(/(?<!\.)\. .*$/s, '.')
}

function dedented(source: string): string {
  const lines = source.split('\n').filter((line) => line.trim() !== '')
  const indents = lines.slice(source.startsWith('\n') ? 0 : 1).map((line) => line.search(/\S/))
  const indent = Math.min(...indents)
  return lines.map((line) => line.slice(Math.min(indent, line.search(/\S/)))).join('\n')
}

function fenced(language: string, text: string): string {
  return `\`\`\`${language}\n${text}\n\`\`\``
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
  return [line(head), `|${head.map(() => '---').join('|')}|`, ...rows.map(line)].join('\n')
}

function document(parts: readonly string[]): string {
  return `<!-- Written by \`npm run docs\`. -->\n${parts.join('\n\n')}\n`
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const all = lossPages()
  mkdirSync(FOLDER, { recursive: true })
  for (const file of readdirSync(FOLDER)) if (!all.has(file)) rmSync(new URL(file, FOLDER))
  for (const [file, text] of all) writeFileSync(new URL(file, FOLDER), text)
}
