/** An evaluation that fails because of its data, and what to do about it. The message is for whoever asked for it. */

/** `bad-rows`: some rows have no loss, and were not to be left out. */
export type FailureReason = 'unreadable-data' | 'bad-rows' | 'too-many-slices'

export class EvaluationFailed extends Error {
  override readonly name = 'EvaluationFailed'
  readonly reason: FailureReason

  constructor(reason: FailureReason, message: string, options?: ErrorOptions) {
    super(message, options)
    this.reason = reason
  }
}
