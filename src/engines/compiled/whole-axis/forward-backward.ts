/**
 * The forward-backward algorithm of CTC (language/ctc.ts) in logarithms and in float64. Neighboring states are side by side in the
 * lanes; each row is one call. The workspace has, one after the other, a line for each of these: what is emitted at one time, the
 * two lines of the recursion from the end, which states may be skipped to, the class of each state, and ln alpha of every time;
 * then a number for each class. A line begins with two places for states that do not exist.
 */
import {
  type Code,
  extractF64,
  F64,
  FunctionBuilder,
  f64,
  fillMemory,
  get,
  I32,
  i32,
  i64,
  ifElse,
  loadF64,
  loadI32,
  loadVector,
  op,
  select,
  set,
  storeF64,
  storeI32,
  storeI64,
  storeVector,
} from '../wasm-encoder.ts'
import type { TargetFeatures } from '../wide.ts'
import { logAdd3, NEVER, shareOf } from './log-add.ts'
import {
  counter,
  DOUBLE,
  doubleAt,
  type ElementKind,
  each,
  loadInteger,
  loadNumber,
  plus,
  smaller,
  storeNumber,
  times,
  walk,
} from './scalar-code.ts'

/** How the operands of a kernel are stored. */
export interface CtcKinds {
  readonly logits: ElementKind
  readonly labels: ElementKind
  readonly result: ElementKind
}

/** Places of a line besides those of the labels and the blanks between them: before the first state, and behind the last. */
const MARGIN = { before: 2, all: 6 } as const
const NEVER_F64 = f64(Number.NEGATIVE_INFINITY)

/**
 * The parameters of both functions: the logits and the distances between times and classes; the labels and their distance;
 * the sizes of the three axes; how many times and labels this row has; the blank; the workspace.
 */
const PARAMS = [
  'logits',
  'down',
  'along',
  'labels',
  'next',
  'size',
  'classes',
  'listed',
  'times',
  'count',
  'blank',
  'workspace',
] as const

type Params = Readonly<Record<(typeof PARAMS)[number], Code>>

/** One row while its code is emitted. */
class CtcRow {
  readonly f: FunctionBuilder
  readonly target: TargetFeatures
  readonly kinds: CtcKinds
  readonly params: Params
  readonly times: Code
  readonly states: Code
  /** Bytes of a line, and of its states rounded up to whole vectors. */
  readonly width: Code
  readonly stateBytes: Code
  readonly emitted: Code
  readonly ahead: Code
  readonly beta: Code
  readonly skips: Code
  readonly classOf: Code
  readonly alpha: Code
  readonly sums: Code

  constructor(f: FunctionBuilder, target: TargetFeatures, kinds: CtcKinds) {
    this.f = f
    this.target = target
    this.kinds = kinds
    this.params = Object.fromEntries(PARAMS.map((name, i) => [name, get(i)])) as Params
    const { times: moments, size, count, listed, workspace } = this.params
    const within = (value: Code, most: Code) => {
      const least = f.let(smaller(f, value, most), I32)
      return f.let(select(op('i32.lt_s', least, i32(0)), i32(0), least), I32)
    }
    this.times = within(moments, size)
    const labels = within(count, listed)
    this.states = f.let(plus(twice(labels), i32(1)), I32)
    this.width = f.let(op('i32.shl', plus(twice(listed), i32(MARGIN.all)), i32(3)), I32)
    this.stateBytes = f.let(op('i32.shl', plus(this.states, i32(1)), i32(3)), I32)
    const line = (place: number) =>
      f.let(plus(plus(workspace, times(this.width, i32(place))), i32(MARGIN.before * DOUBLE)), I32)
    ;[this.emitted, this.ahead, this.beta, this.skips, this.classOf, this.alpha] = [0, 1, 2, 3, 4, 5].map(
      line,
    )
    this.sums = f.let(plus(this.alpha, times(this.width, size)), I32)
  }

  /** The logits of a time. */
  logitsAt(time: Code): Code {
    return plus(this.params.logits, times(time, this.params.down))
  }

  alphaAt(time: Code): Code {
    return plus(this.alpha, times(time, this.width))
  }

  /** The class of each state, and all bits set where the blank before it may be skipped: it is a label, and not the one before. */
  describeStates() {
    const { f, params, states, skips, classOf } = this
    const { labels, next, classes, blank } = params
    f.add(fillMemory(op('i32.sub', skips, i32(MARGIN.before * DOUBLE)), 0, twice(this.width)))
    const own = counter(f, i32(0))
    each(f, i32(0), states, (state) => {
      const label = plus(labels, times(op('i32.shr_u', state, i32(1)), next))
      own.set(blank)
      const isLabel = op('i32.and', state, i32(1))
      f.add(
        ifElse(
          isLabel,
          f.capture(() => own.set(loadInteger(this.kinds.labels, label))),
        ),
      )
      // Labels have been validated; this keeps reads in bounds in any case.
      own.set(select(op('i32.lt_u', own.value, classes), own.value, i32(0)))
      const at = f.let(plus(classOf, op('i32.shl', state, i32(2))), I32)
      f.add(storeI32(at, own.value))
      const differs = op('i32.ne', own.value, loadI32(op('i32.sub', at, i32(8))))
      const mayJump = op('i32.and', op('i32.gt_s', state, i32(1)), op('i32.and', isLabel, differs))
      f.add(ifElse(mayJump, storeI64(doubleAt(skips, state), i64(-1n))))
    })
  }

  /** What each state emits at a time. */
  emit(time: Code) {
    const { f, params, states, classOf, emitted } = this
    const logits = f.let(this.logitsAt(time), I32)
    const lines = [
      { start: classOf, stride: i32(4) },
      { start: emitted, stride: i32(DOUBLE) },
    ]
    walk(f, states, lines, ([own, to]) => {
      const value = loadNumber(this.kinds.logits, plus(logits, times(loadI32(own), params.along)))
      f.add(storeF64(to, value))
    })
  }

  /** For each vector of states, its distance from the first. */
  eachVector(turn: (offset: Code) => void) {
    each(this.f, i32(0), this.stateBytes, turn, 16)
  }

  /** Fills a line, with its margins. */
  forget(line: Code) {
    const start = this.f.let(op('i32.sub', line, i32(MARGIN.before * DOUBLE)), I32)
    each(this.f, i32(0), this.width, (offset) => this.f.add(storeVector(plus(start, offset), NEVER)), 16)
  }
}

const twice = (x: Code): Code => op('i32.shl', x, i32(1))

/** ln of the probability of all alignments. It leaves ln alpha and the states in the workspace. */
export function ctcForward(kinds: CtcKinds, target: TargetFeatures): FunctionBuilder {
  const f = new FunctionBuilder(new Array(PARAMS.length).fill(I32), [F64])
  const row = new CtcRow(f, target, kinds)
  row.describeStates()
  f.add(
    ifElse(
      op('i32.gt_s', row.times, i32(0)),
      f.capture(() => begin(row)),
    ),
  )
  each(f, i32(1), row.times, (time) => advance(row, time))
  f.add(totalOf(row))
  return f
}

/** At first, only the first blank and the first label are possible. */
function begin(row: CtcRow) {
  const { f, alpha, emitted, states } = row
  row.emit(i32(0))
  row.forget(alpha)
  f.add(storeF64(alpha, loadF64(emitted)))
  f.add(ifElse(op('i32.gt_s', states, i32(1)), storeF64(alpha, loadF64(emitted, DOUBLE), DOUBLE)))
}

/** ln alpha of a time from that of the time before: a state is kept, reached from the one before, or skipped to. */
function advance(row: CtcRow, time: Code) {
  const { f, target, emitted, skips, states } = row
  const [line, before] = [f.let(row.alphaAt(time), I32), f.let(row.alphaAt(op('i32.sub', time, i32(1))), I32)]
  row.emit(time)
  f.add(storeVector(op('i32.sub', line, i32(16)), NEVER))
  row.eachVector((offset) => {
    const from = f.let(plus(before, offset), I32)
    const stay = f.let(loadVector(from))
    const step = f.let(loadVector(op('i32.sub', from, i32(DOUBLE))))
    const jump = loadVector(op('i32.sub', from, i32(2 * DOUBLE)))
    const skip = f.let(op('v128.bitselect', jump, NEVER, loadVector(plus(skips, offset))))
    const reached = f.let(logAdd3(f, target, stay, step, skip))
    f.add(storeVector(plus(line, offset), op('f64x2.add', reached, loadVector(plus(emitted, offset)))))
  })
  f.add(storeF64(doubleAt(line, states), NEVER_F64))
}

/** An alignment ends in the last label or in the blank after it. With no time steps, only the empty labelling is possible. */
function totalOf(row: CtcRow): Code {
  const { f, target, states, times: count } = row
  const total = f.local(F64)
  const isEmpty = op('i32.eq', states, i32(1))
  const ends = f.capture(() => {
    const last = f.let(doubleAt(row.alphaAt(op('i32.sub', count, i32(1))), states), I32)
    const splat = (distance: number) => f.let(op('f64x2.splat', loadF64(op('i32.sub', last, i32(distance)))))
    const sum = logAdd3(f, target, splat(DOUBLE), splat(2 * DOUBLE), f.let(NEVER))
    f.add(set(total, extractF64(sum, 0)))
  })
  f.add(ifElse(op('i32.eqz', count), set(total, select(isEmpty, f64(0), NEVER_F64)), ends))
  return get(total)
}

/** Parameters of the derivative besides those of `ctcForward`, whose workspace it continues: ln p, and the result. */
const RESULT_PARAMS = [F64, I32, I32, I32] as const

/**
 * The derivative with respect to each log-probability: minus the share of the alignments that pass through it. It is 0 where no
 * alignment fits, and beyond the times of the row.
 */
export function ctcBackward(kinds: CtcKinds, target: TargetFeatures): FunctionBuilder {
  const f = new FunctionBuilder([...new Array(PARAMS.length).fill(I32), ...RESULT_PARAMS], [])
  const row = new CtcRow(f, target, kinds)
  const [total, result, down, along] = RESULT_PARAMS.map((_, i) => get(PARAMS.length + i))
  const place = (time: Code) => ({ start: plus(result, times(time, down)), stride: along })
  const isPossible = op('f64.ne', total, NEVER_F64)
  const end = f.let(select(isPossible, row.times, i32(0)), I32)
  each(f, end, row.params.size, (time) => {
    walk(f, row.params.classes, [place(time)], ([to]) => f.add(storeNumber(kinds.result, to, f64(0))))
  })
  endBehind(row)
  walk(f, end, [], (_, turn) => {
    const time = f.let(op('i32.sub', op('i32.sub', end, i32(1)), turn), I32)
    sharesAt(row, time, total)
    walk(
      f,
      row.params.classes,
      [{ start: row.sums, stride: i32(DOUBLE) }, place(time)],
      // 0 - 0 is 0, and -0 is not.
      ([sum, to]) => f.add(storeNumber(kinds.result, to, op('f64.sub', f64(0), loadF64(sum)))),
    )
    retreat(row, time)
  })
  return f
}

/** ln beta of the last time: an alignment may end in the last label or in the blank after it. */
function endBehind(row: CtcRow) {
  const { f, beta, states } = row
  row.forget(beta)
  row.forget(row.ahead)
  const last = f.let(doubleAt(beta, states), I32)
  f.add(storeF64(op('i32.sub', last, i32(DOUBLE)), f64(0)))
  f.add(ifElse(op('i32.gt_s', states, i32(1)), storeF64(op('i32.sub', last, i32(2 * DOUBLE)), f64(0))))
}

/** The share of the alignments that emit each class at a time. */
function sharesAt(row: CtcRow, time: Code, total: Code) {
  const { f, target, beta, emitted, sums, classOf, states } = row
  const line = f.let(row.alphaAt(time), I32)
  const all = f.let(op('f64x2.splat', total))
  row.eachVector((offset) => {
    const through = op('f64x2.add', loadVector(plus(line, offset)), loadVector(plus(beta, offset)))
    f.add(storeVector(plus(emitted, offset), shareOf(f, target, op('f64x2.sub', through, all))))
  })
  f.add(fillMemory(sums, 0, op('i32.shl', row.params.classes, i32(3))))
  const lines = [
    { start: classOf, stride: i32(4) },
    { start: emitted, stride: i32(DOUBLE) },
  ]
  walk(f, states, lines, ([own, share]) => {
    const at = f.let(doubleAt(sums, loadI32(own)), I32)
    f.add(storeF64(at, op('f64.add', loadF64(at), loadF64(share))))
  })
}

/** ln beta of the time before: from a state, it is kept, or the next one is reached, or skipped to. */
function retreat(row: CtcRow, time: Code) {
  const { f, target, beta, ahead, emitted, skips, states } = row
  row.emit(time)
  row.eachVector((offset) => {
    const sum = op('f64x2.add', loadVector(plus(beta, offset)), loadVector(plus(emitted, offset)))
    f.add(storeVector(plus(ahead, offset), sum))
  })
  f.add(storeF64(doubleAt(ahead, states), NEVER_F64))
  row.eachVector((offset) => {
    const from = f.let(plus(ahead, offset), I32)
    const stay = f.let(loadVector(from))
    const step = f.let(loadVector(from, DOUBLE))
    const mask = loadVector(plus(skips, offset), 2 * DOUBLE)
    const skip = f.let(op('v128.bitselect', loadVector(from, 2 * DOUBLE), NEVER, mask))
    f.add(storeVector(plus(beta, offset), logAdd3(f, target, stay, step, skip)))
  })
  f.add(storeF64(doubleAt(beta, states), NEVER_F64))
}
