/**
 * The memory layout of one batch, the content of its uniform buffer, and the number of workgroups of each stage.
 * Pure arithmetic.
 */
import { type Program, sizesWithRenamedAxes } from '../../language/ir.ts'
import { evaluateScalar, isElementwise } from '../../language/scalar.ts'
import type { LegalizedProgram } from '../compiled/legalize.ts'
import { type Batch, OutOfMemory, UnsupportedByEngine } from '../contract.ts'
import { type BufferDeclaration, type Dispatch, splitReductionChunk, TILE } from './kernel-schedule.ts'
import type { Module } from './module.ts'
import { threadsOf } from './row-kernels.ts'
import type { Word } from './uniform-layout.ts'

/** Arrays start at multiples of this many words, so that a workgroup reads whole cache lines. */
const ALIGNMENT = 64
/** WebGPU's limit on each dimension of a dispatch. */
export const MOST_GROUPS = 65535

type Sizes = Readonly<Record<string, number>>

export interface Layout {
  /** In words. */
  readonly inputs: Readonly<Record<string, number>>
  readonly cotangent: number
  readonly blocks: ReadonlyMap<number, number>
  /** Size of each binding, in words. */
  readonly totals: { readonly inputs: number; readonly scratch: number; readonly results: number }
  readonly sizes: Sizes
  /** Workgroups of each stage; zero if there is nothing to do. */
  readonly groups: readonly (readonly [number, number])[]
}

/** @throws OutOfMemory if an offset does not fit into a word */
export function layoutOf({ stages, blocks }: Module, batch: Batch): Layout {
  const sizes = sizesWithRenamedAxes(batch.program, batch.sizes)
  const inputs = new Region()
  const starts = Object.entries(batch.inputs).map(
    ([name, column]) => [name, inputs.take(lengthOf(column))] as const,
  )
  const cotangent = inputs.take(lengthOf(batch.cotangent))
  const regions = { scratch: new Region(), results: new Region() }
  const lanes = lanesByParts(stages)
  const places = blocks.map((block) => {
    const region = block.role === 'scratch' ? regions.scratch : regions.results
    return [block.id, region.take(countOf(block, sizes, lanes))] as const
  })
  return {
    inputs: Object.fromEntries(starts),
    cotangent,
    blocks: new Map(places),
    totals: { inputs: inputs.total, scratch: regions.scratch.total, results: regions.results.total },
    sizes,
    groups: stages.map((stage) => groupsOf(stage, sizes)),
  }
}

class Region {
  total = 0

  take(length: number): number {
    const start = this.total
    this.total += Math.ceil(length / ALIGNMENT) * ALIGNMENT
    if (this.total > 2 ** 32) throw new OutOfMemory('a launch of more than 2^32 numbers')
    return start
  }
}

export function lengthOf(column: readonly { readonly length: number }[]): number {
  return column.reduce((total, { length }) => total + length, 0)
}

function product(axes: readonly string[], sizes: Sizes): number {
  return axes.reduce((count, axis) => count * sizes[axis], 1)
}

/** Axis that is split into parts -> the lanes that iterate over one part. */
function lanesByParts(stages: readonly Dispatch[]): ReadonlyMap<string, number> {
  return new Map(
    stages.flatMap((stage) =>
      stage.kind === 'rows' && stage.parts !== undefined ? [[stage.parts, stage.lanes] as const] : [],
    ),
  )
}

function countOf(
  { axes, parts }: BufferDeclaration,
  sizes: Sizes,
  lanes: ReadonlyMap<string, number>,
): number {
  const copies = parts === undefined ? 1 : partsOf(sizes[parts], lanes.get(parts)!)
  return product(axes, sizes) * copies
}

function partsOf(size: number, lanes: number): number {
  return Math.ceil(size / splitReductionChunk(size, lanes))
}

function groupsOf(stage: Dispatch, sizes: Sizes): readonly [number, number] {
  const needed = stage.kind === 'rows' ? rowGroups(stage, sizes) : tileGroups(stage, sizes)
  return [Math.min(needed, MOST_GROUPS), Math.ceil(needed / MOST_GROUPS)]
}

function rowGroups(stage: Extract<Dispatch, { kind: 'rows' }>, sizes: Sizes): number {
  const { axes, lanes, parts } = stage
  const copies = parts === undefined ? 1 : partsOf(sizes[parts], lanes)
  return Math.ceil((product(axes, sizes) * copies * lanes) / threadsOf(stage))
}

function tileGroups({ batch, rows, columns }: Extract<Dispatch, { kind: 'tiles' }>, sizes: Sizes): number {
  const side = (axes: readonly string[]) => Math.ceil(product(axes, sizes) / TILE.side)
  return side(rows) * side(columns) * product(batch, sizes)
}

/** The content of the uniform buffer. */
export function packUniforms(module: Module, layout: Layout, batch: Batch): Uint32Array<ArrayBuffer> {
  const { list } = module.words
  const words = new Uint32Array(Math.max(4, Math.ceil(list.length / 4) * 4))
  const floats = new Float32Array(words.buffer)
  const lanes = lanesByParts(module.stages)
  const scalars = scalarReader(module.program, batch, layout.sizes)
  list.forEach((word, place) => {
    if (word.kind === 'infinity') floats[place] = Number.POSITIVE_INFINITY
    else if (word.kind === 'nan') floats[place] = Number.NaN
    else if (word.kind !== 'scalar') words[place] = wordOf(word, layout, batch, lanes)
    else if (word.isTruth) words[place] = Number(scalars(word.node) !== 0)
    else floats[place] = scalars(word.node)
  })
  return words
}

type PlainWord = Exclude<Word, { kind: 'scalar' }>

function wordOf(word: PlainWord, layout: Layout, batch: Batch, lanes: ReadonlyMap<string, number>): number {
  switch (word.kind) {
    case 'size':
      return layout.sizes[word.axis]
    case 'parts':
      return partsOf(layout.sizes[word.axis], lanes.get(word.axis)!)
    case 'part_length':
      return splitReductionChunk(layout.sizes[word.axis], lanes.get(word.axis)!)
    case 'input':
      return layout.inputs[word.name]
    case 'cotangent':
      return layout.cotangent
    case 'cotangent_step':
      return Number(lengthOf(batch.cotangent) > 1)
    case 'block':
      return layout.blocks.get(word.block.id)!
    default:
      throw new Error(`${word.kind} is not an integer`)
  }
}

/** Evaluates nodes without axes, in float64. */
function scalarReader({ nodes }: LegalizedProgram, { scalars }: Batch, sizes: Sizes): (id: number) => number {
  const known = new Map<number, number>()
  const evaluate = (id: number): number => {
    const { op, args, value, name, axis } = nodes[id]
    if (op === 'constant') return value!
    if (op === 'size') return sizes[axis!]
    if (op === 'scalar') return scalars[name!]
    if (op === 'select') return read(args[0]) !== 0 ? read(args[1]) : read(args[2])
    if (isElementwise(op)) return evaluateScalar(op, args.map(read))
    throw new UnsupportedByEngine(`${op} of a single number`)
  }
  const read = (id: number): number => {
    const found = known.get(id) ?? evaluate(id)
    known.set(id, found)
    return found
  }
  return read
}

/** The length of a result, in the order of the results. */
export function resultLength(program: Program, { axes }: BufferDeclaration, sizes: Sizes): number {
  return product(axes, sizesWithRenamedAxes(program, sizes))
}
