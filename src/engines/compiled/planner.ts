/**
 * Expanded program -> loops. It decides what is computed in which loop, what is kept in scratch memory and what is
 * computed anew, and along which axis four elements go through the lanes of a vector at once.
 *
 * The loops nest in one order of axes. Level by level, what has the level's axis goes into a loop over it, what has not
 * stays outside; a sum (or maximum) over the axis ends the loop, and what needs its result goes into another loop behind
 * it. A value that a later loop needs is computed again when that is cheap, else it is kept.
 *
 * Here are the levels and the statements of the innermost; planner/block.ts cuts one level into its loops.
 */
import type { Op } from '../../language/ir.ts'
import type { Expanded } from './expand.ts'
import { fastestAxis, loopOrder } from './order.ts'
import { isReduction, type Plan, readsInput, type Statement } from './plan.ts'
import { Block } from './planner/block.ts'
import type { Item, Scope } from './planner/items.ts'
import { Nest } from './planner/nest.ts'

/**
 * @param lanes the axis whose elements go through the lanes, where its loops can; the fastest one unless said otherwise
 * @throws never: every program has a plan
 */
export function plan(program: Expanded, lanes = fastestAxis(program)): Plan {
  return new Planner(new Nest(program, loopOrder(program), lanes)).plan()
}

class Planner {
  readonly #nest: Nest

  constructor(nest: Nest) {
    this.#nest = nest
  }

  plan(): Plan {
    const items = this.#closure([...this.#nest.roots.keys()])
    const scope: Scope = {
      depth: 0,
      insideLanes: false,
      homes: new Map(),
      known: new Set(),
      exported: new Set(),
    }
    const body = this.#block(items, scope)
    const constants = [...this.#nest.roots.keys()].filter((node) => this.#nest.isScalar(node))
    const stores = constants.flatMap((node) => this.#storeResults(node))
    return {
      program: this.#nest.program,
      buffers: this.#nest.buffers,
      body: [...body, ...stores],
      separable: this.#nest.separable,
    }
  }

  /** Everything that these nodes need, in order. */
  #closure(roots: readonly number[]): Item[] {
    const found = new Set<number>()
    const visit = (node: number) => {
      if (found.has(node) || this.#nest.isScalar(node)) return
      found.add(node)
      for (const arg of this.#nest.argsOf({ act: 'value', node, again: false })) visit(arg)
    }
    for (const root of roots) visit(root)
    return [...found].sort((a, b) => a - b).map((node) => ({ act: 'value', node, again: false }))
  }

  readonly #inner = (items: readonly Item[], scope: Scope) => this.#block(items, scope)

  #block(given: readonly Item[], scope: Scope): Statement[] {
    const axis = this.#nest.order[scope.depth]
    if (axis === undefined) return this.#straight(given, scope)
    const items = given.flatMap((item) => this.#opened(item, axis))
    if (!items.some((item) => this.#nest.isInside(item, axis)))
      return this.#block(items, { ...scope, depth: scope.depth + 1 })
    return new Block(this.#nest, items, axis, scope, this.#inner).statements()
  }

  /** A sum over this axis becomes two: the adding inside of the loop, the result behind it. */
  #opened(item: Item, axis: string): Item[] {
    if (
      item.act !== 'value' ||
      !isReduction(this.#nest.nodes[item.node]) ||
      this.#nest.nodes[item.node].axis !== axis
    )
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
    const { op, args } = this.#nest.nodes[node]
    if (act === 'sum') return this.#leave(node, scope)
    if (act === 'add') {
      const loads = args.flatMap((arg) => this.#ensure(arg, scope))
      return [...loads, { kind: 'accumulate', node, memory: this.#nest.memory.get(node) }]
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
    const home = this.#nest.memory.has(node) ? this.#nest.copies.get(node) : scope.homes.get(node)
    const targets = [...(home === undefined ? [] : [home]), ...(this.#nest.roots.get(node) ?? [])]
    const stores = targets.map((buffer) => ({ kind: 'store', node, buffer }) as const)
    return stores.length === 0 ? [] : [...this.#ensure(node, scope), ...stores]
  }

  #make(node: number, op: Op, scope: Scope): Statement[] {
    if (op === 'rename' && !readsInput(this.#nest.program, this.#nest.nodes[node])) {
      return [{ kind: 'load', node, buffer: scope.homes.get(this.#nest.nodes[node].args[0])! }]
    }
    const loads = this.#nest
      .argsOf({ act: 'value', node, again: false })
      .flatMap((arg) => this.#ensure(arg, scope))
    return [...loads, { kind: 'compute', node }]
  }

  #ensure(node: number, { known, homes }: Scope): Statement[] {
    if (known.has(node) || this.#nest.isScalar(node)) return []
    const buffer = homes.get(node)
    if (buffer === undefined) throw new Error(`the plan lost node ${node}`)
    known.add(node)
    return [{ kind: 'load', node, buffer }]
  }

  #storeResults(node: number): Statement[] {
    return (this.#nest.roots.get(node) ?? []).map((buffer) => ({ kind: 'store', node, buffer }))
  }
}
