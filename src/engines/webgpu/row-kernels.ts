/**
 * Row kernels (fused reductions) in WGSL: each point of the stage's axes belongs to one thread, or to several lanes of
 * a workgroup that iterate over the other axes together and combine their sums in a tree reduction.
 */
import type { LegalizedProgram } from '../compiled/legalize.ts'
import { type Coordinates, ExpressionEmitter, type ShaderContext } from './expressions.ts'
import {
  type KernelOp,
  type Reduce,
  type RowReductionKernel,
  rowTileThreads,
  type Store,
  WORKGROUP_SIZE,
} from './kernel-schedule.ts'
import { SharedMemoryTiles } from './row-staging.ts'

/** The source of one dispatch without the declarations that all dispatches share. */
export interface ShaderFragment {
  readonly text: string
  /** Functions of math.ts that it calls. */
  readonly functions: ReadonlySet<string>
}

/** A single thread adds up blocks of this many terms, and then the blocks. */
const BLOCK = 32

export function threadsOf(stage: RowReductionKernel): number {
  return Object.keys(stage.strips).length > 0 ? rowTileThreads(stage) : Math.max(WORKGROUP_SIZE, stage.lanes)
}

/** Number of sums that are reduced with the same barriers. */
const SLOTS = 4

/** Bits that are enough for the index of a thread in a workgroup. */
const GROUPS_MASK = 0xfff

/** A sum or maximum while it is computed: the name of a variable. */
interface Sum {
  readonly reduce: Reduce
  readonly name: string
  readonly isMax: boolean
  /** Whether the current block of terms has a variable of its own. */
  readonly isBlocked: boolean
}

/** Loops over one axis that do not depend on each other, and so are fused. */
interface Pass {
  readonly axis: string
  readonly reduces: Reduce[]
  readonly stores: Store[]
}

/**
 * The grouping of the terms depends only on the length of the axis, so that a row gets the same bits whatever else is
 * in the batch.
 */
export function rowSource(stage: RowReductionKernel, memory: ShaderContext): ShaderFragment {
  return new RowWriter(stage, memory).source()
}

class RowWriter {
  readonly #stage: RowReductionKernel
  readonly #memory: ShaderContext
  readonly #program: LegalizedProgram
  readonly #values: ExpressionEmitter
  readonly #lines: string[] = []
  readonly #point: Record<string, string> = {}
  readonly #strips: SharedMemoryTiles
  /** Number of tree reductions so far. */
  #trees = 0

  constructor(stage: RowReductionKernel, memory: ShaderContext) {
    this.#stage = stage
    this.#memory = memory
    this.#program = memory.program
    this.#values = new ExpressionEmitter(memory)
    this.#strips = new SharedMemoryTiles(stage, memory, this.#point)
    this.#values.shared = this.#strips
  }

  source(): ShaderFragment {
    this.#coordinates()
    for (const pass of passesOf(this.#program, this.#stage.items)) this.#pass(pass)
    for (const item of this.#stage.items) {
      if (item.kind === 'store' && item.axis === undefined) this.#storePoint(item)
    }
    const body = this.#values.close()
    return { text: this.#whole(body), functions: this.#values.functions }
  }

  // The point

  #coordinates() {
    const { axes, parts } = this.#stage
    const wide = axes.filter((axis) => !this.#memory.units.has(axis))
    for (const axis of axes) this.#point[axis] = '0u'
    let rest = 'point'
    for (const [place, axis] of [...wide.entries()].reverse()) {
      const coordinate = `c${place}`
      this.#point[axis] = coordinate
      const isLast = place === 0 && parts === undefined
      this.#lines.push(`let ${coordinate} = ${rest}${isLast ? '' : ` % ${this.#size(axis)}`};`)
      if (!isLast) {
        this.#lines.push(`let r${place} = ${rest} / ${this.#size(axis)};`)
        rest = `r${place}`
      }
    }
    if (parts !== undefined) this.#lines.push(`let part = ${rest};`)
  }

  #size(axis: string): string {
    return this.#memory.words.use({ kind: 'size', axis })
  }

  /** Number of points. */
  #points(): string {
    const { axes, parts } = this.#stage
    const sizes = axes.map((axis) => this.#size(axis))
    if (parts !== undefined) sizes.push(this.#memory.words.use({ kind: 'parts', axis: parts }))
    return sizes.length === 0 ? '1u' : sizes.join(' * ')
  }

  // Loops

  #pass(pass: Pass) {
    const { lanes } = this.#stage
    const k = this.#values.fresh('k')
    const sums = pass.reduces.map((reduce) => this.#declared(reduce))
    const [start, end] = this.#bounds(pass)
    this.#values.open(k)
    for (const sum of sums) this.#accumulate(sum, k)
    for (const store of pass.stores) this.#storeAlong(store, k)
    const body = this.#values.close()
    if (lanes === 1) body.push(...flushes(sums, k))
    this.#values.line(`for (var ${k} = ${start}; ${k} < ${end}; ${k} += ${lanes}u) {\n${indented(body)}\n}`)
    if (lanes === 1) for (const sum of sums) this.#finish(sum)
    else this.#fold(sums)
  }

  #bounds({ axis, reduces }: Pass): [string, string] {
    const start = this.#stage.lanes === 1 ? '0u' : 'lane'
    const { words } = this.#memory
    if (reduces[0]?.from !== undefined) return [start, words.use({ kind: 'parts', axis })]
    if (this.#stage.parts !== axis) return [start, this.#size(axis)]
    const length = words.use({ kind: 'part_length', axis })
    return [`part * ${length} + ${start}`, `min((part + 1u) * ${length}, ${this.#size(axis)})`]
  }

  #declared(reduce: Reduce): Sum {
    const name = this.#values.fresh('s')
    const isMax = this.#program.nodes[reduce.node].op === 'reduce_max'
    const isBlocked = !isMax && this.#stage.lanes === 1
    this.#values.line(`var ${name} = ${isMax ? '-words.infinity' : '0.0'};`)
    if (isBlocked) this.#values.line(`var ${name}_block = 0.0;`)
    return { reduce, name, isMax, isBlocked }
  }

  #accumulate({ reduce, name, isMax, isBlocked }: Sum, k: string) {
    const term = this.#term(reduce, k)
    if (isMax) this.#values.line(`${name} = ${this.#values.call('max2', [name, term])};`)
    else this.#values.line(`${name}${isBlocked ? '_block' : ''} += ${term};`)
  }

  #term({ node, axis, from }: Reduce, k: string): string {
    if (from !== undefined) {
      const start = this.#memory.words.use({ kind: 'block', block: from })
      return `bitcast<f32>(scratch[${start} + ${k} * (${this.#points()}) + point])`
    }
    const point: Coordinates = { ...this.#point, [axis]: k }
    return this.#program.nodes[node].args.map((arg) => this.#values.real(arg, point)).join(' * ')
  }

  #finish({ reduce, name, isBlocked }: Sum) {
    const text = isBlocked ? `${name} + ${name}_block` : name
    this.#values.made(reduce.node, this.#point, this.#values.name(text))
  }

  /**
   * Tree reduction over the lanes: the number of partial results is halved in each step, for a few sums at a time,
   * which share the barriers.
   */
  #fold(sums: readonly Sum[]) {
    const { lanes } = this.#stage
    for (let first = 0; first < sums.length; first += SLOTS) {
      // Tree reductions alternate between two sets of slots, so that one is read while the next is written.
      const set = (this.#trees++ % 2) * SLOTS
      const some = sums.slice(first, first + SLOTS).map((sum, i) => ({ ...sum, slot: `places_${set + i}` }))
      this.#tree(some)
      for (const { reduce, slot } of some) {
        const found = this.#values.name(`${slot}[thread & ${GROUPS_MASK - lanes + 1}u]`)
        this.#values.made(reduce.node, this.#point, found)
      }
    }
  }

  #tree(sums: readonly (Sum & { readonly slot: string })[]) {
    const steps = sums.map(({ isMax, slot }) => {
      const [own, other] = [`${slot}[thread]`, `${slot}[thread + half]`]
      return `${own} = ${isMax ? this.#values.call('max2', [own, other]) : `${own} + ${other}`};`
    })
    for (const { slot, name } of sums) this.#values.line(`${slot}[thread] = ${name};`)
    this.#values.line(`for (var half = ${this.#stage.lanes / 2}u; half > 0u; half >>= 1u) {
  workgroupBarrier();
  if (lane < half) { ${steps.join(' ')} }
}
workgroupBarrier();`)
  }

  // Results

  #storeAlong({ block, axis }: Store, k: string) {
    const point: Coordinates = { ...this.#point, [axis!]: k }
    const kept = this.#strips.write(block, point)
    if (kept !== undefined) this.#values.line(`${kept} = ${this.#values.bits(block, point)};`)
    else this.#values.line(guarded(this.#values.store(block, this.#values.place(block.axes, point), point)))
  }

  #storePoint({ block }: Store) {
    // The parts of a sum are stored one after the other, each in the order of the points.
    const place = block.parts === undefined ? this.#values.place(block.axes, this.#point) : 'point'
    const statement = this.#values.store(block, place, this.#point)
    this.#values.line(
      this.#stage.lanes === 1 ? guarded(statement) : `if (lane == 0u && is_live) { ${statement} }`,
    )
  }

  // The whole kernel

  #whole(body: readonly string[]): string {
    const { lanes } = this.#stage
    const threads = threadsOf(this.#stage)
    const rows = threads / lanes
    const own = lanes === 1 ? 'thread' : `(thread >> ${Math.log2(lanes)}u)`
    const lines = [
      `let wanted = (group.x + group.y * 65535u) * ${rows}u + ${own};`,
      `let is_live = wanted < ${this.#points()};`,
      // Threads beyond the last point take part, because every thread of a workgroup has to reach each barrier.
      `let point = min(wanted, ${this.#points()} - 1u);`,
      ...(lanes === 1 ? [] : [`let lane = thread & ${lanes - 1}u;`]),
      ...this.#strips.loads(this.#points()),
      ...this.#lines,
      ...body,
      ...this.#strips.flushes(),
    ]
    const places = Array.from({ length: Math.min(this.#trees, 2) * SLOTS }, (_, i) => i)
    return `${places.map((i) => `var<workgroup> places_${i}: array<f32, ${threads}>;`).join('\n')}
${this.#strips.declarations()}@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
${indented(lines)}
}`
  }
}

/**
 * Loop fusion: sums of equal rank over one axis share a loop. A store along an axis goes into the loop after the
 * last sum that it needs.
 */
function passesOf(program: LegalizedProgram, items: readonly KernelOp[]): Pass[] {
  const ranks = new Map<number, number>()
  const own = new Set(items.flatMap((item) => (item.kind === 'reduce' ? [item.node] : [])))
  const rankOf = (id: number): number => {
    const known = ranks.get(id)
    if (known !== undefined) return known
    const below = Math.max(0, ...program.nodes[id].args.map(rankOf))
    ranks.set(id, below + Number(own.has(id)))
    return below + Number(own.has(id))
  }
  const passes = new Map<string, Pass & { readonly rank: number }>()
  for (const item of items) {
    if (item.axis === undefined) continue
    const rank = item.kind === 'reduce' ? rankOf(item.node) - 1 : rankOf(nodeOf(item))
    const key = `${rank} ${item.axis}`
    const pass = passes.get(key) ?? { rank, axis: item.axis, reduces: [], stores: [] }
    passes.set(key, pass)
    if (item.kind === 'reduce') pass.reduces.push(item)
    else pass.stores.push(item)
  }
  return [...passes.values()].sort((a, b) => a.rank - b.rank)
}

function nodeOf({ node }: Store): number {
  return node
}

/** Adds each full block to its sum. */
function flushes(sums: readonly Sum[], k: string): string[] {
  const blocked = sums.filter(({ isBlocked }) => isBlocked)
  if (blocked.length === 0) return []
  const statements = blocked.map(({ name }) => `${name} += ${name}_block; ${name}_block = 0.0;`)
  return [`if ((${k} & ${BLOCK - 1}u) == ${BLOCK - 1}u) { ${statements.join(' ')} }`]
}

function guarded(statement: string): string {
  return `if (is_live) { ${statement} }`
}

/** Indents by two spaces. */
export function indented(lines: readonly string[]): string {
  return lines.map((line) => line.replaceAll(/^/gm, '  ')).join('\n')
}
