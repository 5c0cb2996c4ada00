/** Compares numbers with an explicit tolerance. NaN equals NaN, and an infinity equals only itself. */
import { expect } from 'vitest'

/**
 * |got - want| <= absolute * scale + relative * |want|, where the scale is the largest |want|. A sum of large terms
 * that cancel cannot be expected to be exact to the last digit.
 */
export function expectClose(
  got: ArrayLike<number>,
  want: ArrayLike<number>,
  {
    relative,
    absolute = relative / 10,
    what = 'value',
  }: { relative: number; absolute?: number; what?: string },
) {
  expect(got.length, `${what}: number of elements`).toBe(want.length)
  const finite = Array.from(want).filter(Number.isFinite).map(Math.abs)
  const scale = finite.reduce((most, x) => Math.max(most, x), 1e-3)
  for (let i = 0; i < want.length; i++) {
    const [g, w] = [got[i] as number, want[i] as number]
    if (Object.is(g, w) || g === w) continue
    if (!Number.isFinite(w)) expect.fail(`${what}[${i}]: ${g}, expected ${w}`)
    const allowed = absolute * scale + relative * Math.abs(w)
    if (!(Math.abs(g - w) <= allowed)) expect.fail(`${what}[${i}]: ${g}, expected ${w} within ${allowed}`)
  }
}

/** The bits, so that -0 differs from 0. Every NaN is the same, because WebAssembly leaves its sign to the machine. */
export function bitsOf(data: Float32Array | Float64Array | Int32Array): string {
  const own = data.map((x) => (Number.isNaN(x) ? Number.NaN : x))
  return Buffer.from(own.buffer, own.byteOffset, own.byteLength).toString('hex')
}
