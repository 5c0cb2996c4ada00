/**
 * Functions that the array targets in Python bring along for ops on a whole axis: shifts, triangular systems, the alignments of CTC and
 * of soft dynamic time warping. They are written once, in words that each library has; loops run over axes whose sizes are known.
 */

import { BERNOULLI } from '../language/gamma.ts'

/** What a library calls the functions that they are written in. */
export interface ArrayLibraryNames {
  /** The module: `np`. */
  readonly module: string
  readonly log: string
  readonly max: string
  readonly sum: string
  readonly concat: string
  /** How a dimension is named: `axis`, or `dim` in PyTorch. */
  readonly axis: string
  /** `0, 1, ... size - 1`, beside an array. */
  arange(size: string, beside: string): string
  /** As numbers like those of another array. */
  like(x: string, other: string): string
  /** x at these places of its last axis: a list that is known. */
  takeLast(x: string, places: string): string
  /** x at these places of an axis, which are one array for all others. */
  take(x: string, places: string, axis: string): string
  /** `x[n, time, states[n, state]]` */
  takeClasses(x: string, states: string): string
  /** An array of truths from a list. */
  truths(list: string, beside: string): string
  /** The solution of triangular systems; undefined to substitute row by row. */
  readonly solve?: (matrix: string, right: string, isLower: boolean) => string
}

/** Name -> the lines of the function, followed by an empty one. */
export function pythonHelpers(words: ArrayLibraryNames): Readonly<Record<string, readonly string[]>> {
  const { module, log, max, sum, concat, axis } = words
  const where = `${module}.where`
  const last = `${axis}=-1`
  const all = {
    _shift: [
      'def _shift(x, steps, axis):',
      '    """The element that many steps before each one, and 0 where there is none."""',
      '    size = x.shape[axis]',
      '    steps = max(-size, min(steps, size))',
      '    places = [max(0, min(k - steps, size - 1)) for k in range(size)]',
      '    inside = [0 <= k - steps < size for k in range(size)]',
      `    inside = ${module}.reshape(${words.truths('inside', 'x')}, [size if k == axis else 1 for k in range(len(x.shape))])`,
      `    found = ${words.take('x', 'places', 'axis')}`,
      `    return ${where}(inside, found, ${module}.zeros_like(found))`,
    ],
    _recurrence: [
      'def _recurrence(x, a, axis, step):',
      '    """Each x plus a times the result before it, from the first or the last on; 0 adds nothing, whatever a is."""',
      '    found = []',
      '    for k in list(range(x.shape[axis]))[::step]:',
      `        own, factor = ${words.take('x', '[k]', 'axis')}, ${words.take('a', '[k]', 'axis')}`,
      '        if found:',
      `            own = own + ${where}(found[-1] == 0, ${module}.zeros_like(own), factor * found[-1])`,
      '        found.append(own)',
      `    return ${concat}(found[::step], ${axis}=axis) if found else x`,
    ],
    ...solvers(words),
    ...gammas(words),
    _ctc_values: [
      'def _ctc_values(x, labels, lengths, counts, blank):',
      '    """Minus the logarithm of the probability of all alignments (Graves et al. 2006)."""',
      '    states = _ctc_states(labels, counts, blank)',
      `    alpha = _ctc_forward(${words.takeClasses('x', 'states')}, states)`,
      '    return -_ctc_total(alpha, lengths, counts)',
    ],
    _ctc_slope: [
      'def _ctc_slope(x, labels, lengths, counts, blank):',
      '    """Its derivative: minus the share of the alignments that pass through each class at each time."""',
      '    states = _ctc_states(labels, counts, blank)',
      `    emitted = ${words.takeClasses('x', 'states')}`,
      '    alpha, beta = _ctc_forward(emitted, states), _ctc_backward(emitted, states, lengths, counts)',
      '    total = _ctc_total(alpha, lengths, counts)[:, None, None]',
      '    impossible = total == -float("inf")',
      `    share = alpha + beta - ${where}(impossible, ${module}.zeros_like(total), total)`,
      `    share = ${where}(impossible, ${module}.zeros_like(share), ${module}.exp(share))`,
      `    is_class = states[:, :, None] == ${words.arange('x.shape[2]', 'x')}`,
      `    return -${module}.matmul(share, ${words.like('is_class', 'x')})`,
    ],
    _ctc_states: [
      'def _ctc_states(labels, counts, blank):',
      '    """blank, label, blank, label, ..., blank"""',
      `    blanks = ${words.like('counts * 0', 'labels')} + blank`,
      '    columns = [labels[:, k] for k in range(labels.shape[1])]',
      `    return ${module}.stack([blanks] + [one for label in columns for one in (label, blanks)], ${axis}=1)`,
    ],
    _ctc_forward: [
      'def _ctc_forward(emitted, states):',
      '    """ln of the probability of all ways to be in a state at a time, including what is emitted there."""',
      '    far = states[:, 2:] != states[:, :-2]',
      `    never = ${module}.zeros_like(emitted[:, 0]) - float("inf")`,
      `    alpha = ${where}(${words.arange('states.shape[1]', 'emitted')} < 2, emitted[:, 0], never)`,
      '    found = [alpha]',
      '    for t in range(1, emitted.shape[1]):',
      `        step = ${concat}([never[:, :1], alpha[:, :-1]], ${axis}=1)`,
      `        skip = ${concat}([never[:, :2], ${where}(far, alpha[:, :-2], never[:, 2:])], ${axis}=1)`,
      '        alpha = _log_add(alpha, step, skip) + emitted[:, t]',
      '        found.append(alpha)',
      `    return ${module}.stack(found, ${axis}=1)`,
    ],
    _ctc_backward: [
      'def _ctc_backward(emitted, states, lengths, counts):',
      '    """ln of the probability of all ways to continue from a state at a time to the end."""',
      '    far = states[:, 2:] != states[:, :-2]',
      `    never = ${module}.zeros_like(emitted[:, 0]) - float("inf")`,
      '    end = _ctc_end(emitted, counts)',
      '    beta, found = never, []',
      '    for t in reversed(range(emitted.shape[1])):',
      '        if found:',
      '            stay = beta + emitted[:, t + 1]',
      `            step = ${concat}([stay[:, 1:], never[:, :1]], ${axis}=1)`,
      `            skip = ${concat}([${where}(far, stay[:, 2:], never[:, 2:]), never[:, :2]], ${axis}=1)`,
      '            beta = _log_add(stay, step, skip)',
      `        beta = ${where}((lengths == t + 1)[:, None], end, beta)`,
      '        found.append(beta)',
      `    return ${module}.stack(found[::-1], ${axis}=1)`,
    ],
    _ctc_end: [
      'def _ctc_end(emitted, counts):',
      '    """0 for the last label of a row and the blank after it, and -infinity for other states."""',
      `    state = ${words.arange('emitted.shape[2]', 'emitted')}`,
      '    ends = (state >= 2 * counts[:, None] - 1) & (state <= 2 * counts[:, None])',
      `    zero = ${module}.zeros_like(emitted[:, 0])`,
      `    return ${where}(ends, zero, ${module}.zeros_like(zero) - float("inf"))`,
    ],
    _ctc_total: [
      'def _ctc_total(alpha, lengths, counts):',
      '    """ln of the probability of all alignments; without time steps only the empty labelling is possible."""',
      `    time = ${words.arange('alpha.shape[1]', 'alpha')}`,
      '    ends = (time == lengths[:, None] - 1)[:, :, None]',
      `    final = ${where}(ends, alpha + _ctc_end(alpha, counts)[:, None], ${module}.zeros_like(alpha) - float("inf"))`,
      `    final = ${max}(final, ${axis}=1)`,
      `    top = ${max}(final, ${axis}=1)`,
      '    impossible = top == -float("inf")',
      `    safe = ${where}(impossible, ${module}.zeros_like(top), top)`,
      `    powers = ${sum}(${module}.exp(final - safe[:, None]), ${axis}=1)`,
      `    total = ${where}(impossible, top, safe + ${log}(${where}(impossible, ${module}.ones_like(top), powers)))`,
      `    return ${where}((lengths == 0) & (counts == 0), ${module}.zeros_like(total), total)`,
    ],
    _log_add: [
      'def _log_add(a, b, c):',
      '    """ln(e^a + e^b + e^c), without the logarithm of 0, whose derivative would be infinite."""',
      `    top = ${module}.maximum(${module}.maximum(a, b), c)`,
      '    impossible = top == -float("inf")',
      `    safe = ${where}(impossible, ${module}.zeros_like(top), top)`,
      `    powers = ${module}.exp(a - safe) + ${module}.exp(b - safe) + ${module}.exp(c - safe)`,
      `    return ${where}(impossible, top, safe + ${log}(${where}(impossible, ${module}.ones_like(top), powers)))`,
    ],
    _soft_dtw_values: [
      'def _soft_dtw_values(costs, gamma):',
      '    """The soft minimum of the costs of all alignments of two series (Cuturi and Blondel 2017)."""',
      '    return _soft_dtw_table(costs, gamma)[-1][..., -1]',
    ],
    _soft_dtw_slope: [
      'def _soft_dtw_slope(costs, gamma):',
      '    """Its derivative: the weight of the alignments that contain each pair. Each passes its own on to its predecessors."""',
      '    n, m = costs.shape[-2:]',
      '    table = _soft_dtw_table(costs, gamma)',
      `    zero = ${module}.zeros_like(table[0])`,
      '    shares = [zero] * (n + m + 1)',
      `    shares[-1] = ${concat}([zero[..., :-1], zero[..., -1:] + 1], ${last})`,
      '    for k in range(n + m, 1, -1):',
      '        before = table[k - 2][..., :-1], table[k - 1][..., :-1], table[k - 1][..., 1:]',
      '        own = shares[k][..., 1:]',
      '        both, first, second = (',
      `            ${where}(own == 0, ${module}.zeros_like(own), own * weight) for weight in _soft_weights(*before, gamma)`,
      '        )',
      '        end = zero[..., :1]',
      `        shares[k - 2] = shares[k - 2] + ${concat}([both, end], ${last})`,
      `        shares[k - 1] = shares[k - 1] + ${concat}([first, end], ${last}) + ${concat}([end, second], ${last})`,
      `    flat = ${concat}([share[..., 1:] for share in shares[2:]], ${last})`,
      '    places = [(i + j) * n + i for i in range(n) for j in range(m)]',
      `    found = ${module}.reshape(${words.takeLast('flat', 'places')}, costs.shape)`,
      '    total = table[-1][..., -1][..., None, None]',
      `    return ${where}(total == float("inf"), ${module}.zeros_like(found), found)`,
    ],
    _soft_dtw_table: [
      'def _soft_dtw_table(costs, gamma):',
      '    """Diagonal k has the values of the first i and k - i elements of the series, for each i."""',
      '    n, m = costs.shape[-2:]',
      `    flat = ${module}.reshape(costs, (*costs.shape[:-2], n * m))`,
      `    never = ${module}.zeros_like(flat[..., :1]) + float("inf")`,
      `    nowhere = ${concat}([never] * n, ${last})`,
      `    table = [${concat}([${module}.zeros_like(never), nowhere], ${last}), ${concat}([never, nowhere], ${last})]`,
      '    for k in range(2, n + m + 1):',
      '        column = [k - 2 - i for i in range(n)]',
      '        places = [i * m + max(0, min(j, m - 1)) for i, j in enumerate(column)]',
      `        inside = ${words.truths('[0 <= j < m for j in column]', 'costs')}`,
      '        before, diagonal = table[-1], table[-2]',
      '        least = _soft_min(diagonal[..., :-1], before[..., :-1], before[..., 1:], gamma)',
      `        own = ${where}(inside, ${words.takeLast('flat', 'places')} + least, nowhere)`,
      `        table.append(${concat}([never, own], ${last}))`,
      '    return table',
    ],
    _soft_min: [
      'def _soft_min(a, b, c, gamma):',
      '    """-gamma ln(e^(-a / gamma) + e^(-b / gamma) + e^(-c / gamma)); with gamma 0 the minimum."""',
      `    least = ${module}.minimum(${module}.minimum(a, b), c)`,
      `    infinite = ${module}.abs(least) == float("inf")`,
      `    safe = ${where}(infinite, ${module}.zeros_like(least), least)`,
      `    width = ${where}(gamma == 0, ${module}.ones_like(gamma), gamma)[..., None]`,
      `    terms = [${module}.exp((safe - x) / width) for x in (a, b, c)]`,
      `    total = ${where}(infinite, ${module}.ones_like(least), terms[0] + terms[1] + terms[2])`,
      `    return ${where}((gamma[..., None] == 0) | infinite, least, safe - width * ${log}(total))`,
    ],
    _soft_weights: [
      'def _soft_weights(a, b, c, gamma):',
      '    """The derivative of the soft minimum; with gamma 0, equal values share it evenly."""',
      `    least = ${module}.minimum(${module}.minimum(a, b), c)`,
      `    one, zero = ${module}.ones_like(least), ${module}.zeros_like(least)`,
      `    infinite = ${module}.abs(least) == float("inf")`,
      `    width = ${where}(gamma == 0, ${module}.ones_like(gamma), gamma)[..., None]`,
      `    gaps = [${where}((x == least) & infinite, zero, least - x) for x in (a, b, c)]`,
      `    powers = [${where}(gamma[..., None] == 0, ${where}(gap == 0, one, zero), ${module}.exp(gap / width)) for gap in gaps]`,
      '    total = powers[0] + powers[1] + powers[2]',
      '    return [power / total for power in powers]',
    ],
  }
  return Object.fromEntries(Object.entries(all).map(([name, lines]) => [name, [...lines, '']]))
}

function solvers(words: ArrayLibraryNames): Readonly<Record<string, readonly string[]>> {
  return { _solve_lower: solver(words, true), _solve_upper: solver(words, false) }
}

const BERNOULLI_NUMBERS = `(${BERNOULLI.join(', ')})`
const PI = String(Math.PI)

function gammas({ module, log }: ArrayLibraryNames): Readonly<Record<string, readonly string[]>> {
  const where = `${module}.where`
  return {
    _digamma: [
      'def _digamma(x):',
      '    """The derivative of lgamma: steps up to 10, Stirling beyond, reflection below 0."""',
      '    flips = x < 0',
      `    y = ${where}(flips, 1 - x, x)`,
      `    steps = ${module}.zeros_like(y)`,
      '    for _ in range(10):',
      '        near = y < 10',
      `        steps, y = ${where}(near, steps + 1 / y, steps), ${where}(near, y + 1, y)`,
      '    square, tail = 1 / (y * y), 0.0',
      '    for k, b in reversed(list(enumerate(_BERNOULLI))):',
      '        tail = tail * square + b / (2 * k + 2)',
      `    found = ${log}(y) - 0.5 / y - tail * square - steps`,
      `    found = ${where}(flips, found - ${PI} * _cot_of_turn(x), found)`,
      `    return ${where}(flips & (${module}.floor(x) == x), ${module}.zeros_like(x) + float("nan"), found)`,
    ],
    _polygamma: [
      'def _polygamma(n, x):',
      '    """The derivative of digamma of order n: some terms of a zeta function, and the rest by Euler and Maclaurin."""',
      '    n, sign, factorial = int(n), (-1.0) ** (int(n) + 1), 1.0',
      '    for k in range(2, n + 1):',
      '        factorial = factorial * k',
      '    flips = x < 0',
      `    y = ${where}(flips, 1 - x, x)`,
      `    near = ${module}.zeros_like(y)`,
      '    for _ in range(n + 11):',
      '        is_near = y < n + 11',
      `        near, y = ${where}(is_near, near + y ** (-n - 1.0), near), ${where}(is_near, y + 1, y)`,
      '    square, tail, factor, power = 1 / (y * y), 0.0, (n + 1) / 2, 1.0',
      '    for k, b in enumerate(_BERNOULLI):',
      '        tail, power = tail + b * factor * power, power * square',
      '        factor = factor * (n + 2 * k + 2) * (n + 2 * k + 3) / ((2 * k + 3) * (2 * k + 4))',
      '    far = y ** (-1.0 * n) * (1 / n + (0.5 + tail / y) / y)',
      '    found = sign * factorial * (near + far)',
      '    powers = [0.0, 1.0]',
      '    for _ in range(n):',
      '        slope = [k * c for k, c in enumerate(powers)][1:] + [0.0, 0.0]',
      '        powers = [-slope[k] - (slope[k - 2] if k > 1 else 0.0) for k in range(len(powers) + 1)]',
      '    cot, turned = _cot_of_turn(x), powers[-1]',
      '    for c in powers[-2::-1]:',
      '        turned = turned * cot + c',
      `    found = ${where}(flips, -(${PI} ** (n + 1)) * turned - sign * found, found)`,
      `    is_pole = (x <= 0) & (${module}.floor(x) == x)`,
      `    return ${where}(is_pole, ${module}.zeros_like(x) + sign * float("inf"), found)`,
    ],
    _cot_of_turn: [
      'def _cot_of_turn(x):',
      '    """cot(pi x); next to a quarter turn by what is left to it, which is exact."""',
      `    rest = x - ${module}.floor(x + 0.5)`,
      `    left = 0.5 - ${module}.abs(rest)`,
      `    far = ${module}.sign(rest) * ${module}.tan(${PI} * left)`,
      `    return ${where}(left < 0.25, far, 1 / ${module}.tan(${PI} * rest))`,
    ],
    _BERNOULLI: [`_BERNOULLI = ${BERNOULLI_NUMBERS}`],
  }
}

function solver({ solve, module, axis }: ArrayLibraryNames, isLower: boolean): readonly string[] {
  const [word, range, before] = isLower
    ? ['lower', 'range(size)', ':i']
    : ['upper', 'reversed(range(size))', 'i + 1:']
  const head = [
    `def _solve_${word}(a, b):`,
    `    """The solution x of a x = b for ${isLower ? 'a lower' : 'an upper'} triangular matrix a."""`,
  ]
  if (solve !== undefined) return [...head, `    return ${solve('a', 'b', isLower)}`]
  return [
    ...head,
    '    size = b.shape[-1]',
    `    x = ${module}.zeros_like(b)`,
    `    for i in ${range}:`,
    `        rest = b[..., i] - ${module}.sum(a[..., i, ${before}] * x[..., ${before}], ${axis}=-1)`,
    '        x[..., i] = rest / a[..., i, i]',
    '    return x',
  ]
}
