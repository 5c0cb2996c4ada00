/**
 * Host op partitioning: lets an engine that only runs element loops run programs with whole-axis ops (sorting,
 * cumulative sums, CTC). The program is partitioned at these ops. The parts run on the engine one after the other,
 * and between them the whole-axis ops run on the CPU, on arrays. The results of a part are inputs of the next one.
 */

import { evaluateHostOp, isHostOp } from '../language/host-ops.ts'
import type { InputLayout, Node, Program } from '../language/ir.ts'
import { inputOfResultKey, sizesWithRenamedAxes } from '../language/ir.ts'
import type { NumericArray } from '../tensor.ts'
import { type Batch, type BatchResult, concatChunks, type Engine } from './contract.ts'

/** @example const engine = withHostOps(openCompiled(options)) */
export function withHostOps(engine: Engine): Engine {
  const plans = new WeakMap<Program, Stages | undefined>()
  const stagesOf = (program: Program): Stages | undefined => {
    if (!plans.has(program))
      plans.set(program, program.nodes.some(({ op }) => isHostOp(op)) ? cut(program) : undefined)
    return plans.get(program)
  }
  return {
    info: engine.info,
    get isReady() {
      return engine.isReady
    },
    ...(engine.width === undefined ? {} : { width: engine.width }),
    run: (batch) => {
      const stages = stagesOf(batch.program)
      return stages === undefined ? engine.run(batch) : runStages(engine, batch, stages)
    },
    serving: (program, precision) => {
      const stages = stagesOf(program)
      if (stages === undefined) return engine.serving(program, precision)
      const isServed = stages.parts.every((part) => engine.serving(part.program, precision).length > 0)
      return isServed ? [engine.info.name] : []
    },
    stats: () => engine.stats(),
    ...(engine.describe === undefined ? {} : { describe: () => engine.describe!() }),
    ...(engine.time === undefined ? {} : { time: (batch, launches) => engine.time!(batch, launches) }),
    close: () => engine.close(),
  }
}

/**
 * The parts in order, each followed by the whole-axis ops whose arguments it computes. The last part computes the
 * results.
 */
interface Stages {
  readonly program: Program
  readonly parts: readonly Part[]
}

interface Part {
  readonly program: Program
  /** Nodes of the whole program that this part computes for later ones. */
  readonly leaves: readonly number[]
  /** Whole-axis ops that can run after this part. */
  readonly lines: readonly number[]
}

/** The name of a node of the whole program as an input of a part. */
const nameOf = (id: number) => `$${id}`

function cut(program: Program): Stages {
  const levels = levelsOf(program)
  const last = Math.max(...levels)
  const parts = Array.from({ length: last + 1 }, (_, level) => {
    const lines = program.nodes.flatMap(({ op }, id) =>
      isHostOp(op) && levels[id] === level + 1 ? [id] : [],
    )
    const wanted = new Set(lines.flatMap((id) => program.nodes[id].args))
    const leaves = [...wanted].filter((id) => !isHostOp(program.nodes[id].op) && !isAtHand(program, id))
    const part = new PartBuilder(program)
    return { lines, leaves, program: level === last ? part.answering() : part.leaving(leaves) }
  })
  return { program, parts }
}

/** Whether the batch already contains the value of the node as it is needed. */
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
  readonly #placed = new Map<number, number>()

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
    const known = this.#placed.get(id)
    if (known !== undefined) return known
    const node = this.#program.nodes[id]
    if (node.op === 'input') this.#inputs[node.name!] = this.#program.inputs[node.name!]
    const made = isHostOp(node.op)
      ? this.#input(node, id)
      : this.#add({ ...node, args: node.args.map((arg) => this.#place(arg)) })
    this.#placed.set(id, made)
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

async function runStages(engine: Engine, batch: Batch, { program, parts }: Stages): Promise<BatchResult> {
  const found = new Map<number, NumericArray>()
  let computeMs = 0
  for (const [place, part] of parts.entries()) {
    if (place < parts.length - 1 && part.leaves.length === 0) {
      computeMs += evaluateLines(batch, program, part, found)
      continue
    }
    const result = await engine.run(partBatch(batch, place, part, found))
    if (place === parts.length - 1) return { ...result, computeMs: computeMs + result.computeMs }
    for (const id of part.leaves) found.set(id, result.gradients[nameOf(id)].slice())
    result.release?.()
    computeMs += result.computeMs + evaluateLines(batch, program, part, found)
  }
  throw new Error('a program has no last part')
}

function partBatch(
  batch: Batch,
  place: number,
  { program }: Part,
  found: ReadonlyMap<number, NumericArray>,
): Batch {
  const inputs = Object.keys(program.inputs).map((name) => {
    return [name, name.startsWith('$') ? [found.get(Number(name.slice(1)))!] : batch.inputs[name]] as const
  })
  return { ...batch, programKey: `${batch.programKey}#${place}`, program, inputs: Object.fromEntries(inputs) }
}

/** @returns milliseconds */
function evaluateLines(batch: Batch, program: Program, part: Part, found: Map<number, NumericArray>): number {
  const started = performance.now()
  const sizes = sizesWithRenamedAxes(program, batch.sizes)
  for (const id of part.lines) {
    const node = program.nodes[id]
    const operands = node.args.map((arg) => ({
      data: operand(batch, program, arg, found),
      axes: program.nodes[arg].axes,
    }))
    const values = evaluateHostOp(node, operands, sizes, batch.precision)
    found.set(id, node.type === 'index' ? Int32Array.from(values) : values)
  }
  return performance.now() - started
}

function operand(
  batch: Batch,
  { nodes }: Program,
  id: number,
  found: ReadonlyMap<number, NumericArray>,
): NumericArray {
  const { op, name, value } = nodes[id]
  const known = found.get(id)
  if (known !== undefined) return known
  if (op === 'constant') return Float64Array.of(value!)
  return op === 'scalar' ? Float64Array.of(batch.scalars[name!]) : concatChunks(batch.inputs[name!])
}
