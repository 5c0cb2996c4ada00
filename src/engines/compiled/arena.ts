/**
 * WebAssembly memories, lent and taken back: one holds the argument, inputs, results and scratch of one launch. They are
 * shared between threads, so that data is copied in once and read where the kernel left it. Bounded in bytes; a memory
 * cannot shrink, so those that grew large are dropped when they are idle.
 */
import { OutOfMemory } from '../contract.ts'
import { MAX_PAGES, withUnsharedMemory } from './wasm-encoder.ts'

const PAGE = 65536

/** One memory and its views. */
export class Arena {
  static #next = 1
  readonly id = Arena.#next++
  readonly memory: WebAssembly.Memory
  floats: Float32Array
  words: Int32Array
  readonly #shared: boolean
  /** Functions of the modules that were bound to this memory. */
  readonly #bound = new WeakMap<object, unknown>()

  /** @param shared whether other threads compute in it, too */
  constructor({ shared = true } = {}) {
    this.#shared = shared
    this.memory = new WebAssembly.Memory({ initial: 1, maximum: MAX_PAGES, shared })
    this.floats = new Float32Array(this.memory.buffer)
    this.words = new Int32Array(this.memory.buffer)
  }

  get bytes(): number {
    return this.words.byteLength
  }

  /** @throws OutOfMemory when the system has no more */
  reserve(bytes: number) {
    if (bytes <= this.bytes) return
    try {
      this.memory.grow(Math.ceil((bytes - this.bytes) / PAGE))
    } catch {
      throw new OutOfMemory(`${bytes} bytes of memory cannot be had now`)
    }
    this.floats = new Float32Array(this.memory.buffer)
    this.words = new Int32Array(this.memory.buffer)
  }

  /** A module's function on this memory, compiled for it and instantiated once. */
  bind<Run>(
    code: { readonly bytes: Uint8Array<ArrayBuffer> },
    instantiate: (module: WebAssembly.Module, memory: WebAssembly.Memory) => Run,
  ): Run {
    const known = this.#bound.get(code)
    if (known !== undefined) return known as Run
    const module = new WebAssembly.Module(this.#shared ? code.bytes : withUnsharedMemory(code.bytes))
    const run = instantiate(module, this.memory)
    this.#bound.set(code, run)
    return run
  }
}

export interface ArenaLimits {
  /** Of all memories together. */
  readonly bytes: number
  /** A memory larger than this is dropped when it comes back. */
  readonly keptBytes: number
}

interface Waiter {
  readonly bytes: number
  readonly resolve: (arena: Arena) => void
  readonly reject: (error: Error) => void
}

/** Lends memories; who comes when the bytes are used up waits in line. */
export class Arenas {
  readonly #limits: ArenaLimits
  readonly #onDrop: (arena: Arena) => void
  readonly #idle: Arena[] = []
  readonly #lent = new Map<Arena, number>()
  /** Those of them whose results are still being sent. */
  readonly #kept = new Set<Arena>()
  readonly #waiting: Waiter[] = []

  /** @param onDrop is told of every memory that is not kept */
  constructor(limits: ArenaLimits, onDrop: (arena: Arena) => void) {
    this.#limits = limits
    this.#onDrop = onDrop
  }

  /** How many are out. */
  get lent(): number {
    return this.#lent.size
  }

  /** Bytes that are held, lent or idle. */
  get bytes(): number {
    return [...this.#lent.keys(), ...this.#idle].reduce((total, arena) => total + arena.bytes, 0)
  }

  /** @throws OutOfMemory (rejects) when so much can never be lent, or the system has no more */
  async take(bytes: number): Promise<Arena> {
    if (bytes > this.#limits.bytes) {
      throw new OutOfMemory(
        `a launch of ${bytes} bytes is more than the ${this.#limits.bytes} that all share`,
      )
    }
    if (this.#waiting.length === 0 && this.#fits(bytes)) return this.#lend(bytes)
    return new Promise((resolve, reject) => this.#waiting.push({ bytes, resolve, reject }))
  }

  /**
   * Asks to keep a lent memory until somebody else, who may be slow, is done with it.
   *
   * @returns false where a quarter of the bytes is kept so: those who compute come first
   */
  keep(arena: Arena): boolean {
    if (this.#kept.has(arena)) return true
    const kept = [...this.#kept].reduce((total, { bytes }) => total + bytes, arena.bytes)
    if (kept > this.#limits.bytes / 4) return false
    this.#kept.add(arena)
    return true
  }

  giveBack(arena: Arena) {
    if (!this.#lent.delete(arena)) return
    this.#kept.delete(arena)
    if (arena.bytes <= this.#limits.keptBytes) this.#idle.push(arena)
    else this.#onDrop(arena)
    while (this.#waiting.length > 0 && this.#fits(this.#waiting[0].bytes)) this.#serve(this.#waiting.shift()!)
  }

  #serve({ bytes, resolve, reject }: Waiter) {
    try {
      resolve(this.#lend(bytes))
    } catch (error) {
      reject(error as Error)
    }
  }

  #fits(bytes: number): boolean {
    const used = [...this.#lent.values()].reduce((total, lent) => total + lent, 0)
    return this.#lent.size === 0 || used + bytes <= this.#limits.bytes
  }

  /** The idle one that fits best: large enough if there is one, else the largest. */
  #lend(bytes: number): Arena {
    this.#idle.sort((a, b) => a.bytes - b.bytes)
    const place = this.#idle.findIndex((arena) => arena.bytes >= bytes)
    const arena = (place >= 0 ? this.#idle.splice(place, 1)[0] : this.#idle.pop()) ?? new Arena()
    arena.reserve(bytes)
    this.#lent.set(arena, bytes)
    return arena
  }
}
