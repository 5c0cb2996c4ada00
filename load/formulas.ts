/** Formulas as users write them, and as nobody should, without end: each seed makes another one. */

type Make = (seed: number, rows?: number) => object

const matrix = (rows: number, columns: number, from: number) =>
  Array.from({ length: rows }, (_, r) =>
    Array.from({ length: columns }, (_, c) => ((r + c * from) % 7) / 3 - 1),
  )
const column = (rows: number) => Array.from({ length: rows }, (_, r) => ((r * 5) % 11) / 5 - 1)
const labels = (rows: number, classes: number) => Array.from({ length: rows }, (_, r) => r % classes)

/** Kind -> the body of a request with a formula of this kind. */
export const FORMULAS: Readonly<Record<string, Make>> = {
  /** Ten lines. */
  lines: (seed, rows = 3) => {
    const lines = Array.from(
      { length: 8 },
      (_, i) => `a${i} = ${i === 0 ? 'r' : `a${i - 1}`} * ${seed + i}e-6 + tanh(r * ${i + 1}) / ${i + 2}`,
    )
    const formula = `r = predictions - targets\n${lines.join('\n')}\nlog1p(a7 * a7) + r^2`
    return { formula, predictions: column(rows), targets: Array(rows).fill(0) }
  },
  robust: (seed, rows = 3) => ({
    formula: `r = (predictions - targets) / ${seed}\nabs(r) < delta ? 1 - (1 - (r / delta)^2)^3 : 1`,
    params: { delta: 1.5 },
    predictions: column(rows),
    targets: Array(rows).fill(0),
  }),
  smoothed: (seed, rows = 3) => ({
    formula: `e = ${seed}e-7\np = log_softmax(logits * (1 + e), classes)\n-(1 - e) * pick(p, label, classes) - e * mean(p, classes)`,
    axes: { logits: 'rows,classes', label: 'rows' },
    logits: matrix(rows, 5, seed),
    label: labels(rows, 5),
  }),
  overlap: (seed, rows = 3) => ({
    formula: `p = sigmoid(logits)\nboth = sum(p * mask, pixels)\n1 - (2 * both + ${seed}e-6) / (sum(p, pixels) + sum(mask, pixels) + ${seed}e-6)`,
    axes: { logits: 'rows,pixels', mask: 'rows,pixels' },
    logits: matrix(rows, 9, seed),
    mask: matrix(rows, 9, 2).map((row) => row.map((x) => Number(x > 0))),
  }),
  pairs: (seed, rows = 3) => ({
    formula: `d = predictions - predictions[rows -> others]\nt = targets - targets[rows -> others]\nmean(t > 0 ? softplus(${seed}e-4 - d) : 0, others)`,
    axes: { predictions: 'rows', targets: 'rows' },
    predictions: column(Math.min(rows, 200)),
    targets: column(Math.min(rows, 200)).reverse(),
  }),
  contrast: (seed, rows = 3) => ({
    formula: `s = sum(a * b[rows -> others], features) * ${seed}e-3\nlogsumexp(s, others) - sum(a * b, features) * ${seed}e-3`,
    axes: { a: 'rows,features', b: 'rows,features' },
    a: matrix(Math.min(rows, 100), 8, seed),
    b: matrix(Math.min(rows, 100), 8, 3),
  }),
  sorted: (seed, rows = 3) => ({
    formula: `e = sort(abs(predictions - targets), steps)\nsum(index(steps) < size(steps) - 1 ? e * ${seed}e-3 : 0, steps)`,
    axes: { predictions: 'rows,steps', targets: 'rows,steps' },
    predictions: matrix(rows, 6, seed),
    targets: matrix(rows, 6, 1),
  }),
}

interface Sent {
  readonly path: string
  readonly body: string
}

const inline = (body: object): Sent => ({ path: '/v1/losses:evaluate', body: JSON.stringify(body) })
const x = { x: [[1, 2], [3, 4]], axes: { x: 'rows,classes' } } // biome-ignore format: a matrix
const chain = (first: string, step: string, lines: number) =>
  [
    `a0 = ${first}`,
    ...Array.from({ length: lines }, (_, k) => `a${k + 1} = ${step.replaceAll('@', `a${k}`)}`),
  ].join('\n')
const sum = (count: number, term: (i: number) => string) =>
  Array.from({ length: count }, (_, i) => term(i)).join(' + ')

/** Within all limits, and as expensive as they allow. */
export const HOSTILE: Readonly<Record<string, (seed: number) => Sent>> = {
  'the largest formula': (seed) => inline({ ...x, formula: sum(85, (i) => `tanh(x * ${seed + i})`) }),
  'many softmaxes': (seed) =>
    inline({ ...x, formula: sum(40, (i) => `sum(softmax(x * ${seed + i}, classes) * x, classes)`) }),
  'shared parts, 2^40 as a tree': (seed) =>
    inline({ ...x, formula: `${chain(`x * ${seed}e-3`, '@ * @ + 0.1', 40)}\na40 / sum(a40, classes)` }),
  'nested choices': (seed) =>
    inline({ ...x, formula: `${chain(`x * ${seed}e-3`, '@ > x ? @ * 2 : @ + 1', 40)}\na40` }),
  'nested softmaxes': (seed) =>
    inline({
      ...x,
      formula: `${chain(`x * ${seed}e-3`, 'softmax(@ * x, classes)', 30)}\nsum(a30 * x, classes)`,
    }),
  'second derivatives': (seed) =>
    inline({ ...x, formula: `${chain(`x * ${seed}e-3`, 'tanh(@) * @', 40)}\na40`, hessian: 'diagonal' }),
  'many structures': (seed) => ({
    path: '/v1/losses:evaluate',
    body: JSON.stringify({
      definition: {
        inputs: Object.fromEntries(
          Array.from({ length: 32 }, (_, i) => [
            `x${i}`,
            { axes: 'rows,classes', differentiable: true, optional: i > 0 },
          ]),
        ),
        formula: `${seed} * x0 + ${sum(31, (i) => `(given(x${i + 1}) ? tanh(x${i + 1}) : 0)`)}`,
      },
      x0: x.x,
    }),
  }),
  'deep JSON': () => ({
    path: '/v1/losses:evaluate',
    body: `{"definition":${'{"inputs":'.repeat(5000)}1${'}'.repeat(5000)}}`,
  }),
  'a large document': (seed) => ({
    path: '/v1/losses',
    body: JSON.stringify({
      name: 'load/large',
      inputs: { x: { differentiable: true } },
      formula: sum(80, (i) => `tanh(x * ${seed + i})`),
      examples: Array.from({ length: 16 }, () => ({ inputs: { x: column(400) }, loss: [0] })),
    }),
  }),
}
