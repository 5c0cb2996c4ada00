/**
 * The frame of objectives for gradient boosting: a NumPy function of scores and data that returns the gradient and the diagonal of
 * the second derivative of each row's own loss, and a metric. What the service does with `reduction: sum`, `hessian: diagonal`
 * and `hessian_floor`.
 */
import { NoHessian } from '../language/hessian.ts'
import { hessianKey } from '../language/ir.ts'
import { locationOf } from '../language/source-locations.ts'
import { expandLoss, KINDS, type Kind, type Loss } from '../losses/define.ts'
import { batchAxisOf, batchDependenceOf } from '../losses/program.ts'
import { type ArrayNames, argumentNames, writeArrays } from './arrays.ts'
import { indented } from './code.ts'
import {
  CannotWrite,
  InvalidName,
  type SourceInput,
  type SourceProgram,
  type SourceRequest,
  type Target,
  type WriteOptions,
} from './contract.ts'
import { helpersIn } from './helpers.ts'
import { checkIndependentRows } from './independent-rows.ts'
import { NUMPY, NUMPY_HELPERS } from './numpy.ts'
import { programOf, signatureOf } from './program.ts'
import { docstring, pythonNumber, shapeLines, TAKEN_IN_PYTHON } from './python.ts'
import { withUnitCotangent } from './unit-cotangent.ts'

/** What differs between the libraries. */
export interface BoostingPhrases {
  /** The class of the data, for messages. */
  readonly data: string
  /** How its objective and metric are passed, for the docstring. */
  usage(name: string): string
  /** Whether data can have several labels per row. */
  readonly hasLabelMatrix: boolean
  /** What the metric returns, given the name and the mean. */
  metric(name: string, mean: string): string
}

/** A target of this frame. */
export function boostingTarget({
  name,
  library,
  phrases,
}: {
  readonly name: string
  /** The library, with its article. */
  readonly library: string
  readonly phrases: BoostingPhrases
}): Target {
  return {
    name,
    family: 'boosting',
    about: `${library} objective of (preds, dtrain), with gradient and diagonal Hessian, and a metric.`,
    mediaType: 'text/x-python',
    extension: '.py',
    precisions: ['float64'],
    dialects: [],
    taken: TAKEN_IN_PYTHON,
    programOf: boostingProgram,
    write: (source, options) => writeBoosting(source, options, phrases),
  }
}

/** A loss as trees see it: the scores that they predict, the label of each row, and what all rows share. */
interface Roles {
  readonly scores: SourceInput
  readonly label: SourceInput | undefined
  readonly shared: readonly SourceInput[]
}

/**
 * The program of a request: value, gradient and second derivative with respect to the scores alone.
 *
 * @throws CannotWrite if rows depend on each other, or have no second derivative; InvalidName
 */
export function boostingProgram(request: SourceRequest): SourceProgram {
  const loss = ofPlainRows(expandLoss(request.loss, request.params))
  const signature = signatureOf(loss, request)
  const scores = scoresOf(loss, signature.wants, request.gradients)
  const source = withSecondDerivative(loss, request, { ...signature, wants: [scores], hessians: [scores] })
  checkRows(source)
  return { ...source, ...withUnitCotangent(source) }
}

/** Scores are one number per row, or one per class: other axes than these are empty. */
function ofPlainRows(loss: Loss): Loss {
  if (batchAxisOf(loss) === '...' || loss.formula.source.includes('...')) return loss
  const inputs = Object.entries(loss.inputs).map(([name, spec]) => {
    return [name, { ...spec, axes: spec.axes.filter((axis) => axis !== '...') }] as const
  })
  return Object.freeze({ ...loss, inputs: Object.fromEntries(inputs) })
}

/** The first input that has a gradient, or the one that is asked for. */
function scoresOf({ name }: Loss, wants: readonly string[], asked: readonly string[] | undefined): string {
  const [first] = wants
  if (asked !== undefined && wants.length !== 1)
    throw new InvalidName('gradients', 'must name one input: the one that the trees predict')
  if (first === undefined) throw new CannotWrite('input', `no input of ${name} has a gradient`)
  return first
}

/** @throws CannotWrite */
function withSecondDerivative(
  loss: Loss,
  request: SourceRequest,
  signature: Parameters<typeof programOf>[2],
): SourceProgram {
  try {
    return programOf(loss, request, signature)
  } catch (error) {
    if (error instanceof NoHessian) throw new CannotWrite(error.op, NO_SECOND_DERIVATIVE, error.at)
    throw error
  }
}

const NO_SECOND_DERIVATIVE = 'has no second derivative, which trees need'

/** @throws CannotWrite */
function checkRows(source: SourceProgram) {
  const { program, loss, places } = source
  checkIndependentRows(source, 'couples rows, and trees are grown from the derivatives of each row alone')
  if (batchDependenceOf(program, loss, batchAxisOf(loss)) !== 'group') return
  const { nodes } = program
  const id = nodes.findIndex(({ op, axis }) => axis !== undefined && op !== 'index' && op !== 'size')
  throw new CannotWrite(
    nodes[id].op,
    'couples the members of a group, and trees see one row alone',
    locationOf(nodes, places, id),
  )
}

/** @throws CannotWrite if the data has no place for an input */
function rolesOf({ inputs, program, loss }: SourceProgram, phrases: BoostingPhrases): Roles {
  const [of] = Object.keys(program.gradients)
  const scores = inputs.find(({ name }) => name === of) ?? missing(of)
  const first = batchAxisOf(loss)
  const others = inputs.filter((input) => input !== scores)
  const [label, second] = others.filter(({ axes, trailing }) => axes.includes(first) && !trailing)
  if (second !== undefined)
    throw new CannotWrite('input', `a ${phrases.data} has no place for ${second.name} beside ${label.name}`)
  checkShape(loss, scores, 'scores', 2)
  const isMatrix = label !== undefined && label.axes.length === 2 && loss.couples !== 'element'
  if (label !== undefined) checkShape(loss, label, 'labels', isMatrix && !phrases.hasLabelMatrix ? 1 : 2)
  return { scores, label, shared: others.filter((input) => input !== label) }
}

/** Whatever a gradient is taken of is read, or its derivative would be 0 everywhere. */
function missing(name: string): never {
  throw new CannotWrite('input', `the loss does not depend on ${name}`)
}

function checkShape(loss: Loss, { name, axes }: SourceInput, what: string, most: number) {
  if (axes.length <= most && axes[0] === batchAxisOf(loss)) return
  const may = most === 1 ? 'one number per row' : 'one number per row, or one per class'
  throw new CannotWrite('input', `${name} has the axes ${axes.join(', ')}, and ${what} have ${may}`)
}

/** Names of the frame. */
const RESERVED = ['preds', 'dtrain', 'hessian_floor', 'grad', 'hess', 'total', 'count', 'row_weight']

/** @throws CannotWrite */
function writeBoosting(source: SourceProgram, { name }: WriteOptions, phrases: BoostingPhrases): string {
  const roles = rolesOf(source, phrases)
  const metric = `${name}_metric`
  const names = argumentNames(source, [...NUMPY.reserved, ...RESERVED, name, metric], 'g')
  const body = [
    ...decorated(`def ${name}(${signature(source, names, roles, ['hessian_floor=1e-6'])}):`),
    ...docstring(source, notes(source, roles, phrases, name), '    '),
    ...indented(objectiveLines(source, names, roles), '    '),
    '',
    '',
    ...decorated(`def ${metric}(${signature(source, names, roles, [])}):`),
    `    """The mean of ${name}, weighted by the weights of the rows."""`,
    ...indented(metricLines(source, names, roles, phrases, name), '    '),
  ]
  const helpers = helpersIn(body, { ...HELPERS, ...NUMPY_HELPERS }).flatMap((line, place, all) =>
    line === '' && all[place + 1] === '' ? [''] : [line],
  )
  const imports = helpers.some((line) => line.includes('math.')) ? ['import math', ''] : []
  return `${[...imports, 'import numpy as np', '', '', ...helpers, ...body].join('\n')}\n`
}

const decorated = (head: string) => ['@np.errstate(all="ignore")', head]

const HELPERS: Readonly<Record<string, readonly string[]>> = {
  _weighted: [
    'def _weighted(x, weight):',
    '    """x times the weights of the rows, if there are any. A row of weight 0 counts for nothing, whatever it contains."""',
    '    if weight is None or len(weight) == 0:',
    '        return x',
    '    weight = np.asarray(weight, x.dtype).reshape(-1, *(1,) * (x.ndim - 1))',
    '    return np.where(weight == 0, 0, weight * x)',
    '',
  ],
}

/** What trees cannot know of the kind of number that the loss reads. */
const BOUNDED: ReadonlySet<Kind> = new Set(['positive', 'nonnegative', 'probability', 'simplex', 'logprob'])

function notes(source: SourceProgram, { scores, shared }: Roles, phrases: BoostingPhrases, name: string) {
  const kind = source.loss.inputs[scores.name].kindFor(
    Object.fromEntries([
      ...source.params.map((param) => [param.name, param.value]),
      ...Object.entries(source.fixed),
    ]),
  )
  return [
    `${phrases.usage(name)} Arguments after the star are bound by functools.partial.`,
    'Returns the first and second derivatives of the loss of each row, times its weight. Second derivatives below hessian_floor are raised to it.',
    ...shared.map(
      (input) => `${input.name} is the same for all rows${input.about === '' ? '.' : `: ${input.about}`}`,
    ),
    ...(BOUNDED.has(kind) ? [`Trees predict any number; this loss reads ${KINDS[kind]}.`] : []),
  ]
}

function signature(
  source: SourceProgram,
  { inputs, params }: ArrayNames,
  { shared }: Roles,
  more: readonly string[],
): string {
  const keywords = [
    ...shared.map(({ name }) => inputs.get(name)!),
    ...source.params.map(({ name, value }) => `${params.get(name)}=${pythonNumber(value)}`),
    ...more,
  ]
  return ['preds', 'dtrain', ...(keywords.length === 0 ? [] : ['*', ...keywords])].join(', ')
}

function objectiveLines(source: SourceProgram, names: ArrayNames, roles: Roles): string[] {
  const { program } = source
  const of = roles.scores.name
  const results = [
    { node: program.gradients[of], axes: roles.scores.axes, name: 'grad' },
    { node: program.gradients[hessianKey(of)], axes: roles.scores.axes, name: 'hess' },
  ]
  const written = writeArrays(source, NUMPY, names, results)
  return [
    ...preparation(source, names, roles, written),
    ...written.lines,
    'row_weight = dtrain.get_weight()',
    'grad, hess = _weighted(grad, row_weight), _weighted(hess, row_weight)',
    `return ${asScores('grad', roles)}, ${asScores('np.where(hess < hessian_floor, hessian_floor, hess)', roles)}`,
  ]
}

function metricLines(
  source: SourceProgram,
  names: ArrayNames,
  roles: Roles,
  phrases: BoostingPhrases,
  name: string,
): string[] {
  const { program } = source
  const { axes } = program.nodes[program.value]
  const own = { ...names, names: names.names.copy() }
  const loss = own.names.take('loss')
  const shares = program.denominators === undefined ? undefined : own.names.take('shares')
  const written = writeArrays(source, NUMPY, own, [
    { node: program.value, axes, name: loss },
    ...(shares === undefined ? [] : [{ node: program.denominators!, axes, name: shares }]),
  ])
  const sum = (of: string) => `_weighted(${of}, row_weight).sum(dtype=float)`
  return [
    ...preparation(source, names, roles, written),
    ...written.lines,
    'row_weight = dtrain.get_weight()',
    `total = ${sum(loss)}`,
    `count = ${sum(shares ?? `np.ones_like(${loss})`)}`,
    `return ${phrases.metric(name, 'total / count if count != 0 else 0.0')}`,
  ]
}

/** Whether one score per row is seen as a table with one column. */
function hasColumns({ scores, label }: Roles): boolean {
  return scores.axes.length === 2 && label?.axes.length !== 1
}

const asScores = (text: string, roles: Roles) => (hasColumns(roles) ? `${text}.reshape(preds.shape)` : text)

/** Scores, labels and what all rows share as the arrays of the formula, and parameters that must be arrays. */
function preparation(
  source: SourceProgram,
  names: ArrayNames,
  roles: Roles,
  written: ReturnType<typeof writeArrays>,
): string[] {
  const own = (input: SourceInput) => names.inputs.get(input.name)!
  const scores = own(roles.scores)
  const { label } = roles
  const typed = ({ type }: SourceInput) => (type === 'index' ? 'int' : `${scores}.dtype`)
  return [
    `${scores} = ${hasColumns(roles) ? 'preds.reshape(len(preds), -1)' : 'preds'}`,
    ...(label === undefined ? [] : [`${own(label)} = ${labels(label, scores, typed(label))}`]),
    ...roles.shared.map((input) => `${own(input)} = np.asarray(${own(input)}, ${typed(input)})`),
    ...shapeLines(source, names, written, { flatten: (x) => x, size: (x, place) => `${x}.shape[${place}]` }),
    ...written.asArrays.map(
      (param) => `${names.params.get(param)} = ${scores}.dtype.type(${names.params.get(param)})`,
    ),
  ]
}

/** In the shape of the scores, unless there is one per row of them. */
function labels({ axes }: SourceInput, scores: string, type: string): string {
  const read = `dtrain.get_label().astype(${type})`
  const isLikeScores = axes.length === 2 || axes[0] === '...'
  return isLikeScores ? `${read}.reshape(${scores}.shape)` : read
}
