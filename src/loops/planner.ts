/**
 * Loop fusion and scheduling: legalized program -> loops. It decides in which loop each value is computed, what is
 * stored in scratch memory and what is computed again (rematerialization), and which loops are vectorized.
 */
import type { LegalizedProgram } from './legalize.ts'
import { fastestAxis, loopOrder } from './loop-interchange.ts'
import { type Buffer, isReduction, isWholeAxis, type Plan, type Statement } from './loop-plan.ts'
import { LoopLevelScheduler } from './planner/loop-scheduler.ts'
import { PlannerContext } from './planner/planner-context.ts'
import type { Scope, WorkItem } from './planner/work-items.ts'
import { isSingle } from './whole-axis.ts'

/**
 * The loops are nested in a fixed order of axes. At each level, values with the level's axis go into a loop over it,
 * and the others stay outside. A sum (or maximum) over the axis ends the loop, and what needs its result goes into
 * another loop after it. A value that a later loop needs is recomputed if that is cheap, and stored otherwise. This
 * file handles the levels and the statements of the innermost one; planner/loop-scheduler.ts divides one level into its
 * loops.
 *
 * @param lanes the axis to vectorize, where its loops allow that; default: the fastest axis
 * @throws never: every program has a plan
 */
export function plan(program: LegalizedProgram, lanes = fastestAxis(program)): Plan {
  return new Planner(new PlannerContext(program, loopOrder(program), lanes)).plan()
}

/** Where statements follow each other. */
interface StraightScope extends Scope {
  readonly assignment: Map<number, Buffer>
}

class Planner {
  readonly #context: PlannerContext

  constructor(context: PlannerContext) {
    this.#context = context
  }

  plan(): Plan {
    const items = this.#closure([...this.#context.roots.keys()])
    const scope: Scope = {
      depth: 0,
      insideLanes: false,
      assignment: new Map(),
      known: new Set(),
      exported: new Set(),
    }
    const body = this.#block(items, scope)
    const constants = [...this.#context.roots.keys()].filter((node) => this.#context.isScalar(node))
    const stores = constants.flatMap((node) => this.#storeResults(node))
    return {
      program: this.#context.program,
      buffers: this.#context.buffers,
      body: [...body, ...stores],
      separable: this.#context.separable,
    }
  }

  /** Everything that these nodes depend on, in order. */
  #closure(roots: readonly number[]): WorkItem[] {
    const found = new Set<number>()
    const visit = (node: number) => {
      if (found.has(node) || this.#context.isScalar(node)) return
      found.add(node)
      for (const arg of this.#context.argsOf({ act: 'value', node, again: false })) visit(arg)
    }
    for (const root of roots) visit(root)
    return [...found].sort((a, b) => a - b).map((node) => ({ act: 'value', node, again: false }))
  }

  readonly #inner = (items: readonly WorkItem[], scope: Scope) => this.#block(items, scope)

  #block(given: readonly WorkItem[], scope: Scope): Statement[] {
    const axis = this.#context.order[scope.depth]
    if (axis === undefined) return this.#straight(given, scope)
    const items = given.flatMap((item) => this.#opened(item, axis))
    if (!items.some((item) => this.#context.isInside(item, axis)))
      return this.#block(items, { ...scope, depth: scope.depth + 1 })
    return new LoopLevelScheduler(this.#context, items, axis, scope, this.#inner).statements()
  }

  /** A sum over this axis becomes two items: the accumulation inside of the loop, and the result after it. */
  #opened(item: WorkItem, axis: string): WorkItem[] {
    if (
      item.act !== 'value' ||
      !isReduction(this.#context.nodes[item.node]) ||
      this.#context.nodes[item.node].axis !== axis
    )
      return [item]
    return [
      { ...item, act: 'add' },
      { ...item, act: 'sum' },
    ]
  }

  /** No loops are left: one statement after the other. */
  #straight(items: readonly WorkItem[], outer: Scope): Statement[] {
    const scope = { ...outer, assignment: new Map(outer.assignment) }
    const statements: Statement[] = []
    for (const item of items) statements.push(...this.#one(item, scope))
    return statements
  }

  #one({ act, node, again }: WorkItem, scope: StraightScope): Statement[] {
    const { args } = this.#context.nodes[node]
    if (act === 'sum') return this.#leave(node, scope)
    if (act === 'add') {
      const loads = args.flatMap((arg) => this.#ensure(arg, scope))
      return [...loads, { kind: 'accumulate', node, memory: this.#context.memory.get(node) }]
    }
    if (scope.known.has(node)) return []
    if (isWholeAxis(this.#context.nodes[node]) && !isSingle(this.#context.nodes[node].op))
      return this.#makeArray(node, scope)
    const made = this.#make(node, scope)
    scope.known.add(node)
    const home = scope.assignment.get(node)
    const kept: Statement[] = home === undefined ? [] : [{ kind: 'store', node, buffer: home }]
    return [...made, ...kept, ...(again ? [] : this.#storeResults(node))]
  }

  /** A sum is complete when its loop has ended, in a local or in memory. It is stored where it is needed. */
  #leave(node: number, scope: Scope): Statement[] {
    const home = this.#context.memory.has(node) ? this.#context.copies.get(node) : scope.assignment.get(node)
    const targets = [...(home === undefined ? [] : [home]), ...(this.#context.roots.get(node) ?? [])]
    const stores = targets.map((buffer) => ({ kind: 'store', node, buffer }) as const)
    return stores.length === 0 ? [] : [...this.#ensure(node, scope), ...stores]
  }

  /** The result of a whole-axis op goes where others read it, and to each result of the kernel that it is. */
  #makeArray(node: number, scope: StraightScope): Statement[] {
    const home = scope.assignment.get(node)
    const targets = new Set([...(home === undefined ? [] : [home]), ...(this.#context.roots.get(node) ?? [])])
    // What only the next whole-axis op reads is in memory for it.
    if (targets.size === 0)
      targets.add(this.#context.scratch(node, this.#context.storedAxes(node, scope.depth), scope.insideLanes))
    const [first] = targets
    scope.assignment.set(node, first)
    return [...targets].flatMap((target) => this.#wholeAxis(node, target, scope))
  }

  #wholeAxis(node: number, result: Buffer | undefined, scope: Scope): Statement[] {
    const { args } = this.#context.nodes[node]
    const place = (arg: number) =>
      this.#context.isInput(arg) ? this.#context.inputBuffer(arg) : scope.assignment.get(arg)!
    const operands = args.map((arg) => (this.#context.isArray(node, arg) ? place(arg) : undefined))
    const loads = args.flatMap((arg) => (this.#context.isArray(node, arg) ? [] : this.#ensure(arg, scope)))
    const workspace = this.#context.workspace(node)
    return [...loads, { kind: 'whole axis', node, operands, result, workspace }]
  }

  #make(node: number, scope: Scope): Statement[] {
    if (isWholeAxis(this.#context.nodes[node])) return this.#wholeAxis(node, undefined, scope)
    const source = this.#context.storedSource(node)
    if (source !== undefined) return [{ kind: 'load', node, source, buffer: scope.assignment.get(source)! }]
    const loads = this.#context
      .argsOf({ act: 'value', node, again: false })
      .flatMap((arg) => this.#ensure(arg, scope))
    return [...loads, { kind: 'compute', node }]
  }

  #ensure(node: number, { known, assignment }: Scope): Statement[] {
    if (known.has(node) || this.#context.isScalar(node)) return []
    const buffer = assignment.get(node)
    if (buffer === undefined) throw new Error(`the plan lost node ${node}`)
    known.add(node)
    return [{ kind: 'load', node, source: node, buffer }]
  }

  #storeResults(node: number): Statement[] {
    return (this.#context.roots.get(node) ?? []).map((buffer) => ({ kind: 'store', node, buffer }))
  }
}
