/**
 * A compiled program and its launches: the memory layout for given sizes, the kernel's argument, and what a launch
 * reads and writes. It owns no memory; arena.ts does.
 */

import type { Program } from '../../language/ir.ts'
import { isElementwise } from '../../language/scalar.ts'
import { COTANGENT, type Specialization } from '../../loops/legalize.ts'
import { type Buffer, type Plan, totalCost } from '../../loops/loop-plan.ts'
import { plan } from '../../loops/planner.ts'
import { type Extent, isRepeatable } from '../../loops/whole-axis.ts'
import { UnsupportedByEngine } from '../contract.ts'
import { legalizeWithin } from '../legalize-or-reject.ts'
import { ALL_FLOAT32, type ElementTypes, elementBytesOf, VECTOR_BYTES } from './element-types.ts'
import { OVERREAD_ELEMENTS } from './emit/kernel-params.ts'
import { emit, type Word } from './emit.ts'
import type { LaneType } from './lane-type.ts'
import { evaluateScalarNode } from './scalar-math.ts'
import type { TargetFeatures } from './wide.ts'

/** Sizes of all axes, including the renamed ones. */
export type Sizes = Readonly<Record<string, number>>

/** The memory layout of one launch. The argument comes first. */
export interface Layout {
  readonly sizes: readonly number[]
  /** The offset of each buffer, in bytes. */
  readonly bases: readonly number[]
  /** The length of each buffer in elements, without padding. */
  readonly counts: readonly number[]
  readonly strides: readonly (readonly number[])[]
  /** The size of each buffer in bytes, a multiple of a vector. */
  readonly bytes: readonly number[]
  /** The start of the scratch memory, and its size per slice. */
  readonly scratch: { readonly start: number; readonly bytes: number }
  /** The end of the memory that a launch in one slice uses. */
  readonly end: number
}

export interface Kernel {
  readonly plan: Plan
  readonly types: ElementTypes
  readonly words: readonly Word[]
  readonly bytes: Uint8Array<ArrayBuffer>
  /** Nodes without axes, which a launch evaluates in this order. */
  readonly scalarNodes: readonly number[]
  /** Estimated cost of one iteration of all loops, in simple vector instructions. */
  readonly weight: number
  /** The layout of the last launch, because sizes seldom change. */
  lastLayout: Layout | undefined
}

/** The language's 512 nodes become a few hundred operations, including gradients. More would be slow to plan. */
const MAX_NODES = 4096
/** A kernel with more code would take longer to compile than to interpret. */
const MAX_KERNEL_BYTES = 512 * 1024

/** Maximum number of slices of a launch. */
export const MAX_ROW_RANGES = 64

/** Bytes between buffers: a vector that begins at a near neighbor of the last element may read this far beyond it. */
function paddingOf({ lane }: ElementTypes): number {
  return VECTOR_BYTES + OVERREAD_ELEMENTS * lane.native.bytes
}

/** The kernel of a program up to this size has at most a tenth of the allowed bytes, as a node rarely takes more than 300. */
const SMALL_NODES = 128

/** Whether a program certainly has a kernel, without compiling it. */
export function surelyCompiles({ nodes }: Program): boolean {
  return nodes.length <= SMALL_NODES && nodes.every((node) => isRepeatable(nodes, node))
}

/**
 * The loops of a program.
 *
 * @throws UnsupportedByEngine if there would be too many
 */
export function planOf(program: Program, variant: Specialization): Plan {
  const irregular = program.nodes.find((node) => !isRepeatable(program.nodes, node))
  if (irregular !== undefined) throw new UnsupportedByEngine(`${irregular.op} of operands with other axes`)
  return plan(legalizeWithin(MAX_NODES, program, variant), variant.lanes)
}

/**
 * Compiles a program.
 *
 * @throws UnsupportedByEngine if the kernel would be too large
 */
export function compile(
  program: Program,
  variant: Specialization,
  target: TargetFeatures,
  types: ElementTypes = ALL_FLOAT32,
): Kernel {
  const planned = planOf(program, variant)
  const { bytes, words } = emit(planned, target, types)
  if (bytes.length > MAX_KERNEL_BYTES) {
    throw new UnsupportedByEngine(`its kernel has ${bytes.length} bytes, the limit is ${MAX_KERNEL_BYTES}`)
  }
  const scalarNodes = scalarNodesOf(planned, words)
  return {
    plan: planned,
    types,
    words,
    bytes,
    scalarNodes,
    // With half as many lanes, everything takes twice as many vectors.
    weight: (totalCost(planned.program) * 4) / types.lane.count,
    lastLayout: undefined,
  }
}

/** The nodes without axes that a kernel's words need, in the order of their evaluation. */
export function scalarNodesOf({ program }: Plan, words: readonly Word[]): number[] {
  const wanted = words.flatMap((word) => (word.kind === 'scalar' && word.part === 0 ? [word.node] : []))
  const found = new Set<number>()
  const visit = (node: number) => {
    if (found.has(node)) return
    for (const arg of program.nodes[node].args) visit(arg)
    found.add(node)
  }
  for (const node of wanted) visit(node)
  return [...found]
}

/** The memory layout of a launch with these sizes. */
export function layoutOf(kernel: Kernel, sizes: Sizes): Layout {
  const axes = kernel.plan.program.axes
  const known = kernel.lastLayout
  if (known !== undefined && axes.every((axis, i) => known.sizes[i] === sizes[axis])) return known
  kernel.lastLayout = makeLayout(kernel, sizes)
  return kernel.lastLayout
}

function makeLayout({ plan: { buffers, program }, types, words }: Kernel, sizes: Sizes): Layout {
  let end = argumentBytes(words) * MAX_ROW_RANGES
  let start = 0
  const bases: number[] = []
  const counts: number[] = []
  const strides: number[][] = []
  const bytes: number[] = []
  for (const buffer of buffers) {
    // Scratch memory comes last.
    if (buffer.role === 'scratch' && start === 0) start = end
    const own = stridesOf(types, buffer, sizes)
    bases.push(end)
    counts.push(buffer.axes.reduce((product, axis) => product * sizes[axis], 1))
    strides.push(own.strides)
    bytes.push(align(own.bytes))
    end += align(own.bytes) + paddingOf(types)
  }
  if (start === 0) start = end
  const scratch = { start, bytes: end - start }
  return { sizes: program.axes.map((axis) => sizes[axis]), bases, counts, strides, bytes, scratch, end }
}

/** Rows of scratch memory start at vector boundaries. Inputs and results are dense. */
function stridesOf(types: ElementTypes, buffer: Buffer, sizes: Sizes): { strides: number[]; bytes: number } {
  const { axes, role, extent } = buffer
  if (extent !== undefined) return { strides: [], bytes: bytesOfExtent(extent, sizes) }
  const strides: number[] = []
  let width = elementBytesOf(types, buffer)
  for (let place = axes.length - 1; place >= 0; place--) {
    strides[place] = width
    width *= sizes[axes[place]]
    if (role === 'scratch' && place === axes.length - 1) width = align(width)
  }
  return { strides, bytes: width }
}

function bytesOfExtent(extent: Extent, sizes: Sizes): number {
  return extent.reduce(
    (sum, { bytes, axes }) => sum + axes.reduce((product, axis) => product * sizes[axis], bytes),
    0,
  )
}

/** Size of one slice's argument in bytes. */
function argumentBytes(words: readonly Word[]): number {
  return align(words.length * 4)
}

function align(bytes: number): number {
  return Math.ceil(bytes / 16) * 16
}

/** What a launch passes to the kernel in addition to its data. */
export interface Arguments {
  readonly sizes: Sizes
  readonly scalars: Readonly<Record<string, number>>
  /** The single number, if the kernel has the cotangent as a scalar. */
  readonly cotangent: number
}

/** A part of a launch: a range of the outermost axis, if the plan is separable. */
export interface RowRange {
  readonly index: number
  readonly first: number
  readonly last: number
}

/** Views of one memory. */
interface Memory {
  readonly words: Int32Array
}

/** The bits of a number, in one word or, the lower one first, in two. */
const FLOAT = new Float32Array(1)
const FLOAT_BITS = new Int32Array(FLOAT.buffer)
const DOUBLE = new Float64Array(1)
const DOUBLE_BITS = new Int32Array(DOUBLE.buffer)

function bitsOf(value: number, { lane }: ElementTypes, part: 0 | 1): number {
  if (lane.native.bytes === 4) {
    FLOAT[0] = value
    return FLOAT_BITS[0]
  }
  DOUBLE[0] = value
  return DOUBLE_BITS[part]
}

/**
 * Writes the arguments of a launch's slices.
 *
 * @returns the address of each slice's argument
 */
export function packKernelParams(
  kernel: Kernel,
  layout: Layout,
  args: Arguments,
  memory: Memory,
  slices: readonly RowRange[],
): number[] {
  const values = evaluateScalars(kernel, args)
  return slices.map((slice) => {
    const address = slice.index * argumentBytes(kernel.words)
    let at = address / 4
    for (const word of kernel.words) {
      if (word.kind !== 'scalar') memory.words[at] = wordOf(word, layout, args.sizes, slice)
      else if (kernel.plan.program.nodes[word.node].type === 'bool')
        memory.words[at] = values[word.node] === 0 ? 0 : -1
      else memory.words[at] = bitsOf(values[word.node], kernel.types, word.part)
      at++
    }
    return address
  })
}

function wordOf(
  word: Exclude<Word, { kind: 'scalar' }>,
  layout: Layout,
  sizes: Sizes,
  slice: RowRange,
): number {
  switch (word.kind) {
    case 'first':
      return slice.first
    case 'last':
      return slice.last
    case 'size':
      return sizes[word.axis]
    case 'base':
      return (
        layout.bases[word.buffer.id] +
        (word.buffer.role === 'scratch' ? slice.index * layout.scratch.bytes : 0)
      )
    case 'stride':
      return word.dimension < 0
        ? layout.bytes[word.buffer.id]
        : layout.strides[word.buffer.id][word.dimension]
  }
}

/** In float64. Values that depend on the cotangent are rounded, as in a launch with one cotangent per value. */
function evaluateScalars(
  { plan: { program }, types: { lane }, scalarNodes }: Kernel,
  { sizes, scalars, cotangent }: Arguments,
): number[] {
  const values: number[] = []
  const ofCotangent = new Set<number>()
  for (const id of scalarNodes) {
    const { op, args, value, name, axis } = program.nodes[id]
    if (op === 'constant') values[id] = value!
    else if (op === 'size') values[id] = sizes[axis!]
    else if (op === 'scalar') values[id] = name === COTANGENT ? cotangent : scalars[name!]
    else if (op === 'select') values[id] = values[args[0]] !== 0 ? values[args[1]] : values[args[2]]
    else if (isElementwise(op)) values[id] = evaluateScalarNode(op, narrowed(lane, args, values, ofCotangent))
    else throw new UnsupportedByEngine(`${op} of a single number`)
    if (name !== COTANGENT && !args.some((arg) => ofCotangent.has(arg))) continue
    ofCotangent.add(id)
    values[id] = lane.round(values[id])
  }
  return values
}

/** The other factor of a cotangent reaches the lanes in their precision. */
function narrowed(
  lane: LaneType,
  args: readonly number[],
  values: readonly number[],
  ofCotangent: ReadonlySet<number>,
): number[] {
  const isNarrow = args.some((arg) => ofCotangent.has(arg))
  return [values[args[0]], values[args[1]]].map((value) => (isNarrow ? lane.round(value) : value))
}
