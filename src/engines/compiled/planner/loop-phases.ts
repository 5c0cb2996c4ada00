/**
 * Scheduling of items into phases: each loop over the block's axis is one phase. A loop ends where a sum over its
 * axis is needed; what needs the sum goes into a later loop.
 */
import type { LoopPlacement, WorkItem } from './work-items.ts'

/** What the phases depend on. */
export interface DependencyInfo {
  readonly items: readonly WorkItem[]
  /** Node -> the item of this block that computes it. */
  readonly makers: ReadonlyMap<number, WorkItem>
  argsOf(item: WorkItem): readonly number[]
  groupOf(item: WorkItem): LoopPlacement
  /** Whether an item reads what the loop has left behind at other places. */
  readsAcross(item: WorkItem): boolean
  /** Whether it is used outside of the block, or is itself a sum. */
  isKept(item: WorkItem): boolean
}

/** Item -> its phase, from 0. */
export function phasesOf(question: DependencyInfo): ReadonlyMap<WorkItem, number> {
  return asLateAsPossible(question, asEarlyAsPossible(question))
}

/** ASAP scheduling. Item -> the first phase in which everything that it needs is known. */
function asEarlyAsPossible(question: DependencyInfo): Map<WorkItem, number> {
  const phases = new Map<WorkItem, number>()
  const adding = new Map<number, WorkItem>()
  for (const item of question.items) {
    if (item.act === 'add') adding.set(item.node, item)
    // What was accumulated in an outer loop is known from the start.
    const added = adding.get(item.node)
    const afterAdding = added === undefined ? 0 : phases.get(added)! + 1
    phases.set(item, item.act === 'sum' ? afterAdding : phaseAfter(question, item, phases))
  }
  return phases
}

function phaseAfter(
  { makers, argsOf, groupOf, readsAcross }: DependencyInfo,
  item: WorkItem,
  phases: ReadonlyMap<WorkItem, number>,
) {
  const group = groupOf(item)
  const isAcross = readsAcross(item)
  const bounds = argsOf(item).map((arg) => {
    const maker = makers.get(arg)
    if (maker === undefined) return 0
    const own = groupOf(maker)
    return phases.get(maker)! + Number(own !== 'outside' && (own !== group || isAcross))
  })
  return Math.max(0, ...bounds)
}

/**
 * ALAP scheduling. A value that only later loops of the same kind read is computed in the first of them and need
 * not be stored until then.
 */
function asLateAsPossible(
  question: DependencyInfo,
  early: ReadonlyMap<WorkItem, number>,
): Map<WorkItem, number> {
  const { items, groupOf, readsAcross, isKept } = question
  const phases = new Map(early)
  const readers = readersOf(question)
  for (const item of [...items].reverse()) {
    const group = groupOf(item)
    const own = readers.get(item) ?? []
    const isBound = item.act !== 'value' || group === 'outside' || isKept(item) || own.length === 0
    if (isBound || own.some((reader) => groupOf(reader) !== group || readsAcross(reader))) continue
    phases.set(item, Math.min(...own.map((reader) => phases.get(reader)!)))
  }
  return phases
}

function readersOf({ items, makers, argsOf }: DependencyInfo): Map<WorkItem, WorkItem[]> {
  const readers = new Map<WorkItem, WorkItem[]>()
  for (const item of items) {
    for (const arg of argsOf(item)) {
      const maker = makers.get(arg)
      if (maker === undefined) continue
      const known = readers.get(maker)
      if (known === undefined) readers.set(maker, [item])
      else known.push(item)
    }
  }
  return readers
}
