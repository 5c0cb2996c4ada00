/**
 * The kernels of a portable module: those that the service would choose between. One vectorizes the fastest axis, others
 * another axis where the fastest is short, and some are of another program for long axes. If a program has conditions of parameters,
 * each is there twice: as it is, and specialized for the given values.
 */
import { type ElementTypes, VECTOR_BYTES } from '../engines/compiled/element-types.ts'
import type { Helpers } from '../engines/compiled/emit/helpers.ts'
import { emitFunction, type Word } from '../engines/compiled/emit.ts'
import { planOf, scalarNodesOf } from '../engines/compiled/kernel.ts'
import { limitOf } from '../engines/compiled/kernel-cache.ts'
import { lanesOf } from '../engines/compiled/lane-type.ts'
import { type LaneAxes, laneAxesOf, MANY, SHORT } from '../engines/compiled/lanes.ts'
import { type Code, type FunctionBuilder, i32, op } from '../engines/compiled/wasm-encoder.ts'
import type { TargetFeatures } from '../engines/compiled/wide.ts'
import { UnsupportedByEngine } from '../engines/contract.ts'
import type { Program } from '../language/ir.ts'
import type { Plan } from '../loops/loop-plan.ts'
import {
  evaluateStaticPredicates,
  NO_STATIC_PREDICATES,
  type StaticPredicates,
} from '../loops/static-predicates.ts'
import type { AxisSizes } from './axes.ts'
import { and } from './code.ts'
import { type Features, KernelUnavailable, type LongProgram, type PortableLoss } from './contract.ts'

/** A kernel before it is emitted. */
export interface PlannedKernel {
  readonly plan: Plan
  /** What it was planned for, and the least sizes of axes for which it is. */
  readonly program: Program
  readonly from: LongProgram['from']
  /** Whether the cotangent is one number for all values. */
  readonly uniform: boolean
  /** The vectorized axis and the maximum length of the fastest for which it is; undefined for the fastest itself. */
  readonly across: { readonly axis: string; readonly limit: number } | undefined
}

/** Kernels for the same values of the conditions. The last one serves every size. */
export interface PlannedGroup {
  readonly conditions: Conditions
  readonly kernels: readonly PlannedKernel[]
}

export interface EmittedKernel extends PlannedKernel {
  readonly f: FunctionBuilder
  readonly words: readonly Word[]
  readonly scalarNodes: readonly number[]
}

/** Program -> the values of its conditions. */
type Conditions = ReadonlyMap<Program, StaticPredicates>

export interface EmittedGroup {
  readonly conditions: Conditions
  readonly kernels: readonly EmittedKernel[]
  /** Bytes of an argument. */
  readonly argumentBytes: number
}

/** @throws KernelUnavailable if the program has ops that loops over elements cannot express, or is too large */
export function planKernels(loss: PortableLoss, features: Features): PlannedGroup[] {
  const forms = [...loss.longer, { from: {}, program: loss.program }]
  const given: Conditions = new Map(
    forms.map(({ program }) => [program, evaluateStaticPredicates(program, loss.scalars)]),
  )
  const isPlain = [...given.values()].every(({ size }) => size === 0)
  const all: Conditions[] = isPlain ? [new Map()] : [new Map(), given]
  try {
    return all.map((conditions) => ({
      conditions,
      kernels: forms.flatMap((form) =>
        kernelsFor(loss, form, conditions.get(form.program) ?? NO_STATIC_PREDICATES, features),
      ),
    }))
  } catch (error) {
    if (error instanceof UnsupportedByEngine) throw new KernelUnavailable(error.message)
    throw error
  }
}

function kernelsFor(
  { lengths, isBare }: PortableLoss,
  { from, program }: LongProgram,
  staticPredicates: StaticPredicates,
  features: Features,
): PlannedKernel[] {
  const make = (uniform: boolean, lanes?: string): Plan => {
    return planOf(program, { uniform, staticPredicates, lanes })
  }
  const beside = features === 'scalar' ? [] : lanesBeside(program, isBare)
  const short = beside.flatMap((axis) => {
    const limit = limitOf(program, staticPredicates, axis)
    return limit < 1 ? [] : [{ plan: make(false, axis), uniform: false, across: { axis, limit } }]
  })
  const uniform = lengths === undefined ? [{ plan: make(true), uniform: true, across: undefined }] : []
  const all = [...short, ...uniform, { plan: make(false), uniform: false, across: undefined }]
  return all.map((kernel) => ({ ...kernel, program, from }))
}

/** The axes that may be vectorized instead of the fastest, in the order in which they are tried. */
function lanesBeside(program: Program, isBare: boolean): string[] {
  const axes = laneAxesOf(program)
  if (axes === undefined) return []
  return [...axes.middle.filter((axis) => axis !== '...' || !isBare), axes.outermost]
}

/** @param helpers those of the module for lanes of this precision */
export function emitGroup(
  { conditions, kernels }: PlannedGroup,
  target: TargetFeatures,
  types: ElementTypes,
  helpers: Helpers,
): EmittedGroup {
  const emitted = kernels.map((kernel) => {
    const { f, words } = emitFunction(kernel.plan, target, types, helpers)
    return { ...kernel, f, words, scalarNodes: scalarNodesOf(kernel.plan, words) }
  })
  const most = Math.max(...emitted.map(({ words }) => words.length * 4))
  return {
    conditions,
    kernels: emitted,
    argumentBytes: Math.ceil(most / VECTOR_BYTES) * VECTOR_BYTES + VECTOR_BYTES,
  }
}

/** How buffers are stored. */
export function elementTypesOf({ precision, inputs }: PortableLoss): ElementTypes {
  const narrow = precision === 'float64' ? inputs.filter(({ dtype }) => dtype === 'float32') : []
  return { lane: lanesOf(precision), narrow: new Set(narrow.map(({ name }) => name)) }
}

/**
 * Whether a kernel is the one for the given sizes, if those before it in its group are not.
 *
 * @param isPlain whether the cotangent is one number for all values
 */
export function isChosen(
  { program, from, across, uniform }: PlannedKernel,
  sizes: AxisSizes,
  isPlain: Code,
): Code {
  const isLong = Object.entries(from).map(([axis, least]) => op('i32.ge_s', sizes.whole(axis), i32(least)))
  if (across === undefined) return and(...isLong, ...(uniform ? [isPlain] : []))
  const axes = laneAxesOf(program) as LaneAxes
  const fastest = sizes.whole(axes.fastest)
  const atMost = (limit: number) => op('i32.lt_s', fastest, i32(Math.floor(limit) + 1))
  const fills = op('i32.ge_s', sizes.whole(across.axis), i32(MANY))
  const isMiddle = axes.middle.includes(across.axis)
  return and(...isLong, atMost(SHORT), atMost(across.limit), ...(isMiddle ? [fills] : []))
}
