/**
 * A program and the nesting order of its loops: what the planner and its blocks need to know about nodes and axes,
 * and the buffers that they have allocated.
 */
import type { Node } from '../../language/ir.ts'
import { memoryReadOf } from '../access-map.ts'
import type { LegalizedProgram } from '../legalize.ts'
import { fastestAxis } from '../loop-interchange.ts'
import {
  type Buffer,
  type CompensatedSumBuffers,
  isReduction,
  isScalar,
  isWholeAxis,
  materializedSource,
  readsInput,
} from '../loop-plan.ts'
import { operandAxes, ownAxesOf, workspaceOf } from '../whole-axis.ts'
import type { WorkItem } from './work-items.ts'

/** The state that a planner and its blocks share. */
export class PlannerContext {
  readonly program: LegalizedProgram
  readonly nodes: readonly Node[]
  readonly order: readonly string[]
  readonly buffers: Buffer[] = []
  /** Node -> the result buffers to which it is written. */
  readonly roots: ReadonlyMap<number, readonly Buffer[]>
  /** The memory of sums with deeper axes. */
  readonly memory = new Map<number, CompensatedSumBuffers>()
  /** Where such a sum is copied to, because it is read outside of its block. */
  readonly copies = new Map<number, Buffer>()
  readonly #workspaces = new Map<string, Buffer>()
  /**
   * The axis of the outermost loop, if its iterations are independent, so that they can run in any order on any
   * thread.
   */
  separable: string | undefined
  readonly #fastest: string | undefined
  readonly #lanes: string | undefined

  /** @param lanes the axis whose loops are vectorized, at whatever depth they are */
  constructor(program: LegalizedProgram, order: readonly string[], lanes: string | undefined) {
    this.program = program
    this.nodes = program.nodes
    this.order = order
    this.#fastest = fastestAxis(program)
    this.#lanes = lanes
    for (const [name, { axes, type }] of Object.entries(program.inputs))
      this.#buffer('input', name, axes, { type })
    const cotangent = program.nodes.find(({ op }) => op === 'cotangent')
    if (cotangent !== undefined) this.#buffer('cotangent', '', cotangent.axes)
    this.roots = this.#rootBuffers()
  }

  #rootBuffers(): Map<number, Buffer[]> {
    const roots = new Map<number, Buffer[]>()
    for (const { role, name, node, axes } of this.program.roots) {
      roots.set(node, [...(roots.get(node) ?? []), this.#buffer(role, name, axes)])
    }
    return roots
  }

  #buffer(
    role: Buffer['role'],
    name: string,
    axes: readonly string[],
    { type = 'real', vectors = false, ...rest }: Partial<Pick<Buffer, 'type' | 'vectors' | 'extent'>> = {},
  ): Buffer {
    const buffer = { id: this.buffers.length, role, name, axes, type, vectors, ...rest }
    this.buffers.push(buffer)
    return buffer
  }

  /** A scratch buffer for a value with these axes. The fastest one is contiguous. */
  scratch(node: number, axes: readonly string[], vectors: boolean): Buffer {
    const ordered = [...axes].sort((a, b) => Number(this.isFastest(a)) - Number(this.isFastest(b)))
    return this.#buffer('scratch', String(node), ordered, { vectors })
  }

  /** Memory that a whole-axis op uses while it runs. */
  workspace(node: number): Buffer | undefined {
    const need = workspaceOf(this.nodes, this.nodes[node])
    if (need === undefined) return undefined
    const { key, extent } = need
    const known = this.#workspaces.get(key) ?? this.#buffer('scratch', key, [], { extent })
    this.#workspaces.set(key, known)
    return known
  }

  // Nodes

  isRoot(node: number): boolean {
    return this.roots.has(node)
  }

  isScalar(node: number): boolean {
    return isScalar(this.program, node)
  }

  /** The node that is read with renamed axes or at a distance, and so must be stored entirely. */
  storedSource(node: number): number | undefined {
    return materializedSource(this.program, node)
  }

  /** The nodes that must be in memory entirely before this one is computed, because it does not read them element by element. */
  storedArgs(node: number): readonly number[] {
    if (isWholeAxis(this.nodes[node])) return this.#arrays(node).filter((arg) => !this.isInput(arg))
    const source = this.storedSource(node)
    return source === undefined ? [] : [source]
  }

  /** The operands of a whole-axis op that are arrays. */
  #arrays(node: number): readonly number[] {
    const { args } = this.nodes[node]
    const axes = operandAxes(this.nodes[node], args, (arg) => this.nodes[arg].axes)
    return args.filter((_, place) => axes[place].length > 0)
  }

  /** Whether an operand of a whole-axis op is an array. */
  isArray(node: number, arg: number): boolean {
    return this.#arrays(node).includes(arg)
  }

  /** Whether the node is in memory before the kernel runs. */
  isInput(node: number): boolean {
    return this.nodes[node].op === 'input'
  }

  inputBuffer(node: number): Buffer {
    const { name } = this.nodes[node]
    return this.buffers.find((buffer) => buffer.role === 'input' && buffer.name === name)!
  }

  /**
   * Whether a node reads elements of another one that the loop over the axis may not have computed yet, so that the loop
   * must end first: at a distance, or with renamed axes (in a transposed matrix, each axis has the name of the other).
   */
  readsAcross(node: number, axis: string): boolean {
    if (this.storedSource(node) === undefined) return false
    return Object.entries(memoryReadOf(this.nodes, node).axes).some(
      ([own, { loop, steps }]) => (loop === axis && steps !== 0) || (own === axis && loop !== axis),
    )
  }

  /** The nodes whose values an item needs. */
  argsOf({ act, node }: WorkItem): readonly number[] {
    if (act === 'sum') return []
    const { op, args } = this.nodes[node]
    if (isWholeAxis(this.nodes[node]))
      return this.#real(args.filter((arg) => !this.isInput(arg) || !this.isArray(node, arg)))
    if (op === 'pick') return this.#real(args.slice(1))
    const source = this.storedSource(node)
    if (source !== undefined) return [source]
    return readsInput(this.program, this.nodes[node]) ? [] : this.#real(args)
  }

  #real(args: readonly number[]): readonly number[] {
    return args.filter((arg) => !this.isScalar(arg))
  }

  // Axes

  isFastest(axis: string): boolean {
    return axis === this.#fastest
  }

  isForLanes(axis: string): boolean {
    return axis === this.#lanes
  }

  /** Whether the axis is the second name of another one: then its flat part is worth a loop of its own. */
  isPair(axis: string): boolean {
    return this.program.renamed[axis] !== undefined
  }

  deeper(axes: readonly string[], depth: number): string[] {
    return this.order.slice(depth).filter((axis) => axes.includes(axis))
  }

  /** The axes of a value in memory: those of deeper loops, and those that it is computed along as a whole. */
  storedAxes(node: number, depth: number): string[] {
    const whole = isWholeAxis(this.nodes[node]) ? ownAxesOf(this.nodes[node]) : []
    const inner = this.order.filter((axis, place) => place >= depth || whole.includes(axis))
    return inner.filter((axis) => this.nodes[node].axes.includes(axis))
  }

  /** The axes of the inner loops. */
  below(depth: number): readonly string[] {
    return this.order.slice(depth + 1)
  }

  isInside({ act, node }: WorkItem, axis: string): boolean {
    if (act === 'add') return this.nodes[node].args.some((arg) => this.nodes[arg].axes.includes(axis))
    if (isWholeAxis(this.nodes[node]) && ownAxesOf(this.nodes[node]).includes(axis)) return false
    const isAdded = act === 'value' && isReduction(this.nodes[node]) && this.nodes[node].axis === axis
    return isAdded || this.nodes[node].axes.includes(axis)
  }
}
