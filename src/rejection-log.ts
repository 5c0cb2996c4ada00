/**
 * The log of rejected requests. An overloaded service rejects thousands in a second, and a line for each would cost as much as all else
 * that a rejection costs. So the first ones of a second are logged, and the number of the others.
 */
import type { FastifyBaseLogger } from 'fastify'
import type { Problem } from './errors.ts'

/** Lines for each kind of problem. */
const MOST_A_SECOND = 10

/** What was logged in the current second. */
interface Second {
  lines: number
  omitted: number
}

export class RejectionLog {
  readonly #log: Pick<FastifyBaseLogger, 'info'>
  readonly #seconds = new Map<Problem['code'], Second>()

  /**
   * @example
   * const rejections = new RejectionLog(app.log)
   * rejections.note(problem, { reqId: 'r-1' })
   */
  constructor(log: Pick<FastifyBaseLogger, 'info'>) {
    this.#log = log
  }

  /** @param who identifies the request */
  note({ code, message }: Problem, who: object) {
    const second = this.#secondOf(code)
    if (second.lines < MOST_A_SECOND) {
      second.lines++
      this.#log.info({ ...who, code, detail: message }, 'request rejected')
    } else second.omitted++
  }

  #secondOf(code: Problem['code']): Second {
    const known = this.#seconds.get(code)
    if (known !== undefined) return known
    const second = { lines: 0, omitted: 0 }
    this.#seconds.set(code, second)
    setTimeout(() => this.#end(code, second), 1000).unref()
    return second
  }

  #end(code: Problem['code'], { omitted }: Second) {
    this.#seconds.delete(code)
    if (omitted > 0) this.#log.info({ code, requests: omitted }, 'more requests rejected')
  }
}
