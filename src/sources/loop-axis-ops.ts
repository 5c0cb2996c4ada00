/**
 * Ops on a whole axis as functions of the languages with loops: sorting, moves along an axis, running sums, triangular systems, the
 * alignments of CTC and of soft dynamic time warping. Each is written once, as statements; a language says how it spells them.
 * Numbers are in flat arrays, and a line of them is where it starts, its stride and its size.
 */
import type { HostOp } from '../language/ir.ts'

/** `reals` and `whole` numbers are read, `out` is written to; sizes are also places in arrays. */
export type HelperType = 'reals' | 'whole' | 'out' | 'size' | 'real'

export type HelperParams = readonly (readonly [name: string, type: HelperType])[]

/** How a language spells statements. */
export interface HelperSyntax {
  /** The name of a function of this language: `argsortAlong`. */
  name(words: string): string
  /** @param about one sentence for its comment */
  define(
    name: string,
    params: HelperParams,
    result: 'real' | 'size' | undefined,
    about: string,
    body: readonly string[],
  ): string[]
  constant(type: 'size' | 'real', name: string, value: string): string
  variable(type: 'size' | 'real', name: string, value: string): string
  set(target: string, value: string): string
  /** A call as a statement. */
  run(call: string): string
  return(value: string): string
  when(test: string, yes: readonly string[], no?: readonly string[]): string[]
  /** For each size from the first to before the end. */
  each(index: string, first: string, end: string, body: readonly string[]): string[]
  repeat(test: string, body: readonly string[]): string[]
  number(value: number): string
  /** Half of a size, rounded down. */
  half(size: string): string
  /** A size as a number, and a number as a size. */
  real(size: string): string
  size(real: string): string
  /** An element that is read. */
  at(array: string, place: string): string
  equal(a: string, b: string): string
  differs(a: string, b: string): string
  exp(x: string): string
  log(x: string): string
  math(name: 'abs' | 'floor' | 'sin' | 'cos' | 'log1p', x: string): string
  /** How an array is passed on. */
  pass(array: string, type: 'reals' | 'out'): string
}

/** Statements in a block are indented by the language. */
type Statements = readonly (string | readonly string[])[]

/** A function for each op, and those that they call. */
export function loopHelpers(syntax: HelperSyntax): Readonly<Record<string, readonly string[]>> {
  const s = wordsOf(syntax)
  const functions = [
    ...lengthFunctions(s),
    ...lineFunctions(s),
    ...systemFunctions(s),
    ...ctcFunctions(s),
    ...softDtwFunctions(s),
  ]
  return Object.fromEntries(functions.map(([name, lines]) => [syntax.name(name), lines]))
}

/** Functions that those of the ops call. */
const PARTS = [
  'total by lengths',
  'divide by lengths',
  'ctc class',
  'log add',
  'ctc forward',
  'soft min',
  'soft weight',
  'soft dtw forward',
] as const

/** The name of the function of an op. */
export const HELPER_NAMES: Readonly<Record<HostOp, string>> = {
  argsort: 'argsort along',
  gather: 'gather along',
  scatter: 'scatter along',
  cumsum: 'cumsum along',
  reverse_cumsum: 'reverse cumsum along',
  recurrence: 'recurrence along',
  reverse_recurrence: 'reverse recurrence along',
  cummax_place: 'cummax place along',
  solve_lower: 'solve lower',
  solve_upper: 'solve upper',
  ctc: 'ctc of row',
  ctc_slope: 'ctc slope of row',
  soft_dtw: 'soft dtw of pair',
  soft_dtw_slope: 'soft dtw slope of pair',
}

/** The names of all functions, which nothing else may have. */
export const HELPER_WORDS: readonly string[] = [...Object.values(HELPER_NAMES), ...PARTS]

type Function = readonly [string, readonly string[]]
type Words = HelperSyntax & {
  block(...statements: Statements): string[]
  call(name: string, ...args: readonly string[]): string
}

function wordsOf(syntax: HelperSyntax): Words {
  return {
    ...syntax,
    block: (...statements) => statements.flat(),
    call: (name, ...args) => `${syntax.name(name)}(${args.join(', ')})`,
  }
}

/** `x: reals, size: size` */
export const helperParams = (text: string): HelperParams =>
  text.split(', ').map((part) => part.split(': ') as unknown as readonly [string, HelperType])

const LINE = 'start: size, stride: size, size: size'

// Means

function lengthFunctions(s: Words): Function[] {
  const length = [
    s.variable('real', 'length', s.real(s.at('lengths', 'i'))),
    ...s.when(`length < ${s.number(1)}`, [s.set('length', s.number(1))]),
  ]
  const define = (
    name: string,
    own: string,
    result: 'real' | undefined,
    about: string,
    body: string[],
  ): Function => [name, s.define(name, helperParams(own), result, about, body)]
  return [
    define(
      'total by lengths',
      'x: reals, lengths: whole, rows: size',
      'real',
      'The sum of the losses, each divided by the length of its row, or by 1.',
      [
        s.variable('real', 'total', s.number(0)),
        ...s.each('i', '0', 'rows', [...length, s.set('total', `total + ${s.at('x', 'i')} / length`)]),
        s.return('total'),
      ],
    ),
    define(
      'divide by lengths',
      'x: out, lengths: whole, rows: size, count: size',
      undefined,
      'Divides the elements of each row by its length, or by 1.',
      s.each('i', '0', 'rows', [
        ...length,
        ...s.each('k', 'i * (count / rows)', '(i + 1) * (count / rows)', [
          s.set('x[k]', `${s.at('x', 'k')} / length`),
        ]),
      ]),
    ),
  ]
}

// Lines

function lineFunctions(s: Words): Function[] {
  const define = (name: string, own: string, about: string, ...body: Statements): Function => [
    name,
    s.define(name, helperParams(own), undefined, about, s.block(...body)),
  ]
  const here = (array: string, place = 'k') => s.at(array, `start + ${place} * stride`)
  const spot = (array: string, place = 'k') => `${array}[start + ${place} * stride]`
  const recurrence = (name: string, about: string, at?: string) => {
    const place = at === undefined ? 'k' : 'place'
    return define(
      name,
      `x: reals, a: reals, ${LINE}, results: out`,
      about,
      s.variable('real', 'last', s.number(0)),
      s.each('k', '0', 'size', [
        ...(at === undefined ? [] : [s.constant('size', place, at)]),
        ...s.when(
          s.differs('last', s.number(0)),
          [s.set('last', `last * ${here('a', place)} + ${here('x', place)}`)],
          [s.set('last', here('x', place))],
        ),
        s.set(spot('results', place), 'last'),
      ]),
    )
  }
  const less = (a: string, b: string) => `${a} < ${b} || (${s.differs(b, b)} && ${s.equal(a, a)})`
  return [
    define(
      'argsort along',
      `x: reals, ${LINE}, places: out, spare: out`,
      'The places from the smallest to the largest (merge sort): equal ones by place, NaN last.',
      s.each('k', '0', 'size', [s.set(spot('places'), s.real('k'))]),
      s.variable('size', 'width', '1'),
      s.repeat('width < size', [
        s.variable('size', 'low', '0'),
        ...s.repeat('low < size', [
          s.variable('size', 'middle', 'low + width'),
          ...s.when('middle > size', [s.set('middle', 'size')]),
          s.variable('size', 'high', 'low + 2 * width'),
          ...s.when('high > size', [s.set('high', 'size')]),
          s.variable('size', 'left', 'low'),
          s.variable('size', 'right', 'middle'),
          ...s.each('k', 'low', 'high', [
            s.variable('size', 'next', 'left'),
            ...s.when(
              'left < middle && right < high',
              [
                s.constant('real', 'a', here('x', s.size(here('places', 'left')))),
                s.constant('real', 'b', here('x', s.size(here('places', 'right')))),
                ...s.when(less('b', 'a'), [s.set('next', 'right')]),
              ],
              s.when('right < high', [s.set('next', 'right')]),
            ),
            s.set('spare[k]', here('places', 'next')),
            ...s.when('next < middle', [s.set('left', 'left + 1')], [s.set('right', 'right + 1')]),
          ]),
          s.set('low', 'high'),
        ]),
        ...s.each('k', '0', 'size', [s.set(spot('places'), s.at('spare', 'k'))]),
        s.set('width', '2 * width'),
      ]),
    ),
    define(
      'gather along',
      `x: reals, places: reals, ${LINE}, found: out`,
      'x at these places, and 0 outside of the line.',
      s.each('k', '0', 'size', [
        s.constant('real', 'place', here('places')),
        ...s.when(
          `place >= ${s.number(0)} && place < ${s.real('size')}`,
          [s.set(spot('found'), here('x', s.size('place')))],
          [s.set(spot('found'), s.number(0))],
        ),
      ]),
    ),
    define(
      'scatter along',
      `x: reals, places: reals, ${LINE}, sums: out`,
      'The sum of those x that go to each place; what goes outside of the line is dropped.',
      s.each('k', '0', 'size', [s.set(spot('sums'), s.number(0))]),
      s.each('k', '0', 'size', [
        s.constant('real', 'place', here('places')),
        ...s.when(`place >= ${s.number(0)} && place < ${s.real('size')}`, [
          s.constant('size', 'to', s.size('place')),
          s.set(spot('sums', 'to'), `${here('sums', 'to')} + ${here('x')}`),
        ]),
      ]),
    ),
    define(
      'cumsum along',
      `x: reals, ${LINE}, sums: out`,
      'The sum of each element and all before it.',
      s.variable('real', 'sum', s.number(0)),
      s.each('k', '0', 'size', [s.set('sum', `sum + ${here('x')}`), s.set(spot('sums'), 'sum')]),
    ),
    define(
      'reverse cumsum along',
      `x: reals, ${LINE}, sums: out`,
      'The sum of each element and all after it.',
      s.variable('real', 'sum', s.number(0)),
      s.each('k', '0', 'size', [
        s.constant('size', 'place', 'size - 1 - k'),
        s.set('sum', `sum + ${here('x', 'place')}`),
        s.set(spot('sums', 'place'), 'sum'),
      ]),
    ),
    recurrence(
      'recurrence along',
      'Each x plus a times the result before it; 0 adds nothing, whatever a is.',
    ),
    recurrence('reverse recurrence along', 'The same from the last element on.', 'size - 1 - k'),
    define(
      'cummax place along',
      `x: reals, ${LINE}, places: out`,
      'Where the largest so far stands: the first of equal ones; nothing is larger than a NaN.',
      s.variable('size', 'place', '0'),
      s.each('k', '0', 'size', [
        s.constant('real', 'value', here('x')),
        s.constant('real', 'largest', here('x', 'place')),
        ...s.when(`value > largest || (${s.differs('value', 'value')} && ${s.equal('largest', 'largest')})`, [
          s.set('place', 'k'),
        ]),
        s.set(spot('places'), s.real('place')),
      ]),
    ),
  ]
}

// Triangular systems

function systemFunctions(s: Words): Function[] {
  const own =
    'a: reals, first: size, down: size, along: size, b: reals, start: size, stride: size, size: size, x: out, begin: size, step: size'
  const coefficient = (row: string, column: string) => s.at('a', `first + ${row} * down + ${column} * along`)
  const system = (name: string, about: string, row: string, from: string, end: string): Function => [
    name,
    s.define(
      name,
      helperParams(own),
      undefined,
      about,
      s.each('k', '0', 'size', [
        ...(row === 'k' ? [] : [s.constant('size', 'row', row)]),
        s.variable('real', 'rest', s.at('b', `start + ${row === 'k' ? 'k' : 'row'} * stride`)),
        ...s.each('j', from, end, [
          s.set(
            'rest',
            `rest - ${coefficient(row === 'k' ? 'k' : 'row', 'j')} * ${s.at('x', 'begin + j * step')}`,
          ),
        ]),
        s.set(
          `x[begin + ${row === 'k' ? 'k' : 'row'} * step]`,
          `rest / ${coefficient(row === 'k' ? 'k' : 'row', row === 'k' ? 'k' : 'row')}`,
        ),
      ]),
    ),
  ]
  return [
    system('solve lower', 'The solution x of a x = b for a lower triangular matrix.', 'k', '0', 'k'),
    system(
      'solve upper',
      'The solution x of a x = b for an upper triangular matrix.',
      'size - 1 - k',
      'row + 1',
      'size',
    ),
  ]
}

// CTC

function ctcFunctions(s: Words): Function[] {
  const never = s.number(Number.NEGATIVE_INFINITY)
  const row =
    'x: reals, start: size, next: size, step: size, moments: size, labels: reals, first: size, stride: size, count: size, blank: size'
  const given = [
    'x',
    ...'start next step moments'.split(' '),
    'labels',
    ...'first stride count blank'.split(' '),
  ]
  const emitted = (time: string, state: string) =>
    s.at('x', `start + ${time} * next + ${classOf(state)} * step`)
  const classOf = (state: string) =>
    s.call('ctc class', 'labels', 'first', 'stride', 'blank', state.replace(/^\((.*)\)$/, '$1'))
  const skips = (state: string) =>
    `${s.equal(`${state} % 2`, '1')} && ${state} > 1 && ${s.differs(classOf(state), classOf(`${state} - 2`))}`
  const before = (array: string, time: string, state: string) => s.at(array, `${time} * states + ${state}`)
  return [
    [
      'ctc class',
      s.define(
        'ctc class',
        helperParams('labels: reals, first: size, stride: size, blank: size, state: size'),
        'size',
        'The class of a state: blank, label, blank, label, ..., blank.',
        [
          ...s.when(s.equal('state % 2', '0'), [s.return('blank')]),
          s.return(s.size(s.at('labels', `first + ${s.half('state')} * stride`))),
        ],
      ),
    ],
    [
      'log add',
      s.define('log add', helperParams('a: real, b: real, c: real'), 'real', 'ln(e^a + e^b + e^c)', [
        s.variable('real', 'top', 'a'),
        ...s.when(`b > top || ${s.differs('b', 'b')}`, [s.set('top', 'b')]),
        ...s.when(`c > top || ${s.differs('c', 'c')}`, [s.set('top', 'c')]),
        ...s.when(s.equal('top', never), [s.return('top')]),
        s.return(`top + ${s.log(`${s.exp('a - top')} + ${s.exp('b - top')} + ${s.exp('c - top')}`)}`),
      ]),
    ],
    [
      'ctc forward',
      s.define(
        'ctc forward',
        helperParams(`${row}, alpha: out`),
        'real',
        'Fills alpha with ln of the probability of all ways to be in a state at a time, and returns that of all alignments.',
        [
          s.constant('size', 'states', '2 * count + 1'),
          ...s.each(
            't',
            '0',
            'moments',
            s.each('state', '0', 'states', [
              s.variable('real', 'total', never),
              ...s.when(s.equal('t', '0'), s.when('state < 2', [s.set('total', s.number(0))]), [
                s.variable('real', 'single', never),
                s.variable('real', 'twice', never),
                ...s.when('state > 0', [s.set('single', before('alpha', '(t - 1)', 'state - 1'))]),
                ...s.when(skips('state'), [s.set('twice', before('alpha', '(t - 1)', 'state - 2'))]),
                s.set('total', s.call('log add', before('alpha', '(t - 1)', 'state'), 'single', 'twice')),
              ]),
              s.set('alpha[t * states + state]', `total + ${emitted('t', 'state')}`),
            ]),
          ),
          ...s.when(
            s.equal('moments', '0'),
            s.when(s.equal('states', '1'), [s.return(s.number(0))], [s.return(never)]),
          ),
          s.constant('size', 'last', 'moments * states - 1'),
          s.variable('real', 'other', never),
          ...s.when('states > 1', [s.set('other', s.at('alpha', 'last - 1'))]),
          s.return(s.call('log add', s.at('alpha', 'last'), 'other', never)),
        ],
      ),
    ],
    [
      'ctc of row',
      s.define(
        'ctc of row',
        helperParams(`${row}, alpha: out`),
        'real',
        'Minus the logarithm of the probability of all alignments (Graves et al. 2006).',
        [s.return(`-${s.call('ctc forward', ...given, 'alpha')}`)],
      ),
    ],
    [
      'ctc slope of row',
      s.define(
        'ctc slope of row',
        helperParams(`${row}, alpha: out, beta: out, steps: size, classes: size, slope: out`),
        undefined,
        'Its derivative: minus the share of the alignments that pass through each class at each time.',
        [
          s.constant('size', 'states', '2 * count + 1'),
          ...s.each(
            't',
            '0',
            'steps',
            s.each('k', '0', 'classes', [s.set('slope[start + t * next + k * step]', s.number(0))]),
          ),
          s.constant('real', 'total', s.call('ctc forward', ...given, 'alpha')),
          ...s.when(
            s.differs('total', never),
            s.each('k', '0', 'moments', [
              s.constant('size', 't', 'moments - 1 - k'),
              ...s.each('j', '0', 'states', [
                s.constant('size', 'state', 'states - 1 - j'),
                s.variable('real', 'rest', never),
                ...s.when(s.equal('k', '0'), s.when('state + 2 >= states', [s.set('rest', s.number(0))]), [
                  s.variable('real', 'single', never),
                  s.variable('real', 'twice', never),
                  ...s.when('state + 1 < states', [
                    s.set(
                      'single',
                      `${before('beta', '(t + 1)', 'state + 1')} + ${emitted('(t + 1)', '(state + 1)')}`,
                    ),
                  ]),
                  ...s.when(`state + 2 < states && ${skips('(state + 2)')}`, [
                    s.set(
                      'twice',
                      `${before('beta', '(t + 1)', 'state + 2')} + ${emitted('(t + 1)', '(state + 2)')}`,
                    ),
                  ]),
                  s.constant(
                    'real',
                    'stay',
                    `${before('beta', '(t + 1)', 'state')} + ${emitted('(t + 1)', 'state')}`,
                  ),
                  s.set('rest', s.call('log add', 'stay', 'single', 'twice')),
                ]),
                s.set('beta[t * states + state]', 'rest'),
                s.constant('size', 'place', `start + t * next + ${classOf('state')} * step`),
                s.set(
                  'slope[place]',
                  `${s.at('slope', 'place')} - ${s.exp(`${before('alpha', 't', 'state')} + rest - total`)}`,
                ),
              ]),
            ]),
          ),
        ],
      ),
    ],
  ]
}

// Soft dynamic time warping

function softDtwFunctions(s: Words): Function[] {
  const never = s.number(Number.POSITIVE_INFINITY)
  const pair = 'costs: reals, start: size, down: size, along: size, rows: size, columns: size, gamma: real'
  const given = ['costs', ...'start down along rows columns gamma'.split(' ')]
  const forward = s.call('soft dtw forward', ...given, 'total')
  const reached = (place: string) => s.at('total', place)
  const [both, first, second] = ['at - width - 1', 'at - width', 'at - 1']
  return [
    [
      'soft min',
      s.define(
        'soft min',
        helperParams('a: real, b: real, c: real, gamma: real'),
        'real',
        '-gamma ln(e^(-a / gamma) + e^(-b / gamma) + e^(-c / gamma)); with gamma 0 the minimum.',
        [
          s.variable('real', 'least', 'a'),
          ...s.when(`b < least || ${s.differs('b', 'b')}`, [s.set('least', 'b')]),
          ...s.when(`c < least || ${s.differs('c', 'c')}`, [s.set('least', 'c')]),
          ...s.when(`${s.equal('gamma', s.number(0))} || ${s.differs('least - least', s.number(0))}`, [
            s.return('least'),
          ]),
          s.variable('real', 'sum', s.exp('(least - a) / gamma')),
          s.set('sum', `sum + ${s.exp('(least - b) / gamma')}`),
          s.set('sum', `sum + ${s.exp('(least - c) / gamma')}`),
          s.return(`least - gamma * ${s.log('sum')}`),
        ],
      ),
    ],
    [
      'soft weight',
      s.define(
        'soft weight',
        helperParams('x: real, least: real, gamma: real'),
        'real',
        'Of one of three values in their soft minimum, before they are divided by their sum.',
        [
          ...s.when(s.equal('x', 'least'), [s.return(s.number(1))]),
          ...s.when(s.equal('gamma', s.number(0)), [s.return(s.number(0))]),
          s.return(s.exp('(least - x) / gamma')),
        ],
      ),
    ],
    [
      'soft dtw forward',
      s.define(
        'soft dtw forward',
        helperParams(`${pair}, total: out`),
        'real',
        'Fills total with the value of each pair of prefixes, including empty ones, and returns the last one.',
        [
          s.constant('size', 'width', 'columns + 1'),
          ...s.each(
            'i',
            '0',
            'rows + 1',
            s.each('j', '0', 'width', [
              s.constant('size', 'at', 'i * width + j'),
              s.variable('real', 'value', never),
              ...s.when(`${s.equal('i', '0')} && ${s.equal('j', '0')}`, [s.set('value', s.number(0))]),
              ...s.when('i > 0 && j > 0', [
                s.set('value', s.call('soft min', reached(both), reached(first), reached(second), 'gamma')),
                s.set('value', `value + ${s.at('costs', 'start + (i - 1) * down + (j - 1) * along')}`),
              ]),
              s.set('total[at]', 'value'),
            ]),
          ),
          s.return(reached('rows * width + columns')),
        ],
      ),
    ],
    [
      'soft dtw of pair',
      s.define(
        'soft dtw of pair',
        helperParams(`${pair}, total: out`),
        'real',
        'The soft minimum of the costs of all alignments of two series (Cuturi and Blondel 2017).',
        [s.return(forward)],
      ),
    ],
    [
      'soft dtw slope of pair',
      s.define(
        'soft dtw slope of pair',
        helperParams(`${pair}, total: out, shares: out, slope: out`),
        undefined,
        'Its derivative: the weight of the alignments that contain each pair. Each passes its own on to its predecessors.',
        [
          s.constant('size', 'width', 'columns + 1'),
          s.constant('real', 'last', forward),
          ...s.each('k', '0', '(rows + 1) * width', [s.set('shares[k]', s.number(0))]),
          ...s.when(s.differs('last', never), [s.set('shares[rows * width + columns]', s.number(1))]),
          ...s.each(
            'r',
            '0',
            'rows',
            s.each('k', '0', 'columns', [
              s.constant('size', 'at', '(rows - r) * width + columns - k'),
              s.constant('real', 'share', s.at('shares', 'at')),
              s.set('slope[start + (rows - r - 1) * down + (columns - k - 1) * along]', 'share'),
              ...s.when(s.differs('share', s.number(0)), [
                s.constant(
                  'real',
                  'least',
                  s.call('soft min', reached(both), reached(first), reached(second), s.number(0)),
                ),
                ...[both, first, second].map((place, i) =>
                  s.constant('real', `w${i}`, s.call('soft weight', reached(place), 'least', 'gamma')),
                ),
                s.constant('real', 'part', 'share / (w0 + w1 + w2)'),
                ...[both, first, second].map((place, i) =>
                  s.set(`shares[${place}]`, `${s.at('shares', place)} + part * w${i}`),
                ),
              ]),
            ]),
          ),
        ],
      ),
    ],
  ]
}
