/** A request after its parts were understood: what weighing, the job and the answer are made from. Types only. */
import type { Precision } from '../engines/define.ts'
import type { InputLayout } from '../language/ir.ts'
import type { Loss } from '../losses/define.ts'
import type { LossProgram } from '../losses/program.ts'
import type { Decoded, DecodedTensor } from '../wire/define.ts'
import type { Axes } from './axes.ts'
import type { Options } from './params.ts'
import type { NumericArray } from './tensor.ts'

/** The inputs as programs read them. */
export interface Arrays {
  readonly data: Readonly<Record<string, NumericArray>>
  readonly layouts: Readonly<Record<string, InputLayout>>
}

export interface Understood {
  readonly loss: Loss
  readonly decoded: Decoded
  readonly options: Options
  readonly tensors: ReadonlyMap<string, DecodedTensor>
  readonly axes: Axes
  readonly precision: Precision
  readonly arrays: Arrays
  readonly wants: readonly string[]
  readonly program: LossProgram
}

/** The slowest axis: along it, jobs are concatenated and weights are given. */
export function firstAxis(loss: Loss): string {
  return Object.values(loss.inputs)[0].axes[0]
}
