/**
 * Plan -> WebAssembly. Every value is one vector: four elements along the axis of the open lane loop, or four times the
 * same number. It decides nothing: what is computed where stands in the plan.
 */
import type { Node } from '../../language/ir.ts'
import type { Expanded } from './expand.ts'
import { HOST, log1pOfUnit, MATH, type MathOp, type Target } from './math.ts'
import {
  type Accumulator,
  type Buffer,
  isScalar,
  type Loop,
  type Plan,
  readsInput,
  type Statement,
} from './plan.ts'
import {
  type Code,
  call,
  constF32x4,
  constI32x4,
  encodeModule,
  extractI32,
  FunctionBuilder,
  get,
  I32,
  IOTA,
  i32,
  ifElse,
  loadI32,
  loadLane,
  loadSplat,
  loadVector,
  op,
  type SimdOp,
  set,
  shuffle,
  storeLane,
  storeVector,
  V128,
  whileLoop,
} from './wasm.ts'

/** One 32-bit word that a launch brings: the kernel's whole argument is a list of them in memory. */
export type Word =
  /** The elements of the outermost axis that this launch computes. */
  | { readonly kind: 'first' | 'last' }
  | { readonly kind: 'size'; readonly axis: string }
  | { readonly kind: 'base'; readonly buffer: Buffer }
  /** Bytes from one element to the next along an axis of a buffer. */
  | { readonly kind: 'stride'; readonly buffer: Buffer; readonly dimension: number }
  /** A number, or a truth as all ones or zeros. */
  | { readonly kind: 'scalar'; readonly node: number }

export interface Emitted {
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly words: readonly Word[]
}

/** 4 GiB: what 32-bit addresses reach. */
export const MAX_PAGES = 65536

/** Terms that are added before the sum moves on to the next block. */
const BLOCK = 64

/**
 * Vectors that a turn of an innermost loop takes, as long as so many are left: a chain of exp and log waits for itself,
 * four of them side by side do not (sigmoid_focal 1024 x 1000: 24 ms one by one, 11 in pairs, 7 in fours).
 */
const UNROLLED = [4, 2] as const

/** Bytes of a number, and of a vector. */
const [NUMBER, VECTOR] = [4, 16]

/**
 * The module of a plan: it imports its memory and exports `run(arguments)`.
 *
 * @example
 * new WebAssembly.Module(emit(plan(expand(program, true)), { relaxed: false }).bytes)
 */
export function emit(plan: Plan, target: Target): Emitted {
  return new Emitter(plan, target).emit()
}

/** A loop whose body is being written. */
interface OpenLoop {
  readonly axis: string
  readonly index: number
  readonly lanes: boolean
  /** What the body begins with: addresses that only change with this loop. */
  readonly prologue: Code[]
  readonly addresses: Map<string, Code>
  /** Vectors that one turn takes, written side by side so that their latencies overlap. */
  readonly copies: number
  /** Whether all lanes lie within the axis. */
  readonly full: boolean
  /** In a lane loop that is not full: which lanes do. */
  mask: Code | undefined
}

/** An accumulator in locals. */
interface LocalSum {
  readonly partial: number
  readonly total: number
  readonly lost: number
}

class Emitter {
  readonly #plan: Plan
  readonly #program: Expanded
  readonly #nodes: readonly Node[]
  readonly #target: Target
  readonly #f = new FunctionBuilder([I32], [])
  readonly #prologue: Code[] = []
  readonly #words: Word[] = []
  readonly #wordLocals = new Map<string, Code>()
  readonly #values = new Map<number, Code>()
  /** Values of the unrolled loop that is being written, one map for each vector of a turn. */
  #copies: Map<number, Code>[] = []
  /** Which vector of the turn is being written. */
  #copy = 0
  readonly #sums = new Map<number, LocalSum>()
  readonly #loops: OpenLoop[] = []
  /** Functions of the module after `run`, by name. */
  readonly #helpers = new Map<string, FunctionBuilder>()

  constructor(plan: Plan, target: Target) {
    this.#plan = plan
    this.#program = plan.program
    this.#nodes = plan.program.nodes
    this.#target = target
  }

  emit(): Emitted {
    const body = this.#f.capture(() => this.#statements(this.#plan.body))
    this.#f.add(...this.#prologue, body)
    const bytes = encodeModule({
      imports: HOST,
      functions: [this.#f, ...this.#helpers.values()],
      exports: { run: HOST.length },
      maxPages: MAX_PAGES,
    })
    return { bytes, words: this.#words }
  }

  // Words

  /** A word of the argument in a local, read once at the start. */
  #word(word: Word, key: string): Code {
    return this.#once(key, () => [loadI32(get(0), this.#words.push(word) * 4 - 4), I32])
  }

  #scalar(node: number): Code {
    return this.#once(`scalar ${node}`, () => {
      const offset = this.#words.push({ kind: 'scalar', node }) * 4 - 4
      return [loadSplat(op('i32.add', get(0), i32(offset))), V128]
    })
  }

  #once(key: string, make: () => [Code, typeof I32 | typeof V128]): Code {
    const known = this.#wordLocals.get(key)
    if (known !== undefined) return known
    const [code, type] = make()
    const local = this.#f.local(type)
    this.#prologue.push(set(local, code))
    this.#wordLocals.set(key, get(local))
    return get(local)
  }

  // Statements

  #statements(statements: readonly Statement[]) {
    for (const statement of statements) this.#statement(statement)
  }

  #statement(statement: Statement) {
    switch (statement.kind) {
      case 'loop':
        return this.#loop(statement)
      case 'compute':
        return this.#define(statement.node, this.#compute(this.#nodes[statement.node]))
      case 'load':
        return this.#define(statement.node, this.#load(statement.buffer, this.#namesOf(statement.node)))
      case 'store':
        return this.#store(statement.buffer, this.#value(statement.node))
      case 'accumulate':
        return this.#accumulate(statement.node, statement.memory)
    }
  }

  #define(node: number, value: Code) {
    const values = this.#copies[this.#copy] ?? this.#values
    values.set(node, this.#f.let(value))
  }

  #value(node: number): Code {
    if (isScalar(this.#program, node)) return this.#constant(node) ?? this.#scalar(node)
    return this.#copies[this.#copy]?.get(node) ?? this.#values.get(node)!
  }

  #constant(node: number): Code | undefined {
    const { op: name, type, value } = this.#nodes[node]
    if (name !== 'constant') return undefined
    return type === 'bool' ? constI32x4(value === 0 ? 0 : -1) : constF32x4(value!)
  }

  // Loops

  #loop(loop: Loop) {
    const { axis, lanes, accumulators, body } = loop
    const isOutermost = this.#loops.length === 0 && axis === this.#plan.separable
    const last = isOutermost ? this.#word({ kind: 'last' }, 'last') : this.#size(axis)
    const index = this.#f.local(I32)
    for (const accumulator of accumulators) this.#begin(accumulator)
    this.#f.add(set(index, isOutermost ? this.#word({ kind: 'first' }, 'first') : i32(0)))
    const isInnermost = body.every(({ kind }) => kind !== 'loop')
    for (const copies of lanes && isInnermost ? UNROLLED : []) {
      const end = this.#f.let(op('i32.sub', last, i32(4 * copies - 1)), I32)
      this.#turns(loop, { index, copies, full: true }, end)
    }
    this.#turns(loop, { index, copies: 1, full: false }, last)
    for (const accumulator of accumulators) this.#finish(accumulator, lanes)
  }

  /** Turns from `index` on, while it lies before `end`. */
  #turns(loop: Loop, { index, copies, full }: Pick<OpenLoop, 'index' | 'copies' | 'full'>, end: Code) {
    const { axis, lanes, accumulators, body } = loop
    const step = lanes ? 4 * copies : 1
    const open: OpenLoop = {
      axis,
      index,
      lanes,
      copies,
      full,
      prologue: [],
      addresses: new Map(),
      mask: undefined,
    }
    this.#loops.push(open)
    const inside = this.#f.capture(() => {
      this.#body(body, copies)
      this.#f.add(set(index, op('i32.add', get(index), i32(step))))
      this.#flushEveryBlock(accumulators, index, lanes ? 4 : 1)
    })
    this.#loops.pop()
    this.#f.add(whileLoop(op('i32.lt_s', get(index), end), [open.prologue, inside]))
  }

  #body(body: readonly Statement[], copies: number) {
    if (copies === 1) return this.#statements(body)
    this.#copies = Array.from({ length: copies }, () => new Map())
    for (const statement of body) {
      for (this.#copy = 0; this.#copy < copies; this.#copy++) this.#statement(statement)
    }
    this.#copies = []
    this.#copy = 0
  }

  #size(axis: string): Code {
    return this.#word({ kind: 'size', axis }, `size ${axis}`)
  }

  get #laneLoop(): OpenLoop | undefined {
    return this.#loops.find(({ lanes }) => lanes)
  }

  /** Ones in the lanes that lie within the axis. */
  #mask(loop: OpenLoop): Code {
    if (loop.mask !== undefined) return loop.mask
    const local = this.#f.local(V128)
    const places = op('i32x4.add', op('i32x4.splat', get(loop.index)), IOTA)
    loop.prologue.push(set(local, op('i32x4.lt_s', places, op('i32x4.splat', this.#end(loop)))))
    loop.mask = get(local)
    return loop.mask
  }

  #end(loop: OpenLoop): Code {
    const isOutermost = this.#loops[0] === loop && loop.axis === this.#plan.separable
    return isOutermost ? this.#word({ kind: 'last' }, 'last') : this.#size(loop.axis)
  }

  // Sums and maxima

  #isMax(node: number): boolean {
    return this.#nodes[node].op === 'reduce_max'
  }

  #begin({ node, memory }: Accumulator) {
    const start = constF32x4(this.#isMax(node) ? Number.NEGATIVE_INFINITY : 0)
    if (memory !== undefined) {
      const buffers = this.#isMax(node) ? [memory.total] : [memory.partial, memory.total, memory.lost]
      for (const buffer of buffers)
        this.#f.add(call(this.#helper('fill'), this.#base(buffer), this.#bytes(buffer), start))
      return
    }
    const sum = { partial: this.#f.local(V128), total: this.#f.local(V128), lost: this.#f.local(V128) }
    this.#sums.set(node, sum)
    this.#f.add(set(sum.partial, start))
    if (!this.#isMax(node)) this.#f.add(set(sum.total, start), set(sum.lost, start))
  }

  #accumulate(node: number, memory: Accumulator['memory']) {
    const { axis, args } = this.#nodes[node]
    const loop = this.#loops.find((open) => open.axis === axis)!
    const [a, b] = args.map((arg) => this.#real(arg))
    const term = b === undefined ? a : op('f32x4.mul', a, b)
    const inside = loop.lanes && !loop.full ? this.#onlyInside(node, term, loop) : term
    const combine = this.#isMax(node) ? 'f32x4.max' : 'f32x4.add'
    if (memory === undefined) {
      const { partial } = this.#sums.get(node)!
      this.#f.add(set(partial, op(combine, get(partial), inside)))
      return
    }
    const target = this.#isMax(node) ? memory.total : memory.partial
    this.#store(target, op(combine, this.#load(target), inside))
  }

  /** What the lanes beyond the end hold must not count. */
  #onlyInside(node: number, term: Code, loop: OpenLoop): Code {
    const mask = this.#mask(loop)
    if (!this.#isMax(node)) return op('v128.and', term, mask)
    return op('v128.bitselect', term, constF32x4(Number.NEGATIVE_INFINITY), mask)
  }

  #flushEveryBlock(accumulators: readonly Accumulator[], index: number, step: number) {
    const sums = accumulators.filter(({ node }) => !this.#isMax(node))
    if (sums.length === 0) return
    const isDue = op('i32.eqz', op('i32.and', get(index), i32(BLOCK * step - 1)))
    this.#f.add(
      ifElse(
        isDue,
        this.#f.capture(() => {
          for (const accumulator of sums) this.#flush(accumulator)
        }),
      ),
    )
  }

  #flush({ node, memory }: Accumulator) {
    if (memory !== undefined) {
      const bases = [memory.partial, memory.total, memory.lost].map((buffer) => this.#base(buffer))
      this.#f.add(call(this.#helper('flush'), ...bases, this.#bytes(memory.partial)))
      return
    }
    const { partial, total, lost } = this.#sums.get(node)!
    const next = compensated(this.#f, get(partial), get(total), get(lost))
    this.#f.add(set(lost, next.lost), set(total, next.total), set(partial, constF32x4(0)))
  }

  #finish(accumulator: Accumulator, lanes: boolean) {
    const { node, memory } = accumulator
    if (this.#isMax(node)) {
      if (memory === undefined)
        this.#define(node, this.#across('f32x4.max', get(this.#sums.get(node)!.partial), lanes))
      return
    }
    this.#flush(accumulator)
    if (memory === undefined)
      this.#define(node, this.#across('f32x4.add', get(this.#sums.get(node)!.total), lanes))
  }

  /** Combines the four lanes, in pairs; the result stands in all of them. */
  #across(combine: SimdOp, value: Code, lanes: boolean): Code {
    if (!lanes) return value
    const pairs = this.#f.let(op(combine, value, shuffle(value, value, [2, 3, 0, 1])))
    return op(combine, pairs, shuffle(pairs, pairs, [1, 0, 3, 2]))
  }

  // Memory

  #base(buffer: Buffer): Code {
    return this.#word({ kind: 'base', buffer }, `base ${buffer.id}`)
  }

  /** All bytes of a scratch buffer: a multiple of 16. */
  #bytes(buffer: Buffer): Code {
    return this.#word({ kind: 'stride', buffer, dimension: -1 }, `bytes ${buffer.id}`)
  }

  /** Buffer axis -> the loop axis under which a node reads it, where a rename tells them apart. */
  #namesOf(node: number): Readonly<Record<string, string>> {
    const { op: name, axis, to } = this.#nodes[node]
    return name === 'rename' ? { [axis!]: to! } : {}
  }

  #load(buffer: Buffer, names: Readonly<Record<string, string>> = {}): Code {
    const lane = this.#laneDimension(buffer, names)
    const address = this.#address(buffer, names)
    if (lane === undefined) return buffer.vectors ? loadVector(address) : loadSplat(address)
    if (lane === buffer.axes.length - 1) return loadVector(address, this.#copy * VECTOR)
    return this.#gather(this.#f.let(address, I32), this.#stride(buffer, lane))
  }

  /** Four numbers that lie apart. */
  #gather(address: Code, stride: Code): Code {
    return [0, 1, 2, 3].reduce<Code>((vector, i) => {
      return loadLane(op('i32.add', address, op('i32.mul', i32(i + 4 * this.#copy), stride)), vector, i)
    }, constI32x4(0))
  }

  #store(buffer: Buffer, value: Code) {
    const lane = this.#laneDimension(buffer, {})
    const address = this.#f.let(this.#address(buffer, {}), I32)
    if (lane === undefined) {
      this.#f.add(buffer.vectors ? storeVector(address, value) : storeLane(address, value, 0))
      return
    }
    const loop = this.#laneLoop!
    const isContiguous = lane === buffer.axes.length - 1
    // Rows of scratch are padded to whole vectors, so that nothing lies behind their end.
    if (isContiguous && (loop.full || buffer.role === 'scratch')) {
      return this.#f.add(storeVector(address, value, this.#copy * VECTOR))
    }
    const kept = this.#f.let(value)
    const left = this.#f.let(op('i32.sub', this.#end(loop), get(loop.index)), I32)
    const single = this.#storeLanes(address, kept, this.#stride(buffer, lane), left)
    if (!isContiguous) return this.#f.add(single)
    this.#f.add(ifElse(op('i32.ge_s', left, i32(4)), storeVector(address, kept), single))
  }

  /** One lane after the other, as many as are left. */
  #storeLanes(address: Code, value: Code, stride: Code, left: Code): Code {
    return [0, 1, 2, 3].map((i) => {
      const place = i + 4 * this.#copy
      const at = op('i32.add', address, op('i32.mul', i32(place), stride))
      return ifElse(op('i32.lt_s', i32(place), left), storeLane(at, value, i))
    })
  }

  /** The dimension of a buffer along which the lanes lie. */
  #laneDimension(buffer: Buffer, names: Readonly<Record<string, string>>): number | undefined {
    const axis = this.#laneLoop?.axis
    const place = buffer.axes.findIndex((own) => (names[own] ?? own) === axis)
    return place < 0 ? undefined : place
  }

  #stride(buffer: Buffer, dimension: number): Code {
    if (dimension === buffer.axes.length - 1) return i32(buffer.vectors ? VECTOR : NUMBER)
    return this.#word({ kind: 'stride', buffer, dimension }, `stride ${buffer.id} ${dimension}`)
  }

  /**
   * Where the present element lies: the parts that belong to an outer loop are computed at the start of its body.
   *
   * @param skip a buffer axis that is added by the caller
   */
  #address(buffer: Buffer, names: Readonly<Record<string, string>>, skip?: string): Code {
    const spelled = buffer.axes.map((axis) => (axis === skip ? '' : (names[axis] ?? axis)))
    const key = `${buffer.id} ${spelled.join()}`
    let address = this.#base(buffer)
    for (const loop of this.#loops) {
      const dimension = spelled.indexOf(loop.axis)
      if (dimension >= 0) address = this.#within(loop, key, address, this.#stride(buffer, dimension))
    }
    return address
  }

  #within(loop: OpenLoop, key: string, outer: Code, stride: Code): Code {
    const known = loop.addresses.get(key)
    if (known !== undefined) return known
    const local = this.#f.local(I32)
    loop.prologue.push(set(local, op('i32.add', outer, op('i32.mul', get(loop.index), stride))))
    loop.addresses.set(key, get(local))
    return get(local)
  }

  // Values

  #compute(node: Node): Code {
    if (readsInput(this.#program, node)) return this.#read(node)
    switch (node.op) {
      case 'index':
        return this.#index(node.axis!)
      case 'expand':
        return this.#value(node.args[0])
      case 'select':
        return this.#select(node)
      case 'eq':
      case 'lt':
      case 'le':
        return this.#compare(node.op, node.args)
      case 'and':
      case 'or':
        return op(`v128.${node.op}`, ...node.args.map((arg) => this.#value(arg)))
      case 'not':
        return op('v128.not', this.#value(node.args[0]))
      default:
        return this.#elementwise(node)
    }
  }

  #read(node: Node): Code {
    if (node.op === 'pick') return this.#pick(node)
    const source = node.op === 'rename' ? this.#nodes[node.args[0]] : node
    const names: Readonly<Record<string, string>> = node.op === 'rename' ? { [node.axis!]: node.to! } : {}
    return this.#load(this.#inputBuffer(source), names)
  }

  #inputBuffer({ op: name, name: input }: Node): Buffer {
    const role = name === 'cotangent' ? 'cotangent' : 'input'
    return this.#plan.buffers.find(
      (buffer) => buffer.role === role && (role === 'cotangent' || buffer.name === input),
    )!
  }

  /** Reads an element at a computed place; a place outside is read at the nearest end, and never used. */
  #pick(node: Node): Code {
    const buffer = this.#inputBuffer(this.#nodes[node.args[0]])
    const dimension = buffer.axes.indexOf(node.axis!)
    const end = op('i32x4.sub', op('i32x4.splat', this.#size(node.axis!)), constI32x4(1))
    const place = op('i32x4.max_s', op('i32x4.min_s', this.#whole(node.args[1]), end), constI32x4(0))
    const kept = this.#f.let(place)
    const address = this.#address(buffer, {}, node.axis!)
    const at = (lane: number) =>
      op('i32.add', address, op('i32.mul', extractI32(kept, lane), this.#stride(buffer, dimension)))
    const lanes = this.#laneLoop?.axis
    if (lanes === undefined || !node.axes.includes(lanes)) return loadSplat(at(0))
    const along = buffer.axes.indexOf(lanes)
    // Where the lanes run along the buffer too, each starts at its own element.
    const step = along < 0 ? i32(0) : this.#stride(buffer, along)
    return [0, 1, 2, 3].reduce<Code>(
      (vector, lane) =>
        loadLane(op('i32.add', at(lane), op('i32.mul', i32(lane + 4 * this.#copy), step)), vector, lane),
      constI32x4(0),
    )
  }

  #index(axis: string): Code {
    const loop = this.#loops.find((open) => open.axis === axis)!
    const start = op('i32x4.splat', get(loop.index))
    if (!loop.lanes) return start
    const first = op('i32x4.add', start, IOTA)
    return this.#copy === 0 ? first : op('i32x4.add', first, constI32x4(4 * this.#copy))
  }

  /** As float32. */
  #real(id: number): Code {
    return this.#nodes[id].type === 'index' ? op('f32x4.convert_i32x4_s', this.#value(id)) : this.#value(id)
  }

  /** As int32. */
  #whole(id: number): Code {
    return this.#nodes[id].type === 'index' ? this.#value(id) : op('i32x4.trunc_sat_f32x4_s', this.#value(id))
  }

  #select({ args, type }: Node): Code {
    const [test, yes, no] = args
    const as = (id: number) => (type === 'real' ? this.#real(id) : this.#value(id))
    return op('v128.bitselect', as(yes), as(no), this.#value(test))
  }

  #compare(name: 'eq' | 'lt' | 'le', [a, b]: readonly number[]): Code {
    const areWhole = this.#nodes[a].type !== 'real' && this.#nodes[b].type !== 'real'
    if (!areWhole) return op(`f32x4.${name}`, this.#real(a), this.#real(b))
    const whole = { eq: 'i32x4.eq', lt: 'i32x4.lt_s', le: 'i32x4.le_s' } as const
    return op(whole[name], this.#value(a), this.#value(b))
  }

  #elementwise({ op: name, args }: Node): Code {
    const [a, b] = args.map((arg) => this.#real(arg))
    if (name === 'log1p' && this.#isUnit(args[0])) return log1pOfUnit(this.#f, this.#target, a)
    if (name in MATH) return this.#math(name as MathOp, args.length === 1 ? [a] : [a, b])
    if ((name === 'max' || name === 'min') && isScalar(this.#program, args[1]))
      return againstNumber(name, a, b)
    const simple = SIMPLE[name]
    if (simple === undefined) throw new Error(`the compiler does not know ${name}`)
    return simple(this.#f, a, b)
  }

  /** Whether a node is exp(-|x|), which lies between 0 and 1. */
  #isUnit(id: number): boolean {
    const inner = (node: Node) => this.#nodes[node.args[0]]
    const node = this.#nodes[id]
    return node.op === 'exp' && inner(node).op === 'neg' && inner(inner(node)).op === 'abs'
  }

  #math(name: MathOp, args: readonly Code[]): Code {
    const { write, inline } = MATH[name]
    if (!inline) return call(this.#helper(name), ...args)
    return write(this.#f, this.#target, ...args.map((arg) => this.#f.let(arg)))
  }

  /** The index of a function of the module, which is written when it is first asked for. */
  #helper(name: MathOp | 'fill' | 'flush'): number {
    if (!this.#helpers.has(name)) this.#helpers.set(name, this.#writeHelper(name))
    return HOST.length + 1 + [...this.#helpers.keys()].indexOf(name)
  }

  #writeHelper(name: MathOp | 'fill' | 'flush'): FunctionBuilder {
    if (name === 'fill') return fillFunction()
    if (name === 'flush') return flushFunction()
    const count = name === 'pow' ? 2 : 1
    const f = new FunctionBuilder(new Array(count).fill(V128), [V128])
    const args = Array.from({ length: count }, (_, i) => get(i))
    f.add(MATH[name].write(f, this.#target, ...args))
    return f
  }
}

/** Against a number that is not NaN, one comparison does what otherwise takes several instructions. */
function againstNumber(name: 'max' | 'min', a: Code, number: Code): Code {
  return op(`f32x4.p${name}`, a, number)
}

type Simple = (f: FunctionBuilder, a: Code, b: Code) => Code

/** Ops that are one instruction, or a few. */
const SIMPLE: Readonly<Record<string, Simple>> = {
  neg: (_, a) => op('f32x4.neg', a),
  abs: (_, a) => op('f32x4.abs', a),
  sqrt: (_, a) => op('f32x4.sqrt', a),
  safe_sqrt: (_, a) => op('f32x4.sqrt', a),
  floor: (_, a) => op('f32x4.floor', a),
  add: (_, a, b) => op('f32x4.add', a, b),
  sub: (_, a, b) => op('f32x4.sub', a, b),
  mul: (_, a, b) => op('f32x4.mul', a, b),
  div: (_, a, b) => op('f32x4.div', a, b),
  max: (_, a, b) => op('f32x4.max', a, b),
  min: (_, a, b) => op('f32x4.min', a, b),
  // g * d, but 0 where g is 0.
  gate: (_, g, d) => op('v128.and', op('f32x4.mul', g, d), op('f32x4.ne', g, constF32x4(0))),
  is_finite: (_, a) => op('f32x4.lt', op('f32x4.abs', a), constF32x4(Number.POSITIVE_INFINITY)),
  sign: (f, a) => {
    const x = f.let(a)
    const one = op('v128.or', op('v128.and', x, constI32x4(-0x80000000)), constF32x4(1))
    const isZeroOrNaN = op('v128.not', op('f32x4.gt', op('f32x4.abs', x), constF32x4(0)))
    return op('v128.bitselect', x, one, isZeroOrNaN)
  },
}

/** Kahan's summation of a block into a total; plain where the total is not finite. */
function compensated(
  f: FunctionBuilder,
  partial: Code,
  total: Code,
  lost: Code,
): { total: Code; lost: Code } {
  const corrected = f.let(op('f32x4.sub', partial, lost))
  const next = f.let(op('f32x4.add', total, corrected))
  const rest = f.let(op('f32x4.sub', op('f32x4.sub', next, total), corrected))
  const isSound = op('f32x4.lt', op('f32x4.abs', rest), constF32x4(Number.POSITIVE_INFINITY))
  return { total: next, lost: op('v128.and', rest, isSound) }
}

/** Walks over `bytes` of memory, a vector at a time. */
function eachVector(f: FunctionBuilder, bytes: Code, turn: (offset: Code) => void) {
  const at = f.local(I32)
  const body = f.capture(() => {
    turn(get(at))
    f.add(set(at, op('i32.add', get(at), i32(VECTOR))))
  })
  f.add(whileLoop(op('i32.lt_u', get(at), bytes), body))
}

/** fill(base, bytes, value) */
function fillFunction(): FunctionBuilder {
  const f = new FunctionBuilder([I32, I32, V128], [])
  eachVector(f, get(1), (offset) => f.add(storeVector(op('i32.add', get(0), offset), get(2))))
  return f
}

/** flush(partial, total, lost, bytes): each block's sum moves into the total. */
function flushFunction(): FunctionBuilder {
  const f = new FunctionBuilder([I32, I32, I32, I32], [])
  eachVector(f, get(3), (offset) => {
    const [partial, total, lost] = [0, 1, 2].map((base) => f.let(op('i32.add', get(base), offset), I32))
    const next = compensated(f, f.let(loadVector(partial)), f.let(loadVector(total)), f.let(loadVector(lost)))
    f.add(storeVector(lost, next.lost), storeVector(total, next.total), storeVector(partial, constF32x4(0)))
  })
  return f
}
