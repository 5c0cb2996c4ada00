/**
 * The writer for array libraries: each value of a program is one array, as a user of the library would write it.
 * Named axes become dimensions: an argument that lacks an axis gets a dimension of one element where it meets another
 * that has it, and nothing is repeated in memory unless an op reads it whole. The library's table says how each op is
 * spelled.
 */
import type { LeafOp, Node, Op, Program } from '../language/ir.ts'
import { isElementwise } from '../language/scalar.ts'
import { locationOf } from '../language/source-locations.ts'
import { atom, type Code, numeral, type Rule } from './code.ts'
import { CannotWrite, type SourceProgram } from './contract.ts'
import { axisWord, fixedSize, Names } from './names.ts'

/** Ops that the writer spells itself, because they are names, dimensions or nothing at all. */
type WrittenOp = LeafOp | 'expand' | 'rename' | 'pick' | 'contract' | 'stop_gradient'

/**
 * An op along a dimension gets its number. What has two axes of its own has them last: the matrices of `solve_lower` and the costs of
 * `soft_dtw`. `ctc` gets `[rows, time, classes]`, `[rows, labels]`, two lengths for each row, and the blank.
 */
export type ArrayRule = (args: readonly Code[], dimension: number) => Code

/** How a library spells each op. A new op of the IR is missing in each table until someone has thought of it. */
export type ArrayOps = { readonly [O in Exclude<Op, WrittenOp>]: ArrayRule | undefined }

/** Of numbers that are known before an array is: of the host language. */
export type HostScalarOps = { readonly [O in Op]?: Rule }

export interface ArraySyntax {
  /** An op with no row here cannot be said. */
  readonly ops: ArrayOps
  /**
   * For arithmetic of parameters alone. An op without a row needs parameters that are arrays, as in a language whose
   * numbers have no infinities.
   */
  readonly statics: HostScalarOps
  readonly reserved: readonly string[]
  number(value: number): string
  truth(value: boolean): string
  assign(name: string, value: Code): string
  /** With a dimension of one element at each `null`: `[0, null]` is a column. */
  align(x: Code, dimensions: readonly (number | null)[]): Code
  broadcast(x: Code, shape: readonly Code[]): Code
  /** With the shape of another array. */
  broadcastLike(x: Code, like: Code): Code
  transpose(x: Code, order: readonly number[]): Code
  /** The elements at one place of a dimension. */
  slice(x: Code, dimension: number, place: number, rank: number): Code
  /** `pick(x, places, dimension)`: 0 where a place is outside. */
  pick(x: Code, places: Code, dimension: number): Code
  einsum(equation: string, a: Code, b: Code): Code
  /** `0, 1, ... size - 1` */
  range(size: Code): Code
  /** As numbers like those of another array. */
  realOf(x: Code, like: Code): Code
  /** A number of the host language as an array of one element. */
  arrayOf(number: Code, like: Code): Code
  /** The size of a dimension, which may be a tensor of integers, in arithmetic. Absent if it is a number as it is. */
  realOfSize?(size: Code, like: Code): Code
  /** An integer that is compared with indices, in a language that does not compare them with other numbers. */
  readonly integer?: (value: number) => string
}

/** Lines that compute some results of a program. */
export interface ArrayLines {
  readonly lines: readonly string[]
  /** How many of them come before the first that needs the cotangent. */
  readonly ofValue: number
  /** In the order in which they were asked for. */
  readonly results: readonly Code[]
  /** Parameters that must be arrays. */
  readonly asArrays: readonly string[]
  /** Axis -> the name of its size, for those that the lines read. */
  readonly sizes: ReadonlyMap<string, string>
}

/** A result to compute: a node, laid out as these axes say. */
export interface ArrayResult {
  readonly node: number
  readonly axes: readonly string[]
  /** The name of the variable that holds it. */
  readonly name: string
}

/** Longer expressions are divided. */
const MOST_TEXT = 72
/** Sizes are 32-bit integers in some libraries. */
const MOST_STEPS = 2 ** 31 - 1

/** The names of arguments, the same in each function of a source. */
export interface ArrayNames {
  readonly names: Names
  readonly inputs: ReadonlyMap<string, string>
  readonly params: ReadonlyMap<string, string>
  readonly cotangent: string
}

/** Names for inputs and parameters first: they keep those of the definition. */
export function argumentNames(
  { inputs, params }: SourceProgram,
  reserved: readonly string[],
  cotangent: string,
): ArrayNames {
  const names = new Names(reserved)
  const taken = (list: readonly { readonly name: string }[]) => {
    return new Map(list.map(({ name }) => [name, names.take(name)]))
  }
  return { inputs: taken(inputs), params: taken(params), cotangent: names.take(cotangent), names }
}

/**
 * @throws CannotWrite
 * @example
 * writeArrays(source, NUMPY, argumentNames(source, [], 'g'), [{ node: program.value, axes: ['...'], name: 'loss' }]).lines
 */
export function writeArrays(
  source: SourceProgram,
  syntax: ArraySyntax,
  names: ArrayNames,
  results: readonly ArrayResult[],
): ArrayLines {
  return new ArrayWriter(source, syntax, names, results).write()
}

/** Whether all values have the shape of the inputs, or none: then no dimension is ever touched. */
export function isPointwise({ nodes }: Program): boolean {
  return nodes.every(
    ({ op, axes, axis }) => axis === undefined && op !== 'index' && axes.every((own) => own === '...'),
  )
}

/** A value as it is written: perhaps without some of the axes of its node, along which it is the same. */
interface Value {
  readonly code: Code
  readonly axes: readonly string[]
}

class ArrayWriter {
  readonly #source: SourceProgram
  readonly #program: Program
  readonly #syntax: ArraySyntax
  readonly #arguments: ArrayNames
  readonly #results: readonly ArrayResult[]
  readonly #names: Names
  readonly #uses = new Map<number, number>()
  readonly #values = new Map<number, Value>()
  readonly #sizes = new Map<string, string>()
  readonly #lines: string[] = []
  readonly #statics: ReadonlySet<number>
  readonly #asArrays: boolean

  constructor(
    source: SourceProgram,
    syntax: ArraySyntax,
    names: ArrayNames,
    results: readonly ArrayResult[],
  ) {
    this.#source = source
    this.#program = source.program
    this.#syntax = syntax
    this.#arguments = names
    this.#results = results
    this.#names = names.names.copy()
    this.#countUses()
    this.#asArrays = this.#needsArrays()
    this.#statics = this.#staticNodes(this.#asArrays)
  }

  write(): ArrayLines {
    const last = new Map(this.#results.map((result) => [result.node, result]))
    const results = new Map<ArrayResult, Code>()
    let ofValue: number | undefined
    for (const id of [...this.#uses.keys()].sort((a, b) => a - b)) {
      if (this.#program.nodes[id].op === 'cotangent') ofValue ??= this.#lines.length
      this.#define(id, last.get(id))
      // At once: what follows may be told apart by where it begins, and then needs it.
      for (const result of this.#results) if (result.node === id) results.set(result, this.#result(result))
    }
    const scalars = this.#program.nodes.flatMap(({ op, name }, id) => {
      return op === 'scalar' && this.#uses.has(id) ? [name!] : []
    })
    return {
      lines: this.#lines,
      ofValue: ofValue ?? this.#lines.length,
      results: this.#results.map((result) => results.get(result)!),
      asArrays: this.#asArrays ? scalars : [],
      sizes: this.#sizes,
    }
  }

  // What is needed

  #countUses() {
    const { nodes } = this.#program
    const visit = (id: number) => {
      const before = this.#uses.get(id)
      this.#uses.set(id, (before ?? 0) + 1)
      if (before === undefined) for (const arg of nodes[id].args) visit(arg)
    }
    for (const { node } of this.#results) visit(node)
  }

  /** Whether the host language cannot compute something that depends on parameters alone. */
  #needsArrays(): boolean {
    const statics = this.#staticNodes(false)
    return [...statics].some((id) => {
      const { op, args } = this.#program.nodes[id]
      if (op === 'div') return this.#dependsOnParam(args[1]) && this.#syntax.statics.exp === undefined
      return args.length > 0 && this.#syntax.statics[op] === undefined
    })
  }

  #dependsOnParam(id: number): boolean {
    const { op, args } = this.#program.nodes[id]
    return op === 'scalar' || args.some((arg) => this.#dependsOnParam(arg))
  }

  /** Nodes that the host language computes: those that depend on parameters, constants and sizes alone. */
  #staticNodes(asArrays: boolean): Set<number> {
    const found = new Set<number>()
    this.#program.nodes.forEach(({ op, args, axes }, id) => {
      if (!this.#uses.has(id) || axes.length > 0) return
      const isSize = op === 'size' && this.#syntax.realOfSize === undefined
      const isLeaf = op === 'constant' || isSize || (op === 'scalar' && !asArrays)
      const isKnown =
        args.length > 0 &&
        (isElementwise(op) || op === 'select') &&
        args.every((arg) => found.has(arg)) &&
        (!asArrays || this.#syntax.statics[op] !== undefined)
      if (isLeaf || isKnown) found.add(id)
    })
    return found
  }

  // Lines

  #define(id: number, result: ArrayResult | undefined) {
    const node = this.#program.nodes[id]
    const isNumber = this.#statics.has(id) && node.type === 'real'
    const found = this.#expression(node, id)
    const value = isNumber ? { ...found, code: { ...found.code, isNumber } } : found
    // A result that is repeated or transposed afterwards has another name before.
    const given = result !== undefined && result.axes.join() === value.axes.join() ? result.name : undefined
    const line = given ?? this.#source.names.get(id)
    if (given === undefined && (LEAVES.has(node.op) || this.#isPlain(value))) {
      const alias = this.#source.names.get(id)
      if (alias === undefined || node.op !== 'input') return this.#values.set(id, value)
    }
    const isOnce = (this.#uses.get(id) ?? 0) <= 1 && line === undefined
    if (isOnce && value.code.text.length <= MOST_TEXT) return this.#values.set(id, value)
    const name = given === undefined ? this.#nameOf(id) : given
    this.#lines.push(this.#syntax.assign(name, value.code))
    return this.#values.set(id, { code: { ...value.code, ...atom(name) }, axes: value.axes })
  }

  /** A name already. */
  #isPlain({ code }: Value): boolean {
    return /^[A-Za-z_]\w*$/.test(code.text)
  }

  #nameOf(id: number): string {
    const line = this.#source.names.get(id)
    if (line !== undefined) return this.#names.take(line)
    const { op, type } = this.#program.nodes[id]
    return this.#names.number(BASES[op] ?? (type === 'bool' ? 'is' : 't'))
  }

  /** Whole, and in the order of its axes. */
  #result({ node, axes, name }: ArrayResult): Code {
    const own = this.#program.nodes[node].axes
    const whole = this.#whole(node, own)
    const order = axes.map((axis) => own.indexOf(axis))
    const code = order.every((from, to) => from === to) ? whole : this.#syntax.transpose(whole, order)
    if (code.text !== name) this.#lines.push(this.#syntax.assign(name, code))
    return atom(name)
  }

  // Expressions

  #expression(node: Node, id: number): Value {
    const { op, args, value, name, axis, type } = node
    const plain = (code: Code, axes: readonly string[] = node.axes): Value => ({ code, axes })
    switch (op) {
      case 'constant':
        if (type === 'bool') return plain(atom(this.#syntax.truth(value !== 0)))
        return plain(numeral(this.#syntax.number(value!)))
      case 'scalar':
        return plain(atom(this.#arguments.params.get(name!)!))
      case 'input':
        return plain(this.#input(node))
      case 'cotangent':
        return plain(atom(this.#arguments.cotangent))
      case 'size':
        return plain(this.#realSize(axis!))
      case 'index':
        return plain(this.#syntax.range(this.#size(axis!)))
      case 'expand':
      case 'stop_gradient':
        return this.#value(args[0])
      case 'rename':
        return this.#renamed(node)
      case 'pick':
        return this.#pick(node)
      case 'contract':
        return this.#contract(node)
      case 'reduce_sum':
      case 'reduce_max':
        return this.#reduce(node, id)
      case 'shift':
        return this.#shift(node, id)
      case 'solve_lower':
      case 'solve_upper':
        return this.#solve(node, id)
      case 'soft_dtw':
      case 'soft_dtw_slope':
        return this.#softDtw(node, id)
      case 'ctc':
      case 'ctc_slope':
        return this.#ctc(node, id)
      default:
        return isElementwise(op) || op === 'select' ? this.#elementwise(node, id) : this.#alongAxis(node, id)
    }
  }

  /** In the order of the program's axes. */
  #input({ name, axes }: Node): Code {
    const own = this.#program.inputs[name!].axes
    const code = atom(this.#arguments.inputs.get(name!)!)
    const order = axes.map((axis) => own.indexOf(axis))
    return order.every((from, to) => from === to) ? code : this.#syntax.transpose(code, order)
  }

  #value(id: number): Value {
    return this.#values.get(id)!
  }

  #size(axis: string): Code {
    const source = this.#program.renamed[axis] ?? axis
    const fixed = fixedSize(source)
    if (fixed !== undefined) return atom(String(fixed))
    const name = this.#sizes.get(source) ?? this.#names.take(axisWord(source))
    this.#sizes.set(source, name)
    return atom(name)
  }

  #realSize(axis: string): Code {
    const size = this.#size(axis)
    return this.#syntax.realOfSize?.(size, this.#like()) ?? size
  }

  #elementwise({ op, args, type }: Node, id: number): Value {
    const values = args.map((arg) => this.#value(arg))
    const axes = this.#sorted([...new Set(values.flatMap((value) => value.axes))])
    const isStatic = this.#statics.has(id)
    const codes = values.map((value, place) => {
      const code = isStatic ? value.code : this.#aligned(value, axes)
      return this.#typed(code, args[place], this.#wanted(op, place, args, type))
    })
    // A choice that parameters make is made once, by the host language.
    const isChosen =
      op === 'select' && this.#statics.has(args[0]) && this.#syntax.statics.select !== undefined
    if (isStatic) return { code: this.#syntax.statics[op]!(codes), axes }
    if (isChosen) return { code: this.#syntax.statics.select!(this.#alike(args, codes, axes)), axes }
    if (op === 'mul_no_nan') return { code: this.#gated(args[0], id, codes), axes }
    return { code: this.#rule(op as keyof ArrayOps, id)(this.#withArray(op, codes), -1), axes }
  }

  /** A gradient that is a number of its own is never 0. */
  #gated(gradient: number, id: number, [g, d]: readonly Code[]): Code {
    const { op, value } = this.#program.nodes[gradient]
    if (op === 'constant' && value !== 0) return this.#rule('mul', id)([g, d], -1)
    return this.#rule('mul_no_nan', id)([this.#asArray(g), d], -1)
  }

  /** Both sides of a choice that is made before anything runs have the same dimensions. */
  #alike(
    args: readonly number[],
    [test, ...sides]: readonly Code[],
    axes: readonly string[],
  ): readonly Code[] {
    const whole = sides.map((side, place) => {
      const own = this.#value(args[place + 1])
      if (own.axes.length === axes.length && side.isNumber !== true) return side
      return axes.length === 0 ? side : this.#spread({ code: this.#asArray(side), axes: own.axes }, axes)
    })
    return [test, ...whole]
  }

  #asArray(code: Code): Code {
    return code.isNumber === true ? this.#syntax.arrayOf(code, this.#like()) : code
  }

  /** Indices are compared with each other as they are, and are numbers otherwise. */
  #wanted(op: Op, place: number, args: readonly number[], type: Node['type']): Node['type'] | undefined {
    const { nodes } = this.#program
    if (op === 'select') return place === 0 ? undefined : type
    const areWhole = args.every((arg) => nodes[arg].type === 'index' || Number.isInteger(nodes[arg].value))
    return (op === 'eq' || op === 'lt' || op === 'le') && areWhole ? 'index' : 'real'
  }

  /** What the library computes of numbers alone has the precision of the inputs. */
  #withArray(op: Op, codes: readonly Code[]): readonly Code[] {
    const operands = op === 'select' ? codes.slice(1) : codes
    if (!operands.every(({ isNumber }) => isNumber === true)) return codes
    const place = op === 'select' ? 1 : codes.length - 1
    return codes.with(place, this.#asArray(codes[place]))
  }

  /** An input of numbers. */
  #like(): Code {
    const { inputs } = this.#source
    const { name } = inputs.find(({ type }) => type === 'real') ?? inputs[0]
    return atom(this.#arguments.inputs.get(name)!)
  }

  #typed(code: Code, id: number, wanted: Node['type'] | undefined): Code {
    const { op, type, value } = this.#program.nodes[id]
    const isNumber = this.#statics.has(id) && type === 'real'
    const { integer } = this.#syntax
    if (wanted === 'index' && op === 'constant' && integer !== undefined) return atom(integer(value!))
    if (isNumber) return { ...code, isNumber }
    return type === 'index' && wanted === 'real' ? this.#syntax.realOf(code, this.#like()) : code
  }

  #rule(op: keyof ArrayOps, id: number): ArrayRule {
    const rule = this.#syntax.ops[op]
    const { nodes } = this.#program
    if (rule === undefined)
      throw new CannotWrite(
        op,
        'the library has no such function',
        locationOf(nodes, this.#source.places, id),
      )
    return rule
  }

  #reduce({ op, args, axis, axes }: Node, id: number): Value {
    const value = this.#value(args[0])
    const dimension = value.axes.indexOf(axis!)
    const rest = value.axes.filter((own) => own !== axis)
    const code = this.#typed(value.code, args[0], 'real')
    if (dimension >= 0) return { code: this.#rule(op as keyof ArrayOps, id)([code], dimension), axes: rest }
    // The same along the whole axis.
    if (op === 'reduce_max') return { code, axes: rest }
    const times = this.#rule('mul', id)
    return { code: times([code, this.#realSize(axis!)], -1), axes: axes.filter((own) => rest.includes(own)) }
  }

  #alongAxis({ op, args, axis, axes, type }: Node, id: number): Value {
    const isPlaces = (place: number) => (op === 'gather' || op === 'scatter') && place === 1
    const codes = args.map((arg, place) =>
      type === 'index' || isPlaces(place) ? this.#whole(arg, axes) : this.#reals(arg, axes),
    )
    return { code: this.#rule(op as keyof ArrayOps, id)(codes, axes.indexOf(axis!)), axes }
  }

  /** No axis is longer than the longest shift that is written. */
  #shift({ args: [x, by], axis, axes }: Node, id: number): Value {
    const steps = Math.max(-MOST_STEPS, Math.min(this.#program.nodes[by].value!, MOST_STEPS))
    const code = this.#rule('shift', id)([this.#reals(x, axes), atom(String(steps))], axes.indexOf(axis!))
    return { code, axes }
  }

  #solve({ op, args: [matrix, right], axis, to, axes }: Node, id: number): Value {
    const others = axes.filter((own) => own !== to)
    const codes = [this.#laid(matrix, [...others, axis!, to!]), this.#laid(right, [...others, axis!])]
    const code = this.#rule(op as keyof ArrayOps, id)(codes, -1)
    return { code: this.#ordered(code, [...others, to!], axes), axes }
  }

  #softDtw({ op, args: [costs, gamma], axis, to, axes }: Node, id: number): Value {
    const own = this.#program.nodes[costs].axes
    const others = own.filter((name) => name !== axis && name !== to)
    const pairs = [...others, axis!, to!]
    const codes = [this.#laid(costs, pairs), this.#asArray(this.#laid(gamma, others))]
    const code = this.#rule(op as keyof ArrayOps, id)(codes, -1)
    return { code: op === 'soft_dtw' ? code : this.#ordered(code, pairs, axes), axes }
  }

  #ctc({ op, args, axis, to, axes }: Node, id: number): Value {
    const [x, labels, lengths, counts, blank] = args
    const { op: from, value } = this.#program.nodes[blank]
    if (from !== 'constant')
      throw new CannotWrite('ctc', 'the class of the blank must be a number', this.#source.places.get(id))
    const rows = this.#program.nodes[lengths].axes
    const listed = this.#program.nodes[labels].axes.filter((own) => !rows.includes(own))
    const cube = [...rows, axis!, to!]
    const codes = [
      this.#laid(x, cube),
      this.#laidAsIs(labels, [...rows, ...listed]),
      ...[lengths, counts].map((length) => this.#laidAsIs(length, rows)),
      atom(String(value)),
    ]
    const code = this.#rule(op as keyof ArrayOps, id)(codes, -1)
    return { code: op === 'ctc' ? code : this.#ordered(code, cube, axes), axes }
  }

  #renamed({ args, axis, to }: Node): Value {
    const value = this.#value(args[0])
    const names = value.axes.map((own) => (own === axis ? to! : own))
    const axes = this.#sorted(names)
    const order = axes.map((own) => names.indexOf(own))
    const isSame = order.every((from, place) => from === place)
    return { code: isSame ? value.code : this.#syntax.transpose(value.code, order), axes }
  }

  #pick({ args: [from, place], axis, axes }: Node): Value {
    const { op, value } = this.#program.nodes[place]
    const x = this.#value(from)
    const dimension = x.axes.indexOf(axis!)
    const isKnown = op === 'constant' && Number.isInteger(value) && value! >= 0
    const size = fixedSize(axis!)
    // The first element of an axis is there: no axis but that of the rows is empty.
    if (dimension >= 0 && isKnown && (value === 0 || (size !== undefined && value! < size))) {
      return {
        code: this.#asReal(this.#syntax.slice(x.code, dimension, value!, x.axes.length), from),
        axes: x.axes.filter((own) => own !== axis),
      }
    }
    const whole = this.#sorted([...axes, axis!])
    const code = this.#syntax.pick(this.#reals(from, whole), this.#whole(place, axes), whole.indexOf(axis!))
    return { code, axes }
  }

  #contract({ args, axis, axes }: Node): Value {
    const [a, b] = args.map((arg) => this.#value(arg))
    const letters = lettersOf(this.#program.axes)
    const spell = (list: readonly string[]) => list.map((own) => letters.get(own)!).join('')
    const own = [a, b].map((value, place) => {
      return value.axes.includes(axis!)
        ? value
        : {
            code: this.#whole(args[place], this.#program.nodes[args[place]].axes),
            axes: this.#program.nodes[args[place]].axes,
          }
    })
    const rest = axes.filter((name) => own.some((value) => value.axes.includes(name)))
    return {
      code: this.#syntax.einsum(
        `${spell(own[0].axes)},${spell(own[1].axes)}->${spell(rest)}`,
        this.#asReal(own[0].code, args[0]),
        this.#asReal(own[1].code, args[1]),
      ),
      axes: rest,
    }
  }

  // Dimensions

  /** With a dimension of one element for each axis that it lacks; leading ones come by themselves. */
  #aligned({ code, axes }: Value, wanted: readonly string[]): Code {
    if (axes.length === 0) return code
    const first = wanted.indexOf(axes[0])
    const dimensions = wanted.slice(first).map((axis) => (axes.includes(axis) ? axes.indexOf(axis) : null))
    return dimensions.includes(null) ? this.#syntax.align(code, dimensions) : code
  }

  /** With all of these axes in memory. */
  #whole(id: number, axes: readonly string[]): Code {
    const { code, axes: own } = this.#value(id)
    if (own.length === axes.length) return code
    const value = { code: this.#asArray(code), axes: own }
    return this.#spread(value, axes)
  }

  /** The same as numbers: what is computed of indices is none. */
  #reals(id: number, axes: readonly string[]): Code {
    return this.#asReal(this.#whole(id, axes), id)
  }

  #asReal(code: Code, id: number): Code {
    return this.#program.nodes[id].type === 'index' ? this.#syntax.realOf(code, this.#like()) : code
  }

  /** Numbers with all of these axes in memory, in this order. */
  #laid(id: number, axes: readonly string[]): Code {
    return this.#asReal(this.#laidAsIs(id, axes), id)
  }

  #laidAsIs(id: number, axes: readonly string[]): Code {
    const sorted = this.#sorted(axes)
    return this.#ordered(this.#whole(id, sorted), sorted, axes)
  }

  #ordered(code: Code, from: readonly string[], to: readonly string[]): Code {
    const order = to.map((axis) => from.indexOf(axis))
    return order.every((own, place) => own === place) ? code : this.#syntax.transpose(code, order)
  }

  #spread(value: Value, axes: readonly string[]): Code {
    if (isPointwise(this.#program)) return this.#syntax.broadcastLike(value.code, this.#like())
    const aligned = this.#aligned(value, axes)
    return this.#syntax.broadcast(
      aligned,
      axes.map((axis) => this.#size(axis)),
    )
  }

  #sorted(axes: readonly string[]): string[] {
    return [...axes].sort((a, b) => this.#program.axes.indexOf(a) - this.#program.axes.indexOf(b))
  }
}

const LEAVES: ReadonlySet<Op> = new Set([
  'input',
  'scalar',
  'constant',
  'cotangent',
  'size',
  'expand',
] satisfies Op[])

/** Names for what is used more than once and has none in the formula. */
const BASES: Readonly<Partial<Record<Op, string>>> = {
  reduce_sum: 'sum',
  contract: 'dot',
  reduce_max: 'top',
  exp: 'exp',
  pick: 'picked',
  sign: 'sign',
  argsort: 'order',
}

/** Axis -> its letter in an equation: the first one of its name that is free. */
function lettersOf(axes: readonly string[]): Map<string, string> {
  const letters = new Map<string, string>()
  const alphabet = 'abcdefghijklmnopqrstuvwxyz'
  for (const axis of axes) {
    const taken = [...letters.values()]
    const wanted = [...axis.toLowerCase(), ...alphabet].find(
      (letter) => alphabet.includes(letter) && !taken.includes(letter),
    )
    letters.set(axis, wanted!)
  }
  return letters
}
