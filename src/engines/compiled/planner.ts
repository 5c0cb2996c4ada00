/**
 * Expanded program -> loops. It decides what is computed in which loop, what is kept in scratch memory and what is
 * computed anew, and along which axis four elements go through the lanes of a vector at once.
 *
 * The loops nest in one order of axes. Level by level, what has the level's axis goes into a loop over it, what has not
 * stays outside; a sum (or maximum) over the axis ends the loop, and what needs its result goes into another loop behind
 * it. A value that a later loop needs is computed again when that is cheap, else it is kept.
 */
import type { Node, Op } from '../../language/ir.ts'
import type { Expanded } from './expand.ts'
import { fastestAxis, loopOrder } from './order.ts'
import {
  type Accumulator,
  type AccumulatorMemory,
  type Buffer,
  COSTS,
  isReduction,
  isScalar,
  type Plan,
  readsInput,
  type Statement,
} from './plan.ts'

/** Recomputing up to so much costs less than a store and a load near by, or of a whole matrix. */
const CHEAP = { nearby: 6, matrix: 40 } as const

/** @throws never: every program has a plan */
export function plan(program: Expanded): Plan {
  const order = loopOrder(program)
  return new Planner(program, order).plan()
}

/** What is to be done with a node: make its value, add it up in a loop, or take the sum. */
type Act = 'value' | 'add' | 'sum'

interface Item {
  readonly act: Act
  readonly node: number
  /** Made again where another loop has made it already: it leaves no result of its own. */
  readonly again: boolean
}

/** One stretch of a block: what stands between two loops, or in one loop. */
interface Part {
  readonly phase: number
  readonly group: 'outside' | 'deep' | 'flat'
  readonly items: Map<string, Item>
}

type Homes = ReadonlyMap<number, Buffer>

/** Where a block stands: loops that are open, and what is known there. */
interface Scope {
  readonly depth: number
  readonly insideLanes: boolean
  readonly homes: Homes
  /** Nodes whose value a local holds. */
  readonly known: Set<number>
  /** Nodes that are read from their local by what stands behind this block. */
  readonly exported: ReadonlySet<number>
}

class Planner {
  readonly #program: Expanded
  readonly #nodes: readonly Node[]
  readonly #order: readonly string[]
  readonly #fastest: string | undefined
  readonly #buffers: Buffer[] = []
  readonly #roots: ReadonlyMap<number, readonly Buffer[]>
  #separable: string | undefined

  constructor(program: Expanded, order: readonly string[]) {
    this.#program = program
    this.#nodes = program.nodes
    this.#order = order
    this.#fastest = fastestAxis(program)
    for (const [name, { axes }] of Object.entries(program.inputs)) this.#buffer('input', name, axes)
    const cotangent = program.nodes.find(({ op }) => op === 'cotangent')
    if (cotangent !== undefined) this.#buffer('cotangent', '', cotangent.axes)
    const roots = new Map<number, Buffer[]>()
    for (const { role, name, node, axes } of program.roots) {
      roots.set(node, [...(roots.get(node) ?? []), this.#buffer(role, name, axes)])
    }
    this.#roots = roots
  }

  plan(): Plan {
    const items = this.#closure([...this.#roots.keys()])
    const scope: Scope = {
      depth: 0,
      insideLanes: false,
      homes: new Map(),
      known: new Set(),
      exported: new Set(),
    }
    const body = this.#block(items, scope)
    const constants = [...this.#roots.keys()].filter((node) => isScalar(this.#program, node))
    const stores = constants.flatMap((node) => this.#storeResults(node))
    return {
      program: this.#program,
      buffers: this.#buffers,
      body: [...body, ...stores],
      separable: this.#separable,
    }
  }

  /** Everything that these nodes need, in order. */
  #closure(roots: readonly number[]): Item[] {
    const found = new Set<number>()
    const visit = (node: number) => {
      if (found.has(node) || isScalar(this.#program, node)) return
      found.add(node)
      for (const arg of this.argsOf({ act: 'value', node, again: false })) visit(arg)
    }
    for (const root of roots) visit(root)
    return [...found].sort((a, b) => a - b).map((node) => ({ act: 'value', node, again: false }))
  }

  #block(given: readonly Item[], scope: Scope): Statement[] {
    const axis = this.#order[scope.depth]
    if (axis === undefined) return this.#straight(given, scope)
    const items = given.flatMap((item) => this.#opened(item, axis))
    if (!items.some((item) => this.isInside(item, axis)))
      return this.#block(items, { ...scope, depth: scope.depth + 1 })
    return new Block(this, items, axis, scope).statements()
  }

  /** A sum over this axis becomes two: the adding inside of the loop, the result behind it. */
  #opened(item: Item, axis: string): Item[] {
    if (item.act !== 'value' || !isReduction(this.#nodes[item.node]) || this.#nodes[item.node].axis !== axis)
      return [item]
    return [
      { ...item, act: 'add' },
      { ...item, act: 'sum' },
    ]
  }

  /** No loop is left: one after the other. */
  #straight(items: readonly Item[], scope: Scope): Statement[] {
    const statements: Statement[] = []
    for (const item of items) statements.push(...this.#one(item, scope))
    return statements
  }

  #one({ act, node, again }: Item, scope: Scope): Statement[] {
    const { op, args } = this.#nodes[node]
    if (act === 'sum') return this.#leave(node, scope)
    if (act === 'add') {
      const loads = args.flatMap((arg) => this.#ensure(arg, scope))
      return [...loads, { kind: 'accumulate', node, memory: this.memory.get(node) }]
    }
    if (scope.known.has(node)) return []
    const made = this.#make(node, op, scope)
    scope.known.add(node)
    const home = scope.homes.get(node)
    const kept: Statement[] = home === undefined ? [] : [{ kind: 'store', node, buffer: home }]
    return [...made, ...kept, ...(again ? [] : this.#storeResults(node))]
  }

  /** A sum is known when its loop has ended, in a local or in memory: it goes where it is wanted. */
  #leave(node: number, scope: Scope): Statement[] {
    const home = this.memory.has(node) ? this.copies.get(node) : scope.homes.get(node)
    const targets = [...(home === undefined ? [] : [home]), ...(this.#roots.get(node) ?? [])]
    const stores = targets.map((buffer) => ({ kind: 'store', node, buffer }) as const)
    return stores.length === 0 ? [] : [...this.#ensure(node, scope), ...stores]
  }

  #make(node: number, op: Op, scope: Scope): Statement[] {
    if (op === 'rename' && !readsInput(this.#program, this.#nodes[node])) {
      return [{ kind: 'load', node, buffer: scope.homes.get(this.#nodes[node].args[0])! }]
    }
    const loads = this.argsOf({ act: 'value', node, again: false }).flatMap((arg) => this.#ensure(arg, scope))
    return [...loads, { kind: 'compute', node }]
  }

  #ensure(node: number, { known, homes }: Scope): Statement[] {
    if (known.has(node) || isScalar(this.#program, node)) return []
    const buffer = homes.get(node)
    if (buffer === undefined) throw new Error(`the plan lost node ${node}`)
    known.add(node)
    return [{ kind: 'load', node, buffer }]
  }

  #storeResults(node: number): Statement[] {
    return (this.#roots.get(node) ?? []).map((buffer) => ({ kind: 'store', node, buffer }))
  }

  #buffer(role: Buffer['role'], name: string, axes: readonly string[], vectors = false): Buffer {
    const buffer = { id: this.#buffers.length, role, name, axes, vectors }
    this.#buffers.push(buffer)
    return buffer
  }

  // What a block asks

  /** Where the sums with deeper axes are. */
  readonly memory = new Map<number, AccumulatorMemory>()
  /** Where such a sum goes from there, because something beyond its block reads it. */
  readonly copies = new Map<number, Buffer>()

  get nodes(): readonly Node[] {
    return this.#nodes
  }

  inner(items: readonly Item[], scope: Scope): Statement[] {
    return this.#block(items, scope)
  }

  isRoot(node: number): boolean {
    return this.#roots.has(node)
  }

  isScalar(node: number): boolean {
    return isScalar(this.#program, node)
  }

  isWholeRename(node: number): boolean {
    return this.#nodes[node].op === 'rename' && !readsInput(this.#program, this.#nodes[node])
  }

  isFastest(axis: string): boolean {
    return axis === this.#fastest
  }

  /** Whether the axis is the second name of another: then its flat part is worth a loop of its own. */
  isPair(axis: string): boolean {
    return this.#program.renamed[axis] !== undefined
  }

  markSeparable(axis: string) {
    this.#separable = axis
  }

  deeper(axes: readonly string[], depth: number): string[] {
    return this.#order.slice(depth).filter((axis) => axes.includes(axis))
  }

  /** The axes of the loops further in. */
  below(depth: number): readonly string[] {
    return this.#order.slice(depth + 1)
  }

  /** Scratch for a value that has these axes; the fastest one lies side by side. */
  scratch(node: number, axes: readonly string[], vectors: boolean): Buffer {
    const ordered = [...axes].sort((a, b) => Number(this.isFastest(a)) - Number(this.isFastest(b)))
    return this.#buffer('scratch', String(node), ordered, vectors)
  }

  argsOf({ act, node }: Item): readonly number[] {
    if (act === 'sum') return []
    const { op, args } = this.#nodes[node]
    if (op === 'pick') return this.real(args.slice(1))
    return readsInput(this.#program, this.#nodes[node]) ? [] : this.real(args)
  }

  real(args: readonly number[]): readonly number[] {
    return args.filter((arg) => !this.isScalar(arg))
  }

  isInside({ act, node }: Item, axis: string): boolean {
    if (act === 'add') return this.#nodes[node].args.some((arg) => this.#nodes[arg].axes.includes(axis))
    const isAdded = act === 'value' && isReduction(this.#nodes[node]) && this.#nodes[node].axis === axis
    return isAdded || this.#nodes[node].axes.includes(axis)
  }
}

/** One level of the nest: what is outside of the loops over one axis, and inside of each. */
class Block {
  readonly #planner: Planner
  readonly #axis: string
  readonly #scope: Scope
  readonly #homes: Map<number, Buffer>
  readonly #parts: Part[] = []
  readonly #partOf = new Map<string, Part>()
  /** Node -> the item of this block that makes it. */
  readonly #makers = new Map<number, Item>()
  /** Nodes that a later part reads from their local. */
  readonly #exported: Set<number>

  constructor(planner: Planner, items: readonly Item[], axis: string, scope: Scope) {
    this.#planner = planner
    this.#axis = axis
    this.#scope = scope
    this.#homes = new Map(scope.homes)
    this.#exported = new Set(scope.exported)
    for (const item of items) if (item.act !== 'add') this.#makers.set(item.node, item)
    this.#assign(this.#asLateAsPossible(items, this.#asEarlyAsPossible(items)))
    this.#placeSums(items)
    this.#placeRenamed(items)
    for (const part of [...this.#parts].reverse()) this.#fill(part)
  }

  statements(): Statement[] {
    const needed = this.#parts.filter(({ items }) => items.size > 0)
    this.#checkSeparable(needed)
    return needed.flatMap((part) => (part.group === 'outside' ? this.#outside(part) : this.#loop(part)))
  }

  // Which part

  /** Item -> the first phase in which all that it needs is known. */
  #asEarlyAsPossible(items: readonly Item[]): Map<Item, number> {
    const phases = new Map<Item, number>()
    const adding = new Map<number, Item>()
    for (const item of items) {
      if (item.act === 'add') adding.set(item.node, item)
      // What was added up in an outer loop is known from the start.
      const added = adding.get(item.node)
      const afterAdding = added === undefined ? 0 : phases.get(added)! + 1
      const phase = item.act === 'sum' ? afterAdding : this.#phaseAfter(item, phases)
      phases.set(item, phase)
    }
    return phases
  }

  #phaseAfter(item: Item, phases: ReadonlyMap<Item, number>): number {
    const group = this.#groupOf(item)
    const bounds = this.#planner.argsOf(item).map((arg) => {
      const maker = this.#makers.get(arg)
      if (maker === undefined) return 0
      const own = this.#groupOf(maker)
      return phases.get(maker)! + Number(own !== 'outside' && own !== group)
    })
    return Math.max(0, ...bounds)
  }

  /** What is only read by later loops of the same kind is made in the first of them, and need not be kept till then. */
  #asLateAsPossible(items: readonly Item[], early: ReadonlyMap<Item, number>): Map<Item, number> {
    const phases = new Map(early)
    const readers = new Map<Item, Item[]>()
    for (const item of items) {
      for (const arg of this.#planner.argsOf(item)) {
        const maker = this.#makers.get(arg)
        if (maker !== undefined) readers.set(maker, [...(readers.get(maker) ?? []), item])
      }
    }
    for (const item of [...items].reverse()) {
      const group = this.#groupOf(item)
      const own = readers.get(item) ?? []
      const isBound = item.act !== 'value' || group === 'outside' || this.#isKept(item) || own.length === 0
      if (isBound || own.some((reader) => this.#groupOf(reader) !== group)) continue
      phases.set(item, Math.min(...own.map((reader) => phases.get(reader)!)))
    }
    return phases
  }

  /** Whether it leaves this block, or is a sum of its own. */
  #isKept({ node }: Item): boolean {
    return this.#planner.isRoot(node) || this.#homes.has(node) || isReduction(this.#planner.nodes[node])
  }

  #assign(phases: ReadonlyMap<Item, number>) {
    const found = new Map<string, Part>()
    for (const [item, phase] of phases) {
      const group = this.#groupOf(item)
      const name = `${phase} ${group}`
      const part = found.get(name) ?? { phase, group, items: new Map() }
      found.set(name, part)
      this.#partOf.set(keyOf(item), part)
      this.#assigned.set(part, [...(this.#assigned.get(part) ?? []), item])
    }
    const rank = { outside: 0, deep: 1, flat: 2 }
    this.#parts.push(
      ...[...found.values()].sort((a, b) => a.phase - b.phase || rank[a.group] - rank[b.group]),
    )
  }

  readonly #assigned = new Map<Part, Item[]>()

  #groupOf(item: Item): Part['group'] {
    if (!this.#planner.isInside(item, this.#axis)) return 'outside'
    return this.#planner.isPair(this.#axis) && this.#isDeep(item) ? 'deep' : 'flat'
  }

  #isDeep(item: Item): boolean {
    return this.#planner.below(this.#scope.depth).some((axis) => this.#planner.isInside(item, axis))
  }

  // What is needed where

  /** Sums that have deeper axes lie in memory, where every later part reads them. */
  #placeSums(items: readonly Item[]) {
    const { depth, insideLanes } = this.#scope
    for (const { act, node } of items) {
      if (act !== 'add' || this.#planner.nodes[node].axis !== this.#axis) continue
      const deeper = this.#planner.deeper(this.#planner.nodes[node].axes, depth + 1)
      if (deeper.length === 0) continue
      const make = () => this.#planner.scratch(node, deeper, insideLanes)
      const memory = { partial: make(), total: make(), lost: make() }
      const beyond = this.#homes.get(node)
      if (beyond !== undefined) this.#planner.copies.set(node, beyond)
      this.#planner.memory.set(node, memory)
      this.#homes.set(node, memory.total)
    }
  }

  /** What is read under another name is read as a whole, so it lies in memory. */
  #placeRenamed(items: readonly Item[]) {
    for (const item of items) {
      if (item.act !== 'value' || !this.#planner.isWholeRename(item.node)) continue
      const [source] = this.#planner.nodes[item.node].args
      const maker = this.#makers.get(source)
      const isApart = maker !== undefined && this.#partOf.get(keyOf(maker)) !== this.#partOf.get(keyOf(item))
      if (isApart && !this.#homes.has(source)) this.#keep(source)
    }
  }

  #keep(node: number) {
    const axes = this.#planner.deeper(this.#planner.nodes[node].axes, this.#scope.depth)
    this.#homes.set(node, this.#planner.scratch(node, axes, this.#scope.insideLanes))
  }

  #fill(part: Part) {
    for (const item of this.#assigned.get(part)!) if (this.#isWanted(item)) this.#include(part, item)
  }

  /** Whether something beyond its own part asks for it. */
  #isWanted({ act, node, again }: Item): boolean {
    if (act === 'add') return true
    if (this.#exported.has(node) || (this.#planner.isRoot(node) && !again)) return true
    return this.#planner.memory.has(node) ? this.#planner.copies.has(node) : this.#homes.has(node)
  }

  #include(part: Part, item: Item) {
    const key = keyOf(item)
    if (part.items.has(key)) return
    part.items.set(key, item)
    for (const arg of this.#planner.argsOf(item)) this.#supply(part, arg)
  }

  #supply(part: Part, arg: number) {
    const maker = this.#makers.get(arg)
    if (maker === undefined) return
    if (this.#partOf.get(keyOf(maker)) === part) return this.#include(part, maker)
    if (this.#homes.has(arg)) return
    const free = this.#planner.deeper(this.#planner.nodes[arg].axes, this.#scope.depth)
    const limit = free.length === 1 ? CHEAP.nearby : CHEAP.matrix
    if (free.length === 0) this.#exported.add(arg)
    else if (this.#costOf(arg) <= limit) this.#include(part, { ...maker, again: true })
    else this.#keep(arg)
  }

  /** What it costs to make a node again in another part. */
  #costOf(node: number): number {
    const maker = this.#makers.get(node)
    if (this.#planner.isScalar(node)) return 0
    if (this.#homes.has(node)) return 1
    if (maker === undefined) return 0
    if (this.#planner.deeper(this.#planner.nodes[node].axes, this.#scope.depth).length === 0) return 0
    if (maker.act === 'sum' || isReduction(this.#planner.nodes[node])) return Number.POSITIVE_INFINITY
    const own = COSTS[this.#planner.nodes[node].op] ?? 1
    return this.#planner.argsOf(maker).reduce((total, arg) => total + this.#costOf(arg), own)
  }

  // Statements

  #outside({ items }: Part): Statement[] {
    return this.#planner.inner(sorted(items), this.#innerScope({}))
  }

  #loop({ items }: Part): Statement[] {
    const { insideLanes, known } = this.#scope
    const added = [...items.values()].filter(({ act, node }) => {
      return act === 'add' && this.#planner.nodes[node].axis === this.#axis
    })
    const accumulators = added.map(({ node }) => ({ node, memory: this.#planner.memory.get(node) }))
    const lanes = !insideLanes && this.#takesLanes(items, accumulators)
    const inner = this.#innerScope({ insideLanes: insideLanes || lanes, known: new Set(known) })
    const body = this.#planner.inner(sorted(items), inner)
    for (const { node, memory } of accumulators) if (memory === undefined) known.add(node)
    return [{ kind: 'loop', axis: this.#axis, lanes, accumulators, body }]
  }

  #innerScope(changes: Partial<Scope>): Scope {
    const { depth, insideLanes, known } = this.#scope
    return { depth: depth + 1, insideLanes, known, homes: this.#homes, exported: this.#exported, ...changes }
  }

  /** The innermost loop does, or the one over the axis that lies side by side in memory. */
  #takesLanes(items: ReadonlyMap<string, Item>, accumulators: readonly Accumulator[]): boolean {
    const isDeep = [...items.values()].some((item) => this.#isDeep(item))
    if (!isDeep) return true
    return this.#planner.isFastest(this.#axis) && accumulators.every(({ memory }) => memory === undefined)
  }

  #checkSeparable(needed: readonly Part[]) {
    if (this.#scope.depth > 0) return
    const loops = needed.filter(({ group }) => group !== 'outside')
    const outside = needed
      .filter(({ group }) => group === 'outside')
      .flatMap(({ items }) => [...items.values()])
    const items = loops.flatMap((part) => [...part.items.values()])
    const adds = items.some(({ act, node }) => act === 'add' && this.#planner.nodes[node].axis === this.#axis)
    const leaves = outside.some(({ node }) => this.#planner.isRoot(node))
    if (loops.length === 1 && !adds && !leaves) this.#planner.markSeparable(this.#axis)
  }
}

function keyOf({ act, node }: Item): string {
  return `${act} ${node}`
}

function sorted(items: ReadonlyMap<string, Item>): Item[] {
  return [...items.values()].sort((a, b) => a.node - b.node)
}
