/**
 * Executes a program op by op with tfjs on the current backend, and disposes of each tensor right after its last
 * use (liveness analysis). It owns every tensor that it creates: there are as many tensors after a run as before,
 * even if an op throws.
 */
import * as tf from '@tensorflow/tfjs-core'
import { layoutOf, type Node, type Program, sizesWithRenamedAxes } from '../../language/ir.ts'
import { type Batch, type BatchResult, UnsupportedByEngine } from '../contract.ts'
import type { OpContext } from './op-context.ts'
import { OPS, permute } from './ops.ts'

/** @throws UnsupportedByEngine for float64, which tfjs does not have */
export async function execute(batch: Batch, engine: string): Promise<BatchResult> {
  if (batch.precision !== 'float32') throw new UnsupportedByEngine(`tfjs does not support ${batch.precision}`)
  const started = performance.now()
  const tensors = tf.tidy(() => walk(batch))
  try {
    const [[values, ...denominators], gradients] = await Promise.all([
      Promise.all(tensors.columns.map(readBack)),
      Promise.all(Object.values(tensors.gradients).map(readBack)),
    ])
    const names = Object.keys(tensors.gradients)
    return {
      values,
      ...(denominators.length === 0 ? {} : { denominators: denominators[0] }),
      gradients: Object.fromEntries(names.map((name, i) => [name, gradients[i]])),
      computeMs: performance.now() - started,
      engine,
    }
  } finally {
    tf.dispose([tensors.columns, tensors.gradients])
  }
}

/** A copy, because backends may return a view of their own memory. */
async function readBack(tensor: tf.Tensor): Promise<Float32Array> {
  const data = (await tensor.data()) as Float32Array
  return data.slice()
}

interface Walked extends tf.TensorContainerObject {
  /** The values, and the denominators if the program has them. */
  columns: tf.Tensor[]
  gradients: { [name: string]: tf.Tensor }
}

function walk(batch: Batch): Walked {
  const { program } = batch
  const lastUse = lastUses(program)
  const results: tf.Tensor[] = []
  const contextOf = contexts(batch)
  program.nodes.forEach((node, id) => {
    const args = node.args.map((arg) => results[arg])
    results.push(tf.tidy(() => OPS[node.op](contextOf(node), ...args)))
    for (const used of new Set([...node.args, id])) {
      if (lastUse[used] === id) results[used].dispose()
    }
  })
  const gradients = Object.entries(program.gradients).map(([name, id]) => {
    return [name, inLayout(batch, name, program.nodes[id], results[id])] as const
  })
  const columns = columnsOf(program).map((id) => tf.cast(results[id], 'float32'))
  return { columns, gradients: Object.fromEntries(gradients) }
}

function columnsOf({ value, denominators }: Program): number[] {
  return denominators === undefined ? [value] : [value, denominators]
}

function contexts(batch: Batch): (node: Node) => OpContext {
  const { program } = batch
  const sizes = sizesWithRenamedAxes(program, batch.sizes)
  const dimension = (axis: string) => program.axes.indexOf(axis)
  const shapeOf = (axes: readonly string[]) =>
    program.axes.map((axis) => (axes.includes(axis) ? sizes[axis] : 1))
  return (node) => {
    const axesOf = (place: number) => program.nodes[node.args[place]].axes
    return { node, batch, sizes, dimension, shapeOf, axesOf }
  }
}

/** A gradient has the memory layout of its input. */
function inLayout({ program, ...batch }: Batch, name: string, node: Node, gradient: tf.Tensor): tf.Tensor {
  const [layout, sizes] = [layoutOf(program, name), sizesWithRenamedAxes(program, batch.sizes)]
  const dense = tf.reshape(
    gradient,
    node.axes.map((axis) => sizes[axis]),
  )
  return permute(dense, node.axes, layout)
}

const KNOWN = new WeakMap<Program, Int32Array>()

/** Node -> the last node that reads it. Results are read last. */
function lastUses(program: Program): Int32Array {
  const known = KNOWN.get(program)
  if (known !== undefined) return known
  const last = Int32Array.from(program.nodes, (_, id) => id)
  program.nodes.forEach((node, id) => {
    for (const arg of node.args) last[arg] = id
  })
  for (const result of [...columnsOf(program), ...Object.values(program.gradients)])
    last[result] = program.nodes.length
  KNOWN.set(program, last)
  return last
}
