/**
 * Host op partitioning: lets an engine that only runs element loops run programs with whole-axis ops (sorting,
 * cumulative sums, CTC). The program is partitioned at these ops. The parts run on the engine one after the other,
 * and between them the whole-axis ops run on the CPU, as compiled kernels. The results of a part are inputs of the next one.
 */

import { evaluateHostOp, isHostOp } from '../language/host-ops.ts'
import { type HostOp, type Node, type Program, sizesWithRenamedAxes } from '../language/ir.ts'
import { cut, nameOf, type Part, type Stages } from '../language/stages.ts'
import type { Operand } from '../language/strides.ts'
import type { NumericArray } from '../tensor.ts'
import { CompiledHostOps, type HostOpContext } from './compiled-host-ops.ts'
import { type Batch, type BatchResult, concatChunks, type Engine, UnsupportedByEngine } from './contract.ts'

/** @example const engine = withHostOps(openCompiled(options)) */
export function withHostOps(engine: Engine): Engine {
  const plans = new WeakMap<Program, Stages | undefined>()
  const hostOps = new CompiledHostOps()
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
      return stages === undefined ? engine.run(batch) : runStages({ engine, hostOps }, batch, stages)
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
    close: async () => {
      await Promise.all([engine.close(), hostOps.close()])
    },
  }
}

/** Where the parts run, and where the ops between them. */
interface Devices {
  readonly engine: Engine
  readonly hostOps: CompiledHostOps
}

async function runStages(
  { engine, hostOps }: Devices,
  batch: Batch,
  { program, parts }: Stages,
): Promise<BatchResult> {
  const found = new Map<number, NumericArray>()
  let computeMs = 0
  for (const [place, part] of parts.entries()) {
    if (place < parts.length - 1 && part.leaves.length === 0) {
      computeMs += await evaluateLines(hostOps, batch, program, part, found)
      continue
    }
    const result = await engine.run(partBatch(batch, place, part, found))
    if (place === parts.length - 1) return { ...result, computeMs: computeMs + result.computeMs }
    for (const id of part.leaves) found.set(id, result.gradients[nameOf(id)].slice())
    result.release?.()
    computeMs += result.computeMs + (await evaluateLines(hostOps, batch, program, part, found))
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
async function evaluateLines(
  hostOps: CompiledHostOps,
  batch: Batch,
  program: Program,
  part: Part,
  found: Map<number, NumericArray>,
): Promise<number> {
  const started = performance.now()
  const sizes = sizesWithRenamedAxes(program, batch.sizes)
  for (const id of part.lines) {
    const node = program.nodes[id] as Node<HostOp>
    const operands = node.args.map((arg) => ({
      data: operand(batch, program, arg, found),
      axes: program.nodes[arg].axes,
    }))
    const values = await evaluate(hostOps, node, operands, { program, sizes, precision: batch.precision })
    found.set(id, node.type === 'index' ? Int32Array.from(values) : values)
  }
  return performance.now() - started
}

/** An op that has no kernel is run by its definition. */
async function evaluate(
  hostOps: CompiledHostOps,
  node: Node<HostOp>,
  operands: readonly Operand[],
  context: HostOpContext,
): Promise<NumericArray> {
  try {
    return await hostOps.evaluate(node, operands, context)
  } catch (error) {
    if (!(error instanceof UnsupportedByEngine)) throw error
    return evaluateHostOp(node, operands, context.sizes, context.precision)
  }
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
