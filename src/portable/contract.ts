/**
 * What a portable kernel is written from, and the manifest that it carries. Types and one refusal only.
 */
import type { Program } from '../language/ir.ts'
import type { BatchDependence } from '../losses/define.ts'
import type { Precision } from '../tensor.ts'

/** The version of the binary interface (docs/kernel-abi.md). */
export const ABI = 1

/** What a runtime supports beyond WebAssembly 1.0. `scalar` is nothing but conversions that saturate. */
export const FEATURES = ['simd', 'relaxed-simd', 'scalar'] as const
export type Features = (typeof FEATURES)[number]

/** How elements are stored in the memory of a kernel. */
export type StoredDtype = Precision | 'int32'

/** The valid numbers of a real input. NaN passes. */
export interface RangeCheck {
  readonly low: number
  readonly high: number
  /** Whether only these two are valid. */
  readonly only: boolean
}

/** The valid indices: from 0 to below the size of an axis plus an offset; without an axis, any from 0 on. */
export interface IndexCheck {
  readonly axis: string | undefined
  readonly offset: number
  /** The one valid index outside of that range. */
  readonly ignored: number | undefined
}

/** An input that switches elements of another one off, which may then have any value. */
export interface Silencer {
  readonly input: string
  /** The number that switches off; for a mask, every number but 1 does. */
  readonly where: number | 'not 1'
}

/** One input of a kernel, in the order of the loss. */
export interface PortableInput {
  readonly name: string
  /** From slowest to fastest. */
  readonly axes: readonly string[]
  readonly dtype: StoredDtype
  readonly range: RangeCheck | undefined
  readonly indices: IndexCheck | undefined
  /** Whether x2 >= x1 and y2 >= y1 in boxes. */
  readonly ordered: boolean
  /** The index that must not occur, if there is one. */
  readonly excepted: number | undefined
  /** The input with the valid length of each row. What comes after is 0. */
  readonly paddedTo: string | undefined
  readonly silencers: readonly Silencer[]
  /** Whether it is one vector along the last axis of `...`, and repeated along the others. */
  readonly isSpread: boolean
}

/** A program for axes of at least these sizes. It has the parameters and the results of the one for any size. */
export interface LongProgram {
  readonly from: Readonly<Record<string, number>>
  readonly program: Program
}

/** A loss for one structure of its inputs: what determines the code of a kernel. */
export interface PortableLoss {
  /** For any size. */
  readonly program: Program
  /** The first one whose axes are long enough is computed instead, because the service does so. */
  readonly longer: readonly LongProgram[]
  readonly precision: Precision
  /** Values of the run-time parameters, for which the kernel is specialized. Others are right, and may be slower. */
  readonly scalars: Readonly<Record<string, number>>
  readonly inputs: readonly PortableInput[]
  /** Axis -> the axis or the number that it has the size of. */
  readonly roots: Readonly<Record<string, string>>
  /** Whether `...` stands for no axis, so that its size is 1. */
  readonly isBare: boolean
  /** The slowest axis: sample weights apply to it. */
  readonly first: string
  readonly couples: BatchDependence
  /** The input that divides the loss of each row in a mean. */
  readonly lengths: string | undefined
}

/** One of the arrays of a kernel. */
export interface ManifestArray {
  readonly name: string
  readonly axes: readonly string[]
  readonly dtype: StoredDtype
}

/** The layout of the interface of one kernel. */
export interface Manifest {
  readonly abi: typeof ABI
  readonly features: Features
  readonly precision: Precision
  /** What the words at `lossd_sizes` are, in order. `...[0]` is the first of the axes of `...`, `...[-1]` the last. */
  readonly sizes: readonly string[]
  /** `lossd_input(i)`, in order. The last two are `sample_weight` and `grad_output`, which need not be given. */
  readonly inputs: readonly ManifestArray[]
  /** `lossd_output(i)`, in order. */
  readonly outputs: readonly ManifestArray[]
  /** The numbers at `lossd_params`, in order; after them comes the denominator. Infinities are strings. */
  readonly params: readonly { readonly name: string; readonly value: number }[]
  /** The argument of `lossd_run` is the place in this list. */
  readonly reductions: readonly string[]
  /** Functions of numbers that the host provides as `env.<name>`. */
  readonly imports: readonly string[]
  /** The codes of `status` in the result, by number. */
  readonly statuses: readonly string[]
}

/** A loss that no kernel can compute. */
export class KernelUnavailable extends Error {
  override readonly name = 'KernelUnavailable'
}
