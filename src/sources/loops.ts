/**
 * The writer for loops: the loop plan of a program as source text in a language like C. The plan says what is computed
 * in which loop, kept in scratch memory or computed again; the language's table says how each op is spelled. This file
 * names the values, puts those that are used once where they are used, and spells addresses.
 */
import { isHostOp } from '../language/host-ops.ts'
import type { Node, Op, Program } from '../language/ir.ts'
import { isElementwise } from '../language/scalar.ts'
import { locationOf } from '../language/source-locations.ts'
import { cut, type Part } from '../language/stages.ts'
import { type AxisRead, isRemapped, memoryReadOf } from '../loops/access-map.ts'
import { COTANGENT, type LegalizedProgram, legalize } from '../loops/legalize.ts'
import {
  type Accumulator,
  type Buffer,
  isScalar,
  type Loop,
  type Plan,
  readsInput,
  type Statement,
} from '../loops/loop-plan.ts'
import { plan } from '../loops/planner.ts'
import { type StaticPredicates, switchesOf } from '../loops/static-predicates.ts'
import { atom, type Code, indented, numeral, type Rule } from './code.ts'
import { CannotWrite, type ElementOp, type SourceProgram } from './contract.ts'
import type { HelperSyntax } from './loop-axis-ops.ts'
import { broadcastOperands, type HostCallContext, hostOpLines, type StoredArray } from './loop-host-ops.ts'
import { axisWord, fixedSize, Names } from './names.ts'

/** The types of values. */
export type ValueType = 'real' | 'index' | 'bool'

/** How a language spells each op. A new op of the IR is missing in each table until someone has thought of it. */
export type LoopOps = { readonly [O in ElementOp]: Rule | undefined }

/** How a language spells everything else. */
export interface LoopSyntax {
  /** An op with no row here cannot be said. */
  readonly ops: LoopOps
  readonly reserved: readonly string[]
  /** One step of indentation. */
  readonly indent: string
  number(value: number): string
  truth(value: boolean): string
  /** A whole number as an index. */
  whole(value: number): string
  /** The index of a loop, a size or a truth as another type. */
  readonly indexOfLoop: Rule
  readonly realOfSize: Rule
  readonly realOfIndex: Rule
  readonly indexOfReal: Rule
  constant(type: ValueType, name: string, value: Code): string
  variable(type: ValueType, name: string, value: Code): string
  assign(target: string, value: Code): string
  add(target: string, value: Code): string
  /** The head of a loop; it ends with `}`. */
  loop(index: string, size: string): string
  /** Ops that stand on a line of their own: within a choice, a compiler would branch rather than compute them. */
  readonly alone?: ReadonlySet<Op>
  /** Two versions of the loops. A language without it has the general one alone. */
  readonly branch?: (test: Code, yes: readonly string[], no: readonly string[]) => readonly string[]
  /** An element of an array. */
  at(array: string, offset: Code): string
  /** The sum and the product of two sizes or indices. */
  readonly plus: Rule
  readonly times: Rule
  /** `pick(array, offset, stride, place, size)`: 0 where the place is outside. */
  readonly pick: Rule
  /** How functions for ops on a whole axis are spelled. A language without it has none of these ops. */
  readonly helpers?: HelperSyntax
}

/** A program in a language, for the frame of its function. */
export interface LoopSource {
  readonly inputs: readonly LoopArray[]
  readonly outputs: readonly LoopArray[]
  readonly scratch: readonly LoopArray[]
  /** Sizes that are arguments. */
  readonly sizes: readonly { readonly axis: string; readonly name: string }[]
  readonly params: readonly {
    readonly name: string
    readonly of: string
    readonly value: number
    readonly about: string
  }[]
  /** The name of the number that every gradient is multiplied by. */
  readonly scale: string
  readonly usesScale: boolean
  readonly body: readonly string[]
  /** The number of values, from the sizes. */
  readonly values: Code
  /** What the loss of each row is divided by in a mean. */
  readonly lengths: { readonly name: string; readonly rows: Code } | undefined
}

export interface LoopArray {
  readonly name: string
  readonly role: Buffer['role']
  /** The input, for inputs and gradients. */
  readonly of: string
  readonly type: 'real' | 'index'
  readonly axes: readonly string[]
  /** The number of its elements. */
  readonly length: Code
}

/** Longer expressions are divided. */
const MOST_TEXT = 88
/** An index that is moved by so many steps is still a 32-bit integer. */
const MOST_STEPS = 2 ** 30
const INDICES = ['i', 'j', 'k', 'l', 'm', 'n1', 'n2', 'n3', 'n4', 'n5']

/**
 * @throws CannotWrite
 * @example
 * writeLoops(sourceProgram({ loss: huber, params: { delta: 1 } }), C).body // ['for (size_t i = 0; ...', ...]
 */
export function writeLoops(source: SourceProgram, syntax: LoopSyntax): LoopSource {
  checkOps(source, syntax)
  if (source.program.nodes.some(({ op }) => isHostOp(op)))
    return writeStages(broadcastOperands(source), syntax)
  const general = planned(source, new Map())
  const writer = new LoopWriter(source, general, syntax)
  const special = syntax.branch === undefined ? undefined : specialized(source, general)
  if (special === undefined) return writer.write()
  const [yes, no] = special.plans.map((own) => new LoopWriter(source, own, syntax).write())
  return { ...no, body: [...syntax.branch!(writer.test(special.condition), yes.body, no.body)] }
}

/** Loops, and between them what needs a whole axis at once. All of them share their names. */
function writeStages(source: SourceProgram, syntax: LoopSyntax): LoopSource {
  const { program } = source
  const names = new LoopNames(source, syntax)
  const { parts } = cut(program, isKnown)
  const spares: LoopArray[] = []
  const context: HostCallContext = {
    helpers: syntax.helpers!,
    size: (axis) => names.size(axis),
    plus: (a, b) => syntax.plus([a, b]),
    times: (a, b) => syntax.times([a, b]),
    loop: syntax.loop,
    indent: syntax.indent,
    spare: (length) => {
      const name = names.memory('spare')
      spares.push({ name, role: 'scratch', of: '', type: 'real', axes: [], length })
      return name
    },
  }
  const written = parts.map((part, place) => {
    const isLast = place === parts.length - 1
    const own = { ...source, program: part.program, names: namesIn(part, source) }
    const made = planned(own, new Map())
    names.beginPart()
    const writer = new LoopWriter(own, isLast ? made : withoutValues(made), syntax, names)
    const loops = part.leaves.length > 0 || isLast ? writer.write() : undefined
    return { loops, calls: part.lines.flatMap((id) => hostCall(source, id, names, context)) }
  })
  const all = written.flatMap(({ loops }) => (loops === undefined ? [] : [loops]))
  const kept = keptNodes(source, parts).map((id) => names.kept(id))
  const last = all.at(-1)!
  const scratch = [
    ...kept.map(({ name, axes }) => keptArray(name, axes, (own) => names.product(own, syntax))),
    ...all.flatMap((loops) => loops.scratch),
    ...spares,
  ]
  return {
    ...last,
    inputs: source.inputs.map(({ name, type, axes }) => {
      return {
        name: names.array('input', name),
        role: 'input',
        of: name,
        type,
        axes,
        length: names.product(axes, syntax),
      }
    }),
    scratch,
    sizes: names.read(),
    usesScale: all.some((loops) => loops.usesScale),
    body: written.flatMap(({ loops, calls }) => [...inBlock(loops?.body ?? [], syntax), ...calls]),
  }
}

/** Names of a part are its own: those outside of its loops need a block. */
function inBlock(lines: readonly string[], { indent }: LoopSyntax): readonly string[] {
  const areLoops = lines.every((line) => line.startsWith(indent) || line.endsWith('{') || line === '}')
  return areLoops ? lines : ['{', ...indented(lines, indent), '}']
}

function keptArray(
  name: string,
  axes: readonly string[],
  product: (axes: readonly string[]) => Code,
): LoopArray {
  return { name, role: 'scratch', of: '', type: 'real', axes, length: product(axes) }
}

/** An input of numbers in the layout of the node, or a number that a call spells. Any other number is read from memory, too. */
function isKnown({ nodes, inputs }: Program, id: number): boolean {
  const { op, name, axes, type } = nodes[id]
  if (op === 'constant') return !nodes.some((node) => isHostOp(node.op) && operandsOf(node).includes(id))
  return op === 'input' && type === 'real' && inputs[name!].axes.join() === axes.join()
}

/** What a call reads from memory: all but the blank of CTC. */
function operandsOf({ op, args }: Node): readonly number[] {
  return op.startsWith('ctc') ? args.slice(0, 4) : args
}

/** Nodes that stay in memory from one part to another. */
function keptNodes({ program }: SourceProgram, parts: readonly Part[]): number[] {
  const results = program.nodes.flatMap(({ op }, id) => (isHostOp(op) ? [id] : []))
  return [...new Set([...parts.flatMap(({ leaves }) => leaves), ...results])].sort((a, b) => a - b)
}

function hostCall(source: SourceProgram, id: number, names: LoopNames, context: HostCallContext): string[] {
  const { nodes } = source.program
  const node = nodes[id]
  const blank = node.op.startsWith('ctc') ? nodes[node.args[4]].value! : 0
  const kept = operandsOf(node).map((arg) =>
    isKnown(source.program, arg) ? names.input(nodes[arg]) : names.kept(arg),
  )
  return hostOpLines(node, kept, names.kept(id), blank, context)
}

/** The formula's names for the nodes of a part. */
function namesIn({ placed }: Part, { names }: SourceProgram): Map<number, string> {
  const found = new Map<number, string>()
  for (const [id, name] of names) {
    const own = placed.get(id)
    if (own !== undefined && !found.has(own)) found.set(own, name)
  }
  return found
}

/** The value of a part that only leaves something for later ones is none of the results. */
function withoutValues(of: Plan): Plan {
  const without = (statements: readonly Statement[]): Statement[] =>
    statements
      .filter((statement) => statement.kind !== 'store' || statement.buffer.role !== 'values')
      .map((statement) => {
        return statement.kind === 'loop' ? { ...statement, body: without(statement.body) } : statement
      })
  return { ...of, body: without(of.body) }
}

/**
 * The names of one function: those of its arguments first, which keep the names of the definition. Parts of a program share
 * them, and what one part leaves in memory for another.
 */
class LoopNames {
  /** Of arguments and arrays. */
  readonly #all: Names
  /** Of values in the part that is being written, and those in all parts. */
  #locals: Names
  readonly #everLocal = new Set<string>()
  readonly scale: string
  readonly scalars = new Map<string, string>()
  readonly sizes = new Map<string, string>()
  readonly #source: SourceProgram
  readonly #arrays = new Map<string, string>()
  readonly #kept = new Map<number, string>()
  readonly #sizesRead = new Set<string>()

  constructor(source: SourceProgram, syntax: LoopSyntax) {
    this.#source = source
    this.#all = new Names([...syntax.reserved, ...INDICES])
    const { inputs, denominators, gradients } = source.program
    for (const name of Object.keys(inputs)) this.#take('input', name, name)
    for (const { name } of source.params) this.scalars.set(name, this.#all.take(name))
    const axes = this.#axes()
    for (const axis of axes) this.sizes.set(axis, this.#all.take(sizeWord(axis, axes)))
    this.#take('values', '', 'loss')
    if (denominators !== undefined) this.#take('denominators', '', 'denominators')
    for (const name of Object.keys(gradients)) this.#take('gradient', name, `gradient_${name}`)
    this.scale = this.#all.take('scale')
    this.#locals = this.#all.copy()
  }

  /** An argument, or what a part leaves. */
  array(role: Buffer['role'], name: string): string {
    return name.startsWith('$') ? this.kept(Number(name.slice(1))).name : this.#arrays.get(`${role} ${name}`)!
  }

  /** Another part has values of its own. */
  beginPart() {
    this.#locals = this.#all.copy()
  }

  /** A value of this part. */
  local(wanted: string): string {
    return this.#used(this.#locals.take(wanted))
  }

  numbered(base: string): string {
    return this.#used(this.#locals.number(base))
  }

  /** An array that is named after a line of the formula, or only numbered. */
  memoryOf(line: string): string {
    return this.#unlikeLocals(() => this.#all.take(`${line}s`))
  }

  memory(base: string): string {
    return this.#unlikeLocals(() => this.#all.number(base))
  }

  #used(name: string): string {
    this.#everLocal.add(name)
    return name
  }

  #unlikeLocals(next: () => string): string {
    let name = next()
    while (this.#everLocal.has(name)) name = next()
    this.#locals.take(name)
    return name
  }

  input({ name, axes }: Node): StoredArray {
    return { name: this.array('input', name!), axes }
  }

  kept(id: number): StoredArray {
    const { op, axes } = this.#source.program.nodes[id]
    const line = this.#source.names.get(id)
    const name =
      this.#kept.get(id) ?? (line === undefined ? this.memory(KEPT[op] ?? 's') : this.memoryOf(line))
    this.#kept.set(id, name)
    return { name, axes }
  }

  size(axis: string): Code {
    const source = this.sourceOf(axis)
    const fixed = fixedSize(source)
    if (fixed !== undefined) return atom(String(fixed))
    this.#sizesRead.add(source)
    return atom(this.sizes.get(source)!)
  }

  product(axes: readonly string[], syntax: LoopSyntax): Code {
    const sizes = axes.map((axis) => this.size(axis))
    return sizes.length === 0 ? atom('1') : sizes.reduce((product, size) => syntax.times([product, size]))
  }

  /** The sizes that were asked for. */
  read(): { readonly axis: string; readonly name: string }[] {
    return [...this.sizes].flatMap(([axis, name]) => (this.#sizesRead.has(axis) ? [{ axis, name }] : []))
  }

  sourceOf(axis: string): string {
    return this.#source.program.renamed[axis] ?? axis
  }

  /** Axes that give loops or arrays a size, in the order of the inputs. */
  #axes(): readonly string[] {
    const { axes, renamed } = this.#source.program
    const declared = this.#source.inputs.flatMap((input) => input.axes)
    const all = [...new Set([...declared, ...axes])]
    return all.filter(
      (axis) => axes.includes(axis) && renamed[axis] === undefined && fixedSize(axis) === undefined,
    )
  }

  #take(role: Buffer['role'], name: string, wanted: string) {
    this.#arrays.set(`${role} ${name}`, this.#all.take(wanted))
  }
}

/** Names for results in memory that have none in the formula. */
const KEPT: Readonly<Partial<Record<Op, string>>> = {
  argsort: 'order',
  gather: 'found',
  scatter: 'moved',
  cumsum: 'sums',
  reverse_cumsum: 'sums',
  recurrence: 'running',
  reverse_recurrence: 'running',
}

function planned({ program }: SourceProgram, staticPredicates: StaticPredicates): Plan {
  return plan(legalize(program, { uniform: true, mayCount: true, staticPredicates }))
}

/**
 * Constant specialization: a condition on parameters that spares each element a power is tested once, before the loops. The
 * versions share their arguments, and have no memory of their own.
 */
function specialized(source: SourceProgram, general: Plan): Specialized | undefined {
  if (powersIn(general) === 0) return undefined
  for (const id of switchesOf(source.program)) {
    const plans = [true, false].map((truth) => planned(source, new Map([[id, truth]])))
    if (powersIn(plans[0]) < powersIn(general) && [general, ...plans].every(hasNoScratch))
      return { condition: general.program.refs[id], plans }
  }
  return undefined
}

interface Specialized {
  /** Its node in the general plan. */
  readonly condition: number
  /** Where it is true, and where it is false. */
  readonly plans: readonly Plan[]
}

function powersIn({ program, body }: Plan): number {
  const count = (statements: readonly Statement[]): number =>
    statements.reduce((total, statement) => {
      if (statement.kind === 'loop') return total + count(statement.body)
      return total + Number(statement.kind === 'compute' && program.nodes[statement.node].op === 'pow')
    }, 0)
  return count(body)
}

function hasNoScratch({ buffers }: Plan): boolean {
  return buffers.every(({ role }) => role !== 'scratch')
}

/** @throws CannotWrite */
function checkOps({ program, places }: SourceProgram, { ops, helpers }: LoopSyntax) {
  program.nodes.forEach(({ op }, id) => {
    const isMissing = isHostOp(op)
      ? helpers === undefined
      : (isElementwise(op) || op === 'select') && ops[op as keyof LoopOps] === undefined && !LEGALIZED.has(op)
    if (isMissing)
      throw new CannotWrite(op, 'the language has no such function', locationOf(program.nodes, places, id))
  })
}

/** They are taken apart before anything is written. */
const LEGALIZED: ReadonlySet<Op> = new Set(['sigmoid', 'softplus', 'stop_gradient'] satisfies Op[])

class LoopWriter {
  readonly #source: SourceProgram
  readonly #plan: Plan
  readonly #program: LegalizedProgram
  readonly #syntax: LoopSyntax
  readonly #names: LoopNames
  readonly #arrays = new Map<number, string>()
  /** Node -> what stands for it where it is used. */
  readonly #values = new Map<number, Code>()
  /** Axis -> the index of the loop that is open over it. */
  readonly #open = new Map<string, string>()
  readonly #uses: ReadonlyMap<number, number>
  readonly #lineNames: ReadonlyMap<number, string>

  constructor(
    source: SourceProgram,
    planned: Plan,
    syntax: LoopSyntax,
    names = new LoopNames(source, syntax),
  ) {
    this.#source = source
    this.#plan = planned
    this.#program = planned.program
    this.#syntax = syntax
    this.#names = names
    this.#uses = usesIn(planned)
    this.#lineNames = lineNames(source, planned.program)
  }

  write(): LoopSource {
    const { buffers, body, program } = this.#plan
    const of = (...roles: Buffer['role'][]) => {
      return buffers.filter(({ role }) => roles.includes(role)).map((buffer) => this.#array(buffer))
    }
    const scalars = this.#scalarLines()
    const lines = [...scalars, ...this.#block(body)]
    const used = buffers.filter((buffer) => buffer.role !== 'scratch' || this.#touched.has(buffer.id))
    const scratch = used.filter(({ role }) => role === 'scratch').map((buffer) => this.#array(buffer))
    const values = program.roots.find(({ role }) => role === 'values')!
    return {
      inputs: inOrder(of('input'), this.#source),
      outputs: of('values', 'denominators', 'gradient'),
      scratch,
      sizes: [...this.#names.sizes].flatMap(([axis, name]) =>
        this.#isArgument(axis) ? [{ axis, name }] : [],
      ),
      params: this.#source.params.map(({ name, value, about }) => {
        return { name: this.#names.scalars.get(name)!, of: name, value, about }
      }),
      scale: this.#names.scale,
      usesScale: this.#program.nodes.some(({ name }) => name === COTANGENT),
      body: lines,
      values: this.#product(values.axes),
      lengths: this.#lengths(),
    }
  }

  #lengths(): LoopSource['lengths'] {
    const input = this.#source.inputs.find(({ name }) => name === this.#source.lengths)
    if (input === undefined) return undefined
    return { name: this.#names.array('input', input.name), rows: this.#product(input.axes) }
  }

  /** A condition on parameters. */
  test(id: number): Code {
    return this.#value(id)
  }

  // Names

  #isArgument(axis: string): boolean {
    return (
      this.#plan.buffers.some(({ axes }) => axes.some((name) => this.#names.sourceOf(name) === axis)) ||
      this.#names.read().some((size) => size.axis === axis)
    )
  }

  readonly #touched = new Set<number>()

  #size(axis: string): Code {
    return this.#names.size(axis)
  }

  #product(axes: readonly string[]): Code {
    return this.#names.product(axes, this.#syntax)
  }

  #array(buffer: Buffer): LoopArray {
    const { role, name, axes } = buffer
    const type = role === 'input' ? this.#program.inputs[name].type : this.#scratchType(buffer)
    return { name: this.#arrayName(buffer), role, of: name, type, axes, length: this.#product(axes) }
  }

  /** Truths and indices are kept as numbers. */
  #scratchType(_: Buffer): 'real' {
    return 'real'
  }

  #arrayName({ id, role, name }: Buffer): string {
    const known = this.#arrays.get(id)
    if (known !== undefined) return known
    const own = role === 'scratch' ? this.#scratchName(name) : this.#names.array(role, name)
    this.#arrays.set(id, own)
    return own
  }

  #scratchName(node: string): string {
    const line = this.#lineNames.get(Number(node))
    return line === undefined ? this.#names.memory('s') : this.#names.memoryOf(line)
  }

  /** A name for a value that is used more than once. */
  #nameOf(id: number): string {
    const name = this.#chosen.get(id) ?? this.#newName(id)
    this.#chosen.set(id, name)
    return name
  }

  /** A value that is computed again in another loop has the same name there. */
  readonly #chosen = new Map<number, string>()

  #newName(id: number): string {
    const line = this.#lineNames.get(id)
    if (line !== undefined) return this.#names.local(line)
    const node = this.#program.nodes[id]
    if (node.op === 'input') return this.#names.local(`${this.#inputWord(node.name!)}_i`)
    return this.#names.numbered(BASES[node.op] ?? (node.type === 'bool' ? 'is' : 't'))
  }

  /** An input, or what a part left in memory. */
  #inputWord(name: string): string {
    return name.startsWith('$') ? this.#names.array('input', name) : name
  }

  // Statements

  /** What depends on no element is computed once, before the loops. */
  #scalarLines(): string[] {
    const { nodes } = this.#program
    const lines: string[] = []
    for (const id of usedScalars(this.#plan)) {
      const node = nodes[id]
      const code = this.#expression(node)
      const isShort = node.op === 'constant' || node.op === 'scalar' || node.op === 'size'
      if (isShort || ((this.#uses.get(id) ?? 0) < 2 && code.text.length < MOST_TEXT / 2))
        this.#values.set(id, code)
      else lines.push(this.#declare(id, code))
    }
    return lines
  }

  #block(statements: readonly Statement[]): string[] {
    return statements.flatMap((statement) => this.#statement(statement))
  }

  #statement(statement: Statement): string[] {
    switch (statement.kind) {
      case 'loop':
        return this.#loop(statement)
      case 'compute':
        return this.#define(statement.node, this.#expression(this.#program.nodes[statement.node]))
      case 'load':
        return this.#load(statement)
      case 'store':
        return [this.#syntax.assign(this.#element(statement.buffer), this.#stored(statement))]
      case 'accumulate':
        return [this.#accumulate(statement.node, statement.memory?.total)]
      case 'whole axis':
        throw new Error('the program has not been cut at its whole-axis ops')
    }
  }

  #stored({ node }: Statement & { kind: 'store' }): Code {
    return this.#real(node)
  }

  /** A short value that is used once stands where it is used. */
  #define(id: number, code: Code): string[] {
    const isOnce = (this.#uses.get(id) ?? 0) <= 1 && !this.#lineNames.has(id)
    const isTrivial = this.#program.nodes[id].op === 'expand' || this.#program.nodes[id].op === 'index'
    const isAlone = this.#syntax.alone?.has(this.#program.nodes[id].op) === true
    const isShort = isOnce && code.text.length <= MOST_TEXT && !isAlone
    if (isTrivial || (isShort && !this.#crossesLoops(id))) {
      this.#values.set(id, code)
      return []
    }
    return [this.#declare(id, code)]
  }

  #declare(id: number, code: Code): string {
    const name = this.#nameOf(id)
    this.#values.set(id, atom(name))
    return this.#syntax.constant(this.#program.nodes[id].type, name, code)
  }

  /** Whether it is used in a loop that it does not itself belong to: there it would be computed again and again. */
  #crossesLoops(id: number): boolean {
    return this.#crossing.has(id)
  }

  get #crossing(): ReadonlySet<number> {
    this.#crossingFound ??= crossingIn(this.#plan)
    return this.#crossingFound
  }

  #crossingFound: ReadonlySet<number> | undefined

  /** A node that has memory of its own is there as it is; only one that is read from that of its source is renamed or shifted. */
  #load({ node, source, buffer }: Statement & { kind: 'load' }): string[] {
    const { nodes } = this.#program
    const axes = source === node ? {} : memoryReadOf(nodes, node).axes
    return [this.#declare(node, this.#loaded(this.#read(buffer, axes), nodes[node].type))]
  }

  #loaded(code: Code, type: ValueType): Code {
    if (type === 'real') return code
    if (type === 'index') return this.#syntax.indexOfReal([code])
    return this.#syntax.ops.not!([this.#syntax.ops.eq!([code, atom(this.#syntax.number(0))])])
  }

  #loop({ axis, accumulators, body }: Loop): string[] {
    const before = accumulators.flatMap((accumulator) => this.#begin(accumulator))
    const index = INDICES[this.#open.size]
    this.#open.set(axis, index)
    const inside = this.#block(body)
    this.#open.delete(axis)
    const head = this.#syntax.loop(index, this.#size(axis).text)
    return [...before, head, ...indented(inside, this.#syntax.indent), '}']
  }

  #begin({ node, memory }: Accumulator): string[] {
    const start = atom(this.#syntax.number(this.#isMax(node) ? Number.NEGATIVE_INFINITY : 0))
    if (memory !== undefined) return this.#fill(memory.total, start)
    const name = this.#nameOf(node)
    this.#values.set(node, atom(name))
    return [this.#syntax.variable('real', name, start)]
  }

  #fill(buffer: Buffer, value: Code): string[] {
    const free = buffer.axes.filter((axis) => !this.#open.has(axis))
    const opened = free.map((axis) => {
      const index = INDICES[this.#open.size]
      this.#open.set(axis, index)
      return this.#syntax.loop(index, this.#size(axis).text)
    })
    const line = this.#syntax.assign(this.#element(buffer), value)
    for (const axis of free) this.#open.delete(axis)
    return nest(opened, line, this.#syntax.indent)
  }

  #accumulate(id: number, memory: Buffer | undefined): string {
    const { args } = this.#program.nodes[id]
    const [a, b] = args.map((arg) => this.#real(arg))
    const term = b === undefined ? a : this.#syntax.ops.mul!([a, b])
    const target = memory === undefined ? this.#values.get(id)!.text : this.#element(memory)
    if (!this.#isMax(id)) return this.#syntax.add(target, term)
    return this.#syntax.assign(target, this.#syntax.ops.max!([atom(target), term]))
  }

  #isMax(id: number): boolean {
    return this.#program.nodes[id].op === 'reduce_max'
  }

  // Expressions

  #expression(node: Node): Code {
    const { op, args, value, name, axis, type } = node
    switch (op) {
      case 'constant':
        if (type === 'bool') return atom(this.#syntax.truth(value !== 0))
        return numeral(this.#syntax.number(value!))
      case 'scalar':
        return atom(name === COTANGENT ? this.#names.scale : this.#names.scalars.get(name!)!)
      case 'size':
        return this.#syntax.realOfSize([this.#size(axis!)])
      case 'index':
        return this.#syntax.indexOfLoop([atom(this.#open.get(axis!)!)])
      case 'input':
        return this.#fromInput(name!, atom(this.#element(this.#inputBuffer(name!))))
      case 'expand':
        return this.#value(args[0])
      case 'rename':
      case 'shift':
        return this.#neighbor(node)
      case 'pick':
        return this.#pick(node)
      case 'select':
        return this.#select(node)
      default:
        return this.#elementwise(node)
    }
  }

  #elementwise({ op, args }: Node): Code {
    const rule = this.#syntax.ops[op as keyof LoopOps]
    if (rule === undefined) throw new CannotWrite(op, 'the language has no such function')
    const { nodes } = this.#program
    const areWhole = args.every((arg) => nodes[arg].type !== 'real' || this.#wholeConstant(arg) !== undefined)
    const areCompared = op === 'eq' || op === 'lt' || op === 'le'
    if (areCompared && areWhole && args.some((arg) => nodes[arg].type === 'index'))
      return rule(args.map((arg) => this.#index(arg)))
    return rule(args.map((arg) => (nodes[arg].type === 'bool' ? this.#value(arg) : this.#real(arg))))
  }

  #select({ args: [test, yes, no], type }: Node): Code {
    const as = (id: number) => (type === 'real' ? this.#real(id) : this.#value(id))
    return this.#syntax.ops.select!([this.#value(test), as(yes), as(no)])
  }

  #value(id: number): Code {
    const known = this.#values.get(id)
    if (known !== undefined) return known
    if (isScalar(this.#program, id)) return this.#expression(this.#program.nodes[id])
    throw new Error(`node ${id} is used before it is computed`)
  }

  #real(id: number): Code {
    const { type } = this.#program.nodes[id]
    const value = this.#value(id)
    if (type === 'index') return this.#syntax.realOfIndex([value])
    if (type === 'real') return value
    return this.#syntax.ops.select!([value, atom(this.#syntax.number(1)), atom(this.#syntax.number(0))])
  }

  #wholeConstant(id: number): number | undefined {
    const { op, value } = this.#program.nodes[id]
    return op === 'constant' && Number.isInteger(value) && Math.abs(value!) < 2 ** 31 ? value : undefined
  }

  #index(id: number): Code {
    const whole = this.#wholeConstant(id)
    if (whole !== undefined) return atom(this.#syntax.whole(whole))
    const value = this.#value(id)
    return this.#program.nodes[id].type === 'index' ? value : this.#syntax.indexOfReal([value])
  }

  #inputBuffer(name: string): Buffer {
    return this.#plan.buffers.find((buffer) => buffer.role === 'input' && buffer.name === name)!
  }

  /** Indices that a part left in memory are numbers there. */
  #fromInput(name: string, code: Code): Code {
    const isKept = name.startsWith('$') && this.#program.inputs[name].type === 'index'
    return isKept ? this.#syntax.indexOfReal([code]) : code
  }

  /** An input with renamed axes, or at a distance. */
  #neighbor(node: Node): Code {
    const { nodes } = this.#program
    const { source, axes } = memoryReadOf(nodes, nodes.indexOf(node))
    const { name } = nodes[source]
    return this.#fromInput(name!, this.#read(this.#inputBuffer(name!), axes))
  }

  /** Elements before the first and after the last one are 0. */
  #read(buffer: Buffer, axes: Readonly<Record<string, AxisRead>>): Code {
    const names = Object.fromEntries(Object.entries(axes).map(([axis, { loop }]) => [axis, loop]))
    const shifted = Object.entries(axes).filter(
      ([axis, { steps }]) => steps !== 0 && buffer.axes.includes(axis),
    )
    if (shifted.length === 0) return atom(this.#element(buffer, names))
    this.#touch(buffer)
    const [[axis, { loop, steps }]] = shifted
    const place = this.#moved(this.#syntax.indexOfLoop([atom(this.#open.get(loop)!)]), steps)
    if (shifted.length === 1) return this.#picked(buffer, axis, place, names)
    // Whoever reads at a distance along two axes knows which elements are inside.
    const flat = shifted.reduce(
      (offset, [own, read]) => {
        return this.#moved(offset, read.steps, this.#strideOf(buffer, own))
      },
      this.#syntax.indexOfLoop([this.#offset(buffer, names, NOWHERE)]),
    )
    return this.#syntax.pick([
      atom(this.#arrayName(buffer)),
      atom('0'),
      atom('1'),
      flat,
      this.#product(buffer.axes),
    ])
  }

  /** An index some steps before. No axis is longer than the longest distance that is written. */
  #moved(index: Code, steps: number, stride: Code = atom('1')): Code {
    const { ops, whole, times, indexOfLoop } = this.#syntax
    const count = atom(whole(Math.min(Math.abs(steps), MOST_STEPS)))
    const distance = stride.text === '1' ? count : times([count, indexOfLoop([stride])])
    return (steps > 0 ? ops.sub! : ops.add!)([index, distance])
  }

  #picked(buffer: Buffer, axis: string, place: Code, names: Readonly<Record<string, string>> = {}): Code {
    const offset = this.#offset(buffer, names, new Map([[axis, atom('0')]]))
    return this.#syntax.pick([
      atom(this.#arrayName(buffer)),
      offset,
      this.#strideOf(buffer, axis),
      place,
      this.#size(axis),
    ])
  }

  #strideOf({ axes }: Buffer, axis: string): Code {
    return this.#product(axes.slice(axes.indexOf(axis) + 1))
  }

  /** A known place within an axis of known size needs no check. */
  #pick({ args: [from, place], axis }: Node): Code {
    const { nodes } = this.#program
    const { source, axes } = memoryReadOf(nodes, from)
    const { name } = nodes[source]
    const buffer = this.#inputBuffer(name!)
    const names = Object.fromEntries(Object.entries(axes).map(([own, { loop }]) => [own, loop]))
    const own = Object.keys(names).find((one) => names[one] === axis) ?? axis!
    const whole = this.#wholeConstant(place)
    const size = fixedSize(own)
    if (whole !== undefined && size !== undefined && whole >= 0 && whole < size) {
      const element = this.#element(buffer, names, new Map([[own, atom(String(whole))]]))
      return this.#fromInput(name!, atom(element))
    }
    return this.#fromInput(name!, this.#picked(buffer, own, this.#index(place), names))
  }

  // Addresses

  #element(buffer: Buffer, names: Readonly<Record<string, string>> = {}, places: Places = NOWHERE): string {
    this.#touch(buffer)
    return this.#syntax.at(this.#arrayName(buffer), this.#offset(buffer, names, places))
  }

  #touch({ role, id }: Buffer) {
    if (role === 'scratch') this.#touched.add(id)
  }

  /** `(i * rows + j) * classes + k` */
  #offset({ axes }: Buffer, names: Readonly<Record<string, string>>, places: Places): Code {
    let offset: Code | undefined
    for (const axis of axes) {
      const index = places.get(axis) ?? atom(this.#open.get(names[axis] ?? axis)!)
      const before =
        offset === undefined || offset.text === '0'
          ? undefined
          : this.#syntax.times([offset, this.#size(axis)])
      if (before === undefined) offset = index
      else offset = index.text === '0' ? before : this.#syntax.plus([before, index])
    }
    return offset ?? atom('0')
  }
}

type Places = ReadonlyMap<string, Code>
const NOWHERE: Places = new Map()

/** Names for what is used more than once and has none in the formula. */
const BASES: Readonly<Partial<Record<Op, string>>> = {
  reduce_sum: 'sum',
  contract: 'dot',
  reduce_max: 'top',
  exp: 'e',
  sign: 'sign',
  pick: 'at',
}

/** In the order of the definition. */
function inOrder(arrays: readonly LoopArray[], { inputs }: SourceProgram): LoopArray[] {
  return inputs.flatMap(({ name }) => arrays.filter(({ of }) => of === name))
}

function sizeWord(axis: string, axes: readonly string[]): string {
  return axes.length === 1 ? 'n' : axisWord(axis)
}

function nest(heads: readonly string[], line: string, indent: string): string[] {
  const [head, ...others] = heads
  return head === undefined ? [line] : [head, ...indented(nest(others, line, indent), indent), '}']
}

/** Legalized node -> the formula's name for it. */
function lineNames({ names }: SourceProgram, { refs }: LegalizedProgram): Map<number, string> {
  const found = new Map<number, string>()
  for (const [id, name] of names) {
    const ref = refs[id]
    if (!found.has(ref)) found.set(ref, name)
  }
  return found
}

/** How often each node stands in the text of another one. */
function usesIn({ program, body }: Plan): Map<number, number> {
  const uses = new Map<number, number>()
  const seen = new Set<number>()
  const count = (id: number) => uses.set(id, (uses.get(id) ?? 0) + 1)
  const useScalars = (id: number) => {
    if (!isScalar(program, id) || seen.has(id)) return
    seen.add(id)
    for (const arg of program.nodes[id].args) {
      count(arg)
      useScalars(arg)
    }
  }
  const use = (id: number) => {
    count(id)
    useScalars(id)
  }
  const walk = (statements: readonly Statement[]) => {
    for (const statement of statements) {
      if (statement.kind === 'loop') walk(statement.body)
      else if (statement.kind === 'store') use(statement.node)
      else if (statement.kind !== 'load')
        for (const arg of argsOf(program.nodes[statement.node], program)) use(arg)
    }
  }
  walk(body)
  return uses
}

/** The nodes whose values the text of a node contains. */
function argsOf(node: Node, program: LegalizedProgram): readonly number[] {
  if (node.op === 'pick') return node.args.slice(1)
  return isRemapped(node) && readsInput(program, node) ? [] : node.args
}

/** Nodes that are computed in one loop, or in none, and used in another one inside of it. */
function crossingIn({ program, body }: Plan): Set<number> {
  const crossing = new Set<number>()
  const home = new Map<number, readonly string[]>()
  const walk = (statements: readonly Statement[], path: readonly string[]) => {
    statements.forEach((statement, place) => {
      if (statement.kind === 'loop') {
        walk(statement.body, [...path, `${place} ${statement.axis}`])
        return
      }
      const used =
        statement.kind === 'store'
          ? [statement.node]
          : statement.kind === 'load'
            ? []
            : argsOf(program.nodes[statement.node], program)
      for (const id of used) if (home.has(id) && home.get(id)!.length !== path.length) crossing.add(id)
      if (statement.kind === 'compute') home.set(statement.node, path)
    })
  }
  walk(body, [])
  return crossing
}

/** The scalars that statements need, in order. */
function usedScalars({ program, body }: Plan): number[] {
  const used = new Set<number>()
  const visit = (id: number) => {
    if (!isScalar(program, id)) return
    for (const arg of program.nodes[id].args) visit(arg)
    used.add(id)
  }
  const walk = (statements: readonly Statement[]) => {
    for (const statement of statements) {
      if (statement.kind === 'loop') walk(statement.body)
      else if (statement.kind === 'store') visit(statement.node)
      else if (statement.kind !== 'load') for (const arg of program.nodes[statement.node].args) visit(arg)
    }
  }
  walk(body)
  return [...used].sort((a, b) => a - b)
}
