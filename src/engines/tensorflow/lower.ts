/**
 * Lowering: program -> the graph of its value, denominators and gradients, for one set of sizes. Every value has
 * the program's full rank, with size 1 along the axes that it does not have, so that TensorFlow broadcasts exactly
 * like the IR.
 */
import { layoutOf, type Node, type Program } from '../../language/ir.ts'
import { Graph, type Value } from './graph.ts'
import type { CompileSpec, LoweringContext, OpArgument } from './lowering-context.ts'
import { RULES } from './lowering-rules.ts'

export interface Result {
  readonly role: 'values' | 'denominators' | 'gradient'
  /** The input, for a gradient. */
  readonly name: string
  /** Its memory layout, slowest axis first. */
  readonly axes: readonly string[]
}

export interface Lowered {
  readonly graph: Graph
  readonly arguments: readonly OpArgument[]
  /** Names in the graph, in the order of `outputs`. */
  readonly results: Readonly<Record<string, Value>>
  readonly outputs: readonly Result[]
}

/**
 * @throws UnsupportedByEngine for ops that a graph cannot express
 * @example
 * lower({ program, sizes: { rows: 32, classes: 10 }, rows: 'rows', isUniform: true }).graph.nodes
 */
export function lower(form: CompileSpec): Lowered {
  const { program } = form
  const graph = new Graph()
  const taken = new Arguments(graph, form)
  const values: Value[] = []
  const placeOf = placesIn(form, graph, taken)
  for (const node of program.nodes) {
    values.push(
      RULES[node.op](
        placeOf(node),
        node.args.map((arg) => values[arg]),
      ),
    )
  }
  const outputs = outputsOf(program)
  const results = outputs.map(({ id, axes }, place) => {
    return [`r${place}`, inLayout(graph, form, values[id], program.nodes[id].axes, axes)] as const
  })
  return { graph, arguments: taken.taken, results: Object.fromEntries(results), outputs }
}

interface Output extends Result {
  readonly id: number
}

function outputsOf(program: Program): Output[] {
  const { value, denominators, gradients, nodes } = program
  return [
    { role: 'values', name: '', id: value, axes: nodes[value].axes },
    ...(denominators === undefined
      ? []
      : [{ role: 'denominators' as const, name: '', id: denominators, axes: nodes[denominators].axes }]),
    ...Object.entries(gradients).map(([name, id]) => {
      return { role: 'gradient' as const, name, id, axes: layoutOf(program, name) }
    }),
  ]
}

function placesIn(form: CompileSpec, graph: Graph, taken: Arguments): (node: Node) => LoweringContext {
  const { program, sizes } = form
  const dimension = (axis: string) => program.axes.indexOf(axis)
  const shapeOf = (axes: readonly string[]) =>
    program.axes.map((axis) => (axes.includes(axis) ? sizes[axis] : 1))
  return (node) => ({
    graph,
    form,
    node,
    dimension,
    shapeOf,
    axesOf: (place) => program.nodes[node.args[place]].axes,
    argumentOf: (argument) => taken.argument(argument),
  })
}

/** The arguments of the graph, created when they are first used. */
class Arguments {
  readonly taken: OpArgument[] = []
  readonly #graph: Graph
  readonly #form: CompileSpec
  readonly #known = new Map<string, Value>()

  constructor(graph: Graph, form: CompileSpec) {
    this.#graph = graph
    this.#form = form
  }

  argument(argument: OpArgument): Value {
    const key = argument.kind === 'input' ? `input ${argument.name}` : argument.kind
    const known = this.#known.get(key)
    if (known !== undefined) return known
    const made = this.#take(argument)
    this.#known.set(key, made)
    return made
  }

  /**
   * Real numbers are passed as the bits of integers: tfjs-node leaves integers on the host, and copies floats to
   * the GPU and back.
   */
  #take(argument: OpArgument): Value {
    const { program, sizes, isUniform } = this.#form
    const name = `a${this.taken.length}`
    this.taken.push(argument)
    if (argument.kind === 'count') return this.#graph.argument(name, 'int32', [])
    if (argument.kind === 'numbers') {
      return this.#real(name, [program.scalars.length + Number(isUniform)])
    }
    const lengths = (axes: readonly string[]) => axes.map((axis) => sizes[axis])
    if (argument.kind === 'cotangent') return this.#real(name, lengths(argument.axes))
    const { axes, type } = program.inputs[argument.name]
    if (type === 'index') return this.#graph.argument(name, 'int32', lengths(axes))
    return this.#real(name, lengths(axes))
  }

  #real(name: string, shape: readonly number[]): Value {
    return this.#graph.bitcast(this.#graph.argument(name, 'int32', shape), 'float32')
  }
}

/** A result is real, and has the memory layout of its axes. */
function inLayout(
  graph: Graph,
  { sizes }: CompileSpec,
  x: Value,
  own: readonly string[],
  axes: readonly string[],
): Value {
  const dense = graph.reshape(
    graph.cast(x, 'float32'),
    own.map((axis) => sizes[axis]),
  )
  return graph.transpose(
    dense,
    axes.map((axis) => own.indexOf(axis)),
  )
}
