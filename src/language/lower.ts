/**
 * Lowering: formula -> program, for one request structure (which inputs there are, with which axes, and the
 * parameters that determine the computation). Conditions on these are resolved here (constant specialization), so
 * that only the branch that is taken is compiled.
 */
import { nearest, suggesting } from '../nearest.ts'
import { formatSignature, type Parameter, type Role, rolesOf } from './arguments.ts'
import { type Expression, type Formula, FormulaError, type Position, type Statement } from './ast.ts'
import { Builder, type Ref } from './builder.ts'
import { type Decomposed, decomposed, type Roots } from './decompose.ts'
import { callHint, foreignNameHint, writeHint } from './foreign-notation.ts'
import { AXIS_OVERLOADS, FUNCTIONS, type LanguageFunction } from './functions.ts'
import { differentiate } from './gradient.ts'
import { diagonalHessian, NoHessian } from './hessian.ts'
import { isFunction } from './inline-functions.ts'
import { type FormulaOp, hessianKey, type InputLayout, type Node, type Program } from './ir.ts'
import { simplify, simplifyStably } from './simplify.ts'
import { locationOf } from './source-locations.ts'
import { isWhole } from './whole.ts'
import { MAX_WINDOW } from './windows.ts'

/** A parameter in a formula: a number passed at run time, or a value that is known now. */
export type ParamBinding =
  | { readonly kind: 'scalar' }
  | { readonly kind: 'fixed'; readonly value: number | boolean | null }
  /** It determines the formula, but does not occur in it. */
  | { readonly kind: 'list'; readonly value: readonly number[] }
  | { readonly kind: 'word'; readonly value: string; readonly words: readonly string[] }

/** Everything that a formula may refer to. */
export interface Scope {
  /** The inputs in the request. */
  readonly inputs: Readonly<Record<string, InputLayout>>
  /** Optional inputs that are not in the request. */
  readonly absent: readonly string[]
  readonly params: Readonly<Record<string, ParamBinding>>
  /** All axes, in the order that the nodes follow. */
  readonly axes: readonly string[]
  /** Axes with a declared size -> that size: another axis, or a number. */
  readonly renamed?: Readonly<Record<string, string>>
  /**
   * Inputs whose gradients may be requested: they share ties, whichever of them are requested. Default: those that
   * are requested.
   */
  readonly differentiable?: readonly string[]
}

/** Of a derivative that a formula asks for by number. */
const MAX_ORDER = 6

/** Functions of the structure, not of numbers; their argument is a name. */
const QUESTIONS = ['given', 'is_index'] as const

/**
 * Lowers a formula and differentiates it.
 *
 * @param wants inputs whose gradients the program computes
 * @param denominator what each value adds to the denominator of the mean; it is computed together with the value
 * and shares most of it
 * @param hessians those inputs whose diagonal of the second derivative is computed, too
 * @throws FormulaError for unknown names, wrong types, axes that do not exist; NoHessian
 * @example
 * const scope = { inputs: { x: { type: 'real', axes: ['...'] } }, absent: [], params: {}, axes: ['...'] } as const
 * lower(parse('x * x'), scope, ['x']).nodes.length // 6
 */
export function lower(
  formula: Formula,
  scope: Scope,
  wants: readonly string[],
  denominator?: Formula,
  hessians: readonly string[] = [],
): Program {
  return lowerTraced(formula, scope, wants, denominator, hessians).program
}

/** A program, and where its nodes stand in the formula. */
export interface TracedProgram {
  readonly program: Program
  /** Node -> the name that the formula assigns to it. */
  readonly names: ReadonlyMap<number, string>
  /** Node -> the expression that it was lowered from; nodes of a gradient have none. */
  readonly places: ReadonlyMap<number, Position>
}

/** The same with names and places, for what people read: sources and messages. */
export function lowerTraced(
  formula: Formula,
  scope: Scope,
  wants: readonly string[],
  denominator?: Formula,
  hessians: readonly string[] = [],
): TracedProgram {
  const build = new Builder(scope.axes, simplifyStably, scope.renamed)
  const lowering = new Lowering(build, formula, scope)
  const value = lowering.value()
  const axes = build.axesOf(value)
  const share =
    denominator === undefined ? build.constant(1) : new Lowering(build, denominator, scope).value()
  const inputs = wants.map((name) => build.input(name, 'real', scope.inputs[name].axes))
  // A row of weight 0 is cut out of the gradients that have rows; in one that all rows share it would still be summed.
  const mayRest = wants.some((name) => !scope.inputs[name].axes.includes(scope.axes[0]))
  const contenders = (scope.differentiable ?? wants).filter((name) => scope.inputs[name]?.type === 'real')
  const gradients =
    wants.length === 0
      ? []
      : differentiate(build, value, build.cotangent(axes), inputs, {
          mayRest,
          contenders: contenders.map((name) => build.input(name, 'real', scope.inputs[name].axes)),
        })
  const results = new Map(wants.map((name, place) => [name, gradients[place]]))
  for (const name of hessians) {
    const place = wants.indexOf(name)
    results.set(hessianKey(name), hessianOf(build, gradients[place], inputs[place], lowering.places))
  }
  const denominators = build.is(share, 1) ? undefined : build.expand(share, axes)
  const primitive = decomposed(build, { value, denominators, gradients: results })
  const { program, placed } = extract(primitive.build, scope, primitive.roots)
  const square = build.square.length === 0 ? {} : { square: [...build.square] }
  return { program: { ...program, ...square }, ...traced(lowering, primitive, placed) }
}

/** @throws NoHessian, which says where the formula has what has none */
function hessianOf(build: Builder, gradient: Ref, input: Ref, places: ReadonlyMap<Ref, Position>): Ref {
  try {
    return diagonalHessian(build, gradient, input)
  } catch (error) {
    if (error instanceof NoHessian) error.at = locationOf(build.nodes, places, error.ref)
    throw error
  }
}

function traced(
  { names, places }: Pick<Lowering, 'names' | 'places'>,
  { sources }: Pick<Decomposed, 'sources'>,
  placed: ReadonlyMap<Ref, number>,
): Omit<TracedProgram, 'program'> {
  const found: Omit<TracedProgram, 'program'> & {
    names: Map<number, string>
    places: Map<number, Position>
  } = { names: new Map(), places: new Map() }
  for (const [made, { from, isResult }] of sources) {
    const [id, name, at] = [placed.get(made), names.get(from), places.get(from)]
    if (id !== undefined && name !== undefined && isResult) found.names.set(id, name)
    if (id !== undefined && at !== undefined) found.places.set(id, at)
  }
  return found
}

/** A formula as it is before differentiation: softmax and its kin are still one op each. */
export interface LoweredValue {
  readonly build: Builder
  readonly value: Ref
}

/**
 * Lowers a formula to its value alone, for those who reason about it instead of running it.
 *
 * @throws FormulaError
 * @example
 * lowerValue(parse('logsumexp(x, rows)'), scope).build.nodes.map(({ op }) => op) // ['input', 'logsumexp']
 */
export function lowerValue(formula: Formula, scope: Scope): LoweredValue {
  const build = new Builder(scope.axes, simplifyStably, scope.renamed)
  return { build, value: new Lowering(build, formula, scope).value() }
}

/** Called with each expression and the node that it is lowered to. */
export type OnLowered = (expression: Expression, ref: Ref) => void

/**
 * The nodes of a formula as it was written, without stable forms and derivatives: for analyses.
 *
 * @throws FormulaError
 */
export function lowerAsWritten(formula: Formula, scope: Scope, observe: OnLowered): Builder {
  const build = new Builder(scope.axes, simplify, scope.renamed)
  new Lowering(build, formula, scope, observe).value()
  return build
}

/**
 * The inputs that a formula depends on smoothly: those whose derivative is not 0 by construction.
 *
 * @param inputs the inputs to consider
 * @throws FormulaError
 * @example
 * variesWith(parse('x > 0 ? y : stop_gradient(x)'), scope, ['x', 'y']) // ['y']
 */
export function variesWith(formula: Formula, scope: Scope, inputs: readonly string[]): string[] {
  const build = new Builder(scope.axes, simplifyStably, scope.renamed)
  const value = new Lowering(build, formula, scope).value()
  const refs = inputs.map((name) => build.input(name, 'real', scope.inputs[name].axes))
  const slopes = differentiate(build, value, build.cotangent(build.axesOf(value)), refs)
  return inputs.filter((_, place) => !isZero(build, slopes[place]))
}

/** Whether a derivative is 0 for all finite numbers. */
function isZero(build: Builder, ref: Ref): boolean {
  const { op, args } = build.nodes[ref]
  if (op === 'constant') return build.is(ref, 0)
  if (op === 'mul' || op === 'mul_no_nan') return args.some((arg) => isZero(build, arg))
  if (op === 'select') return args.slice(1).every((arg) => isZero(build, arg))
  return ZERO_OF_ZEROS.has(op) && args.every((arg) => isZero(build, arg))
}

const ZERO_OF_ZEROS: ReadonlySet<FormulaOp> = new Set([
  'neg',
  'add',
  'sub',
  'expand',
  'rename',
  'reduce_sum',
] satisfies FormulaOp[])

class Lowering {
  readonly #build: Builder
  readonly #formula: Formula
  readonly #scope: Scope
  readonly #lines = new Map<string, Statement>()
  readonly #done = new Map<string, Ref>()
  /** Node -> the expression that created it. */
  readonly places = new Map<Ref, Position>()
  /** The statement that is being lowered. It can only refer to earlier ones. */
  #place: number

  readonly #observe: OnLowered | undefined

  constructor(build: Builder, formula: Formula, scope: Scope, observe?: OnLowered) {
    this.#build = build
    this.#observe = observe
    this.#formula = formula
    this.#scope = scope
    this.#place = formula.statements.length - 1
    for (const statement of formula.statements) {
      if (statement.name === undefined) continue
      if (this.#isDeclared(statement.name)) {
        throw new FormulaError(
          `"${statement.name}" is already the name of an input or a parameter`,
          statement.at,
        )
      }
      this.#lines.set(statement.name, statement)
    }
  }

  value(): Ref {
    const last = this.#formula.statements.at(-1)!
    return this.#build.real(this.#number(last.value))
  }

  /** Node -> the name of the line that computes it; the first of several. */
  get names(): ReadonlyMap<Ref, string> {
    const assigned = [...this.#done].filter(([name]) => this.#lines.has(name))
    return new Map(assigned.reverse().map(([name, ref]) => [ref, name]))
  }

  #lower(expression: Expression): Ref {
    const before = this.#build.nodes.length
    const ref = this.#lowerKind(expression)
    for (let made = before; made < this.#build.nodes.length; made++) {
      if (!this.places.has(made)) this.places.set(made, expression.at)
    }
    this.#observe?.(expression, ref)
    return ref
  }

  #lowerKind(expression: Expression): Ref {
    switch (expression.kind) {
      case 'number':
        return this.#build.constant(expression.value)
      case 'boolean':
        return this.#build.truth(expression.value)
      case 'name':
        return this.#name(expression.name, expression.at)
      case 'unary':
        return expression.operator === '-'
          ? this.#build.neg(this.#number(expression.argument))
          : this.#build.make('not', [this.#truth(expression.argument)])
      case 'binary':
        return this.#binary(expression)
      case 'choice':
        return this.#choice(expression)
      case 'list':
        throw new FormulaError(ABOUT_LISTS, expression.at)
      case 'call':
        return this.#call(expression)
      case 'rename':
        return this.#rename(expression)
    }
  }

  #name(name: string, at: Position): Ref {
    const done = this.#done.get(name)
    if (done !== undefined) return done
    const ref = this.#resolve(name, at)
    this.#done.set(name, ref)
    return ref
  }

  /** Lines are lowered lazily: a line that only an untaken branch needs may refer to something that does not exist. */
  #resolve(name: string, at: Position): Ref {
    const line = this.#lines.get(name)
    if (line !== undefined) return this.#line(line, at, (value) => this.#lower(value))
    const input = own(this.#scope.inputs, name)
    if (input !== undefined) return this.#build.input(name, input.type, input.axes)
    const param = own(this.#scope.params, name)
    if (param !== undefined) return this.#param(name, param, at)
    if (this.#scope.absent.includes(name)) {
      throw new FormulaError(`"${name}" is not in this request; test that with given(${name})`, at)
    }
    throw this.#unknown(name, at)
  }

  #unknown(name: string, at: Position): FormulaError {
    const hint = this.#ownFunctions().includes(name)
      ? `; it is a function${writeHint(`${name}(...)`)}`
      : this.#build.axes.includes(name)
        ? axisHint(name)
        : foreignNameHint(name)
    const problem = `"${name}" is not known here`
    return hint === undefined
      ? withNearest(problem, name, this.#names(), at)
      : new FormulaError(`${problem}${hint}`, at)
  }

  #line<T>(line: Statement, at: Position, lower: (value: Expression) => T): T {
    const place = this.#formula.statements.indexOf(line)
    if (place >= this.#place) throw new FormulaError(`"${line.name}" is used before its line`, at)
    const before = this.#place
    this.#place = place
    const result = lower(line.value)
    this.#place = before
    return result
  }

  #param(name: string, param: ParamBinding, at: Position): Ref {
    if (param.kind === 'scalar') return this.#build.scalar(name)
    if (param.kind === 'fixed' && typeof param.value === 'number') return this.#build.constant(param.value)
    if (param.kind === 'fixed' && typeof param.value === 'boolean') return this.#build.truth(param.value)
    const how = param.kind === 'word' ? `compare it: ${name} == ${param.words[0]}` : `ask with given(${name})`
    throw new FormulaError(`"${name}" is not a number here; ${how}`, at)
  }

  #binary(expression: Expression & { kind: 'binary' }): Ref {
    const { operator, left, right } = expression
    const build = this.#build
    const numbers = () => [this.#number(left), this.#number(right)] as const
    switch (operator) {
      case 'and':
      case 'or':
        return build.make(operator, [this.#truth(left), this.#truth(right)])
      case '==':
        return this.#word(left, right) ?? build.eq(...numbers())
      case '!=':
        return build.make('not', [this.#word(left, right) ?? build.eq(...numbers())])
      case '<':
        return build.lt(...numbers())
      case '>':
        return build.make('lt', [...numbers()].reverse())
      case '<=':
        return build.make('le', [...numbers()])
      case '>=':
        return build.make('le', [...numbers()].reverse())
      default:
        return build.make(ARITHMETIC[operator], [...numbers()])
    }
  }

  /** `form == distance`: a string parameter, compared with one of its words. */
  #word(left: Expression, right: Expression): Ref | undefined {
    const param = left.kind === 'name' ? own(this.#scope.params, left.name) : undefined
    if (param?.kind !== 'word') return undefined
    if (right.kind !== 'name' || !param.words.includes(right.name)) {
      const found = right.kind === 'name' ? `"${right.name}"` : 'a value'
      throw new FormulaError(`expected one of ${param.words.join(', ')}, found ${found}`, right.at)
    }
    return this.#build.truth(param.value === right.name)
  }

  #choice({ test, yes, no }: Expression & { kind: 'choice' }): Ref {
    const condition = this.#truth(test)
    const known = this.#build.truthOf(condition)
    if (known !== undefined) return this.#lower(known ? yes : no)
    const [a, b] = [this.#lower(yes), this.#lower(no)]
    const isTruth = (ref: Ref) => this.#build.typeOf(ref) === 'bool'
    if (isTruth(a) !== isTruth(b))
      throw new FormulaError('both sides of ":" must be numbers, or both conditions', yes.at)
    return this.#build.select(condition, a, b)
  }

  #call(expression: Expression & { kind: 'call' }): Ref {
    const { name, at } = expression
    if (name === 'given' || name === 'is_index') return this.#question(expression)
    const first = this.#first(expression)
    const found = this.#function(expression)
    if (found === undefined) throw this.#noFunction(name, at)
    const args = expression.arguments
    const roles = rolesOf(found.parameters, args.length, (place) => this.#isAxis(args[place]))
    if (roles === undefined) throw this.#wrongCount(found, expression)
    const values = args.flatMap((arg, place) => {
      if (roles[place] === 'axis') return []
      if (roles[place] === 'weights') return this.#weights(arg)
      return [place === 0 && first !== undefined ? first : this.#argument(arg, roles[place])]
    })
    const axes = this.#axes(args.filter((_, place) => roles[place] === 'axis'))
    const problem = found.problem?.(this.#build, values, axes)
    if (problem !== undefined) throw new FormulaError(problem, at)
    return found.lower(this.#build, values, axes)
  }

  /** A list, or the name of a line that is a list. */
  #weights(argument: Expression): Ref[] {
    const line = argument.kind === 'name' ? this.#lines.get(argument.name) : undefined
    const listed = (list: Expression) => this.#listed(list, argument.at)
    return line === undefined ? listed(argument) : this.#line(line, argument.at, listed)
  }

  /** Lowered before the other arguments: max(v[rows -> others], others) itself introduces the axis that it names. */
  #first({ name, arguments: args }: Expression & { kind: 'call' }): Ref | undefined {
    const parameters: readonly Parameter[] = FUNCTIONS.get(name)?.parameters ?? []
    const mayName = parameters.includes('axes') || (AXIS_OVERLOADS.has(name) && args.length === 2)
    return mayName && args.length > 0 ? this.#argument(args[0], parameters[0] as Role) : undefined
  }

  #noFunction(name: string, at: Position): FormulaError {
    const problem = `there is no function "${name}"`
    const hint = this.#isKnown(name) ? writeHint(`${name} * (...)`) : callHint(name)
    return hint === ''
      ? withNearest(problem, name, [...this.#ownFunctions(), ...functionNames()], at)
      : new FormulaError(`${problem}${hint}`, at)
  }

  /** The functions that the formula defines. */
  #ownFunctions(): string[] {
    return (this.#formula.written ?? []).filter(isFunction).map(({ name }) => name)
  }

  #wrongCount(found: LanguageFunction, { name, arguments: args, at }: Expression & { kind: 'call' }) {
    const { parameters } = found
    const isOverAxes = parameters.includes('axis') || parameters.includes('axes')
    const axes = isOverAxes && args.length < parameters.length ? this.#ofAxes() : ''
    return new FormulaError(`${name} takes ${formatSignature(parameters)}, found ${args.length}${axes}`, at)
  }

  #function({ name, arguments: args }: Expression & { kind: 'call' }): LanguageFunction | undefined {
    const isOverAxis = args[1]?.kind === 'name' && this.#isAxis(args[1])
    return (isOverAxis ? AXIS_OVERLOADS.get(name) : undefined) ?? FUNCTIONS.get(name)
  }

  /** Whether an argument can only be the name of an axis. */
  #isAxis(argument: Expression): boolean {
    const name = axisName(argument)
    return name !== undefined && this.#build.axes.includes(name) && !this.#isKnown(name)
  }

  #argument(argument: Expression, role: Role): Ref {
    if (role === 'truth') return this.#truth(argument)
    const ref = this.#number(argument)
    if (role === 'order') this.#checkWhole(ref, 0, MAX_ORDER, argument.at)
    if (role === 'length') this.#checkWhole(ref, 1, MAX_WINDOW, argument.at)
    if (role === 'place' && !isWhole(this.#build, ref)) {
      const found = this.#build.opOf(ref) === 'scalar' ? ABOUT_SCALAR : 'a real number'
      throw new FormulaError(
        `expected an index (class labels, index(axis), or whole numbers computed from these), found ${found}`,
        argument.at,
      )
    }
    return ref
  }

  #listed(list: Expression, at: Position): Ref[] {
    if (list.kind !== 'list') throw new FormulaError(`expected ${ABOUT_WEIGHTS}`, at)
    if (list.items.length > MAX_WINDOW) throw new FormulaError(`expected at most ${MAX_WINDOW} weights`, at)
    return list.items.map((item) => this.#number(item))
  }

  #checkWhole(ref: Ref, least: number, most: number, at: Position) {
    const value = this.#build.constantOf(ref)
    if (Number.isInteger(value) && value! >= least && value! <= most) return
    throw new FormulaError(`expected a constant whole number from ${least} to ${most}`, at)
  }

  /**
   * given(x): whether an optional input or parameter is present. is_index(x): whether an input contains class
   * indices.
   */
  #question({ name, arguments: args, at }: Expression & { kind: 'call' }): Ref {
    const subject = args[0]
    if (args.length !== 1 || subject?.kind !== 'name') {
      throw new FormulaError(`${name} takes the name of one input or parameter`, at)
    }
    const input = own(this.#scope.inputs, subject.name)
    if (name === 'is_index') return this.#build.truth(input?.type === 'index')
    const param = own(this.#scope.params, subject.name)
    if (input === undefined && param === undefined && !this.#scope.absent.includes(subject.name))
      throw this.#unknown(subject.name, subject.at)
    const isNull = param?.kind === 'fixed' && param.value === null
    return this.#build.truth(input !== undefined || (param !== undefined && !isNull))
  }

  #rename({ argument, from, to, at }: Expression & { kind: 'rename' }): Ref {
    const ref = this.#lower(argument)
    if (!this.#build.axes.includes(from)) throw this.#noSuchAxis(from, at)
    if (this.#build.axesOf(ref).includes(to))
      throw new FormulaError(`the value already has an axis "${to}"`, at)
    if (to in Object.prototype) throw new FormulaError(`"${to}" cannot be the name of an axis`, at)
    const source = this.#build.renamed[from] ?? from
    if (this.#build.axes.includes(to) && this.#build.renamed[to] !== source && to !== source) {
      throw new FormulaError(`"${to}" is the name of another axis; choose a different name for "${from}"`, at)
    }
    return this.#build.rename(ref, from, to)
  }

  /** An axis of fixed size is named by its size: `pick(box, 0, 4)`. */
  #axis(expression: Expression): string {
    const name = axisName(expression)
    if (name === undefined)
      throw new FormulaError(`expected the name of an axis${this.#ofAxes()}`, expression.at)
    if (!this.#build.axes.includes(name)) throw this.#noSuchAxis(name, expression.at)
    return name
  }

  #axes(expressions: readonly Expression[]): string[] {
    const names = expressions.map((expression) => this.#axis(expression))
    const again = names.findIndex((name, place) => names.indexOf(name) < place)
    if (again < 0) return names
    throw new FormulaError(`the axis "${names[again]}" is named twice`, expressions[again].at)
  }

  #noSuchAxis(name: string, at: Position): FormulaError {
    return withNearest(`there is no axis "${name}"${this.#ofAxes()}`, name, this.#build.axes, at)
  }

  #ofAxes(): string {
    const { axes } = this.#build
    return axes.length === 1 && axes[0] === '...' ? UNNAMED : ` (axes: ${axes.join(', ')})`
  }

  #number(expression: Expression): Ref {
    const ref = this.#lower(expression)
    if (this.#build.typeOf(ref) !== 'bool') return ref
    throw new FormulaError('expected a number, found a condition; write "c ? 1 : 0"', expression.at)
  }

  #truth(expression: Expression): Ref {
    const ref = this.#lower(expression)
    if (this.#build.typeOf(ref) === 'bool') return ref
    const way = expression.kind === 'name' ? writeHint(`${expression.name} == 1`) : ''
    throw new FormulaError(`expected a condition, such as x > 0, found a number${way}`, expression.at)
  }

  #isDeclared(name: string): boolean {
    const { inputs, params, absent } = this.#scope
    return Object.hasOwn(inputs, name) || Object.hasOwn(params, name) || absent.includes(name)
  }

  #isKnown(name: string): boolean {
    return this.#lines.has(name) || this.#isDeclared(name)
  }

  #names(): string[] {
    const { inputs, params, absent } = this.#scope
    return [...this.#lines.keys(), ...Object.keys(inputs), ...Object.keys(params), ...absent]
  }
}

const ARITHMETIC = { '+': 'add', '-': 'sub', '*': 'mul', '/': 'div', '^': 'pow' } as const

/** Every name that can be called. */
export function functionNames(): string[] {
  return [...FUNCTIONS.keys(), ...QUESTIONS, 'where']
}

const ABOUT_WEIGHTS = 'a list of weights, such as [0.25, 0.5, 0.25]'
const ABOUT_LISTS = 'there are no lists, except for the weights of conv(x, [0.25, 0.5, 0.25], axis)'

/** A parameter that is given at run time, where the program itself depends on it. */
const ABOUT_SCALAR = 'a parameter that may be any number; declare it with "type": "integer"'

/** Three dots between brackets would look like something left out. */
const UNNAMED = '; the axes have no names here: "..." stands for all of them'

const axisHint = (name: string) => `; it is an axis${writeHint(`size(${name})`, `index(${name})`)}`

/** The problem with a name, with a suggestion of what was probably meant. */
function withNearest(problem: string, name: string, candidates: Iterable<string>, at: Position) {
  const guess = nearest(name, candidates)
  return guess === undefined
    ? new FormulaError(problem, at)
    : new FormulaError(`${problem}${suggesting(guess)}`, at, guess)
}

function axisName(expression: Expression): string | undefined {
  if (expression.kind === 'number') return String(expression.value)
  return expression.kind === 'name' ? expression.name : undefined
}

/** Own properties only: inherited properties of objects from outside do not count. */
function own<T>(record: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(record, name) ? record[name] : undefined
}

/** Dead code elimination: keeps only the nodes that the value and the gradients need, renumbered. */
function extract(
  build: Builder,
  scope: Scope,
  roots: Roots,
): { readonly program: Program; readonly placed: ReadonlyMap<Ref, number> } {
  const all = build.primitives()
  const nodes: Node[] = []
  const placed = new Map<Ref, number>()
  const place = (ref: Ref): number => {
    const known = placed.get(ref)
    if (known !== undefined) return known
    const args = all[ref].args.map(place)
    const id = nodes.push({ ...all[ref], args }) - 1
    placed.set(ref, id)
    return id
  }
  const results = {
    value: place(roots.value),
    ...(roots.denominators === undefined ? {} : { denominators: place(roots.denominators) }),
    gradients: Object.fromEntries([...roots.gradients].map(([name, ref]) => [name, place(ref)])),
  }
  const names = (op: Node['op']) => nodes.filter((node) => node.op === op).map((node) => node.name!)
  const inputs = Object.fromEntries(names('input').map((name) => [name, scope.inputs[name]]))
  const axes = build.axes.filter((axis) =>
    nodes.some((node) => node.axes.includes(axis) || node.axis === axis),
  )
  const renamed = { ...build.renamed }
  return { program: { ...results, nodes, axes, renamed, inputs, scalars: names('scalar') }, placed }
}
