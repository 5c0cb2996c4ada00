/** PyTorch: an autograd.Function with our gradient, and a function that reduces it. */
import type { ArrayLines, ArrayRule, ArraySyntax } from '../arrays.ts'
import { ATOM, atom, call, indented, template, within } from '../code.ts'
import { flattenedInputs } from '../collapse-axes.ts'
import type { SourceProgram, Target, WriteOptions } from '../contract.ts'
import { type ForwardBackward, forwardBackward } from '../forward-backward.ts'
import { helpersIn } from '../helpers.ts'
import { pascalCase } from '../names.ts'
import {
  docstring,
  OPERATORS,
  PYTHON_SYNTAX,
  PYTHON_WORDS,
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
  name: 'torch',
  family: 'array',
  about: 'A PyTorch autograd.Function with the gradient written out, and a function that reduces it.',
  mediaType: 'text/x-python',
  extension: '.py',
  precisions: ['float64'],
  dialects: [],
  taken: TAKEN_IN_PYTHON,
  write,
}

export default target

const along =
  (name: string): ArrayRule =>
  (args, dimension) =>
    call(name, `dim=${dimension}`)(args)

/** torch.maximum takes arrays, torch.clamp numbers. */
const bound =
  (name: string, limit: string): ArrayRule =>
  ([a, b]) => {
    const [x, number] = a.isNumber === true ? [b, a] : [a, b]
    if (number.isNumber === true) return atom(`torch.clamp(${x.text}, ${limit}=${number.text})`)
    return call(`torch.${name}`)([a, b])
  }

const SYNTAX: ArraySyntax = {
  ...PYTHON_SYNTAX,
  ops: {
    ...OPERATORS,
    abs: call('torch.abs'),
    exp: call('torch.exp'),
    expm1: call('torch.expm1'),
    log: call('torch.log'),
    log1p: call('torch.log1p'),
    log2: call('torch.log2'),
    log10: call('torch.log10'),
    sqrt: call('torch.sqrt'),
    safe_sqrt: call('torch.sqrt'),
    sigmoid: call('_sigmoid'),
    tanh: call('torch.tanh'),
    softplus: template('torch.logaddexp($0, torch.zeros_like($0))'),
    sign: call('torch.sign'),
    floor: call('torch.floor'),
    round: call('torch.round'),
    sin: call('torch.sin'),
    cos: call('torch.cos'),
    atan: call('torch.atan'),
    asin: call('torch.asin'),
    acos: call('torch.acos'),
    erf: call('torch.erf'),
    lgamma: call('torch.lgamma'),
    digamma: call('torch.digamma'),
    polygamma: call('_polygamma'),
    pow: power,
    max: bound('maximum', 'min'),
    min: bound('minimum', 'max'),
    mul_no_nan: call('_times'),
    is_finite: call('torch.isfinite'),
    select: call('torch.where'),
    reduce_sum: along('torch.sum'),
    reduce_max: along('torch.amax'),
    argsort: (args, dimension) => call('torch.argsort', `dim=${dimension}`, 'stable=True')(args),
    gather: along('_gather'),
    scatter: along('_scatter'),
    cumsum: along('torch.cumsum'),
    reverse_cumsum: ([x], dimension) =>
      atom(
        `torch.flip(torch.cumsum(torch.flip(${x.text}, (${dimension},)), dim=${dimension}), (${dimension},))`,
      ),
    cummax_place: along('_cummax_place'),
    ...WHOLE_AXIS_CALLS,
  },
  reserved: [...PYTHON_WORDS, 'ctx', 'apply'],
  broadcast: (x, shape) => atom(`torch.broadcast_to(${x.text}, ${tuple(shape)})`),
  broadcastLike: (x, like) => atom(`torch.broadcast_to(${x.text}, ${like.text}.shape)`),
  transpose: (x, order) => atom(`${within(x, ATOM)}.permute(${order.join(', ')})`),
  pick: (x, places, dimension) => atom(`_pick(${x.text}, ${places.text}, dim=${dimension})`),
  einsum: (equation, a, b) => atom(`torch.einsum("${equation}", ${a.text}, ${b.text})`),
  range: (size) => atom(`torch.arange(${size.text}, device=device)`),
  realOf: (x, like) => atom(`${within(x, ATOM)}.to(${like.text}.dtype)`),
  arrayOf: (number, like) => atom(`${like.text}.new_tensor(${number.text})`),
}

const WORDS: ArrayLibraryNames = {
  module: 'torch',
  log: 'torch.log',
  max: 'torch.amax',
  sum: 'torch.sum',
  concat: 'torch.cat',
  axis: 'dim',
  arange: (size, beside) => `torch.arange(${size}, device=${beside}.device)`,
  like: (x, other) => `(${x}).to(${other}.dtype)`,
  takeLast: (x, places) => `${x}[..., ${places}]`,
  take: (x, places, axis) =>
    `torch.index_select(${x}, ${axis}, torch.tensor(${places}, dtype=torch.long, device=${x}.device))`,
  takeClasses: (x, states) =>
    `torch.take_along_dim(${x}, ${states}.long().clamp(0, ${x}.shape[2] - 1)[:, None], 2)`,
  truths: (list, beside) => `torch.tensor(${list}, dtype=torch.bool, device=${beside}.device)`,
  solve: (a, b, isLower) =>
    `torch.linalg.solve_triangular(${a}, ${b}[..., None], upper=${isLower ? 'False' : 'True'})[..., 0]`,
}

const HELPERS: Readonly<Record<string, readonly string[]>> = {
  _reals: [
    'def _reals(*tensors):',
    '    """Tensors of floats as they are; others as floats like the first of these, or of the default type."""',
    '    dtypes = [x.dtype for x in tensors if x.is_floating_point()]',
    '    dtype = dtypes[0] if dtypes else torch.get_default_dtype()',
    '    return [x if x.is_floating_point() else x.to(dtype) for x in tensors]',
    '',
  ],
  // torch.sigmoid is 1 / (1 + e^-x) on both sides; where a target cancels it, that rounding is all that is left.
  // -|x| would say the same, but its derivative at 0 is 0.
  _sigmoid: [
    'def _sigmoid(x):',
    '    """1 / (1 + e^-x), and e^x / (1 + e^x) below 0."""',
    '    e = torch.exp(torch.where(x >= 0, -x, x))',
    '    return torch.where(x >= 0, 1.0, e) / (1 + e)',
    '',
  ],
  _times: [
    'def _times(g, d):',
    '    """g * d, but 0 where the gradient g is 0: a branch that was not taken stays silent."""',
    '    return g * torch.where(g == 0, g.new_zeros(()), d)',
    '',
  ],
  _pick: [
    'def _pick(x, place, dim):',
    '    """The elements of x at these places of a dimension, and 0 outside of it."""',
    '    place = torch.as_tensor(place, device=x.device)',
    '    inside = (place >= 0) & (place < x.shape[dim])',
    '    index = torch.where(inside, place, 0).long().unsqueeze(dim)',
    '    return torch.where(inside, torch.take_along_dim(x, index, dim).squeeze(dim), 0.0)',
    '',
  ],
  _gather: [
    'def _gather(x, place, dim):',
    '    """x at these places of a dimension, and 0 outside of it."""',
    '    inside = (place >= 0) & (place < x.shape[dim])',
    '    return torch.where(inside, torch.gather(x, dim, torch.where(inside, place, 0).long()), 0.0)',
    '',
  ],
  _scatter: [
    'def _scatter(x, place, dim):',
    '    """The sum of those x that go to each place of a dimension; what goes outside is dropped."""',
    '    inside = (place >= 0) & (place < x.shape[dim])',
    '    index = torch.where(inside, place, 0).long()',
    '    return torch.zeros_like(x).scatter_add(dim, index, torch.where(inside, x, 0.0))',
    '',
  ],
  _cummax_place: [
    'def _cummax_place(x, dim):',
    '    """Where the largest so far stands: the first of equal ones; nothing is larger than a NaN."""',
    '    x = x.movedim(dim, 0)',
    '    places, place, largest = [], torch.zeros(x.shape[1:], dtype=torch.long, device=x.device), x[0]',
    '    for k in range(len(x)):',
    '        rises = (x[k] > largest) | (torch.isnan(x[k]) & ~torch.isnan(largest))',
    '        place, largest = torch.where(rises, k, place), torch.where(rises, x[k], largest)',
    '        places.append(place)',
    '    return torch.stack(places).movedim(0, dim)',
    '',
  ],
  ...pythonHelpers(WORDS),
  _polygamma: [
    'def _polygamma(n, x):',
    '    """torch.polygamma, which is a large number at its poles."""',
    '    is_pole = (x <= 0) & (torch.floor(x) == x)',
    '    return torch.where(is_pole, (-1.0) ** (int(n) + 1) * float("inf"), torch.polygamma(int(n), x))',
    '',
  ],
}

const NOTES = [
  'Returns the loss, reduced by "mean", "sum" or "none". Its gradient is written out in backward, which may be differentiated once more.',
]

function write(source: SourceProgram, { name }: WriteOptions): string {
  const title = titleOf(name)
  const made = forwardBackward(source, SYNTAX, [name, title, 'total', 'count'], 'grad_output')
  const inputs = [...made.names.inputs.values()]
  const params = source.params.map((param) => made.names.params.get(param.name)!)
  const args = [...inputs, ...params]
  const forward = [...prelude(source, made, made.value), ...made.value.lines, ...results(source, made)]
  const backward = [...prelude(source, made, made.gradient), ...made.gradient.lines]
  const body = [
    `class ${title}(torch.autograd.Function):`,
    '    @staticmethod',
    `    def forward(ctx, ${args.join(', ')}):`,
    ...indented(
      [
        ...(params.length === 0 ? [] : [`ctx.params = ${tuple(params.map(atom))}`]),
        `ctx.save_for_backward(${inputs.join(', ')})`,
        ...forward,
      ],
      '        ',
    ),
    '',
    '    @staticmethod',
    `    def backward(ctx, ${made.names.cotangent}${made.shares === undefined ? '' : ', _'}):`,
    ...indented(
      [
        `${tuple(inputs.map(atom))} = ctx.saved_tensors`,
        ...(params.length === 0 ? [] : [`${tuple(params.map(atom))} = ctx.params`]),
        ...backward,
        `return ${returned(source, made, params.length).join(', ')}`,
      ],
      '        ',
    ),
    '',
    '',
    `def ${name}(${signatureOf(source, made.names)}):`,
    ...docstring(source, NOTES, '    '),
    ...indented(
      [...realLines(source, made.names), ...reduction(source, made, `${title}.apply(${args.join(', ')})`)],
      '    ',
    ),
  ]
  const helpers = helpersIn(body, HELPERS).flatMap((line, place, all) =>
    line === '' && all[place + 1] === '' ? [''] : [line],
  )
  return `${['import torch', '', '', ...helpers, ...body].join('\n')}\n`
}

/** The name of the class, which is not that of the function and no word of Python. */
function titleOf(name: string): string {
  const title = pascalCase(name)
  return title === name || PYTHON_WORDS.includes(title) ? `${title}Function` : title
}

function prelude(source: SourceProgram, { names }: ForwardBackward, lines: ArrayLines): string[] {
  const real = names.inputs.get(source.inputs.find(({ type }) => type === 'real')!.name)!
  const restored = flattenedInputs(source)
  const needsDevice = lines.lines.some((line) => line.includes('device=device'))
  return [
    ...(needsDevice ? [`device = ${real}.device`] : []),
    ...restored.map(({ name }) => `shape_${names.inputs.get(name)} = ${names.inputs.get(name)}.shape`),
    ...shapeLines(source, names, lines, {
      flatten: (x, before, after) => {
        const own = [`*${x}.shape[:${before}]`, '-1', ...(after === 0 ? [] : [`*${x}.shape[-${after}:]`])]
        return `${x}.reshape(${own.join(', ')})`
      },
      size: (x, dimension) => `${x}.shape[${dimension}]`,
    }),
    ...reshapedCotangent(source, names.cotangent, lines),
    ...lines.asArrays.map(
      (param) => `${names.params.get(param)} = ${real}.new_tensor(${names.params.get(param)})`,
    ),
  ]
}

/** The gradient of values whose other axes are seen as one. */
function reshapedCotangent(source: SourceProgram, name: string, { lines }: ArrayLines): string[] {
  const { axes } = source.program.nodes[source.program.value]
  const isFlattened = flattenedInputs(source).length > 0 && axes.includes('...')
  if (!isFlattened || !lines.some((line) => new RegExp(`\\b${name}\\b`).test(line))) return []
  const before = axes.indexOf('...')
  return [`${name} = ${name}.reshape(*${name}.shape[:${before}], -1)`]
}

/** Values have the shape of the inputs. */
function results(source: SourceProgram, { loss, shares, names }: ForwardBackward): string[] {
  const all = [loss, ...(shares === undefined ? [] : [shares])]
  const { axes } = source.program.nodes[source.program.value]
  const owner = flattenedInputs(source)[0]
  const marks = shares === undefined ? [] : [`ctx.mark_non_differentiable(${shares})`]
  if (owner === undefined || !axes.includes('...')) return [...marks, `return ${all.join(', ')}`]
  const from = owner.axes.indexOf('...')
  const until = from + 1 - owner.axes.length
  const rest = `*shape_${names.inputs.get(owner.name)}[${from}:${until === 0 ? '' : until}]`
  const shape = axes.map((axis, place) => (axis === '...' ? rest : `${loss}.shape[${place}]`)).join(', ')
  const shaped = all.map((name) => `${name} = ${name}.reshape(${shape})`)
  return [...shaped.reverse(), ...marks, `return ${all.join(', ')}`]
}

function returned(source: SourceProgram, { names, gradients }: ForwardBackward, params: number): string[] {
  const restored = flattenedInputs(source)
  const own = source.inputs.map(({ name }) => {
    const found = gradients.find(({ of }) => of === name)
    if (found === undefined) return 'None'
    return restored.some((input) => input.name === name)
      ? `${found.name}.reshape(shape_${names.inputs.get(name)})`
      : found.name
  })
  return [...own, ...Array.from({ length: params }, () => 'None')]
}

function reduction(
  { lengths }: SourceProgram,
  { loss, shares, names }: ForwardBackward,
  applied: string,
): string[] {
  const mean = lengths === undefined ? loss : `(${loss} / ${names.inputs.get(lengths)}.clamp(min=1))`
  if (shares === undefined)
    return [
      `${loss} = ${applied}`,
      'if reduction == "none":',
      `    return ${loss}`,
      `return ${loss}.sum() if reduction == "sum" else ${mean}.mean()`,
    ]
  return [
    `${loss}, ${shares} = ${applied}`,
    'if reduction == "none":',
    `    return ${loss}`,
    `total, count = ${loss}.sum(), ${shares}.sum()`,
    'return total if reduction == "sum" else total * torch.where(count == 0, 0.0, 1 / count)',
  ]
}
