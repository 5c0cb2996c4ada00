/**
 * Loads and stores: computes addresses, and reads and writes elements whose lanes are contiguous or strided (gather),
 * up to the ends of rows.
 */
import type { Node } from '../../../language/ir.ts'
import { type AxisRead, memoryReadOf } from '../../../loops/access-map.ts'
import type { Buffer } from '../../../loops/loop-plan.ts'
import { elementBytesOf } from '../element-types.ts'
import {
  type Code,
  constI32x4,
  extractI32,
  get,
  I32,
  IOTA,
  i32,
  ifElse,
  loadHalf,
  loadVector,
  op,
  select,
  set,
  shuffle,
  storeHalf,
  storeVector,
} from '../wasm-encoder.ts'
import type { CodegenContext, OpenLoop } from './codegen-context.ts'
import { OVERREAD_ELEMENTS } from './kernel-params.ts'

/** Buffer axis -> the loop axis under which it is read, if a rename makes them different. */
type Names = Readonly<Record<string, string>>

/** An axis of a buffer that is read at a distance. */
interface Distance extends AxisRead {
  readonly dimension: number
}

/** A dimension of a buffer along which the lanes run. */
interface Across {
  readonly buffer: Buffer
  readonly dimension: number
}

/** An address in a local or in code, and the constant offset that the instruction itself adds. */
interface Place {
  readonly address: Code
  readonly offset: number
}

/**
 * Loads and stores at the current point of a context. If the lanes run across the rows of a buffer, an unrolled loop
 * along the rows moves tiles of as many rows as there are lanes, by four columns or by two: rows are read as vectors and
 * transposed in registers, instead of as separate numbers.
 */
export class LoadStoreEmitter {
  readonly #context: CodegenContext

  constructor(context: CodegenContext) {
    this.#context = context
  }

  /** Loads the value of a node from a buffer; `rename` and `shift` load the elements of their argument. */
  read(id: number, buffer: Buffer): Code {
    if (buffer.role === 'cotangent' && this.#context.program.sharesCotangent)
      return this.#context.stored(buffer).splat(this.#context.words.base(buffer), 0)
    const { axes } = memoryReadOf(this.#context.nodes, id)
    const names = Object.fromEntries(Object.entries(axes).map(([axis, { loop }]) => [axis, loop]))
    const distances = buffer.axes.flatMap((axis, dimension) => {
      const steps = axes[axis]?.steps ?? 0
      return steps === 0 ? [] : [{ dimension, loop: names[axis], steps }]
    })
    return distances.length === 0 ? this.load(buffer, names) : this.#loadNeighbor(buffer, names, distances)
  }

  load(buffer: Buffer, names: Names = {}): Code {
    const dimension = this.#laneDimension(buffer, names)
    if (dimension === undefined) {
      const { address, offset } = this.#place(buffer, names)
      return this.#loadSame(buffer, address, offset)
    }
    if (this.#isTiled(buffer, names)) return this.#loadTile({ buffer, dimension }, names)
    const { address, offset } = this.#place(buffer, names)
    if (isLast(buffer, dimension)) return this.#context.stored(buffer).vector(address, offset)
    const first = this.#context.f.let(address, I32)
    const at = (lane: number) => this.#ofLane(first, { buffer, dimension }, lane)
    return this.#gather(buffer, at, offset)
  }

  /** The element of the current iteration, which all lanes share. */
  #loadSame(buffer: Buffer, address: Code, offset: number): Code {
    return buffer.vectors ? loadVector(address, offset) : this.#context.stored(buffer).splat(address, offset)
  }

  store(buffer: Buffer, value: Code) {
    const { f, laneLoop, lane: type } = this.#context
    const dimension = this.#laneDimension(buffer, {})
    if (dimension !== undefined && this.#isTiled(buffer, {}))
      return this.#storeTile({ buffer, dimension }, value)
    const { address, offset } = this.#place(buffer, {})
    if (dimension === undefined) {
      return f.add(
        buffer.vectors ? storeVector(address, value, offset) : type.storeOne(address, value, 0, offset),
      )
    }
    // Rows of scratch memory are padded to whole vectors, so reading past their end is harmless.
    const isContiguous = isLast(buffer, dimension)
    if (isContiguous && (laneLoop!.full || buffer.role === 'scratch'))
      return f.add(storeVector(address, value, offset))
    const [first, kept] = [f.let(address, I32), f.let(value)]
    const one = (lane: number) =>
      type.storeOne(this.#ofLane(first, { buffer, dimension }, lane), kept, lane, offset)
    const all = isContiguous ? storeVector(first, kept, offset) : type.places.map(one)
    f.add(this.#within(laneLoop!, one, all))
  }

  /**
   * Gather: reads an element at a computed index. An index outside of the axis reads the nearest end, whose value
   * is never used.
   */
  pick({ args, axis, axes }: Node, whole: Code): Code {
    const { nodes, words, f, laneLoop } = this.#context
    const buffer = this.#context.inputBuffer(nodes[args[0]])
    const stride = words.stride(buffer, buffer.axes.indexOf(axis!))
    const end = op('i32x4.sub', op('i32x4.splat', words.size(axis!)), constI32x4(1))
    const place = f.let(op('i32x4.max_s', op('i32x4.min_s', whole, end), constI32x4(0)))
    const { address, offset } = this.#place(buffer, {}, [axis!])
    const at = (lane: number) => op('i32.add', address, op('i32.mul', extractI32(place, lane), stride))
    if (laneLoop === undefined || !axes.includes(laneLoop.axis))
      return this.#context.stored(buffer).splat(at(0), offset)
    // If the lanes run along the buffer too, each lane starts at its own element.
    const dimension = buffer.axes.indexOf(laneLoop.axis)
    if (dimension < 0) return this.#gather(buffer, at, offset)
    return this.#gather(buffer, (lane) => this.#ofLane(at(lane), { buffer, dimension }, lane), offset)
  }

  /**
   * Elements at a distance. Beyond the ends of the axis it reads arbitrary memory, whose value is never used.
   *
   * @param distances one for each axis that is not read at the index of its loop
   */
  #loadNeighbor(buffer: Buffer, names: Names, distances: readonly Distance[]): Code {
    const { laneLoop } = this.#context
    const stored = this.#context.stored(buffer)
    const across = distances.find(({ loop }) => loop === laneLoop?.axis)
    const others = distances.filter((distance) => distance !== across)
    const isNear =
      across !== undefined && Math.abs(across.steps) <= OVERREAD_ELEMENTS && isLast(buffer, across.dimension)
    const skipped = (isNear ? others : distances).map(({ dimension }) => buffer.axes[dimension])
    const { address, offset } = this.#place(buffer, names, skipped)
    const first = others.reduce(
      (sum, distance) => op('i32.add', sum, this.#offsetOf(buffer, distance)),
      address,
    )
    if (across === undefined) return this.#loadLanes(buffer, names, first, offset)
    if (isNear) {
      const earliest = op('i32.sub', first, i32(OVERREAD_ELEMENTS * stored.bytes))
      return stored.vector(earliest, offset + (OVERREAD_ELEMENTS - across.steps) * stored.bytes)
    }
    return isLast(buffer, across.dimension)
      ? stored.vector(
          op('i32.add', first, op('i32.mul', this.#firstOfLanes(across), i32(stored.bytes))),
          offset,
        )
      : this.#gatherLanes(buffer, first, offset, across)
  }

  /** For lanes along another axis of the buffer, or along none. */
  #loadLanes(buffer: Buffer, names: Names, address: Code, offset: number): Code {
    const dimension = this.#laneDimension(buffer, names)
    if (dimension === undefined) {
      return this.#loadSame(buffer, address, offset)
    }
    if (isLast(buffer, dimension)) return this.#context.stored(buffer).vector(address, offset)
    const first = this.#context.f.let(address, I32)
    return this.#gather(buffer, (lane) => this.#ofLane(first, { buffer, dimension }, lane), offset)
  }

  /** Bytes to the neighbor along an axis without lanes, or to the nearest end of the axis. */
  #offsetOf(buffer: Buffer, { dimension, loop, steps }: Distance): Code {
    const open = this.#context.loopOver(loop)
    const skipped = this.#context.skippedIn(open)
    const stride = this.#context.words.stride(buffer, dimension)
    return this.#once(open, `neighbor ${buffer.id} ${dimension} ${steps} ${skipped}`, () => {
      const place = this.#context.f.local(I32)
      const end = steps > 0 ? i32(0) : op('i32.sub', this.#context.words.size(loop), i32(1))
      open.prologue.push(set(place, op('i32.add', get(open.index), i32(skipped - steps))))
      return op('i32.mul', nearest(get(place), end, steps), stride)
    })
  }

  /**
   * The index of the first lane. Lanes may lie beyond the ends of the axis, but by at most one vector, where there is always
   * memory.
   */
  #firstOfLanes({ loop, steps }: Distance): Code {
    const open = this.#context.loopOver(loop)
    const skipped = this.#context.skippedIn(open)
    return this.#once(open, `lanes ${loop} ${steps} ${skipped}`, () => {
      const place = this.#context.f.local(I32)
      const end = steps > 0 ? i32(-this.#context.lane.count) : this.#context.words.size(loop)
      open.prologue.push(set(place, op('i32.add', get(open.index), i32(skipped - steps))))
      return nearest(get(place), end, steps)
    })
  }

  /** For lanes along an axis that is not contiguous. */
  #gatherLanes(buffer: Buffer, address: Code, offset: number, { dimension, loop, steps }: Distance): Code {
    const { f, words } = this.#context
    const open = this.#context.loopOver(loop)
    const start = op('i32.add', get(open.index), i32(this.#context.skippedIn(open) - steps))
    const end = op('i32x4.sub', op('i32x4.splat', words.size(loop)), constI32x4(1))
    const places = op('i32x4.add', op('i32x4.splat', start), IOTA)
    const within = f.let(op('i32x4.max_s', op('i32x4.min_s', places, end), constI32x4(0)))
    const first = f.let(address, I32)
    const stride = words.stride(buffer, dimension)
    const at = (lane: number) => op('i32.add', first, op('i32.mul', extractI32(within, lane), stride))
    return this.#gather(buffer, at, offset)
  }

  /** Elements that are not contiguous. */
  #gather(buffer: Buffer, at: (lane: number) => Code, offset: number): Code {
    const stored = this.#context.stored(buffer)
    const raw = this.#context.lane.places.reduce<Code>(
      (vector, lane) => stored.lane(at(lane), vector, lane, offset),
      constI32x4(0),
    )
    return stored.converted(raw)
  }

  // Tiles

  /** Whether the unrolled loop runs along the rows of the buffer, and the lanes across them. */
  #isTiled(buffer: Buffer, names: Names): boolean {
    const { axes, vectors } = buffer
    const { innermost } = this.#context
    if (!this.#context.stored(buffer).isNative) return false
    if (innermost === undefined || innermost.lanes || innermost.copies === 1) return false
    const last = axes.at(-1)!
    return !vectors && (names[last] ?? last) === innermost.axis
  }

  /** The columns of an iteration are loaded together, with the first of them. */
  #loadTile({ buffer, dimension }: Across, names: Names): Code {
    const { f, copy, innermost } = this.#context
    const key = `load ${buffer.id} ${buffer.axes.map((axis) => names[axis] ?? axis)}`
    const known = innermost!.tiles.get(key)
    if (known !== undefined) return known[copy]
    const first = f.let(this.#address(buffer, names), I32)
    const at = (lane: number) => this.#ofLane(first, { buffer, dimension }, lane)
    const columns = this.#columns(at, innermost!.copies)
    innermost!.tiles.set(key, columns)
    return columns[copy]
  }

  /** The columns of an iteration are stored together, with the last of them. */
  #storeTile({ buffer, dimension }: Across, value: Code) {
    const { f, laneLoop, innermost } = this.#context
    const key = `store ${buffer.id}`
    const columns = [...(innermost!.tiles.get(key) ?? []), value]
    innermost!.tiles.set(key, columns)
    if (columns.length < innermost!.copies) return
    const first = f.let(this.#address(buffer, {}), I32)
    const one = this.#rows(columns, (lane) => this.#ofLane(first, { buffer, dimension }, lane))
    f.add(this.#within(laneLoop!, one, this.#context.lane.places.map(one)))
  }

  /** The columns of rows whose first elements are at these addresses: in blocks of whole vectors, or in half of one. */
  #columns(at: (lane: number) => Code, count: number): Code[] {
    const { f, lane: type } = this.#context
    if (count < type.count) return this.#twoColumns(at)
    return blocksOf(count, type.count).flatMap((start) => {
      const rows = type.places.map((lane) => f.let(loadVector(at(lane), start * type.native.bytes)))
      return type.transposed(f, rows)
    })
  }

  #twoColumns(at: (lane: number) => Code): Code[] {
    const { f } = this.#context
    const pair = (lane: number) => f.let(loadHalf(at(lane + 1), loadHalf(at(lane), constI32x4(0), 0), 1))
    const [upper, lower] = [pair(0), pair(2)]
    return [f.let(shuffle(upper, lower, [0, 2, 4, 6])), f.let(shuffle(upper, lower, [1, 3, 5, 7]))]
  }

  /** The stores of each row. */
  #rows(columns: readonly Code[], at: (lane: number) => Code): (lane: number) => Code {
    const { f, lane: type } = this.#context
    if (columns.length < type.count) return this.#halfRows(columns, at)
    const blocks = blocksOf(columns.length, type.count).map((start) => ({
      offset: start * type.native.bytes,
      rows: type.transposed(f, columns.slice(start, start + type.count)),
    }))
    return (lane) => blocks.map(({ rows, offset }) => storeVector(at(lane), rows[lane], offset))
  }

  #halfRows([a, b]: readonly Code[], at: (lane: number) => Code): (lane: number) => Code {
    const { f } = this.#context
    const pairs = [f.let(shuffle(a, b, [0, 4, 1, 5])), f.let(shuffle(a, b, [2, 6, 3, 7]))]
    return (lane) => storeHalf(at(lane), pairs[lane >> 1], lane % 2)
  }

  // Lanes

  /** `all` if all lanes are within the axis, otherwise `one` for each lane that is. */
  #within(loop: OpenLoop, one: (lane: number) => Code, all: Code): Code {
    if (loop.full) return all
    const left = this.#context.leftOf(loop)
    const { count, places } = this.#context.lane
    const single = places.map((lane) => ifElse(op('i32.lt_s', i32(lane), left), one(lane)))
    return ifElse(op('i32.ge_s', left, i32(count)), all, single)
  }

  /** The address of a lane's element, relative to the first lane. Lanes beyond the end read the last element again. */
  #ofLane(first: Code, { buffer, dimension }: Across, lane: number): Code {
    if (lane === 0) return first
    const loop = this.#context.laneLoop!
    const stride = this.#context.words.stride(buffer, dimension)
    const key = `lane ${lane} ${buffer.id} ${dimension}`
    return op(
      'i32.add',
      first,
      this.#once(loop, key, () => op('i32.mul', this.#laneWithin(loop, lane), stride)),
    )
  }

  #laneWithin(loop: OpenLoop, lane: number): Code {
    if (loop.full) return i32(lane)
    return this.#once(loop, `lane ${lane}`, () => {
      const last = op('i32.sub', this.#context.leftOf(loop), i32(1))
      return select(op('i32.lt_s', i32(lane), last), i32(lane), last)
    })
  }

  /** The dimension of a buffer along which the lanes are contiguous. */
  #laneDimension(buffer: Buffer, names: Names): number | undefined {
    const axis = this.#context.laneLoop?.axis
    const place = buffer.axes.findIndex((own) => (names[own] ?? own) === axis)
    return place < 0 ? undefined : place
  }

  // Addresses

  /** The address of a line of a buffer along axes that no open loop is over, of a lane. */
  lineAddress(buffer: Buffer, lane = 0): Code {
    const address = this.#address(buffer, {})
    if (lane === 0) return address
    if (buffer.vectors) return op('i32.add', address, i32(lane * this.#context.lane.native.bytes))
    const dimension = this.#laneDimension(buffer, {})
    return dimension === undefined ? address : this.#ofLane(address, { buffer, dimension }, lane)
  }

  /** Adds what `write` emits for each lane within the axis, or once if there are no lanes. */
  eachLane(write: (lane: number) => Code) {
    const { f, laneLoop, lane: type } = this.#context
    if (laneLoop === undefined) return f.add(write(0))
    f.add(this.#within(laneLoop, write, type.places.map(write)))
  }

  /**
   * The address of the current element, or of the first lane's.
   *
   * @param skip axes of the buffer that the caller adds
   */
  #place(buffer: Buffer, names: Names, skip: readonly string[] = []): Place {
    const { innermost, words } = this.#context
    const address = this.#address(buffer, names, skip)
    const skipped = innermost === undefined ? 0 : this.#context.skippedIn(innermost)
    const dimension = buffer.axes.findIndex(
      (axis) => !skip.includes(axis) && (names[axis] ?? axis) === innermost?.axis,
    )
    if (skipped === 0 || dimension < 0) return { address, offset: 0 }
    if (isLast(buffer, dimension))
      return { address, offset: skipped * elementBytesOf(this.#context.types, buffer) }
    const step = op('i32.mul', i32(skipped), words.stride(buffer, dimension))
    return { address: op('i32.add', address, step), offset: 0 }
  }

  /**
   * The address for the first vector of an iteration. The parts that belong to an outer loop are computed at the
   * start of its body.
   */
  #address(buffer: Buffer, names: Names, skip: readonly string[] = []): Code {
    const { words, loops } = this.#context
    const spelled = buffer.axes.map((axis) => (skip.includes(axis) ? '' : (names[axis] ?? axis)))
    const key = `${buffer.id} ${spelled.join()}`
    let address = words.base(buffer)
    for (const loop of loops) {
      const dimension = spelled.indexOf(loop.axis)
      if (dimension < 0) continue
      const outer = address
      const stride = words.stride(buffer, dimension)
      address = this.#once(loop, key, () => op('i32.add', outer, op('i32.mul', get(loop.index), stride)))
    }
    return address
  }

  /** Computed once at the start of a loop's body. */
  #once(loop: OpenLoop, key: string, make: () => Code): Code {
    const known = loop.addresses.get(key)
    if (known !== undefined) return known
    const value = make()
    const local = this.#context.f.local(I32)
    loop.prologue.push(set(local, value))
    loop.addresses.set(key, get(local))
    return get(local)
  }
}

function isLast({ axes }: Buffer, dimension: number): boolean {
  return dimension === axes.length - 1
}

/** The index of a neighbor, limited to the end of the axis on its side. */
function nearest(place: Code, end: Code, steps: number): Code {
  const isBefore = op('i32.lt_s', place, end)
  return steps > 0 ? select(isBefore, end, place) : select(isBefore, place, end)
}

/** The start of each block of a number of columns. */
function blocksOf(count: number, width: number): number[] {
  return Array.from({ length: count / width }, (_, block) => block * width)
}
