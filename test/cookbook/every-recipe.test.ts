/** The conformance suite of the cookbook: every recipe keeps these promises. A new recipe is tested automatically. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Recipe, readCookbook } from '../../docs/cookbook.ts'
import compiled from '../../src/engines/compiled.ts'
import type { Engine } from '../../src/engines/contract.ts'
import type { Example, Kind, Loss } from '../../src/losses/define.ts'
import { batchAxisOf, createProgramSource, declaredSizes } from '../../src/losses/program.ts'
import { checkExamples } from '../../src/registry/examples.ts'
import { checkDefinition } from '../../src/schemas/definition.ts'
import { evaluateExactly } from '../../src/schemas/evaluate-exactly.ts'
import { createRequestPlanSource } from '../../src/schemas/request-plan.ts'
import type { DecodedTensor } from '../../src/wire/define.ts'
import json from '../../src/wire/json/index.ts'
import { answersOf, inaccuraciesOf } from '../support/accuracy.ts'
import { expectClose } from '../support/close.ts'
import { evaluate, nested, openInterpreter } from '../support/evaluate.ts'
import { randomFrom, widened } from '../support/sample.ts'
import { type JsonAnswer, startServer, type TestServer } from '../support/server.ts'

const folder = new URL('../../docs/cookbook/', import.meta.url)
const recipes = readCookbook().flatMap((chapter) => chapter.recipes)
const interpreter = await openInterpreter()
const kernels = (await compiled.open('test')) as Engine
afterAll(() => kernels.close())

it('the folder contains exactly the recipes of the page', () => {
  expect(readdirSync(folder).sort()).toEqual(recipes.map(({ name }) => `${name}.json`).sort())
})

const limits = { maxElements: 1e6, maxTensors: 20 }
const plans = createRequestPlanSource(createProgramSource(), { maxIntermediate: 1e9, maxCost: 1e12 })

type Tensors = ReadonlyMap<string, DecodedTensor>
type DrawnExample = Omit<Example, 'from'>

/** Kinds whose numbers remain valid when they are moved a little. */
const CONTINUOUS: ReadonlySet<Kind> = new Set(['real', 'positive', 'nonnegative', 'logprob'])

/** The tensors of an example with its rows repeated, and every number moved by up to a tenth. */
function drawn(loss: Loss, { inputs }: DrawnExample, seed: number, times = 1): Map<string, DecodedTensor> {
  const random = randomFrom(seed)
  const first = batchAxisOf(loss)
  // A square of rows and columns cannot be repeated along its rows alone.
  const isSquare = Object.values(declaredSizes(loss)).includes(first)
  return new Map(
    Object.entries(inputs).map(([name, value]) => {
      const { axes, kind } = loss.inputs[name]!
      const tensor = repeated(nested(value), axes[0] === first && !isSquare ? times : 1)
      const move = (x: number) =>
        x + 0.1 * (2 * random() - 1) * (kind === 'real' ? Math.max(1, Math.abs(x)) : x)
      return [
        name,
        CONTINUOUS.has(kind) ? { ...tensor, data: (tensor.data as Float64Array).map(move) } : tensor,
      ]
    }),
  )
}

function repeated(whole: DecodedTensor, times: number): DecodedTensor {
  if (times === 1) return whole
  const { data, shape, ...tensor } = whole
  const rows = Array.from({ length: times }, () => Array.from(data)).flat()
  return { ...tensor, shape: [shape[0]! * times, ...shape.slice(1)], data: Float64Array.from(rows) }
}

function narrowed(tensors: Tensors): Tensors {
  return new Map(
    [...tensors].map(([name, tensor]) => [
      name,
      { ...tensor, dtype: 'float32', data: Float32Array.from(tensor.data) },
    ]),
  )
}

/** The error is h^2 f''' / 6 plus 1e-16 / h. */
const h = 1e-5

async function slopes(loss: Loss, tensors: Tensors, name: string, params: object): Promise<number[]> {
  const { data, ...tensor } = tensors.get(name)!
  const at = async (place: number, step: number) => {
    const moved = Float64Array.from(data, (x, i) => (i === place ? x + step : x))
    const inputs = new Map(tensors).set(name, { ...tensor, data: moved })
    const answer = await evaluate(interpreter, loss, inputs, { params, reduction: 'sum', gradients: false })
    return answer.loss.data[0]!
  }
  const found: number[] = []
  for (const place of data.keys()) found.push(((await at(place, h)) - (await at(place, -h))) / (2 * h))
  return found
}

/** Without the old policy, the ratio is always 1, so by definition the gradient is not the slope. */
const isDetached = ({ name }: Recipe, { inputs }: DrawnExample) =>
  name === 'grpo' && !('old_log_probs' in inputs)

/** Recipes whose float32 error may exceed 16 roundings, and why. */
const BEYOND: Readonly<Record<string, string>> = {
  negative_binomial_nll:
    'with a dispersion near 0 its gradient is the difference of terms as large as the mean',
  bi_tempered_logistic:
    'what the true class of a sure row gets from itself and from the normalizer nearly cancels',
  symmetric_kl: 'logits that nearly agree have probabilities whose rounding is as large as their difference',
  spectral_magnitude: 'where two magnitudes nearly agree rounding decides the sign of their difference',
  gaussian_full_covariance: 'a factor that is nearly singular leaves the range of float32',
  ssim: 'what the windows around a pixel pass on to it nearly cancels',
  total_variation: 'directions to the neighbors nearly cancel',
}

describe.each(recipes.map((recipe) => [recipe.name, recipe] as const))('%s', (_, recipe) => {
  const { definition } = recipe
  const examples = definition.examples ?? []
  const loss = checkDefinition(definition, '')
  const differentiable = Object.keys(loss.inputs).filter((name) => loss.inputs[name]!.differentiable)

  it('passes its examples, which have the gradient of every differentiable input', () => {
    const resolved = { loss, preset: undefined, params: {} }
    const decode = (body: object) => json.decode(Buffer.from(JSON.stringify(body)), limits)
    expect(examples.length).toBeGreaterThan(0)
    checkExamples(definition, (body) => evaluateExactly(resolved, decode(body), plans))
    for (const { gradients } of examples) expect(Object.keys(gradients ?? {})).toEqual(differentiable)
  })

  it('couples rows as it says', () => expect(loss.couples).toBe(recipe.couples))

  it('documents its use, its limits, every input and parameter, and its source', () => {
    expect(definition.about).toMatch(/\bnot\b/i)
    expect(definition.references).not.toHaveLength(0)
    for (const [name, { about }] of Object.entries(definition.inputs)) expect(about, name).toMatch(/\w/)
    for (const [name, { description }] of Object.entries(definition.params ?? {}))
      expect(description, name).toMatch(/\w/)
  })

  it.each(examples.filter((example) => !isDetached(recipe, example)))(
    'has the gradient of central differences, around %j',
    async (example) => {
      const { params = {} } = example
      for (const seed of [1, 2, 3]) {
        const tensors = drawn(loss, example, seed)
        const answer = await evaluate(interpreter, loss, tensors, { params, reduction: 'sum' })
        for (const name of differentiable) {
          const numeric = await slopes(loss, tensors, name, params)
          const what = `${name}, seed ${seed}`
          expectClose(answer.gradients.get(name)!.data, numeric, { relative: 1e-6, absolute: 1e-6, what })
        }
      }
    },
  )

  it.each(examples)('gives the same result on kernels as by definition, around %j', async (example) => {
    const { params = {} } = example
    const tensors = narrowed(drawn(loss, example, 4, 3))
    for (const reduction of ['none', 'mean']) {
      const got = await evaluate(kernels, loss, tensors, { params, reduction })
      const want = await evaluate(interpreter, loss, widened(tensors), { params, reduction })
      expectClose(got.loss.data, want.loss.data, { relative: 1e-5, what: reduction })
      for (const name of differentiable) {
        expectClose(got.gradients.get(name)!.data, want.gradients.get(name)!.data, {
          relative: 1e-5,
          what: name,
        })
      }
    }
  })

  it.skipIf(recipe.name in BEYOND)('is within 16 roundings of the exact result in float32', async () => {
    const found = await inaccuraciesOf({ answer: answersOf(kernels), exact: interpreter }, loss, 1)
    expect(found.length).toBeGreaterThan(differentiable.length)
    expect(found.filter(({ roundings }) => !(roundings <= 16))).toEqual([])
  })
})

const flat = (numbers: unknown) => [numbers].flat(9) as number[]

describe('a request of the page', () => {
  let server: TestServer
  const directory = mkdtempSync(join(tmpdir(), 'lossd-cookbook-'))
  beforeAll(async () => {
    server = await startServer({
      engine: 'compiled',
      threads: 1,
      store: `file:${join(directory, 'losses.db')}`,
    })
    for (const { name } of recipes) await register(readFileSync(new URL(`${name}.json`, folder), 'utf8'))
  })
  afterAll(async () => {
    await server.close()
    rmSync(directory, { recursive: true })
  })

  const send = (path: string, body: string) =>
    fetch(server.url + path, { method: 'POST', headers: { 'content-type': 'application/json' }, body })

  async function register(document: string) {
    const response = await send('/v1/losses', document)
    expect(response.status, await response.text()).toBe(201)
  }

  const page = readFileSync(new URL('../../docs/cookbook.md', import.meta.url), 'utf8')
  const commands = [
    ...page.matchAll(/curl -s localhost:8080(\S+) [^']*'[^']+' -d '([^']+)'\n```\n```json\n([^\n]+)\n```/g),
  ].map((match) => match.slice(1) as [string, string, string])

  it('exists for each recipe', () => expect(commands).toHaveLength(recipes.length))

  it.each(commands)('%s gives the response shown below it', async (path, body, answer) => {
    const got = (await (await send(path, body)).json()) as JsonAnswer
    const { loss, gradients, ...members } = JSON.parse(answer) as JsonAnswer
    expect(got).toMatchObject(members)
    expect(Object.keys(got.gradients)).toEqual(Object.keys(gradients))
    // The last digits of float32 depend on the machine.
    expectClose(flat(got.loss), flat(loss), { relative: 1e-5 })
    for (const [name, gradient] of Object.entries(gradients))
      expectClose(flat(got.gradients[name]), flat(gradient), { relative: 1e-5, what: name })
  })

  it.each(recipes.filter(({ shorthand }) => shorthand))(
    'with only the formula equals that of the document: $name',
    async ({ name, request }) => {
      const { definition } = recipes.find((recipe) => recipe.name === name)!
      const short = await send(
        '/v1/losses:evaluate',
        JSON.stringify({ formula: definition.formula, ...request }),
      )
      const full = await send(`/v1/losses/cookbook/${name}`, JSON.stringify(request))
      expect(await short.text()).toBe(await full.text())
    },
  )
})
