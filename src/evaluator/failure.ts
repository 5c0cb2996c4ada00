/** An evaluation that fails because of its data, and what to do about it. The message is for whoever asked for it. */

import { Problem } from '../errors.ts'

/** `bad-rows`: some rows have no loss, and were not to be left out. */
export type FailureReason = 'unreadable-data' | 'bad-rows' | 'too-many-slices' | 'unwritable' | 'service'

export class EvaluationFailed extends Error {
  override readonly name = 'EvaluationFailed'
  readonly reason: FailureReason

  constructor(reason: FailureReason, message: string, options?: ErrorOptions) {
    super(message, options)
    this.reason = reason
  }
}

/**
 * What the system says of a failure, without its code, the call and the path.
 *
 * @example
 * systemWords(error) // 'no such file or directory'
 */
export function systemWords(error: unknown): string {
  return (error as Error).message.replace(/^\w+: |, \w+( '.*)?$/gs, '')
}

/** A failure on its way to another thread. */
export interface ThreadFailure {
  /** Of a problem, or of data that cannot be evaluated. */
  readonly code?: Problem['code'] | undefined
  readonly reason?: FailureReason | undefined
  readonly message: string
  readonly stack?: string | undefined
}

export function failureOf(error: unknown): ThreadFailure {
  const { message, stack } = error instanceof Error ? error : new Error(String(error))
  const code = error instanceof Problem ? error.code : undefined
  const reason = error instanceof EvaluationFailed ? error.reason : undefined
  return { code, reason, message, stack }
}

export function errorOf({ code, reason, message, stack }: ThreadFailure): Error {
  if (reason !== undefined) return new EvaluationFailed(reason, message)
  if (code !== undefined) return new Problem(code, message)
  return Object.assign(new Error(message), { stack })
}
