/**
 * Quotas: how much a caller may ask for in a time, as token buckets, and how many of its requests may be open at once. What a
 * request costs is not known before its body has been read. So a request is admitted while something is left, and is then
 * charged in full, into debt if need be: a request of any size is served some time, and the wait is known exactly.
 */
import { Problem, pluralize } from '../errors.ts'
import { InvalidAccess } from './grants.ts'

/** What is counted over time. */
export const COUNTED = ['requests', 'elements', 'bytes'] as const
export type Counted = (typeof COUNTED)[number]

/** `requests=100/s`: 100 within a second, and after a pause up to 100 at once. */
export interface Quota {
  readonly name: Counted
  readonly amount: number
  readonly seconds: number
}

export interface Quotas {
  readonly counted: readonly Quota[]
  /** Requests that may be open at once. */
  readonly concurrency: number | undefined
}

const RATE = /^(requests|elements|bytes)=(\d{1,15})([kMG]?)\/(\d{0,6})([smhd])$/
const CONCURRENCY = /^concurrency=(\d{1,9})$/
const MULTIPLES: Readonly<Record<string, number>> = { '': 1, k: 1e3, M: 1e6, G: 1e9 }
const PERIODS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 }
/** The unit of each, as the RateLimit fields name it; that of requests is the default. */
const UNITS: Readonly<Record<Counted, string>> = {
  requests: '',
  elements: ';qu="elements"',
  bytes: ';qu="content-bytes"',
}

/**
 * @throws InvalidAccess
 * @example
 * readQuotas(['requests=100/s', 'bytes=64M/10s', 'concurrency=8'])
 */
export function readQuotas(texts: readonly string[]): Quotas {
  const counted = texts.filter((text) => !text.startsWith('concurrency=')).map(readRate)
  const [concurrency, ...more] = texts.filter((text) => text.startsWith('concurrency=')).map(readConcurrency)
  const names = counted.map(({ name }) => name)
  if (more.length > 0 || new Set(names).size < names.length)
    throw new InvalidAccess(`"${texts.join(',')}" limits the same twice`)
  return { counted, concurrency }
}

function readRate(text: string): Quota {
  const [, name, digits, multiple, periods, period] = RATE.exec(text) ?? []
  const amount = Number(digits) * MULTIPLES[multiple ?? '']
  const seconds = Number(periods || 1) * PERIODS[period ?? 's']
  if (name !== undefined && Number.isSafeInteger(amount) && amount >= 1 && seconds >= 1)
    return { name: name as Counted, amount, seconds }
  throw invalid(text)
}

function readConcurrency(text: string): number {
  const count = Number(CONCURRENCY.exec(text)?.[1] ?? 0)
  if (count >= 1) return count
  throw invalid(text)
}

function invalid(text: string): InvalidAccess {
  return new InvalidAccess(
    `"${text.slice(0, 80)}" is not a quota; a quota is requests, elements or bytes in a time, as in requests=100/s or bytes=64M/10s, or concurrency=8`,
  )
}

/** A unit, less what rounding may lose: who comes back at the very moment that was promised must be served. */
const ONE = 0.999

/** How much is left of one quota. */
class Bucket {
  readonly quota: Quota
  /** What a millisecond adds. */
  readonly #rate: number
  /** The beginning of its part of the header RateLimit. */
  readonly #title: string
  /** Negative: debt. */
  #left: number
  /** When `#left` was right, in ms. */
  #at: number
  /** Charged, and not reported to other processes yet. */
  #unreported = 0

  constructor(quota: Quota, now: number) {
    this.quota = quota
    this.#rate = quota.amount / quota.seconds / 1000
    this.#title = `"${quota.name}";r=`
    this.#left = quota.amount
    this.#at = now
  }

  left(now: number): number {
    this.#left = Math.min(this.quota.amount, this.#left + (now - this.#at) * this.#rate)
    this.#at = now
    return this.#left
  }

  charge(count: number) {
    this.#left -= count
    this.#unreported += count
  }

  /** What has been charged since the last call. */
  report(): number {
    const charged = this.#unreported
    this.#unreported = 0
    return charged
  }

  /** Another process has charged this much. */
  learn(count: number) {
    this.#left -= count
  }

  /** So much is left in the other processes, and what this one has not reported yet is not subtracted from it. */
  restore(left: number, now: number) {
    this.#left = left - this.#unreported
    this.#at = now
  }

  /** Whole seconds until this much is left. */
  secondsUntil(wanted: number, now: number): number {
    const missing = wanted - this.left(now)
    return missing <= 0 ? 0 : Math.ceil(missing / this.#rate / 1000)
  }

  /**
   * Its part of the header RateLimit. `t` is when the quota is whole again or, if nothing is left, when a request is admitted
   * again, as in `Retry-After`.
   */
  remaining(now: number): string {
    const left = Math.max(0, Math.floor(this.left(now) + 1 - ONE))
    return `${this.#title}${left};t=${this.secondsUntil(left === 0 ? 1 : this.quota.amount, now)}`
  }
}

/** Called whenever a meter has something to report to other processes. */
export type OnSpent = (meter: Meter) => void

/**
 * The quotas of one caller, and what is left of them.
 *
 * @example
 * meter.enter(1024)
 * meter.charge('elements', 320)
 * meter.leave()
 */
export class Meter {
  /** The value of the header RateLimit-Policy. */
  readonly policy: string
  readonly #buckets: readonly Bucket[]
  readonly #concurrency: number | undefined
  readonly #clock: () => number
  #open = 0
  /** Requests of this caller that are open in other processes. */
  #elsewhere = 0
  #onSpent: OnSpent | undefined

  /** @param clock milliseconds, from any start */
  constructor({ counted, concurrency }: Quotas, clock: () => number = () => performance.now()) {
    this.#clock = clock
    this.#buckets = counted.map((quota) => new Bucket(quota, clock()))
    this.#concurrency = concurrency
    this.policy = [
      ...counted.map(({ name, amount, seconds }) => `"${name}";q=${amount}${UNITS[name]};w=${seconds}`),
      ...(concurrency === undefined ? [] : [`"concurrency";q=${concurrency};qu="concurrent-requests"`]),
    ].join(', ')
  }

  /** Whether `leave` must be called at the end of each request. */
  get countsOpen(): boolean {
    return this.#concurrency !== undefined
  }

  /**
   * Admits a request.
   *
   * @param bytes of its body, if they are known already
   * @throws Problem `quota-exceeded`, and then nothing is charged
   */
  enter(bytes: number) {
    const now = this.#clock()
    for (const bucket of this.#buckets) if (bucket.left(now) < ONE) throw this.#exceeded(now)
    if (this.#concurrency !== undefined && this.#open + this.#elsewhere >= this.#concurrency)
      throw tooMany(this.#concurrency)
    this.#open++
    this.charge('requests', 1)
    this.charge('bytes', bytes)
  }

  /** Charges what a request turned out to cost. */
  charge(name: Counted, count: number) {
    for (const bucket of this.#buckets) if (bucket.quota.name === name) bucket.charge(count)
    this.#onSpent?.(this)
  }

  /** A request has ended. */
  leave() {
    this.#open--
    this.#onSpent?.(this)
  }

  /** Several processes serve this caller: what it uses up here must be reported to the others. */
  share(onSpent: OnSpent) {
    this.#onSpent = onSpent
  }

  /** What has been used up since the last report: by the place of each quota, and the requests that are open now. */
  report(): { readonly charges: readonly number[]; readonly open: number } {
    return { charges: this.#buckets.map((bucket) => bucket.report()), open: this.countsOpen ? this.#open : 0 }
  }

  /** What other processes have charged since their last report, and the requests that are open there. */
  learn(charges: readonly number[], elsewhere: number) {
    this.#elsewhere = elsewhere
    for (const [place, count] of charges.entries()) this.#buckets[place]?.learn(count)
  }

  /** How much is left of each quota that is counted over time. */
  left(): readonly number[] {
    const now = this.#clock()
    return this.#buckets.map((bucket) => bucket.left(now))
  }

  /** Begins with what the other processes have left. */
  restore(left: readonly number[], elsewhere: number) {
    const now = this.#clock()
    this.#elsewhere = elsewhere
    for (const [place, amount] of left.entries()) this.#buckets[place]?.restore(amount, now)
  }

  /** The value of the header RateLimit. */
  remaining(): string {
    const now = this.#clock()
    let text = ''
    for (const bucket of this.#buckets) text += (text && ', ') + bucket.remaining(now)
    if (this.#concurrency === undefined) return text
    return `${text}${text && ', '}"concurrency";r=${Math.max(0, this.#concurrency - this.#open - this.#elsewhere)}`
  }

  #exceeded(now: number): Problem {
    return exceeded(
      this.#buckets.filter((bucket) => bucket.left(now) < ONE),
      now,
    )
  }
}

function exceeded(used: readonly Bucket[], now: number): Problem {
  const retryAfter = Math.max(...used.map((bucket) => bucket.secondsUntil(1, now)), 1)
  const names = used.map(({ quota }) => quota.name)
  const spelled = used.map(
    ({ quota: { name, amount, seconds } }) => `${pluralize(amount, name)} in ${seconds} s`,
  )
  return new Problem('quota-exceeded', `the quota of ${spelled.join(' and of ')} is used up`, {
    retryAfter,
    violatedPolicies: names,
  })
}

function tooMany(concurrency: number): Problem {
  return new Problem('quota-exceeded', `this caller already has ${pluralize(concurrency, 'open requests')}`, {
    retryAfter: 1,
    violatedPolicies: ['concurrency'],
  })
}
