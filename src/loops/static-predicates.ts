/**
 * Constant specialization: finds the conditions that depend only on parameters. They are known before a launch, so
 * kernels and shaders are specialized for their values, and what a parameter switches off costs nothing.
 */
import type { Node, Program } from '../language/ir.ts'
import { evaluateScalar, isElementwise } from '../language/scalar.ts'

/** Node of the program -> whether the condition is true. */
export type StaticPredicates = ReadonlyMap<number, boolean>

export const NO_STATIC_PREDICATES: StaticPredicates = new Map()

const SWITCHES = new WeakMap<Program, readonly number[]>()

/**
 * @param scalars the values of the parameters
 * @example
 * evaluateStaticPredicates(program, { gamma: 2 }) // Map { 31 => true }
 */
export function evaluateStaticPredicates(
  program: Program,
  scalars: Readonly<Record<string, number>>,
): StaticPredicates {
  const switches = SWITCHES.get(program) ?? switchesOf(program)
  SWITCHES.set(program, switches)
  if (switches.length === 0) return NO_STATIC_PREDICATES
  const known = new Map<number, number>()
  const value = (id: number): number => {
    const found = known.get(id) ?? scalarOf(program.nodes[id], scalars, value)
    known.set(id, found)
    return found
  }
  return new Map(switches.map((id) => [id, value(id) !== 0]))
}

/** The conditions that depend only on parameters. */
export function switchesOf({ nodes }: Program): number[] {
  const known: boolean[] = []
  for (const { op, axes, args } of nodes) {
    const isComputed = isElementwise(op) && axes.length === 0 && args.every((arg) => known[arg])
    known.push(op === 'scalar' || op === 'constant' || isComputed)
  }
  return nodes.flatMap(({ type, op }, id) => (type === 'bool' && op !== 'constant' && known[id] ? [id] : []))
}

function scalarOf(
  { op, args, value, name }: Node,
  scalars: Readonly<Record<string, number>>,
  inner: (id: number) => number,
): number {
  if (op === 'constant') return value!
  return op === 'scalar' ? scalars[name!] : evaluateScalar(op, args.map(inner))
}
