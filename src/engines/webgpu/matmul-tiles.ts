/**
 * GEMM (tiled matmul) in WGSL: a workgroup computes one square tile of the result from strips of both factors in shared
 * memory, and each thread a small square of it (register tiling).
 */
import type { LegalizedProgram } from '../compiled/legalize.ts'
import { type Coordinates, ExpressionEmitter, type ShaderContext } from './expressions.ts'
import { TILE, type TiledMatmulKernel } from './kernel-schedule.ts'
import { indented, type ShaderFragment } from './row-kernels.ts'

/** Threads along a side of the tile. */
const SIDE = TILE.side / TILE.own
export const TILE_THREADS = SIDE * SIDE
/** Row pitch of a strip: odd, so that threads that write a column hit different banks (no bank conflicts). */
const PITCH = TILE.side + 1

/**
 * Factors are expressions that are computed while they are loaded. The terms of an element are always added in the same
 * order, wherever it is: within blocks as deep as a strip, then over the blocks.
 */
export function tileSource(stage: TiledMatmulKernel, memory: ShaderContext): ShaderFragment {
  const values = new ExpressionEmitter(memory)
  const writer = new TileWriter(stage, memory, values)
  return { text: writer.text(), functions: values.functions }
}

class TileWriter {
  readonly #stage: TiledMatmulKernel
  readonly #memory: ShaderContext
  readonly #program: LegalizedProgram
  readonly #values: ExpressionEmitter

  constructor(stage: TiledMatmulKernel, memory: ShaderContext, values: ExpressionEmitter) {
    this.#stage = stage
    this.#memory = memory
    this.#program = memory.program
    this.#values = values
  }

  text(): string {
    const { side, depth, own } = TILE
    const pitch = PITCH
    const { batch, rows, columns, axis } = this.#stage
    const [left, right] = [this.#load('left', rows), this.#load('right', columns)]
    const out = this.#values
    out.open('i')
    const at = {
      ...this.#split(batch, 'z', out),
      ...this.#split(rows, 'i', out),
      ...this.#split(columns, 'j', out),
    }
    const { block } = this.#stage
    const start = this.#memory.words.use({ kind: 'block', block })
    out.line(`scratch[${start} + ${out.place(block.axes, at)}] = bitcast<u32>(total[b]);`)
    const store = out.close()
    const before = out.close()
    return `var<workgroup> left_strip: array<f32, ${pitch * depth}>;
var<workgroup> right_strip: array<f32, ${pitch * depth}>;
@compute @workgroup_size(${TILE_THREADS})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let rows = ${this.#count(rows)};
  let columns = ${this.#count(columns)};
  let depth = ${this.#count([axis])};
  let across = (columns + ${side - 1}u) / ${side}u;
  let down = (rows + ${side - 1}u) / ${side}u;
  let tile = group.x + group.y * 65535u;
  let z = min(tile / (across * down), ${this.#count(batch)} - 1u);
  let is_live = tile < across * down * ${this.#count(batch)};
  let first_row = (tile / across) % down * ${side}u;
  let first_column = tile % across * ${side}u;
  let own_row = thread >> ${Math.log2(SIDE)}u;
  let own_column = thread & ${SIDE - 1}u;
${indented(before)}
${indented(each((a) => `var total${a} = vec4<f32>();`))}
  for (var strip = 0u; strip < depth; strip += ${depth}u) {
${indented([indented(left), indented(right)])}
    workgroupBarrier();
${indented([indented(each((a) => `var sums${a} = vec4<f32>();`))])}
    for (var k = 0u; k < ${depth}u; k++) {
      let l = ${this.#four('left', 'own_row')};
      let r = ${this.#four('right', 'own_column')};
${indented([indented([indented(each((a) => `sums${a} += l[${a}] * r;`))])])}
    }
${indented([indented(each((a) => `total${a} += sums${a};`))])}
    workgroupBarrier();
  }
  for (var a = 0u; a < ${own}u; a++) {
    let i = first_row + own_row + a * ${SIDE}u;
    let total = select(select(total0, total1, a == 1u), select(total2, total3, a == 3u), a > 1u);
    for (var b = 0u; b < ${own}u; b++) {
      let j = first_column + own_column + b * ${SIDE}u;
      if (is_live && i < rows && j < columns) {
${indented([indented([indented([indented(store)])])])}
      }
    }
  }
}`
  }

  /** What one thread needs of a strip at depth k. */
  #four(which: 'left' | 'right', own: string): string {
    const places = each((a) => `${which}_strip[k * ${PITCH}u + ${own} + ${Number(a) * SIDE}u]`)
    return `vec4<f32>(${places.join(', ')})`
  }

  /** Loads a strip of one factor into shared memory; beyond the depth it is 0 on both sides. */
  #load(which: 'left' | 'right', outer: readonly string[]): string[] {
    const { side, depth } = TILE
    const [arg] = this.#program.nodes[this.#stage.node].args.slice(which === 'left' ? 0 : 1)
    const values = this.#values
    values.open('e')
    const [k, i] = this.#runsAlong(arg)
      ? [`e & ${depth - 1}u`, `e >> ${Math.log2(depth)}u`]
      : [`e >> ${Math.log2(side)}u`, `e & ${side - 1}u`]
    values.line(`let deep = ${k};`)
    values.line(`let across_strip = ${i};`)
    values.line(`let p = min(strip + deep, depth - 1u);`)
    const [origin, count] = which === 'left' ? ['first_row', 'rows'] : ['first_column', 'columns']
    values.line(`let q = min(${origin} + across_strip, ${count} - 1u);`)
    const point: Coordinates = {
      ...this.#split(this.#stage.batch, 'z', values),
      ...this.#split(outer, 'q', values),
      [this.#stage.axis]: values.name('p'),
    }
    const value = values.real(arg, point)
    values.line(
      `${which}_strip[deep * ${PITCH}u + across_strip] = select(0.0, ${value}, strip + deep < depth);`,
    )
    const body = values.close()
    return [`for (var e = thread; e < ${side * depth}u; e += ${TILE_THREADS}u) {\n${indented(body)}\n}`]
  }

  /** Whether most of what a factor reads is contiguous along the summed axis. */
  #runsAlong(id: number): boolean {
    const { nodes, inputs } = this.#program
    const { op, name, args, axes, axis, to } = nodes[id]
    if (op === 'expand') return this.#runsAlong(args[0])
    if (op === 'rename')
      return this.#lastOf(args[0]) === axis ? to === this.#stage.axis : this.#runsAlong(args[0])
    const own = op === 'input' ? inputs[name!].axes : (this.#memory.homes.get(id)?.axes ?? axes)
    return own.at(-1) === this.#stage.axis
  }

  #lastOf(id: number): string | undefined {
    const { op, name, axes } = this.#program.nodes[id]
    return (op === 'input' ? this.#program.inputs[name!].axes : axes).at(-1)
  }

  /** The coordinates of several axes from a combined index. */
  #split(axes: readonly string[], from: string, values: ExpressionEmitter): Coordinates {
    const point: Record<string, string> = {}
    let rest = from
    for (const [place, axis] of [...axes.entries()].reverse()) {
      const size = this.#memory.words.use({ kind: 'size', axis })
      point[axis] = values.name(place === 0 ? rest : `${rest} % ${size}`)
      if (place > 0) rest = values.name(`${rest} / ${size}`)
    }
    return point
  }

  #count(axes: readonly string[]): string {
    if (axes.length === 0) return '1u'
    return axes.map((axis) => this.#memory.words.use({ kind: 'size', axis })).join(' * ')
  }
}

/** One line for each row of the part that a thread computes. */
function each(line: (row: string) => string): string[] {
  return Array.from({ length: TILE.own }, (_, row) => line(String(row)))
}
