/** Legalization for the engines that compile kernels: what is too large, or cannot be said in loops, is left to another engine. */
import { TooManyNodes } from '../language/builder.ts'
import { isHostOp } from '../language/host-ops.ts'
import type { Program } from '../language/ir.ts'
import { type LegalizedProgram, legalize, type Specialization } from '../loops/legalize.ts'
import { UnsupportedByEngine } from './contract.ts'

/**
 * For engines that run nothing but loops over elements.
 *
 * @throws UnsupportedByEngine if the program has whole-axis ops
 */
export function withoutWholeAxisOps(program: Program): Program {
  const whole = program.nodes.find(({ op }) => isHostOp(op))
  if (whole !== undefined) throw new UnsupportedByEngine(`${whole.op} takes whole lines`)
  return program
}

/**
 * @param maxNodes the largest program that the engine compiles
 * @throws UnsupportedByEngine if the program has more nodes
 * @example
 * legalizeWithin(4096, program, { uniform: false, staticPredicates: new Map() }).roots
 */
export function legalizeWithin(
  maxNodes: number,
  program: Program,
  variant: Omit<Specialization, 'lanes'>,
): LegalizedProgram {
  const { length } = program.nodes
  if (length > maxNodes)
    throw new UnsupportedByEngine(`it has ${length} operations, the limit is ${maxNodes}`)
  try {
    return legalize(program, variant)
  } catch (error) {
    throw error instanceof TooManyNodes ? new UnsupportedByEngine(error.message) : error
  }
}
