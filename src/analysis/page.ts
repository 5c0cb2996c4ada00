/** An explanation as one HTML page without scripts: sentences, and plots in SVG. */
import type { Explanation, PlottedCurve } from './explanation.ts'

const [WIDTH, HEIGHT] = [420, 190]
/** Around the plot: room for the numbers of the axes. */
const [LEFT, RIGHT, TOP, BOTTOM] = [44, 8, 8, 22]
const COLORS = 6
const MARKS = { proved: '✓', refuted: '✗', supported: '~', unknown: '?' } as const

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }

/** The texts of custom losses are not trusted, so they must not contain HTML. */
export function escaped(text: string): string {
  return text.replaceAll(/[&<>"]/g, (character) => ENTITIES[character])
}

const STYLE = `
:root{color-scheme:light dark;--text:#1f2328;--quiet:#59636e;--grid:#d1d9e0;--panel:#f6f8fa;--proved:#1a7f37;--refuted:#cf222e;--supported:#9a6700;
--c0:#0969da;--c1:#cf222e;--c2:#1a7f37;--c3:#9a6700;--c4:#8250df;--c5:#59636e}
@media(prefers-color-scheme:dark){:root{--text:#e6edf3;--quiet:#9198a1;--grid:#3d444d;--panel:#151b23;--proved:#3fb950;--refuted:#f85149;--supported:#d29922;
--c0:#4493f8;--c1:#f85149;--c2:#3fb950;--c3:#d29922;--c4:#ab7df8;--c5:#9198a1}body{background:#0d1117}}
body{font:1rem/1.5 system-ui,sans-serif;max-width:44rem;margin:2rem auto;padding:0 1rem;color:var(--text)}
code{font-size:.9em;overflow-wrap:anywhere}
ul{list-style:none;padding:0}
.verdicts li{display:flex;gap:.5rem;margin:.25rem 0;overflow-wrap:anywhere}
.verdicts b{flex:none;width:1.2em;text-align:center}
.proved b{color:var(--proved)}.refuted b{color:var(--refuted)}.supported b{color:var(--supported)}
.quiet,small{color:var(--quiet)}
.legend{display:flex;flex-wrap:wrap;gap:.25rem 1rem;margin:1.5rem 0 0}
.legend i{display:inline-block;width:1rem;height:.2rem;vertical-align:middle;margin-right:.4rem}
figure{margin:1.5rem 0}figcaption{font-weight:600;margin-bottom:.25rem}
svg{display:block;width:100%;height:auto}svg text{font:10px system-ui,sans-serif;fill:var(--quiet)}
.panel{fill:var(--panel)}.grid{stroke:var(--grid);stroke-width:.5}.zero{stroke:var(--quiet);stroke-width:.75}
.kink{stroke:var(--quiet);stroke-width:.75;stroke-dasharray:3 3}
path{fill:none;stroke-width:1.75;stroke-linejoin:round}
`

/**
 * @example
 * pageOf(explain(question, 1000)).startsWith('<!doctype html>') // true
 */
export function pageOf(explanation: Explanation): string {
  const { loss, over, curves, analysis } = explanation
  const plots =
    curves.length === 0
      ? ''
      : [
          legendOf(curves),
          plotOf('Loss', over, curves, ({ loss: values }) => values),
          plotOf('Gradient', over, curves, ({ slope }) => slope),
          plotOf('Second derivative', over, curves, ({ bend }) => bend),
        ].join('\n')
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escaped(loss)}: what it does</title>
<link rel="icon" href="data:,">
<style>${STYLE}</style>
<h1>${escaped(loss)}</h1>
<p>As a function of <code>${escaped(analysis.of)}</code>${paramsOf(analysis.params)}.</p>
${verdictsOf(explanation)}
${plots}
</html>
`
}

function paramsOf(params: Explanation['analysis']['params']): string {
  const parts = Object.entries(params).map(
    ([name, value]) => `<code>${escaped(name)} = ${escaped(JSON.stringify(value))}</code>`,
  )
  return parts.length === 0 ? '' : `, with ${parts.join(', ')}`
}

function verdictsOf({ sentences, analysis }: Explanation): string {
  const items = sentences.map(
    ({ property, verdict, text }) =>
      `<li class="${verdict}" title="${property}: ${verdict}"><b>${MARKS[verdict as keyof typeof MARKS]}</b><span>${escaped(text)}</span></li>`,
  )
  const open = Object.entries(analysis.properties).flatMap(([name, { verdict, method }]) =>
    verdict === 'unknown' ? [`<li>${name}: ${escaped(method)}</li>`] : [],
  )
  const rest =
    open.length === 0
      ? ''
      : `\n<details><summary>Not decided</summary><ul class="quiet">${open.join('')}</ul></details>`
  return `<ul class="verdicts">${items.join('')}</ul>
<p><small>✓ proved, ✗ refuted by a counterexample, ~ no counterexample found.</small></p>${rest}`
}

function legendOf(curves: readonly PlottedCurve[]): string {
  const items = curves.flatMap(({ label }, i) =>
    label === '' ? [] : [`<li><i style="background:var(--c${i % COLORS})"></i>${escaped(label)}</li>`],
  )
  return items.length === 0 ? '' : `<ul class="legend">${items.join('')}</ul>`
}

type Values = readonly (number | null)[]

/** From numbers to places in the picture. */
interface Frame {
  readonly x: (value: number) => number
  readonly y: (value: number) => number
  readonly low: number
  readonly high: number
}

function plotOf(
  title: string,
  over: string,
  curves: readonly PlottedCurve[],
  pick: (curve: PlottedCurve) => Values,
): string {
  const known = curves.flatMap((curve) => pick(curve).filter((y): y is number => y !== null))
  const xs = curves.flatMap(({ places }) => [places[0], places.at(-1)!])
  const [x0, x1] = [Math.min(...xs), Math.max(...xs)]
  const [low, high] = rangeOf(known)
  const frame: Frame = {
    x: (value) => round(LEFT + ((value - x0) / (x1 - x0 || 1)) * (WIDTH - LEFT - RIGHT)),
    y: (value) => round(HEIGHT - BOTTOM - ((value - low) / (high - low || 1)) * (HEIGHT - TOP - BOTTOM)),
    low,
    high,
  }
  const paths = curves.map(
    (curve, i) => `<path stroke="var(--c${i % COLORS})" d="${pathOf(curve, pick(curve), frame)}"/>`,
  )
  return `<figure><figcaption>${title} <small>over ${escaped(over)}</small></figcaption>
<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${title} over ${escaped(over)}">
<rect class="panel" x="${LEFT}" y="${TOP}" width="${WIDTH - LEFT - RIGHT}" height="${HEIGHT - TOP - BOTTOM}"/>
${gridOf(frame, x0, x1)}${kinksOf(curves, frame, x0, x1)}${paths.join('')}
</svg></figure>`
}

function gridOf({ x, y, low, high }: Frame, x0: number, x1: number): string {
  const lineClass = (value: number) => (value === 0 ? 'zero' : 'grid')
  const columns = ticks(x0, x1).map(
    (value) =>
      `<line class="${lineClass(value)}" x1="${x(value)}" x2="${x(value)}" y1="${TOP}" y2="${HEIGHT - BOTTOM}"/><text x="${x(value)}" y="${HEIGHT - 8}" text-anchor="middle">${short(value)}</text>`,
  )
  const rows = ticks(low, high).map(
    (value) =>
      `<line class="${lineClass(value)}" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y(value)}" y2="${y(value)}"/><text x="${LEFT - 5}" y="${y(value) + 3.5}" text-anchor="end">${short(value)}</text>`,
  )
  return [...columns, ...rows].join('')
}

function kinksOf(curves: readonly PlottedCurve[], { x }: Frame, x0: number, x1: number): string {
  const places = new Set(curves.flatMap(({ kinks }) => kinks.map(({ at }) => at)))
  return [...places]
    .filter((at) => at >= x0 && at <= x1)
    .map((at) => `<line class="kink" x1="${x(at)}" x2="${x(at)}" y1="${TOP}" y2="${HEIGHT - BOTTOM}"/>`)
    .join('')
}

/** Round numbers between two others: about five. */
function ticks(low: number, high: number): number[] {
  const rough = (high - low) / 5
  if (!(rough > 0)) return [low]
  const unit = 10 ** Math.floor(Math.log10(rough))
  const step = [1, 2, 5, 10].map((factor) => factor * unit).find((size) => size >= rough)!
  const first = Math.ceil(low / step - 1e-9)
  const count = Math.floor(high / step + 1e-9) - first
  return Array.from({ length: count + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)) + 0)
}

const round = (value: number) => Math.round(value * 10) / 10

function short(value: number): string {
  const size = Math.abs(value)
  return size !== 0 && (size < 1e-3 || size >= 1e5)
    ? value.toExponential(0).replace('e+', 'e')
    : String(Number(value.toPrecision(3)))
}

/** Without the largest hundredths, so that a pole does not flatten everything else. */
function rangeOf(values: readonly number[]): readonly [number, number] {
  if (values.length === 0) return [0, 1]
  const sorted = [...values].sort((a, b) => a - b)
  const at = (share: number) => sorted[Math.round(share * (sorted.length - 1))]
  const [low, high] = [at(0.02), at(0.98)]
  const [least, most] = [sorted[0], sorted.at(-1)!]
  // Whatever is not much further away than the rest belongs to the picture.
  const room = 0.6 * (high - low)
  const [from, to] = [Math.max(least, low - room), Math.min(most, high + room)]
  if (to - from < 1e-9 * Math.max(1, Math.abs(to))) return [from - 1, to + 1]
  const margin = 0.05 * (to - from)
  return [from - margin, to + margin]
}

/** A line that ends where the function jumps, and where it leaves the picture. */
function pathOf({ places, joints }: PlottedCurve, values: Values, { x, y, low, high }: Frame): string {
  let isDown = false
  const isJump = (i: number) =>
    Math.abs(values[i]! - values[i - 1]!) > 0.05 * (high - low) &&
    joints.some((at) => at >= places[i - 1] && at <= places[i])
  const parts = places.map((place, i) => {
    const value = values[i]
    const isShown = value !== null && value >= low && value <= high
    const part = isShown ? `${isDown && !isJump(i) ? 'L' : 'M'}${x(place)} ${y(value)}` : ''
    isDown = isShown
    return part
  })
  return parts.join('')
}
