/**
 * The code of a module without SIMD, for runtimes that have none: each vector becomes its lanes. Of the vectors of kernels, which are
 * emitted for one lane, only the first is computed. Elements are computed as the lanes were, bit for bit; sums are in another order.
 *
 * Functions that return a vector are those of the math library. What they return in a lane depends on nothing but this lane, so they
 * become functions of one number.
 */
import {
  type Code,
  call,
  decodeUnsigned,
  FunctionBuilder,
  get,
  I32,
  type Import,
  set,
  V128,
  type ValueType,
} from '../../engines/compiled/wasm-encoder.ts'
import { immediatesOf, shapeOf, VECTOR_INSTRUCTIONS } from './instructions.ts'
import {
  constantOf,
  integerOf,
  isTruth,
  isUniform,
  isWide,
  type Kind,
  type Lane,
  lanesOf,
  on,
  typeOf,
  type Vector,
  vectorOf,
} from './vectors.ts'

/** What an instruction leaves on the stack: a scalar, which is absent if it is unknown, or a vector. */
type Value = { readonly scalar: Lane } | { readonly vector: Vector }

/** How functions are called after they have been lowered. */
interface Signature {
  readonly params: readonly ValueType[]
  readonly results: readonly ValueType[]
  /** What the lanes of its parameters are. */
  readonly kind: Kind
}

/** Passes until what the locals are is certain. */
const MOST_PASSES = 12

/**
 * @param functions in the order of their indices, which come after the imports
 * @param kernels those of the functions in which only the first lane of a vector counts
 * @param real the kind of the lanes of a vector about which nothing is known
 */
export function withoutSimd(
  imports: readonly Import[],
  functions: readonly FunctionBuilder[],
  kernels: ReadonlySet<FunctionBuilder>,
  real: 'f32' | 'f64',
): FunctionBuilder[] {
  const signatures: Signature[] = imports.map((own) => ({ ...own, kind: real }))
  const made: FunctionBuilder[] = []
  for (const { params, results } of functions) signatures.push({ params, results, kind: real })
  // Those that others call with vectors come first.
  const order = [...functions.keys()].sort((a, b) => rankOf(functions[a]) - rankOf(functions[b]))
  for (const place of order) {
    const lowering = new FunctionLowering(functions[place], signatures, kernels.has(functions[place]), real)
    made[place] = lowering.run()
    signatures[imports.length + place] = { ...signatures[imports.length + place], kind: lowering.kind }
  }
  return made
}

function rankOf({ params, results }: FunctionBuilder): number {
  return results.includes(V128) ? 0 : params.includes(V128) ? 1 : 2
}

/** What is known about a local that is a vector. */
interface Known {
  kind: Kind
  uniform: boolean
  /** Lanes that must not be read. */
  readonly unknown: Set<number>
}

class FunctionLowering {
  readonly #source: FunctionBuilder
  readonly #signatures: readonly Signature[]
  readonly #real: 'f32' | 'f64'
  readonly #isKernel: boolean
  readonly #isLaneWise: boolean
  readonly #known = new Map<number, Known>()
  readonly #unknownScalars = new Set<number>()
  /** What the lanes of its parameters and of its result are. */
  kind: Kind

  // Of one pass
  #f!: FunctionBuilder
  #locals = new Map<number, readonly number[]>()
  #stack: Value[] = []
  #sets = new Map<number, { kinds: Set<Kind | 'mask' | undefined>; uniform: boolean }>()
  #reads = new Map<number, Map<Kind, number>>()
  #free = new Map<ValueType, number[]>()
  #busy: { type: ValueType; local: number }[] = []
  #hasChanged = false
  /** Whether this.kind is what it was before the pass. */
  #isKindSettled = true
  /** Whether something must be known that is not. Before everything is certain, this means nothing. */
  #isBroken = false

  constructor(
    source: FunctionBuilder,
    signatures: readonly Signature[],
    isKernel: boolean,
    real: 'f32' | 'f64',
  ) {
    this.#source = source
    this.#signatures = signatures
    this.#real = real
    this.#isKernel = isKernel
    this.#isLaneWise = source.results.includes(V128)
    this.kind = real
  }

  run(): FunctionBuilder {
    for (let pass = 0; pass < MOST_PASSES; pass++) {
      const made = this.#pass()
      if (this.#learn()) continue
      if (this.#isBroken) throw new Error('a function of lanes depends on other lanes')
      return made
    }
    throw new Error('what the locals are does not become certain')
  }

  #pass(): FunctionBuilder {
    const { params, results } = this.#source
    this.#hasChanged = false
    this.#isBroken = false
    this.#isKindSettled = true
    const lanes = this.#isLaneWise ? 1 : lanesOf(this.kind)
    const expanded = params.flatMap((type) =>
      type === V128 ? new Array(lanes).fill(typeOf(this.kind)) : [type],
    )
    this.#f = new FunctionBuilder(expanded, this.#isLaneWise ? [typeOf(this.kind)] : results)
    this.#locals = new Map()
    this.#sets = new Map()
    this.#reads = new Map()
    this.#free = new Map()
    this.#busy = []
    this.#stack = []
    let next = 0
    for (const [place, type] of params.entries()) {
      const count = type === V128 ? lanes : 1
      this.#locals.set(
        place,
        Array.from({ length: count }, (_, i) => next + i),
      )
      next += count
    }
    this.#instructions(this.#source.body())
    if (this.#stack.length > 0) this.#f.add(...this.#finalStack())
    return this.#f
  }

  #finalStack(): Code[] {
    return this.#stack.splice(0).map((value) => {
      if ('scalar' in value) return this.#required(value.scalar)
      this.#note(value.vector)
      return this.#required(value.vector.as(this.kind, 0))
    })
  }

  /** The kind of a function is that of its result. */
  #note({ kind }: Vector) {
    const own = kind ?? this.#real
    if (own === this.kind || isTruth(own)) return
    const wide = isWide(own) ? 'f64' : 'f32'
    if (wide === this.kind) return
    this.kind = wide
    this.#isKindSettled = false
  }

  /** @returns whether this pass has found out something that changes the next one */
  #learn(): boolean {
    let isSettled = this.#isKindSettled
    for (const [local, { kinds, uniform }] of this.#sets) {
      const known = this.#known.get(local)
      const kind = this.#kindOf(local, kinds)
      const isUniform = uniform && (known?.uniform ?? true)
      if (known?.kind === kind && known.uniform === isUniform) continue
      this.#known.set(local, { kind, uniform: isUniform, unknown: new Set() })
      isSettled = false
    }
    if (isSettled) return this.#hasChanged
    // What follows from other kinds is not known either.
    this.#unknownScalars.clear()
    for (const { unknown } of this.#known.values()) unknown.clear()
    return true
  }

  #kindOf(local: number, kinds: ReadonlySet<Kind | 'mask' | undefined>): Kind {
    const definite = [...kinds].filter((kind): kind is Kind => kind !== undefined && kind !== 'mask')
    const hasOthers = kinds.has(undefined)
    const [first, ...rest] = definite
    if (first !== undefined && rest.length === 0 && !(isTruth(first) && hasOthers)) return first
    const reads = [...(this.#reads.get(local) ?? [])].filter(([kind]) => !isTruth(kind))
    const numbers = new Set<Kind>(definite.filter((kind) => !isTruth(kind)))
    const candidates = numbers.size > 0 ? reads.filter(([kind]) => numbers.has(kind)) : reads
    candidates.sort((a, b) => b[1] - a[1])
    const truth = definite.find(isTruth)
    return candidates[0]?.[0] ?? [...numbers][0] ?? (truth === undefined ? this.#real : integerOf(truth))
  }

  // Instructions

  #instructions(code: Uint8Array) {
    let at = 0
    while (at < code.length) at = this.#instruction(code, at)
  }

  /** @returns where the next one begins */
  #instruction(code: Uint8Array, start: number): number {
    const opcode = code[start]
    if (opcode === 0xfd) return this.#vectorInstruction(code, start + 1)
    if (opcode === 0x20 || opcode === 0x21) {
      const [local, end] = decodeUnsigned(code, start + 1)
      if (opcode === 0x20) this.#stack.push(this.#get(local))
      else this.#set(local)
      return end
    }
    if (opcode === 0x10) {
      const [target, end] = decodeUnsigned(code, start + 1)
      this.#call(target)
      return end
    }
    if (opcode === 0x1b) {
      this.#select()
      return start + 1
    }
    return this.#core(code, start)
  }

  /** An instruction that knows no vectors: it stays as it is. */
  #core(code: Uint8Array, start: number): number {
    const { arity, result, end } = shapeOf(code, start)
    const bytes = code.subarray(start, end)
    const count = arity === 'all' ? this.#stack.length : arity
    const operands = this.#stack.splice(this.#stack.length - count, count).map(scalarOf)
    const lane = on((...args) => [args, bytes], ...operands)
    if (result) this.#stack.push({ scalar: operands.length === 0 ? bytes : lane })
    else this.#statement(this.#required(operands.length === 0 ? bytes : lane))
    return end
  }

  #vectorInstruction(code: Uint8Array, start: number): number {
    const [opcode, after] = decodeUnsigned(code, start)
    if (opcode === 0x0c) {
      this.#stack.push({ vector: constantOf(code.slice(after, after + 16)) })
      return after + 16
    }
    const instruction = VECTOR_INSTRUCTIONS.get(opcode)
    if (instruction === undefined) throw new Error(`no lowering of the SIMD instruction ${opcode}`)
    const { immediates, end } = immediatesOf(instruction.immediates, code, after)
    const operands = this.#stack.splice(this.#stack.length - instruction.arity, instruction.arity)
    const result = instruction.lower(
      {
        keep: this.#keep,
        real: this.#real,
        isLaneWise: this.#isLaneWise,
        keptOf: (kind) => this.#keptOf(kind),
      },
      operands.map((value) => ('scalar' in value ? value.scalar : value.vector)) as never,
      immediates,
    )
    if ('code' in result) this.#statement(...result.code.map((lane) => this.#required(lane)))
    else this.#stack.push('vector' in result ? { vector: result.vector } : { scalar: result.lane })
    return end
  }

  #select() {
    const [yes, no, condition] = this.#stack.splice(-3)
    if ('scalar' in yes) {
      this.#stack.push({
        scalar: on((a, b, c) => [a, b, c, 0x1b], yes.scalar, scalarOf(no), scalarOf(condition)),
      })
      return
    }
    const [a, b] = [yes.vector, (no as { vector: Vector }).vector]
    const kind = a.kind ?? b.kind ?? this.#real
    const test = on((code) => this.#keep(code, I32), scalarOf(condition))
    const read = (lane: number) => on((x, y, c) => [x, y, c, 0x1b], a.as(kind, lane), b.as(kind, lane), test)
    this.#stack.push({ vector: vectorOf(kind, read, this.#keep) })
  }

  #call(target: number) {
    const { params, results, kind } = this.#signatures[target]
    const operands = this.#stack.splice(this.#stack.length - params.length, params.length)
    if (results[0] === V128) {
      const vectors = operands.map((value) => (value as { vector: Vector }).vector)
      const uniform = vectors.every((vector) => isUniform(vector, kind))
      const read = (lane: number) =>
        on((...args) => call(target, ...args), ...vectors.map((vector) => vector.as(kind, lane)))
      this.#stack.push({ vector: this.#computed(kind, read, uniform) })
      return
    }
    const args = operands.flatMap((value) =>
      'scalar' in value ? [value.scalar] : places(kind).map((lane) => value.vector.as(kind, lane)),
    )
    const code = on((...own) => call(target, ...own), ...args)
    if (results.length > 0) this.#stack.push({ scalar: args.length === 0 ? call(target) : code })
    else this.#statement(args.length === 0 ? call(target) : this.#required(code))
  }

  /** Calls are made once for each lane, in order, however often the lanes are read. */
  #computed(kind: Kind, read: (lane: number) => Lane, uniform: boolean): Vector {
    const kept = new Map<number, Lane>()
    const once = (lane: number) => {
      const place = uniform ? 0 : lane
      if (!kept.has(place))
        kept.set(
          place,
          on((code) => this.#keep(code, typeOf(kind)), read(place)),
        )
      return kept.get(place)
    }
    return vectorOf(kind, once, this.#keep, uniform)
  }

  // Locals

  #typeOfLocal(local: number): ValueType {
    const { params, locals } = this.#source
    return local < params.length ? params[local] : locals[local - params.length]
  }

  #get(local: number): Value {
    if (this.#typeOfLocal(local) !== V128) {
      return { scalar: this.#unknownScalars.has(local) ? undefined : get(this.#scalarLocal(local)) }
    }
    const known = this.#knownOf(local)
    const reads = this.#reads.get(local) ?? new Map<Kind, number>()
    this.#reads.set(local, reads)
    const own = vectorOf(known.kind, (lane) => this.#lane(local, known, lane), this.#keep, known.uniform)
    const as = (kind: Kind, lane: number) => {
      reads.set(kind, (reads.get(kind) ?? 0) + 1)
      return own.as(kind, lane)
    }
    return { vector: { ...own, as } }
  }

  #lane(local: number, { kind, uniform, unknown }: Known, lane: number): Lane {
    const isParam = local < this.#source.params.length
    if (isParam && this.#isLaneWise) return lane === 0 ? get(this.#locals.get(local)![0]) : undefined
    const place = uniform ? 0 : lane
    return unknown.has(place) || place >= this.#keptOf(kind)
      ? undefined
      : get(this.#vectorLocals(local, kind, uniform)[place])
  }

  /** How many lanes of a vector are computed. */
  #keptOf(kind: Kind): number {
    return this.#isKernel ? Math.max(1, lanesOf(kind) / lanesOf(this.#real)) : lanesOf(kind)
  }

  #knownOf(local: number): Known {
    if (local < this.#source.params.length) return { kind: this.kind, uniform: false, unknown: new Set() }
    return this.#known.get(local) ?? { kind: this.#real, uniform: false, unknown: new Set() }
  }

  #scalarLocal(local: number): number {
    const known = this.#locals.get(local) ?? [this.#f.local(this.#typeOfLocal(local))]
    this.#locals.set(local, known)
    return known[0]
  }

  #vectorLocals(local: number, kind: Kind, uniform: boolean): readonly number[] {
    const count = uniform ? 1 : this.#keptOf(kind)
    const known = this.#locals.get(local) ?? Array.from({ length: count }, () => this.#f.local(typeOf(kind)))
    this.#locals.set(local, known)
    return known
  }

  #set(local: number) {
    const value = this.#stack.pop()!
    if ('scalar' in value) {
      if (value.scalar === undefined && !this.#unknownScalars.has(local)) {
        this.#unknownScalars.add(local)
        this.#hasChanged = true
      }
      if (value.scalar !== undefined && !this.#unknownScalars.has(local))
        this.#statement(set(this.#scalarLocal(local), value.scalar))
      return
    }
    this.#setVector(local, value.vector)
  }

  #setVector(local: number, vector: Vector) {
    const known = this.#knownOf(local)
    const noted = this.#sets.get(local) ?? { kinds: new Set(), uniform: true }
    noted.kinds.add(vector.isMask === true ? 'mask' : vector.kind)
    noted.uniform &&= isUniform(vector, known.kind)
    this.#sets.set(local, noted)
    const own = this.#vectorLocals(local, known.kind, known.uniform)
    const lanes = own.map((_, lane) => vector.as(known.kind, lane))
    lanes.forEach((lane, place) => {
      if (lane !== undefined || known.unknown.has(place)) return
      known.unknown.add(place)
      if (!this.#known.has(local)) this.#known.set(local, known)
      this.#hasChanged = true
    })
    const set_ = own.filter((_, place) => lanes[place] !== undefined && !known.unknown.has(place))
    const values = lanes.filter(
      (_, place) => lanes[place] !== undefined && !known.unknown.has(place),
    ) as Code[]
    // All at once: a lane may be computed from another one of the same local.
    const stores = [...set_].reverse().map((target) => set(target, []))
    if (values.length > 0) this.#statement(values, stores)
  }

  /** A lane that is read more than once, in a local that is free again after the statement. */
  readonly #keep = (code: Code, type: ValueType): Code => {
    if (isLeaf(code)) return code
    const local = this.#free.get(type)?.pop() ?? this.#f.local(type)
    this.#busy.push({ type, local })
    this.#f.add(set(local, code))
    return get(local)
  }

  #required(lane: Lane): Code {
    this.#isBroken ||= lane === undefined
    return lane ?? []
  }

  #statement(...code: Code[]) {
    this.#f.add(...code)
    if (this.#stack.length > 0) return
    for (const { type, local } of this.#busy) this.#free.set(type, [...(this.#free.get(type) ?? []), local])
    this.#busy = []
  }
}

function places(kind: Kind): number[] {
  return Array.from({ length: lanesOf(kind) }, (_, lane) => lane)
}

/** Code that costs nothing to repeat: a local, or a constant. */
function isLeaf(code: Code): boolean {
  const first = typeof code === 'number' ? undefined : code[0]
  return typeof first === 'number' && (first === 0x20 || (first >= 0x41 && first <= 0x44))
}

function scalarOf(value: Value): Lane {
  if ('scalar' in value) return value.scalar
  throw new Error('a vector where a scalar is expected')
}
