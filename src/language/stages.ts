/**
 * Cuts a program at its whole-axis ops (host-ops.ts), for whoever can only say loops over elements. The parts run one after the other,
 * and between them the whole-axis ops run on arrays. The results of a part are inputs of the next one.
 */
import { isHostOp } from './host-ops.ts'
import { type InputLayout, inputOfResultKey, type Node, type Program } from './ir.ts'

/**
 * The parts in order, each followed by the whole-axis ops whose arguments it computes. The last part computes the
 * results.
 */
export interface Stages {
  readonly program: Program
  readonly parts: readonly Part[]
}

export interface Part {
  readonly program: Program
  /** Nodes of the whole program that this part computes for later ones. */
  readonly leaves: readonly number[]
  /** Whole-axis ops that can run after this part. */
  readonly lines: readonly number[]
  /** Node of the whole program -> its node in this part. */
  readonly placed: ReadonlyMap<number, number>
}

/** The name of a node of the whole program as an input or a result of a part. */
export const nameOf = (id: number) => `$${id}`

/**
 * A program with at least one of these ops, cut at them.
 *
 * @param isKnown whether the value of a node is in memory already, as the ops need it
 */
export function cut(program: Program, isKnown = isAtHand): Stages {
  const levels = levelsOf(program)
  const last = Math.max(...levels)
  const parts = Array.from({ length: last + 1 }, (_, level) => {
    const lines = program.nodes.flatMap(({ op }, id) =>
      isHostOp(op) && levels[id] === level + 1 ? [id] : [],
    )
    const wanted = new Set(lines.flatMap((id) => program.nodes[id].args))
    const leaves = [...wanted].filter((id) => !isHostOp(program.nodes[id].op) && !isKnown(program, id))
    const part = new PartBuilder(program)
    const own = level === last ? part.answering() : part.leaving(leaves)
    return { lines, leaves, program: own, placed: part.placed }
  })
  return { program, parts }
}

/** A parameter, or an input that has the layout of the node. */
function isAtHand({ nodes, inputs }: Program, id: number): boolean {
  const { op, name, axes } = nodes[id]
  if (op === 'constant' || op === 'scalar') return true
  return op === 'input' && inputs[name!].axes.join() === axes.join()
}

/** For each node, the number of whole-axis ops on the longest path up to and including it. */
function levelsOf({ nodes }: Program): number[] {
  const levels: number[] = []
  for (const { op, args } of nodes)
    levels.push(Math.max(0, ...args.map((arg) => levels[arg])) + Number(isHostOp(op)))
  return levels
}

/** Builds a separate program from nodes of a program, with the whole-axis ops below them as inputs. */
class PartBuilder {
  readonly #program: Program
  readonly #nodes: Node[] = []
  readonly #inputs: Record<string, InputLayout> = {}
  readonly placed = new Map<number, number>()

  constructor(program: Program) {
    this.#program = program
  }

  /** A part that computes these nodes as intermediate results, as real numbers. */
  leaving(leaves: readonly number[]): Program {
    const gradients = leaves.map((id) => [nameOf(id), this.#asReal(this.#place(id))] as const)
    const value = gradients[0]?.[1] ?? this.#constant(0)
    return this.#finished({ value, gradients: Object.fromEntries(gradients) })
  }

  /** The last part, which computes the results of the whole program. */
  answering(): Program {
    const { value, denominators, gradients } = this.#program
    const derivatives = Object.entries(gradients).map(([name, id]) => [name, this.#place(id)] as const)
    const shares = denominators === undefined ? {} : { denominators: this.#place(denominators) }
    // An input that this part does not read still determines the layout of its gradient.
    for (const name of derivatives.map(([result]) => inputOfResultKey(result))) {
      if (Object.hasOwn(this.#program.inputs, name)) this.#inputs[name] = this.#program.inputs[name]
    }
    return this.#finished({
      value: this.#place(value),
      ...shares,
      gradients: Object.fromEntries(derivatives),
    })
  }

  #finished(results: Pick<Program, 'value' | 'denominators' | 'gradients'>): Program {
    const { axes, renamed } = this.#program
    const scalars = this.#nodes.flatMap(({ op, name }) => (op === 'scalar' ? [name!] : []))
    return { axes, renamed, nodes: this.#nodes, inputs: this.#inputs, scalars, ...results }
  }

  #place(id: number): number {
    const known = this.placed.get(id)
    if (known !== undefined) return known
    const node = this.#program.nodes[id]
    if (node.op === 'input') this.#inputs[node.name!] = this.#program.inputs[node.name!]
    const made = isHostOp(node.op)
      ? this.#input(node, id)
      : this.#add({ ...node, args: node.args.map((arg) => this.#place(arg)) })
    this.placed.set(id, made)
    return made
  }

  #input({ type, axes }: Node, id: number): number {
    this.#inputs[nameOf(id)] = { type: type === 'index' ? 'index' : 'real', axes }
    return this.#add({ op: 'input', args: [], type, axes, name: nameOf(id) })
  }

  /** Converts an index to a real number: the maximum of the index and a smaller real number. */
  #asReal(id: number): number {
    const { type, axes } = this.#nodes[id]
    if (type !== 'index') return id
    return this.#add({ op: 'max', args: [id, this.#constant(-(2 ** 31))], type: 'real', axes })
  }

  #constant(value: number): number {
    return this.#add({ op: 'constant', args: [], type: 'real', axes: [], value })
  }

  #add(node: Node): number {
    return this.#nodes.push(node) - 1
  }
}
