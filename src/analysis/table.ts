/** An analysis as text: for terminals, and for whoever asks for `text/plain`. */
import type { Analysis } from './analyze.ts'
import type { PlottedCurve } from './explanation.ts'
import type { Verdict } from './verdict.ts'

const MARKS = { proved: '✓', refuted: '✗', supported: '~', unknown: '?' } as const

/**
 * One line for each property: mark, name, verdict, and what it rests on.
 *
 * @example
 * analysisTable(analyze(question, 1000)) // '✓ convex  proved  rules of curvature ...'
 */
export function analysisTable({ loss, of, properties }: Analysis): string {
  const names = Object.keys(properties)
  const width = Math.max(0, ...names.map((name) => name.length))
  const lines = names.map((name) => {
    const { verdict, method } = properties[name]
    return `${MARKS[verdict]} ${name.padEnd(width)}  ${verdict.padEnd(9)}  ${summary(properties[name]) || method}`
  })
  return [`${loss}, as a function of ${of}`, '', ...lines, ''].join('\n')
}

/** The numbers of the evidence. */
function summary({ evidence }: Verdict): string {
  const parts = Object.entries(evidence).flatMap(([name, value]) =>
    typeof value === 'number'
      ? [`${name} ${Number(value.toPrecision(6))}`]
      : typeof value === 'string'
        ? [`${name} ${value}`]
        : [],
  )
  return parts.join(', ')
}

const BLOCKS = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█']

/**
 * Loss and slope of a curve as rows of blocks, for a terminal.
 *
 * @param width characters
 */
export function smallPlot({ label, places, loss, slope }: PlottedCurve, width = 60): string {
  const row = (name: string, values: readonly (number | null)[]) =>
    `${name.padEnd(6)} ${blocks(sampled(values, width))}`
  const ends = `${' '.repeat(7)}${String(places[0]).padEnd(width - 6)}${String(places.at(-1)).padStart(6)}`
  return [label, row('loss', loss), row('slope', slope), ends].filter((line) => line !== '').join('\n')
}

function sampled(values: readonly (number | null)[], width: number): (number | null)[] {
  return Array.from({ length: width }, (_, i) => values[Math.round((i * (values.length - 1)) / (width - 1))])
}

function blocks(values: readonly (number | null)[]): string {
  const known = values.filter((x): x is number => x !== null)
  const [low, high] = [Math.min(...known), Math.max(...known)]
  const level = (x: number) =>
    high === low ? 1 : Math.round(((x - low) / (high - low)) * (BLOCKS.length - 1))
  return values.map((x) => (x === null ? ' ' : BLOCKS[level(x)])).join('')
}
