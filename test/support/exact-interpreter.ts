/**
 * Runs a program with a hundred digits: the reference for float64 results, which the interpreter itself rounds. It knows the ops
 * that a single kernel has. Infinities and NaN follow the definition of each op.
 */
import type { Batch, BatchResult, Engine } from '../../src/engines/contract.ts'
import { UnsupportedByEngine } from '../../src/engines/contract.ts'
import { isHostOp } from '../../src/language/host-ops.ts'
import { elementsOf, layoutOf, type Node, sizesWithRenamedAxes } from '../../src/language/ir.ts'
import { isElementwise, SCALAR_SEMANTICS } from '../../src/language/scalar.ts'
import { broadcastTo, offsetsOf, type Sizes, strideOf } from '../../src/language/strides.ts'
import { type Exact, exactMath } from './exact-math.ts'

/** 100 digits after the point. */
const math = exactMath(400n)
const { ONE } = math

/** A finite number, or one of the others. */
type Wide = Exact | number

const wide = (x: number): Wide => (Number.isFinite(x) ? math.exactly(x) : x)
const narrow = (x: Wide): number => (typeof x === 'bigint' ? math.toNumber(x) : x)
const truth = (is: boolean): Exact => (is ? ONE : 0n)
/** Beyond these, e^x is 0 in a hundred digits, or too large to matter. */
const LARGEST_EXPONENT = 2000n * ONE

type Meaning = (a: Exact, b: Exact) => Wide

/** Ops on finite numbers; undefined results and overflows are left to the definition. */
const MEANINGS: Readonly<Record<string, Meaning>> = {
  neg: (a) => -a,
  abs: (a) => (a < 0n ? -a : a),
  exp: (a) => (a > LARGEST_EXPONENT ? Number.POSITIVE_INFINITY : math.exp(a)),
  expm1: (a) => (a > LARGEST_EXPONENT ? Number.POSITIVE_INFINITY : math.expm1(a)),
  log: (a) => (a > 0n ? math.log(a) : Math.log(narrow(a))),
  log1p: (a) => (a > -ONE ? math.log1p(a) : Math.log1p(narrow(a))),
  log2: (a) => (a > 0n ? math.log2(a) : Math.log2(narrow(a))),
  log10: (a) => (a > 0n ? math.log10(a) : Math.log10(narrow(a))),
  sqrt: (a) => (a >= 0n ? math.sqrt(a) : Number.NaN),
  safe_sqrt: (a) => (a >= 0n ? math.sqrt(a) : Number.NaN),
  sigmoid: (a) => (a < -LARGEST_EXPONENT ? 0n : math.sigmoid(a)),
  tanh: (a) => (a > LARGEST_EXPONENT ? ONE : a < -LARGEST_EXPONENT ? -ONE : math.tanh(a)),
  softplus: (a) => (a > LARGEST_EXPONENT ? a : math.softplus(a)),
  sign: (a) => (a > 0n ? ONE : a < 0n ? -ONE : 0n),
  sin: math.sin,
  cos: math.cos,
  atan: math.atan,
  asin: (a) => (a > ONE || a < -ONE ? Number.NaN : math.asin(a)),
  acos: (a) => (a > ONE || a < -ONE ? Number.NaN : math.acos(a)),
  erf: (a) => (a > 30n * ONE ? ONE : a < -30n * ONE ? -ONE : math.erf(a)),
  lgamma: (a) => (a > 0n ? math.lgamma(a) : wide(SCALAR_SEMANTICS.lgamma(narrow(a), 0))),
  digamma: (a) => (a > 0n ? math.digamma(a) : wide(SCALAR_SEMANTICS.digamma(narrow(a), 0))),
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: math.mul,
  mul_no_nan: math.mul,
  div: (a, b) => (b === 0n ? narrow(a) / 0 : math.div(a, b)),
  pow: (a, b) => (a > 0n ? math.pow(a, b) : wide(narrow(a) ** narrow(b))),
  max: (a, b) => (a > b ? a : b),
  min: (a, b) => (a < b ? a : b),
  lt: (a, b) => truth(a < b),
  le: (a, b) => truth(a <= b),
  eq: (a, b) => truth(a === b),
  and: (a, b) => truth(a !== 0n && b !== 0n),
  or: (a, b) => truth(a !== 0n || b !== 0n),
  not: (a) => truth(a === 0n),
  is_finite: () => ONE,
}

function elementwise(op: keyof typeof SCALAR_SEMANTICS, a: Wide, b: Wide): Wide {
  const own = MEANINGS[op]
  if (own !== undefined && typeof a === 'bigint' && typeof b === 'bigint') return own(a, b)
  return wide(SCALAR_SEMANTICS[op](narrow(a), narrow(b)))
}

const plus = (a: Wide, b: Wide) => elementwise('add', a, b)

interface Run {
  readonly batch: Batch
  readonly sizes: Sizes
  readonly results: Wide[][]
}

function evaluate(run: Run, node: Node): Wide[] {
  const { batch, sizes } = run
  const count = elementsOf(node.axes, sizes)
  const axesOf = (place: number) => batch.program.nodes[node.args[place]!]!.axes
  const data = (place: number) => run.results[node.args[place]!]!
  const aligned = (place: number) => {
    const at = broadcastTo(
      sizes,
      { data: Int32Array.from(data(place), (_, i) => i), axes: axesOf(place) },
      node.axes,
    )
    return (i: number) => data(place)[at(i)]!
  }
  const each = (value: (i: number) => Wide) => Array.from({ length: count }, (_, i) => value(i))
  const reduced = (
    start: Wide,
    step: (so: Wide, x: Wide) => Wide,
    term = (at: number, k: number) => data(0)[at + k * stride(0)]!,
  ) => {
    const offsets = offsetsOf(sizes, node.axes, axesOf(0))
    return Array.from(offsets, (offset) => {
      let sum = start
      for (let k = 0; k < sizes[node.axis!]!; k++) sum = step(sum, term(offset, k))
      return sum
    })
  }
  const stride = (place: number) => strideOf(sizes, axesOf(place), node.axis!)
  if (isElementwise(node.op)) {
    const { op } = node
    const [a, b] = [aligned(0), aligned(node.args.length - 1)]
    return each((i) => elementwise(op, a(i), b(i)))
  }
  switch (node.op) {
    case 'input': {
      const [column] = batch.inputs[node.name!]!
      const offsets = offsetsOf(sizes, node.axes, batch.program.inputs[node.name!]!.axes)
      return Array.from(offsets, (offset) => wide(column![offset]!))
    }
    case 'scalar':
      return [wide(batch.scalars[node.name!]!)]
    case 'constant':
      return [wide(node.value!)]
    case 'index':
      return each((i) => BigInt(i) * ONE)
    case 'size':
      return [BigInt(sizes[node.axis!]!) * ONE]
    case 'cotangent': {
      const [given] = batch.cotangent
      return each((i) => wide(given!.length === count ? given![i]! : given![0]!))
    }
    case 'select': {
      const [test, yes, no] = [aligned(0), aligned(1), aligned(2)]
      return each((i) => (test(i) !== 0n ? yes(i) : no(i)))
    }
    case 'expand': {
      const same = aligned(0)
      return each(same)
    }
    case 'rename': {
      const from = axesOf(0).map((axis) => (axis === node.axis ? node.to! : axis))
      return Array.from(offsetsOf(sizes, node.axes, from), (offset) => data(0)[offset]!)
    }
    case 'reduce_sum':
      return reduced(0n, plus)
    case 'reduce_max':
      return reduced(Number.NEGATIVE_INFINITY, (a, b) => {
        return typeof a === 'bigint' && typeof b === 'bigint'
          ? a > b
            ? a
            : b
          : a === -Infinity
            ? b
            : b === -Infinity
              ? a
              : wide(Math.max(narrow(a), narrow(b)))
      })
    case 'contract': {
      const others = offsetsOf(sizes, node.axes, axesOf(1))
      const own = Array.from(offsetsOf(sizes, node.axes, axesOf(0)))
      return own.map((offset, i) => {
        let sum: Wide = 0n
        for (let k = 0; k < sizes[node.axis!]!; k++) {
          const product = elementwise(
            'mul',
            data(0)[offset + k * stride(0)]!,
            data(1)[others[i]! + k * stride(1)]!,
          )
          sum = plus(sum, product)
        }
        return sum
      })
    }
    case 'pick': {
      const place = aligned(1)
      return Array.from(offsetsOf(sizes, node.axes, axesOf(0)), (offset, i) => {
        const k = narrow(place(i))
        return k >= 0 && k < sizes[node.axis!]! ? data(0)[offset + Math.trunc(k) * stride(0)]! : 0n
      })
    }
    case 'shift': {
      const steps = narrow(data(1)[0]!)
      return each((i) => {
        const from = (Math.floor(i / stride(0)) % sizes[node.axis!]!) - steps
        return from >= 0 && from < sizes[node.axis!]! ? data(0)[i - steps * stride(0)]! : 0n
      })
    }
    case 'ctc':
      return ctcRows(run, node).map(({ total }) => negative(total))
    case 'ctc_slope': {
      const slopes: Wide[] = each(() => 0n)
      for (const { total, shares } of ctcRows(run, node))
        for (const { place, share } of total === never ? [] : shares)
          slopes[place] = plus(slopes[place]!, negative(elementwise('exp', plus(share, negative(total)), 0n)))
      return slopes
    }
    default:
      return alongLines(node, aligned, sizes)
  }
}

/** A line of an argument along the node's axis -> that of the result. */
type LineMeaning = (x: readonly Wide[], y: readonly Wide[]) => readonly Wide[]

const index = (k: number): Exact => BigInt(k) * ONE
const inReverse =
  (meaning: LineMeaning): LineMeaning =>
  (x, y) =>
    meaning(x.toReversed(), y.toReversed()).toReversed()

function running<T>(line: readonly T[], next: (last: Wide, own: T, k: number) => Wide): Wide[] {
  const found: Wide[] = []
  for (const [k, own] of line.entries()) found.push(next(found.at(-1) ?? 0n, own, k))
  return found
}

const cumsum: LineMeaning = (x) => running(x, plus)
const recurrence: LineMeaning = (x, a) =>
  running(x, (last, own, k) => (last === 0n ? own : plus(elementwise('mul', last, a[k]!), own)))

/** Ops on a whole axis, line by line. */
const LINES: Readonly<Record<string, LineMeaning>> = {
  cumsum,
  reverse_cumsum: inReverse(cumsum),
  recurrence,
  reverse_recurrence: inReverse(recurrence),
  argsort: (x) => {
    const numbers = x.map((own) => (typeof own === 'number' && Number.isNaN(own) ? undefined : own))
    const places = [...x.keys()].sort((i, j) => {
      const [a, b] = [numbers[i], numbers[j]]
      if (a === undefined || b === undefined)
        return Number(a === undefined) - Number(b === undefined) || i - j
      return (a < b ? -1 : Number(a > b)) || i - j
    })
    return places.map(index)
  },
  gather: (x, places) => places.map((place) => x[narrow(place)] ?? 0n),
  scatter: (x, places) =>
    x.map((_, k) => x.reduce((sum, own, i) => (narrow(places[i]!) === k ? plus(sum, own) : sum), 0n)),
  cummax_place: (x) => {
    let place = 0
    return x.map((own, k) => {
      const largest = x[place]!
      const [isNone, wasNone] = [own, largest].map((one) => Number.isNaN(narrow(one)))
      if (own > largest || (isNone && !wasNone)) place = k
      return index(place)
    })
  },
}

/** Whether the interpreter knows an op. */
export function isExactlyDefined(op: Node['op']): boolean {
  return !isHostOp(op) || Object.hasOwn(LINES, op) || op === 'ctc' || op === 'ctc_slope'
}

const never = Number.NEGATIVE_INFINITY
const negative = (x: Wide): Wide => -x as Wide

/** ln(e^a + e^b) */
function logAdd(a: Wide, b: Wide): Wide {
  if (a === never || b === never) return a === never ? b : a
  const [small, large] = a < b ? [a, b] : [b, a]
  return plus(large, elementwise('log1p', elementwise('exp', plus(small, negative(large)), 0n), 0n))
}

interface CtcRow {
  /** ln of the probability of all alignments. */
  readonly total: Wide
  /** For each time and state: where its log-probability is, and ln of the probability of the alignments through it. */
  readonly shares: readonly { readonly place: number; readonly share: Wide }[]
}

/** The forward-backward algorithm of language/ctc.ts. */
function ctcRows({ batch, sizes, results }: Run, node: Node): CtcRow[] {
  const { nodes } = batch.program
  const [logits, labels, lengths, counts, blank] = node.args.map((arg) => ({
    data: results[arg]!,
    axes: nodes[arg]!.axes,
  }))
  const [rows] = lengths!.axes
  const listed = labels!.axes.find((axis) => axis !== rows)!
  const stride = ({ axes }: { axes: readonly string[] }, axis: string) => strideOf(sizes, axes, axis)
  return Array.from({ length: sizes[rows!]! }, (_, row) => {
    const [times, states] = [narrow(lengths!.data[row]!), 2 * narrow(counts!.data[row]!) + 1]
    const label = (state: number) =>
      narrow(
        state % 2 === 0
          ? blank!.data[0]!
          : labels!.data[row * stride(labels!, rows!) + ((state - 1) / 2) * stride(labels!, listed)]!,
      )
    const place = (time: number, state: number) =>
      row * stride(logits!, rows!) +
      time * stride(logits!, node.axis!) +
      label(state) * stride(logits!, node.to!)
    const skips = (state: number) => state % 2 === 1 && state > 1 && label(state) !== label(state - 2)
    const states0 = [...Array(states).keys()]
    const emit = (time: number, state: number) => logits!.data[place(time, state)]!
    const alpha: Wide[][] = []
    for (let t = 0; t < times; t++) {
      const before = (state: number) => alpha[t - 1]?.[state] ?? never
      alpha.push(
        states0.map((s) => {
          if (t === 0) return s < 2 ? emit(0, s) : never
          const reached = logAdd(logAdd(before(s), before(s - 1)), skips(s) ? before(s - 2) : never)
          return reached === never ? never : plus(reached, emit(t, s))
        }),
      )
    }
    const beta: Wide[][] = []
    for (let t = times - 1; t >= 0; t--) {
      const behind = (state: number) => {
        const from = beta[t + 1]?.[state] ?? never
        return from === never ? never : plus(from, emit(t + 1, state))
      }
      beta[t] = states0.map((s) => {
        if (t === times - 1) return s >= states - 2 ? 0n : never
        return logAdd(
          logAdd(behind(s), behind(s + 1)),
          s + 2 < states && skips(s + 2) ? behind(s + 2) : never,
        )
      })
    }
    const ends = [states - 1, states - 2].map((state) => alpha.at(-1)?.[state] ?? never)
    const total = times === 0 ? (states === 1 ? 0n : never) : logAdd(ends[0]!, ends[1]!)
    const shares = alpha.flatMap((own, t) =>
      own.flatMap((x, s) => {
        const rest = beta[t]![s]!
        return x === never || rest === never ? [] : [{ place: place(t, s), share: plus(x, rest) }]
      }),
    )
    return { total, shares }
  })
}

function alongLines(node: Node, aligned: (place: number) => (i: number) => Wide, sizes: Sizes): Wide[] {
  const meaning = LINES[node.op]
  if (meaning === undefined) throw new UnsupportedByEngine(`${node.op} with a hundred digits`)
  const operands = node.args.map((_, place) => aligned(place))
  const others = node.axes.filter((axis) => axis !== node.axis)
  const stride = strideOf(sizes, node.axes, node.axis!)
  const result: Wide[] = []
  for (const start of offsetsOf(sizes, others, node.axes)) {
    const line = Array.from({ length: sizes[node.axis!]! }, (_, k) => start + k * stride)
    const [x, y = []] = operands.map((operand) => line.map(operand))
    meaning(x!, y).forEach((own, k) => {
      result[line[k]!] = own
    })
  }
  return result
}

function run(batch: Batch): BatchResult {
  const { program } = batch
  const state: Run = { batch, sizes: sizesWithRenamedAxes(program, batch.sizes), results: [] }
  for (const node of program.nodes) state.results.push(evaluate(state, node))
  const numbers = (values: readonly Wide[]) => Float64Array.from(values, narrow)
  const gradients = Object.entries(program.gradients).map(([name, id]) => {
    const offsets = offsetsOf(state.sizes, layoutOf(program, name), program.nodes[id]!.axes)
    return [name, numbers(Array.from(offsets, (offset) => state.results[id]![offset]!))] as const
  })
  const { denominators } = program
  return {
    values: numbers(state.results[program.value]!),
    ...(denominators === undefined ? {} : { denominators: numbers(state.results[denominators]!) }),
    gradients: Object.fromEntries(gradients),
    computeMs: 0,
    engine: 'exact',
  }
}

/** An engine whose float64 results are exact up to the last rounding. */
export const EXACT_ENGINE: Engine = {
  info: { name: 'exact', device: '100 digits', reason: 'the reference of float64' },
  isReady: true,
  run: async (batch) => run(batch),
  serving: () => ['exact'],
  stats: async () => ({ tensors: 0, bytes: 0 }),
  close: async () => {},
}
