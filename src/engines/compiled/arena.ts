/** Arena allocator: a bounded pool of WebAssembly memories that launches borrow and return. */
import { OutOfMemory } from '../contract.ts'
import { MAX_PAGES, withUnsharedMemory } from './wasm-encoder.ts'

const PAGE = 65536

/**
 * One memory and its views. It holds the argument, inputs, results and scratch of one launch. Memories are shared
 * between threads, so data is copied in once and read where the kernel wrote it. A memory cannot shrink, so memories
 * that have grown large are dropped when they become idle.
 */
export class Arena {
  static #next = 1
  readonly id = Arena.#next++
  readonly memory: WebAssembly.Memory
  floats: Float32Array
  words: Int32Array
  doubles: Float64Array
  readonly #shared: boolean
  /** The exported functions of the modules that were instantiated with this memory. */
  readonly #bound = new WeakMap<object, unknown>()

  /** @param shared whether other threads compute in it, too */
  constructor({ shared = true } = {}) {
    this.#shared = shared
    this.memory = new WebAssembly.Memory({ initial: 1, maximum: MAX_PAGES, shared })
    this.floats = new Float32Array(this.memory.buffer)
    this.words = new Int32Array(this.memory.buffer)
    this.doubles = new Float64Array(this.memory.buffer)
  }

  get bytes(): number {
    return this.words.byteLength
  }

  /** @throws OutOfMemory if the system has no more memory */
  reserve(bytes: number) {
    if (bytes <= this.bytes) return
    try {
      this.memory.grow(Math.ceil((bytes - this.bytes) / PAGE))
    } catch {
      throw new OutOfMemory(`${bytes} bytes of memory are not available at the moment`)
    }
    this.floats = new Float32Array(this.memory.buffer)
    this.words = new Int32Array(this.memory.buffer)
    this.doubles = new Float64Array(this.memory.buffer)
  }

  /** A module's function on this memory, instantiated once. */
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
  /** Maximum size of all memories together. */
  readonly bytes: number
  /** A memory larger than this is dropped when it is returned. */
  readonly keptBytes: number
}

interface Waiter {
  readonly bytes: number
  readonly resolve: (arena: Arena) => void
  readonly reject: (error: Error) => void
}

/** The pool of memories. If all bytes are in use, further launches wait in a queue. */
export class Arenas {
  readonly #limits: ArenaLimits
  readonly #onDrop: (arena: Arena) => void
  readonly #idle: Arena[] = []
  readonly #lent = new Map<Arena, number>()
  /** Borrowed memories whose results are still being sent. */
  readonly #kept = new Set<Arena>()
  readonly #waiting: Waiter[] = []

  /** @param onDrop is called for every memory that is dropped */
  constructor(limits: ArenaLimits, onDrop: (arena: Arena) => void) {
    this.#limits = limits
    this.#onDrop = onDrop
  }

  /** Number of borrowed memories. */
  get lent(): number {
    return this.#lent.size
  }

  /** Total size, borrowed and idle. */
  get bytes(): number {
    return [...this.#lent.keys(), ...this.#idle].reduce((total, arena) => total + arena.bytes, 0)
  }

  /** @throws OutOfMemory (rejects) if this size exceeds the limit, or the system has no more memory */
  async take(bytes: number): Promise<Arena> {
    if (bytes > this.#limits.bytes) {
      throw new OutOfMemory(
        `a launch of ${bytes} bytes exceeds the ${this.#limits.bytes} bytes that all launches share`,
      )
    }
    if (this.#waiting.length === 0 && this.#fits(bytes)) return this.#lend(bytes)
    return new Promise((resolve, reject) => this.#waiting.push({ bytes, resolve, reject }))
  }

  /**
   * Asks to keep a borrowed memory until a possibly slow client is done with it.
   *
   * @returns false if a quarter of the bytes is already kept in this way: launches take precedence
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

  /** The best fit among the idle memories: the smallest that is large enough, otherwise the largest. */
  #lend(bytes: number): Arena {
    this.#idle.sort((a, b) => a.bytes - b.bytes)
    const place = this.#idle.findIndex((arena) => arena.bytes >= bytes)
    const arena = (place >= 0 ? this.#idle.splice(place, 1)[0] : this.#idle.pop()) ?? new Arena()
    arena.reserve(bytes)
    this.#lent.set(arena, bytes)
    return arena
  }
}
