/**
 * The results of tfjs's losses with their defaults: `npx tsx test/oracles/scripts/presets_tfjs.mjs`. tfjs has only float32.
 * The inputs are those of presets/keras.json and presets/optax.json, rounded to float32, so that the frameworks can be compared.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import * as tf from '@tensorflow/tfjs-core'
import '@tensorflow/tfjs-backend-cpu'

// tfjs's files do not declare their module type: tsx can load them, Node by itself cannot.
createRequire(import.meta.url)('@tensorflow/tfjs-core/dist/register_all_gradients')

const folder = new URL('../presets/', import.meta.url)
const read = (framework) => JSON.parse(readFileSync(new URL(`${framework}.json`, folder), 'utf8'))

const SMOOTHING = 0.125

/** tfjs's function -> our loss, the name whose inputs are used, which of them are differentiable, whether it smooths labels. */
const LOSSES = {
  absoluteDifference: {
    loss: 'l1',
    lender: 'keras.losses.MeanAbsoluteError',
    wants: ['predictions', 'targets'],
  },
  meanSquaredError: {
    loss: 'mse',
    lender: 'keras.losses.MeanSquaredError',
    wants: ['predictions', 'targets'],
  },
  huberLoss: { loss: 'huber', lender: 'keras.losses.Huber', wants: ['predictions', 'targets'] },
  logLoss: {
    loss: 'binary_cross_entropy',
    lender: 'keras.losses.BinaryCrossentropy',
    wants: ['predictions', 'targets'],
  },
  sigmoidCrossEntropy: {
    loss: 'binary_cross_entropy_with_logits',
    lender: 'optax.losses.sigmoid_binary_cross_entropy',
    wants: ['predictions', 'targets'],
    smooths: true,
  },
  cosineDistance: {
    loss: 'cosine_similarity',
    lender: 'keras.losses.CosineSimilarity',
    wants: ['predictions', 'targets'],
    call: (truth, given, weight) => tf.losses.cosineDistance(truth, given, -1, weight),
  },
  hingeLoss: { loss: 'hinge', lender: 'optax.losses.sparsemax_loss', wants: ['predictions'] },
  softmaxCrossEntropy: {
    loss: 'cross_entropy',
    lender: 'optax.losses.softmax_cross_entropy',
    wants: ['predictions', 'targets'],
    smooths: true,
  },
}

const lent = [...read('keras'), ...read('optax')].filter(({ params }) => params === undefined)

/** The cases of that name, the first of them again with smoothed labels, and with one weight per row unless there is such a case. */
function casesOf({ lender, smooths = false }) {
  const plain = lent.filter(({ name }) => name === lender)
  const smoothed = { ...plain[0], id: '/smoothed', params: { label_smoothing: SMOOTHING } }
  const found = smooths ? [...plain, smoothed] : plain
  if (found.some(({ id }) => id.endsWith('weighted'))) return found
  const { id, inputs } = found[0]
  const rows = inputs.predictions.shape[0]
  const sample_weight = { dtype: 'float64', shape: [rows], data: [2, 0, 0.5, 1].slice(0, rows) }
  return [...found, { id: id.replace(/[^/]+$/, 'weighted'), inputs: { ...inputs, sample_weight } }]
}

const tensorOf = ({ data, shape }) => tf.tensor(data, shape, 'float32')

/** One weight per row, with the rank of the weighted tensor. */
function weightOf({ sample_weight, predictions }, loss) {
  if (sample_weight === undefined) return undefined
  const trailing = predictions.shape.length - (loss === 'cross_entropy' ? 2 : 1)
  return tensorOf({ ...sample_weight, shape: [...sample_weight.shape, ...Array(trailing).fill(1)] })
}

/** Rounded to float32. */
const rounded = (inputs) =>
  Object.fromEntries(
    Object.entries(inputs).map(([key, tensor]) => [
      key,
      { ...tensor, data: tensor.data.map((x) => Math.fround(Number(x))) },
    ]),
  )

function run(name, { loss, wants, call: called = tf.losses[name] }, { id, inputs: lentInputs, params }) {
  const inputs = rounded(lentInputs)
  const targets = tensorOf(inputs.targets)
  const predictions = tensorOf(inputs.predictions)
  const weight = weightOf(inputs, loss)
  const call = (given, truth) => called(truth, given, weight, params?.label_smoothing)
  const slopes = tf.grads(call)([predictions, targets])
  const values = { predictions: slopes[0], targets: slopes[1] }
  return {
    name: `tf.losses.${name}`,
    id: `${loss}/${id.split('/')[1]}`,
    source: `@tensorflow/tfjs-core ${tf.version_core}, float32`,
    inputs,
    loss: spelled(call(predictions, targets)),
    gradients: Object.fromEntries(wants.map((input) => [input, spelled(values[input])])),
    ...(params && { params }),
  }
}

/** JSON has no infinities and no NaN. */
function spelled(tensor) {
  const data = [...tensor.dataSync()].map((x) => (Number.isFinite(x) ? x : String(x)))
  return { dtype: 'float64', shape: tensor.shape, data }
}

await tf.setBackend('cpu')
const cases = Object.entries(LOSSES).flatMap(([name, about]) =>
  casesOf(about).map((one) => run(name, about, one)),
)
writeFileSync(new URL('tfjs.json', folder), `[\n${cases.map((one) => JSON.stringify(one)).join(',\n')}\n]\n`)
console.log('tfjs', cases.length, 'cases')
