/**
 * Loop fusion at one level of the loop nest: which items of a block are outside of the loops over its axis, and in
 * which loop the others are; what a later loop needs from an earlier one, and whether it is stored or computed
 * again (rematerialization). The inside of a loop belongs to the next level.
 */
import {
  type Accumulator,
  type Buffer,
  COSTS,
  isReduction,
  isWholeAxis,
  type Statement,
} from '../loop-plan.ts'
import { isAlongLines } from '../whole-axis.ts'
import { phasesOf } from './loop-phases.ts'
import type { PlannerContext } from './planner-context.ts'
import {
  type LoopPlacement,
  type LoopSegment,
  type Scope,
  topologicallySorted,
  type WorkItem,
  workItemKey,
} from './work-items.ts'

/** Recomputing up to this cost is cheaper than a nearby store and load, or the store and load of a whole matrix. */
const CHEAP = { nearby: 6, matrix: 40 } as const

/** Schedules the next level. */
export type ScheduleInner = (items: readonly WorkItem[], scope: Scope) => Statement[]

/** One level of the loop nest: what is outside of the loops over one axis, and inside of each loop. */
export class LoopLevelScheduler {
  readonly #context: PlannerContext
  readonly #inner: ScheduleInner
  readonly #axis: string
  readonly #scope: Scope
  readonly #assignment: Map<number, Buffer>
  readonly #parts: LoopSegment[] = []
  readonly #partOf = new Map<string, LoopSegment>()
  /** Node -> the item of this block that computes it. */
  readonly #makers = new Map<number, WorkItem>()
  /** Nodes that a later part reads from their local. */
  readonly #exported: Set<number>

  constructor(
    context: PlannerContext,
    items: readonly WorkItem[],
    axis: string,
    scope: Scope,
    inner: ScheduleInner,
  ) {
    this.#context = context
    this.#inner = inner
    this.#axis = axis
    this.#scope = scope
    this.#assignment = new Map(scope.assignment)
    this.#exported = new Set(scope.exported)
    for (const item of items) if (item.act !== 'add') this.#makers.set(item.node, item)
    this.#assign(this.#phasesOf(items))
    this.#placeSums(items)
    this.#placeSources(items)
    for (const part of [...this.#parts].reverse()) this.#fill(part)
  }

  statements(): Statement[] {
    const needed = this.#parts.filter(({ items }) => items.size > 0)
    this.#checkSeparable(needed)
    return needed.flatMap((part) => (part.group === 'outside' ? this.#outside(part) : this.#loop(part)))
  }

  // Which part

  #phasesOf(items: readonly WorkItem[]): ReadonlyMap<WorkItem, number> {
    return phasesOf({
      items,
      makers: this.#makers,
      argsOf: (item) => this.#context.argsOf(item),
      groupOf: (item) => this.#groupOf(item),
      readsAcross: ({ act, node }) => act === 'value' && this.#context.readsAcross(node, this.#axis),
      isKept: (item) => this.#isKept(item),
    })
  }

  /** Whether it is used outside of this block, or is itself a sum. */
  #isKept({ node }: WorkItem): boolean {
    return this.#context.isRoot(node) || this.#assignment.has(node) || isReduction(this.#context.nodes[node])
  }

  #assign(phases: ReadonlyMap<WorkItem, number>) {
    const found = new Map<string, LoopSegment>()
    for (const [item, phase] of phases) {
      const group = this.#groupOf(item)
      const name = `${phase} ${group}`
      const part = found.get(name) ?? { phase, group, items: new Map() }
      found.set(name, part)
      this.#partOf.set(workItemKey(item), part)
      const assigned = this.#assigned.get(part)
      if (assigned === undefined) this.#assigned.set(part, [item])
      else assigned.push(item)
    }
    const rank = { outside: 0, deep: 1, flat: 2 }
    this.#parts.push(
      ...[...found.values()].sort((a, b) => a.phase - b.phase || rank[a.group] - rank[b.group]),
    )
  }

  readonly #assigned = new Map<LoopSegment, WorkItem[]>()

  #groupOf(item: WorkItem): LoopPlacement {
    if (!this.#context.isInside(item, this.#axis)) return 'outside'
    return this.#context.isPair(this.#axis) && this.#isDeep(item) ? 'deep' : 'flat'
  }

  #isDeep(item: WorkItem): boolean {
    return this.#context.below(this.#scope.depth).some((axis) => this.#context.isInside(item, axis))
  }

  // What is needed where

  /** Sums that have deeper axes are in memory, where every later part reads them. */
  #placeSums(items: readonly WorkItem[]) {
    const { depth, insideLanes } = this.#scope
    for (const { act, node } of items) {
      if (act !== 'add' || this.#context.nodes[node].axis !== this.#axis) continue
      const deeper = this.#context.deeper(this.#context.nodes[node].axes, depth + 1)
      if (deeper.length === 0) continue
      const make = () => this.#context.scratch(node, deeper, insideLanes)
      const memory = { partial: make(), total: make(), lost: make() }
      const beyond = this.#assignment.get(node)
      if (beyond !== undefined) this.#context.copies.set(node, beyond)
      this.#context.memory.set(node, memory)
      this.#assignment.set(node, memory.total)
    }
  }

  /** A value that is read with renamed axes, at a distance or by a whole-axis op must be stored entirely. */
  #placeSources(items: readonly WorkItem[]) {
    for (const item of items) {
      if (item.act !== 'value') continue
      for (const source of this.#context.storedArgs(item.node)) this.#placeSource(source, item)
    }
  }

  #placeSource(source: number, reader: WorkItem) {
    const maker = this.#makers.get(source)
    const isApart =
      maker !== undefined && this.#partOf.get(workItemKey(maker)) !== this.#partOf.get(workItemKey(reader))
    if (isApart && !this.#assignment.has(source)) this.#keep(source)
  }

  #keep(node: number) {
    // A whole-axis op writes a result where it belongs, and others read it there.
    const [root] = isWholeAxis(this.#context.nodes[node]) ? (this.#context.roots.get(node) ?? []) : []
    if (root !== undefined) return this.#assignment.set(node, root)
    const axes = this.#context.storedAxes(node, this.#scope.depth)
    return this.#assignment.set(node, this.#context.scratch(node, axes, this.#scope.insideLanes))
  }

  #fill(part: LoopSegment) {
    for (const item of this.#assigned.get(part)!) if (this.#isWanted(item)) this.#include(part, item)
  }

  /** Whether it is needed outside of its own part. */
  #isWanted({ act, node, again }: WorkItem): boolean {
    if (act === 'add') return true
    if (this.#exported.has(node) || (this.#context.isRoot(node) && !again)) return true
    return this.#context.memory.has(node) ? this.#context.copies.has(node) : this.#assignment.has(node)
  }

  #include(part: LoopSegment, item: WorkItem) {
    const key = workItemKey(item)
    if (part.items.has(key)) return
    part.items.set(key, item)
    for (const arg of this.#context.argsOf(item)) this.#supply(part, arg)
  }

  #supply(part: LoopSegment, arg: number) {
    const maker = this.#makers.get(arg)
    if (maker === undefined) return
    if (this.#partOf.get(workItemKey(maker)) === part) return this.#include(part, maker)
    if (this.#assignment.has(arg)) return
    const free = this.#context.deeper(this.#context.nodes[arg].axes, this.#scope.depth)
    const limit = free.length === 1 ? CHEAP.nearby : CHEAP.matrix
    if (free.length === 0) this.#exported.add(arg)
    else if (this.#costOf(arg, limit) <= limit) this.#include(part, { ...maker, again: true })
    else this.#keep(arg)
  }

  /**
   * The cost of recomputing a node in another part, once per use. Counting stops at the limit, because the number of uses may
   * be exponential.
   */
  #costOf(node: number, limit: number): number {
    const maker = this.#makers.get(node)
    if (this.#context.isScalar(node)) return 0
    if (this.#assignment.has(node)) return 1
    if (maker === undefined) return 0
    if (this.#context.deeper(this.#context.nodes[node].axes, this.#scope.depth).length === 0) return 0
    const isCostly = isReduction(this.#context.nodes[node]) || isWholeAxis(this.#context.nodes[node])
    if (maker.act === 'sum' || isCostly) return Number.POSITIVE_INFINITY
    let total = COSTS[this.#context.nodes[node].op] ?? 1
    for (const arg of this.#context.argsOf(maker)) {
      if (total > limit) return total
      total += this.#costOf(arg, limit - total)
    }
    return total
  }

  // Statements

  #outside({ items }: LoopSegment): Statement[] {
    return this.#inner(topologicallySorted(items), this.#innerScope({}))
  }

  #loop({ items }: LoopSegment): Statement[] {
    const { insideLanes, known } = this.#scope
    const added = [...items.values()].filter(({ act, node }) => {
      return act === 'add' && this.#context.nodes[node].axis === this.#axis
    })
    const accumulators = added.map(({ node }) => ({ node, memory: this.#context.memory.get(node) }))
    const lanes = !insideLanes && this.#takesLanes(items, accumulators)
    const inner = this.#innerScope({ insideLanes: insideLanes || lanes, known: new Set(known) })
    const body = this.#inner(topologicallySorted(items), inner)
    for (const { node, memory } of accumulators) if (memory === undefined) known.add(node)
    return [{ kind: 'loop', axis: this.#axis, lanes, accumulators, body }]
  }

  #innerScope(changes: Partial<Scope>): Scope {
    const { depth, insideLanes, known } = this.#scope
    return {
      depth: depth + 1,
      insideLanes,
      known,
      assignment: this.#assignment,
      exported: this.#exported,
      ...changes,
    }
  }

  /** The innermost loop is vectorized, or the one over the chosen axis. Tables are computed one after the other. */
  #takesLanes(items: ReadonlyMap<string, WorkItem>, accumulators: readonly Accumulator[]): boolean {
    const whole = [...items.values()].map(({ node }) => this.#context.nodes[node]).filter(isWholeAxis)
    if (!whole.every(isAlongLines)) return false
    const isDeep = [...items.values()].some((item) => this.#isDeep(item))
    if (!isDeep && whole.length === 0) return true
    return this.#context.isForLanes(this.#axis) && accumulators.every(({ memory }) => memory === undefined)
  }

  #checkSeparable(needed: readonly LoopSegment[]) {
    if (this.#scope.depth > 0) return
    const loops = needed.filter(({ group }) => group !== 'outside')
    const outside = needed
      .filter(({ group }) => group === 'outside')
      .flatMap(({ items }) => [...items.values()])
    const items = loops.flatMap((part) => [...part.items.values()])
    const adds = items.some(({ act, node }) => act === 'add' && this.#context.nodes[node].axis === this.#axis)
    const leaves = outside.some(
      ({ node }) => this.#context.isRoot(node) || isWholeAxis(this.#context.nodes[node]),
    )
    if (loops.length === 1 && !adds && !leaves) this.#context.separable = this.#axis
  }
}
