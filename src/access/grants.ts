/**
 * Roles by namespace. A grant is one role in one namespace, or in all of them: `evaluate:acme`, `admin:*`. Whatever belongs
 * to no namespace (the catalog, formulas that are sent with a request) is open to every caller.
 */

/** Each role includes those before it. */
export const ROLES = ['evaluate', 'register', 'admin'] as const
export type Role = (typeof ROLES)[number]

export interface Grant {
  readonly role: Role
  /** `*`: all of them. */
  readonly namespace: string
}

/** The namespace of a grant that holds in all namespaces. No namespace can be called this. */
export const ALL = '*'

const GRANT = /^(evaluate|register|admin):(\*|[a-z][a-z0-9_]{0,63})$/

/** A text is not a grant, a quota, or a setting of one. */
export class InvalidAccess extends Error {
  override readonly name = 'InvalidAccess'
}

/**
 * @returns undefined if the text is not a grant
 * @example
 * parseGrant('register:acme') // { role: 'register', namespace: 'acme' }
 */
export function parseGrant(text: string): Grant | undefined {
  const found = GRANT.exec(text)
  return found === null ? undefined : { role: found[1] as Role, namespace: found[2] }
}

/** @throws InvalidAccess */
export function readGrants(texts: readonly string[]): Grant[] {
  return texts.map((text) => {
    const grant = parseGrant(text)
    if (grant !== undefined) return grant
    throw new InvalidAccess(
      `"${text.slice(0, 80)}" is not a grant; a grant is evaluate, register or admin, a colon and a namespace or *, as in evaluate:acme`,
    )
  })
}

/** Role -> the namespaces in which it is held. */
export type Reach = Readonly<Record<Role, ReadonlySet<string>>>

/** @param shared namespaces that every caller may evaluate */
export function reachOf(grants: readonly Grant[], shared: readonly string[] = []): Reach {
  const from = (least: number) =>
    new Set(grants.filter(({ role }) => ROLES.indexOf(role) >= least).map(({ namespace }) => namespace))
  return { evaluate: new Set([...from(0), ...shared]), register: from(1), admin: from(2) }
}
