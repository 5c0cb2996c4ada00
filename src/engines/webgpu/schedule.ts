/**
 * Kernel fusion: legalized program -> stages (dispatches). Values between sums are recomputed wherever they are used
 * (rematerialization); sums, factors of matrix products and values that are read with renamed axes are
 * stored.
 */
import type { Node } from '../../language/ir.ts'
import { isRemapped } from '../../loops/access-map.ts'
import type { LegalizedProgram, ProgramOutput } from '../../loops/legalize.ts'
import { COSTS, isReduction, isScalar } from '../../loops/loop-plan.ts'
import {
  type BufferDeclaration,
  type Dispatch,
  type KernelOp,
  type KernelSchedule,
  needsSplitReduction,
  type RowReductionKernel,
  rowTileSize,
  sizeClass,
  threadsPerRow,
} from './kernel-schedule.ts'

/** A factor of a matrix product that costs more than this is computed once and stored, instead of once per tile. */
const DEAR_FACTOR = 60

type Sizes = Readonly<Record<string, number>>

/**
 * The part of the sizes that determines the schedule: batches with equal keys share it, and its pipelines. Jobs are
 * concatenated along the first axis, so it counts only if something is summed over it, which prevents
 * concatenation.
 */
export function scheduleKey(program: LegalizedProgram, sizes: Sizes): string {
  const summed = summedAxes(program)
  const classes = program.axes.map((axis) =>
    summed.has(axis) ? sizeClass(sizes[axis]) : isFirst(program, axis) ? '' : Number(sizes[axis] > 1),
  )
  return classes.join()
}

/** Under either of its names. */
function isFirst({ axes, renamed }: LegalizedProgram, axis: string): boolean {
  return axis === axes[0] || renamed[axis] === axes[0]
}

/** Maximum number of nodes that are considered in a vote about layouts. */
const MOST_VISITS = 10_000

const SUMMED = new WeakMap<LegalizedProgram, ReadonlySet<string>>()

function summedAxes(program: LegalizedProgram): ReadonlySet<string> {
  const found =
    SUMMED.get(program) ?? new Set(program.nodes.flatMap((node) => (isReduction(node) ? [node.axis!] : [])))
  SUMMED.set(program, found)
  return found
}

/**
 * A sum is fused into an earlier stage if everything that it needs is known there at the same point, so that a whole
 * row (maximum, sum, value, gradient) is one dispatch.
 *
 * @param sizes any sizes with the same `scheduleKey`
 */
export function schedule(program: LegalizedProgram, sizes: Sizes): KernelSchedule {
  return new Cutter(program, sizes).cut()
}

/** A stored node that an expression reads. */
interface Need {
  readonly node: number
  /** Whether it is read at a different point than the reader's own. */
  readonly elsewhere: boolean
}

interface OpenRows {
  readonly kind: 'rows'
  readonly axes: readonly string[]
  readonly along: boolean
  lanes: number
  readonly parts: string | undefined
  readonly items: KernelOp[]
}

type OpenStage = OpenRows | Exclude<Dispatch, { kind: 'rows' }>

/** A sum, as far as its stage is concerned. */
interface Reduction {
  readonly id: number
  readonly node: Node
  /** Whether memory is contiguous along the summed axis; undefined if hardly any memory is read. */
  readonly along: boolean | undefined
}

class Cutter {
  readonly #program: LegalizedProgram
  readonly #nodes: readonly Node[]
  readonly #sizes: Sizes
  readonly #stages: OpenStage[] = []
  readonly #blocks: BufferDeclaration[] = []
  /** Nodes that are stored although they are not sums. */
  readonly #kept = new Set<number>()
  /** Stored node -> the stage that computes it. */
  readonly #stageOf = new Map<number, number>()
  readonly #homes = new Map<number, BufferDeclaration>()
  readonly #roots: readonly ProgramOutput[]

  constructor(program: LegalizedProgram, sizes: Sizes) {
    this.#program = program
    this.#nodes = program.nodes
    this.#sizes = sizes
    this.#roots = program.roots
  }

  cut(): KernelSchedule {
    const needed = this.#closure()
    for (const id of needed) this.#keepArguments(id)
    for (const id of needed) {
      if (isReduction(this.#nodes[id])) this.#reduction(id)
      else if (this.#kept.has(id)) this.#keep(id)
    }
    for (const root of this.#roots) this.#root(root)
    const stages = this.#stages.map((stage) => (stage.kind === 'rows' ? this.#withStrips(stage) : stage))
    const units = new Set(this.#program.axes.filter((axis) => this.#isUnit(axis)))
    return { program: this.#program, stages, blocks: this.#blocks, units }
  }

  /** Each thread handles a whole row, which is contiguous in memory. */
  #withStrips(stage: OpenRows): RowReductionKernel {
    const { along, lanes, parts, items } = stage
    if (!along || lanes > 1 || parts !== undefined) return { ...stage, strips: {} }
    const summed = items.flatMap((item) => (item.kind === 'reduce' ? [item.axis] : []))
    const strips = summed.map((axis) => [axis, rowTileSize(this.#sizes[axis])] as const)
    return {
      ...stage,
      strips: Object.fromEntries(strips.filter(([, bound]) => bound !== undefined)) as Record<string, number>,
    }
  }

  // Dependencies and costs

  #closure(): number[] {
    const found = new Set<number>()
    const visit = (id: number) => {
      if (found.has(id) || isScalar(this.#program, id)) return
      found.add(id)
      for (const arg of this.#nodes[id].args) visit(arg)
    }
    for (const { node } of this.#roots) visit(node)
    return [...found].sort((a, b) => a - b)
  }

  #keepArguments(id: number) {
    const node = this.#nodes[id]
    if (isRemapped(node)) this.#keepUnlessRead(node.args[0])
    if (isMatrix(this.#program, node)) {
      for (const arg of node.args) if (this.#costOf(arg) > DEAR_FACTOR) this.#keepUnlessRead(arg)
    }
  }

  #keepUnlessRead(id: number) {
    const { op, args } = this.#nodes[id]
    if (op === 'expand' || isRemapped(this.#nodes[id])) this.#keepUnlessRead(args[0])
    else if (!READ.has(op) && !isReduction(this.#nodes[id]) && !isScalar(this.#program, id))
      this.#kept.add(id)
  }

  /** The cost of computing one element from what is in memory. */
  #costOf(id: number, seen: Set<number> = new Set()): number {
    const node = this.#nodes[id]
    if (seen.has(id) || isReduction(node) || this.#kept.has(id) || isScalar(this.#program, id)) return 0
    seen.add(id)
    return node.args.reduce((sum, arg) => sum + this.#costOf(arg, seen), COSTS[node.op] ?? 1)
  }

  /** The stored nodes that the computation of these nodes reads, not including these nodes. */
  #needsOf(ids: readonly number[]): Need[] {
    const found = new Map<string, Need>()
    const seen = new Set<string>()
    const visit = (id: number, renamed: ReadonlySet<string>) => {
      const node = this.#nodes[id]
      const key = `${id} ${[...renamed]}`
      if (isScalar(this.#program, id) || seen.has(key)) return
      seen.add(key)
      if (this.#stageOf.has(id)) {
        const elsewhere = node.axes.some((axis) => renamed.has(axis))
        found.set(`${id} ${elsewhere}`, { node: id, elsewhere })
        return
      }
      const moved = isRemapped(node) || node.op === 'pick' ? new Set([...renamed, node.axis!]) : renamed
      for (const arg of node.args) visit(arg, moved)
    }
    for (const id of ids) visit(id, new Set())
    return [...found.values()]
  }

  // Scheduling of sums

  #reduction(id: number) {
    const node = this.#nodes[id]
    if (isMatrix(this.#program, node)) return this.#matrix(id, node)
    const found = { id, node, along: this.#runsAlong(node) }
    const lanes = found.along === false ? 1 : threadsPerRow(this.#sizes[node.axis!])
    if (needsSplitReduction(this.#sizes[node.axis!], lanes)) return this.#cutReduction(found, lanes)
    const needs = this.#needsOf(node.args)
    const place = this.#joinable(needs, (stage) => {
      const isFitting = found.along === undefined || stage.along === found.along
      return stage.parts === undefined && isFitting && isSame(stage.axes, node.axes)
    })
    const stage = place ?? this.#open(found, lanes, undefined)
    this.#add(stage, { kind: 'reduce', node: id, axis: node.axis!, from: undefined }, needs)
    const rows = this.#stages[stage] as OpenRows
    if (rows.along) rows.lanes = Math.max(rows.lanes, lanes)
    this.#stageOf.set(id, stage)
  }

  /** Split reduction: first the parts of the axis, then the partial sums. */
  #cutReduction(found: Reduction, lanes: number) {
    const { id, node } = found
    const needs = this.#needsOf(node.args)
    const first = this.#open(found, lanes, node.axis!)
    const { axes } = this.#stages[first] as OpenRows
    const block = this.#block('scratch', '', id, axes, node.axis!)
    this.#add(first, { kind: 'reduce', node: id, axis: node.axis!, from: undefined }, needs)
    this.#push(first, { kind: 'store', node: id, block, axis: undefined })
    const second = this.#open(found, found.along === false ? 1 : 64, undefined)
    this.#push(second, { kind: 'reduce', node: id, axis: node.axis!, from: block })
    this.#stageOf.set(id, second)
  }

  #matrix(id: number, node: Node) {
    const [left, right] = node.args.map((arg) => this.#nodes[arg].axes)
    this.#remember(this.#needsOf(node.args), this.#stages.length)
    const block = this.#block('scratch', '', id, node.axes)
    this.#homes.set(id, block)
    this.#stageOf.set(id, this.#stages.length)
    this.#stages.push({
      kind: 'tiles',
      node: id,
      axis: node.axis!,
      batch: node.axes.filter((axis) => left.includes(axis) && right.includes(axis)),
      rows: node.axes.filter((axis) => !right.includes(axis)),
      columns: node.axes.filter((axis) => !left.includes(axis)),
      block,
    })
  }

  #open(
    { node, along }: Pick<Reduction, 'node' | 'along'>,
    lanes: number,
    parts: string | undefined,
  ): number {
    const axes = this.#inOrderOfMemory(node.axes, node.args)
    return this.#stages.push({ kind: 'rows', axes, along: along !== false, lanes, parts, items: [] }) - 1
  }

  // Scheduling of results

  #keep(id: number) {
    const { axes } = this.#nodes[id]
    this.#store(id, this.#block('scratch', '', id, axes))
  }

  #root({ role, name, node, axes }: ProgramOutput) {
    this.#store(node, this.#block(role, name, node, axes))
  }

  #store(id: number, block: BufferDeclaration) {
    const needs = this.#needsOf([id])
    const place = this.#joinable(needs, (stage) => this.#takes(stage, block))
    const stage = place ?? this.#openElements(block)
    const { axes } = this.#stages[stage] as OpenRows
    const axis = block.axes.find((name) => !axes.includes(name))
    this.#add(stage, { kind: 'store', node: id, block, axis }, needs)
    if (block.role !== 'scratch') return
    this.#stageOf.set(id, stage)
    this.#homes.set(id, block)
  }

  /** Whether a stage visits every element of a block, with neighboring elements by neighboring threads. */
  #takes(stage: OpenRows, { axes }: BufferDeclaration): boolean {
    if (stage.parts !== undefined) return false
    if (isSame(stage.axes, axes)) return stage.lanes > 1 || stage.axes.at(-1) === axes.at(-1)
    const [axis, ...more] = axes.filter((name) => !stage.axes.includes(name))
    const isLoop = stage.items.some((item) => item.kind === 'reduce' && item.axis === axis)
    const isWhole = more.length === 0 && stage.axes.every((name) => axes.includes(name))
    return isLoop && isWhole && stage.along === (this.#fastest(axes) === axis)
  }

  #openElements({ axes }: BufferDeclaration): number {
    const stage = { kind: 'rows', axes, along: false, lanes: 1, parts: undefined, items: [] } as const
    return this.#stages.push({ ...stage, items: [] }) - 1
  }

  // Fusion

  /** The first stage that comes after everything that is needed, or computes it for the same point. */
  #joinable(needs: readonly Need[], fits: (stage: OpenRows) => boolean): number | undefined {
    const found = this.#stages.findIndex((stage, place) => {
      return stage.kind === 'rows' && fits(stage) && needs.every((need) => this.#isKnown(need, stage, place))
    })
    return found < 0 ? undefined : found
  }

  #isKnown({ node, elsewhere }: Need, stage: OpenRows, place: number): boolean {
    const made = this.#stageOf.get(node)!
    const isHere = made === place && !elsewhere && stage.parts === undefined
    return made < place || isHere
  }

  #add(place: number, item: KernelOp, needs: readonly Need[]) {
    this.#remember(needs, place)
    this.#push(place, item)
  }

  #push(place: number, item: KernelOp) {
    ;(this.#stages[place] as OpenRows).items.push(item)
  }

  /** Sums that another stage reads are stored in memory. */
  #remember(needs: readonly Need[], reader: number) {
    for (const { node } of needs) {
      const made = this.#stageOf.get(node)!
      if (made === reader || this.#homes.has(node)) continue
      const block = this.#block('scratch', '', node, (this.#stages[made] as OpenRows).axes)
      this.#homes.set(node, block)
      this.#push(made, { kind: 'store', node, block, axis: undefined })
    }
  }

  #block(
    role: BufferDeclaration['role'],
    name: string,
    node: number,
    axes: readonly string[],
    parts?: string,
  ): BufferDeclaration {
    const block = { id: this.#blocks.length, role, name, node, axes, parts }
    this.#blocks.push(block)
    return block
  }

  // Memory order

  /** The axis along which neighboring elements are contiguous. */
  #fastest(axes: readonly string[]): string | undefined {
    return axes.findLast((axis) => !this.#isUnit(axis)) ?? axes.at(-1)
  }

  /** The first axis never counts as having size 1, because other jobs may be concatenated along it. */
  #isUnit(axis: string): boolean {
    return !isFirst(this.#program, axis) && this.#sizes[axis] === 1
  }

  /**
   * The axes of everything that these nodes read, with the names that the reader uses, once per read. The number of visits is
   * limited, because a graph of shared parts may have exponentially many reads.
   */
  #layoutsOf(ids: readonly number[]): (readonly string[])[] {
    const found: (readonly string[])[] = []
    let visits = 0
    const visit = (id: number, names: Readonly<Record<string, string>>) => {
      const node = this.#nodes[id]
      if (node.axes.length === 0 || visits++ > MOST_VISITS) return
      const own = node.op === 'input' ? this.#program.inputs[node.name!].axes : node.axes
      const isRead = node.op === 'input' || node.op === 'cotangent' || this.#stageOf.has(id)
      if (isRead) found.push(own.map((axis) => names[axis] ?? axis))
      else if (node.op === 'rename')
        visit(node.args[0], { ...names, [node.axis!]: names[node.to!] ?? node.to! })
      else if (node.op === 'pick') visit(node.args[1], names)
      else for (const arg of node.args) visit(arg, names)
    }
    for (const id of ids) visit(id, {})
    return found
  }

  #runsAlong({ axis, args }: Node): boolean | undefined {
    const all = this.#layoutsOf(args).filter((axes) => axes.includes(axis!))
    // Arrays with fewer axes are small, and are read from the cache.
    const most = Math.max(...all.map(({ length }) => length))
    const layouts = all.filter(({ length }) => length === most)
    if (most <= 1) return undefined
    const along = layouts.filter((axes) => this.#fastest(axes) === axis)
    return along.length * 2 >= layouts.length
  }

  /** Orders the axes so that neighboring points read neighboring memory (coalesced access). */
  #inOrderOfMemory(axes: readonly string[], args: readonly number[]): readonly string[] {
    const shared = this.#layoutsOf(args).map((layout) => layout.filter((axis) => axes.includes(axis)))
    const longest = shared.reduce((best, own) => (own.length > best.length ? own : best), [] as string[])
    const order = [...new Set(longest)]
    return [...axes.filter((axis) => !order.includes(axis)), ...order]
  }
}

/** Ops whose value needs no computation. */
const READ: ReadonlySet<string> = new Set(['input', 'cotangent', 'index', 'constant', 'scalar', 'size'])

function isSame(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((axis) => b.includes(axis))
}

/** Whether a contraction is a matrix product: each side has axes that the other does not have. */
export function isMatrix({ nodes }: LegalizedProgram, node: Node): boolean {
  if (node.op !== 'contract') return false
  const [left, right] = node.args.map((arg) => nodes[arg].axes.filter((axis) => axis !== node.axis))
  return left.some((axis) => !right.includes(axis)) && right.some((axis) => !left.includes(axis))
}
