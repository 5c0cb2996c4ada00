/**
 * Shared-memory tiles for short rows: a workgroup copies its rows in and out with coalesced accesses, and its threads
 * read them from shared memory.
 */

import type { Coordinates, ShaderContext } from './expressions.ts'
import { type BufferDeclaration, type RowReductionKernel, rowTileThreads } from './kernel-schedule.ts'

/** Bytes of shared memory that every WebGPU device has per workgroup. */
const ROOM = 16384
/** Elements that a thread requests before it waits for the first (software prefetching). */
const AHEAD = 4

interface Strip {
  readonly array: string
  readonly axis: string
  /** The first word of the array in its binding. */
  readonly start: string
  /** Where it is written in the end; undefined for arrays that are only read. */
  readonly to: 'results' | 'scratch' | undefined
}

/**
 * If each thread handles a row of its own, the elements of neighbouring threads are a row apart in memory, so direct
 * accesses would not be coalesced. Which arrays are copied is decided while the stage is emitted: those that are read
 * or stored row by row, as long as there is space.
 */
export class SharedMemoryTiles {
  readonly #stage: RowReductionKernel
  readonly #memory: ShaderContext
  readonly #own: Coordinates
  readonly #strips = new Map<string, Strip>()
  #room = ROOM

  /** @param own the point of a thread's row */
  constructor(stage: RowReductionKernel, memory: ShaderContext, own: Coordinates) {
    this.#stage = stage
    this.#memory = memory
    this.#own = own
  }

  /** The element of an input in shared memory; undefined if it is not there. */
  read(name: string, axes: readonly string[], point: Coordinates): string | undefined {
    if (!this.#isOwnRow(axes, point)) return undefined
    const start = this.#memory.words.use({ kind: 'input', name })
    return this.#element(`input ${name}`, this.#wide(axes).at(-1)!, start, undefined, point)
  }

  /**
   * The element of a block that is kept until all rows are done; undefined if it must be written straight to
   * memory.
   */
  write(block: BufferDeclaration, point: Coordinates): string | undefined {
    if (!this.#isOwnRow(block.axes, point)) return undefined
    const start = this.#memory.words.use({ kind: 'block', block })
    const to = block.role === 'scratch' ? 'scratch' : 'results'
    return this.#element(`block ${block.id}`, this.#wide(block.axes).at(-1)!, start, to, point)
  }

  #isOwnRow(axes: readonly string[], point: Coordinates): boolean {
    const [outer, wide] = [this.#wide(this.#stage.axes), this.#wide(axes)]
    if (wide.length !== outer.length + 1 || this.#stage.strips[wide.at(-1)!] === undefined) return false
    return outer.every((axis, place) => wide[place] === axis && point[axis] === this.#own[axis])
  }

  #wide(axes: readonly string[]): string[] {
    return axes.filter((axis) => !this.#memory.units.has(axis))
  }

  #element(
    key: string,
    axis: string,
    start: string,
    to: Strip['to'],
    point: Coordinates,
  ): string | undefined {
    const strip = this.#strips.get(key) ?? this.#make(key, axis, start, to)
    if (strip === undefined) return undefined
    return `${strip.array}[padded(thread * ${this.#size(axis)} + ${point[axis]})]`
  }

  #make(key: string, axis: string, start: string, to: Strip['to']): Strip | undefined {
    const bytes = 4 * this.#words(axis)
    if (bytes > this.#room) return undefined
    this.#room -= bytes
    const strip = { array: `strip_${this.#strips.size}`, axis, start, to }
    this.#strips.set(key, strip)
    return strip
  }

  /** One word in 33 is unused. */
  #words(axis: string): number {
    return Math.ceil((rowTileThreads(this.#stage) * this.#stage.strips[axis] * 33) / 32)
  }

  #size(axis: string): string {
    return this.#memory.words.use({ kind: 'size', axis })
  }

  /**
   * One word is skipped after every 32, so that threads a power of two apart do not hit the same bank (no bank
   * conflicts).
   */
  declarations(): string {
    if (this.#strips.size === 0) return ''
    const arrays = [...this.#strips.values()].map(({ array, axis }) => {
      return `var<workgroup> ${array}: array<u32, ${this.#words(axis)}>;`
    })
    return `${arrays.join('\n')}
fn padded(place: u32) -> u32 { return place + (place >> 5u); }
`
  }

  /** Lines before all others: load what is read. */
  loads(points: string): string[] {
    if (this.#strips.size === 0) return []
    const threads = rowTileThreads(this.#stage)
    const read = [...this.#strips.values()].filter(({ to }) => to === undefined)
    return [
      `let first_row = min((group.x + group.y * 65535u) * ${threads}u, ${points});`,
      `let rows_here = min(first_row + ${threads}u, ${points}) - first_row;`,
      ...read.map((strip) => this.#load(strip, threads)),
      ...(read.length === 0 ? [] : ['workgroupBarrier();']),
    ]
  }

  #load({ array, axis, start }: Strip, threads: number): string {
    const size = this.#size(axis)
    const ahead = Array.from({ length: AHEAD }, (_, i) => i)
    const places = ahead.map((i) => `    let e${i} = e + ${i * threads}u;`)
    const loads = ahead.map(
      (i) => `    let x${i} = inputs[${start} + first_row * ${size} + min(e${i}, last)];`,
    )
    const stores = ahead.map((i) => `    if (e${i} <= last) { ${array}[padded(e${i})] = x${i}; }`)
    return `if (rows_here * ${size} > 0u) {
  let last = rows_here * ${size} - 1u;
  for (var e = thread; e <= last; e += ${AHEAD * threads}u) {
${[...places, ...loads, ...stores].join('\n')}
  }
}`
  }

  /** Lines after all others: write what was stored. */
  flushes(): string[] {
    const threads = rowTileThreads(this.#stage)
    const written = [...this.#strips.values()].filter(({ to }) => to !== undefined)
    const lines = written.map(({ array, axis, start, to }) => {
      const size = this.#size(axis)
      const word = `${array}[padded(e)]`
      return `for (var e = thread; e < rows_here * ${size}; e += ${threads}u) {
  ${to}[${start} + first_row * ${size} + e] = ${to === 'results' ? `bitcast<f32>(${word})` : word};
}`
    })
    return lines.length === 0 ? [] : ['workgroupBarrier();', ...lines]
  }
}
