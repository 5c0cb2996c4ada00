/** JAX: a custom_vjp with our gradient, and a function that reduces it. */
import type { ArrayLines, ArraySyntax } from '../arrays.ts'
import { ATOM, atom, call, indented, template, within } from '../code.ts'
import { flattenedInputs, valueShape } from '../collapse-axes.ts'
import type { SourceProgram, Target, WriteOptions } from '../contract.ts'
import { type ForwardBackward, forwardBackward } from '../forward-backward.ts'
import { helpersIn } from '../helpers.ts'
import {
  along,
  docstring,
  OPERATORS,
  PYTHON_SYNTAX,
  power,
  realLines,
  shapeLines,
  signatureOf,
  TAKEN_IN_PYTHON,
  tuple,
  WHOLE_AXIS_CALLS,
} from '../python.ts'
import { type ArrayLibraryNames, pythonHelpers } from '../python-axis-ops.ts'

const target: Target = {
  name: 'jax',
  family: 'array',
  about: 'A JAX function with a custom_vjp, under jit and vmap; parameters may be traced.',
  mediaType: 'text/x-python',
  extension: '.py',
  precisions: ['float64'],
  dialects: [],
  // The function of the value has an underscore before its name.
  get taken() {
    const helpers = Object.keys(HELPERS).map((helper) => helper.slice(1))
    return [...TAKEN_IN_PYTHON, 'forward', 'backward', ...helpers]
  },
  write,
}

export default target

const SYNTAX: ArraySyntax = {
  ...PYTHON_SYNTAX,
  ops: {
    ...OPERATORS,
    abs: call('jnp.abs'),
    exp: call('jnp.exp'),
    expm1: call('jnp.expm1'),
    log: call('jnp.log'),
    log1p: call('jnp.log1p'),
    log2: call('jnp.log2'),
    log10: call('jnp.log10'),
    sqrt: call('jnp.sqrt'),
    safe_sqrt: call('jnp.sqrt'),
    sigmoid: call('_sigmoid'),
    tanh: call('jnp.tanh'),
    softplus: template('jnp.logaddexp($0, 0.0)'),
    sign: call('jnp.sign'),
    floor: call('jnp.floor'),
    round: call('jnp.round'),
    sin: call('jnp.sin'),
    cos: call('jnp.cos'),
    atan: call('jnp.arctan'),
    asin: call('jnp.arcsin'),
    acos: call('jnp.arccos'),
    erf: call('jax.scipy.special.erf'),
    lgamma: call('jax.scipy.special.gammaln'),
    digamma: call('jax.scipy.special.digamma'),
    polygamma: ([n, x]) => atom(`jax.scipy.special.polygamma(int(${n.text}), ${x.text})`),
    pow: power,
    max: call('jnp.maximum'),
    min: call('jnp.minimum'),
    mul_no_nan: call('_times'),
    is_finite: call('jnp.isfinite'),
    select: call('jnp.where'),
    reduce_sum: along('jnp.sum', 'axis'),
    reduce_max: along('jnp.max', 'axis'),
    argsort: (args, axis) => call('jnp.argsort', `axis=${axis}`, 'stable=True')(args),
    gather: along('_gather', 'axis'),
    scatter: along('_scatter', 'axis'),
    cumsum: along('jnp.cumsum', 'axis'),
    reverse_cumsum: ([x], axis) =>
      atom(`jnp.flip(jnp.cumsum(jnp.flip(${x.text}, ${axis}), ${axis}), ${axis})`),
    cummax_place: along('_cummax_place', 'axis'),
    ...WHOLE_AXIS_CALLS,
  },
  // Parameters may be traced, and then have no truth that Python could ask for.
  statics: {
    neg: OPERATORS.neg,
    add: OPERATORS.add,
    sub: OPERATORS.sub,
    mul: OPERATORS.mul,
    div: OPERATORS.div,
  },
  broadcast: (x, shape) => atom(`jnp.broadcast_to(${x.text}, ${tuple(shape)})`),
  broadcastLike: (x, like) => atom(`jnp.broadcast_to(${x.text}, ${like.text}.shape)`),
  transpose: (x, order) => atom(`jnp.transpose(${x.text}, (${order.join(', ')}))`),
  einsum: (equation, a, b) => atom(`jnp.einsum("${equation}", ${a.text}, ${b.text}, precision="highest")`),
  range: (size) => atom(`jnp.arange(${size.text})`),
  realOf: (x, like) => atom(`${within(x, ATOM)}.astype(${like.text}.dtype)`),
  arrayOf: (number, like) => atom(`jnp.asarray(${number.text}, ${like.text}.dtype)`),
}

const WORDS: ArrayLibraryNames = {
  module: 'jnp',
  log: 'jnp.log',
  max: 'jnp.max',
  sum: 'jnp.sum',
  concat: 'jnp.concatenate',
  axis: 'axis',
  arange: (size) => `jnp.arange(${size})`,
  like: (x, other) => `(${x}).astype(${other}.dtype)`,
  takeLast: (x, places) => `${x}[..., jnp.array(${places}, int)]`,
  take: (x, places, axis) => `jnp.take(${x}, jnp.array(${places}, int), ${axis})`,
  takeClasses: (x, states) =>
    `jnp.take_along_axis(${x}, jnp.clip(${states}, 0, ${x}.shape[2] - 1)[:, None], 2)`,
  truths: (list) => `jnp.array(${list}, bool)`,
  solve: (a, b, isLower) =>
    `jax.lax.linalg.triangular_solve(${a}, ${b}[..., None], left_side=True, lower=${isLower ? 'True' : 'False'})[..., 0]`,
}

const HELPERS: Readonly<Record<string, readonly string[]>> = {
  _reals: [
    'def _reals(*arrays):',
    '    """Arrays of floats as they are; others as the floats that they become beside these."""',
    '    arrays = [jnp.asarray(x) for x in arrays]',
    '    dtype = jnp.result_type(*arrays, float)',
    '    return [x if jnp.issubdtype(x.dtype, jnp.floating) else x.astype(dtype) for x in arrays]',
    '',
  ],
  _sigmoid: [
    'def _sigmoid(x):',
    '    """1 / (1 + e^-x), with all digits on the left."""',
    '    e = jnp.exp(-jnp.abs(x))',
    '    return jnp.where(x >= 0, 1, e) / (1 + e)',
    '',
  ],
  _times: [
    'def _times(g, d):',
    '    """g * d, but 0 where the gradient g is 0: a branch that was not taken stays silent."""',
    '    return jnp.where(g == 0, 0.0, g * d)',
    '',
  ],
  _pick: [
    'def _pick(x, place, axis):',
    '    """The elements of x at these places of an axis, and 0 outside of it."""',
    '    inside = (place >= 0) & (place < x.shape[axis])',
    '    index = jnp.expand_dims(jnp.where(inside, place, 0).astype(int), axis)',
    '    return jnp.where(inside, jnp.take_along_axis(x, index, axis).squeeze(axis), 0.0)',
    '',
  ],
  _gather: [
    'def _gather(x, place, axis):',
    '    """x at these places of an axis, and 0 outside of it."""',
    '    inside = (place >= 0) & (place < x.shape[axis])',
    '    return jnp.where(inside, jnp.take_along_axis(x, jnp.where(inside, place, 0).astype(int), axis), 0.0)',
    '',
  ],
  _scatter: [
    'def _scatter(x, place, axis):',
    '    """The sum of those x that go to each place of an axis; what goes outside is dropped."""',
    '    inside = (place >= 0) & (place < x.shape[axis])',
    '    index = list(jnp.indices(x.shape))',
    '    index[axis] = jnp.where(inside, place, 0).astype(int)',
    '    return jnp.zeros_like(x).at[tuple(index)].add(jnp.where(inside, x, 0.0))',
    '',
  ],
  _cummax_place: [
    'def _cummax_place(x, axis):',
    '    """Where the largest so far stands: the first of equal ones; nothing is larger than a NaN."""',
    '    x = jnp.moveaxis(x, axis, 0)',
    '    places, place, largest = [], jnp.zeros(x.shape[1:], int), x[0]',
    '    for k in range(len(x)):',
    '        rises = (x[k] > largest) | (jnp.isnan(x[k]) & ~jnp.isnan(largest))',
    '        place, largest = jnp.where(rises, k, place), jnp.where(rises, x[k], largest)',
    '        places.append(place)',
    '    return jnp.moveaxis(jnp.stack(places), 0, axis)',
    '',
  ],
  ...pythonHelpers(WORDS),
}

const NOTES = [
  'Returns the loss, reduced by "mean", "sum" or "none". Its gradient is written out; parameters and labels have none.',
]

function write(source: SourceProgram, { name }: WriteOptions): string {
  const made = forwardBackward(source, SYNTAX, [name, `_${name}`, 'residuals'], 'g')
  const inputs = [...made.names.inputs.values()]
  const args = [...inputs, ...source.params.map((param) => made.names.params.get(param.name)!)]
  const results = [made.loss, ...(made.shares === undefined ? [] : [made.shares])].join(', ')
  const body = [
    '@jax.custom_vjp',
    `def _${name}(${args.join(', ')}):`,
    ...indented(
      [
        ...prelude(source, made, made.value),
        ...made.value.lines,
        ...shaped(source, made),
        `return ${results}`,
      ],
      '    ',
    ),
    '',
    '',
    `def _forward(${args.join(', ')}):`,
    `    return _${name}(${args.join(', ')}), ${tuple(args.map(atom))}`,
    '',
    '',
    `def _backward(residuals, ${made.names.cotangent}):`,
    `    ${tuple(args.map(atom))} = residuals`,
    ...(made.shares === undefined ? [] : [`    ${made.names.cotangent}, _ = ${made.names.cotangent}`]),
    ...indented([...prelude(source, made, made.gradient), ...made.gradient.lines], '    '),
    `    return ${tuple(returned(source, made, args).map(atom))}`,
    '',
    '',
    `_${name}.defvjp(_forward, _backward)`,
    '',
    '',
    `def ${name}(${signatureOf(source, made.names)}):`,
    ...docstring(source, NOTES, '    '),
    ...indented(
      [...realLines(source, made.names), ...reduction(source, made, `_${name}(${args.join(', ')})`)],
      '    ',
    ),
  ]
  const helpers = helpersIn(body, HELPERS).flatMap((line, place, all) =>
    line === '' && all[place + 1] === '' ? [''] : [line],
  )
  return `${['import jax', 'import jax.numpy as jnp', '', '', ...helpers, ...body].join('\n')}\n`
}

function prelude(source: SourceProgram, { names }: ForwardBackward, lines: ArrayLines): string[] {
  const real = names.inputs.get(source.inputs.find(({ type }) => type === 'real')!.name)!
  const restored = flattenedInputs(source)
  const shape = valueShape(source)
  const usesCotangent = lines.lines.some((line) => new RegExp(`\\b${names.cotangent}\\b`).test(line))
  return [
    ...restored.map(({ name }) => `shape_${names.inputs.get(name)} = ${names.inputs.get(name)}.shape`),
    ...shapeLines(source, names, lines, {
      flatten: (x, before, after) => {
        const own = [`*${x}.shape[:${before}]`, '-1', ...(after === 0 ? [] : [`*${x}.shape[-${after}:]`])]
        return `${x}.reshape(${own.join(', ')})`
      },
      size: (x, dimension) => `${x}.shape[${dimension}]`,
    }),
    ...(shape === undefined || !usesCotangent
      ? []
      : [
          `${names.cotangent} = ${names.cotangent}.reshape(*${names.cotangent}.shape[:${shape.axes.indexOf('...')}], -1)`,
        ]),
    ...lines.asArrays.map(
      (param) => `${names.params.get(param)} = jnp.asarray(${names.params.get(param)}, ${real}.dtype)`,
    ),
  ]
}

/** Values have the shape of the inputs. */
function shaped(source: SourceProgram, { loss, shares, names }: ForwardBackward): string[] {
  const shape = valueShape(source)
  if (shape === undefined) return []
  const rest = `*shape_${names.inputs.get(shape.of)}[${shape.from}:${shape.until === 0 ? '' : shape.until}]`
  const own = (name: string) =>
    shape.axes.map((axis, place) => (axis === '...' ? rest : `${name}.shape[${place}]`))
  return [loss, ...(shares === undefined ? [] : [shares])].map(
    (name) => `${name} = ${name}.reshape(${own(name).join(', ')})`,
  )
}

function returned(
  source: SourceProgram,
  { names, gradients }: ForwardBackward,
  args: readonly string[],
): string[] {
  const restored = flattenedInputs(source)
  const own = source.inputs.map(({ name }) => {
    const found = gradients.find(({ of }) => of === name)
    if (found === undefined) return 'None'
    return restored.some((input) => input.name === name)
      ? `${found.name}.reshape(shape_${names.inputs.get(name)})`
      : found.name
  })
  return [...own, ...args.slice(own.length).map(() => 'None')]
}

function reduction(
  { lengths }: SourceProgram,
  { loss, shares, names }: ForwardBackward,
  applied: string,
): string[] {
  const own = lengths === undefined ? loss : `(${loss} / jnp.maximum(${names.inputs.get(lengths)}, 1))`
  const count = shares === undefined ? [] : [`count = ${shares}.sum()`]
  const mean =
    shares === undefined ? `${own}.mean()` : `${loss}.sum() * jnp.where(count == 0, 0.0, 1 / count)`
  return [
    `${loss}${shares === undefined ? '' : `, ${shares}`} = ${applied}`,
    'if reduction == "none":',
    `    return ${loss}`,
    ...count,
    `return ${loss}.sum() if reduction == "sum" else ${mean}`,
  ]
}
