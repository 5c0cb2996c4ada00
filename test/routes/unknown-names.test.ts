/**
 * Common mistakes of new users: names of other frameworks, misplaced names, wrong kinds of numbers; each gets a hint.
 */
import { describe, expect, it } from 'vitest'
import { f32, safetensors, sharedServer } from '../support/server.ts'

const server = sharedServer()

interface Told {
  readonly type: string
  readonly detail: string
  readonly errors: readonly { readonly pointer: string; readonly detail: string }[]
}

const told = async (path: string, body: object, status = 422): Promise<Told> => {
  const response = await server.ask(path, body)
  const problem = (await response.json()) as Told
  expect(response.status, JSON.stringify(problem)).toBe(status)
  return problem
}
const places = ({ errors }: Told) => errors.map(({ pointer }) => pointer)

const [x, y] = [{ predictions: [1] }, { targets: [1] }]

describe("an input under another framework's name", () => {
  it.each<[sent: string, loss: string, rest: object, meant: string]>([
    ...[
      'logits',
      'y_pred',
      'input',
      'output',
      'scores',
      'pred',
      'preds',
      'prediction',
      'y_hat',
      'Predictions',
    ].map((name): [string, string, object, string] => [name, 'mse', y, 'predictions']),
    ...['labels', 'y_true', 'target', 'y', 'label', 'truth', 'ground_truth', 'gt', 'expected'].map(
      (name): [string, string, object, string] => [name, 'mse', x, 'targets'],
    ),
    ['logits', 'cross_entropy', { targets: [0] }, 'predictions'],
    ['scores', 'lambda_rank', { targets: [[1, 2]] }, 'predictions'],
    ['features', 'supcon', { labels: [0, 1] }, 'embeddings'],
    ['y_true', 'supcon', { embeddings: [[1], [2]] }, 'labels'],
    ['targets', 'supcon', { embeddings: [[1], [2]] }, 'labels'],
    ['student_logits', 'distillation_kl', { teacher: [[1, 2]] }, 'student'],
    ['logits', 'distillation_kl', { teacher: [[1, 2]] }, 'student'],
    ['labels', 'hinge', x, 'targets'],
    ['weight', 'cross_entropy', { predictions: [[1, 2]], targets: [0] }, 'class_weights'],
    ['weights', 'mse', { ...x, ...y }, 'sample_weight'],
    ...['where', 'valid', 'masks'].map((name): [string, string, object, string] => [
      name,
      'dice',
      { predictions: [[1]], targets: [[1]] },
      'mask',
    ]),
    ['sampleWeight', 'mse', { ...x, ...y }, 'sample_weight'],
    ['reduce', 'mse', { ...x, ...y }, 'reduction'],
    ['grad', 'mse', { ...x, ...y }, 'gradients'],
    ['grad_outputs', 'mse', { ...x, ...y }, 'grad_output'],
    ['config', 'mse', { ...x, ...y }, 'params'],
  ])('%s of %s', async (sent, loss, rest, meant) => {
    const problem = await told(`losses/${loss}`, { ...rest, [sent]: [1] })
    expect(problem.type).toBe('urn:lossd:problem:unknown-name')
    expect(places(problem)).toEqual([`/${sent}`])
    expect(problem.errors[0]!.detail).toContain(`Did you mean "${meant}"?`)
  })

  it('is not suggested if the request has that input already', async () => {
    const { errors } = await told('losses/mse', { ...x, ...y, logits: [1] })
    expect(errors[0]!.detail).not.toContain('Did you mean')
  })

  it('is not guessed if nothing is close', async () => {
    const { errors } = await told('losses/mse', { ...x, ...y, zebra: [1] })
    expect(errors[0]!.detail).not.toContain('Did you mean')
  })
})

it('the error for an unknown name lists the inputs first, and the options separately', async () => {
  const { errors } = await told('losses/cross_entropy', { foo: [1] })
  expect(errors[0]!.detail).toMatch(
    /^is not an input or an option. cross_entropy has the inputs predictions, targets, class_weights and, like every loss, sample_weight, grad_output; options are preset, /,
  )
})

it('all unknown names are reported at once', async () => {
  const body = { logits: [1], y_true: [1], foo: 1, params: { dleta: 1, bar: 2 }, reducton: 'sum' }
  const problem = await told('losses/huber', body)
  expect(places(problem)).toEqual(['/logits', '/y_true', '/foo', '/reducton', '/params/dleta', '/params/bar'])
  expect(problem.detail).toMatch(
    /^\/logits: .* \(and \/y_true, \/foo, \/reducton, \/params\/dleta, \/params\/bar\)$/,
  )
})

it('in a safetensors body, too', async () => {
  const tensor = { dtype: 'F32', shape: [1], bytes: f32(1) }
  const file = safetensors({ logits: tensor, labels: tensor }, { delta: 2 })
  const headers = { 'content-type': 'application/x-safetensors' }
  const response = await server.post('huber', new Uint8Array(file), headers)
  expect(places((await response.json()) as Told).sort()).toEqual(['/delta', '/labels', '/logits'])
})

describe('the error for a misplaced name says where it belongs', () => {
  const soft = { predictions: [[1, 2]], targets: [0] }
  it.each<[what: string, path: string, body: object, pointer: string, detail: string]>([
    [
      'a parameter at the top',
      'losses/huber',
      { ...x, ...y, delta: 2 },
      '/delta',
      'It is a parameter: put it into params',
    ],
    [
      'a word at the top',
      'losses/lovasz',
      { predictions: [[[1]]], targets: [[[1]]], mode: 'softmax' },
      '/mode',
      'It is a parameter: put it into params',
    ],
    [
      'a misspelt parameter at the top',
      'losses/huber',
      { ...x, ...y, dleta: 2 },
      '/dleta',
      'Did you mean "delta"? It is a parameter: put it into params',
    ],
    [
      'labels that say how',
      'losses/hinge',
      { ...x, ...y, labels: '01' },
      '/labels',
      'It is a parameter: put it into params',
    ],
    [
      'an input in params',
      'losses/cross_entropy',
      { ...soft, params: { class_weights: [1, 2] } },
      '/params/class_weights',
      'It is an input: put it at the top level',
    ],
    [
      'a misspelt input in params',
      'losses/cross_entropy',
      { ...soft, params: { weight: [1, 2] } },
      '/params/weight',
      'Did you mean "class_weights"? It is a top-level member',
    ],
    [
      'a weight in params',
      'losses/mse',
      { ...x, ...y, params: { sample_weight: [1] } },
      '/params/sample_weight',
      'put it at the top level',
    ],
    [
      'an option in params',
      'losses/mse',
      { ...x, ...y, params: { reduction: 'sum' } },
      '/params/reduction',
      'It is an option: put it at the top level',
    ],
    [
      'inputs in a folder',
      'losses/mse',
      { inputs: { predictions: [1], targets: [1] } },
      '/inputs',
      'Put its members at the top level',
    ],
    ['terms of one loss', 'losses/mse', { ...x, ...y, terms: [] }, '/terms', 'POST /v1/losses:compose'],
    [
      'a cutoff of another loss',
      'losses/adaptive_log_softmax',
      { hidden: [[1]], head: [[1]], targets: [0], params: { cutoff: [2] } },
      '/params/cutoff',
      'Did you mean "cutoffs"?',
    ],
    [
      'a loss beside terms',
      'losses:compose',
      { terms: [{ loss: 'mse' }], ...x, ...y, weight: 2 },
      '/weight',
      'is not read by any term',
    ],
    [
      'parameters beside terms',
      'losses:compose',
      { terms: [{ loss: 'mse' }], ...x, ...y, params: {} },
      '/params',
      'It is a member of a term: put it into terms',
    ],
    [
      'an option in a term',
      'losses:compose',
      { terms: [{ loss: 'mse', gradients: false }], ...x, ...y },
      '/terms/0/gradients',
      'It is an option for all terms: put it at the top level',
    ],
    [
      'an input in a term',
      'losses:compose',
      { terms: [{ loss: 'mse', predictions: 'x' }], ...x, ...y },
      '/terms/0/predictions',
      'It is an input: put it into inputs',
    ],
    [
      'a parameter in a term',
      'losses:compose',
      { terms: [{ loss: 'huber', delta: 2 }], ...x, ...y },
      '/terms/0/delta',
      'It is a parameter: put it into params',
    ],
    [
      'a misspelt member of a term',
      'losses:compose',
      { terms: [{ loss: 'mse', wieght: 2 }], ...x, ...y },
      '/terms/0/wieght',
      'Did you mean "weight"?',
    ],
    [
      "another framework's input in a term",
      'losses:compose',
      { terms: [{ loss: 'mse', inputs: { y_true: 'targets' } }], ...x, ...y },
      '/terms/0/inputs/y_true',
      'Did you mean "targets"?',
    ],
  ])('%s', async (_, path, body, pointer, detail) => {
    const problem = await told(path, body)
    expect(places(problem)).toContain(pointer)
    expect(problem.errors.find((one) => one.pointer === pointer)!.detail).toContain(detail)
  })

  it('in a composition, all at once', async () => {
    const terms = [
      { loss: 'mse', wieght: 2 },
      { loss: 'l1', foo: 1, bar: 2 },
    ]
    expect(places(await told('losses:compose', { terms }))).toEqual([
      '/terms/0/wieght',
      '/terms/1/foo',
      '/terms/1/bar',
    ])
    const inputs = [
      { loss: 'mse', inputs: { y_pred: 'a' } },
      { loss: 'l1', inputs: { y_true: 'b' } },
    ]
    expect(places(await told('losses:compose', { terms: inputs }))).toEqual([
      '/terms/0/inputs/y_pred',
      '/terms/1/inputs/y_true',
    ])
    const unread = { terms: [{ loss: 'mse' }], ...x, ...y, a: [1], b: [2] }
    expect(places(await told('losses:compose', unread))).toEqual(['/a', '/b'])
  })
})

describe('grammar of the messages', () => {
  it.each<[what: string, path: string, body: object, pointer: string, detail: string]>([
    [
      'no terms',
      'losses:compose',
      { terms: [], ...x },
      '/terms',
      'must contain at least one term, got 0 terms',
    ],
    [
      'too many terms',
      'losses:compose',
      { terms: Array(33).fill({ loss: 'mse' }), ...x },
      '/terms',
      'must contain at most 32 terms, got 33 terms',
    ],
    [
      'terms that are none',
      'losses:compose',
      { terms: 'mse', ...x },
      '/terms',
      'must be a list of objects, got "mse"',
    ],
    [
      'a term that is none',
      'losses:compose',
      { terms: ['mse'], ...x },
      '/terms/0',
      'must be an object, got "mse"',
    ],
    [
      'a term without a loss',
      'losses:compose',
      { terms: [{ weight: 1 }], ...x },
      '/terms/0/loss',
      'is missing',
    ],
    [
      'a weight that is a word',
      'losses:compose',
      { terms: [{ loss: 'mse', weight: 'two' }], ...x },
      '/terms/0/weight',
      'must be a number, got "two"',
    ],
    [
      'one class',
      'losses/cross_entropy',
      { predictions: [[1, 2]], targets: [0], class_weights: [1] },
      '/class_weights',
      'has 1 class, but predictions has 2',
    ],
    [
      'one row',
      'losses/cross_entropy',
      {
        predictions: [
          [1, 2],
          [1, 2],
        ],
        targets: [0],
      },
      '/targets',
      'has 1 row, but predictions has 2',
    ],
    [
      'an axis without a plural',
      'losses/cosine_similarity',
      { predictions: [[1, 2]], targets: [[1]] },
      '/targets',
      'has 1 along its axis dim, but predictions has 2',
    ],
    [
      'a box of three',
      'losses/iou',
      { predictions: [[1, 2, 3]], targets: [[1, 2, 3]] },
      '/predictions',
      'has 3 elements along an axis that must have 4',
    ],
    [
      'one element in a row',
      'losses/mse',
      {
        predictions: [[1, 2], [1]],
        targets: [
          [1, 2],
          [1, 2],
        ],
      },
      '/predictions/1',
      'row 1 has 1 element, expected 2',
    ],
    [
      'one element in data',
      'losses/mse',
      { predictions: { shape: [2], data: [1] }, ...y },
      '/predictions/data',
      'has 1 element, expected 2 elements',
    ],
    [
      'one number for all classes',
      'losses/bce_with_logits',
      { predictions: [[1, 2]], targets: [[1, 0]], pos_weight: [1] },
      '/pos_weight',
      'got 1 number',
    ],
  ])('%s', async (_, path, body, pointer, detail) => {
    const { errors } = await told(path, body)
    expect(errors[0]).toMatchObject({ pointer })
    expect(errors[0]!.detail).toContain(detail)
  })
})

describe('numbers of another kind', () => {
  const hard = { targets: [1, 0] }
  it.each<[loss: string, body: object, detail: string]>([
    [
      'binary_cross_entropy',
      { predictions: [0.5, 1.2], ...hard },
      'must be in [0, 1], got 1.2; logits go to binary_cross_entropy_with_logits',
    ],
    [
      'BCELoss',
      { predictions: [0.5, -3.1], ...hard },
      'got -3.1; logits go to binary_cross_entropy_with_logits',
    ],
    ['binary_focal', { predictions: [0.5, 7], ...hard }, 'got 7; logits go to sigmoid_focal'],
    [
      'cross_entropy_from_probs',
      { predictions: [[0.5, 2.5]], targets: [0] },
      'got 2.5; logits go to cross_entropy',
    ],
    [
      'generalized_cross_entropy',
      { predictions: [[0.5, 2.5]], targets: [0] },
      'got 2.5; for logits, send their softmax',
    ],
    ['js_div', { predictions: [[0.5, -1]], targets: [[0.5, 0.5]] }, 'for logits, send their softmax'],
    [
      'dice',
      { predictions: [[[0.5, 1.1]]], targets: [[[0, 1]]], params: { activation: 'none' } },
      'got 1.1; logits go with activation sigmoid or softmax',
    ],
    ['kl_div', { predictions: [-1], targets: [-0.7] }, 'got -0.7; log-probabilities go with log_target true'],
    [
      'poisson_nll',
      { predictions: [-0.3], targets: [1], params: { log_input: false } },
      'got -0.3; logarithms of rates go with log_input true',
    ],
    ['hinge', { predictions: [1, 1], ...hard }, 'must be -1 or 1, got 0; the parameter labels says which'],
    [
      'hinge',
      { predictions: [1], targets: [-1], params: { labels: '01' } },
      'must be 0 or 1, got -1; the parameter labels says which',
    ],
    ['msle', { predictions: [-0.1], targets: [1] }, 'must be >= 0, got -0.1'],
    ['iou', { predictions: [[0, 0, 1, 1]], targets: [[0.3, 0, 0.1, 1]] }, 'got 0.1 after 0.3'],
    ['cross_entropy', { predictions: [[1, 2]], targets: [0.1] }, 'got 0.1'],
  ])('%s: %j', async (loss, body, detail) => {
    const { errors } = await told(`losses/${loss}`, body)
    expect(errors[0]!.detail).toContain(detail)
  })
})

describe('true and false', () => {
  const yes = { dtype: 'bool', shape: [2], data: [true, false] }
  it.each<[loss: string, body: object]>([
    ['binary_cross_entropy_with_logits', { predictions: [0.5, 2], targets: [true, false] }],
    ['binary_cross_entropy', { predictions: [0.5, 0.2], targets: [true, false] }],
    ['binary_cross_entropy', { predictions: [0.5, 0.2], targets: yes }],
    ['sparsemax', { predictions: [0.5, 0.2], targets: [true, false] }],
    ['contrastive', { input1: [[1], [2]], input2: [[1], [3]], targets: [true, false] }],
    ['dice', { predictions: [[[0.5, 1]]], targets: [[[true, false]]] }],
    ['lovasz', { predictions: [[[0.5, 1]]], targets: [[[true, false]]] }],
    ['softmax_ranking', { predictions: [[1, 2]], targets: [[1, 0]], mask: [[true, false]] }],
  ])('are 1 and 0 where those are expected: %s %j', async (loss, body) => {
    const numbers = JSON.parse(JSON.stringify(body).replaceAll('true', '1').replaceAll('false', '0'))
    const [got, want] = [await server.post(loss, body), await server.post(loss, numbers)]
    const [answer, same] = [
      (await got.json()) as { loss: number; gradients: object },
      (await want.json()) as { loss: number; gradients: { targets?: unknown } },
    ]
    expect(got.status, JSON.stringify(answer)).toBe(200)
    expect(answer.loss).toBe(same.loss)
    // A boolean has no slope.
    const { targets: _targets, ...gradients } = same.gradients
    expect(answer.gradients).toEqual(gradients)
  })

  it.each<[loss: string, body: object, pointer: string, detail: string]>([
    [
      'mse',
      { predictions: [true, false], targets: [1, 0] },
      '/predictions/0',
      'must be a number, got a boolean',
    ],
    ['mse', { predictions: [[1]], targets: [[true]] }, '/targets/0/0', 'must be a number, got a boolean'],
    ['hinge', { predictions: [1], targets: [true] }, '/targets/0', 'must be a number, got a boolean'],
    [
      'cross_entropy',
      { predictions: [[1, 2]], targets: [true] },
      '/targets/0',
      'must be a number, got a boolean',
    ],
    [
      'binary_cross_entropy',
      { predictions: [true], targets: [true], gradients: false },
      '/predictions/0',
      'must be a number, got a boolean',
    ],
    ['mse', { ...x, ...y, sample_weight: [true] }, '/sample_weight/0', 'must be a number, got a boolean'],
    [
      'sparsemax',
      { predictions: [1, 2], targets: [1, true] },
      '/targets/1',
      'must be a number, got a boolean',
    ],
    [
      'sparsemax',
      { predictions: [1, 2], targets: [true, 1] },
      '/targets/0',
      'must be a number, got a boolean',
    ],
    [
      'sparsemax',
      { predictions: [[1], [2]], targets: [[true], [1]] },
      '/targets/0/0',
      'must be a number, got a boolean',
    ],
    [
      'sparsemax',
      { predictions: [1, 2], targets: [true, 'NaN'] },
      '/targets/0',
      'must be a number, got a boolean',
    ],
    [
      'sparsemax',
      { predictions: [1], targets: { dtype: 'float32', data: [true] } },
      '/targets/data/0',
      'must be a number (float32), got a boolean',
    ],
  ])('are rejected elsewhere: %s %j', async (loss, body, pointer, detail) => {
    const { errors } = await told(`losses/${loss}`, body)
    expect(errors).toMatchObject([{ pointer }])
    expect(errors[0]!.detail).toContain(detail)
  })
})

describe('GET', () => {
  it.each([
    ['classification', 'Did you mean "multiclass" or "binary" or "multilabel"?'],
    ['detection', 'Did you mean "boxes"?'],
    ['regresion', 'Did you mean "regression"?'],
    ['rlhf', 'Did you mean "preference"?'],
    ['asr', 'Did you mean "sequence"?'],
  ])('/v1/guide?task=%s', async (task, hint) => {
    const response = await fetch(`${server.url}/v1/guide?task=${task}`)
    expect(response.status).toBe(422)
    expect(((await response.json()) as Told).detail).toContain(hint)
  })

  it.each(['zebra', 'x'])('/v1/guide?task=%s has no hint', async (task) => {
    const { detail } = (await (await fetch(`${server.url}/v1/guide?task=${task}`)).json()) as Told
    expect(detail).not.toContain('Did you mean')
  })

  it('/v1/losses/ suggests nothing', async () => {
    const response = await fetch(`${server.url}/v1/losses/`)
    expect(await response.text()).not.toContain('Did you mean')
  })
})

describe('a word of another framework', () => {
  it.each<[member: string, value: unknown, hint: string]>([
    ['reduction', 'average', 'mean'],
    ['reduction', 'Sum', 'sum'],
    ['reduction', 'sum_over_batch_size', 'mean'],
    ['preset', 'pytorch', 'torch'],
    ['hessian', 'diag', 'diagonal'],
    ['gradient_dtype', 'half', 'float16'],
    ['nonfinite', 'raise', 'error'],
    ['params', { variant: 'IPO' }, 'ipo'],
  ])('%s %j', async (member, value, hint) => {
    const pair = { policy_chosen: [1], policy_rejected: [0], reference_chosen: [0], reference_rejected: [0] }
    const { errors } = await told('losses/dpo', { ...pair, [member]: value })
    expect(errors[0]!.detail).toContain(`Did you mean "${hint}"?`)
  })

  it("gradients of inputs under other frameworks' names, all at once", async () => {
    const problem = await told('losses/mse', { ...x, ...y, gradients: ['y_pred', 'target', 'foo'] })
    expect(places(problem)).toEqual(['/gradients/0', '/gradients/1', '/gradients/2'])
    expect(problem.errors.map(({ detail }) => /mean (".*")/.exec(detail)?.[1])).toEqual([
      '"predictions"',
      '"targets"',
      undefined,
    ])
  })
})

it('a body full of unknown names gets some of them reported', async () => {
  const many = Object.fromEntries(Array.from({ length: 20_000 }, (_, i) => [`name${i}`, i]))
  const names = Object.keys(many)
  for (const [path, body] of [
    ['losses/huber', { ...x, ...y, params: many }],
    ['losses/huber', { ...x, ...y, gradients: names }],
    ['losses:compose', { terms: [{ loss: 'mse', ...many }], ...x, ...y }],
    [
      'losses:compose',
      {
        terms: [
          { loss: 'mse', inputs: { ...many, ...Object.fromEntries(names.map((name) => [name, 'x'])) } },
        ],
        ...x,
        ...y,
      },
    ],
    ['losses:compose', { terms: [{ loss: 'mse' }], ...x, ...y, gradients: names }],
  ] as const) {
    expect((await told(path, body)).errors).toHaveLength(32)
  }
})
