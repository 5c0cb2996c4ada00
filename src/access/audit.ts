/** The audit log: one line for each change, with who made it, what changed, and when. */

/** The part of a pino logger that is used here. */
export interface AccessLog {
  info(details: object, message: string): void
  warn(details: object, message: string): void
  error(details: object, message: string): void
}

/** Which request made a change. */
export interface Origin {
  readonly reqId: string
  /** The address of its client. */
  readonly from: string | undefined
}

export interface Change {
  readonly action: 'register' | 'retire' | 'purge' | 'key-add' | 'key-revoke' | 'key-change' | 'key-remove'
  /** The id of a key, or the subject of a token; null if nobody was asked who they are. */
  readonly who: string | null
  /** What was changed: `acme/robust@2`, or the id of a key. */
  readonly what: string
  readonly details?: object
}

export type Audit = (change: Change, origin?: Origin) => void

/**
 * Writes the lines with `audit: true`, by which they can be told from others.
 *
 * @example
 * createAudit(log)({ action: 'register', who: 'key:4f1c2b7a9d03', what: 'acme/robust@2' }, { reqId, from })
 */
export function createAudit(log: AccessLog): Audit {
  return ({ action, who, what, details }, origin) =>
    log.info({ audit: true, action, who, what, ...details, ...origin }, `${action} ${what}`)
}
