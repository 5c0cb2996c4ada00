/**
 * An LRU cache of compute pipelines for one device. The key consists of the program, the values of conditions that
 * depend only on parameters (constant specialization), and the size classes that determine its schedule. Programs
 * that cannot be compiled are cached, too.
 */

import { type Program, sizesWithRenamedAxes } from '../../language/ir.ts'
import type { LegalizedProgram } from '../../loops/legalize.ts'
import { evaluateStaticPredicates, type StaticPredicates } from '../../loops/static-predicates.ts'
import { LruCache } from '../../lru.ts'
import { type Batch, type CompileCache, UnsupportedByEngine } from '../contract.ts'
import { legalizeForShaders, type Module, moduleOf } from './module.ts'
import { scheduleKey } from './schedule.ts'

/** Maximum number of entries. */
const MAX_KEPT = 512

export interface Compiled extends Module {
  readonly pipelines: readonly GPUComputePipeline[]
}

export class PipelineCache {
  readonly layout: GPUBindGroupLayout
  readonly #device: GPUDevice
  readonly #pipelineLayout: GPUPipelineLayout
  readonly #kept = new LruCache<string, Promise<Compiled>>({ entries: MAX_KEPT })
  readonly #expanded = new LruCache<string, LegalizedProgram | UnsupportedByEngine>({ entries: MAX_KEPT })
  #hits = 0
  #misses = 0

  constructor(device: GPUDevice) {
    this.#device = device
    const types = ['uniform', 'read-only-storage', 'storage', 'storage'] as const
    this.layout = device.createBindGroupLayout({
      entries: types.map((type, binding) => ({
        binding,
        visibility: GPUShaderStage.COMPUTE,
        buffer: { type },
      })),
    })
    this.#pipelineLayout = device.createPipelineLayout({ bindGroupLayouts: [this.layout] })
  }

  get state(): CompileCache {
    return { entries: this.#kept.size, capacity: MAX_KEPT, hits: this.#hits, misses: this.#misses }
  }

  /** @throws UnsupportedByEngine (rejects) if the program is too large or the driver cannot compile it */
  async find(batch: Batch): Promise<Compiled> {
    const staticPredicates = evaluateStaticPredicates(batch.program, batch.scalars)
    const name = `${batch.programKey} ${[...staticPredicates.values()]}`
    const program = this.#expand(name, batch.program, staticPredicates)
    const sizes = sizesWithRenamedAxes(batch.program, batch.sizes)
    const key = `${name} ${scheduleKey(program, sizes)}`
    const known = this.#kept.get(key)
    if (known === undefined) this.#misses++
    else this.#hits++
    return known ?? this.#kept.set(key, this.#compile(program, sizes))
  }

  #expand(name: string, program: Program, staticPredicates: StaticPredicates): LegalizedProgram {
    const found =
      this.#expanded.get(name) ??
      this.#expanded.set(
        name,
        tried(() => legalizeForShaders(program, staticPredicates)),
      )
    if (found instanceof UnsupportedByEngine) throw found
    return found
  }

  async #compile(program: LegalizedProgram, sizes: Readonly<Record<string, number>>): Promise<Compiled> {
    const module = moduleOf(program, sizes)
    return { ...module, pipelines: await Promise.all(module.sources.map((source) => this.#pipeline(source))) }
  }

  async #pipeline(code: string): Promise<GPUComputePipeline> {
    try {
      const module = this.#device.createShaderModule({ code })
      return await this.#device.createComputePipelineAsync({
        layout: this.#pipelineLayout,
        compute: { module },
      })
    } catch (error) {
      const { reason, message } = error as GPUPipelineError
      // An invalid shader is a bug in lossd. A shader that the driver cannot compile is not.
      if (reason === 'internal') throw new UnsupportedByEngine(`the driver rejected its shader: ${message}`)
      throw error
    }
  }
}

function tried(make: () => LegalizedProgram): LegalizedProgram | UnsupportedByEngine {
  try {
    return make()
  } catch (error) {
    if (error instanceof UnsupportedByEngine) return error
    throw error
  }
}
