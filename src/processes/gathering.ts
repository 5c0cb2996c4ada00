/** Collects the parts that several processes give of one topic. A process that hangs is left out. */

/** How long the parts of a topic are waited for, in ms. */
const WAIT_MS = 1000

interface Question<Process> {
  readonly waiting: Set<Process>
  readonly parts: unknown[]
  readonly finish: () => void
}

export class Gathering<Process> {
  readonly #questions = new Map<number, Question<Process>>()
  #count = 0

  /**
   * @param ask asks one process for its part, which it gives with this id
   * @returns the parts of those that answered in time
   */
  gather(processes: readonly Process[], ask: (process: Process, id: number) => void): Promise<unknown[]> {
    const id = this.#count++
    const parts: unknown[] = []
    return new Promise((resolve) => {
      const finish = () => {
        clearTimeout(timer)
        this.#questions.delete(id)
        resolve(parts)
      }
      const timer = setTimeout(finish, WAIT_MS)
      this.#questions.set(id, { waiting: new Set(processes), parts, finish })
      for (const process of processes) ask(process, id)
      if (processes.length === 0) finish()
    })
  }

  /** A part of a process; undefined if it has nothing to say. */
  give(process: Process, id: number, part: unknown) {
    const question = this.#questions.get(id)
    if (question === undefined || !question.waiting.delete(process)) return
    if (part !== undefined) question.parts.push(part)
    if (question.waiting.size === 0) question.finish()
  }

  /** A process has ended. */
  leave(process: Process) {
    for (const id of [...this.#questions.keys()]) this.give(process, id, undefined)
  }
}
