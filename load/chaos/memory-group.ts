/** A limit of memory as containers have it: a control group of Linux, of either version. Takes root. */
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { pid } from 'node:process'

const ROOT = '/sys/fs/cgroup'
const NAME = 'lossd-chaos'

/** Version 1 has a tree for each resource; in version 2 there is one. */
const [PARENT, LIMIT, PEAK] = existsSync(`${ROOT}/memory`)
  ? [`${ROOT}/memory`, 'memory.limit_in_bytes', 'memory.max_usage_in_bytes']
  : [ROOT, 'memory.max', 'memory.peak']

export class MemoryGroup {
  readonly #folder = `${PARENT}/${NAME}`

  /**
   * Processes that start from now on are in the group.
   *
   * @throws Error where this is not possible
   */
  constructor(bytes: number) {
    mkdirSync(this.#folder)
    try {
      writeFileSync(`${this.#folder}/${LIMIT}`, String(bytes))
      this.#move(this.#folder)
    } catch (error) {
      rmdirSync(this.#folder)
      throw error
    }
  }

  /** The most that was in use, in MB. */
  get peakMB(): number {
    return Number(readFileSync(`${this.#folder}/${PEAK}`, 'utf8')) / 1e6
  }

  /** This process is outside again. */
  leave() {
    this.#move(PARENT)
  }

  /** Nothing may run in it any more. */
  remove() {
    rmdirSync(this.#folder)
  }

  #move(folder: string) {
    writeFileSync(`${folder}/cgroup.procs`, String(pid))
  }
}
