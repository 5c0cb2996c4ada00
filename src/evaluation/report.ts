/** The answer of an evaluation as one HTML page without scripts: tables, and plots in SVG. */
import type {
  Bin,
  Comparison,
  Estimate,
  Evaluation,
  LossReport,
  SliceEstimate,
  Verdict,
  WorstReport,
} from './result.ts'
import { count, keyOf, percent, short, signed, titleOf, uncertaintyText } from './text-table.ts'

/** Slices that a page shows of each loss. The numbers of all are in the JSON. */
const MOST_SLICES = 500

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }

/** Names of columns and their values are not trusted, so they must not contain HTML. */
function escaped(text: string): string {
  return text.replaceAll(/[&<>"]/g, (character) => ENTITIES[character])
}

const STYLE = `
:root{color-scheme:light dark;--text:#1f2328;--quiet:#59636e;--grid:#d1d9e0;--panel:#f6f8fa;--mark:#0969da;--better:#1a7f37;--worse:#cf222e;--page:#fff}
@media(prefers-color-scheme:dark){:root{--text:#e6edf3;--quiet:#9198a1;--grid:#3d444d;--panel:#151b23;--mark:#4493f8;--better:#3fb950;--worse:#f85149;--page:#0d1117}}
body{font:1rem/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem;color:var(--text);background:var(--page)}
h1,h2{line-height:1.25;overflow-wrap:anywhere}h2{margin:2.5rem 0 .5rem}h3{margin:1.5rem 0 .5rem;font-size:1rem}
code{font-size:.9em;overflow-wrap:anywhere}
.quiet{color:var(--quiet)}
.facts{display:flex;flex-wrap:wrap;gap:.75rem;margin:.75rem 0;padding:0;list-style:none}
.facts li{background:var(--panel);border-radius:.5rem;padding:.5rem .9rem;min-width:6rem}
.facts b{display:block;font-size:1.25rem;font-variant-numeric:tabular-nums}
.scroll{overflow-x:auto}
table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums}
th,td{padding:.25rem .75rem .25rem 0;text-align:right;white-space:nowrap;border-bottom:1px solid var(--grid)}
th{color:var(--quiet);font-weight:500}
th.key,td.key{text-align:left}
td.key{max-width:16rem;overflow:hidden;text-overflow:ellipsis}
tr.all td{font-weight:600}
svg{display:block}.wide{width:100%;min-width:36rem;height:auto}
svg text{font:10px system-ui,sans-serif;fill:var(--quiet)}
.range{stroke:var(--mark);stroke-width:2}.dot{fill:var(--mark)}.zero{stroke:var(--quiet);stroke-dasharray:2 2}
.bar{fill:var(--mark)}.axis{stroke:var(--grid)}
.better .range{stroke:var(--better)}.better .dot{fill:var(--better)}.worse .range{stroke:var(--worse)}.worse .dot{fill:var(--worse)}
b.better,td.better{color:var(--better)}b.worse,td.worse{color:var(--worse)}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.25rem 1rem;font-size:.9rem}dt{color:var(--quiet)}dd{margin:0}
@media(max-width:30rem){dl{grid-template-columns:1fr}dd{margin-bottom:.5rem}body{margin:1rem auto}}
`

/**
 * A page that needs nothing else: no scripts, no fonts, no requests.
 *
 * @example
 * reportPage(await evaluate(request, files, options)).startsWith('<!doctype html>') // true
 */
export function reportPage(evaluation: Evaluation): string {
  const { losses, comparisons, files } = evaluation
  const title = files.length === 1 ? files[0] : `${files.length} files`
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Losses of ${escaped(title)}</title>
<link rel="icon" href="data:,">
<style>${STYLE}</style>
<h1>Losses of ${escaped(title)}</h1>
<p class="quiet">${count(evaluation.rows)} rows${leftOut(evaluation)}. Computed by ${escaped(evaluation.computed_by)}.</p>
${comparisons.map((one) => comparisonSection(one, evaluation)).join('\n')}
${losses.map((one) => lossSection(one, evaluation)).join('\n')}
${badSection(evaluation)}
${glossary(evaluation)}
</html>
`
}

function leftOut({ rows, used }: Evaluation): string {
  return used === rows ? '' : `, of which ${count(used)} count`
}

function lossSection(report: LossReport, evaluation: Evaluation): string {
  const { overall, slices, distribution, worst } = report
  return [
    `<h2>${escaped(titleOf(report))}</h2>`,
    facts([
      ['mean loss', short(overall.mean)],
      ['95 % interval', intervalText(overall)],
      ...Object.entries(overall.quantiles ?? {}).map(([share, x]): Fact => [quantileName(share), short(x)]),
      ...(overall.max === null ? [] : [['largest', short(overall.max)] as const]),
    ]),
    slices.length === 0
      ? ''
      : `<h3>By ${escaped(evaluation.by.join(', '))}</h3>${sliceTable(report, evaluation)}`,
    distribution === undefined
      ? ''
      : `<h3>Distribution of the losses</h3>${histogram(distribution)}${infiniteText(distribution)}`,
    worst === undefined ? '' : `<h3>Rows with the largest loss</h3>${worstTable(worst)}`,
  ].join('\n')
}

type Fact = readonly [string, string]

function facts(all: readonly Fact[]): string {
  const items = all.map(
    ([name, value]) => `<li><span class="quiet">${escaped(name)}</span><b>${value}</b></li>`,
  )
  return `<ul class="facts">${items.join('')}</ul>`
}

/** @example quantileName('0.5') // 'median' */
function quantileName(share: string): string {
  return share === '0.5' ? 'median' : percent(share)
}

function sliceTable({ overall, slices }: LossReport, { by }: Evaluation): string {
  const shown = slices.slice(0, MOST_SLICES)
  const scale = scaleOf([overall, ...shown], false)
  const shares = Object.keys(shown.find(({ quantiles }) => quantiles !== undefined)?.quantiles ?? {})
  const head = ['mean loss', '', '95 % interval', 'rows', ...shares.map(quantileName)]
  const cells = (one: Estimate) => [
    short(one.mean),
    rangePlot(one, scale),
    intervalText(one),
    count(one.rows),
    ...shares.map((share) => short(one.quantiles?.[share] ?? null)),
  ]
  return sliceRows(by, head, overall, shown, cells, () => '') + moreSlices(slices.length)
}

function comparisonSection(comparison: Comparison, { by }: Evaluation): string {
  const { a, b, overall, slices, counts } = comparison
  const shown = slices.slice(0, MOST_SLICES)
  const scale = scaleOf([overall, ...shown], true)
  const cells = (one: Estimate & { readonly verdict: Verdict }) => [
    signed(one.mean),
    rangePlot(one, scale, one.verdict),
    intervalText(one),
    one.verdict,
    count(one.rows),
  ]
  const head = ['difference', '', '95 % interval', `${escaped(b)} is`, 'rows']
  return [
    `<h2>${escaped(titleOf(comparison))}: ${escaped(b)} or ${escaped(a)}?</h2>`,
    `<p>${sentence(comparison)}</p>`,
    facts([
      ['difference', signed(overall.mean)],
      ['95 % interval', intervalText(overall)],
      ...(slices.length === 0
        ? []
        : (['better', 'worse', 'undecided'] as const).map(
            (one): Fact => [`slices ${one}`, count(counts[one])],
          )),
    ]),
    slices.length === 0
      ? ''
      : `<h3>By ${escaped(by.join(', '))}</h3>${sliceRows(by, head, overall, shown, cells, ({ verdict }) => verdict)}`,
    moreSlices(slices.length),
  ].join('\n')
}

function sentence({ a, b, overall }: Comparison): string {
  const [first, second] = [escaped(b), escaped(a)]
  if (overall.verdict === 'undecided')
    return `It is undecided which of the two has the smaller loss: the interval of the difference contains 0.`
  const [word, of] = overall.verdict === 'better' ? ['smaller', 'below'] : ['larger', 'above']
  return `<b class="${overall.verdict}">${first} has the ${word} loss</b> than ${second}: the interval of the difference is ${of} 0.`
}

function sliceRows<E extends Estimate>(
  by: readonly string[],
  head: readonly string[],
  overall: E,
  slices: readonly (E & Pick<SliceEstimate, 'key'>)[],
  cells: (one: E) => string[],
  classOf: (one: E) => string,
): string {
  const row = (key: readonly string[], one: E, kind: string) => {
    const keys = key.map((part) => `<td class="key" title="${escaped(part)}">${escaped(part)}</td>`)
    const numbers = cells(one).map((cell) => `<td${kindOfCell(cell, classOf(one))}>${cell}</td>`)
    return `<tr${kind}>${keys.join('')}${numbers.join('')}</tr>`
  }
  const keyHead = by.map((name) => `<th class="key">${escaped(name)}</th>`)
  const lines = [
    `<tr>${keyHead.join('')}${head.map((name) => `<th>${name}</th>`).join('')}</tr>`,
    row(
      by.map((_, i) => (i === 0 ? 'all' : '')),
      overall,
      ' class="all"',
    ),
    ...slices.map((one) => row(keyOf(by, one), one, '')),
  ]
  return `<div class="scroll"><table>\n${lines.join('\n')}\n</table></div>`
}

function kindOfCell(cell: string, verdict: string): string {
  return cell === verdict && verdict !== '' ? ` class="${verdict}"` : ''
}

function moreSlices(slices: number): string {
  const rest = slices - MOST_SLICES
  return rest > 0 ? `<p class="quiet">... and ${count(rest)} more slices, which are in the JSON.</p>` : ''
}

interface Scale {
  readonly low: number
  readonly high: number
  readonly hasZero: boolean
}

/** One scale for all intervals of a table. */
function scaleOf(all: readonly Estimate[], hasZero: boolean): Scale {
  const ends = all.flatMap(({ interval, mean }) => interval ?? (mean === null ? [] : [mean]))
  const known = [...ends, ...(hasZero ? [0] : [])]
  return { low: Math.min(...known), high: Math.max(...known), hasZero }
}

const [PLOT, MARGIN, HEIGHT] = [160, 4, 16]

function rangePlot({ mean, interval }: Estimate, scale: Scale, verdict = ''): string {
  if (mean === null) return ''
  const span = scale.high - scale.low
  const at = (x: number) =>
    (MARGIN + (span === 0 ? 0.5 : (x - scale.low) / span) * (PLOT - 2 * MARGIN)).toFixed(1)
  const middle = HEIGHT / 2
  const zero = scale.hasZero ? `<line class="zero" x1="${at(0)}" x2="${at(0)}" y1="0" y2="${HEIGHT}"/>` : ''
  const range =
    interval === null
      ? ''
      : `<line class="range" x1="${at(interval[0])}" x2="${at(interval[1])}" y1="${middle}" y2="${middle}"/>`
  const dot = `<circle class="dot" cx="${at(mean)}" cy="${middle}" r="3.2"/>`
  return `<svg${verdict === '' ? '' : ` class="${verdict}"`} width="${PLOT}" height="${HEIGHT}" role="img" aria-label="${intervalText({ interval })}">${zero}${range}${dot}</svg>`
}

const [WIDE, TALL, FOOT] = [720, 180, 20]

/** On a logarithmic scale, with a number for those that begin at 0 or below: the first bin may reach from 0 far up. */
function histogram(bins: readonly Bin[]): string {
  const finite = bins.filter(isFiniteBin)
  const positive = finite.filter(({ low }) => low > 0)
  const others = finite.filter(({ low }) => low <= 0)
  if (positive.length === 0) return ''
  const [first, last] = [Math.log10(positive[0].low), Math.log10(positive.at(-1)!.high)]
  const left = others.length === 0 ? 0 : 110
  const at = (x: number) => left + ((Math.log10(x) - first) / Math.max(1e-9, last - first)) * (WIDE - left)
  const heights = positive.map(({ low, high, count: rows }) => rows / (Math.log10(high) - Math.log10(low)))
  const most = Math.max(...heights)
  const bars = positive.map(({ low, high, count: rows }, i) => {
    const height = (heights[i] / most) * TALL
    return bar(at(low), at(high), height, `${short(low)} to ${short(high)}: ${count(rows)} rows`)
  })
  const zero = others.reduce((sum, { count: rows }) => sum + rows, 0)
  const labels = decades(first, last).map(
    (decade) =>
      `<text x="${at(10 ** decade).toFixed(0)}" y="${TALL + 14}" text-anchor="middle">${short(10 ** decade)}</text>`,
  )
  return `<div class="scroll"><svg class="wide" viewBox="0 0 ${WIDE} ${TALL + FOOT}" role="img" aria-label="histogram of the losses">
${bars.join('')}${zero === 0 ? '' : `<text x="0" y="${TALL - 4}">${restTitle(others.at(-1)!.high)}: ${count(zero)}</text>`}
<line class="axis" x1="0" x2="${WIDE}" y1="${TALL}" y2="${TALL}"/>${labels.join('')}
</svg></div>`
}

/** JSON has null for what is infinite. */
const isFiniteBin = ({ low, high }: Bin) => Number.isFinite(low) && Number.isFinite(high)

function infiniteText(bins: readonly Bin[]): string {
  const infinite = bins.reduce((sum, bin) => sum + (isFiniteBin(bin) ? 0 : bin.count), 0)
  if (infinite === 0) return ''
  return `<p class="quiet">${count(infinite)} ${infinite === 1 ? 'loss is' : 'losses are'} infinite, and not in the picture.</p>`
}

const restTitle = (high: number) => (high > 0 ? `< ${short(high)}` : '≤ 0').replace('<', '&lt;')

function bar(from: number, to: number, height: number, title: string): string {
  const width = Math.max(0.5, to - from - 0.5)
  return `<rect class="bar" x="${from.toFixed(1)}" y="${(TALL - height).toFixed(1)}" width="${width.toFixed(1)}" height="${height.toFixed(1)}"><title>${title}</title></rect>`
}

/** Powers of ten within a range, at most eight. */
function decades(first: number, last: number): number[] {
  const [from, to] = [Math.ceil(first), Math.floor(last)]
  const step = Math.max(1, Math.ceil((to - from + 1) / 8))
  return Array.from({ length: Math.max(0, Math.floor((to - from) / step) + 1) }, (_, i) => from + i * step)
}

function worstTable(worst: readonly WorstReport[]): string {
  const names = Object.keys(worst[0].values ?? {})
  const hasFiles = worst.some(({ file }) => file !== worst[0].file)
  const head = ['loss', ...(hasFiles ? ['file'] : []), 'row', ...names.map(escaped)]
  const lines = worst.map(({ loss, file, row, values }) => {
    const cells = [
      short(loss),
      ...(hasFiles ? [escaped(file)] : []),
      String(row),
      ...names.map((name) => escaped(String(values?.[name] ?? ''))),
    ]
    return `<tr>${cells.map((cell) => `<td>${cell}</td>`).join('')}</tr>`
  })
  const first = `<tr>${head.map((name) => `<th>${name}</th>`).join('')}</tr>`
  return `<div class="scroll"><table>\n${[first, ...lines].join('\n')}\n</table></div>`
}

function badSection({ bad }: Evaluation): string {
  if (bad.length === 0) return ''
  const lines = bad.map(({ reason, count: rows, first }) => {
    const places = first.map(({ row }) => row).join(', ')
    return `<tr><td>${count(rows)}</td><td class="key">${escaped(reason)}</td><td class="key">${places}</td></tr>`
  })
  return `<h2>Rows that were left out</h2>
<div class="scroll"><table>
<tr><th>rows</th><th class="key">reason</th><th class="key">first of them</th></tr>
${lines.join('\n')}
</table></div>`
}

function glossary({ uncertainty, weight, losses, bad }: Evaluation): string {
  const hasQuantiles = losses.some(({ overall }) => overall.quantiles !== undefined)
  const terms: Fact[] = [
    [
      'mean loss',
      `the loss of a row, averaged over the rows${weight === undefined ? '' : `, weighted by ${weight}`}`,
    ],
    ['95 % interval', uncertaintyText(uncertainty)],
    ...(hasQuantiles
      ? [['median, 90 % ...', 'half, nine tenths ... of the rows have at most this loss, to 0.4 %'] as const]
      : []),
    ...(bad.length > 0 || losses.some(({ worst }) => worst !== undefined) ? [ROW] : []),
  ]
  const items = terms.map(([term, text]) => `<dt>${escaped(term)}</dt><dd>${escaped(text)}</dd>`)
  return `<h2>What the numbers mean</h2>\n<dl>${items.join('')}</dl>`
}

const ROW = ['row', 'its place in the file, from 0 on'] as const

function intervalText({ interval }: Pick<Estimate, 'interval'>): string {
  return interval === null ? '-' : `${short(interval[0])} to ${short(interval[1])}`
}
