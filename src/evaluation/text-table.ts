/** The answer of an evaluation as text, for terminals. */
import type { Comparison, Estimate, Evaluation, LossReport, SliceEstimate, Uncertainty } from './result.ts'

/** Slices that are printed of each loss. */
const MOST_SLICES = 40

/**
 * Tables, each with a line that says what its numbers are.
 *
 * @example
 * console.log(evaluationTable(await evaluate(request, files, options)))
 */
export function evaluationTable(evaluation: Evaluation): string {
  const { losses, comparisons } = evaluation
  const parts = [
    header(evaluation),
    ...losses.map((loss) => lossTable(loss, evaluation)),
    ...comparisons.map((one) => comparisonTable(one, evaluation)),
    ...badRows(evaluation),
    explanation(evaluation),
  ]
  return `${parts.join('\n\n')}\n`
}

function header({ files, rows, used, computed_by }: Evaluation): string {
  const what = files.length === 1 ? files[0] : `${files.length} files`
  const left = used === rows ? '' : `, of which ${count(used)} count`
  return `${visible(what)}: ${count(rows)} rows${left}. Computed by ${computed_by}.`
}

function lossTable(report: LossReport, evaluation: Evaluation): string {
  const shares = Object.keys(report.overall.quantiles ?? {})
  const head = [...evaluation.by, 'rows', 'mean loss', '95 % interval', 'std. error', ...shares.map(percent)]
  const row = (key: readonly string[], estimate: Estimate) => [
    ...key,
    count(estimate.rows),
    short(estimate.mean),
    interval(estimate),
    short(estimate.standard_error),
    ...shares.map((share) => short(estimate.quantiles?.[share] ?? null)),
  ]
  const rows = [
    row(allKey(evaluation), report.overall),
    ...report.slices.slice(0, MOST_SLICES).map((slice) => row(keyOf(evaluation.by, slice), slice)),
  ]
  return [
    visible(titleOf(report)),
    table(head, rows, evaluation.by.length),
    ...more(report.slices.length),
    ...worstRows(report),
  ].join('\n')
}

function comparisonTable(comparison: Comparison, evaluation: Evaluation): string {
  const { overall, slices, counts } = comparison
  const [loss, a, b] = [comparison.loss, comparison.a, comparison.b].map(visible)
  const head = [...evaluation.by, 'rows', 'difference', '95 % interval', `${b} is`]
  const row = (key: readonly string[], estimate: Estimate & { readonly verdict: string }) => [
    ...key,
    count(estimate.rows),
    signed(estimate.mean),
    interval(estimate),
    estimate.verdict,
  ]
  const rows = [
    row(allKey(evaluation), overall),
    ...slices.slice(0, MOST_SLICES).map((slice) => row(keyOf(evaluation.by, slice), slice)),
  ]
  const summary =
    slices.length === 0
      ? []
      : [
          `${b} is better in ${counts.better} slices, worse in ${counts.worse}, undecided in ${counts.undecided}.`,
        ]
  return [
    `${loss}: ${b} minus ${a} (negative: ${b} is better)`,
    table(head, rows, evaluation.by.length),
    ...more(slices.length),
    ...summary,
  ].join('\n')
}

function worstRows({ worst = [] }: LossReport): string[] {
  if (worst.length === 0) return []
  const names = Object.keys(worst[0].values ?? {})
  const isOneFile = worst.every(({ file }) => file === worst[0].file)
  const head = ['loss', ...(isOneFile ? [] : ['file']), 'row', ...names]
  const rows = worst.map(({ loss, file, row, values }) => [
    short(loss),
    ...(isOneFile ? [] : [file]),
    String(row),
    ...names.map((name) => String(values?.[name] ?? '')),
  ])
  return ['', 'The rows with the largest loss:', table(head, rows, 0)]
}

function badRows({ bad }: Evaluation): string[] {
  if (bad.length === 0) return []
  const lines = bad.map(({ reason, count: rows, first }) => {
    const places = first.map(({ row }) => row).join(', ')
    return `  ${count(rows)}: ${visible(reason)} (first rows: ${places})`
  })
  return [`Rows that were left out:\n${lines.join('\n')}`]
}

/** How the numbers are meant, a line each. */
function explanation({ uncertainty, losses, by, weight, bad }: Evaluation): string {
  const hasQuantiles = losses.some(({ overall }) => overall.quantiles !== undefined)
  const lines: (readonly [string, string])[] = [
    ...(by.length === 0 ? [] : [['all', 'all rows together'] as const]),
    ['mean loss', `of a row${weight === undefined ? '' : `, weighted by ${weight}`}`],
    ['95 % interval', uncertaintyText(uncertainty)],
    ['std. error', 'the standard deviation of such a mean'],
    ...(hasQuantiles
      ? [['50 %, 90 % ...', 'this share of the rows has at most this loss (to 0.4 %)'] as const]
      : []),
    ...(bad.length > 0 || losses.some(({ worst }) => worst !== undefined)
      ? [['row', 'its place in the file, from 0 on'] as const]
      : []),
  ]
  return lines.map(([term, meaning]) => `${term.padEnd(14)}  ${visible(meaning)}`).join('\n')
}

/** How intervals are computed, in a sentence. */
export function uncertaintyText({ method, replicates, resampled, buckets, cluster }: Uncertainty): string {
  if (method === 'standard error')
    return 'where the mean of many more such rows should lie: mean ± t × standard error, for independent rows'
  const unit = cluster === undefined ? 'rows' : `all rows with the same ${cluster}`
  const how = resampled === 'rows' ? 'each by itself' : `in ${buckets} buckets by hash`
  return `where the mean of many more such rows should lie: ${replicates} bootstrap replicates of ${unit}, ${how}`
}

/** @example titleOf({ loss: 'huber', params: { delta: 2 } }) // 'huber (delta = 2)' */
export function titleOf({ loss, params, model }: Pick<LossReport, 'loss' | 'params' | 'model'>): string {
  const own = Object.entries(params).map(([name, value]) => `${name} = ${JSON.stringify(value)}`)
  return `${loss}${own.length === 0 ? '' : ` (${own.join(', ')})`}${model === undefined ? '' : ` of ${model}`}`
}

function allKey({ by }: Evaluation): string[] {
  return by.map((_, i) => (i === 0 ? 'all' : ''))
}

/**
 * The parts of a key as texts.
 *
 * @param by the columns, because an object puts names that are integers first
 */
export function keyOf(by: readonly string[], { key }: Pick<SliceEstimate, 'key'>): string[] {
  return by.map((name) => (key[name] === null ? '(null)' : String(key[name])))
}

function more(slices: number): string[] {
  return slices > MOST_SLICES ? [`... and ${count(slices - MOST_SLICES)} more slices`] : []
}

function interval({ interval: ends }: Estimate): string {
  return ends === null ? '-' : `${short(ends[0])} ... ${short(ends[1])}`
}

/** @example count(50000000) // '50,000,000' */
export function count(rows: number): string {
  return String(rows).replaceAll(/\B(?=(\d{3})+$)/g, ',')
}

export function percent(share: string): string {
  return `${Number((Number(share) * 100).toPrecision(12))} %`
}

/** Five digits. */
export function short(x: number | null): string {
  if (x === null) return '-'
  const size = Math.abs(x)
  return size !== 0 && (size < 1e-4 || size >= 1e7) ? x.toExponential(4) : String(Number(x.toPrecision(5)))
}

export function signed(x: number | null): string {
  return x !== null && x > 0 ? `+${short(x)}` : short(x)
}

/** Texts to the left, numbers to the right. */
function table(names: readonly string[], cells: readonly (readonly string[])[], texts: number): string {
  const [head, ...rows] = [names, ...cells].map((row) => row.map(visible))
  const widths = head.map((name, i) => Math.max(name.length, ...rows.map((row) => row[i].length)))
  const line = (row: readonly string[]) =>
    row.map((cell, i) => (i < texts ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join('  ')
  return [line(head), widths.map((width) => '-'.repeat(width)).join('  '), ...rows.map(line)].join('\n')
}

/** Characters that are no text to a terminal, or change the order of text. Joiners are part of words and emoji. */
const CONTROLS = /(?![\u200c\u200d])[\p{Cc}\p{Cf}\u2028\u2029]/gu
const SHORT: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' }

/**
 * A text of somebody else's for a terminal: its controls are shown and do nothing.
 *
 * @example
 * visible('a\nb') // 'a\\nb'
 */
export function visible(text: string): string {
  return text.replaceAll(CONTROLS, (sign) => SHORT[sign] ?? escaped(sign))
}

function escaped(sign: string): string {
  const code = sign.codePointAt(0)!.toString(16)
  return code.length > 4 ? `\\u{${code}}` : `\\u${code.padStart(4, '0')}`
}
