/**
 * Keras 3: a function of keras.ops with an ops.custom_gradient, so that TensorFlow, JAX and PyTorch have the
 * conventions at kinks of the service and not their own.
 */
import type { ArraySyntax } from '../arrays.ts'
import { ATOM, atom, call, within } from '../code.ts'
import type { Target } from '../contract.ts'
import { type CustomGradientPhrases, writeCustomGradient } from '../custom-gradient.ts'
import {
  along,
  ctcWithCasts,
  OPERATORS,
  PYTHON_SYNTAX,
  power,
  TAKEN_IN_PYTHON,
  tuple,
  WHOLE_AXIS_CALLS,
} from '../python.ts'
import { type ArrayLibraryNames, pythonHelpers } from '../python-axis-ops.ts'

const target: Target = {
  name: 'keras',
  family: 'array',
  about: 'A Keras 3 function of keras.ops with a custom gradient, on each backend that differentiates.',
  mediaType: 'text/x-python',
  extension: '.py',
  precisions: ['float64'],
  dialects: [],
  taken: TAKEN_IN_PYTHON,
  write: (source, { name }) => writeCustomGradient(source, SYNTAX, PHRASES, name),
}

export default target

/** Labels and lengths in the type that sizes have. */
const ctc = ctcWithCasts((labels) => `ops.cast(${labels}, "int32")`)

const SYNTAX: ArraySyntax = {
  ...PYTHON_SYNTAX,
  ops: {
    ...OPERATORS,
    abs: call('ops.abs'),
    exp: call('ops.exp'),
    expm1: call('ops.expm1'),
    log: call('ops.log'),
    log1p: call('ops.log1p'),
    log2: call('ops.log2'),
    log10: call('ops.log10'),
    sqrt: call('ops.sqrt'),
    safe_sqrt: call('ops.sqrt'),
    sigmoid: call('_sigmoid'),
    tanh: call('_tanh'),
    softplus: call('_softplus'),
    sign: call('ops.sign'),
    floor: call('ops.floor'),
    round: call('ops.round'),
    sin: call('ops.sin'),
    cos: call('ops.cos'),
    atan: call('ops.arctan'),
    asin: call('ops.arcsin'),
    acos: call('ops.arccos'),
    erf: call('_erf'),
    lgamma: call('_lgamma'),
    digamma: call('_digamma'),
    polygamma: call('_polygamma'),
    pow: power,
    max: call('_maximum'),
    min: call('_minimum'),
    mul_no_nan: call('_times'),
    is_finite: call('ops.isfinite'),
    select: call('_where'),
    reduce_sum: along('ops.sum', 'axis'),
    reduce_max: along('ops.max', 'axis'),
    argsort: along('_argsort', 'axis'),
    gather: along('_gather', 'axis'),
    scatter: along('_scatter', 'axis'),
    cumsum: along('ops.cumsum', 'axis'),
    reverse_cumsum: ([x], axis) =>
      atom(`ops.flip(ops.cumsum(ops.flip(${x.text}, axis=${axis}), axis=${axis}), axis=${axis})`),
    cummax_place: along('_cummax_place', 'axis'),
    ...WHOLE_AXIS_CALLS,
    ctc: ctc('_ctc_values'),
    ctc_slope: ctc('_ctc_slope'),
  },
  integer: String,
  broadcast: (x, shape) => atom(`ops.broadcast_to(${x.text}, ${tuple(shape)})`),
  broadcastLike: (x, like) => atom(`ops.broadcast_to(${x.text}, ops.shape(${like.text}))`),
  transpose: (x, order) => atom(`ops.transpose(${x.text}, (${order.join(', ')}))`),
  einsum: (equation, a, b) => atom(`ops.einsum("${equation}", ${a.text}, ${b.text})`),
  range: (size) => atom(`ops.arange(${size.text}, dtype="int32")`),
  realOf: (x, like) => atom(`ops.cast(${x.text}, ${like.text}.dtype)`),
  arrayOf: (number, like) => atom(`ops.convert_to_tensor(${number.text}, ${like.text}.dtype)`),
  realOfSize: (size, like) =>
    atom(/^\d+$/.test(size.text) ? `${size.text}.0` : `ops.cast(${within(size, ATOM)}, ${like.text}.dtype)`),
}

const WORDS: ArrayLibraryNames = {
  module: 'ops',
  log: 'ops.log',
  max: 'ops.max',
  sum: 'ops.sum',
  concat: 'ops.concatenate',
  axis: 'axis',
  arange: (size) => `ops.arange(${size}, dtype="int32")`,
  like: (x, other) => `ops.cast(${x}, ${other}.dtype)`,
  takeLast: (x, places) => `ops.take(${x}, ${places}, axis=-1)`,
  take: (x, places, axis) => `ops.take(${x}, ops.convert_to_tensor(${places}, "int32"), axis=${axis})`,
  takeClasses: (x, states) =>
    `ops.take_along_axis(${x}, ops.broadcast_to(ops.clip(${states}, 0, ${x}.shape[2] - 1)[:, None], (*${x}.shape[:2], ${states}.shape[1])), axis=2)`,
  truths: (list) => `ops.convert_to_tensor(${list}, "bool")`,
  solve: (a, b, isLower) =>
    `ops.solve_triangular(${a}, ${b}[..., None], lower=${isLower ? 'True' : 'False'})[..., 0]`,
}

const HELPERS: Readonly<Record<string, readonly string[]>> = {
  _reals: [
    'def _reals(*tensors):',
    '    """Tensors of floats as they are; others as floats like the first of these, or as float32."""',
    '    tensors = [ops.convert_to_tensor(x) for x in tensors]',
    '    dtypes = [x.dtype for x in tensors if "float" in str(x.dtype)]',
    '    dtype = dtypes[0] if dtypes else "float32"',
    '    return [x if "float" in str(x.dtype) else ops.cast(x, dtype) for x in tensors]',
    '',
  ],
  _maximum: [
    'def _maximum(a, b):',
    '    """The larger one, in the precision of the tensors, which ops.maximum may change; NaN stays."""',
    '    return _where((a > b) | (a != a), a, b)',
    '',
  ],
  _minimum: [
    'def _minimum(a, b):',
    '    """The smaller one, in the precision of the tensors, which ops.minimum may change; NaN stays."""',
    '    return _where((a < b) | (a != a), a, b)',
    '',
  ],
  _tanh: [
    'def _tanh(x):',
    '    """ops.tanh, in the precision of x, which it may change."""',
    '    e = ops.expm1(-2 * ops.abs(x))',
    '    return -ops.sign(x) * e / (2 + e)',
    '',
  ],
  _mean: [
    'def _mean(x):',
    '    """ops.mean, in the precision of x, which it may change."""',
    '    return ops.sum(x) / ops.cast(ops.size(x), x.dtype)',
    '',
  ],
  _where: [
    'def _where(test, yes, no):',
    '    """ops.where, in the precision of the side that is a tensor."""',
    '    dtype = yes.dtype if hasattr(yes, "dtype") else no.dtype',
    '    return ops.where(test, ops.convert_to_tensor(yes, dtype), ops.convert_to_tensor(no, dtype))',
    '',
  ],
  _sigmoid: [
    'def _sigmoid(x):',
    '    """1 / (1 + e^-x), with all digits on the left."""',
    '    e = ops.exp(-ops.abs(x))',
    '    return ops.where(x >= 0, ops.ones_like(e), e) / (1 + e)',
    '',
  ],
  _softplus: [
    'def _softplus(x):',
    '    """log(1 + e^x), with all digits on the left."""',
    '    return _maximum(x, 0.0) + ops.log1p(ops.exp(-ops.abs(x)))',
    '',
  ],
  _erf: [
    'def _erf(x):',
    '    """ops.erf, which is NaN in TensorFlow where the square of x is too large. Beyond 6 it is 1."""',
    '    return ops.erf(ops.clip(x, -6, 6))',
    '',
  ],
  _lgamma: [
    'def _lgamma(x):',
    '    """log |gamma(x)|: Stirling above 8, recurrence below, reflection below 0.5."""',
    '    flips = x < 0.5',
    '    z = ops.where(flips, 1 - x, x)',
    '    is_small = z < 8',
    '    product = z * 1',
    '    for k in range(1, 8):',
    '        product = product * (z + k)',
    '    w = ops.where(is_small, z + 8, z)',
    '    v = 1 / (w * w)',
    '    series = 1 / 12 - v * (1 / 360 - v * (1 / 1260 - v * (1 / 1680 - v * (1 / 1188 - v * (691 / 360360 - v / 156)))))',
    '    found = (w - 0.5) * ops.log(w) - w + 0.9189385332046728 + series / w',
    '    found = ops.where(is_small, found - ops.log(product), found)',
    '    turn = x - ops.floor(x + 0.5)',
    '    mirrored = 1.1447298858494002 - ops.log(ops.abs(ops.sin(3.141592653589793 * turn))) - found',
    '    infinite = (z == float("inf")) | ((x <= 0) & (ops.floor(x) == x))',
    '    return ops.where(infinite, ops.zeros_like(x) + float("inf"), ops.where(flips, mirrored, found))',
    '',
  ],
  _times: [
    'def _times(g, d):',
    '    """g * d, but 0 where the gradient g is 0: a branch that was not taken stays silent."""',
    '    return ops.where(g == 0, ops.zeros_like(g), g * d)',
    '',
  ],
  _pick: [
    'def _pick(x, place, axis):',
    '    """The elements of x at these places of an axis, and 0 outside of it."""',
    '    inside = (place >= 0) & (place < ops.shape(x)[axis])',
    '    index = ops.where(inside, place, ops.zeros_like(place))',
    '    inside = ops.expand_dims(inside, axis)',
    '    index = ops.expand_dims(ops.cast(index, "int32"), axis)',
    '    shape = list(ops.shape(x))',
    '    shape[axis] = 1',
    '    found = ops.take_along_axis(x, ops.broadcast_to(index, shape), axis=axis)',
    '    return ops.squeeze(ops.where(inside, found, ops.zeros_like(found)), axis)',
    '',
  ],
  _argsort: [
    'def _argsort(x, axis):',
    '    """The places from the smallest to the largest, equal ones by place, NaN last."""',
    '    return ops.argsort(x, axis=axis)',
    '',
  ],
  _gather: [
    'def _gather(x, place, axis):',
    '    """x at these places of an axis, and 0 outside of it."""',
    '    inside = (place >= 0) & (place < ops.shape(x)[axis])',
    '    index = ops.cast(ops.where(inside, place, ops.zeros_like(place)), "int32")',
    '    found = ops.take_along_axis(x, index, axis=axis)',
    '    return ops.where(inside, found, ops.zeros_like(found))',
    '',
  ],
  _scatter: [
    'def _scatter(x, place, axis):',
    '    """The sum of those x that go to each place of an axis; what goes outside is dropped."""',
    '    x, place = ops.swapaxes(x, axis, -1), ops.swapaxes(ops.cast(place, "int32"), axis, -1)',
    '    targets = ops.arange(ops.shape(x)[-1], dtype="int32")',
    '    goes = ops.cast(place[..., None] == targets, x.dtype)',
    '    return ops.swapaxes(ops.sum(ops.where(goes == 0, 0.0, x[..., None]), axis=-2), axis, -1)',
    '',
  ],
  _cummax_place: [
    'def _cummax_place(x, axis):',
    '    """Where the largest so far stands: the first of equal ones; nothing is larger than a NaN."""',
    '    x = ops.moveaxis(x, axis, 0)',
    '    places, place, largest = [], ops.cast(ops.zeros_like(x[0]), "int32"), x[0]',
    '    for k in range(x.shape[0]):',
    '        rises = (x[k] > largest) | (ops.isnan(x[k]) & ~ops.isnan(largest))',
    '        place, largest = ops.where(rises, k, place), ops.where(rises, x[k], largest)',
    '        places.append(place)',
    '    return ops.moveaxis(ops.stack(places), 0, axis)',
    '',
  ],
  ...pythonHelpers(WORDS),
}

const PHRASES: CustomGradientPhrases = {
  imports: ['from keras import ops'],
  decorator: '@ops.custom_gradient',
  convert: (name) => `ops.convert_to_tensor(${name})`,
  convertLike: (name, like) => `ops.convert_to_tensor(${name}, ${like}.dtype)`,
  shapeOf: (x) => `ops.shape(${x})`,
  size: (x, dimension) => `ops.shape(${x})[${dimension}]`,
  flatten: (x, before, after) => {
    const parts = [
      ...(before === 0 ? [] : [`*ops.shape(${x})[:${before}]`]),
      '-1',
      ...(after === 0 ? [] : [`*ops.shape(${x})[-${after}:]`]),
    ]
    return `ops.reshape(${x}, (${parts.join(', ')}${parts.length === 1 ? ',' : ''}))`
  },
  unflatten: (x, place, shape) =>
    `ops.reshape(${x}, ${place === 0 ? shape : `(*ops.shape(${x})[:${place}], *${shape})`})`,
  upstream: (name) => ({
    arguments: `*args, ${name}=None`,
    lines: [`${name} = args[0] if ${name} is None else ${name}`],
  }),
  byLengths: (x, lengths) => `${x} / ops.cast(ops.maximum(${lengths}, 1), ${x}.dtype)`,
  sum: (x) => `ops.sum(${x})`,
  mean: (x) => `_mean(${x})`,
  ratio: (total, count) => `${total} * ops.where(${count} == 0, 0.0, 1 / ${count})`,
  helpers: HELPERS,
  notes: [
    'Returns the loss, reduced by "mean", "sum" or "none". Its gradient is written out; parameters and labels have none. Keras calls losses with (y_true, y_pred): loss=lambda y_true, y_pred: this(y_pred, y_true).',
  ],
}
