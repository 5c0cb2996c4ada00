/**
 * The definition of a loss: names, inputs, parameters, one formula, examples. Everything else (route, schema, docs,
 * gradient, kernels, tests) is derived from it. This file knows the language, but not HTTP, engines or batching.
 */
import { type Static, type TObject, type TSchema, Type } from '@sinclair/typebox'
import type { Formula } from '../language/ast.ts'
import { parse } from '../language/parse.ts'
import type { LossAdvice } from './guide.ts'
import { identify } from './identity.ts'
import type { Reduction } from './reduction.ts'

/**
 * The meaning of an input's numbers. It is checked on every request, shown in the docs, and tells the tests which
 * random numbers to draw.
 */
export const KINDS = {
  real: 'any real number',
  positive: 'a number >= 0, normally > 0',
  nonnegative: 'a number >= 0',
  probability: 'a number in [0, 1]',
  simplex: 'a number in [0, 1]; each row sums to 1',
  logprob: 'a log-probability',
  sign: '-1 or 1',
  binary: '0 or 1',
  class: 'a class index from 0 (any integer dtype)',
  class_or_probability: 'a class index, or one probability per class',
  class_or_binary: 'a class index, or 0 or 1 per class',
  index_list: 'class indices from 0; the first -1 ends the list (any integer dtype)',
  box: 'x1, y1, x2, y2 with x1 <= x2 and y1 <= y2',
  count: 'an integer >= 0',
} as const
export type Kind = keyof typeof KINDS

/** For kinds that can be class indices: the kind of the numbers if there is one number per class instead. */
export const KIND_OF_SOFT_LABELS: Readonly<Partial<Record<Kind, Kind>>> = {
  class_or_probability: 'probability',
  class_or_binary: 'binary',
}

export type LossFamily =
  | 'regression'
  | 'binary'
  | 'margin'
  | 'multiclass'
  | 'divergence'
  | 'embedding'
  | 'ranking'
  | 'segmentation'
  | 'boxes'
  | 'sequence'
  | 'preference'
  /** A user's custom loss. */
  | 'custom'

/** How far the loss of one row depends on other rows. It determines what the batcher may concatenate. */
export type BatchDependence = 'element' | 'row' | 'group' | 'batch'

/** The resolved parameters of a request: validated, with defaults filled in. */
export type Params = Readonly<Record<string, number | boolean | string | null | readonly number[]>>

export interface InputSpec {
  /** Names of its axes in order. `...` stands for any number of axes; no axes mean one number for all rows. */
  readonly axes: readonly string[]
  /** Axis -> its declared size: a number, or another axis with the same size. */
  readonly sizes?: Readonly<Record<string, string>>
  readonly kind: Kind
  /** Whether it has a gradient. */
  readonly differentiable: boolean
  readonly optional: boolean
  /** Whether it may also have the shape of the loss's first input, with one number per class. The rank decides. */
  readonly perClass: boolean
  /** Whether it is a mask: where it is not 1, the other inputs do not count and may contain any value. */
  readonly masks: boolean
  /** Whether it is one vector along the last axis of the `...` inputs (PyTorch's `pos_weight`). */
  readonly trailing: boolean
  /** For counts: the axis along which they count, and so their maximum. */
  readonly atMost: string | undefined
  /** For class indices, if no axis is called classes: their number is the size of this axis plus the offset. */
  readonly places: { readonly axis: string; readonly offset: number } | undefined
  /** The input with the valid length of each row. Everything after that length is ignored. */
  readonly paddedTo: string | undefined
  /** For class indices: the parameter with the index that must not occur (CTC's blank). */
  readonly except: string | undefined
  /**
   * For boxes: whether corners in the wrong order are rejected. A network may predict such boxes, but data must not
   * contain them.
   */
  readonly ordered: boolean
  /** A hint for clients that send invalid numbers for the kind: `send logits to ...`. */
  readonly outside: string
  /** One sentence for the docs. */
  readonly about: string
  /** The kind, if it depends on a parameter (`labels`, `log_target`). */
  readonly kindFor: (params: Params) => Kind
}

type InputOptions = Partial<Omit<InputSpec, 'axes' | 'kind'>>

/**
 * Declares one input.
 *
 * @param axes comma-separated axis names, as in the catalog: `'rows,classes,...'`; see `parseAxes`
 * @example
 * input('rows,classes', 'real', { differentiable: true })
 */
export function input(axes: string, kind: Kind, options: InputOptions = {}): InputSpec {
  const { differentiable = false, optional = false, trailing = false, about = '' } = options
  const { perClass = Object.hasOwn(KIND_OF_SOFT_LABELS, kind), masks = false } = options
  const { kindFor = () => kind, atMost, paddedTo, places, except, ordered = false, outside = '' } = options
  return {
    ...parseAxes(axes),
    kind,
    differentiable,
    optional,
    perClass,
    masks,
    trailing,
    atMost,
    paddedTo,
    places,
    except,
    ordered,
    outside,
    about,
    kindFor,
  }
}

/**
 * Names of axes, the slowest first. `others=rows` is an axis with the same size as `rows`, `row=3` an axis of size
 * 3. An empty text means no axes, and spaces are ignored.
 *
 * @example
 * parseAxes('rows,others=rows') // { axes: ['rows', 'others'], sizes: { others: 'rows' } }
 */
export function parseAxes(text: string): Pick<InputSpec, 'axes' | 'sizes'> {
  const parts =
    text.trim() === '' ? [] : text.split(',').map((part) => part.split('=').map((word) => word.trim()))
  const sized = parts.filter(([, size]) => size !== undefined)
  return {
    axes: parts.map(([name]) => name),
    ...(sized.length === 0 ? {} : { sizes: Object.fromEntries(sized) as Record<string, string> }),
  }
}

type Axes = Pick<InputSpec, 'axes'> & { readonly sizes?: InputSpec['sizes'] | undefined }

/**
 * The text that `parseAxes` reads.
 *
 * @example
 * axesText({ axes: ['rows', 'others'], sizes: { others: 'rows' } }) // 'rows,others=rows'
 */
export function axesText({ axes, sizes = {} }: Axes): string {
  return axes.map((axis) => (Object.hasOwn(sizes, axis) ? `${axis}=${sizes[axis]}` : axis)).join(',')
}

/** Nested numbers, as in a JSON body. */
export type NestedNumbers = number | string | readonly NestedNumbers[]

export interface Example {
  readonly inputs: Readonly<Record<string, NestedNumbers>>
  readonly params?: Params
  /** Default `none`. */
  readonly reduction?: Reduction
  readonly loss: NestedNumbers
  /** Gradients of the reduced loss, if the example gives them. */
  readonly gradients?: Readonly<Record<string, NestedNumbers>>
  /** The source of the numbers: `by hand`, `torch 2.13.0` ... */
  readonly from: string
}

/** The frameworks whose conventions a request can select. */
export const FRAMEWORKS = ['torch', 'keras', 'optax', 'tfjs'] as const
export type PresetName = (typeof FRAMEWORKS)[number]

/** A framework's defaults, so that someone who moves a training job to lossd gets the same numbers. */
export interface Preset {
  /**
   * The framework's names -> the parameters that each implies (`keras.losses.BinaryCrossentropy` and the like).
   * Each name is an alias of the loss that selects this preset.
   */
  readonly names: Readonly<Record<string, Params>>
  /** Defaults that differ from the loss's own. */
  readonly params?: Params
  /** The framework's default; `mean` if absent. */
  readonly reduction?: Reduction
  /** Where our numbers still differ from the framework's, and why ours are right. */
  readonly note?: string
}

/** One name of a loss, and what it implies. */
export interface Alias {
  readonly preset: PresetName | undefined
  /** Parameters that the name implies. A request may override them. */
  readonly params: Params
}

/** A loss as a request names it. */
export interface ResolvedLoss extends Alias {
  readonly loss: Loss
}

/** A loss by a name that implies nothing. */
export function withoutPreset(loss: Loss): ResolvedLoss {
  return Object.freeze({ loss, preset: undefined, params: {} })
}

/** Promises that hold for all other losses, but not for this one. The tests read this, and the page of the loss shows it. */
export interface KnownLimitations {
  /** KnownLimitations of real inputs beyond which the value itself is too large for float64, as e^x above 709. */
  readonly overflow?: { readonly above?: number; readonly below?: number }
  /**
   * The gradient is not the slope of the value, because by definition a factor of the value counts as a constant:
   * always, or with these values of a parameter.
   */
  readonly detached?: true | DependsOnParam
}

/** What the author of a loss writes. */
export interface LossSpec {
  readonly name: string
  readonly family: LossFamily
  readonly couples: BatchDependence
  /** One or two sentences: what it is and when to use it. */
  readonly about: string
  /** Other names, in the order of the catalog. As a record: with the parameters that each implies. */
  readonly aliases?: readonly string[] | Readonly<Record<string, Params>>
  readonly presets?: Readonly<Partial<Record<PresetName, Preset>>>
  /** When to use it, for the guide. A loss of the catalog has some, here or in a comparison of `guide.ts`. */
  readonly advice?: readonly LossAdvice[]
  readonly inputs: Readonly<Record<string, InputSpec>>
  readonly params: TObject
  /** In the formula language. Its last line is the unreduced value. */
  readonly formula: string
  /**
   * The inputs and the formula for given parameters, if they depend on parameters (a list of cutoffs).
   *
   * @throws RangeError for parameters that contradict each other
   */
  readonly expand?: (params: Params) => Pick<LossSpec, 'inputs' | 'formula'>
  /**
   * What one value adds to the denominator of `mean`, in the same language and with the names of the formula in
   * scope. It must not depend on a differentiable input. Default 1.
   */
  readonly denominator?: string
  /**
   * In a mean, the loss of each row is divided by this integer input, or by 1 if it is smaller (CTC's target
   * lengths).
   */
  readonly meanPer?: string
  /** Another formula for the same value, which is faster for a long axis. */
  readonly long?: LongForm<string>
  readonly limits?: KnownLimitations
  readonly references: readonly string[]
  /** At least one for losses of the catalog. */
  readonly examples: readonly Example[]
}

/**
 * How a loss is computed from some length of an axis on, if its formula compares all pairs: by sorting, for instance. The results
 * are the same but for rounding. Second derivatives, proofs and sources are of the formula of the loss itself.
 */
export interface LongForm<F> {
  readonly axis: string
  /** The least size of the axis. */
  readonly from: number
  readonly formula: F
}

/** A validated, frozen definition. */
export interface Loss
  extends Omit<LossSpec, 'aliases' | 'presets' | 'advice' | 'formula' | 'denominator' | 'long'> {
  /** A hash of what it computes. It is the cache key for programs, kernels and plans. */
  readonly id: string
  readonly aliases: readonly string[]
  readonly presets: Readonly<Partial<Record<PresetName, Preset>>>
  readonly advice: readonly LossAdvice[]
  /** All of its names, its own first. */
  readonly spellings: ReadonlyMap<string, Alias>
  readonly formula: Formula
  readonly denominator: Formula | undefined
  /** The formula is that of a loss of its own, which has no other form. */
  readonly long?: LongForm<Loss>
  readonly params: TObject
  /** Warnings for the author of a custom loss. */
  readonly warnings?: readonly LossWarning[]
}

/** A valid expression in a formula that is never finite. */
export interface LossWarning {
  /** JSON pointer into the definition. */
  readonly pointer: string
  readonly line: number
  readonly column: number
  /** The warning, followed by the line with a caret under the expression. */
  readonly detail: string
}

/** The loss for given parameters: the loss itself, unless it has `expand`. */
export function expandLoss(loss: Loss, params: Params): Loss {
  if (loss.expand === undefined) return loss
  const { inputs, formula } = loss.expand(params)
  return Object.freeze({ ...loss, inputs, formula: parse(formula) })
}

/** No parameters. */
export const noParams = Type.Object({})

/** The position of the class axis, for dense prediction (`[N, C, H, W]`, or with the classes last). */
export const classAxisParam = Type.Integer({
  default: 1,
  description: 'Position of the class axis: 1, or -1 for the last axis.',
})

/** The class whose rows do not count. Labels are int32. */
export const ignoreIndex = {
  minimum: -(2 ** 31),
  maximum: 2 ** 31 - 1,
  default: -100,
  description: 'Rows with this class index do not count.',
} as const

/** A parameter that can be disabled with `null`. */
export function nullable<T extends TSchema>(
  schema: T,
  options: { default: Static<T> | null; description?: string },
) {
  return Type.Union([schema, Type.Null()], options)
}

/**
 * For a parameter that has an effect only with certain values of another parameter, or with certain kinds of an
 * input. With any other it is rejected, because it would be silently ignored. This is part of the parameter's
 * published schema.
 *
 * @example
 * Type.Number({ default: 2, ...dependsOnParam('distance', 'lp') })
 */
export function dependsOnParam(
  param: string,
  ...values: readonly (string | boolean)[]
): { onlyWith: DependsOnParam } {
  return { onlyWith: { param, values } }
}

export interface DependsOnParam {
  readonly param: string
  readonly values: readonly (string | boolean)[]
}

/** A parameter that is one of a few words. The formula compares it by name: `form == distance ? ... : ...`. */
export function oneOf<const W extends readonly string[]>(
  words: W,
  options: { default: W[number]; description?: string },
) {
  return Type.Union(
    words.map((word) => Type.Literal(word)),
    options,
  )
}

/**
 * Defines a loss. Its formula is parsed immediately, so that a typo is found when the process starts.
 *
 * @throws FormulaError with line and column
 * @example
 * export default defineLoss({
 *   name: 'l1', family: 'regression', couples: 'element',
 *   about: 'Absolute error: robust to outliers, but its gradient never shrinks near the minimum.',
 *   inputs: {
 *     predictions: input('...', 'real', { differentiable: true }),
 *     targets: input('...', 'real', { differentiable: true }),
 *   },
 *   params: noParams,
 *   formula: 'abs(predictions - targets)',
 *   advice: [{ task: 'regression', because: 'It is smallest at the median.', unless: 'the mean matters.' }],
 *   references: ['torch.nn.functional.l1_loss'],
 *   examples: [{ inputs: { predictions: [1, 2], targets: [3, 2] }, loss: [2, 0], from: 'by hand' }],
 * })
 */
export function defineLoss({ long, ...spec }: LossSpec): Loss {
  const loss = withFormula(spec)
  if (long === undefined) return Object.freeze(loss)
  const other = Object.freeze(withFormula({ ...spec, formula: long.formula }))
  return Object.freeze({ ...loss, long: Object.freeze({ ...long, formula: other }) })
}

function withFormula(spec: Omit<LossSpec, 'long'>): Loss {
  const params = Type.Object(spec.params.properties, { additionalProperties: false })
  const formula = parse(spec.formula)
  const denominator = spec.denominator === undefined ? undefined : sharing(formula, parse(spec.denominator))
  return {
    ...spec,
    id: identify({ formula, denominator, inputs: spec.inputs, params: params.properties }),
    params,
    aliases: Object.keys(impliedBy(spec.aliases)),
    presets: spec.presets ?? {},
    advice: spec.advice ?? [],
    spellings: spellingsOf(spec),
    formula,
    denominator,
  }
}

function impliedBy(aliases: LossSpec['aliases'] = []): Readonly<Record<string, Params>> {
  return Array.isArray(aliases)
    ? Object.fromEntries(aliases.map((alias) => [alias, {}]))
    : (aliases as Readonly<Record<string, Params>>)
}

/** @throws Error if a name occurs twice */
function spellingsOf({ name, aliases, presets = {} }: Omit<LossSpec, 'long'>): Map<string, Alias> {
  const plain = Object.entries({ [name]: {}, ...impliedBy(aliases) }).map(([alias, params]) => ({
    alias,
    params,
    preset: undefined,
  }))
  const framed = FRAMEWORKS.flatMap((preset) =>
    Object.entries(presets[preset]?.names ?? {}).map(([alias, params]) => ({ alias, params, preset })),
  )
  const spellings = new Map<string, Alias>()
  for (const { alias, ...spelling } of [...plain, ...framed]) {
    if (spellings.has(alias)) throw new Error(`${name} is called "${alias}" twice`)
    spellings.set(alias, spelling)
  }
  return spellings
}

/** The second formula, with the names of the first in scope. */
function sharing(first: Formula, second: Formula): Formula {
  const names = first.statements.filter((statement) => statement.name !== undefined)
  return Object.freeze({ source: second.source, statements: [...names, ...second.statements] })
}
