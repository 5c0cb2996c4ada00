/**
 * Code generation: nodes -> WGSL expressions, with loop-invariant code motion and common subexpression elimination:
 * each line is emitted only once, in the outermost open loop in which all of its coordinates are known.
 */
import type { BinaryOp, LogicOp, Node, Op, UnaryOp } from '../../language/ir.ts'
import type { LegalizedProgram } from '../compiled/legalize.ts'
import { isScalar } from '../compiled/loop-plan.ts'
import type { BufferDeclaration } from './kernel-schedule.ts'
import { literal } from './literal.ts'
import type { UniformLayout } from './uniform-layout.ts'

/** Axis -> the name of its coordinate. */
export type Coordinates = Readonly<Record<string, string>>

/** One loop level. */
interface Level {
  readonly lines: string[]
  readonly known: Map<string, string>
}

type Text = string

/** Ops on reals. legalize.ts expresses sigmoid and softplus by other ops. */
type RealOp =
  | Exclude<UnaryOp, 'sigmoid' | 'softplus' | 'stop_gradient'>
  | Exclude<BinaryOp, 'polygamma'>
  | Extract<LogicOp, 'is_finite'>

/** Op -> a function of math.ts, or the text between or before its operands. */
const REALS: Readonly<Record<RealOp, string | ((a: Text, b: Text) => Text)>> = {
  neg: (x) => `-(${x})`,
  abs: (x) => `abs(${x})`,
  floor: (x) => `floor(${x})`,
  round: (x) => `round(${x})`,
  add: (a, b) => `${a} + ${b}`,
  sub: (a, b) => `${a} - ${b}`,
  mul: (a, b) => `${a} * ${b}`,
  exp: 'exp1',
  expm1: 'expm1',
  log: 'log1',
  log1p: 'log1p',
  log2: 'log2_1',
  log10: 'log10_1',
  sqrt: 'root',
  safe_sqrt: 'root',
  tanh: 'tanh1',
  sign: 'sign1',
  sin: 'sin1',
  cos: 'cos1',
  atan: 'atan1',
  asin: 'asin1',
  acos: 'acos1',
  erf: 'erf1',
  lgamma: 'lgamma1',
  digamma: 'digamma1',
  pow: 'pow2',
  max: 'max2',
  min: 'min2',
  mul_no_nan: 'mul_no_nan',
  div: 'quotient',
  is_finite: 'is_finite',
}

function isOnReals(op: Op): op is RealOp {
  return Object.hasOwn(REALS, op)
}

const COMPARISONS: Readonly<Partial<Record<Op, string>>> = { lt: '<', le: '<=', eq: '==' }

export interface ShaderContext {
  readonly program: LegalizedProgram
  /** Axes of size 1. */
  readonly units: ReadonlySet<string>
  readonly words: UniformLayout
  /** Nodes that earlier dispatches have stored, and where. */
  readonly homes: ReadonlyMap<number, BufferDeclaration>
}

/** Rows that a workgroup keeps in shared memory; see row-staging.ts. */
export interface SharedMemoryReader {
  read(name: string, axes: readonly string[], point: Coordinates): Text | undefined
}

/**
 * A node is computed at a point, which consists of one coordinate (the name of a u32) per axis, so renaming an axis or
 * picking an element only changes coordinates.
 */
export class ExpressionEmitter {
  /** Set if there is shared memory that should be read first. */
  shared: SharedMemoryReader | undefined
  /** Names of the functions that the source calls. */
  readonly functions = new Set<string>()
  readonly #memory: ShaderContext
  readonly #nodes: readonly Node[]
  readonly #levels: Level[] = [{ lines: [], known: new Map() }]
  readonly #levelOf = new Map<string, number>()
  /** Sums that this dispatch has computed, at its own point. */
  readonly #made = new Map<string, string>()
  #count = 0

  constructor(memory: ShaderContext) {
    this.#memory = memory
    this.#nodes = memory.program.nodes
  }

  // Levels

  /** Opens a loop. The caller declares its coordinate. */
  open(coordinate: string) {
    this.#levels.push({ lines: [], known: new Map() })
    this.#levelOf.set(coordinate, this.#levels.length - 1)
  }

  /** @returns the lines of the innermost loop, which ends */
  close(): string[] {
    return this.#levels.pop()!.lines
  }

  /** Adds a line to the innermost loop. */
  line(text: string) {
    this.#levels.at(-1)!.lines.push(text)
  }

  /** Assigns an expression to a name in the innermost loop. */
  name(text: Text, level = this.#levels.length - 1): string {
    const name = `v${this.#count++}`
    this.#levels[level].lines.push(`let ${name} = ${text};`)
    if (level > 0) this.#levelOf.set(name, level)
    return name
  }

  fresh(stem: string): string {
    return `${stem}${this.#count++}`
  }

  /** From here on, the sum is available at this point under a name of the outermost level. */
  made(node: number, point: Coordinates, name: string) {
    this.#made.set(this.#key(node, point), name)
  }

  // Values

  real(id: number, point: Coordinates): Text {
    const text = this.value(id, point)
    return this.#nodes[id].type === 'index' ? `f32(${text})` : text
  }

  value(id: number, point: Coordinates): Text {
    if (isScalar(this.#memory.program, id)) return this.#scalar(id)
    const key = this.#key(id, point)
    const made = this.#made.get(key)
    if (made !== undefined) return made
    const level = this.#level(id, point)
    const known = this.#levels.slice(0, level + 1).find((open) => open.known.has(key))
    if (known !== undefined) return known.known.get(key)!
    const name = this.name(this.#make(this.#nodes[id], id, point), level)
    this.#levels[level].known.set(key, name)
    return name
  }

  /** Every operand is emitted no deeper than the node itself. */
  #level(id: number, point: Coordinates): number {
    const { axes, op, args } = this.#nodes[id]
    const own = Math.max(0, ...axes.map((axis) => this.#levelOf.get(point[axis]) ?? 0))
    return op === 'pick' ? Math.max(own, this.#level(args[1], point)) : own
  }

  #key(id: number, point: Coordinates): string {
    return [id, ...this.#nodes[id].axes.map((axis) => point[axis])].join(' ')
  }

  #make(node: Node, id: number, point: Coordinates): Text {
    const home = this.#memory.homes.get(id)
    if (home !== undefined) return this.load(home, point)
    switch (node.op) {
      case 'input':
        return this.#input(node, point)
      case 'cotangent':
        return this.#cotangent(node, point)
      case 'index':
        return `i32(${point[node.axis!]})`
      case 'expand':
        return this.value(node.args[0], point)
      case 'rename':
        return this.value(node.args[0], { ...point, [node.axis!]: point[node.to!] })
      case 'pick':
        return this.#pick(node, point)
      case 'shift':
        return this.value(node.args[0], { ...point, [node.axis!]: this.#neighbor(node, point) })
      case 'select':
        return this.#select(node, point)
      default:
        return this.#compute(node, point)
    }
  }

  #compute({ op, args }: Node, point: Coordinates): Text {
    if (op === 'and' || op === 'or')
      return args.map((arg) => this.value(arg, point)).join(op === 'and' ? ' && ' : ' || ')
    if (op === 'not') return `!${this.value(args[0], point)}`
    if (op in COMPARISONS) return this.#compare(COMPARISONS[op]!, args, point)
    if (op === 'polygamma')
      return this.call(`polygamma_${this.#nodes[args[0]].value!}`, [this.real(args[1], point)])
    if (op === 'stop_gradient') return this.value(args[0], point)
    if (!isOnReals(op)) throw new Error(`the schedule has no memory for ${op}`)
    const reals = args.map((arg) => this.real(arg, point))
    const how = REALS[op]
    return typeof how === 'string' ? this.call(how, reals) : how(reals[0], reals[1])
  }

  call(name: string, args: readonly Text[]): Text {
    this.functions.add(name)
    return `${name}(${args.join(', ')})`
  }

  #compare(operator: string, [a, b]: readonly number[], point: Coordinates): Text {
    const areWhole = this.#nodes[a].type === 'index' && this.#nodes[b].type === 'index'
    const side = (id: number) => {
      if (areWhole) return this.value(id, point)
      return this.#nodes[id].type === 'bool' ? `f32(${this.value(id, point)})` : this.real(id, point)
    }
    return `${side(a)} ${operator} ${side(b)}`
  }

  #select({ args, type }: Node, point: Coordinates): Text {
    const [test, yes, no] = args
    const side = (id: number) => (type === 'real' ? this.real(id, point) : this.value(id, point))
    return `select(${side(no)}, ${side(yes)}, ${this.value(test, point)})`
  }

  #pick({ args: [x, place], axis }: Node, point: Coordinates): Text {
    const whole =
      this.#nodes[place].type === 'index' ? this.value(place, point) : `i32(${this.value(place, point)})`
    const last = `i32(${this.#size(axis!)}) - 1`
    const level = this.#level(place, point)
    // Outside of the axis, the nearest element is read and never used.
    const found = this.name(`u32(clamp(${whole}, 0, max(${last}, 0)))`, level)
    return this.value(x, { ...point, [axis!]: found })
  }

  /** The coordinate of the place before. Outside of the axis, the nearest element is read and never used. */
  #neighbor({ args, axis }: Node, point: Coordinates): Text {
    const steps = this.#nodes[args[1]].value!
    const level = this.#levelOf.get(point[axis!]) ?? 0
    const { known } = this.#levels[level]
    const key = `neighbor ${axis} ${point[axis!]} ${steps}`
    const made = known.get(key)
    if (made !== undefined) return made
    const last = `i32(${this.#size(axis!)}) - 1`
    const found = this.name(`u32(clamp(i32(${point[axis!]}) - (${steps}), 0, max(${last}, 0)))`, level)
    known.set(key, found)
    return found
  }

  #scalar(id: number): Text {
    const { op, value, type, axis } = this.#nodes[id]
    if (op === 'constant' && type === 'bool') return value !== 0 ? 'true' : 'false'
    if (op === 'constant' && Number.isFinite(Math.fround(value!))) return literal(value!)
    if (op === 'size') return `f32(${this.#size(axis!)})`
    const isTruth = type === 'bool'
    const word = this.#memory.words.use({ kind: 'scalar', node: id, isTruth })
    return isTruth ? `(${word} != 0u)` : word
  }

  // Memory

  #size(axis: string): string {
    return this.#memory.words.use({ kind: 'size', axis })
  }

  #input({ name, type }: Node, point: Coordinates): Text {
    const start = this.#memory.words.use({ kind: 'input', name: name! })
    const { axes } = this.#memory.program.inputs[name!]
    const word = this.shared?.read(name!, axes, point) ?? `inputs[${start} + ${this.place(axes, point)}]`
    return `bitcast<${type === 'index' ? 'i32' : 'f32'}>(${word})`
  }

  /** A single number for all values is at index 0, whatever the point. */
  #cotangent({ axes }: Node, point: Coordinates): Text {
    const start = this.#memory.words.use({ kind: 'cotangent' })
    const step = this.#memory.words.use({ kind: 'cotangent_step' })
    return `bitcast<f32>(inputs[${start} + ${step} * (${this.place(axes, point)})])`
  }

  load(block: BufferDeclaration, point: Coordinates): Text {
    const word = `scratch[${this.#memory.words.use({ kind: 'block', block })} + ${this.place(block.axes, point)}]`
    const { type } = this.#nodes[block.node]
    if (type === 'bool') return `(${word} != 0u)`
    return `bitcast<${type === 'index' ? 'i32' : 'f32'}>(${word})`
  }

  /** The statement that stores a node in its block. */
  store(block: BufferDeclaration, place: string, point: Coordinates): string {
    const start = this.#memory.words.use({ kind: 'block', block })
    if (block.role !== 'scratch') return `results[${start} + ${place}] = ${this.#answer(block.node, point)};`
    return `scratch[${start} + ${place}] = ${this.bits(block, point)};`
  }

  /** The value of a block at a point, as a 32-bit word. */
  bits({ node, role }: BufferDeclaration, point: Coordinates): Text {
    if (role !== 'scratch') return `bitcast<u32>(${this.#answer(node, point)})`
    const value = this.value(node, point)
    return this.#nodes[node].type === 'bool' ? `u32(${value})` : `bitcast<u32>(${value})`
  }

  #answer(id: number, point: Coordinates): Text {
    return this.#nodes[id].type === 'bool' ? `f32(${this.value(id, point)})` : this.real(id, point)
  }

  /** The index of a point in a dense array with these axes. */
  place(axes: readonly string[], point: Coordinates): Text {
    const [first, ...rest] = axes.filter((axis) => !this.#memory.units.has(axis))
    if (first === undefined) return '0u'
    return rest.reduce((place, axis) => `(${place}) * ${this.#size(axis)} + ${point[axis]}`, point[first])
  }
}
