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
  const value = (id: number): number => scalarOf(program.nodes[id], scalars, value)
  return new Map(switches.map((id) => [id, value(id) !== 0]))
}

function switchesOf({ nodes }: Program): number[] {
  const dependsOnParams = (node: Node): boolean =>
    node.op === 'scalar' ||
    node.op === 'constant' ||
    (isElementwise(node.op) &&
      node.axes.length === 0 &&
      node.args.every((arg) => dependsOnParams(nodes[arg])))
  return nodes.flatMap((node, id) =>
    node.type === 'bool' && node.op !== 'constant' && dependsOnParams(node) ? [id] : [],
  )
}

function scalarOf(
  { op, args, value, name }: Node,
  scalars: Readonly<Record<string, number>>,
  inner: (id: number) => number,
): number {
  if (op === 'constant') return value!
  return op === 'scalar' ? scalars[name!] : evaluateScalar(op, args.map(inner))
}
