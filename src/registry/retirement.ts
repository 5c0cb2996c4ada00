/** Decides which custom losses are served. Retired ones are served only by an explicit version, with a Deprecation header. */
import { Problem } from '../errors.ts'
import { fullName, type RegisteredName, registeredName } from './name.ts'
import type { RegisteredLoss } from './registry.ts'
import type { ScopedRegistry } from './scoped-registry.ts'

/** The address of a custom loss in a URL. */
export interface RegisteredAddress {
  readonly namespace: string
  /** With or without a version: `robust_log@2`. */
  readonly name: string
}

/**
 * Looks a custom loss up, to evaluate or show it.
 *
 * @throws Problem `unknown-loss`; `gone` for the bare name of a retired loss; `store-down`
 */
export async function findServable(
  registry: ScopedRegistry,
  { namespace, name }: RegisteredAddress,
): Promise<RegisteredLoss> {
  const asked = registeredName(namespace, name)
  const own = await registry.find(asked)
  if (!isServable(own, asked)) throw gone(own)
  return own
}

/** The same from the cache: undefined if the loss has to be looked up, or is not served. */
export function cachedServable(registry: ScopedRegistry, asked: RegisteredName): RegisteredLoss | undefined {
  const own = registry.known(asked)
  return own !== undefined && isServable(own, asked) ? own : undefined
}

/** The Deprecation header (RFC 9745): the time of the retirement in seconds. */
export function deprecationOf(retired: string): string {
  return `@${Math.floor(Date.parse(retired) / 1000)}`
}

function isServable({ retired }: RegisteredLoss, { version }: RegisteredName): boolean {
  return retired === null || version !== undefined
}

function gone({ stored, retired }: RegisteredLoss): Problem {
  const { version } = stored
  return new Problem(
    'gone',
    `${fullName(stored)} was retired on ${retired}; its versions up to @${version} are still available`,
  )
}
