/**
 * The intermediate representation (IR): a typed DAG over named axes, in topological order, as plain data that can
 * be cloned to a thread, printed and compared. It has no semantics of its own: interpret.ts is its executable
 * specification.
 */

/** The type of an element. An index is an int32; in arithmetic it counts as a number. */
export type ElementType = 'real' | 'index' | 'bool'

/** Leaves: where numbers come from. */
export type LeafOp = 'input' | 'scalar' | 'constant' | 'index' | 'size' | 'cotangent'
/** One real in, one out. */
export type UnaryOp =
  | 'neg'
  | 'abs'
  | 'exp'
  | 'expm1'
  | 'log'
  | 'log1p'
  | 'log2'
  | 'log10'
  | 'sqrt'
  | 'safe_sqrt'
  | 'sigmoid'
  | 'tanh'
  | 'softplus'
  | 'sign'
  | 'floor'
  | 'round'
  | 'sin'
  | 'cos'
  | 'atan'
  | 'asin'
  | 'acos'
  | 'erf'
  | 'lgamma'
  | 'digamma'
  | 'stop_gradient'
/**
 * Two reals in, one out. `mul_no_nan(g, d)` is g * d, but 0 where g is 0 whatever d is: it is how a branch that was not
 * taken stays silent in the gradient. `polygamma(n, x)` is the nth derivative of digamma; n is a constant.
 */
export type BinaryOp = 'add' | 'sub' | 'mul' | 'div' | 'pow' | 'max' | 'min' | 'mul_no_nan' | 'polygamma'
/** The result is a truth value. */
export type LogicOp = (typeof LOGIC_OPS)[number]
export const LOGIC_OPS = ['lt', 'le', 'eq', 'and', 'or', 'not', 'is_finite'] as const
/**
 * Along one axis. `sum`, `max` and `contract` (a sum of products) remove it, and `pick` reads one element of it. `shift(x, n)` reads
 * the element n steps before each element, and 0 where there is none; n is a constant integer of either sign.
 */
export type AxisOp = 'reduce_sum' | 'reduce_max' | 'contract' | 'pick' | 'shift' | 'rename'
/**
 * Whole-axis ops (host-ops.ts), which keep the axis. `argsort` returns the indices of the elements in ascending order; equal
 * elements keep their order, and NaN is last. `gather(x, i)` reads x at the indices i, and 0 out of range. `scatter(x, i)` adds each
 * element of x at its index i, and drops elements out of range; gather and scatter are transposes of each other. `cumsum` is the sum
 * of an element and all before it, `reverse_cumsum` the sum of an element and all after it. `recurrence(x, a)` is a linear recurrence:
 * x plus a times the result before it, where a result that is 0 adds nothing, whatever a is; `reverse_recurrence` begins at the last
 * element. `cummax_place` is the index of the largest
 * of an element and all before it: the first one of equal elements, and that of the first NaN from there on. `ctc` is the CTC loss
 * over the axes time and classes, and `ctc_slope` its derivative (ctc.ts). `solve_lower(a, b)` solves a x = b for a lower triangular
 * a, and `solve_upper` for an upper triangular one (triangular.ts). `soft_dtw(x, gamma)` is soft dynamic time warping over two axes,
 * and `soft_dtw_slope` its derivative (soft-dtw.ts).
 */
export type HostOp =
  | 'argsort'
  | 'gather'
  | 'scatter'
  | 'cumsum'
  | 'reverse_cumsum'
  | 'recurrence'
  | 'reverse_recurrence'
  | 'cummax_place'
  | 'ctc'
  | 'ctc_slope'
  | 'solve_lower'
  | 'solve_upper'
  | 'soft_dtw'
  | 'soft_dtw_slope'
/** `select(c, a, b)` never mixes: a NaN on the side not taken stays there. `expand` repeats along missing axes. */
export type StructuralOp = 'select' | 'expand'

export type Op = LeafOp | UnaryOp | BinaryOp | LogicOp | AxisOp | HostOp | StructuralOp

/**
 * Ops that exist only while a formula is differentiated. Their derivatives keep digits that the derivatives of
 * their parts would lose. composite.ts decomposes them into the ops above before an engine sees them.
 * `softmax_rest` is 1 - softmax; `sum_others` is, for each element of an axis, the sum of all other elements.
 */
export type CompositeOp = (typeof COMPOSITE_OPS)[number]
const COMPOSITE_OPS = ['softmax', 'softmax_rest', 'log_softmax', 'logsumexp', 'sum_others'] as const
/**
 * `straight_through(x, slope)` is x with the derivative of `slope`. It only guides the gradient and is removed
 * afterwards.
 */
export type GradientMarkerOp = 'straight_through'
/**
 * Element-wise ops that also exist only while a formula is differentiated; pseudo-ops.ts expands them.
 * `polygamma_rise(n, x, d)` is polygamma(n, x + d) - polygamma(n, x).
 */
export type PseudoOp = (typeof PSEUDO_OPS)[number]
const PSEUDO_OPS = ['atan2', 'lbeta', 'polygamma_rise'] as const
/** The ops of a formula before that. */
export type FormulaOp = Op | CompositeOp | PseudoOp | GradientMarkerOp

/**
 * Hints that an engine may use for speed, or ignore: the NaN of a `reduce_max` reaches the results in another way
 * and need not be detected; the argument of an `exp` is never above 0, and denormal results may be 0.
 */
export type FastMathFlag = 'skips NaN' | 'up to 0'

/** Whether composite.ts decomposes the op. */
export function isComposite(op: FormulaOp): op is CompositeOp {
  return (COMPOSITE_OPS as readonly string[]).includes(op)
}

/** Whether pseudo-ops.ts expands the op. */
export function isPseudoOp(op: FormulaOp): op is PseudoOp {
  return (PSEUDO_OPS as readonly string[]).includes(op)
}

/** One operation. `args` are indices of earlier nodes. */
export interface Node<O extends FormulaOp = Op> {
  readonly op: O
  readonly args: readonly number[]
  readonly type: ElementType
  /** In the program's order. Broadcasting is only by these names. */
  readonly axes: readonly string[]
  /** `constant`. */
  readonly value?: number
  /** `input`, `scalar`. */
  readonly name?: string
  /** `index`, `size` and the axis ops. */
  readonly axis?: string
  /** `rename`: the new name of `axis`; `ctc`: the axis of the classes; `soft_dtw` and the solvers: the second axis, the columns. */
  readonly to?: string
  readonly hint?: FastMathFlag
}

/** The memory layout of an input. */
export interface InputLayout {
  readonly type: 'real' | 'index'
  /** Its axes from slowest to fastest. */
  readonly axes: readonly string[]
}

/** A formula compiled for one request structure: the value, and the requested gradients. */
export interface Program {
  readonly nodes: readonly Node[]
  /** All axes, in the order that all nodes follow. */
  readonly axes: readonly string[]
  /** Renamed axis -> the axis whose size it has. */
  readonly renamed: Readonly<Record<string, string>>
  /** Axes that must have the same size: the rows and columns of square matrices. */
  readonly square?: readonly (readonly [string, string])[]
  readonly inputs: Readonly<Record<string, InputLayout>>
  /** Numeric parameters that are passed at run time. */
  readonly scalars: readonly string[]
  /** Index of the unreduced value. */
  readonly value: number
  /** Index of what each value adds to the denominator of the mean, with the value's axes; absent if that is 1. */
  readonly denominators?: number
  /**
   * Input -> index of its gradient; the node has the input's axes. `hessian.<input>` is the diagonal of the second
   * derivative, with the same layout.
   */
  readonly gradients: Readonly<Record<string, number>>
}

const HESSIAN = 'hessian.'

/** The name of the second derivative of an input among the gradients of a program. */
export function hessianKey(input: string): string {
  return `${HESSIAN}${input}`
}

/** The input that a result is the derivative of. */
export function inputOfResultKey(result: string): string {
  return result.startsWith(HESSIAN) ? result.slice(HESSIAN.length) : result
}

/** The memory layout of a derivative: that of its input, or of its node if the program does not read this input. */
export function layoutOf({ inputs, nodes, gradients }: Program, result: string): readonly string[] {
  return inputs[inputOfResultKey(result)]?.axes ?? nodes[gradients[result]].axes
}

/** Axes of the unreduced value. */
export function valueAxes(program: Program): readonly string[] {
  return program.nodes[program.value].axes
}

/** Number of elements of a node, given the sizes of the axes. */
export function elementsOf(axes: readonly string[], sizes: Readonly<Record<string, number>>): number {
  return axes.reduce((product, axis) => product * sizes[axis], 1)
}

/** Sizes of all axes of a program, including the renamed ones. */
export function sizesWithRenamedAxes(
  program: Program,
  sizes: Readonly<Record<string, number>>,
): Record<string, number> {
  const all: Record<string, number> = { ...sizes }
  for (const axis of program.axes) {
    const source = program.renamed[axis]
    if (source !== undefined) all[axis] = all[source]
  }
  return all
}

/** The cost of running a program. */
export interface Cost {
  /** Elements of all nodes. What sums over an axis for each element (a contraction, a solver) is counted with that axis. */
  readonly operations: number
  /** Elements of the largest node, which an engine may have to hold in memory at once. */
  readonly widest: number
}

const SUMS_PER_ELEMENT: ReadonlySet<Op> = new Set(['contract', 'solve_lower', 'solve_upper'] satisfies Op[])

/** The cost is known before anything runs. */
export function costOf(program: Program, sizes: Readonly<Record<string, number>>): Cost {
  const all = sizesWithRenamedAxes(program, sizes)
  let [operations, widest] = [0, 0]
  for (const { op, axes, axis } of program.nodes) {
    const elements = elementsOf(axes, all)
    operations += elements * (SUMS_PER_ELEMENT.has(op) ? all[axis!] : 1)
    widest = Math.max(widest, elements)
  }
  return { operations, widest }
}

/** Prints one node per line: `%4 = mul %1 %3 [rows classes]`. */
export function print(program: Program): string {
  const line = (node: Node, id: number) => {
    const attributes = [node.value, node.name, node.axis, node.to].filter((part) => part !== undefined)
    const words = [node.op, ...node.args.map((arg) => `%${arg}`), ...attributes]
    return `%${id} = ${words.join(' ')} [${node.axes.join(' ')}]`
  }
  const gradients = Object.entries(program.gradients).map(([name, id]) => `gradient ${name} %${id}`)
  return [...program.nodes.map(line), `value %${program.value}`, ...gradients].join('\n')
}
