/** What runs the sources of a target on this machine. */
import type { Precision } from '../../../src/tensor.ts'
import type { Case, Reduced, Reduction, Unit } from '../cases.ts'

/** A source to run, and what on. */
export interface Job {
  readonly unit: Unit
  /** A word that no other source has. */
  readonly id: string
  /** The name of its function. */
  readonly name: string
  readonly text: string
}

/** What came out for one case. */
export interface Outcome {
  readonly values: Float64Array
  readonly gradients: Readonly<Record<string, Float64Array>>
  /** With the reductions that the target has, as far as the case asks for them. */
  readonly reduced?: ReadonlyMap<Reduction, Pick<Reduced, 'loss' | 'gradients'>>
  /** What else the library finds wrong, as a sentence each: its own check of gradients, or another way to call the source. */
  readonly problems?: readonly string[]
}

export interface Runner {
  /** Runs all sources; the outcomes of each stand in the order of its cases. */
  run(jobs: readonly Job[], precision: Precision): Promise<readonly (readonly Outcome[])[]>
}

/** This machine has not what the target needs. */
export class NotHere extends Error {}

/** The inputs of a case in the order of the definition, as far as the source reads them. */
export function gradientNames({ gradients }: Case): readonly string[] {
  return Object.keys(gradients)
}
