/** Single whole-axis ops as compiled kernels, for engines that run only loops over elements. */
import type { HostOp, Node, Program } from '../language/ir.ts'
import type { Operand } from '../language/strides.ts'
import type { NumericArray, Precision } from '../tensor.ts'
import { openCompiled } from './compiled/engine.ts'
import type { Engine } from './contract.ts'

type Floats = Float32Array | Float64Array

/** What surrounds the op. */
export interface HostOpContext {
  readonly program: Program
  readonly sizes: Readonly<Record<string, number>>
  readonly precision: Precision
}

const MEMORY_BYTES = 2 ** 31

/** The ops of the programs of one engine. Kernels are compiled on first use. */
export class CompiledHostOps {
  readonly #programs = new WeakMap<Node, Program>()
  #engine: Engine | undefined

  /** The value of a node from those of its arguments. */
  async evaluate(
    node: Node<HostOp>,
    operands: readonly Operand[],
    { program, sizes, precision }: HostOpContext,
  ): Promise<Floats> {
    this.#engine ??= openCompiled({
      reason: 'whole-axis ops',
      threads: 0,
      memoryBytes: MEMORY_BYTES,
      log: () => {},
    })
    const known = this.#programs.get(node) ?? programOf(node, program)
    this.#programs.set(node, known)
    const inputs = Object.fromEntries(
      operands.map(({ data }, place) => [nameOf(place), [data as NumericArray]]),
    )
    const cotangent = [precision === 'float64' ? Float64Array.of(1) : Float32Array.of(1)]
    const batch = { programKey: node.op, program: known, sizes, scalars: {}, precision, inputs, cotangent }
    return (await this.#engine.run(batch)).values
  }

  async close(): Promise<void> {
    await this.#engine?.close()
  }
}

const nameOf = (place: number) => `$${place}`

/** A program that is nothing but this node, with its arguments as inputs. The value of a program is a real number. */
function programOf(node: Node<HostOp>, { nodes, axes, renamed }: Program): Program {
  const inputs = node.args.map((arg, place) => {
    const { type, axes: own } = nodes[arg]
    return { op: 'input', args: [], type, axes: own, name: nameOf(place) } satisfies Node
  })
  const own: Node = { ...node, args: inputs.map((_, place) => place) }
  const least: Node = { op: 'constant', args: [], type: 'real', axes: [], value: -(2 ** 31) }
  const real: Node = { op: 'max', args: [inputs.length, inputs.length + 1], type: 'real', axes: node.axes }
  const layouts = inputs.map(({ name, type, axes: all }) => [
    name,
    { type: type === 'index' ? 'index' : 'real', axes: all },
  ])
  const all = [...inputs, own, ...(node.type === 'index' ? [least, real] : [])]
  return {
    axes,
    renamed,
    nodes: all,
    inputs: Object.fromEntries(layouts),
    scalars: [],
    value: all.length - 1,
    gradients: {},
  }
}
