/**
 * An LRU cache of programs: loss + structure of a request -> program. Parameters that are words, booleans or integers
 * are part of the structure (constant specialization); real ones stay run-time scalars.
 */

import { Kind as SchemaKind, type TSchema } from '@sinclair/typebox'
import { TooManyNodes } from '../language/builder.ts'
import { isValueIndependentAlong } from '../language/coupling.ts'
import type { InputLayout, Program } from '../language/ir.ts'
import { lower, lowerTraced, type ParamBinding, type Scope, type TracedProgram } from '../language/lower.ts'
import { LruCache } from '../lru.ts'
import {
  type BatchDependence,
  type InputSpec,
  KIND_OF_SOFT_LABELS,
  type Loss,
  type Params,
} from './define.ts'

/**
 * The structure of a request, which determines its program: which inputs there are, their memory layout, and parameters
 * that are words, booleans or integers. Real parameters (delta, gamma ...) can change at every step of a training without
 * a new program.
 */
export interface ProgramSignature {
  readonly inputs: Readonly<Record<string, InputLayout>>
  readonly params: Params
  /** Inputs whose gradients are requested, in the loss's order. */
  readonly wants: readonly string[]
  /** Those of them whose second derivatives are also requested. */
  readonly hessians: readonly string[]
}

export interface LossProgram {
  /** Equal keys mean equal programs. */
  readonly key: string
  readonly program: Program
  /** The parameters that are passed at run time. */
  readonly scalars: Readonly<Record<string, number>>
}

/** Limits of the cache: programs, and their nodes, each of which takes about 300 bytes. */
const CACHED = { entries: 1024, weight: 24_576 } as const

/** Maximum number of nodes in a program: the compile time of an engine grows with them. */
const MAX_NODES = 4096

/** A program that is too large for any engine. */
export class ProgramTooLarge extends Error {
  override readonly name = 'ProgramTooLarge'
}

export type ProgramSource = (loss: Loss, structure: ProgramSignature) => LossProgram

/**
 * A source of programs with a bounded cache of its own.
 *
 * @param onCrowded called for each program that is made while the cache is at least half full
 * @example
 * const programs = createProgramSource()
 * programs(huber, { inputs: { predictions: layout, targets: layout }, params: { delta: 1 }, wants: ['predictions'], hessians: [] })
 */
export function createProgramSource(onCrowded?: () => void): ProgramSource {
  const kept = new LruCache<string, Omit<LossProgram, 'scalars'>>(CACHED)
  const keep = (made: Omit<LossProgram, 'scalars'>) => {
    if (kept.size > CACHED.entries / 2 || kept.weight > CACHED.weight / 2) onCrowded?.()
    return kept.set(made.key, made, made.program.nodes.length)
  }
  return (loss, structure) => {
    const bindings = bindParams(loss, structure.params)
    const key = keyOf(loss, structure, bindings)
    const made = kept.get(key) ?? keep(makeProgram(loss, structure, bindings, key))
    return { ...made, scalars: scalarsOf(bindings, structure.params) }
  }
}

type Bindings = Readonly<Record<string, ParamBinding>>

function makeProgram(
  loss: Loss,
  structure: ProgramSignature,
  params: Bindings,
  key: string,
): Omit<LossProgram, 'scalars'> {
  const scope = scopeWith(loss, structure, params)
  const { wants, hessians } = structure
  const make = () => lower(loss.formula, scope, wants, loss.denominator, hessians)
  const program = withinLimits(loss, make)
  checkLength(loss, program)
  return { key, program }
}

/**
 * A program with the names and places of its formula, for those who read it. It is not cached.
 *
 * @throws ProgramTooLarge, FormulaError, NoHessian
 */
export function traceProgram(loss: Loss, structure: ProgramSignature): TracedProgram {
  const scope = scopeOf(loss, structure)
  const { wants, hessians } = structure
  const make = () => lowerTraced(loss.formula, scope, wants, loss.denominator, hessians)
  const traced = withinLimits(loss, make)
  checkLength(loss, traced.program)
  return traced
}

function checkLength({ name }: Loss, { nodes: { length } }: Program) {
  if (length <= MAX_NODES) return
  throw new ProgramTooLarge(
    `${name} and its derivatives take ${length} operations, the limit is ${MAX_NODES}`,
  )
}

/** @throws ProgramTooLarge if it would take too long to build */
function withinLimits<T>({ name }: Loss, make: () => T): T {
  try {
    return make()
  } catch (error) {
    if (!(error instanceof TooManyNodes)) throw error
    throw new ProgramTooLarge(`${name} and its derivatives are too large: ${error.message}`)
  }
}

/** What the formula of a loss may refer to in a request of this structure. */
export function scopeOf(loss: Loss, structure: Pick<ProgramSignature, 'inputs' | 'params'>): Scope {
  return scopeWith(loss, structure, bindParams(loss, structure.params))
}

function scopeWith(loss: Loss, { inputs }: Pick<ProgramSignature, 'inputs'>, params: Bindings): Scope {
  return {
    inputs,
    absent: Object.keys(loss.inputs).filter((name) => !(name in inputs)),
    params,
    axes: axesOf(loss),
    renamed: declaredSizes(loss),
    differentiable: Object.keys(loss.inputs).filter((name) => loss.inputs[name].differentiable),
  }
}

/** The parameters of a loss that its formula gets at run time. */
export function runTimeParams(loss: Loss, params: Params): Readonly<Record<string, number>> {
  return scalarsOf(bindParams(loss, params), params)
}

/**
 * All axes of a loss in the order of declaration. `...` comes right after the batch axis, so that rows are
 * contiguous.
 */
export function axesOf(loss: Pick<Loss, 'inputs'>): string[] {
  const declared = [...new Set(Object.values(loss.inputs).flatMap((input) => input.axes))]
  if (!declared.includes('...') || declared[0] === '...') return declared
  const [first, ...rest] = declared.filter((axis) => axis !== '...')
  return [first!, '...', ...rest]
}

/** Whether an input with this layout contains class indices. */
export function holdsIndices(spec: InputSpec, layout: readonly string[]): boolean {
  if (Object.hasOwn(KIND_OF_SOFT_LABELS, spec.kind)) return !layout.includes('classes')
  return spec.kind === 'class' || spec.kind === 'count' || spec.kind === 'index_list'
}

/** The slowest axis: sample weights apply to it, and jobs are concatenated along it. */
export function batchAxisOf({ inputs }: Pick<Loss, 'inputs'>): string {
  return Object.values(inputs).find(({ axes }) => axes.length > 0)!.axes[0]
}

/**
 * Axes whose sizes are declared -> the axis or the number that they have the size of. Such an axis is a second name
 * of that one.
 *
 * @example
 * declaredSizes({ inputs: { logits: input('rows,texts=rows', 'real') } }) // { texts: 'rows' }
 */
export function declaredSizes({ inputs }: Pick<Loss, 'inputs'>): Readonly<Record<string, string>> {
  const direct: Record<string, string> = Object.assign({}, ...Object.values(inputs).map(({ sizes }) => sizes))
  const rootOf = (axis: string): string => (Object.hasOwn(direct, axis) ? rootOf(direct[axis]) : axis)
  return Object.fromEntries(Object.entries(direct).map(([axis, size]) => [axis, rootOf(size)]))
}

/** How rows depend on each other according to the program, whatever the loss declares: batching relies on this. */
export function batchDependenceOf(program: Program, { couples }: Loss, first: string): BatchDependence {
  if (!isValueIndependentAlong(program, first)) return 'batch'
  if (couples !== 'batch') return couples
  return first === '...' ? 'element' : 'row'
}

function keyOf(loss: Loss, { inputs, wants, hessians }: ProgramSignature, params: Bindings): string {
  const layouts = Object.entries(inputs).map(([name, { type, axes }]) => `${name}:${type}[${axes.join(',')}]`)
  const fixed = Object.entries(params).map(
    ([name, param]) => `${name}=${param.kind === 'scalar' ? '*' : String(param.value)}`,
  )
  return `${loss.name}@${loss.id}|${layouts.join(';')}|${fixed.join(';')}|${wants.join(',')}|${hessians.join(',')}`
}

/** The name of the loss in a program's key, for reports about programs. */
export function lossNameOfKey(programKey: string): string {
  return programKey.slice(0, programKey.indexOf('@'))
}

function bindParams(loss: Loss, params: Params): Bindings {
  const bound = Object.entries(loss.params.properties).map(([name, schema]) => {
    return [name, bindParam(schema, params[name])] as const
  })
  return Object.fromEntries(bound)
}

function bindParam(schema: TSchema, value: Params[string]): ParamBinding {
  if (typeof value === 'object' && value !== null) return { kind: 'list', value }
  if (typeof value === 'string') return { kind: 'word', value, words: wordsOf(schema) }
  const isScalar = typeof value === 'number' && !isStructural(schema)
  return isScalar ? { kind: 'scalar' } : { kind: 'fixed', value }
}

/** Integers, and numbers marked `structural`, determine the program. All other numbers are passed at run time. */
function isStructural(schema: TSchema): boolean {
  const alternatives: readonly TSchema[] = schema.anyOf ?? [schema]
  return alternatives.some((part) => part[SchemaKind] === 'Integer' || part.structural === true)
}

function wordsOf(schema: TSchema): string[] {
  const alternatives: readonly TSchema[] = schema.anyOf ?? [schema]
  return alternatives.map((part) => part.const).filter((word): word is string => typeof word === 'string')
}

function scalarsOf(bindings: Bindings, params: Params): Record<string, number> {
  const scalars = Object.entries(bindings).filter(([, binding]) => binding.kind === 'scalar')
  return Object.fromEntries(scalars.map(([name]) => [name, params[name] as number]))
}
