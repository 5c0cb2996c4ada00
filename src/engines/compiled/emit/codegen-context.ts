/**
 * The state of code generation at one point of a kernel: the function, the loops that are open at this point, and
 * the values that are in locals. It emits no loads, no arithmetic and no loops; the other files in this folder do.
 */
import type { Node } from '../../../language/ir.ts'
import type { LegalizedProgram } from '../../../loops/legalize.ts'
import { type Buffer, isScalar, type Plan } from '../../../loops/loop-plan.ts'
import { type ElementTypes, storedTypeOf } from '../element-types.ts'
import type { LaneType, StoredType } from '../lane-type.ts'
import { type Code, constI32x4, FunctionBuilder, get, I32, op, set, V128 } from '../wasm-encoder.ts'
import type { TargetFeatures } from '../wide.ts'
import type { Helpers } from './helpers.ts'
import { KernelParams } from './kernel-params.ts'

/** A loop whose body is being emitted. */
export interface OpenLoop {
  readonly axis: string
  readonly index: number
  readonly lanes: boolean
  /** Code at the start of the body: addresses that change only with this loop (loop-invariant code motion). */
  readonly prologue: Code[]
  readonly addresses: Map<string, Code>
  /**
   * Vectors per iteration, emitted interleaved so that their latencies overlap: the next elements along the lanes,
   * or, in a loop inside of the vectorized one, the next elements of that loop.
   */
  readonly copies: number
  /** Whether all lanes are within the axis. */
  readonly full: boolean
  /** In a vectorized loop that is not full: which lanes are within the axis, and how many elements are left. */
  mask: Code | undefined
  left: Code | undefined
  /** Tiles of as many rows as there are lanes that have been loaded, or that are waiting to be stored. */
  readonly tiles: Map<string, readonly Code[]>
  /** For sums over this loop: the terms of an iteration. */
  readonly terms: Map<number, readonly Code[]>
  readonly totals: Map<string, Code>
}

/** One kernel while it is being emitted. */
export class CodegenContext {
  readonly plan: Plan
  readonly program: LegalizedProgram
  readonly nodes: readonly Node[]
  readonly target: TargetFeatures
  readonly types: ElementTypes
  readonly f = new FunctionBuilder([I32], [])
  readonly words: KernelParams
  readonly helpers: Helpers
  readonly loops: OpenLoop[] = []
  readonly #values = new Map<number, Code>()
  /** Values of the unrolled loop that is being emitted, one map for each vector of an iteration. */
  #copies: Map<number, Code>[] = []
  #copy = 0
  readonly #totals = new Map<string, Code>()

  constructor(plan: Plan, target: TargetFeatures, types: ElementTypes, helpers: Helpers) {
    this.plan = plan
    this.program = plan.program
    this.nodes = plan.program.nodes
    this.target = target
    this.types = types
    this.words = new KernelParams(this.f, types)
    this.helpers = helpers
  }

  /** The type of the lanes. */
  get lane(): LaneType {
    return this.types.lane
  }

  /** How the elements of a buffer are stored. */
  stored(buffer: Buffer): StoredType {
    return storedTypeOf(this.types, buffer)
  }

  // Values

  define(node: number, value: Code) {
    const values = this.#copies[this.#copy] ?? this.#values
    values.set(node, this.f.let(value))
  }

  value(node: number): Code {
    if (isScalar(this.program, node)) return this.#constant(node) ?? this.words.scalar(node)
    return this.#copies[this.#copy]?.get(node) ?? this.#values.get(node)!
  }

  #constant(node: number): Code | undefined {
    const { op: name, type, value } = this.nodes[node]
    if (name !== 'constant') return undefined
    return type === 'bool' ? constI32x4(value === 0 ? 0 : -1) : this.lane.constant(value!)
  }

  /** The buffer of an input or of the cotangent. */
  inputBuffer({ op: name, name: input }: Node): Buffer {
    const role = name === 'cotangent' ? 'cotangent' : 'input'
    return this.plan.buffers.find(
      (buffer) => buffer.role === role && (role === 'cotangent' || buffer.name === input),
    )!
  }

  // Copies of an unrolled body

  /** Which vector of the iteration is being emitted. */
  get copy(): number {
    return this.#copy
  }

  /** The number of elements of a loop before the current vector of its iteration. */
  skippedIn({ copies, lanes }: OpenLoop): number {
    return copies === 1 ? 0 : this.#copy * (lanes ? this.lane.count : 1)
  }

  /** Emits each part for all vectors of an iteration before the next part. */
  unrolled<Part>(copies: number, parts: readonly Part[], write: (part: Part) => void) {
    if (copies === 1) return parts.forEach(write)
    this.#copies = Array.from({ length: copies }, () => new Map())
    for (const part of parts) {
      for (this.#copy = 0; this.#copy < copies; this.#copy++) write(part)
    }
    this.#copies = []
    this.#copy = 0
  }

  // Loops

  /** The totals of tables that have been computed in this iteration, whose workspaces can be read. */
  get totals(): Map<string, Code> {
    return this.innermost?.totals ?? this.#totals
  }

  get innermost(): OpenLoop | undefined {
    return this.loops.at(-1)
  }

  /** The code that `write` adds inside of a loop, preceded by code that depends only on the loop. */
  inside(loop: OpenLoop, write: () => void): Code {
    this.loops.push(loop)
    const body = this.f.capture(write)
    this.loops.pop()
    return [loop.prologue, body]
  }

  loopOver(axis: string): OpenLoop {
    return this.loops.find((open) => open.axis === axis)!
  }

  get laneLoop(): OpenLoop | undefined {
    return this.loops.find(({ lanes }) => lanes)
  }

  /** Whether a loop over this axis, opened here, covers only the elements of this slice. */
  isSliced(axis: string): boolean {
    return this.loops.length === 0 && axis === this.plan.separable
  }

  /** The end of an open loop. */
  endOf(loop: OpenLoop): Code {
    const isSliced = this.loops[0] === loop && loop.axis === this.plan.separable
    return isSliced ? this.words.last() : this.words.size(loop.axis)
  }

  /** How many elements of a vectorized loop are left, including those in the lanes. */
  leftOf(loop: OpenLoop): Code {
    if (loop.left !== undefined) return loop.left
    const local = this.f.local(I32)
    loop.prologue.push(set(local, op('i32.sub', this.endOf(loop), get(loop.index))))
    loop.left = get(local)
    return loop.left
  }

  /** All bits set in the lanes that are within the axis. */
  maskOf(loop: OpenLoop): Code {
    if (loop.mask !== undefined) return loop.mask
    const local = this.f.local(V128)
    const [places, end] = [this.lane.indices(get(loop.index)), this.lane.indexSplat(this.endOf(loop))]
    loop.prologue.push(set(local, this.lane.compareWhole('lt', false, places, end)))
    loop.mask = get(local)
    return loop.mask
  }
}
