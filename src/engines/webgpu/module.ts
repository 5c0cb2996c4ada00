/** Program -> the WGSL of its stages, and the numbers that they share. Pure: it knows no device. */

import type { Program } from '../../language/ir.ts'
import type { LegalizedProgram } from '../../loops/legalize.ts'
import { NO_STATIC_PREDICATES, type StaticPredicates } from '../../loops/static-predicates.ts'
import { UnsupportedByEngine } from '../contract.ts'
import { legalizeWithin, withoutWholeAxisOps } from '../legalize-or-reject.ts'
import type { BufferDeclaration, Dispatch, KernelSchedule } from './kernel-schedule.ts'
import { mathSource } from './math.ts'
import { tileSource } from './matmul-tiles.ts'
import { rowSource, type ShaderFragment } from './row-kernels.ts'
import { schedule } from './schedule.ts'
import { UniformLayout } from './uniform-layout.ts'

/** The language's 512 nodes become a few hundred operations, including gradients. Drivers are slow with more. */
const MAX_NODES = 4096
/** Drivers need seconds for longer shaders. */
const MAX_SOURCE = 256 * 1024

export interface Module extends KernelSchedule {
  readonly words: UniformLayout
  /** One per stage. */
  readonly sources: readonly string[]
}

/**
 * The legalized program that is divided into stages. A single number as the cotangent of all values is read like a
 * column, so that a job runs the same code alone and in a batch, and gets the same bits.
 *
 * @param staticPredicates the values of conditions that depend only on parameters
 * @throws UnsupportedByEngine if it is too large, or has whole-axis ops
 */
export function legalizeForShaders(
  program: Program,
  staticPredicates: StaticPredicates = NO_STATIC_PREDICATES,
): LegalizedProgram {
  return legalizeWithin(MAX_NODES, withoutWholeAxisOps(program), { uniform: false, staticPredicates })
}

/**
 * @param sizes of the program's axes; only their classes matter
 * @example
 * moduleOf(legalizeForShaders(program), { rows: 1024, classes: 10 }).sources[0] // 'struct Words { ...'
 */
export function moduleOf(program: LegalizedProgram, sizes: Readonly<Record<string, number>>): Module {
  const made = schedule(program, sizes)
  const words = new UniformLayout()
  const written = made.stages.map((stage, place) => sourceOf(made, stage, place, words))
  const header = `${words.source()}
@group(0) @binding(0) var<uniform> words: Words;
@group(0) @binding(1) var<storage, read> inputs: array<u32>;
@group(0) @binding(2) var<storage, read_write> scratch: array<u32>;
@group(0) @binding(3) var<storage, read_write> results: array<f32>;`
  const sources = written.map(({ text, functions }) => `${header}\n${mathSource(functions)}\n${text}\n`)
  const longest = Math.max(...sources.map(({ length }) => length))
  if (longest > MAX_SOURCE)
    throw new UnsupportedByEngine(`its shader has ${longest} characters, the limit is ${MAX_SOURCE}`)
  return { ...made, words, sources }
}

function sourceOf(
  made: KernelSchedule,
  stage: Dispatch,
  place: number,
  words: UniformLayout,
): ShaderFragment {
  const memory = { program: made.program, units: made.units, words, homes: homesBefore(made, place) }
  return stage.kind === 'rows' ? rowSource(stage, memory) : tileSource(stage, memory)
}

/** What earlier dispatches have stored. A dispatch recomputes what it stores itself. */
function homesBefore({ stages }: KernelSchedule, place: number): Map<number, BufferDeclaration> {
  const homes = new Map<number, BufferDeclaration>()
  const add = (block: BufferDeclaration) => {
    if (block.role === 'scratch' && block.parts === undefined) homes.set(block.node, block)
  }
  for (const stage of stages.slice(0, place)) {
    if (stage.kind === 'tiles') add(stage.block)
    else for (const item of stage.items) if (item.kind === 'store') add(item.block)
  }
  return homes
}
