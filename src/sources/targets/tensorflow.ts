/** TensorFlow: a function with a tf.custom_gradient, which also reduces. */
import type { ArrayRule, ArraySyntax } from '../arrays.ts'
import { atom, call, template } from '../code.ts'
import type { Target } from '../contract.ts'
import { type CustomGradientPhrases, writeCustomGradient } from '../custom-gradient.ts'
import {
  along,
  ctcWithCasts,
  OPERATORS,
  PYTHON_SYNTAX,
  power,
  TAKEN_IN_PYTHON,
  WHOLE_AXIS_CALLS,
} from '../python.ts'
import { type ArrayLibraryNames, pythonHelpers } from '../python-axis-ops.ts'

const target: Target = {
  name: 'tensorflow',
  family: 'array',
  about: 'A TensorFlow function with a tf.custom_gradient, eager or in a tf.function.',
  mediaType: 'text/x-python',
  extension: '.py',
  precisions: ['float64'],
  dialects: [],
  taken: TAKEN_IN_PYTHON,
  write: (source, { name }) => writeCustomGradient(source, SYNTAX, PHRASES, name),
}

export default target

/** The first argument decides on the type of a number. */
const tensorFirst =
  (name: string): ArrayRule =>
  ([a, b]) =>
    call(name)(a.isNumber === true ? [b, a] : [a, b])

/** Labels and lengths in the type that sizes have. */
const ctc = ctcWithCasts((labels) => `tf.cast(${labels}, tf.int32)`)

const SYNTAX: ArraySyntax = {
  ...PYTHON_SYNTAX,
  ops: {
    ...OPERATORS,
    abs: call('tf.abs'),
    exp: call('tf.exp'),
    expm1: call('tf.math.expm1'),
    log: call('tf.math.log'),
    log1p: call('tf.math.log1p'),
    log2: template('tf.math.log($0) * 1.4426950408889634', 10),
    log10: template('tf.math.log($0) * 0.4342944819032518', 10),
    sqrt: call('tf.sqrt'),
    safe_sqrt: call('tf.sqrt'),
    sigmoid: call('_sigmoid'),
    tanh: call('tf.tanh'),
    softplus: call('_softplus'),
    sign: call('tf.sign'),
    floor: call('tf.floor'),
    round: call('tf.round'),
    sin: call('tf.sin'),
    cos: call('tf.cos'),
    atan: call('tf.atan'),
    asin: call('tf.asin'),
    acos: call('tf.acos'),
    erf: call('_erf'),
    lgamma: call('tf.math.lgamma'),
    digamma: call('_digamma'),
    polygamma: call('_polygamma'),
    pow: power,
    max: tensorFirst('tf.maximum'),
    min: tensorFirst('tf.minimum'),
    mul_no_nan: call('_times'),
    is_finite: call('tf.math.is_finite'),
    select: call('_where'),
    reduce_sum: along('tf.reduce_sum', 'axis'),
    reduce_max: along('tf.reduce_max', 'axis'),
    argsort: (args, axis) => call('tf.argsort', `axis=${axis}`, 'stable=True')(args),
    gather: along('_gather', 'axis'),
    scatter: along('_scatter', 'axis'),
    cumsum: along('tf.cumsum', 'axis'),
    reverse_cumsum: (args, axis) => call('tf.cumsum', `axis=${axis}`, 'reverse=True')(args),
    cummax_place: along('_cummax_place', 'axis'),
    ...WHOLE_AXIS_CALLS,
    ctc: ctc('_ctc_values'),
    ctc_slope: ctc('_ctc_slope'),
  },
  integer: String,
  broadcast: (x, shape) => atom(`tf.broadcast_to(${x.text}, [${shape.map(({ text }) => text).join(', ')}])`),
  broadcastLike: (x, like) => atom(`tf.broadcast_to(${x.text}, tf.shape(${like.text}))`),
  transpose: (x, order) => atom(`tf.transpose(${x.text}, [${order.join(', ')}])`),
  einsum: (equation, a, b) => atom(`tf.einsum("${equation}", ${a.text}, ${b.text})`),
  range: (size) => atom(`tf.range(${size.text})`),
  realOf: (x, like) => atom(`tf.cast(${x.text}, ${like.text}.dtype)`),
  arrayOf: (number, like) => atom(`tf.convert_to_tensor(${number.text}, ${like.text}.dtype)`),
  realOfSize: (size, like) =>
    atom(/^\d+$/.test(size.text) ? `${size.text}.0` : `tf.cast(${size.text}, ${like.text}.dtype)`),
}

const WORDS: ArrayLibraryNames = {
  module: 'tf',
  log: 'tf.math.log',
  max: 'tf.reduce_max',
  sum: 'tf.reduce_sum',
  concat: 'tf.concat',
  axis: 'axis',
  arange: (size) => `tf.range(${size})`,
  like: (x, other) => `tf.cast(${x}, ${other}.dtype)`,
  takeLast: (x, places) => `tf.gather(${x}, ${places}, axis=-1)`,
  take: (x, places, axis) => `tf.gather(${x}, tf.constant(${places}, tf.int32), axis=${axis})`,
  takeClasses: (x, states) =>
    `tf.gather(${x}, tf.clip_by_value(${states}, 0, ${x}.shape[2] - 1), axis=2, batch_dims=1)`,
  truths: (list) => `tf.constant(${list}, tf.bool)`,
  solve: (a, b, isLower) =>
    `tf.linalg.triangular_solve(${a}, ${b}[..., None], lower=${isLower ? 'True' : 'False'})[..., 0]`,
}

const HELPERS: Readonly<Record<string, readonly string[]>> = {
  _reals: [
    'def _reals(*tensors):',
    '    """Tensors of floats as they are; others as floats like the first of these, or as float32."""',
    '    tensors = [tf.convert_to_tensor(x) for x in tensors]',
    '    dtypes = [x.dtype for x in tensors if x.dtype.is_floating]',
    '    dtype = dtypes[0] if dtypes else tf.float32',
    '    return [x if x.dtype.is_floating else tf.cast(x, dtype) for x in tensors]',
    '',
  ],
  _where: [
    'def _where(test, yes, no):',
    '    """tf.where, in the precision of the side that is a tensor."""',
    '    dtype = yes.dtype if tf.is_tensor(yes) else no.dtype',
    '    return tf.where(test, tf.convert_to_tensor(yes, dtype), tf.convert_to_tensor(no, dtype))',
    '',
  ],
  _sigmoid: [
    'def _sigmoid(x):',
    '    """1 / (1 + e^-x), with all digits on the left."""',
    '    e = tf.exp(-tf.abs(x))',
    '    return tf.where(x >= 0, tf.ones_like(e), e) / (1 + e)',
    '',
  ],
  _softplus: [
    'def _softplus(x):',
    '    """log(1 + e^x), with all digits on the left."""',
    '    return tf.maximum(x, 0) + tf.math.log1p(tf.exp(-tf.abs(x)))',
    '',
  ],
  _times: [
    'def _times(g, d):',
    '    """g * d, but 0 where the gradient g is 0: a branch that was not taken stays silent."""',
    '    return tf.where(g == 0, tf.zeros_like(g), g * d)',
    '',
  ],
  _pick: [
    'def _pick(x, place, axis):',
    '    """The elements of x at these places of an axis, and 0 outside of it."""',
    '    order = [k for k in range(x.shape.rank) if k != axis] + [axis]',
    '    x = tf.transpose(x, order)',
    '    place = tf.broadcast_to(tf.cast(place, tf.int32), tf.shape(x)[:-1])',
    '    inside = (place >= 0) & (place < tf.shape(x)[-1])',
    '    found = tf.gather(x, tf.where(inside, place, 0), batch_dims=x.shape.rank - 1)',
    '    return tf.where(inside, found, tf.zeros_like(found))',
    '',
  ],
  _gather: [
    'def _gather(x, place, axis):',
    '    """x at these places of an axis, and 0 outside of it."""',
    '    x, place = _last(x, axis), _last(tf.cast(place, tf.int32), axis)',
    '    inside = (place >= 0) & (place < tf.shape(x)[-1])',
    '    found = tf.gather(x, tf.where(inside, place, 0), batch_dims=x.shape.rank - 1)',
    '    return _last(tf.where(inside, found, tf.zeros_like(found)), axis)',
    '',
  ],
  _scatter: [
    'def _scatter(x, place, axis):',
    '    """The sum of those x that go to each place of an axis; what goes outside is dropped."""',
    '    x, place = _last(x, axis), _last(tf.cast(place, tf.int32), axis)',
    '    shape, count = tf.shape(x), tf.shape(x)[-1]',
    '    inside = (place >= 0) & (place < count)',
    '    start = count * tf.reshape(tf.range(tf.reduce_prod(shape[:-1])), tf.concat([shape[:-1], [1]], 0))',
    '    flat = tf.where(inside, start + place, -1)',
    '    sums = tf.math.unsorted_segment_sum(tf.reshape(x, [-1]), tf.reshape(flat, [-1]), tf.size(x))',
    '    return _last(tf.reshape(sums, shape), axis)',
    '',
  ],
  _last: [
    'def _last(x, axis):',
    '    """Exchanges an axis with the last one."""',
    '    order = list(range(x.shape.rank))',
    '    order[axis], order[-1] = order[-1], order[axis]',
    '    return tf.transpose(x, order)',
    '',
  ],
  _cummax_place: [
    'def _cummax_place(x, axis):',
    '    """Where the largest so far stands: the first of equal ones; nothing is larger than a NaN."""',
    '',
    '    def step(so_far, element):',
    '        (largest, place), (value, k) = so_far, element',
    '        rises = (value > largest) | (tf.math.is_nan(value) & ~tf.math.is_nan(largest))',
    '        return tf.where(rises, value, largest), tf.where(rises, k, place)',
    '',
    '    x = tf.transpose(x, [axis] + [k for k in range(x.shape.rank) if k != axis])',
    '    start = (x[0], tf.zeros_like(x[0], tf.int32))',
    '    _, places = tf.scan(step, (x, tf.range(tf.shape(x)[0])), start)',
    '    order = list(range(1, x.shape.rank))',
    '    return tf.transpose(places, order[:axis] + [0] + order[axis:])',
    '',
  ],
  ...pythonHelpers(WORDS),
  _erf: [
    'def _erf(x):',
    '    """tf.math.erf, which is NaN where the square of x is too large. Beyond 6 it is 1."""',
    '    return tf.math.erf(tf.clip_by_value(x, -6, 6))',
    '',
  ],
  _digamma: [
    'def _digamma(x):',
    '    """tf.math.digamma, which is NaN at 0."""',
    '    return tf.where(x == 0, -1 / x, tf.math.digamma(x))',
    '',
  ],
  _polygamma: [
    'def _polygamma(n, x):',
    '    """tf.math.polygamma, which is NaN at some of its poles."""',
    '    is_pole = (x <= 0) & (tf.floor(x) == x)',
    '    infinite = tf.zeros_like(x) + (-1.0) ** (int(n) + 1) * float("inf")',
    '    return tf.where(is_pole, infinite, tf.math.polygamma(tf.zeros_like(x) + n, x))',
    '',
  ],
  // Sizes may be unknown while a tf.function is traced.
  _shift: [
    'def _shift(x, steps, axis):',
    '    """The element that many steps before each one, and 0 where there is none."""',
    '    size = tf.shape(x)[axis]',
    '    places = tf.range(size) - tf.clip_by_value(steps, -size, size)',
    '    inside = (places >= 0) & (places < size)',
    '    found = tf.gather(x, tf.where(inside, places, 0), axis=axis)',
    '    inside = tf.reshape(inside, [-1 if k == axis else 1 for k in range(x.shape.rank)])',
    '    return tf.where(inside, found, tf.zeros_like(found))',
    '',
  ],
}

const PHRASES: CustomGradientPhrases = {
  imports: ['import tensorflow as tf'],
  decorator: '@tf.custom_gradient',
  convert: (name) => `tf.convert_to_tensor(${name})`,
  convertLike: (name, like) => `tf.convert_to_tensor(${name}, ${like}.dtype)`,
  shapeOf: (x) => `tf.shape(${x})`,
  size: (x, dimension) => `tf.shape(${x})[${dimension}]`,
  flatten: (x, before, after) => {
    const parts = [
      ...(before === 0 ? [] : [`tf.shape(${x})[:${before}]`]),
      '[-1]',
      ...(after === 0 ? [] : [`tf.shape(${x})[-${after}:]`]),
    ]
    return `tf.reshape(${x}, ${parts.length === 1 ? parts[0] : `tf.concat([${parts.join(', ')}], 0)`})`
  },
  unflatten: (x, place, shape) =>
    place === 0
      ? `tf.reshape(${x}, ${shape})`
      : `tf.reshape(${x}, tf.concat([tf.shape(${x})[:${place}], ${shape}], 0))`,
  upstream: (name) => ({ arguments: name, lines: [] }),
  byLengths: (x, lengths) => `${x} / tf.cast(tf.maximum(${lengths}, 1), ${x}.dtype)`,
  sum: (x) => `tf.reduce_sum(${x})`,
  mean: (x) => `tf.reduce_mean(${x})`,
  ratio: (total, count) => `tf.math.divide_no_nan(${total}, ${count})`,
  helpers: HELPERS,
  notes: [
    'Returns the loss, reduced by "mean", "sum" or "none". Its gradient is written out, and may be differentiated once more; parameters and labels have none.',
  ],
}
