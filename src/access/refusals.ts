/** Refusals: 401 with the scheme that is expected, and 403 with the role that is missing (RFC 6750, section 3). */
import { Problem } from '../errors.ts'
import type { Role } from './grants.ts'

const REALM = 'Bearer realm="lossd"'

/** No credentials were sent. */
export function credentialsMissing(): Problem {
  return new Problem(
    'unauthenticated',
    'send a key or a token: Authorization: Bearer ..., or a key as X-Api-Key',
    { headers: { 'WWW-Authenticate': REALM } },
  )
}

/** @param why repeats nothing of what was sent */
export function credentialsInvalid(why: string): Problem {
  return new Problem('unauthenticated', why, {
    headers: { 'WWW-Authenticate': `${REALM}, error="invalid_token", error_description="${why}"` },
  })
}

/** For a namespace whose losses the caller can see, or whose existence it does not learn. */
export function roleMissing(role: Role, namespace: string): Problem {
  const scope = `${role}:${namespace}`
  return new Problem('forbidden', `this takes the role ${role} in the namespace ${namespace}`, {
    headers: { 'WWW-Authenticate': `${REALM}, error="insufficient_scope", scope="${scope}"` },
  })
}
