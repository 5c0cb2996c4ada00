/**
 * The writer for SQL: one query that adds the loss and its gradients to the rows of a table. A program of one row is a tree
 * of expressions over columns; what is used more than once is a column of an inner query. Databases raise errors where
 * IEEE 754 has infinities and NaN, so each op is guarded where its range says that it may meet one, and no row aborts the
 * query.
 */
import type { Node, Op } from '../language/ir.ts'
import { locationOf } from '../language/source-locations.ts'
import { batchAxisOf } from '../losses/program.ts'
import { ATOM, atom, type Code, infix, prefix, type Rule, within } from './code.ts'
import {
  CannotWrite,
  type ElementOp,
  InvalidName,
  type SourceInput,
  type SourceProgram,
  type WriteOptions,
} from './contract.ts'
import { commentSafe, headerLines } from './header.ts'
import { checkIndependentRows } from './independent-rows.ts'
import { fixedSize, Names } from './names.ts'
import { contains, type Range, rangesOf } from './ranges.ts'
import { elementName, isRecursive, type ScalarProgram, scalarise } from './scalarize.ts'

/** What a rule may know of its arguments: it says them as often as it needs. */
export type SqlRule = (args: readonly Code[], ranges: readonly Range[], dialect: Dialect) => Code

export type SqlOps = { readonly [O in ElementOp]: SqlRule | undefined }

/** A dialect of SQL. */
export interface Dialect {
  readonly name: string
  /** An op with no row here cannot be said. */
  readonly ops: SqlOps
  /**
   * @param of what it names: `table`, or an input
   * @throws InvalidName
   */
  quote(name: string, of: string): string
  double(value: number): string
  cast(column: string): string
  /** Whether a value is NaN. */
  isNaN(x: Code): string
  /** Whether a zero has a minus; absent if the database does not tell. */
  hasMinus?(zero: Code): string
  /** Whether overflows and underflows raise errors. */
  readonly raises: { readonly overflow: boolean; readonly underflow: boolean }
  /** Whether the sign of NULL is NULL. */
  readonly isSignStrict?: boolean
  /** Whether the larger of two numbers is said with a CASE, which repeats them. */
  readonly choosesByCase?: boolean
  /** How the columns of inner queries are left out at the end: by a word after the star, or by joining them on. */
  readonly steps: 'EXCLUDE' | 'EXCEPT' | 'lateral'
}

/** The prefix of the columns of inner queries, so that they meet none of the table. */
const OWN = 'lossd_'
const MOST_TEXT = 100
/** Bytes of a word in a name, which leave room for the prefix and a number behind it. */
const MOST_WORD = 48

/** @throws CannotWrite, InvalidName */
export function writeSql(source: SourceProgram, dialect: Dialect, options: WriteOptions): string {
  checkRows(source)
  const table = quotedTable(options.table, dialect)
  const columns = columnsOf(source, options, dialect)
  const sizes = sizesOf(source, columns)
  const scalars = Object.fromEntries(source.params.map(({ name, value }) => [name, value]))
  const scalar = scalarise(source, sizes, scalars)
  const query = queryOf(source, () => new SqlWriter(scalar, dialect, columns).query(table))
  const chosen = source.params.map(({ name, value }) => `${name} = ${value}`).join(', ')
  const notes = chosen === '' ? [] : [`With ${chosen}.`]
  return `${[...headerLines(source, notes).map((line) => `-- ${commentSafe(line)}`.trimEnd()), ...query].join('\n')}\n`
}

/** @throws CannotWrite, with the place of the first node that has the op: elements are not traced */
function queryOf({ program: { nodes }, places }: SourceProgram, write: () => string[]): string[] {
  try {
    return write()
  } catch (error) {
    if (!(error instanceof CannotWrite) || error.at !== undefined) throw error
    const id = nodes.findIndex(({ op }) => op === error.op)
    throw new CannotWrite(error.op, error.why, id < 0 ? undefined : locationOf(nodes, places, id))
  }
}

/** Each row of the table is one row of the loss. */
function checkRows(source: SourceProgram) {
  const { program, places, loss, inputs } = source
  const first = batchAxisOf(loss)
  const { nodes } = program
  const recursive = nodes.findIndex(({ op }) => isRecursive(op))
  if (recursive >= 0) {
    const why = 'is a recursion along an axis, which no expression says'
    throw new CannotWrite(nodes[recursive].op, why, locationOf(nodes, places, recursive))
  }
  checkIndependentRows(source, 'the loss of a row depends on other rows of the table')
  const shared = inputs.find(
    ({ axes, name, trailing }) => !axes.includes(first) && !trailing && name in program.gradients,
  )
  if (shared !== undefined)
    throw new CannotWrite(
      'input',
      `${shared.name} is shared by all rows, and its gradient is a sum over them`,
    )
}

/** Names with dots are those of a table in a schema. */
function quotedTable(table: string, dialect: Dialect): string {
  const parts = table.split('.')
  if (parts.length > 4) throw new InvalidName('table', 'has more than four parts')
  return parts.map((part) => dialect.quote(part, 'table')).join('.')
}

type Columns = ReadonlyMap<string, readonly string[]>

function columnsOf({ inputs, loss }: SourceProgram, { columns }: WriteOptions, dialect: Dialect): Columns {
  const stranger = Object.keys(columns).find((name) => !Object.hasOwn(loss.inputs, name))
  if (stranger !== undefined) throw new InvalidName(stranger, `is not an input of ${loss.name}`)
  return new Map(
    inputs.map(({ name }) => {
      const own = columns[name] ?? [name]
      return [name, own.map((column) => dialect.quote(column, name))]
    }),
  )
}

/**
 * The sizes of the axes from the numbers of columns: one row, one of the other axes, and of a named axis as many as there
 * are columns for it.
 */
function sizesOf({ inputs, loss, program }: SourceProgram, columns: Columns): Record<string, number> {
  const sizes: Record<string, number> = { [batchAxisOf(loss)]: 1, '...': 1 }
  for (const axis of inputs.flatMap(({ axes }) => axes))
    if (fixedSize(axis) !== undefined) sizes[axis] = fixedSize(axis)!
  const waiting = new Set(inputs)
  for (let before = -1; waiting.size !== before; ) {
    before = waiting.size
    for (const input of waiting) if (settled(input, columns, sizes)) waiting.delete(input)
  }
  const [stuck] = waiting
  if (stuck !== undefined)
    throw new InvalidName(
      stuck.name,
      `has the axes ${stuck.axes.join(', ')}, whose sizes its number of columns does not tell`,
    )
  for (const [axis, from] of Object.entries(program.renamed)) sizes[axis] = sizes[from]
  return sizes
}

/** Whether all axes of an input have a size now. */
function settled({ name, axes }: SourceInput, columns: Columns, sizes: Record<string, number>): boolean {
  const count = columns.get(name)!.length
  const unknown = axes.filter((axis) => sizes[axis] === undefined)
  if (unknown.length > 1) return false
  const known = axes.reduce((product, axis) => product * (sizes[axis] ?? 1), 1)
  if (unknown.length === 1 && count % known === 0) sizes[unknown[0]] = count / known
  else if (unknown.length === 1 || known !== count)
    throw new InvalidName(
      name,
      `has the axes ${axes.join(', ')} and takes ${known} columns${unknown.length === 1 ? ' or a multiple' : ''}, got ${count}; list them with commas`,
    )
  return true
}

/** A column that the query adds. */
interface Output {
  readonly name: string
  readonly node: number
}

class SqlWriter {
  readonly #program: ScalarProgram
  readonly #dialect: Dialect
  readonly #columns: Columns
  readonly #ranges: readonly Range[]
  readonly #names: Names
  readonly #outputs: readonly Output[]
  readonly #uses = new Map<number, number>()
  readonly #codes = new Map<number, Code>()
  readonly #levels = new Map<number, number>()
  /** Level -> the columns of its query. */
  readonly #steps: { readonly name: string; readonly text: string }[][] = []

  constructor(program: ScalarProgram, dialect: Dialect, columns: Columns) {
    this.#ranges = rangesOf(program.nodes)
    this.#program = withoutIdleSelects(program, this.#ranges)
    this.#dialect = dialect
    this.#columns = columns
    this.#names = new Names([...columns.values()].flat().map((column) => column.slice(1, -1).toLowerCase()))
    this.#outputs = this.#namedOutputs()
    this.#countUses()
  }

  query(table: string): string[] {
    for (const id of [...this.#uses.keys()].sort((a, b) => a - b)) this.#define(id)
    const outputs = this.#outputs.map(({ name, node }) => `${this.#given(node)} AS ${name}`)
    const own = this.#steps.flatMap((step) => step.map(({ name }) => name))
    if (this.#dialect.steps === 'lateral') return this.#joined(table, outputs)
    const star = own.length === 0 ? '*' : `* ${this.#dialect.steps} (${own.join(', ')})`
    return [`SELECT ${star},`, ...listed(outputs, '  '), ...nested(this.#steps, table)]
  }

  /** The loss, and the gradient of each column. */
  #namedOutputs(): Output[] {
    const { values, gradients } = this.#program
    const numbered = (name: string, nodes: readonly number[]) => {
      return nodes.map((node, place) => ({ name: nodes.length === 1 ? name : `${name}_${place}`, node }))
    }
    const named = [
      ...numbered('loss', values),
      ...Object.entries(gradients).flatMap(([input, nodes]) => numbered(`gradient_${input}`, nodes)),
    ]
    return named.map(({ name, node }) => ({ name: this.#dialect.quote(this.#free(name), 'loss'), node }))
  }

  /** Two columns of one name cannot be told apart, in whatever case they are written. */
  #free(wanted: string): string {
    const key = wanted.toLowerCase()
    return `${wanted}${this.#names.take(key).slice(key.length)}`
  }

  #countUses() {
    const { nodes } = this.#program
    const visit = (id: number, times: number) => {
      const before = this.#uses.get(id)
      this.#uses.set(id, (before ?? 0) + times)
      if (before !== undefined) return
      for (const arg of nodes[id].args) visit(arg, this.#repeats(nodes[id]) ? 2 : 1)
    }
    for (const { node } of this.#outputs) visit(node, 1)
  }

  /** Whether the text of a node may contain an argument more than once. */
  #repeats({ op, args }: Node): boolean {
    if (op === 'max' && this.#dialect.choosesByCase) return true
    if (PLAIN.has(op)) return this.#dialect.raises.overflow && GUARDED.has(op)
    if (op === 'div') return this.#dialect.raises.overflow || contains(this.#ranges[args[1]], 0)
    if (op === 'log' || op === 'sqrt' || op === 'safe_sqrt') return this.#ranges[args[0]].low <= 0
    return true
  }

  // Expressions

  #define(id: number) {
    const node = this.#program.nodes[id]
    const code = this.#expression(node)
    const level = Math.max(0, ...node.args.map((arg) => this.#levels.get(arg)!))
    this.#levels.set(id, level)
    this.#codes.set(id, code)
    const isShort = node.op === 'constant' || (node.op === 'neg' && code.text.length < 30)
    const isOnce = this.#uses.get(id)! <= 1 && code.text.length <= MOST_TEXT
    if (!isShort && !isOnce && node.type !== 'bool') this.#name(id, code, level)
    if (node.type === 'bool' && !isOnce && this.#uses.get(id)! > 1 && code.text.length > 40)
      this.#name(id, code, level)
  }

  #name(id: number, code: Code, level: number) {
    // A name without quotes has no case.
    const name = this.#names.take(`${OWN}${shortened(this.#wordFor(id))}`.toLowerCase())
    this.#steps[level] = [...(this.#steps[level] ?? []), { name, text: code.text }]
    this.#codes.set(id, atom(name))
    this.#levels.set(id, level + 1)
  }

  #wordFor(id: number): string {
    const line = this.#program.names.get(id)
    if (line !== undefined) return line
    const { op, name } = this.#program.nodes[id]
    if (op === 'input') return name!.replace(/\[0\]$/, '').replace(/\[(\d+)\]$/, '_$1')
    return `t${++this.#count}`
  }

  #count = 0

  #expression({ op, args, value, type, name }: Node): Code {
    if (op === 'constant')
      return type === 'bool' ? atom(value === 0 ? 'FALSE' : 'TRUE') : this.#number(value!)
    if (op === 'input') return atom(this.#dialect.cast(this.#column(name!)))
    const rule = this.#dialect.ops[op as keyof SqlOps]
    if (rule === undefined) throw new CannotWrite(op, `${this.#dialect.name} has no such function`)
    const codes = args.map((arg) => this.#codes.get(arg)!)
    return rule(
      codes,
      args.map((arg) => this.#ranges[arg]),
      this.#dialect,
    )
  }

  #number(value: number): Code {
    const text = this.#dialect.double(value)
    return text.startsWith('-') ? { text, binds: SIGN } : atom(text)
  }

  #column(element: string): string {
    const [, input, place] = /^(.*)\[(\d+)\]$/.exec(element)!
    const column = this.#columns.get(input)![Number(place)]
    return this.#dialect.steps === 'lateral' ? `${OWN}0.${column}` : column
  }

  // NULL

  /** NULL where an input is NULL, also where a CASE or a GREATEST would have swallowed it. */
  #given(id: number): string {
    const { text } = this.#codes.get(id)!
    const strict = this.#strict[id]
    const open = this.#inputs().filter((element) => !strict.has(element))
    if (open.length === 0) return text
    const test = open.map((element) => `${this.#column(element)} IS NOT NULL`).join(' AND ')
    return `CASE WHEN ${test} THEN ${text} END`
  }

  #inputs(): string[] {
    return [...this.#columns].flatMap(([name, columns]) =>
      columns.map((_, place) => elementName(name, place)),
    )
  }

  /** Node -> the inputs whose NULL makes it NULL. */
  get #strict(): readonly ReadonlySet<string>[] {
    this.#strictFound ??= strictInputs(this.#program.nodes, this.#ranges, this.#dialect)
    return this.#strictFound
  }

  #strictFound: readonly ReadonlySet<string>[] | undefined

  // Queries

  /** PostgreSQL would put an inner query into the outer one, as often as it is used, but for its OFFSET. */
  #joined(table: string, outputs: readonly string[]): string[] {
    const joins = this.#steps.flatMap((step, level) => [
      'CROSS JOIN LATERAL (',
      '  SELECT',
      ...listed(
        step.map(({ name, text }) => `${text} AS ${name}`),
        '    ',
      ),
      `  OFFSET 0) AS ${OWN}${level + 1}`,
    ])
    return [`SELECT ${OWN}0.*,`, ...listed(outputs, '  '), `FROM ${table} AS ${OWN}0`, ...joins]
  }
}

/** Where a < b decides between their minimum and b, it is the minimum: so end the derivatives of losses that are clipped. */
function withoutIdleSelects(program: ScalarProgram, ranges: readonly Range[]): ScalarProgram {
  const kept: number[] = []
  const nodes = program.nodes.map((node, id) => {
    const own = { ...node, args: node.args.map((arg) => kept[arg]) }
    kept.push(isIdle(own, program.nodes, ranges) ? own.args[1] : id)
    return own
  })
  const moved = (refs: readonly number[]) => refs.map((ref) => kept[ref])
  return {
    nodes,
    values: moved(program.values),
    gradients: Object.fromEntries(
      Object.entries(program.gradients).map(([name, refs]) => [name, moved(refs)]),
    ),
    names: program.names,
  }
}

/** With NaN, the minimum would be NaN. */
function isIdle(
  { op, args: [test, yes, no] }: Node,
  nodes: readonly Node[],
  ranges: readonly Range[],
): boolean {
  if (op !== 'select' || nodes[test].op !== 'lt') return false
  const [a, b] = nodes[test].args
  const { op: extreme, args } = nodes[yes]
  const isOfBoth =
    args.length === 2 && args.includes(a) && args.includes(b) && !ranges[a].nan && !ranges[b].nan
  return isOfBoth && ((extreme === 'min' && no === b) || (extreme === 'max' && no === a))
}

/** Their text contains each argument once. */
const PLAIN: ReadonlySet<Op> = new Set([
  'neg',
  'abs',
  'add',
  'sub',
  'mul',
  'lt',
  'le',
  'eq',
  'and',
  'or',
  'not',
  'select',
  'exp',
  'tanh',
  'floor',
  'max',
  'stop_gradient',
  'atan',
] satisfies Op[])
const GUARDED: ReadonlySet<Op> = new Set(['add', 'sub', 'mul', 'exp', 'select'] satisfies Op[])

/** What is cut off where a name has no room: PostgreSQL would cut all names to 63 bytes, and two might be one. */
function shortened(word: string): string {
  const bytes = new TextEncoder().encode(word)
  return bytes.length <= MOST_WORD
    ? word
    : new TextDecoder().decode(bytes.subarray(0, MOST_WORD)).replace(/\ufffd+$/, '')
}

function listed(items: readonly string[], indent: string): string[] {
  return items.map((item, place) => `${indent}${item}${place < items.length - 1 ? ',' : ''}`)
}

/** The innermost query reads the table. */
function nested(
  steps: readonly (readonly { readonly name: string; readonly text: string }[])[],
  table: string,
): string[] {
  const step = steps.at(-1)
  if (step === undefined) return [`FROM ${table}`]
  const own = listed(
    step.map(({ name, text }) => `${text} AS ${name}`),
    '    ',
  )
  return [
    'FROM (',
    '  SELECT *,',
    ...own,
    ...nested(steps.slice(0, -1), table).map((line) => `  ${line}`),
    `) AS ${OWN}${steps.length}`,
  ]
}

/** CASE takes its last side where the condition is NULL; GREATEST and LEAST skip what is NULL. */
function strictInputs(
  nodes: readonly Node[],
  ranges: readonly Range[],
  dialect: Dialect,
): ReadonlySet<string>[] {
  const found: ReadonlySet<string>[] = []
  const united = (sets: readonly ReadonlySet<string>[]) => new Set(sets.flatMap((set) => [...set]))
  const common = (sets: readonly ReadonlySet<string>[]) =>
    new Set([...sets[0]].filter((name) => sets.every((set) => set.has(name))))
  for (const { op, args, name } of nodes) {
    const own = args.map((arg) => found[arg])
    if (op === 'input') found.push(new Set([name!]))
    else if (op === 'select') found.push(common(own.slice(1)))
    else if (op === 'max' || op === 'min') found.push(common(own))
    else if (STRICT.has(op) && !dialect.raises.overflow) found.push(united(own))
    else if (op === 'sign' && dialect.isSignStrict && !ranges[args[0]].nan) found.push(own[0])
    else if (op === 'div' && !contains(ranges[args[1]], 0) && !dialect.raises.overflow)
      found.push(united(own))
    else if (op === 'log' && ranges[args[0]].low > 0) found.push(united(own))
    else found.push(new Set())
  }
  return found
}

const STRICT: ReadonlySet<Op> = new Set([
  'neg',
  'abs',
  'add',
  'sub',
  'mul',
  'exp',
  'tanh',
  'floor',
  'stop_gradient',
  'atan',
] satisfies Op[])

// What dialects share

/** Of the operators. */
export const [EITHER, BOTH, NOT, ORDER, SUM, PRODUCT, SIGN] = [1, 2, 3, 4, 6, 7, 8] as const

const comparison =
  (operator: string): Rule =>
  ([a, b]) => ({
    text: `${within(a, SUM)} ${operator} ${within(b, SUM)}`,
    binds: ORDER,
  })

export const caseOf = (...branches: readonly string[]) => atom(`CASE ${branches.join(' ')} END`)

/** NaN stays what it is: for each argument that may be NaN, a branch before those that compare it. */
export const strange = (args: readonly Code[], ranges: readonly Range[], dialect: Dialect) =>
  args.flatMap((arg, place) => (ranges[place].nan ? [`WHEN ${dialect.isNaN(arg)} THEN ${arg.text}`] : []))

const text = (code: Code, binds = ATOM) => within(code, binds)

/** Comparisons as in IEEE 754, where nothing is less than NaN: databases sort it last. */
const ordered =
  (operator: string): SqlRule =>
  (args, ranges, dialect) => {
    const plain = comparison(operator)(args)
    const tests = args.flatMap((arg, place) => (ranges[place].nan ? [`NOT ${dialect.isNaN(arg)}`] : []))
    return tests.length === 0
      ? plain
      : { text: [`${text(plain, BOTH)}`, ...tests].join(' AND '), binds: BOTH }
  }

/** Ops that all dialects say alike. */
export const COMMON = {
  neg: (args) => prefix('-', SIGN)(args),
  abs: ([x]) => atom(`abs(${x.text})`),
  floor: ([x]) => atom(`floor(${x.text})`),
  stop_gradient: ([x]) => x,
  add: (args) => infix('+', SUM)(args),
  sub: (args) => infix('-', SUM)(args),
  mul: (args) => infix('*', PRODUCT)(args),
  lt: ordered('<'),
  le: ordered('<='),
  eq: ordered('='),
  and: (args) => infix('AND', BOTH)(args),
  or: (args) => infix('OR', EITHER)(args),
  not: ([x]) => ({ text: `NOT ${text(x, ORDER)}`, binds: NOT }),
  select: ([test, yes, no]) => caseOf(`WHEN ${test.text} THEN ${yes.text} ELSE ${no.text}`),
  sin: bounded('sin', '<', Infinity),
  cos: bounded('cos', '<', Infinity),
  asin: bounded('asin', '<=', 1),
  acos: bounded('acos', '<=', 1),
  atan: ([x]) => atom(`atan(${x.text})`),
  exp: ([x]) => atom(`exp(${x.text})`),
  tanh: ([x]) => atom(`tanh(${x.text})`),
  max: ([a, b]) => atom(`greatest(${a.text}, ${b.text})`),
  /** NaN is the greatest, so that only the least needs to look for it. */
  min: ([a, b], ranges, dialect) => {
    const least = `least(${a.text}, ${b.text})`
    const branches = strange([a, b], ranges, dialect)
    return branches.length === 0 ? atom(least) : caseOf(...branches, `ELSE ${least}`)
  },
  /** Databases sort NaN last, so it would be positive. */
  sign: ([x], [range], dialect) => {
    const one = dialect.double(1)
    return caseOf(
      ...strange([x], [range], dialect),
      `WHEN ${text(x, SUM)} > 0 THEN ${one} WHEN ${text(x, SUM)} < 0 THEN ${dialect.double(-1)} ELSE ${dialect.double(0)}`,
    )
  },
  mul_no_nan: ([g, d], ranges, dialect) => {
    const range = ranges[1]
    const times = dialect.ops.mul!([g, d], ranges, dialect)
    const isPlain = !range.nan && Number.isFinite(range.low) && Number.isFinite(range.high)
    return isPlain && !dialect.raises.overflow
      ? times
      : caseOf(`WHEN ${text(g, SUM)} = 0 THEN ${dialect.double(0)} ELSE ${times.text}`)
  },
  div: ([a, b], [numerator, range], dialect) => {
    const quotient = infix('/', PRODUCT)([a, b])
    if (!contains(range, 0)) return quotient
    return caseOf(
      `WHEN ${text(b, SUM)} <> 0 THEN ${quotient.text}`,
      ...strange([a], [numerator], dialect),
      byZero(a, b, dialect),
    )
  },
  log: (args, ranges, dialect) => logarithm('ln')(args, ranges, dialect),
  sqrt: (args, ranges, dialect) => root(args, ranges, dialect),
  safe_sqrt: (args, ranges, dialect) => root(args, ranges, dialect),
} satisfies Partial<SqlOps>

/** What a number, which is not NaN, is divided by a zero: branches of a CASE. */
export function byZero(a: Code, zero: Code, dialect: Dialect): string {
  const own = text(a, SUM)
  const [plus, minus, nan] = [Infinity, -Infinity, Number.NaN].map((value) => dialect.double(value))
  return dialect.hasMinus === undefined
    ? `WHEN ${own} > 0 THEN ${plus} WHEN ${own} < 0 THEN ${minus} ELSE ${nan}`
    : `WHEN ${own} = 0 THEN ${nan} WHEN (${own} > 0) = ${dialect.hasMinus(zero)} THEN ${minus} ELSE ${plus}`
}

/** A logarithm that is -Infinity at 0 and NaN below. */
export const logarithm =
  (name: string): SqlRule =>
  ([x], [range], dialect) => {
    const log = `${name}(${x.text})`
    if (range.low > 0) return atom(log)
    const [minus, nan] = [-Infinity, Number.NaN].map((value) => dialect.double(value))
    const below =
      range.low < 0 || range.nan ? [`WHEN ${text(x, SUM)} = 0 THEN ${minus} ELSE ${nan}`] : [`ELSE ${minus}`]
    return caseOf(`WHEN ${text(x, SUM)} > 0 THEN ${log}`, ...below)
  }

/** A function that databases refuse numbers beyond a bound. Infinity is refused also where a column of the table is infinite. */
function bounded(name: string, operator: '<' | '<=', bound: number): SqlRule {
  const isWithin = (range: Range) =>
    operator === '<' ? range.bounded : -range.low <= bound && range.high <= bound
  return ([x], [range], dialect) => {
    const plain = `${name}(${x.text})`
    if (!range.nan && isWithin(range)) return atom(plain)
    return caseOf(
      `WHEN abs(${x.text}) ${operator} ${dialect.double(bound)} THEN ${plain} ELSE ${dialect.double(Number.NaN)}`,
    )
  }
}

/** A logarithm to another base than e, where a dialect has none. */
export const logarithmTo =
  (base: number): SqlRule =>
  (args, ranges, dialect) => ({
    text: `${logarithm('ln')(args, ranges, dialect).text} / ${dialect.double(Math.log(base))}`,
    binds: PRODUCT,
  })

const root: SqlRule = ([x], [range], dialect) => {
  const own = `sqrt(${x.text})`
  return range.low >= 0
    ? atom(own)
    : caseOf(`WHEN ${text(x, SUM)} >= 0 THEN ${own} ELSE ${dialect.double(Number.NaN)}`)
}

/** What a dialect has no function for, said with exp and ln. */
export const EMULATED = {
  /** ln(1 + x) with what rounding 1 + x takes from x (Goldberg 1991, theorem 4). */
  log1p: ([x], [range], dialect) => {
    const [a, one, minus, nan] = [
      text(x, SUM),
      ...[1, -Infinity, Number.NaN].map((value) => dialect.double(value)),
    ]
    const u = `(${one} + ${a})`
    const exact = `ln${u} * (${a} / (${u} - ${one}))`
    const infinite = range.high === Infinity ? [`WHEN ${a} = ${dialect.double(Infinity)} THEN ${a}`] : []
    const beyond =
      range.low > -1
        ? []
        : [`WHEN ${a} = ${dialect.double(-1)} THEN ${minus}`, `WHEN ${a} < ${dialect.double(-1)} THEN ${nan}`]
    return caseOf(`WHEN ${u} = ${one} THEN ${a}`, ...infinite, ...beyond, `ELSE ${exact}`)
  },
  /** e^x - 1 with what rounding takes from it near 0 (Kahan). */
  expm1: ([x], [{ nan }], dialect) => {
    const [a, one] = [text(x, SUM), dialect.double(1)]
    const e = dialect.ops.exp!([x], [{ low: -1, high: 1, nan: false }], dialect).text
    const far = dialect.ops.exp!([x], [{ low: -Infinity, high: Infinity, nan }], dialect).text
    return caseOf(
      `WHEN abs(${x.text}) >= ${one} THEN ${far} - ${one}`,
      `WHEN ${e} = ${one} THEN ${a} ELSE (${e} - ${one}) * (${a} / ln(${e}))`,
    )
  },
} satisfies Partial<SqlOps>
