/**
 * Compositions: a weighted sum of losses over shared tensors. Each term is validated as a request of its own, under
 * its own names for the shared tensors. The results of the terms are added up under the shared names.
 */
import { type Static, Type } from '@sinclair/typebox'
import { Value, type ValueError } from '@sinclair/typebox/value'
import { cut, Problem, type ProblemDetail, pluralize, pointerToken, problemAt } from '../errors.ts'
import type { Loss, ResolvedLoss } from '../losses/define.ts'
import { REDUCTIONS } from '../losses/reduction.ts'
import { didYouMean, suggesting } from '../nearest.ts'
import { shortest } from '../tensor.ts'
import type { Answer, AnswerTensor, Decoded } from '../wire/define.ts'
import { allFinite, nonFinite } from './answer.ts'
import { type CheckContext, type CheckedRequest, checkRequest } from './check.ts'
import { firstFault } from './expectation.ts'
import { staysFinite } from './overflow-check.ts'
import { COMMON_TENSORS, type NonfinitePolicy, OptionSchemas } from './request.ts'
import { MAX_REPORTED, strangersIn, suggestInput, throwUnknownNames } from './unknown-names.ts'

/** More terms than anybody adds up. */
export const MAX_TERMS = 32

const reductions = REDUCTIONS.filter((name) => name !== 'none').map((name) => Type.Literal(name))

export const TermSchema = Type.Object(
  {
    loss: Type.Union(
      [Type.String(), Type.Object({ definition: Type.Unknown() }, { additionalProperties: false })],
      {
        description: 'Any name of a loss, an own one included (`namespace/name`); or `{"definition": ...}`.',
      },
    ),
    weight: Type.Optional(Type.Number({ default: 1, description: 'What its loss and gradients count.' })),
    inputs: Type.Optional(
      Type.Record(Type.String(), Type.String(), {
        description:
          'Input of the loss -> shared tensor. Default: the shared tensor with the same name; for an optional input, only if the term does not use that tensor for another input.',
      }),
    ),
    params: Type.Optional(OptionSchemas.params),
    preset: Type.Optional(OptionSchemas.preset),
    reduction: Type.Optional(Type.Union(reductions)),
    denominator: Type.Optional(OptionSchemas.denominator),
  },
  { additionalProperties: false },
)
export type Term = Static<typeof TermSchema>

/** The fields of a composition in addition to its tensors. */
export const ComposeSchemas = {
  terms: Type.Array(TermSchema, {
    minItems: 1,
    maxItems: MAX_TERMS,
    description: 'The losses, with their weights and inputs.',
  }),
  gradients: OptionSchemas.gradients,
  reduction: Type.Union(reductions, {
    default: 'mean',
    description: 'For the terms that do not specify their own.',
  }),
  nonfinite: OptionSchemas.nonfinite,
  explain: OptionSchemas.explain,
  gradient_dtype: OptionSchemas.gradient_dtype,
}

/** Where the losses of terms are found. */
export interface TermLosses {
  /** @throws Problem `unknown-loss`, or what is wrong with a definition */
  resolve(loss: Term['loss'], place: number): ResolvedLoss
  /** For messages: a loss that is known by this name. */
  hint(name: string): Loss | undefined
}

/** A term, ready to run. */
export interface CheckedTerm extends CheckedRequest {
  readonly term: Term
  readonly loss: Loss
  /** Input of the loss -> shared tensor. */
  readonly names: Readonly<Record<string, string>>
}

export interface Composition {
  readonly terms: readonly CheckedTerm[]
  /**
   * Adds the result of one term, which may contain anything. Its arrays may belong to the engine, so they are not
   * kept.
   */
  add(term: CheckedTerm, answer: Answer): void
  /** The whole response, after all terms have been added. */
  answer(): Answer
}

/**
 * Validates a composition, one term after the other.
 *
 * @throws Problem with the code, the JSON pointer (`/terms/1/params/alpha`) and what would have been right
 */
export function checkComposition(losses: TermLosses, decoded: Decoded, context: CheckContext): Composition {
  const terms = termsOf(decoded, losses)
  checkInputs(losses, terms)
  checkNames(decoded, terms, losses)
  const checked = terms.map((term, place) => checkTerm(losses, decoded, context, term, place))
  checkGradients(decoded, checked)
  return new Sum(checked, (decoded.options.get('nonfinite') ?? 'propagate') as NonfinitePolicy)
}

function termsOf({ options }: Decoded, losses: TermLosses): readonly Term[] {
  const strange = [...options.keys()].filter((name) => !Object.hasOwn(ComposeSchemas, name))
  if (strange.length > 0) throwUnknownNames(strange.slice(0, MAX_REPORTED).map(strangeMember))
  const terms = options.get('terms')
  if (terms === undefined) throw problemAt('missing-input', '/terms', 'is required in a composition')
  refuseIfAny(
    Array.isArray(terms)
      ? terms.slice(0, MAX_TERMS).flatMap((term, place) => strangeInTerm(losses, term, place))
      : [],
  )
  for (const [name, value] of options) {
    const wrong = Value.Errors(ComposeSchemas[name as keyof typeof ComposeSchemas], value).First()
    if (wrong !== undefined) throw wrongMember(name, wrong)
  }
  if (options.has('gradient_dtype') && options.get('gradients') === false) {
    throw problemAt('invalid-value', '/gradient_dtype', 'requires gradients, but gradients is false')
  }
  return terms as readonly Term[]
}

function refuseIfAny(errors: readonly ProblemDetail[]) {
  if (errors.length > 0) throwUnknownNames(errors)
}

function strangeMember(name: string): ProblemDetail {
  const known = Object.keys(ComposeSchemas)
  const hint = Object.hasOwn(TermSchema.properties, name)
    ? '. It is a member of a term: put it into terms'
    : didYouMean(name, known)
  const detail = `is not an option. A composition takes tensors under names that you choose, and the options ${known.join(', ')}${hint}`
  return { pointer: `/${pointerToken(name)}`, detail }
}

function strangeInTerm(losses: TermLosses, term: unknown, place: number): ProblemDetail[] {
  if (typeof term !== 'object' || term === null) return []
  const known = Object.keys(TermSchema.properties)
  const loss = 'loss' in term && typeof term.loss === 'string' ? losses.hint(term.loss) : undefined
  return strangersIn(term, known).map((name) => ({
    pointer: `/terms/${place}/${pointerToken(name)}`,
    detail: `is not a member of a term, which has ${known.join(', ')}${termHint(name, known, loss)}`,
  }))
}

function termHint(name: string, known: readonly string[], loss: Loss | undefined): string {
  if (Object.hasOwn(ComposeSchemas, name)) return '. It is an option for all terms: put it at the top level'
  if (loss !== undefined && Object.hasOwn(loss.inputs, name)) return '. It is an input: put it into inputs'
  if (loss !== undefined && Object.hasOwn(loss.params.properties, name))
    return '. It is a parameter: put it into params'
  return didYouMean(name, known)
}

function wrongMember(name: string, { path, schema, value }: ValueError): Problem {
  const pointer = `/${name}${path}`
  if (pointer === '/terms' && Array.isArray(value)) {
    const wants =
      value.length === 0 ? 'must contain at least one term' : `must contain at most ${MAX_TERMS} terms`
    return problemAt('invalid-value', pointer, `${wants}, got ${pluralize(value.length, 'terms')}`)
  }
  if (value === undefined) return problemAt('invalid-value', pointer, 'is missing')
  const fault = firstFault(schema, value, pointer)
  return problemAt('invalid-value', fault.pointer, fault.detail)
}

/** @throws Problem `unknown-name`, `unknown-loss` */
function checkInputs(losses: TermLosses, terms: readonly Term[]) {
  const strange = terms.flatMap(({ loss: name, inputs = {} }, place) => {
    const { loss } = losses.resolve(name, place)
    const known = Object.keys(loss.inputs)
    const isFree = (input: string) => !Object.hasOwn(inputs, input) && known.includes(input)
    return Object.keys(inputs)
      .filter((input) => !known.includes(input))
      .slice(0, MAX_REPORTED)
      .map((input) => {
        const meant = suggestInput(loss, input, isFree)
        const hint = meant === undefined ? didYouMean(input, known) : suggesting(meant)
        const detail = `is not an input of ${loss.name}, which has ${known.join(', ')}${hint}`
        return { pointer: `/terms/${place}/inputs/${pointerToken(input)}`, detail }
      })
  })
  refuseIfAny(strange)
}

/** A shared tensor that no term reads is a mistake. */
function checkNames({ tensors }: Decoded, terms: readonly Term[], losses: TermLosses) {
  const used = new Set(
    terms.flatMap((term, place) => Object.values(namesOf(term, losses.resolve(term.loss, place).loss))),
  )
  const unread = [...tensors.keys()].filter((name) => !used.has(name) && !Object.hasOwn(COMMON_TENSORS, name))
  const missing = [...used].filter((name) => !tensors.has(name))
  refuseIfAny(
    unread.map((name) => {
      const detail = `is not read by any term; the terms read ${cut([...used].join(', '))}${didYouMean(name, missing)}`
      return { pointer: `/${pointerToken(name)}`, detail }
    }),
  )
  if (tensors.has('grad_output')) {
    throw problemAt(
      'invalid-value',
      '/grad_output',
      'requires reduction none, which a composition does not have',
    )
  }
}

/**
 * If a term uses a tensor for one input, an optional input does not read the same tensor only because it has the
 * same name.
 */
function namesOf({ inputs = {} }: Term, loss: Loss): Record<string, string> {
  const named = new Set(Object.values(inputs))
  const isRead = (input: string) =>
    Object.hasOwn(inputs, input) || !loss.inputs[input].optional || !named.has(input)
  return Object.fromEntries(
    Object.keys(loss.inputs)
      .filter(isRead)
      .map((input) => [input, inputs[input] ?? input]),
  )
}

function checkTerm(
  losses: TermLosses,
  decoded: Decoded,
  context: CheckContext,
  term: Term,
  place: number,
): CheckedTerm {
  const resolved = losses.resolve(term.loss, place)
  const names = namesOf(term, resolved.loss)
  try {
    const checked = checkRequest(resolved, requestOf(decoded, term, names, place), context)
    return { ...checked, term, loss: resolved.loss, names }
  } catch (error) {
    throw error instanceof Problem ? blaming(error, names, place) : error
  }
}

/** The term as a request of its own. */
function requestOf(
  decoded: Decoded,
  term: Term,
  names: Readonly<Record<string, string>>,
  place: number,
): Decoded {
  const tensors = new Map(
    Object.entries(names).flatMap(([input, shared]) => {
      const tensor = decoded.tensors.get(shared)
      return tensor === undefined ? [] : [[input, tensor] as const]
    }),
  )
  const weight = decoded.tensors.get('sample_weight')
  if (weight !== undefined) tensors.set('sample_weight', weight)
  const { loss: _loss, weight: _weight, inputs: _inputs, ...own } = term
  const gradients = gradientsOf(decoded, names)
  // A term without gradients has no gradients of that dtype.
  const others = gradients === false ? ['terms', 'gradients', 'gradient_dtype'] : ['terms', 'gradients']
  const shared = [...decoded.options].filter(([name]) => !others.includes(name))
  const options = new Map<string, unknown>([...shared, ['gradients', gradients], ...Object.entries(own)])
  const structure =
    decoded.structure === undefined ? {} : { structure: structureOf(decoded.structure, place) }
  return { tensors, options, ...structure }
}

/** The inputs that a term differentiates: those whose shared tensors need a gradient. */
function gradientsOf({ options }: Decoded, names: Readonly<Record<string, string>>): boolean | string[] {
  const wanted = (options.get('gradients') ?? true) as boolean | readonly string[]
  if (typeof wanted === 'boolean') return wanted
  const own = Object.keys(names).filter((input) => wanted.includes(names[input]))
  return own.length > 0 && own
}

/** One object for each term of a body structure, so that the term's plan is found again. */
const structures = new WeakMap<object, object[]>()

function structureOf(whole: object, place: number): object {
  const known = structures.get(whole) ?? []
  structures.set(whole, known)
  known[place] ??= {}
  return known[place]
}

/** Adds to a problem which term it concerns, and its place in the whole body. */
function blaming(
  { code, message, options }: Problem,
  names: Readonly<Record<string, string>>,
  place: number,
): Problem {
  const pointerOf = (pointer: string) => {
    const [, first, ...rest] = pointer.split('/')
    return Object.hasOwn(names, first) ? ['', names[first], ...rest].join('/') : `/terms/${place}${pointer}`
  }
  const errors = options.errors?.map(
    ({ pointer, ...place }): ProblemDetail => ({ ...place, pointer: pointerOf(pointer) }),
  )
  return new Problem(code, `term ${place}: ${message}`, {
    ...options,
    ...(errors === undefined ? {} : { errors }),
  })
}

/** A gradient that is requested by name must come from at least one term. */
function checkGradients({ options, tensors }: Decoded, terms: readonly CheckedTerm[]) {
  const wanted: unknown = options.get('gradients') ?? true
  if (!Array.isArray(wanted)) return
  const read = new Set(terms.flatMap(({ names }) => Object.values(names)))
  const offered = [...read].filter((name) => tensors.has(name))
  const strange = wanted.flatMap((name: string, place: number) =>
    offered.includes(name) ? [] : [{ name, place }],
  )
  refuseIfAny(
    strange.slice(0, MAX_REPORTED).map(({ name, place }) => {
      const detail = `no term reads it; the terms read ${cut(offered.join(', '))}${didYouMean(name, offered)}`
      return { pointer: `/gradients/${place}`, detail }
    }),
  )
}

/** The sum of the terms. A term of weight 0 is computed, and contributes nothing, whatever it contains. */
class Sum implements Composition {
  readonly terms: readonly CheckedTerm[]
  readonly #found = new Map<CheckedTerm, { readonly value: number; readonly members: Answer['members'] }>()
  readonly #gradients = new Map<string, { readonly tensor: AnswerTensor; readonly data: Float64Array }>()

  readonly #nonfinite: NonfinitePolicy
  #isDouble = false

  constructor(terms: readonly CheckedTerm[], nonfinite: NonfinitePolicy) {
    this.terms = terms
    this.#nonfinite = nonfinite
  }

  add(checked: CheckedTerm, { loss, gradients, members }: Answer) {
    const weight = checked.term.weight ?? 1
    this.#isDouble ||= loss.dtype === 'float64'
    this.#found.set(checked, { value: loss.data[0], members })
    for (const [input, tensor] of gradients) {
      const name = checked.names[input]
      const sum = this.#gradients.get(name) ?? { tensor, data: new Float64Array(tensor.data.length) }
      this.#gradients.set(name, sum)
      if (weight !== 0) for (let i = 0; i < sum.data.length; i++) sum.data[i] += weight * tensor.data[i]
    }
  }

  answer(): Answer {
    const terms = this.terms.map((checked) => {
      const { value, members } = this.#found.get(checked)!
      const told = this.#isDouble ? value : shortest(value)
      return { loss: checked.loss.name, weight: checked.term.weight ?? 1, value: told, ...members }
    })
    const total = terms.reduce((sum, { weight, value }) => sum + (weight === 0 ? 0 : weight * value), 0)
    const gradients = new Map(
      [...this.#gradients].map(([name, { tensor, data }]) => [name, { ...tensor, data }]),
    )
    const dtype = this.#isDouble ? 'float64' : 'float32'
    const loss: AnswerTensor = { dtype, shape: [], data: Float64Array.of(total), encoding: 'nested' }
    const finite = [loss, ...gradients.values()].every(
      (tensor) => allFinite(tensor.data) && staysFinite(tensor.data, tensor.dtype),
    )
    if (this.#nonfinite === 'error') {
      this.#refuseTerms()
      if (!finite) throw nonFinite(loss, gradients)
    }
    return { loss, gradients, members: { terms, finite }, nulls: this.#nonfinite === 'null' }
  }

  /** A term of weight 0 contributes nothing, but its value is in the response too. */
  #refuseTerms() {
    this.terms.forEach((checked, place) => {
      const { value } = this.#found.get(checked)!
      if (!Number.isFinite(value))
        throw problemAt('non-finite-result', `/terms/${place}/value`, `is ${value}`)
    })
  }
}
