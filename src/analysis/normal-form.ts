/**
 * Decides whether two formulas are the same function: each becomes a quotient of polynomials over exponentials,
 * logarithms, roots and variables. Softmax, sigmoid, tanh and softplus are rational functions of exponentials and
 * their logarithms, so `log(1 + exp(-x))` and `softplus(x) - x` have the same form. Equal forms mean equal functions,
 * wherever both have a value; different forms mean nothing.
 */
import type { Clock } from './clock.ts'
import {
  atomPolynomial,
  commonMonomial,
  constantIn,
  constantPolynomial,
  dividedBy,
  fromTerms,
  type Monomial,
  multipleOf,
  NOTHING,
  oppositeOf,
  orderedTerms,
  type Polynomial,
  productOf,
  sumOf,
  TooManyTerms,
} from './polynomial.ts'
import { compare, keyOf, negated, ONE, plus, type Rational, reciprocal, signOf, times } from './rational.ts'
import type { Scalar, Scalars } from './scalars.ts'

/** A quotient of polynomials; the denominator is not 0. */
export interface Quotient {
  readonly above: Polynomial
  readonly below: Polynomial
}

interface Atom {
  readonly key: string
  /** Whether it is above 0 everywhere. */
  readonly isPositive: boolean
  /** An exponential: what it is the exponential of. */
  readonly exponent?: Quotient
  /** A root: its power of this degree is `base`. */
  readonly degree?: number
  readonly base?: Polynomial
  /** A logarithm: of what. */
  readonly inside?: Quotient
}

const UNITY = constantPolynomial(ONE)
const MAX_POWER = 16
const MAX_DEGREE = 12
/** Powers of roots that are replaced one after the other. */
const MAX_ROUNDS = 64
const TWO = plus(ONE, ONE)
const HALF: Rational = { top: 1n, bottom: 2n }

/** Ops that have no value for some numbers, whatever form those have. */
const PARTIAL: ReadonlySet<string> = new Set([
  'pow',
  'asin',
  'acos',
  'lgamma',
  'digamma',
  'polygamma',
  'opaque',
  'is_finite',
])

const whole = (above: Polynomial): Quotient => ({ above, below: UNITY })
const numberForm = (value: Rational): Quotient => whole(constantPolynomial(value))

/** The normal forms of the nodes of one graph. */
export class NormalForms {
  readonly #scalars: Scalars
  readonly #atoms: Atom[] = []
  readonly #places = new Map<string, number>()
  readonly #known = new Map<Scalar, Quotient>()
  /** Argument of an exponential -> the multiple of it that is an atom. */
  readonly #units = new Map<string, Rational>()

  readonly #clock: Pick<Clock, 'isOver'> | undefined

  /** @param clock when to give up */
  constructor(scalars: Scalars, clock?: Pick<Clock, 'isOver'>) {
    this.#scalars = scalars
    this.#clock = clock
  }

  /** Whether a node is 0 wherever it has a value. False means nothing. */
  isNought(root: Scalar): boolean {
    try {
      return this.#of(root).above.size === 0
    } catch (error) {
      if (error instanceof TooManyTerms) return false
      throw error
    }
  }

  /** Whether two nodes are equal wherever both have a value. False means nothing. */
  areEqual(a: Scalar, b: Scalar): boolean {
    return a === b || this.isNought(this.#scalars.difference(a, b))
  }

  /** Whether a node has a value for all numbers. False means nothing. */
  hasValue(root: Scalar): boolean {
    try {
      this.#of(root)
      return this.#scalars.reachable(root).every((id) => this.#isDefined(id))
    } catch (error) {
      if (error instanceof TooManyTerms) return false
      throw error
    }
  }

  #isDefined(id: Scalar): boolean {
    const { op, args, exact } = this.#scalars.nodes[id]
    const form = (place: number) => this.#known.get(args[place])!
    switch (op) {
      case 'constant':
        return exact !== undefined
      case 'log':
      case 'log2':
      case 'log10':
      case 'sqrt':
      case 'safe_sqrt':
        return this.#isAboveNought(form(0))
      case 'log1p':
        return this.#isAboveNought(this.#plus(form(0), numberForm(ONE)))
      case 'div':
        return this.#isAboveNought(form(1))
      default:
        return !PARTIAL.has(op)
    }
  }

  #isAboveNought({ above, below }: Quotient): boolean {
    return above.size > 0 && this.#isPositive(above) && this.#isPositive(below)
  }

  /** Whether a node is the same number wherever it has a value. False means nothing. */
  isConstant(root: Scalar): boolean {
    try {
      return constantOf(this.#of(root)) !== undefined
    } catch (error) {
      if (error instanceof TooManyTerms) return false
      throw error
    }
  }

  /** The number that one node is of the other, wherever both have a value. Undefined means nothing. */
  ratio(a: Scalar, b: Scalar): Rational | undefined {
    try {
      const [first, second] = [this.#of(a), this.#of(b)]
      if (second.above.size === 0) return undefined
      return ratioOf(this.#product(first.above, second.below), this.#product(second.above, first.below))
    } catch (error) {
      if (error instanceof TooManyTerms) return undefined
      throw error
    }
  }

  #of(root: Scalar): Quotient {
    for (const id of this.#scalars.reachable(root))
      if (!this.#known.has(id)) this.#known.set(id, this.#formOf(id))
    return this.#known.get(root)!
  }

  #formOf(id: Scalar): Quotient {
    const node = this.#scalars.nodes[id]
    const args = node.args.map((arg) => this.#known.get(arg)!)
    const [a, b] = args
    switch (node.op) {
      case 'constant':
        return node.exact === undefined ? this.#opaque(`infinite ${node.value}`) : numberForm(node.exact)
      case 'variable':
        return this.#opaque(`variable ${node.name}`)
      case 'opaque':
        return this.#opaque(`opaque ${id}`)
      case 'linear':
        return args.reduce(
          (sum, arg, place) => this.#plus(sum, this.#scaled(arg, node.factors![place])),
          numberForm(node.exact!),
        )
      case 'add':
        return this.#plus(a, b)
      case 'sub':
        return this.#minus(a, b)
      case 'neg':
        return this.#scaled(a, negated(ONE))
      case 'mul':
      case 'mul_no_nan':
        return this.#times(a, b)
      case 'div':
        return this.#times(a, this.#inverse(b))
      case 'square':
        return this.#times(a, a)
      case 'pow':
        return this.#raised(a, b)
      case 'sqrt':
      case 'safe_sqrt':
        return this.#rooted(a, HALF)
      case 'abs':
        return this.#size(a)
      case 'max':
      case 'min':
        return this.#larger(node.op, a, b)
      default:
        return this.#functionOf(node.op, args)
    }
  }

  #functionOf(op: string, args: readonly Quotient[]): Quotient {
    const [x] = args
    switch (op) {
      case 'exp':
        return this.#exponential(x)
      case 'expm1':
        return this.#minus(this.#exponential(x), numberForm(ONE))
      case 'log':
        return this.#logarithm(x)
      case 'log1p':
        return this.#logarithm(this.#plus(x, numberForm(ONE)))
      case 'log2':
      case 'log10':
        return this.#times(this.#logarithm(x), this.#opaque(`factor of ${op}`))
      case 'softplus':
        return this.#logarithm(this.#plus(this.#exponential(x), numberForm(ONE)))
      case 'sigmoid':
        return this.#share(this.#exponential(x))
      case 'tanh': {
        const share = this.#share(this.#exponential(this.#scaled(x, TWO)))
        return this.#minus(this.#scaled(share, TWO), numberForm(ONE))
      }
      case 'logsumexp':
        return this.#logarithm(args.map((arg) => this.#exponential(arg)).reduce((a, b) => this.#plus(a, b)))
      default:
        return this.#opaque(`${op} ${args.map((arg) => this.#keyOf(arg))}`)
    }
  }

  /** e / (1 + e) */
  #share(e: Quotient): Quotient {
    return this.#times(e, this.#inverse(this.#plus(e, numberForm(ONE))))
  }

  // Arithmetic

  #plus(a: Quotient, b: Quotient): Quotient {
    if (sameKeys(a.below, b.below)) return this.#reduced(sumOf(a.above, b.above), a.below)
    const above = sumOf(this.#product(a.above, b.below), this.#product(b.above, a.below))
    return this.#reduced(above, this.#product(a.below, b.below))
  }

  #minus(a: Quotient, b: Quotient): Quotient {
    return this.#plus(a, this.#scaled(b, negated(ONE)))
  }

  #scaled({ above, below }: Quotient, factor: Rational): Quotient {
    return { above: multipleOf(above, factor), below }
  }

  #times(a: Quotient, b: Quotient): Quotient {
    return this.#reduced(this.#product(a.above, b.above), this.#product(a.below, b.below))
  }

  /** What is 0 has no inverse, and the formula no value. */
  #inverse({ above, below }: Quotient): Quotient {
    if (above.size === 0) return this.#opaque(`infinite ${this.#atoms.length}`)
    return this.#reduced(below, above)
  }

  /** The product, with powers of roots replaced. */
  #product(a: Polynomial, b: Polynomial): Polynomial {
    if (this.#clock?.isOver()) throw new TooManyTerms('the time is over')
    let result = productOf(a, b)
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const found = [...result.values()].find(({ monomial }) => this.#fullRoot(monomial) !== undefined)
      if (found === undefined) return result
      const [atom, degree] = this.#fullRoot(found.monomial)!
      const rest = fromTerms([
        { factor: found.factor, monomial: found.monomial.flatMap(lowered(atom, degree)) },
      ])
      const without = sumOf(result, oppositeOf(fromTerms([found])))
      result = sumOf(without, productOf(rest, this.#atoms[atom].base!))
    }
    throw new TooManyTerms('roots of high powers')
  }

  #fullRoot(monomial: Monomial): readonly [atom: number, degree: number] | undefined {
    for (const [atom, power] of monomial) {
      const { degree } = this.#atoms[atom]
      if (degree !== undefined && power >= degree) return [atom, degree]
    }
    return undefined
  }

  /** Without what numerator and denominator obviously have in common. */
  #reduced(above: Polynomial, below: Polynomial): Quotient {
    if (above.size === 0) return whole(NOTHING)
    const known = constantIn(below)
    if (known !== undefined) return whole(multipleOf(above, reciprocal(known)!))
    const shared = sharedMonomial(commonMonomial(above), commonMonomial(below))
    const [top, bottom] = [dividedBy(above, shared), dividedBy(below, shared)]
    const leading = orderedTerms(bottom)[0].factor
    const scale = reciprocal(leading)!
    const [first, second] = [multipleOf(top, scale), multipleOf(bottom, scale)]
    const last = constantIn(second)
    if (last !== undefined) return whole(multipleOf(first, reciprocal(last)!))
    const ratio = ratioOf(first, second)
    return ratio === undefined ? { above: first, below: second } : numberForm(ratio)
  }

  // Functions

  #raised(base: Quotient, exponent: Quotient): Quotient {
    const n = constantOf(exponent)
    if (n !== undefined && n.bottom === 1n && n.top >= -BigInt(MAX_POWER) && n.top <= BigInt(MAX_POWER)) {
      const size = Number(n.top < 0n ? -n.top : n.top)
      let power = numberForm(ONE)
      for (let k = 0; k < size; k++) power = this.#times(power, base)
      return n.top < 0n ? this.#inverse(power) : power
    }
    if (n !== undefined && n.bottom <= BigInt(MAX_DEGREE)) return this.#rooted(base, n)
    return this.#exponential(this.#times(exponent, this.#logarithm(base)))
  }

  /** A power with a fraction as its exponent. */
  #rooted(base: Quotient, exponent: Rational): Quotient {
    const value = constantOf(base)
    if (value !== undefined && signOf(value) >= 0 && (value.top === 0n || compare(value, ONE) === 0))
      return base
    if (constantIn(base.below) === undefined)
      return this.#opaque(`pow ${this.#keyOf(base)} ${keyOf(exponent)}`)
    const degree = Number(exponent.bottom)
    const atom = this.#atom({
      key: `root ${degree} ${this.#keyOf(base)}`,
      isPositive: false,
      degree,
      base: base.above,
    })
    const size = exponent.top < 0n ? -exponent.top : exponent.top
    if (size > BigInt(MAX_POWER)) throw new TooManyTerms('a high power of a root')
    const root = whole(atomPolynomial(atom))
    let power = numberForm(ONE)
    for (let k = 0; k < Number(size); k++) power = this.#times(power, root)
    return exponent.top < 0n ? this.#inverse(power) : power
  }

  /** |x| is the root of x^2. The sign of x does not count. */
  #size(x: Quotient): Quotient {
    const value = constantOf(x)
    if (value !== undefined) return numberForm(signOf(value) < 0 ? negated(value) : value)
    const leading = orderedTerms(x.above)[0].factor
    const scale = signOf(leading) < 0 ? negated(leading) : leading
    const own = this.#scaled(x, reciprocal(leading)!)
    if (constantIn(own.below) === undefined)
      return this.#scaled(this.#opaque(`abs ${this.#keyOf(own)}`), scale)
    const base = this.#product(own.above, own.above)
    const atom = this.#atom({ key: `abs ${this.#keyOf(own)}`, isPositive: false, degree: 2, base })
    return this.#scaled(whole(atomPolynomial(atom)), scale)
  }

  /** The order of the arguments does not count, and the smaller is the opposite of the larger of the opposites. */
  #larger(op: 'max' | 'min', a: Quotient, b: Quotient): Quotient {
    const [x, y] = op === 'max' ? [a, b] : [this.#scaled(a, negated(ONE)), this.#scaled(b, negated(ONE))]
    const larger = this.#opaque(`max ${[this.#keyOf(x), this.#keyOf(y)].sort()}`)
    return op === 'max' ? larger : this.#scaled(larger, negated(ONE))
  }

  /** The exponential of a sum is the product of those of its terms. */
  #exponential(x: Quotient): Quotient {
    if (constantIn(x.below) === undefined) return this.#exponentialAtom(x, ONE)
    return orderedTerms(x.above)
      .map(({ factor, monomial }) => this.#exponentialOfTerm(monomial, factor))
      .reduce((a, b) => this.#times(a, b), numberForm(ONE))
  }

  #exponentialOfTerm(monomial: Monomial, factor: Rational): Quotient {
    const [[atom, power] = [-1, 0]] = monomial
    const { inside } = this.#atoms[atom] ?? {}
    // e^(k ln x) = x^k
    if (monomial.length === 1 && power === 1 && inside !== undefined && factor.bottom <= BigInt(MAX_DEGREE))
      return this.#raised(inside, numberForm(factor))
    return this.#exponentialAtom(whole(fromTerms([{ factor: ONE, monomial }])), factor)
  }

  /** e^(factor x) as a power of the first exponential of a multiple of x that was met. */
  #exponentialAtom(x: Quotient, factor: Rational): Quotient {
    const key = this.#keyOf(x)
    const unit = this.#units.get(key) ?? (signOf(factor) < 0 ? negated(factor) : factor)
    this.#units.set(key, unit)
    const times_ = times(factor, reciprocal(unit)!)
    const isPower = times_.bottom === 1n && times_.top <= 16n && times_.top >= -16n
    const own = isPower ? unit : factor
    const exponent = this.#scaled(x, own)
    const atom = this.#atom({ key: `exp ${this.#keyOf(exponent)}`, isPositive: true, exponent })
    const power = isPower ? Number(times_.top) : 1
    const raised = whole(atomPolynomial(atom, Math.abs(power)))
    return power < 0 ? this.#inverse(raised) : raised
  }

  /** Factors that are positive everywhere become terms. */
  #logarithm(x: Quotient): Quotient {
    if (!this.#isPositive(x.below)) return this.#logarithmAtom(x)
    const [above, below] = [this.#logarithmOf(x.above), this.#logarithmOf(x.below)]
    return this.#minus(above, below)
  }

  #logarithmOf(x: Polynomial): Quotient {
    if (x.size === 0) return this.#opaque('logarithm of 0')
    const common = commonMonomial(x).filter(([atom]) => this.#atoms[atom].exponent !== undefined)
    const rest = dividedBy(x, common)
    const leading = orderedTerms(rest)[0].factor
    const scale = signOf(leading) < 0 ? negated(leading) : leading
    const primitive = multipleOf(rest, reciprocal(scale)!)
    const exponents = common.map(([atom, power]) =>
      this.#scaled(this.#atoms[atom].exponent!, { top: BigInt(power), bottom: 1n }),
    )
    return [this.#logarithmOfNumber(scale), ...exponents, this.#logarithmAtom(whole(primitive))].reduce(
      (a, b) => this.#plus(a, b),
    )
  }

  #logarithmOfNumber(value: Rational): Quotient {
    return compare(value, ONE) === 0 ? whole(NOTHING) : this.#opaque(`log of number ${keyOf(value)}`)
  }

  #logarithmAtom(x: Quotient): Quotient {
    const value = constantOf(x)
    if (value !== undefined && compare(value, ONE) === 0) return whole(NOTHING)
    return whole(atomPolynomial(this.#atom({ key: `log ${this.#keyOf(x)}`, isPositive: false, inside: x })))
  }

  #isPositive(x: Polynomial): boolean {
    return [...x.values()].every(
      ({ factor, monomial }) =>
        signOf(factor) > 0 && monomial.every(([atom]) => this.#atoms[atom].isPositive),
    )
  }

  // Atoms

  #opaque(key: string): Quotient {
    return whole(atomPolynomial(this.#atom({ key, isPositive: false })))
  }

  #atom(atom: Atom): number {
    const known = this.#places.get(atom.key)
    if (known !== undefined) return known
    this.#places.set(atom.key, this.#atoms.length)
    return this.#atoms.push(atom) - 1
  }

  #keyOf({ above, below }: Quotient): string {
    return `(${keyOfPolynomial(above)})/(${keyOfPolynomial(below)})`
  }
}

const keyOfPolynomial = (a: Polynomial): string =>
  orderedTerms(a)
    .map(
      ({ factor, monomial }) =>
        `${keyOf(factor)} ${monomial.map(([atom, power]) => `${atom}^${power}`).join('*')}`,
    )
    .join(' + ')

function sameKeys(a: Polynomial, b: Polynomial): boolean {
  return (
    a.size === b.size &&
    [...a].every(([key, { factor }]) => {
      const other = b.get(key)
      return other !== undefined && compare(factor, other.factor) === 0
    })
  )
}

function constantOf({ above, below }: Quotient): Rational | undefined {
  return constantIn(below) === undefined ? undefined : constantIn(above)
}

function sharedMonomial(a: Monomial, b: Monomial): Monomial {
  const other = new Map(b)
  return a.flatMap(([atom, power]) => {
    const both = Math.min(power, other.get(atom) ?? 0)
    return both === 0 ? [] : [[atom, both] as const]
  })
}

/** The number that one polynomial is of the other. */
function ratioOf(a: Polynomial, b: Polynomial): Rational | undefined {
  if (a.size !== b.size) return undefined
  const [[key, { factor }]] = b
  const own = a.get(key)
  if (own === undefined) return undefined
  const ratio = times(own.factor, reciprocal(factor)!)
  return sameKeys(a, multipleOf(b, ratio)) ? ratio : undefined
}

const lowered =
  (atom: number, degree: number) =>
  ([own, power]: readonly [number, number]) =>
    own !== atom ? [[own, power] as const] : power === degree ? [] : [[own, power - degree] as const]
