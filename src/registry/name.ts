/** Names of registered losses in URLs: `acme/robust_log`, and `acme/robust_log@2` for a fixed version. */
import { Problem } from '../errors.ts'

export interface RegisteredName {
  readonly namespace: string
  readonly name: string
  /** Absent: the latest version. */
  readonly version: number | undefined
}

const PART = /^[a-z][a-z0-9_]{0,63}$/
const VERSION = /^[1-9]\d{0,8}$/

/** Whether a namespace, or a loss in one, can have this name. */
export function isNamePart(text: string): boolean {
  return PART.test(text)
}

/**
 * @throws Problem `unknown-loss` if no loss can have this name
 * @example
 * registeredName('acme', 'robust_log@2') // { namespace: 'acme', name: 'robust_log', version: 2 }
 */
export function registeredName(namespace: string, nameAndVersion: string): RegisteredName {
  const [name, version, ...rest] = nameAndVersion.split('@')
  const isVersion = version === undefined || VERSION.test(version)
  if (PART.test(namespace) && PART.test(name) && isVersion && rest.length === 0) {
    return { namespace, name, version: version === undefined ? undefined : Number(version) }
  }
  const shown = `${namespace}/${nameAndVersion}`.slice(0, 150)
  throw new Problem(
    'unknown-loss',
    `there is no loss "${shown}"; a registered loss is called namespace/name, or namespace/name@version`,
  )
}

/** Whether a term of a composition refers to a registered loss. */
export function isRegisteredName(name: string): boolean {
  return name.includes('/')
}

export function fullName({ namespace, name }: Pick<RegisteredName, 'namespace' | 'name'>): string {
  return `${namespace}/${name}`
}
