/**
 * How much rounding changes a result: running error analysis (Higham, Accuracy and Stability of Numerical Algorithms,
 * 2002, section 3.3) over boxes instead of points. Every operation adds its own rounding to what its arguments bring
 * along; functions are taken to be within a few units in the last place, which their tests hold them to.
 */
import { LOGIC_OPS } from '../language/ir.ts'
import type { Clock } from './clock.ts'
import { type Interval, interval, isBounded, magnitude, middle, point, sub, widthOf } from './interval.ts'
import { UNARY } from './primitives.ts'
import { type Box, enclose, type Tape, type TapeNode } from './tape.ts'

/** A floating-point format. */
export interface Format {
  /** Half a unit in the last place, relative. */
  readonly rounding: number
  readonly largest: number
  /** What is smaller may be taken for 0. */
  readonly tiny: number
}

export const FORMATS = {
  float32: { rounding: 2 ** -24, largest: 3.4028234663852886e38, tiny: 2 ** -126 },
  float16: { rounding: 2 ** -11, largest: 65504, tiny: 2 ** -14 },
} as const satisfies Readonly<Record<string, Format>>

/** Roundings that an elementary function may take: 4 units in the last place. */
const FUNCTION_ROUNDINGS = 8
const GAMMA_ROUNDINGS = 64

const EXACT: ReadonlySet<TapeNode['op']> = new Set([
  'neg',
  'abs',
  'stop_gradient',
  'max',
  'min',
  'sign',
  'floor',
  'round',
] satisfies TapeNode['op'][])
const ONCE: ReadonlySet<TapeNode['op']> = new Set(['sqrt', 'safe_sqrt', 'square'] satisfies TapeNode['op'][])
const GAMMA: ReadonlySet<TapeNode['op']> = new Set([
  'lgamma',
  'digamma',
  'polygamma',
] satisfies TapeNode['op'][])

const INFINITE = Number.POSITIVE_INFINITY

/** Bounds of the absolute errors of all nodes over a box. */
function errorsOver(steps: readonly Step[], values: readonly Interval[], { rounding }: Format): number[] {
  const errors: number[] = []
  for (let id = 0; id < steps.length; id++) {
    const { node, isExact, roundings, least } = steps[id]
    const own = node.name === DIFFERENCE ? rounding * magnitude(values[id]) : inherited(node, values, errors)
    const count = roundings ?? roundingsOfPower(node, values)
    const error = isExact ? own : own + count * rounding * (magnitude(values[id]) + own) + least
    errors.push(Number.isNaN(error) && !isExact ? INFINITE : error)
  }
  return errors
}

/** A node, and what it rounds in a format. */
interface Step {
  readonly node: TapeNode
  /** Whether it adds nothing to what its arguments bring along, and may say that nothing is known. */
  readonly isExact: boolean
  /** Undefined if it depends on the size of the arguments. */
  readonly roundings: number | undefined
  /** What an underflow may lose. */
  readonly least: number
}

function stepsOf({ nodes }: Tape, { rounding, tiny }: Format): readonly Step[] {
  return nodes.map((node) => ({
    node,
    isExact: node.op === 'variable' || LOGIC.has(node.op),
    roundings: roundingsOf(node, rounding),
    least: EXACT.has(node.op) ? 0 : tiny,
  }))
}

const LOGIC: ReadonlySet<TapeNode['op']> = new Set([...LOGIC_OPS, 'select'] satisfies TapeNode['op'][])

function roundingsOf({ op, args, value }: TapeNode, rounding: number): number | undefined {
  if (op === 'constant') return isHeld(value!, rounding) ? 0 : 1
  if (EXACT.has(op)) return 0
  if (ONCE.has(op) || op === 'add' || op === 'sub' || op === 'mul' || op === 'mul_no_nan' || op === 'div')
    return 1
  if (op === 'linear' || op === 'logsumexp') return FUNCTION_ROUNDINGS + 2 * args.length
  if (GAMMA.has(op)) return GAMMA_ROUNDINGS
  return op === 'pow' ? undefined : FUNCTION_ROUNDINGS
}

/** A power is the exponential of a product, whose rounding counts as often as the product is large. */
function roundingsOfPower({ args }: TapeNode, values: readonly Interval[]): number {
  const [base, exponent] = args.map((arg) => values[arg])
  const logs = [base.lo, base.hi].map((x) => Math.abs(Math.log(Math.max(x, Number.MIN_VALUE))))
  return 2 * FUNCTION_ROUNDINGS + 2 * magnitude(exponent) * Math.max(...logs)
}

/** Whether the format has the number, as far as that is easy to see. */
function isHeld(value: number, rounding: number): boolean {
  const isShort = Number.isInteger(2 * value) && Math.abs(2 * value) * rounding < 1
  return isShort || (rounding === FORMATS.float32.rounding && Math.fround(value) === value)
}

/** What the errors of the arguments make of the result. */
function inherited(node: TapeNode, values: readonly Interval[], errors: readonly number[]): number {
  const { op, args } = node
  const [first, second] = args
  const [a, b, ea, eb] = [values[first], values[second], errors[first], errors[second]]
  switch (op) {
    case 'variable':
    case 'constant':
      return 0
    case 'add':
    case 'sub':
      return ea + eb
    case 'mul':
    case 'mul_no_nan':
      return product(magnitude(a), eb) + product(magnitude(b), ea) + ea * eb
    case 'div':
      return errorOfQuotient(a, b, ea, eb)
    case 'max':
    case 'min':
      return Math.max(ea, eb)
    case 'linear':
      return args.reduce(
        (sum, arg, place) => sum + product(magnitude(node.factorBounds[place]), errors[arg]),
        0,
      )
    case 'logsumexp':
      return Math.max(...args.map((arg) => errors[arg]))
    case 'opaque':
      return INFINITE
    case 'lt':
    case 'le':
    case 'eq':
      return isDecided(op, widened(a, ea), widened(b, eb)) ? 0 : 1
    case 'and':
    case 'or':
    case 'not':
    case 'is_finite':
      return args.some((arg) => errors[arg] > 0) ? 1 : 0
    case 'select':
      return errorOfBranch(values, errors, args)
    case 'sign':
    case 'floor':
    case 'round':
      return errorOfStep(node, widened(a, ea), values, ea)
    default:
      return node.unary === undefined
        ? errorOfPair(node, values, errors)
        : product(slopeOf(node, widened(a, ea)), ea)
  }
}

/** A step that rounding may lead over. */
function errorOfStep(
  { unary, args }: TapeNode,
  x: Interval,
  values: readonly Interval[],
  error: number,
): number {
  const [reached, own] = [unary!.enclose(x), unary!.enclose(values[args[0]])]
  const isSame = reached.lo === own.lo && reached.hi === own.hi
  return isSame && own.lo === own.hi ? 0 : error === 0 ? 0 : Math.max(2, 1 + error)
}

/** 0 times infinity is 0: what has no error brings none along. */
const product = (a: number, b: number) => (a === 0 || b === 0 ? 0 : a * b)

const widened = ({ lo, hi, partial }: Interval, error: number) => interval(lo - error, hi + error, partial)

function slopeOf({ unary }: TapeNode, x: Interval): number {
  return magnitude(unary!.slope(x, unary!.enclose(x)))
}

function errorOfPair(
  { binary, args }: TapeNode,
  values: readonly Interval[],
  errors: readonly number[],
): number {
  const [a, b] = args.map((arg) => widened(values[arg], errors[arg]))
  const [da, db] = binary!.slopes(a, b, binary!.enclose(a, b))
  return product(magnitude(da), errors[args[0]]) + product(magnitude(db), errors[args[1]])
}

function errorOfQuotient(a: Interval, b: Interval, ea: number, eb: number): number {
  const least = b.lo > 0 ? b.lo : b.hi < 0 ? -b.hi : 0
  if (least <= eb) return INFINITE
  return (ea + product(magnitude(a) / least, eb)) / (least - eb)
}

/** Whether rounding cannot change what a comparison says. */
function isDecided(op: 'lt' | 'le' | 'eq', a: Interval, b: Interval): boolean {
  if (op === 'eq') return a.hi < b.lo || b.hi < a.lo || (a.lo === a.hi && b.lo === b.hi && a.lo === b.lo)
  return a.hi < b.lo || a.lo > b.hi
}

/** If rounding may lead to the other branch, the branches differ by as much as they can. */
function errorOfBranch(
  values: readonly Interval[],
  errors: readonly number[],
  args: readonly number[],
): number {
  const [test, yes, no] = args
  const { lo, hi } = values[test]
  if (errors[test] === 0 && lo > 0) return errors[yes]
  if (errors[test] === 0 && hi === 0) return errors[no]
  const [a, b] = [values[yes], values[no]]
  const apart = errors[test] === 0 ? 0 : Math.max(a.hi - b.lo, b.hi - a.lo, 0)
  return Math.max(errors[yes], errors[no]) + apart
}

/** Boxes that are looked at, at most. */
const MAX_PARTS = 256
/** Errors that get smaller by less than this part in so many halvings do not get much smaller. */
const [LEAST_GAIN, PATIENCE] = [0.1, 24] as const

interface Part {
  readonly box: Box
  readonly error: number
}

/**
 * The largest error of the roots over a box, relative to 1 or to the result if that is larger.
 *
 * @returns infinity if nothing bounds it in the time
 */
export function largestError(given: Tape, box: Box, format: Format, clock: Clock): number {
  const { tape, box: start } = byDifference(given, box)
  const steps = stepsOf(tape, format)
  const measure = (own: Box): Part => ({ box: own, error: mixedError(tape, steps, own, format) })
  const parts = [measure(start)]
  const largest = () => Math.max(...parts.map(({ error }) => error))
  let before = largest()
  for (let count = 1; count <= MAX_PARTS && !clock.isOver(); count++) {
    const worst = parts.reduce((best, { error }, place) => (error > parts[best].error ? place : best), 0)
    const halves = betterHalves(parts[worst], measure)
    if (halves === undefined) break
    parts.splice(worst, 1, ...halves)
    if (count % PATIENCE > 0) continue
    const now = largest()
    if (now > before * (1 - LEAST_GAIN)) break
    before = now
  }
  return largest()
}

/** Of the ways to halve a box, the one that leaves the least error; undefined if it is too small for any. */
function betterHalves({ box }: Part, measure: (box: Box) => Part): readonly Part[] | undefined {
  const sides = [...box].filter(([, { lo, hi }]) => hi > lo).sort(([, a], [, b]) => widthOf(b) - widthOf(a))
  const ways = sides.slice(0, 2).flatMap(([name, side]) => {
    const halves = halved(box, name, side)
    return halves === undefined ? [] : [halves.map(measure)]
  })
  const sizeOf = (parts: readonly Part[]) => parts.reduce((sum, { error }) => sum + Math.min(error, 1e300), 0)
  return ways.sort((a, b) => sizeOf(a) - sizeOf(b))[0]
}

const DIFFERENCE = 'difference'

/** Where only the difference of two inputs counts, it is one variable, rounded once. */
function byDifference(tape: Tape, box: Box): { readonly tape: Tape; readonly box: Box } {
  const given = { tape, box }
  const [first, second, ...more] = tape.nodes.flatMap(({ op }, id) => (op === 'variable' ? [id] : []))
  if (second === undefined || more.length > 0) return given
  const isPair = ({ op, args }: TapeNode) =>
    op === 'sub' && args.includes(first) && args.includes(second) && args.length === 2
  const isOther = (node: TapeNode) =>
    !isPair(node) && (node.args.includes(first) || node.args.includes(second))
  const own = tape.nodes.findIndex(isPair)
  if (own < 0 || tape.nodes.some(isOther) || tape.roots.some((root) => root === first || root === second))
    return given
  const [left] = tape.nodes[own].args
  const nodes = tape.nodes.map((node, id): TapeNode => {
    if (id === own) return { ...node, op: 'variable', name: DIFFERENCE, args: [] }
    if (!isPair(node)) return node
    return node.args[0] === left
      ? node
      : { ...node, op: 'neg', args: [own], unary: UNARY.neg, binary: undefined }
  })
  const [a, b] = tape.nodes[own].args.map((arg) => box.get(tape.nodes[arg].name!)!)
  const others = [...box].map(([name, { lo }]) => [name, point(lo)] as const)
  return { tape: { ...tape, nodes }, box: new Map([...others, [DIFFERENCE, sub(a, b)]]) }
}

function mixedError(tape: Tape, steps: readonly Step[], box: Box, format: Format): number {
  const values = enclose(tape, box)
  const errors = errorsOver(steps, values, format)
  return Math.max(
    ...tape.roots.map((root) => {
      const { lo, hi, partial } = values[root]
      if (partial || !isBounded(values[root])) return INFINITE
      const least = lo > 0 ? lo : hi < 0 ? -hi : 0
      return errors[root] / Math.max(1, least)
    }),
  )
}

/** At 0 first. */
function halved(box: Box, name: string, side: Interval): readonly Box[] | undefined {
  const cut = side.lo < 0 && side.hi > 0 ? 0 : middle(side)
  if (cut <= side.lo || cut >= side.hi) return undefined
  return [new Map(box).set(name, interval(side.lo, cut)), new Map(box).set(name, interval(cut, side.hi))]
}
