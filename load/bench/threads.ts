/** Losses that sort, compare pairs, or follow a recursion: on one thread and on all, beside PyTorch, in both precisions. */
import { availableParallelism } from 'node:os'
import type { Cell, Table } from '../table.ts'
import { measure, STRUCTURED, sizeOf } from './kernels.ts'
import type { Part } from './part.ts'
import { aboutSides, openCompiledSides, openTorch } from './sides.ts'

const threads: Part = async ({ quick, say }) => {
  const effort = quick ? { rounds: 1, seconds: 0.05 } : { rounds: 5, seconds: 0.3 }
  const sides = [...(await openCompiledSides(availableParallelism())), ...(await openTorch())]
  try {
    const rows: Cell[][] = []
    for (const task of quick ? STRUCTURED.slice(-1) : STRUCTURED) {
      for (const dtype of ['float32', 'float64'] as const) {
        say(`threads: ${task.loss} in ${dtype}`)
        const found = await measure(sides, { ...task, dtype }, effort)
        const [one, all, torch, torchAll] = found.map((measured) => measured && measured.nanoseconds / 1e3)
        const ratio = (own?: number, theirs?: number) => own && theirs && own / theirs
        const times = [one, all, torch, torchAll]
        rows.push([task.loss, sizeOf(task), dtype, ...times, ratio(one, torch), ratio(all, torchAll)])
      }
    }
    return [
      tableOf(
        rows,
        sides.map(({ name }) => name),
        aboutSides(sides),
        effort.rounds,
      ),
    ]
  } finally {
    for (const side of sides) side.close()
  }
}

export default threads

function tableOf(
  rows: readonly Cell[][],
  names: readonly string[],
  about: readonly string[],
  rounds: number,
): Table {
  const sentences = [
    `Microseconds per call, value and gradient, median of ${rounds} rounds in turn. The ratios are those of compiled to PyTorch: below 1, compiled is faster.`,
    'A row of ctc has 200 time steps and 40 labels, one of lovasz 2 classes.',
    ...about,
  ]
  return {
    title: 'Threads',
    about: sentences.join(' '),
    head: ['loss', 'size', 'dtype', ...names, '1 thread', 'all threads'],
    rows,
  }
}
