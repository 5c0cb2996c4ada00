/**
 * A framework's own spelling gives the framework's own numbers: what it answers with nothing but inputs, value and
 * gradients. The numbers are the frameworks' (test/oracles/presets, by the scripts beside them), also where they are odd;
 * where ours are others, EXCEPTIONS says why.
 */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { PRESETS, type PresetName } from '../../src/losses/define.ts'
import { loadCatalog } from '../../src/losses/load-catalog.ts'
import { expectClose } from '../support/close.ts'
import { evaluate, openInterpreter } from '../support/evaluate.ts'
import { type OracleCase, oracleNumbers, oracleTensors } from '../support/oracles.ts'

interface PresetCase extends Pick<OracleCase, 'inputs'> {
  readonly name: string
  readonly id: string
  readonly source: string
  readonly loss: Parameters<typeof oracleNumbers>[0]
  readonly gradients: Readonly<Record<string, Parameters<typeof oracleNumbers>[0]>>
}

const catalog = await loadCatalog()
const engine = await openInterpreter()
const casesOf = (preset: PresetName): PresetCase[] =>
  JSON.parse(readFileSync(new URL(`../oracles/presets/${preset}.json`, import.meta.url), 'utf8'))

/** Keras rounds constants and steps to float32, tfjs computes in it; the others are float64 throughout. */
const TOLERANCES: Readonly<Record<PresetName, number>> = { torch: 1e-8, keras: 2e-6, optax: 1e-8, tfjs: 1e-5 }

/** Framework and case, or one part of it -> why our number is another one, with theirs where it is short. */
const EXCEPTIONS: Readonly<Record<string, string>> = {
  'torch binary_cross_entropy/right predictions':
    'PyTorch: gradient 0 of -ln(1 - p) at p = 0, whose slope is 1',
  'torch soft_margin/far predictions': 'PyTorch: NaN; ours is the limit',
  'torch ctc/impossible predictions': 'PyTorch: NaN; nothing pulls where nothing fits',
  'torch ciou/flat predictions': 'torchvision: NaN for a box without height',
  'torch ciou/points': 'torchvision: NaN for boxes without area',
  'torch multi_similarity/singles': 'without positives 0, as every in-batch loss here; theirs 0.0589',
  'torch js_div/apart': 'torchmetrics: NaN gradients at a probability of 0',
  'keras binary_focal/wrong predictions':
    'Keras clips only inside of the logarithm, so that its weight still has a slope (10.7) where p is cut off',
  'keras binary_focal/near predictions': 'the same',
  'keras hinge/margin predictions':
    'on the corner of the hinge Keras takes half of the slope, we take the inactive side: 0',
  'keras hinge/zeros': 'labels 0 and 1 are refused; Keras converts them if the whole batch has no other',
  'keras squared_hinge/zeros': 'the same',
  'keras generalized_cross_entropy/sure predictions': 'Keras: -Infinity and NaN at a probability of 0',
  'keras cosine_similarity/zero': 'Keras: NaN gradients of a zero vector',
  'keras circle': 'Keras does not normalise; ours does, as the paper (see its note)',
  'keras dice': 'Keras: one number for the whole batch, and 1 for an empty region (see its note)',
  'keras tversky': 'the same',
  'keras ctc/impossible predictions': 'Keras on torch: NaN',
  'optax sigmoid_focal/plain targets':
    'optax fades by the signed logit, which for soft targets is another function of them',
  'optax sigmoid_focal/far targets': 'the same',
  'optax hinge/margin predictions': 'on the corner JAX takes half of the slope, we take the inactive side: 0',
  'optax perceptron/zero predictions': 'the same',
  'optax poly1_cross_entropy/masked loss': 'optax: NaN for a class of logit -inf',
  'optax kl_div': 'optax sums the classes; the unreduced loss here is one number an element (see its note)',
  'optax cosine_similarity/zero': 'optax: NaN for a zero vector, whose cosine is 0 here',
  'optax triplet_margin/plain':
    'optax adds epsilon to the sum of squares, PyTorch and we to each difference: 1e-6 apart',
  'optax triplet_margin/same': 'the same; theirs 0.500999',
  'optax nt_xent/singles loss': 'optax: NaN without positives',
  'optax dice/plain':
    'optax averages the classes; the unreduced loss here is one number a class (see its note)',
  'optax dice/tall': 'the same',
  'optax generalized_dice': 'optax weighs classes by their counts in the whole batch (see its note)',
  'optax ctc/impossible': 'optax: about 1e5, with a gradient; ours Infinity, with none',
  'tfjs l1/equal': 'tfjs: slope -1 of |x| at 0, which is 0 here',
  'tfjs binary_cross_entropy/wrong predictions':
    'tfjs adds epsilon inside of the logarithm, we cut the probability off: no slope beyond',
  'tfjs binary_cross_entropy/right predictions': 'the same',
  'tfjs binary_cross_entropy/near': 'the same; theirs 13.0446 for 13.0480',
  'tfjs cross_entropy/shares targets':
    'probability targets are differentiated where they are asked for by name; tfjs answers softmax - labels, which is wrong',
  'tfjs cross_entropy/hot targets': 'the same',
  'tfjs cross_entropy/map targets': 'the same',
  'tfjs cross_entropy/weighted targets': 'the same',
}

const isExcepted = (preset: PresetName, id: string, part: string) =>
  [id.split('/')[0], id, `${id} ${part}`].some((key) => Object.hasOwn(EXCEPTIONS, `${preset} ${key}`))

/** Spellings whose own call has no counterpart of the same inputs, or whose package does not install here. */
const WITHOUT_CASE: Readonly<Record<string, string>> = {
  'keras.losses.KLDivergence': 'takes probabilities, ours log-probabilities',
  'keras.losses.kl_divergence': 'the same',
  'keras.losses.CategoricalFocalCrossentropy': 'takes probabilities, ours logits (from_logits=True)',
  'keras.losses.categorical_focal_crossentropy': 'the same',
  'torch.nn.functional.cosine_similarity': 'is no loss there: the cosine, of any axis',
  'torch.nn.CosineSimilarity': 'the same',
  'tf.losses.cosineDistance': 'does not normalise, and wants an axis',
  'tfa.losses.TripletSemiHardLoss': 'TensorFlow Addons is frozen and does not install',
  'tfa.losses.triplet_semihard_loss': 'the same',
  'tfa.losses.TripletHardLoss': 'the same',
  'tfa.losses.triplet_hard_loss': 'the same',
  'sentence_transformers.losses.TripletLoss': 'wraps a model',
  'torch.nn.AdaptiveLogSoftmaxWithLoss': 'holds its weights: test/oracles/adaptive_log_softmax.json',
  'torch.nn.NLLLoss2d': 'nll_loss under its old name',
}

describe.each(PRESETS)('%s', (preset) => {
  const cases = casesOf(preset)
  const spellings = catalog.losses.flatMap(({ presets }) => Object.keys(presets[preset]?.names ?? {}))

  it('has numbers of the framework for every spelling, or says why not', () => {
    const proved = new Set(cases.map(({ name }) => name))
    expect(spellings.filter((name) => !proved.has(name) && !Object.hasOwn(WITHOUT_CASE, name))).toEqual([])
  })

  it.each(cases.map((one) => [one.name, one.id, one] as const))(
    '%s answers what it answers there: %s',
    async (name, id, one) => {
      if (isExcepted(preset, id, '')) return
      const answer = await evaluate(engine, catalog.resolve(name)!, oracleTensors(one), { explain: true })
      expect(answer.members.explain).toMatchObject({ preset })
      const tolerance = { relative: TOLERANCES[preset], absolute: TOLERANCES[preset] }
      if (!isExcepted(preset, id, 'loss'))
        expectClose(answer.loss.data, oracleNumbers(one.loss), { ...tolerance, what: 'loss' })
      for (const [input, gradient] of Object.entries(one.gradients)) {
        if (isExcepted(preset, id, input)) continue
        expectClose(answer.gradients.get(input)!.data, oracleNumbers(gradient), { ...tolerance, what: input })
      }
    },
  )
})
