/**
 * The registered losses as one caller sees them. Losses of a namespace that the caller may not see do not exist: the answer is
 * that for an unknown name. Routes get nothing but this, so no route can forget to ask.
 */
import type { Audit, Change, Origin } from '../access/audit.ts'
import type { Caller } from '../access/caller.ts'
import type { Role } from '../access/grants.ts'
import { roleMissing } from '../access/refusals.ts'
import type { ResolvedLoss } from '../losses/define.ts'
import type { Condition, LossPage, StoredVersion, VersionPage } from '../store/contract.ts'
import { fullName, type RegisteredName } from './name.ts'
import { type RegisteredLoss, type Registry, unknownLoss } from './registry.ts'

export interface ViewOptions {
  readonly registry: Registry
  readonly caller: Caller
  readonly audit: Audit
  /** The request for which changes are made. */
  readonly origin?: () => Origin
}

export class ScopedRegistry {
  readonly #registry: Registry
  readonly #caller: Caller
  readonly #audit: Audit
  readonly #origin: (() => Origin) | undefined

  constructor({ registry, caller, audit, origin }: ViewOptions) {
    this.#registry = registry
    this.#caller = caller
    this.#audit = audit
    this.#origin = origin
  }

  /** The cached loss; undefined if the store must be asked. */
  known(name: RegisteredName): RegisteredLoss | undefined {
    return this.#caller.sees(name.namespace) ? this.#registry.known(name) : undefined
  }

  /**
   * @throws Problem `unknown-loss`, `store-down`, `not-kept`
   */
  async find(name: RegisteredName): Promise<RegisteredLoss> {
    this.#seen(name)
    return this.#registry.find(name)
  }

  /** The losses of a namespace that are not retired, each in its latest version. */
  async list(namespace: string, page: LossPage): Promise<RegisteredLoss[]> {
    this.#registry.checkStored()
    return this.#caller.sees(namespace) ? this.#registry.list(namespace, page) : []
  }

  /**
   * The versions of a name, newest first.
   *
   * @throws Problem `unknown-loss`, `store-down`, `not-kept`
   */
  async versions(name: RegisteredName, page: VersionPage): Promise<readonly StoredVersion[]> {
    this.#seen(name)
    const found = await this.#registry.ask((store) => store.versions(name.namespace, name.name, page))
    if (found.length === 0 && page.before === undefined)
      await this.#registry.find({ ...name, version: undefined })
    return found
  }

  /** @throws Problem `forbidden` if the caller does not have the role */
  checkRole(role: Role, namespace: string) {
    if (!this.#caller.may(role, namespace)) throw roleMissing(role, namespace)
  }

  /**
   * Stores a document as the next version of its name. It is on disk when the promise resolves.
   *
   * @param resolved the loss that the document defines, already validated
   * @throws Problem `forbidden`, `missing-input`, `precondition-failed`, `too-many-losses`, `store-down`
   */
  async register(document: unknown, resolved: ResolvedLoss, condition: Condition | undefined) {
    const [namespace, name] = resolved.loss.name.split('/')
    if (name !== undefined) this.checkRole('register', namespace)
    const made = await this.#registry.register(document, resolved, condition, this.#caller.id)
    const { stored } = made.own
    if (made.isNew) this.#tell('register', `${fullName(stored)}@${stored.version}`)
    return made
  }

  /**
   * Retires a name, or deletes all its versions.
   *
   * @throws Problem `unknown-loss`, `forbidden`, `store-down`
   */
  async remove(name: RegisteredName, isPurge: boolean): Promise<void> {
    this.#seen(name)
    this.checkRole(isPurge ? 'admin' : 'register', name.namespace)
    const done = await this.#registry.ask((store) =>
      isPurge ? store.purge(name.namespace, name.name) : store.retire(name.namespace, name.name),
    )
    if (done) this.#tell(isPurge ? 'purge' : 'retire', fullName(name))
    else await this.#registry.find(name)
  }

  #seen(name: RegisteredName) {
    this.#registry.checkStored()
    if (!this.#caller.sees(name.namespace)) throw unknownLoss(name)
  }

  #tell(action: Change['action'], what: string) {
    this.#audit({ action, who: this.#caller.id, what }, this.#origin?.())
  }
}
