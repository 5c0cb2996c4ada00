/** NumPy: a function that returns the loss and its gradients. */
import { type ArrayNames, type ArrayRule, type ArraySyntax, argumentNames, writeArrays } from '../arrays.ts'
import { atom, call, indented, template, within } from '../code.ts'
import type { SourceProgram, Target, WriteOptions } from '../contract.ts'
import { helpersIn } from '../helpers.ts'
import {
  along,
  docstring,
  flattenedInputs,
  OPERATORS,
  PYTHON_SYNTAX,
  power,
  shapeLines,
  signatureOf,
  TAKEN_IN_PYTHON,
  tuple,
} from '../python.ts'

const target: Target = {
  name: 'numpy',
  family: 'array',
  about: 'A NumPy function that returns the loss and its gradients.',
  mediaType: 'text/x-python',
  extension: '.py',
  precisions: ['float64'],
  dialects: [],
  taken: TAKEN_IN_PYTHON,
  write,
}

export default target

const where: ArrayRule = call('np.where')

const SYNTAX: ArraySyntax = {
  ...PYTHON_SYNTAX,
  ops: {
    ...OPERATORS,
    abs: call('np.abs'),
    exp: call('np.exp'),
    expm1: call('np.expm1'),
    log: call('np.log'),
    log1p: call('np.log1p'),
    log2: call('np.log2'),
    log10: call('np.log10'),
    sqrt: call('np.sqrt'),
    safe_sqrt: call('np.sqrt'),
    sigmoid: call('_sigmoid'),
    tanh: call('np.tanh'),
    softplus: template('np.logaddexp(0.0, $0)'),
    sign: call('np.sign'),
    floor: call('np.floor'),
    round: call('np.round'),
    sin: call('np.sin'),
    cos: call('np.cos'),
    atan: call('np.arctan'),
    asin: call('np.arcsin'),
    acos: call('np.arccos'),
    erf: call('_erf'),
    lgamma: call('_lgamma'),
    digamma: undefined,
    polygamma: undefined,
    pow: power,
    max: call('np.maximum'),
    min: call('np.minimum'),
    mul_no_nan: call('_times'),
    is_finite: call('np.isfinite'),
    select: where,
    reduce_sum: along('np.sum', 'axis'),
    reduce_max: along('np.max', 'axis'),
    argsort: (args, axis) => call('np.argsort', `axis=${axis}`, 'kind="stable"')(args),
    gather: (args, axis) => call('_gather', `axis=${axis}`)(args),
    scatter: (args, axis) => call('_scatter', `axis=${axis}`)(args),
    cumsum: along('np.cumsum', 'axis'),
    reverse_cumsum: ([x], axis) => atom(`np.flip(np.cumsum(np.flip(${x.text}, ${axis}), ${axis}), ${axis})`),
    cummax_place: (args, axis) => call('_cummax_place', `axis=${axis}`)(args),
  },
  broadcast: (x, shape) => atom(`np.broadcast_to(${x.text}, ${tuple(shape)})`),
  broadcastLike: (x, like) => atom(`np.broadcast_to(${x.text}, ${like.text}.shape)`),
  transpose: (x, order) => atom(`np.transpose(${x.text}, (${order.join(', ')}))`),
  einsum: (equation, a, b) => atom(`np.einsum("${equation}", ${a.text}, ${b.text})`),
  range: (size) => atom(`np.arange(${size.text})`),
  realOf: (x, like) => atom(`${within(x, 100)}.astype(${like.text}.dtype)`),
  arrayOf: (number, like) => atom(`${like.text}.dtype.type(${number.text})`),
}

const HELPERS: Readonly<Record<string, readonly string[]>> = {
  _reduce: [
    'def _reduce(loss, reduction, shares=None):',
    '    """The reduced loss, and its derivative with respect to each value."""',
    '    if reduction == "none":',
    '        return loss, np.ones_like(loss)',
    '    count = 1 if reduction == "sum" else loss.size if shares is None else shares.sum()',
    '    scale = 1 / count if count != 0 else 0.0',
    '    return loss.sum() * loss.dtype.type(scale), np.full_like(loss, scale)',
    '',
  ],
  _sigmoid: [
    'def _sigmoid(x):',
    '    """1 / (1 + e^-x), without overflow on either side."""',
    '    e = np.exp(-np.abs(x))',
    '    return np.where(x >= 0, 1, e) / (1 + e)',
    '',
  ],
  _erf: [
    'def _erf(x):',
    '    """The error function, in the precision of x."""',
    '    return np.vectorize(math.erf, otypes=[float])(x).astype(x.dtype)',
    '',
  ],
  _lgamma: [
    'def _lgamma(x):',
    '    """log |gamma(x)|, in the precision of x; infinite where math.lgamma raises an error."""',
    '',
    '    def of(value):',
    '        try:',
    '            return math.lgamma(value)',
    '        except (ValueError, OverflowError):',
    '            return math.inf',
    '',
    '    return np.vectorize(of, otypes=[float])(x).astype(x.dtype)',
    '',
  ],
  _times: [
    'def _times(g, d):',
    '    """g * d, but 0 where the gradient g is 0: a branch that was not taken stays silent."""',
    '    return np.where(g == 0, 0.0, g * d)',
    '',
  ],
  _pick: [
    'def _pick(x, place, axis):',
    '    """The elements of x at these places of an axis, and 0 outside of it."""',
    '    inside = (place >= 0) & (place < x.shape[axis])',
    '    index = np.expand_dims(np.where(inside, place, 0).astype(int), axis)',
    '    return np.where(inside, np.take_along_axis(x, index, axis).squeeze(axis), 0.0)',
    '',
  ],
  _gather: [
    'def _gather(x, place, axis):',
    '    """x at these places of an axis, and 0 outside of it."""',
    '    inside = (place >= 0) & (place < x.shape[axis])',
    '    return np.where(inside, np.take_along_axis(x, np.where(inside, place, 0).astype(int), axis), 0.0)',
    '',
  ],
  _scatter: [
    'def _scatter(x, place, axis):',
    '    """The sum of those x that go to each place of an axis; what goes outside is dropped."""',
    '    inside = (place >= 0) & (place < x.shape[axis])',
    '    index = list(np.indices(x.shape))',
    '    index[axis] = np.where(inside, place, 0).astype(int)',
    '    sums = np.zeros_like(x)',
    '    np.add.at(sums, tuple(index), np.where(inside, x, 0.0))',
    '    return sums',
    '',
  ],
  _cummax_place: [
    'def _cummax_place(x, axis):',
    '    """Where the largest so far stands: the first of equal ones; nothing is larger than a NaN."""',
    '    x = np.moveaxis(x, axis, 0)',
    '    place = np.zeros(x.shape, dtype=int)',
    '    largest = x[0]',
    '    for k in range(1, len(x)):',
    '        rises = (x[k] > largest) | (np.isnan(x[k]) & ~np.isnan(largest))',
    '        place[k] = np.where(rises, k, place[k - 1])',
    '        largest = np.where(rises, x[k], largest)',
    '    return np.moveaxis(place, 0, axis)',
    '',
  ],
}

function write(source: SourceProgram, { name }: WriteOptions): string {
  const names = argumentNames(source, [...SYNTAX.reserved, name], 'g')
  const body = bodyLines(source, names)
  const lines = [
    `def ${name}(${signatureOf(source, names)}):`,
    ...docstring(source, NOTES, '    '),
    ...indented(body, '    '),
  ]
  const helpers = helpersIn(body, HELPERS).flatMap((line, place, all) =>
    line === '' && all[place + 1] === '' ? [''] : [line],
  )
  const imports = helpers.some((line) => line.includes('math.')) ? ['import math', ''] : []
  const decorated = ['@np.errstate(all="ignore")', ...lines]
  return `${[...imports, 'import numpy as np', '', '', ...helpers, ...decorated].join('\n')}\n`
}

const NOTES = [
  'Returns the loss, reduced by "mean", "sum" or "none", and the gradient of what is returned with respect to each input that has one; for "none", of each value.',
]

function bodyLines(source: SourceProgram, names: ArrayNames): string[] {
  const { program } = source
  const loss = names.names.take('loss')
  const shares = program.denominators === undefined ? undefined : names.names.take('shares')
  const gradients = Object.keys(program.gradients).map((of) => ({ of, name: names.names.take(`grad_${of}`) }))
  const reduced = names.names.take('reduced')
  const written = writeArrays(source, SYNTAX, names, [
    { node: program.value, axes: program.nodes[program.value].axes, name: loss },
    ...(shares === undefined
      ? []
      : [{ node: program.denominators!, axes: program.nodes[program.value].axes, name: shares }]),
    ...gradients.map(({ of, name }) => ({
      node: program.gradients[of],
      axes: program.inputs[of].axes,
      name,
    })),
  ])
  const restored = flattenedInputs(source)
  const shape = (of: string) => `shape_${names.inputs.get(of)}`
  const back = (of: string, text: string) =>
    restored.some((input) => input.name === of) ? `${text}.reshape(${shape(of)})` : text
  const given = `${reduced}, ${names.cotangent} = _reduce(${[loss, 'reduction', ...((shares ?? '') ? [`${shares}`] : [])].join(', ')})`
  return [
    ...restored.map(({ name }) => `${shape(name)} = ${names.inputs.get(name)}.shape`),
    ...shapeLines(source, names, written, {
      flatten: (x, before, after) =>
        `${x}.reshape(${[`*${x}.shape[:${before}]`, '-1', ...(after === 0 ? [] : [`*${x}.shape[-${after}:]`])].join(', ')})`,
      size: (x, dimension) => `${x}.shape[${dimension}]`,
    }),
    ...written.asArrays.map((param) => {
      const own = names.params.get(param)!
      const real = source.inputs.find(({ type }) => type === 'real')!
      return `${own} = ${names.inputs.get(real.name)}.dtype.type(${own})`
    }),
    ...written.lines.slice(0, written.ofValue),
    given,
    ...written.lines.slice(written.ofValue),
    `return ${reduced}, (${gradients.map(({ of, name }) => `${back(of, name)},`).join(' ')})`,
  ]
}
