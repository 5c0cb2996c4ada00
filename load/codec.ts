/**
 * `npx tsx load/codec.ts`: compares the cost of the JSON codec with the platform's own. One side reads a request
 * and writes its response; the other is `JSON.stringify(JSON.parse(String(body)))` on the same bytes. They take
 * turns; medians of rounds are printed.
 */
import type { Answer } from '../src/wire/define.ts'
import json from '../src/wire/json/index.ts'
import { bodyOf } from './bodies.ts'
import { median } from './quantile.ts'

const LIMITS = { maxElements: 4_000_000, maxTensors: 32 }
const SIZES = [
  [1024, 10],
  [32, 10],
] as const
/** Number of rounds per side, and the length of a round. */
const [ROUNDS, ROUND_MS] = [15, 100]

for (const [rows, classes] of SIZES) {
  const { bytes } = bodyOf({ loss: 'cross_entropy', format: 'json', rows, columns: classes })
  const answer = answerTo(bytes, rows, classes)
  const times = measure({
    decode: () => json.decode(bytes, LIMITS),
    encode: () => json.encode(answer),
    codec: () => [json.decode(bytes, LIMITS), json.encode(answer)],
    platform: () => JSON.stringify(JSON.parse(String(bytes))),
  })
  const ratio = times.codec / times.platform
  const perNumber = (ns: number) => (ns / (rows * classes)).toFixed(1)
  const cells = Object.entries(times).map(([name, ns]) => `${name} ${perNumber(ns)} ns`)
  console.log(`${rows}x${classes}: ${cells.join(', ')} per number; ratio ${ratio.toFixed(3)}`)
}

/** The response of cross_entropy with reduction mean: (softmax - one-hot) / rows. */
function answerTo(bytes: Buffer, rows: number, classes: number): Answer {
  const { predictions, targets } = JSON.parse(String(bytes)) as { predictions: number[][]; targets: number[] }
  const gradient = predictions.flatMap((logits, row) => {
    const powers = logits.map(Math.exp)
    const total = powers.reduce((sum, x) => sum + x, 0)
    return powers.map((x, label) => (x / total - (label === targets[row] ? 1 : 0)) / rows)
  })
  return {
    loss: { dtype: 'float32', shape: [], data: Float32Array.of(2.3456789), encoding: 'nested' },
    gradients: new Map([
      [
        'predictions',
        {
          dtype: 'float32',
          shape: [rows, classes],
          data: Float32Array.from(gradient),
          encoding: 'nested',
        },
      ],
    ]),
    members: { reduction: 'mean', denominator: rows, finite: true },
  }
}

/** Nanoseconds per call of each side. */
function measure<Side extends string>(sides: Record<Side, () => unknown>): Record<Side, number> {
  const names = Object.keys(sides) as Side[]
  for (const name of names) timeOf(sides[name], ROUND_MS * 3)
  const rounds = Array.from({ length: ROUNDS }, () => names.map((name) => timeOf(sides[name], ROUND_MS)))
  const medians = names.map((name, side) => [name, median(rounds.map((round) => round[side]))])
  return Object.fromEntries(medians)
}

function timeOf(call: () => unknown, milliseconds: number): number {
  const started = performance.now()
  let calls = 0
  let passed = 0
  for (; passed < milliseconds; calls++) {
    call()
    passed = performance.now() - started
  }
  return (passed / calls) * 1e6
}
