/** An explanation as one HTML page without scripts: sentences, and plots in SVG. */
import type { Explanation, PlottedCurve } from './explanation.ts'

const [WIDTH, HEIGHT, MARGIN] = [560, 220, 36]
const COLORS = ['#1f6feb', '#d1242f', '#1a7f37', '#9a6700', '#8250df', '#57606a']
const MARKS = { proved: '✓', refuted: '✗', supported: '~', unknown: '?' } as const

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }

/** The texts of custom losses are not trusted, so they must not contain HTML. */
export function escaped(text: string): string {
  return text.replaceAll(/[&<>"]/g, (character) => ENTITIES[character])
}

/**
 * @example
 * pageOf(explain(question, 1000)).startsWith('<!doctype html>') // true
 */
export function pageOf(explanation: Explanation): string {
  const { loss, over, sentences, curves, analysis } = explanation
  const items = sentences.map(
    ({ property, verdict, text }) =>
      `<li title="${property}: ${verdict}"><b>${MARKS[verdict as keyof typeof MARKS]}</b> ${escaped(text)}</li>`,
  )
  const open = Object.entries(analysis.properties).flatMap(([name, { verdict, method }]) =>
    verdict === 'unknown' ? [`<li>${name}: ${escaped(method)}</li>`] : [],
  )
  const plots =
    curves.length === 0
      ? []
      : [
          plotOf('loss', over, curves, ({ loss: values }) => values),
          plotOf('gradient', over, curves, ({ slope }) => slope),
          plotOf('second derivative', over, curves, ({ bend }) => bend),
        ]
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>${escaped(loss)}</title><style>
body{font:16px/1.5 system-ui,sans-serif;max-width:640px;margin:2rem auto;padding:0 1rem;color:#1f2328}
ul{list-style:none;padding:0}li{padding-left:1.6em;text-indent:-1.6em;margin:.2em 0}b{display:inline-block;width:1.6em;text-indent:0}
svg{display:block;margin:1rem 0;max-width:100%;height:auto}text{font:12px system-ui,sans-serif;fill:#57606a}.title{font-weight:600;fill:#1f2328}
</style></head><body><h1>${escaped(loss)}</h1>
<p>As a function of <code>${escaped(analysis.of)}</code>, with ${escaped(JSON.stringify(analysis.params))}. ✓ proved, ✗ refuted, ~ supported.</p>
<ul>${items.join('')}</ul>${open.length === 0 ? '' : `<details><summary>Not decided</summary><ul>${open.join('')}</ul></details>`}
${plots.join('\n')}
</body></html>
`
}

type Values = readonly (number | null)[]

function plotOf(
  title: string,
  over: string,
  curves: readonly PlottedCurve[],
  pick: (curve: PlottedCurve) => Values,
): string {
  const known = curves.flatMap((curve) => pick(curve).filter((y): y is number => y !== null))
  const xs = curves.flatMap(({ places }) => [places[0], places.at(-1)!])
  const [x0, x1] = [Math.min(...xs), Math.max(...xs)]
  const [y0, y1] = rangeOf(known)
  const x = (value: number) => round(MARGIN + ((value - x0) / (x1 - x0 || 1)) * (WIDTH - 2 * MARGIN))
  const y = (value: number) =>
    round(HEIGHT - MARGIN - ((value - y0) / (y1 - y0 || 1)) * (HEIGHT - 2 * MARGIN))
  const lines = curves.map(
    (curve, i) =>
      `<path fill="none" stroke="${COLORS[i % COLORS.length]}" stroke-width="2" d="${pathOf(curve, pick(curve), x, y, y0, y1)}"/>`,
  )
  const kinks = curves.flatMap(({ kinks: own }) =>
    own.map(
      ({ at }) =>
        `<line x1="${x(at)}" x2="${x(at)}" y1="${MARGIN}" y2="${HEIGHT - MARGIN}" stroke="#d0d7de" stroke-dasharray="3 3"/>`,
    ),
  )
  const axis =
    y0 <= 0 && y1 >= 0
      ? `<line x1="${MARGIN}" x2="${WIDTH - MARGIN}" y1="${y(0)}" y2="${y(0)}" stroke="#8c959f"/>`
      : ''
  const legend = curves.map(({ label }, i) =>
    label === ''
      ? ''
      : `<text x="${MARGIN + 8}" y="${MARGIN + 14 * (i + 1)}" style="fill:${COLORS[i % COLORS.length]}">${escaped(label)}</text>`,
  )
  return `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${title} over ${escaped(over)}"><rect x="${MARGIN}" y="${MARGIN}" width="${WIDTH - 2 * MARGIN}" height="${HEIGHT - 2 * MARGIN}" fill="#f6f8fa"/>
<text class="title" x="${MARGIN}" y="22">${title}</text><text x="${WIDTH - MARGIN}" y="${HEIGHT - 10}" text-anchor="end">${escaped(over)}</text>
<text x="${MARGIN}" y="${HEIGHT - 10}">${short(x0)}</text><text x="${WIDTH / 2}" y="${HEIGHT - 10}" text-anchor="middle">${short((x0 + x1) / 2)}</text><text x="4" y="${MARGIN + 4}">${short(y1)}</text><text x="4" y="${HEIGHT - MARGIN}">${short(y0)}</text>
${axis}${kinks.join('')}${lines.join('')}${legend.join('')}</svg>`
}

const round = (value: number) => Math.round(value * 10) / 10
const short = (value: number) => String(Number(value.toPrecision(3)))

/** Without the largest hundredth, so that a pole does not flatten everything else. */
function rangeOf(values: readonly number[]): readonly [number, number] {
  if (values.length === 0) return [0, 1]
  const sorted = [...values].sort((a, b) => a - b)
  const at = (share: number) =>
    sorted[Math.min(sorted.length - 1, Math.max(0, Math.floor(share * (sorted.length - 1))))]
  const [low, high] = [at(0.01), at(0.99)]
  return low === high ? [low - 1, high + 1] : [Math.min(low, Math.max(0, low - (high - low))), high]
}

function pathOf(
  { places }: PlottedCurve,
  values: Values,
  x: (v: number) => number,
  y: (v: number) => number,
  low: number,
  high: number,
): string {
  let isDown = false
  const parts = places.map((place, i) => {
    const value = values[i]
    const isShown = value !== null && value >= low - 1e-12 && value <= high + 1e-12
    const part = isShown ? `${isDown ? 'L' : 'M'}${x(place)} ${y(value)}` : ''
    isDown = isShown
    return part
  })
  return parts.join('')
}
