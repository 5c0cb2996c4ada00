/**
 * A weighted sum of losses over shared tensors: each term is checked as a request of its own, under the names that it
 * gives to the shared tensors, and what the terms answer is added up under the shared names.
 */
import { type Static, Type } from '@sinclair/typebox'
import { Value, type ValueError } from '@sinclair/typebox/value'
import { cut, many, Problem, type ProblemDetail, pointerToken, problemAt } from '../errors.ts'
import type { Loss, ResolvedLoss } from '../losses/define.ts'
import { REDUCTIONS } from '../losses/reduction.ts'
import { didYouMean, suggesting } from '../nearest.ts'
import { shortest } from '../tensor.ts'
import type { Answer, AnswerTensor, Decoded } from '../wire/define.ts'
import { allFinite, nonFinite } from './answer.ts'
import { type CheckContext, type CheckedRequest, checkRequest } from './check.ts'
import { staysFinite } from './finite-range.ts'
import { expected } from './params.ts'
import { COMMON_TENSORS, type NonfinitePolicy, OptionSchemas } from './request.ts'
import { MOST_TOLD, meantInput, refuse } from './unknown-names.ts'

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
          'Input of the loss -> shared tensor. Default: the shared tensor of the same name; for an optional input none that the term names for another.',
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

/** What a composition takes beside its tensors. */
export const ComposeSchemas = {
  terms: Type.Array(TermSchema, {
    minItems: 1,
    maxItems: MAX_TERMS,
    description: 'The losses, what each counts, and what each reads.',
  }),
  gradients: OptionSchemas.gradients,
  reduction: Type.Union(reductions, {
    default: 'mean',
    description: 'Of the terms that state none of their own.',
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
  /** Adds up one term's answer, which may hold anything; its arrays may be the engine's own, so they are not kept. */
  add(term: CheckedTerm, answer: Answer): void
  /** The whole, when all terms were added. */
  answer(): Answer
}

/**
 * Checks a composition, each term in turn.
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
  if (strange.length > 0) refuse(strange.slice(0, MOST_TOLD).map(strangeMember))
  const terms = options.get('terms')
  if (terms === undefined) throw problemAt('missing-input', '/terms', 'a composition needs them')
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
    throw problemAt('invalid-value', '/gradient_dtype', 'goes with gradients, which were declined')
  }
  return terms as readonly Term[]
}

function refuseIfAny(errors: readonly ProblemDetail[]) {
  if (errors.length > 0) refuse(errors)
}

function strangeMember(name: string): ProblemDetail {
  const known = Object.keys(ComposeSchemas)
  const hint = Object.hasOwn(TermSchema.properties, name)
    ? '. It belongs to a term: put it into terms'
    : didYouMean(name, known)
  const detail = `a composition takes tensors under names of your own; options are ${known.join(', ')}${hint}`
  return { pointer: `/${pointerToken(name)}`, detail }
}

function strangeInTerm(losses: TermLosses, term: unknown, place: number): ProblemDetail[] {
  if (typeof term !== 'object' || term === null) return []
  const known = Object.keys(TermSchema.properties)
  const loss = 'loss' in term && typeof term.loss === 'string' ? losses.hint(term.loss) : undefined
  return Object.keys(term)
    .filter((name) => !known.includes(name))
    .slice(0, MOST_TOLD)
    .map((name) => ({
      pointer: `/terms/${place}/${pointerToken(name)}`,
      detail: `a term has ${known.join(', ')}${termHint(name, known, loss)}`,
    }))
}

function termHint(name: string, known: readonly string[], loss: Loss | undefined): string {
  if (Object.hasOwn(ComposeSchemas, name)) return '. It is an option of all terms: put it at the top level'
  if (loss !== undefined && Object.hasOwn(loss.inputs, name)) return '. It is an input: put it into inputs'
  if (loss !== undefined && Object.hasOwn(loss.params.properties, name))
    return '. It is a parameter: put it into params'
  return didYouMean(name, known)
}

function wrongMember(name: string, { path, schema, value }: ValueError): Problem {
  const pointer = `/${name}${path}`
  if (pointer === '/terms' && Array.isArray(value)) {
    const wants = value.length === 0 ? 'must hold at least one term' : `must hold at most ${MAX_TERMS} terms`
    return problemAt('invalid-value', pointer, `${wants}, got ${many(value.length, 'terms')}`)
  }
  return problemAt('invalid-value', pointer, value === undefined ? 'is missing' : expected(schema, value))
}

/** @throws Problem `unknown-name`, `unknown-loss` */
function checkInputs(losses: TermLosses, terms: readonly Term[]) {
  const strange = terms.flatMap(({ loss: name, inputs = {} }, place) => {
    const { loss } = losses.resolve(name, place)
    const known = Object.keys(loss.inputs)
    const isFree = (input: string) => !Object.hasOwn(inputs, input) && known.includes(input)
    return Object.keys(inputs)
      .filter((input) => !known.includes(input))
      .slice(0, MOST_TOLD)
      .map((input) => {
        const meant = meantInput(loss, input, isFree)
        const hint = meant === undefined ? didYouMean(input, known) : suggesting(meant)
        const detail = `${loss.name} has the inputs ${known.join(', ')}${hint}`
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
      const detail = `no term reads it; they read ${cut([...used].join(', '))}${didYouMean(name, missing)}`
      return { pointer: `/${pointerToken(name)}`, detail }
    }),
  )
  if (tensors.has('grad_output')) {
    throw problemAt('invalid-value', '/grad_output', 'goes with reduction none, which a composition has not')
  }
}

/** A tensor that a term names for one input is not another, optional one of it as well, only for being called so. */
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
  // A term without gradients has none of that dtype.
  const others = gradients === false ? ['terms', 'gradients', 'gradient_dtype'] : ['terms', 'gradients']
  const shared = [...decoded.options].filter(([name]) => !others.includes(name))
  const options = new Map<string, unknown>([...shared, ['gradients', gradients], ...Object.entries(own)])
  const structure =
    decoded.structure === undefined ? {} : { structure: structureOf(decoded.structure, place) }
  return { tensors, options, ...structure }
}

/** Which of its inputs a term differentiates: those whose shared tensors are asked for. */
function gradientsOf({ options }: Decoded, names: Readonly<Record<string, string>>): boolean | string[] {
  const wanted = (options.get('gradients') ?? true) as boolean | readonly string[]
  if (typeof wanted === 'boolean') return wanted
  const own = Object.keys(names).filter((input) => wanted.includes(names[input]))
  return own.length > 0 && own
}

/** One object for each term of the bodies of one structure, so that its plan is found again. */
const structures = new WeakMap<object, object[]>()

function structureOf(whole: object, place: number): object {
  const known = structures.get(whole) ?? []
  structures.set(whole, known)
  known[place] ??= {}
  return known[place]
}

/** Says of which term a problem is, and where in the whole body. */
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
    ({ pointer, detail }): ProblemDetail => ({ pointer: pointerOf(pointer), detail }),
  )
  return new Problem(code, `term ${place}: ${message}`, {
    ...options,
    ...(errors === undefined ? {} : { errors }),
  })
}

/** A gradient that is asked for by name comes from at least one term. */
function checkGradients({ options, tensors }: Decoded, terms: readonly CheckedTerm[]) {
  const wanted: unknown = options.get('gradients') ?? true
  if (!Array.isArray(wanted)) return
  const read = new Set(terms.flatMap(({ names }) => Object.values(names)))
  const offered = [...read].filter((name) => tensors.has(name))
  const strange = wanted.flatMap((name: string, place: number) =>
    offered.includes(name) ? [] : [{ name, place }],
  )
  refuseIfAny(
    strange.slice(0, MOST_TOLD).map(({ name, place }) => {
      const detail = `the terms read ${cut(offered.join(', '))}${didYouMean(name, offered)}`
      return { pointer: `/gradients/${place}`, detail }
    }),
  )
}

/** Terms arrive in any order; a term of weight 0 is computed, and counts nothing whatever it holds. */
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

  /** A term of weight 0 counts nothing, but its value leaves, too. */
  #refuseTerms() {
    this.terms.forEach((checked, place) => {
      const { value } = this.#found.get(checked)!
      if (!Number.isFinite(value))
        throw problemAt('non-finite-result', `/terms/${place}/value`, `is ${value}`)
    })
  }
}
