/**
 * Presets give a framework's own numbers: its defaults, values and gradients, recorded by the scripts in
 * test/oracles/scripts. EXCEPTIONS lists where ours differ, and why: at kinks, where the framework returns NaN or
 * infinity, and where it contradicts its own documentation.
 */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { FRAMEWORKS, type Loss, type PresetName } from '../../src/losses/define.ts'
import { loadCatalog } from '../../src/losses/load-catalog.ts'
import { expectClose } from '../support/close.ts'
import { evaluate, openInterpreter } from '../support/evaluate.ts'
import { type OracleCase, oracleNumbers, oracleTensors } from '../support/oracles.ts'

interface PresetCase extends Pick<OracleCase, 'inputs'> {
  readonly name: string
  readonly id: string
  readonly source: string
  readonly loss: unknown
  readonly gradients: Readonly<Record<string, unknown>>
  /** Set if the preset has no name for the loss. */
  readonly preset?: PresetName
  readonly params?: Readonly<Record<string, unknown>>
}

const catalog = await loadCatalog()
const engine = await openInterpreter()

/**
 * The losses of TensorFlow Addons belong to Keras. They are in a separate file because they need an old TensorFlow.
 */
const FILES: Readonly<Record<PresetName, readonly string[]>> = {
  torch: ['torch'],
  keras: ['keras', 'tfa'],
  optax: ['optax'],
  tfjs: ['tfjs'],
}
const casesOf = (preset: PresetName): PresetCase[] =>
  FILES[preset].flatMap((file) =>
    JSON.parse(readFileSync(new URL(`../oracles/presets/${file}.json`, import.meta.url), 'utf8')),
  )

/**
 * Keras rounds constants and intermediate results to float32, others compute in float32; PyTorch and optax use only
 * float64.
 */
const toleranceOf = ({ source }: PresetCase) =>
  source.includes('float32') ? 1e-5 : source.startsWith('keras') ? 2e-6 : 1e-8

/** Framework and loss, case or part of a case -> why our result differs, with theirs if it is short. */
const EXCEPTIONS: Readonly<Record<string, string>> = {
  'torch binary_cross_entropy/right targets':
    'PyTorch: infinite at a probability of 0 or 1, although its loss cuts the logarithms at -100',
  'torch binary_cross_entropy/wrong targets': 'the same',
  'torch binary_cross_entropy/cut targets':
    'PyTorch: 138, the difference of the logarithms; its loss cuts them at -100, and the slope is then 100',
  'torch soft_margin/far': 'PyTorch: infinite loss and gradient NaN of a score of -1e4',
  'torch ctc/impossible predictions': 'PyTorch: NaN; nothing pulls where nothing fits',
  'torch ciou/flat predictions': 'torchvision: NaN for a box without height',
  'torch ciou/line': 'the same',
  'torch ciou/points': 'torchvision: NaN for boxes without area',
  'torch giou/line':
    'torchvision: divides by epsilon where the box around both has no area, with gradients of 5e6',
  'torch circle/origin embeddings':
    'pytorch-metric-learning: 1e12 times the slope, at a row of zeros; it has no direction, and rests',
  'torch multi_similarity/origin embeddings': 'the same',
  'torch nt_xent/origin embeddings': 'the same',
  'torch supcon/origin embeddings': 'the same',
  'torch js_div/apart': 'torchmetrics: NaN gradients at a probability of 0',
  'keras hinge/margin predictions':
    'on the corner of the hinge Keras takes half of the slope, we take the inactive side: 0',
  'keras hinge/zeros': 'labels 0 and 1 are refused; Keras converts them if the whole batch has no other',
  'keras squared_hinge/zeros': 'the same',
  'keras generalized_cross_entropy/sure predictions':
    'Keras: -Infinity and NaN at a probability of 0; ours is finite',
  'keras cosine_similarity/zero predictions': 'Keras: NaN gradients of a zero vector',
  'keras cosine_similarity/zero targets': 'the same',
  'keras dice': 'Keras: one number for the whole batch, and 1 for an empty region (see its note)',
  'keras tversky': 'the same',
  'keras ctc/impossible predictions': 'Keras on torch: NaN',
  'keras triplet_batch/one-hard loss':
    'TensorFlow Addons: 1, the margin, in a batch of one class, which has no triplet; ours is 0',
  'keras triplet_batch/one-semihard': 'TensorFlow Addons: as if there were negatives at distance 0',
  'keras triplet_batch/singles-semihard': 'TensorFlow Addons: NaN without positives',
  'optax sigmoid_focal/plain targets':
    "optax: at a target of 0 or 1 JAX's logsumexp drops the slope of the class whose weight is 0",
  'optax sigmoid_focal/far targets': 'the same',
  'optax sigmoid_focal/steep targets': 'the same',
  'optax hinge/margin predictions': 'on the corner JAX takes half of the slope, we take the inactive side: 0',
  'optax perceptron/zero predictions': 'the same',
  'optax poly1_cross_entropy/masked loss': 'optax: NaN for a class of logit -inf',
  'optax kl_div loss':
    'optax sums the classes; the unreduced loss here is one number an element (see its note)',
  'optax cosine_similarity/zero': 'optax: NaN for a zero vector, whose cosine is 0 here',
  'optax nt_xent/origin embeddings': 'optax: 1e8 times the slope, at a row of zeros',
  'optax nt_xent/singles loss': 'optax: NaN without positives',
  'optax dice/plain':
    'optax averages the classes; the unreduced loss here is one number a class (see its note)',
  'optax dice/tall': 'the same',
  'optax generalized_dice': 'optax weighs classes by their counts in the whole batch (see its note)',
  'optax ctc/impossible': 'optax: about 1e5, with a gradient; ours Infinity, with none',
  'tfjs l1/equal': 'tfjs: slope -1 of |x| at 0, which is 0 here',
}

/** Presets of losses that the framework does not have itself. */
const WITHOUT_CASE: Readonly<Record<string, string>> = {
  'torch contrastive': "PyTorch has no such loss, and sentence-transformers' is half of it (see its note)",
  'torch jaccard':
    'PyTorch has no such loss; MONAI computes it with DiceLoss(jaccard=True), which no name stands for',
}

/** The keys of EXCEPTIONS that match, from a whole loss down to one part of one case. */
const keysOf = (preset: PresetName, { id }: PresetCase, part: string) => {
  const loss = id.slice(0, id.indexOf('/'))
  return [loss, `${loss} ${part}`, id, `${id} ${part}`].map((key) => `${preset} ${key}`)
}

const isExcepted = (preset: PresetName, one: PresetCase, part: string) =>
  keysOf(preset, one, part).some((key) => Object.hasOwn(EXCEPTIONS, key))

const partsOf = ({ gradients }: PresetCase) => ['loss', ...Object.keys(gradients)]

/** Our results by part; rejected requests have no parts. */
async function answerTo({ name, preset, params, gradients, ...one }: PresetCase) {
  const stated = { ...(preset && { preset }), ...(params && { params }) }
  const options = { ...stated, explain: true, gradients: Object.keys(gradients) }
  const {
    loss,
    gradients: found,
    members,
  } = await evaluate(engine, catalog.resolve(name)!, oracleTensors(one), options)
  const parts = new Map([['loss', loss.data], ...[...found].map(([key, { data }]) => [key, data] as const)])
  return { parts, explain: members.explain }
}

function expectPart(one: PresetCase, part: string, got: ArrayLike<number>) {
  const want = oracleNumbers(part === 'loss' ? one.loss : one.gradients[part])
  const tolerance = toleranceOf(one)
  expectClose(got, want, { relative: tolerance, absolute: tolerance, what: part })
}

describe.each(FRAMEWORKS)('%s', (preset) => {
  const cases = casesOf(preset)
  const having = catalog.losses.filter(({ presets }) => presets[preset] !== undefined)
  const namesIn = ({ presets }: Loss) => Object.keys(presets[preset]!.names)

  it('has reference values for every name', () => {
    const proved = new Set(cases.map(({ name }) => name))
    expect(having.flatMap(namesIn).filter((name) => !proved.has(name))).toEqual([])
  })

  it('has reference values for every loss, or a reason why not', () => {
    const proved = new Set(cases.map(({ id }) => id.slice(0, id.indexOf('/'))))
    const bare = having.filter(({ name }) => !proved.has(name)).map(({ name }) => `${preset} ${name}`)
    expect(bare).toEqual(Object.keys(WITHOUT_CASE).filter((key) => key.startsWith(`${preset} `)))
  })

  it.each(cases.map((one) => [one.name, one.id, one] as const))(
    '%s returns the value and the gradients of the framework: %s',
    async (_name, _id, one) => {
      const parts = partsOf(one).filter((part) => !isExcepted(preset, one, part))
      if (parts.length === 0) return
      const answer = await answerTo(one)
      expect(answer.explain).toMatchObject({ preset })
      for (const part of parts) expectPart(one, part, answer.parts.get(part)!)
    },
  )

  const excepted = Object.keys(EXCEPTIONS).filter((key) => key.startsWith(`${preset} `))
  it.each(excepted)('%s does differ', async (key) => {
    const differing = await Promise.all(
      cases.flatMap((one) =>
        partsOf(one)
          .filter((part) => keysOf(preset, one, part).includes(key))
          .map((part) => differs(one, part)),
      ),
    )
    expect(differing).toContain(true)
  })
})

/** Whether one part of our result differs, or the request is rejected. */
async function differs(one: PresetCase, part: string): Promise<boolean> {
  try {
    expectPart(one, part, (await answerTo(one)).parts.get(part)!)
    return false
  } catch {
    return true
  }
}
