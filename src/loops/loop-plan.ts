/**
 * The plan (loop IR): loops over axes, and in them what is computed, stored in scratch memory, loaded and
 * accumulated. Data only: planner.ts creates it from a legalized program, emit.ts turns it into WebAssembly,
 * print-plan.ts into text.
 */
import { isHostOp } from '../language/host-ops.ts'
import type { Node, Op } from '../language/ir.ts'
import { isRemapped, memoryReadOf } from './access-map.ts'
import type { LegalizedProgram, ProgramOutput } from './legalize.ts'
import type { Extent } from './whole-axis.ts'

/** A block of memory: an input, a result, or scratch. */
export interface Buffer {
  readonly id: number
  readonly role: 'input' | 'cotangent' | ProgramOutput['role'] | 'scratch'
  /** The input, for inputs and gradients. */
  readonly name: string
  /** Slowest first. */
  readonly axes: readonly string[]
  /** What an input holds; everything else is as the lanes are. */
  readonly type: 'real' | 'index'
  /** Scratch memory inside of a vectorized loop holds a vector per element. */
  readonly vectors: boolean
  /** The size of the workspace of a whole-axis op, which has no axes and no elements. */
  readonly extent?: Extent
}

/** A sum or maximum while its loop runs. */
export interface Accumulator {
  readonly node: number
  /** Its memory, if it has axes of loops deeper than its own; otherwise it is in a local variable. */
  readonly memory: CompensatedSumBuffers | undefined
}

/**
 * A sum consists of three parts: the sum of the current block, the total of all blocks, and the rounding error of
 * the total.
 */
export interface CompensatedSumBuffers {
  readonly partial: Buffer
  readonly total: Buffer
  readonly lost: Buffer
}

export type Statement =
  | Loop
  /** Computes the value of a node from its arguments. */
  | { readonly kind: 'compute'; readonly node: number }
  /**
   * Loads the value of a node from memory. The buffer contains `source`: the node itself, or the node that a `rename` or `shift`
   * reads with renamed axes or at a distance.
   */
  | { readonly kind: 'load'; readonly node: number; readonly source: number; readonly buffer: Buffer }
  | { readonly kind: 'store'; readonly node: number; readonly buffer: Buffer }
  | { readonly kind: 'accumulate'; readonly node: number; readonly memory: CompensatedSumBuffers | undefined }
  | WholeAxisStatement

/** Computes a whole-axis op from arrays in memory. */
export interface WholeAxisStatement {
  readonly kind: 'whole axis'
  readonly node: number
  /** Where each operand is; undefined if it is a number. */
  readonly operands: readonly (Buffer | undefined)[]
  /** Where the result goes; undefined if it is a number. */
  readonly result: Buffer | undefined
  readonly workspace: Buffer | undefined
}

export interface Loop {
  readonly kind: 'loop'
  readonly axis: string
  /** Whether the loop is vectorized: an iteration computes as many elements as there are lanes. */
  readonly lanes: boolean
  readonly accumulators: readonly Accumulator[]
  readonly body: readonly Statement[]
}

export interface Plan {
  readonly program: LegalizedProgram
  readonly buffers: readonly Buffer[]
  readonly body: readonly Statement[]
  /**
   * The axis of the outermost loop, if its iterations are independent, so that they can run in any order on any
   * thread.
   */
  readonly separable: string | undefined
}

/** Estimated cost of an op in simple vector instructions. */
export const COSTS: Readonly<Partial<Record<Op, number>>> = {
  input: 1,
  index: 1,
  cotangent: 1,
  expand: 0,
  select: 1,
  mul_no_nan: 3,
  div: 4,
  sqrt: 5,
  safe_sqrt: 5,
  pick: 4,
  rename: 2,
  shift: 2,
  exp: 20,
  log: 25,
  log1p: 35,
  expm1: 25,
  tanh: 30,
  pow: 100,
  sin: 80,
  cos: 80,
  atan: 60,
  asin: 60,
  acos: 60,
  log2: 70,
  log10: 70,
  erf: 80,
  lgamma: 300,
  digamma: 300,
  polygamma: 300,
  argsort: 100,
  gather: 4,
  scatter: 8,
  cumsum: 4,
  reverse_cumsum: 4,
  recurrence: 6,
  reverse_recurrence: 6,
  cummax_place: 6,
  ctc: 20,
  ctc_slope: 40,
  soft_dtw: 100,
  soft_dtw_slope: 200,
}

/** Estimated cost of one iteration of a loop, without inner loops. */
export function costOf(body: readonly Statement[], { nodes }: LegalizedProgram): number {
  return body.reduce((total, statement) => {
    if (statement.kind === 'loop') return total
    return total + (statement.kind === 'compute' ? (COSTS[nodes[statement.node].op] ?? 1) : 1)
  }, 0)
}

/** Estimated cost of one iteration of all loops. */
export function totalCost({ nodes }: LegalizedProgram): number {
  return nodes.reduce((total, { op, axes }) => total + (axes.length === 0 ? 0 : (COSTS[op] ?? 1)), 1)
}

const SCALARS = new WeakMap<LegalizedProgram, readonly boolean[]>()

/** Nodes that have no axes and read no elements. JavaScript computes them in float64 before the launch. */
export function isScalar(program: LegalizedProgram, id: number): boolean {
  const known = SCALARS.get(program) ?? scalarsOf(program)
  SCALARS.set(program, known)
  return known[id]
}

function scalarsOf({ nodes }: LegalizedProgram): boolean[] {
  const found: boolean[] = []
  for (const { op, axes, args } of nodes) {
    const isGiven = op === 'scalar' || op === 'constant' || op === 'size'
    const isComputed = args.length > 0 && op !== 'pick' && args.every((arg) => found[arg])
    found.push(axes.length === 0 && (isGiven || isComputed))
  }
  return found
}

/** Whether a node reads memory that exists before the kernel runs. */
export function readsInput({ nodes }: LegalizedProgram, node: Node): boolean {
  const isChain = isRemapped(node) || node.op === 'pick'
  const { op } = isChain ? nodes[memoryReadOf(nodes, node.args[0]).source] : node
  return op === 'input' || (op === 'cotangent' && node.op !== 'pick')
}

/** The node that is stored entirely because another one reads it with renamed axes or at a distance. */
export function materializedSource(program: LegalizedProgram, id: number): number | undefined {
  const node = program.nodes[id]
  return isRemapped(node) && !readsInput(program, node) ? memoryReadOf(program.nodes, id).source : undefined
}

/** Whether a node walks along whole axes, so that it is not computed element by element. */
export function isWholeAxis({ op }: Node): boolean {
  return isHostOp(op)
}

/** A sum or maximum over one axis, possibly of a product. */
export function isReduction({ op }: Node): boolean {
  return op === 'reduce_sum' || op === 'reduce_max' || op === 'contract'
}
