/**
 * The math library in WGSL, swept over the whole range and compared with float64; special cases are those of
 * JavaScript.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Batch } from '../../../src/engines/contract.ts'
import type { WebGpuEngine } from '../../../src/engines/webgpu/engine.ts'
import { interpret } from '../../../src/language/interpret.ts'
import { lower, type Scope } from '../../../src/language/lower.ts'
import { parse } from '../../../src/language/parse.ts'
import { openHere } from './support.ts'

const opened = await openHere()

const scope: Scope = {
  inputs: { x: { type: 'real', axes: ['...'] }, y: { type: 'real', axes: ['...'] } },
  absent: [],
  params: {},
  axes: ['...'],
}

/** Every power of two with mantissas in between, both signs, and special values. */
const sweep = Float32Array.from([
  ...Array.from(
    { length: 253 * 16 },
    (_, i) => 2 ** (Math.floor(i / 16) - 126) * (1 + ((i * 37) % 16) / 16.1),
  ),
  0,
  Number.POSITIVE_INFINITY,
])
const both = Float32Array.from([...sweep, ...sweep.map((x) => -x), Number.NaN])
const near = (low: number, high: number) =>
  Float32Array.from({ length: 4001 }, (_, i) => low + ((high - low) * i) / 4000)

/** Relative error in units of float32's last place, 2^-23. */
const FUNCTIONS = [
  ['exp(x)', 4, [both, near(-104, 89)]],
  ['expm1(x)', 4, [both, near(-20, 20)]],
  ['log(x)', 4, [both, near(0.4, 2.5)]],
  ['log2(x)', 4, [both, near(0.4, 2.5)]],
  ['log10(x)', 4, [both, near(0.4, 2.5)]],
  ['log1p(x)', 4, [both, near(-0.999, 2)]],
  ['tanh(x)', 6, [both, near(-12, 12)]],
  ['sigmoid(x)', 6, [both, near(-90, 90)]],
  ['softplus(x)', 6, [both, near(-90, 90)]],
  ['sqrt(x)', 4, [both]],
  ['1 / x', 4, [both]],
  ['atan(x)', 4, [both, near(-4, 4)]],
  ['asin(x)', 4, [both, near(-1.1, 1.1)]],
  ['acos(x)', 4, [both, near(-1.1, 1.1)]],
  ['erf(x)', 4, [both, near(-4, 4)]],
  ['lgamma(x)', 8, [sweep, near(0, 12), near(0.999, 1.001), near(1.999, 2.001)]],
  ['digamma(x)', 8, [sweep, near(0, 12), near(1.4615, 1.4618)]],
  ['trigamma(x)', 8, [sweep, near(0, 12)]],
  ['polygamma(2, x)', 8, [sweep, near(0, 12)]],
  ['sign(x)', 0, [both]],
  ['floor(x)', 0, [both, near(-10, 10)]],
  ['ceil(x)', 0, [both, near(-10, 10)]],
  ['round(x)', 0, [both, near(-10, 10)]],
] as const

/** A GPU may flush smaller numbers to 0. */
const SMALLEST = 2 ** -126
const UNIT = 2 ** -23

describe.skipIf(opened === undefined)('WGSL', () => {
  let engine: WebGpuEngine
  beforeAll(() => {
    engine = opened!
  })
  afterAll(() => engine.close())

  async function compare(text: string, x: Float32Array, y: Float32Array): Promise<[number, string]> {
    const program = lower(parse(text), scope, [])
    const shared = {
      programKey: text,
      program,
      precision: 'float32',
      scalars: {},
      sizes: { '...': x.length },
    } as const
    const batch: Batch = { ...shared, inputs: { x: [x], y: [y] }, cotangent: [Float32Array.of(1)] }
    const { values } = await engine.run(batch)
    const want = interpret(program, { ...shared, inputs: { x, y } }).values
    let worst: [number, string] = [0, '']
    want.forEach((exact, i) => {
      const rounded = Math.fround(exact)
      const got = values[i]!
      const isSame = got === rounded || (Number.isNaN(got) && Number.isNaN(rounded))
      // A result at the limit of the range may be on either side of it.
      const isAtEdge = Math.abs(exact) > 3.402e38 && Math.abs(got) > 3.402e38 && got * exact > 0
      if (isSame || isAtEdge || Math.abs(got - exact) <= SMALLEST) return
      const error = Math.abs(got - exact) / Math.abs(exact) / UNIT
      if (!(error <= worst[0])) worst = [error, `${text} at ${x[i]}, ${y[i]}: ${got}, not ${exact}`]
    })
    return worst
  }

  it.each(FUNCTIONS)('%s is accurate to %d ulp', async (text, units, ranges) => {
    for (const x of ranges) {
      const normal = x.filter((value) => value === 0 || !(Math.abs(value) < SMALLEST))
      const [error, where] = await compare(text, normal, normal)
      expect(error, where).toBeLessThanOrEqual(units)
    }
  })

  it('log is accurate for subnormal numbers, which arithmetic flushes to 0', async () => {
    const x = Float32Array.from({ length: 149 - 126 }, (_, i) => 1.25 * 2 ** -(127 + i))
    const [error, where] = await compare('log(x)', x, x)
    expect(error, where).toBeLessThanOrEqual(4)
  })

  it('log10 of powers of ten is an integer to one rounding, log2 of powers of two exactly', async () => {
    const powers = Float32Array.from({ length: 11 }, (_, k) => 10 ** k)
    const doubles = Float32Array.from({ length: 250 }, (_, k) => 2 ** (k - 125))
    const [[error, where], exact] = [
      await compare('log10(x)', powers, powers),
      await compare('log2(x)', doubles, doubles),
    ]
    expect(error, where).toBeLessThanOrEqual(1)
    expect(exact).toEqual([0, ''])
  })

  it('x ^ y is accurate to 2e-6 and has the special cases of JavaScript', async () => {
    const edges = [0, -0, 1, -1, 2, -2, 0.5, -0.5, 3, 1e20, 1e-20, -1e20, Number.NaN, Infinity, -Infinity]
    const pairs = edges.flatMap((a) => edges.map((b) => [a, b] as const))
    const grid = Array.from(
      { length: 4000 },
      (_, i) => [2 ** (((i * 7) % 201) / 5 - 20), (i % 101) / 7 - 7] as const,
    )
    for (const some of [pairs, grid]) {
      const [x, y] = [0, 1].map((side) => Float32Array.from(some, (pair) => pair[side]!))
      const [error, where] = await compare('x ^ y', x!, y!)
      expect(error * UNIT, where).toBeLessThanOrEqual(2e-6)
    }
  })

  it.each(['sin(x)', 'cos(x)'])('%s is accurate to 3e-7, even for the largest arguments', async (text) => {
    for (const x of [near(-700, 700), both.filter((value) => Math.abs(value) > 1e-30)]) {
      const program = lower(parse(text), scope, [])
      const shared = {
        programKey: text,
        program,
        precision: 'float32',
        scalars: {},
        sizes: { '...': x.length },
      } as const
      const { values } = await engine.run({
        ...shared,
        inputs: { x: [x], y: [x] },
        cotangent: [Float32Array.of(1)],
      })
      const want = interpret(program, { ...shared, inputs: { x, y: x } }).values
      for (const [i, exact] of want.entries()) {
        const [got, where] = [values[i]!, `${text} at ${x[i]}: ${values[i]}, not ${exact}`]
        if (Number.isNaN(exact)) expect(got, where).toBeNaN()
        else expect(Math.abs(got - exact), where).toBeLessThan(3e-7)
      }
    }
  })
})
