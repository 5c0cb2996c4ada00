/** Masks, class indices and ignored pixels in the segmentation losses, on kernels and by definition. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import compiled from '../../src/engines/compiled.ts'
import type { Engine } from '../../src/engines/contract.ts'
import { Problem } from '../../src/errors.ts'
import type { Params } from '../../src/losses/define.ts'
import { loadCatalog } from '../../src/losses/load-catalog.ts'
import type { Answer, DecodedTensor } from '../../src/wire/define.ts'
import { bitsOf, expectClose } from '../support/close.ts'
import { sampled } from '../support/depth.ts'
import { check, evaluate, openInterpreter } from '../support/evaluate.ts'
import { choicesOf } from '../support/params.ts'
import { randomFrom } from '../support/sample.ts'

const { losses } = await loadCatalog()
const family = losses.filter((loss) => loss.family === 'segmentation')

type Precision = 'float32' | 'float64'
type Tensors = Map<string, DecodedTensor>

let engines: readonly (readonly [Engine, Precision])[]
beforeAll(async () => {
  engines = [
    [await openInterpreter(), 'float64'],
    [(await compiled.open('test')) as Engine, 'float32'],
  ]
})
afterAll(() => Promise.all(engines.map(([engine]) => engine.close())))

const [N, C, H, W] = [3, 4, 2, 3]
const P = H * W
const IGNORED = 255

/** Invalid values, each of which a masked pixel may contain. */
const JUNK = [Number.NaN, Number.POSITIVE_INFINITY, -7, 0.3, 1e30]

const numbers = (precision: Precision, shape: number[], data: ArrayLike<number>): DecodedTensor => ({
  dtype: precision,
  shape,
  data: precision === 'float64' ? Float64Array.from(data) : Float32Array.from(data),
  encoding: 'nested',
  typed: false,
})

/** As bare JSON numbers, which may be anything. */
const ofPixels = (data: readonly number[]) => numbers('float32', [N, H, W], data)

const times = <T>(count: number, make: (i: number) => T) => Array.from({ length: count }, (_, i) => make(i))

/** Pixel of an element of `[N, C, H, W]`. */
const pixelOf = (i: number) => Math.floor(i / (C * P)) * P + (i % P)
const classOf = (i: number) => Math.floor(i / P) % C

interface Drawn {
  readonly predictions: readonly number[]
  /** Class indices. */
  readonly drawn: readonly number[]
  /** 0 or 1 per pixel, and per pixel and class. Every pixel of the last row is masked in both. */
  readonly pixels: readonly number[]
  readonly elements: readonly number[]
}

function draw(seed: number, { activation }: Params): Drawn {
  const random = randomFrom(seed)
  const last = (i: number, each: number) => i >= (N - 1) * each
  return {
    predictions: times(N * C * P, () => (activation === 'none' ? random() : 6 * random() - 3)),
    drawn: times(N * P, () => Math.floor(C * random())),
    pixels: times(N * P, (i) => (last(i, P) || random() < 0.4 ? 0 : 1)),
    elements: times(N * C * P, (i) => (last(i, C * P) || random() < 0.4 ? 0 : 1)),
  }
}

const oneHot = (drawn: readonly number[]): number[] =>
  times(N * C * P, (i) => (drawn[pixelOf(i)] === classOf(i) ? 1 : 0))
const perClass = (pixels: readonly number[]) => times(N * C * P, (i) => pixels[pixelOf(i)]!)
const where = (kept: readonly number[], data: readonly number[], junk: number) =>
  data.map((x, i) => (kept[i] === 1 ? x : junk))

interface Sent {
  readonly predictions: readonly number[]
  readonly targets: DecodedTensor
  readonly mask?: DecodedTensor
}

const tensorsOf = (precision: Precision, { predictions, targets, mask }: Sent): Tensors =>
  new Map([
    ['predictions', numbers(precision, [N, C, H, W], predictions)],
    ['targets', targets],
    ...(mask === undefined ? [] : [['mask', mask] as const]),
  ])

/** All bits of a result except the sign of 0, because -0 + 0 is 0. */
const bits = ({ loss, gradients }: Answer) =>
  [['loss', loss] as const, ...gradients].map(([name, { data }]) => {
    return `${name} ${bitsOf((data as Float32Array).map((x) => x + 0))}`
  })

/** One engine, one combination of parameters, one random draw. */
interface Trial extends Drawn {
  readonly engine: Engine
  readonly precision: Precision
  readonly params: Params
  /** The regions of the labels. */
  readonly hot: readonly number[]
  /** A tensor of the shape of the predictions. */
  full(data: readonly number[]): DecodedTensor
  /** The response, by default with reduction sum. */
  ask(sent: Sent, options?: { readonly params?: Params; readonly [option: string]: unknown }): Promise<Answer>
}

describe.each(family.map((loss) => [loss.name, loss] as const))('%s', (_, loss) => {
  function trialsOf(params: Params): Trial[] {
    return engines.flatMap(([engine, precision]) =>
      [1, 2].map((seed) => {
        const drawn = draw(seed, params)
        return {
          ...drawn,
          engine,
          precision,
          params,
          hot: oneHot(drawn.drawn),
          full: (data) => numbers(precision, [N, C, H, W], data),
          ask: (sent, { params: more, ...options } = {}) => {
            const asked = { reduction: 'sum', ...options, params: { ...params, ...more } }
            return evaluate(engine, loss, tensorsOf(precision, sent), asked)
          },
        }
      }),
    )
  }
  const settings = sampled(choicesOf(loss), 2)

  it.each(settings)('counts a masked pixel in no sum, whatever it contains, with %j', async (params) => {
    for (const { ask, full, hot, drawn, pixels, predictions } of trialsOf(params)) {
      const [mask, kept] = [ofPixels(pixels), perClass(pixels)]
      const spoilt = {
        regions: (junk: number) => full(where(kept, hot, junk)),
        labels: (junk: number) => ofPixels(where(pixels, drawn, junk)),
      }
      for (const [kind, targets] of Object.entries({ regions: full(hot), labels: ofPixels(drawn) })) {
        const clean = await ask({ predictions, targets, mask })
        for (const junk of JUNK) {
          const targets = spoilt[kind as 'labels'](junk)
          for (const nonfinite of ['propagate', 'error']) {
            const sent = { predictions: where(kept, predictions, junk), targets, mask }
            expect(bits(await ask(sent, { nonfinite })), `${kind} ${junk}`).toEqual(bits(clean))
          }
        }
        const { data } = clean.gradients.get('predictions')!
        expect(kept.every((one, i) => one === 1 || data[i] === 0)).toBe(true)
        expect(data.some((slope) => slope !== 0)).toBe(true)
      }
    }
  })

  it.each(settings)(
    'counts a masked class of a pixel in no sum, whatever it contains, with %j',
    async (params) => {
      for (const { ask, full, hot, elements, predictions } of trialsOf(params)) {
        const mask = full(elements)
        const clean = await ask({ predictions, targets: full(hot), mask })
        for (const junk of JUNK) {
          const targets = full(where(elements, hot, junk))
          const sent = { predictions: where(elements, predictions, junk), targets, mask }
          expect(bits(await ask(sent, { nonfinite: 'error' })), `${junk}`).toEqual(bits(clean))
        }
        const { data } = clean.gradients.get('predictions')!
        expect(elements.every((one, i) => one === 1 || data[i] === 0)).toBe(true)
        expect(data.some((slope) => slope !== 0)).toBe(true)
      }
    },
  )

  it.each(settings)('ignores a class index like a mask of its pixels, with %j', async (params) => {
    for (const { ask, drawn, pixels, predictions } of trialsOf(params)) {
      const masked = await ask({ predictions, targets: ofPixels(drawn), mask: ofPixels(pixels) })
      const targets = ofPixels(where(pixels, drawn, IGNORED))
      for (const junk of JUNK) {
        const sent = { predictions: where(perClass(pixels), predictions, junk), targets }
        const ignored = await ask(sent, { params: { ignore_index: IGNORED }, nonfinite: 'error' })
        expect(bits(ignored)).toEqual(bits(masked))
      }
      // An existing class may be ignored, too.
      const others = drawn.map((label) => (label === 1 ? 0 : 1))
      const ignored = await ask({ predictions, targets: ofPixels(drawn) }, { params: { ignore_index: 1 } })
      const without = await ask({ predictions, targets: ofPixels(drawn), mask: ofPixels(others) })
      expect(bits(ignored)).toEqual(bits(without))
    }
  })

  it.each(settings)(
    'treats class indices as regions, and a mask per pixel as one per class, with %j',
    async (params) => {
      for (const { ask, full, hot, drawn, pixels, predictions } of trialsOf(params)) {
        const [index, regions] = [ofPixels(drawn), full(hot)]
        const both = await Promise.all([index, regions].map((targets) => ask({ predictions, targets })))
        expect(bits(both[0]!)).toEqual(bits(both[1]!))
        const [pixel, each] = [ofPixels(pixels), full(perClass(pixels))]
        const want = bits(await ask({ predictions, targets: regions, mask: each }))
        for (const targets of [index, regions]) {
          for (const mask of [pixel, each])
            expect(bits(await ask({ predictions, targets, mask }))).toEqual(want)
        }
      }
    },
  )

  it.each(settings)('gives the same result as without the masked pixels, with %j', async (params) => {
    for (const { ask, engine, precision, full, hot, predictions } of trialsOf(params)) {
      const isUpper = (i: number) => i % P < W
      const upper = <T>(data: readonly T[]) => data.filter((_x, i) => isUpper(i))
      const cut = (data: readonly number[]) => numbers(precision, [N, C, 1, W], upper(data))
      const mask = ofPixels(times(N * P, (i) => Number(isUpper(i))))
      const masked = await ask({ predictions, targets: full(hot), mask })
      const tensors = new Map([
        ['predictions', cut(predictions)],
        ['targets', cut(hot)],
      ])
      const alone = await evaluate(engine, loss, tensors, { reduction: 'sum', params })
      const close = precision === 'float64' ? { relative: 1e-12 } : { relative: 2e-6, absolute: 2e-6 }
      expectClose(masked.loss.data, alone.loss.data, close)
      const slopes = upper(Array.from(masked.gradients.get('predictions')!.data))
      expectClose(slopes, alone.gradients.get('predictions')!.data, close)
    }
  })

  it.each(settings)('treats a mask of ones as no mask, with %j', async (params) => {
    for (const { ask, full, hot, drawn, predictions } of trialsOf(params)) {
      for (const targets of [ofPixels(drawn), full(hot)]) {
        const mask = ofPixels(drawn.map(() => 1))
        const [all, bare] = [await ask({ predictions, targets, mask }), await ask({ predictions, targets })]
        expectClose(all.loss.data, bare.loss.data, { relative: 1e-6 })
        const [got, want] = [all, bare].map(({ gradients }) => gradients.get('predictions')!.data)
        expectClose(got!, want!, { relative: 1e-6 })
      }
    }
  })

  it.each(settings)('leaves a row whose pixels are all masked out of the mean, with %j', async (params) => {
    for (const { ask, drawn, pixels, predictions } of trialsOf(params)) {
      const sent = { predictions, targets: ofPixels(drawn), mask: ofPixels(pixels) }
      const none = await ask(sent, { reduction: 'none' })
      const each = none.loss.data.length / N
      expect(Array.from(none.loss.data.slice((N - 1) * each))).toEqual(times(each, () => 0))
      const mean = await ask(sent, { reduction: 'mean' })
      const { denominator, count } = mean.members as { denominator: number; count: number }
      expect(count).toBe(denominator)
      expect(denominator).toBeGreaterThan(0)
      expect(denominator).toBeLessThanOrEqual((N - 1) * each)
      const total = Array.from(none.loss.data).reduce((sum, x) => sum + x, 0)
      expectClose(mean.loss.data, [total / denominator], { relative: 1e-6 })

      const nothing = await ask({ ...sent, mask: ofPixels(drawn.map(() => 0)) }, { reduction: 'mean' })
      expect(Array.from(nothing.loss.data)).toEqual([0])
      expect(nothing.gradients.get('predictions')!.data.every((slope) => slope === 0)).toBe(true)
      expect(nothing.members).toMatchObject({ denominator: 0, count: 0, finite: true })
    }
  })

  it('accepts masks and class indices with class-major predictions', async () => {
    for (const { ask, full, precision, drawn, pixels, elements, predictions, engine } of trialsOf({})) {
      const turned = (data: readonly number[]) =>
        numbers(
          precision,
          [C, N, H, W],
          times(
            N * C * P,
            (i) => data[((Math.floor(i / P) % N) * C + Math.floor(i / (N * P))) * P + (i % P)]!,
          ),
        )
      const masks = [
        [ofPixels(pixels), ofPixels(pixels)],
        [full(elements), turned(elements)],
      ] as const
      for (const [row, major] of masks) {
        const want = await ask({ predictions, targets: ofPixels(drawn), mask: row })
        const tensors = new Map([
          ['predictions', turned(predictions)],
          ['targets', ofPixels(drawn)],
          ['mask', major],
        ])
        const got = await evaluate(engine, loss, tensors, { reduction: 'sum', layout: 'class_major' })
        expectClose(got.loss.data, want.loss.data, { relative: 1e-6 })
        const slopes = turned(Array.from(want.gradients.get('predictions')!.data)).data
        expectClose(got.gradients.get('predictions')!.data, slopes, { relative: 1e-6 })
      }
    }
  })

  it('still rejects invalid values where they count', () => {
    const { drawn, pixels, elements, predictions } = draw(1, {})
    const mask = ofPixels(pixels)
    const refused = (sent: Sent, params: Params = {}) => {
      return () => check(loss, tensorsOf('float32', sent), { params, nonfinite: 'error' })
    }
    const [first, place] = [pixels.indexOf(1), elements.indexOf(1)]
    const label = ofPixels(drawn.with(first, C))
    expect(refused({ predictions, targets: label, mask })).toThrow(Problem)
    expect(refused({ predictions, targets: label })).toThrow('must be an integer from 0 to 3')
    const at = predictions.findIndex((_x, i) => pixelOf(i) === first)
    const infinite = predictions.with(at, Number.POSITIVE_INFINITY)
    expect(refused({ predictions: infinite, targets: ofPixels(drawn), mask })).toThrow('is Infinity')
    const spoilt = numbers('float32', [N, C, H, W], oneHot(drawn).with(place, -7))
    const each = numbers('float32', [N, C, H, W], elements)
    expect(refused({ predictions, targets: spoilt, mask: each })).toThrow('got -7')
    expect(refused({ predictions, targets: ofPixels(drawn), mask: ofPixels(pixels.with(0, 0.5)) })).toThrow(
      'must be 0 or 1',
    )
    // A pixel of which one class counts has a label that counts.
    const mostly = numbers(
      'float32',
      [N, C, H, W],
      perClass(pixels).map((one, i) => (classOf(i) === 2 ? one : 0)),
    )
    expect(refused({ predictions, targets: label, mask: mostly })).toThrow('must be an integer from 0 to 3')
  })

  it('rejects a mask of another shape, and shows the expected one', () => {
    const { drawn, predictions } = draw(1, {})
    const shaped = (shape: number[]) => ({
      ...numbers(
        'float32',
        shape,
        times(N * P, () => 1),
      ),
    })
    const refused = (mask: DecodedTensor) => () =>
      check(loss, tensorsOf('float32', { predictions, targets: ofPixels(drawn), mask }))
    expect(refused(shaped([N, 1, H, W]))).toThrow('/mask: has 1 class, but predictions has 4')
    expect(refused(shaped([N, P]))).toThrow('inputs are not broadcast')
  })

  it('suggests a region in the shape of the predictions for one class', () => {
    const { drawn, predictions } = draw(1, {})
    const first = numbers('float32', [N, 1, H, W], predictions.slice(0, N * P))
    const tensors = new Map([
      ['predictions', first],
      ['targets', ofPixels(drawn.with(0, 1))],
    ])
    expect(() => check(loss, tensors)).toThrow('for one class send 0 or 1 in the shape of the predictions')
  })

  it('explains how it interpreted targets and mask', async () => {
    const { drawn, pixels, elements, predictions } = draw(1, {})
    const each = (data: readonly number[]) => numbers('float32', [N, C, H, W], data)
    const read = async (targets: DecodedTensor, mask: DecodedTensor) => {
      const tensors = tensorsOf('float32', { predictions, targets, mask })
      const { members } = await evaluate(engines[0]![0], loss, tensors, { explain: true })
      return (members.explain as { inputs: object }).inputs
    }
    expect(await read(ofPixels(drawn), ofPixels(pixels))).toMatchObject({
      targets: { kind: 'class', axes: 'rows,...' },
      mask: { kind: 'binary', axes: 'rows,...' },
    })
    expect(await read(each(oneHot(drawn)), each(elements))).toMatchObject({
      targets: { kind: loss.name === 'lovasz' ? 'binary' : 'probability', axes: 'rows,classes,...' },
      mask: { kind: 'binary', axes: 'rows,classes,...' },
    })
  })
})

describe('with a softmax', () => {
  const soft = family.filter(({ name }) => name !== 'lovasz')
  it.each(soft.map((loss) => [loss.name, loss] as const))(
    '%s normalizes a pixel over the classes that count',
    async (_, loss) => {
      const [engine] = engines[0]!
      const ask = (predictions: number[][], targets: number[][], mask?: number[][]) => {
        const shape = [1, predictions.length, predictions[0]!.length]
        const tensor = (data: number[][]) => numbers('float64', shape, data.flat())
        const tensors = new Map([
          ['predictions', tensor(predictions)],
          ['targets', tensor(targets)],
          ...(mask === undefined ? [] : [['mask', tensor(mask)] as const]),
        ])
        return evaluate(engine, loss, tensors, { reduction: 'sum', params: { activation: 'softmax' } })
      }
      const two = await ask(
        [
          [1, -2],
          [0.5, 3],
        ],
        [
          [1, 0],
          [0, 1],
        ],
      )
      const three = await ask(
        [
          [1, -2],
          [9, 9],
          [0.5, 3],
        ],
        [
          [1, 0],
          [1, 1],
          [0, 1],
        ],
        [
          [1, 1],
          [0, 0],
          [1, 1],
        ],
      )
      expectClose(three.loss.data, two.loss.data, { relative: 1e-14 })
      const [a, b, c, d] = two.gradients.get('predictions')!.data
      expectClose(three.gradients.get('predictions')!.data, [a!, b!, 0, 0, c!, d!], { relative: 1e-13 })
    },
  )
})
