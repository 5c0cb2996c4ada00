/** Aliases: losses are found by the names that people know, otherwise the closest one is suggested, if any is close. */
import { describe, expect, it } from 'vitest'
import { NAMES_IN_OTHER_LIBRARIES } from '../../src/losses/aliases.ts'
import { DATA_ISSUES, DESIRED_PROPERTIES, SYNONYMS, TASKS } from '../../src/losses/guide.ts'
import { loadCatalog } from '../../src/losses/load-catalog.ts'
import { sharedServer } from '../support/server.ts'

const catalog = await loadCatalog()
const server = sharedServer()

describe('is found, with the defaults of its framework', () => {
  it.each([
    ['MSELoss', 'mse', 'torch'],
    ['torch.nn.MSELoss', 'mse', 'torch'],
    ['nn.MSELoss', 'mse', 'torch'],
    ['L1Loss', 'l1', 'torch'],
    ['torch.nn.L1Loss', 'l1', 'torch'],
    ['NLLLoss', 'nll', 'torch'],
    ['torch.nn.NLLLoss', 'nll', 'torch'],
    ['BCELoss', 'binary_cross_entropy', 'torch'],
    ['torch.nn.BCELoss', 'binary_cross_entropy', 'torch'],
    ['BCEWithLogitsLoss', 'binary_cross_entropy_with_logits', 'torch'],
    ['torch.nn.BCEWithLogitsLoss', 'binary_cross_entropy_with_logits', 'torch'],
    ['SmoothL1Loss', 'smooth_l1', 'torch'],
    ['HuberLoss', 'huber', 'torch'],
    ['CTCLoss', 'ctc', 'torch'],
    ['F.mse_loss', 'mse', 'torch'],
    ['F.cross_entropy', 'cross_entropy', 'torch'],
    ['F.binary_cross_entropy_with_logits', 'binary_cross_entropy_with_logits', 'torch'],
    ['nn.functional.nll_loss', 'nll', 'torch'],
    ['ops.sigmoid_focal_loss', 'sigmoid_focal', 'torch'],
    ['keras.losses.mse', 'mse', 'keras'],
    ['keras.losses.MAE', 'l1', 'keras'],
    ['keras.losses.kld', 'kl_div', 'keras'],
    ['tf.keras.losses.mse', 'mse', 'keras'],
    ['tf.keras.losses.MeanSquaredError', 'mse', 'keras'],
    ['tf.keras.losses.BinaryCrossentropy', 'binary_cross_entropy', 'keras'],
    ['tf.keras.losses.SparseCategoricalCrossentropy', 'cross_entropy_from_probs', 'keras'],
    ['sparse_categorical_crossentropy', 'cross_entropy_from_probs', 'keras'],
    ['BinaryCrossentropy', 'binary_cross_entropy', 'keras'],
  ])('%s', (name, loss, preset) => {
    expect(catalog.resolve(name)).toMatchObject({ loss: { name: loss }, preset })
  })

  it('every name of torch.nn and keras.losses, with and without its module', () => {
    for (const [name, asked] of catalog.names) {
      const bare = /^(?:torch\.nn|torch\.nn\.functional|keras\.losses)\.(\w+)$/.exec(name)?.[1]
      if (bare === undefined) continue
      expect(catalog.resolve(bare)?.loss.name, bare).toBe(asked.loss.name)
      if (name.startsWith('keras.')) expect(catalog.resolve(`tf.${name}`), name).toBe(asked)
    }
  })

  it.each(['F.mse_loss', 'MSELoss', 'tf.keras.losses.mse'])('over the wire: %s', async (name) => {
    const response = await server.post(name, { predictions: [3], targets: [1] })
    expect(await response.json()).toMatchObject({ loss: 4 })
    expect((await fetch(`${server.url}/v1/losses/${name}`)).status).toBe(200)
  })
})

const hintOf = async (name: string): Promise<string> => {
  const response = await fetch(`${server.url}/v1/losses/${encodeURIComponent(name)}`)
  expect(response.status).toBe(404)
  const { detail } = (await response.json()) as { detail: string }
  return /Did you mean (.*)\?$/.exec(detail)?.[1] ?? ''
}

describe('gets the closest suggestion', () => {
  it.each([
    ['logloss', '"binary_cross_entropy" or "binary_cross_entropy_with_logits"'],
    ['neg_log_loss', '"binary_cross_entropy" or "binary_cross_entropy_with_logits"'],
    ['Logloss', '"binary_cross_entropy_with_logits" or "binary_cross_entropy"'],
    ['binary:logistic', '"binary_cross_entropy_with_logits"'],
    ['reg:squarederror', '"half_squared" or "mse"'],
    ['reg:pseudohubererror', '"barron_robust" or "huber"'],
    ['count:poisson', '"poisson_nll"'],
    ['rank:pairwise', '"pairwise_logistic_ranking"'],
    ['multi:softprob', '"cross_entropy"'],
    ['regression_l1', '"l1"'],
    ['lambdarank', '"lambda_rank"'],
    ['RMSE', '"mse"'],
    ['RMSELoss', '"mse"'],
    ['bceloss', '"bce"'],
    ['mseloss', '"mse"'],
    ['DiceLoss', '"dice"'],
    ['TripletLoss', '"triplet"'],
    ['ArcFaceLoss', '"arcface"'],
    ['cross-entropy', '"cross_entropy"'],
    ['hubr', '"huber"'],
    ['mean_sqaured_error', '"mean_squared_error"'],
    ['keras.losses.Mse', '"mse"'],
    ['tf.nn.sigmoid_cross_entropy_with_logits', '"binary_cross_entropy_with_logits"'],
  ])('%s', async (name, hint) => expect(await hintOf(name)).toBe(hint))
})

describe('gets no suggestion, because nothing is close', () => {
  it.each(['xyz', 'classification', 'ssim', 'wasserstein', 'toString', '__proto__', 'loss', 'a'.repeat(90)])(
    '%.20s',
    async (name) => expect(await hintOf(name)).toBe(''),
  )

  it('an empty name', () => expect(catalog.nearest('')).toEqual([]))
})

describe('suggestions', () => {
  it('are losses, for unknown names of losses', () => {
    const own = new Set(catalog.losses.map(({ name }) => name))
    for (const [name, losses] of Object.entries(NAMES_IN_OTHER_LIBRARIES)) {
      expect(losses.length, name).toBeGreaterThan(0)
      expect(
        losses.filter((loss) => !own.has(loss)),
        name,
      ).toEqual([])
      expect(catalog.resolve(name), name).toBeUndefined()
    }
  })

  it('are words of the guide, for unknown words', () => {
    const words = new Set([TASKS, DATA_ISSUES, DESIRED_PROPERTIES].flatMap((some) => Object.keys(some)))
    for (const [other, meant] of Object.entries(SYNONYMS)) {
      expect(words.has(other), other).toBe(false)
      expect(
        meant.filter((word) => !words.has(word)),
        other,
      ).toEqual([])
    }
  })
})
