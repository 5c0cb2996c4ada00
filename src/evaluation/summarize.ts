/** A state -> the answer. Sums over all slices are the sums of all rows, because all sums are exact. */
import {
  type Buckets,
  bootstrap,
  bootstrapRows,
  CONFIDENCE,
  fromMoments,
  isMeanKnown,
  knownSpread,
  type Uncertain,
} from './intervals.ts'
import { fileAndRow } from './places.ts'
import { QuantileSketch } from './quantile-sketch.ts'
import type {
  Bin,
  Comparison,
  Estimate,
  Evaluation,
  LossReport,
  RowPlace,
  SeriesLabel,
  SliceEstimate,
  Uncertainty,
  Verdict,
} from './result.ts'
import { hasSketchOfSlices, type Moments, type Series } from './series.ts'
import { type SliceKey, State } from './state.ts'

/** What a series of the state is. */
export type SeriesMeaning =
  | (SeriesLabel & { readonly kind: 'loss' })
  /** `b` minus `a`. */
  | (SeriesLabel & { readonly kind: 'difference'; readonly a: string; readonly b: string })

export interface Question {
  readonly series: readonly SeriesMeaning[]
  readonly files: readonly string[]
  readonly by: readonly string[]
  readonly weight?: string | undefined
  readonly cluster?: string | undefined
  /** 0: intervals from standard errors. */
  readonly replicates: number
  readonly seed: number
  readonly quantiles: readonly number[]
  readonly computedBy: string
  /** As in `Resampling`. */
  readonly goOn?: (() => void) | undefined
}

/** Bins of the distribution that is reported. */
const MOST_BINS = 60

/** @example summarize(state, question).losses[0].overall.mean */
export function summarize(state: State, question: Question): Evaluation {
  const order = sortedSlices(state.keys)
  const whole = allRowsOf(state)
  const ofRows = rowSpreads(state, order, question)
  const estimates = question.series.map((_, place) =>
    estimatesOf(state, whole, place, order, question, ofRows?.[place]),
  )
  const losses: LossReport[] = []
  const comparisons: Comparison[] = []
  question.series.forEach((meaning, place) => {
    const { overall, slices } = estimates[place]
    if (meaning.kind === 'difference') comparisons.push(comparisonOf(meaning, overall, slices))
    else losses.push(reportOf(meaning, whole.series[place], estimates[place], question.files))
  })
  const bad = state.bad()
  const used = whole.rows[0]
  return {
    files: question.files,
    rows: bad.reduce((sum, { count }) => sum + count, used),
    used,
    bad: bad.map(({ reason, count, rows }) => ({
      reason,
      count,
      first: rows.map((row) => namedPlace(question.files, row)),
    })),
    by: question.by,
    ...(question.weight === undefined ? {} : { weight: question.weight }),
    uncertainty: uncertaintyOf(state, question),
    computed_by: question.computedBy,
    losses,
    comparisons,
  }
}

interface Estimates {
  readonly overall: Estimate
  readonly slices: readonly SliceEstimate[]
}

function reportOf(
  meaning: SeriesLabel,
  whole: Series | undefined,
  { overall, slices }: Estimates,
  files: readonly string[],
): LossReport {
  const { loss, params, model } = meaning
  const bins = whole === undefined ? [] : distributionOf(whole)
  const worst = whole?.worst.rows() ?? []
  return {
    loss,
    params,
    ...(model === undefined ? {} : { model }),
    overall,
    slices,
    ...(bins.length === 0 ? {} : { distribution: bins }),
    ...(worst.length === 0
      ? {}
      : {
          worst: worst.map(({ loss: value, row }) => ({
            loss: numberOrNull(value),
            ...namedPlace(files, row),
          })),
        }),
  }
}

function comparisonOf(
  { loss, params, a, b }: SeriesMeaning & { readonly kind: 'difference' },
  overall: Estimate,
  slices: readonly SliceEstimate[],
): Comparison {
  const judged = slices.map((slice) => ({ ...slice, verdict: verdictOf(slice) }))
  const count = (verdict: Verdict) => judged.filter((slice) => slice.verdict === verdict).length
  return {
    loss,
    params,
    a,
    b,
    overall: { ...overall, verdict: verdictOf(overall) },
    slices: judged,
    counts: { better: count('better'), worse: count('worse'), undecided: count('undecided') },
  }
}

function verdictOf({ interval }: Estimate): Verdict {
  if (interval === null) return 'undecided'
  if (interval[1] < 0) return 'better'
  return interval[0] > 0 ? 'worse' : 'undecided'
}

function namedPlace(files: readonly string[], place: number): RowPlace {
  const { file, row } = fileAndRow(place)
  return { file: files[file], row }
}

/** All rows as one slice. */
function allRowsOf(state: State): State {
  const whole = new State(state.options)
  const slice = whole.sliceOf([])
  const slices = state.keys.length
  const sliceOf = new Int32Array(slices).fill(slice)
  const { buckets } = state
  const cellOf = new Int32Array(state.options.hasBuckets ? slices * buckets : 0)
  for (let cell = 0; cell < cellOf.length; cell++) cellOf[cell] = cell % buckets
  for (let i = 0; i < slices; i++) whole.rows[slice] += state.rows[i]
  for (let i = 0; i < cellOf.length; i++) whole.bucketRows![cellOf[i]] += state.bucketRows![i]
  for (const [place, series] of whole.series.entries()) series.merge(state.series[place], sliceOf, cellOf)
  whole.buckets = buckets
  return whole
}

function estimatesOf(
  state: State,
  whole: State,
  place: number,
  order: readonly number[],
  question: Question,
  known: (Uncertain | undefined)[] | undefined,
): Estimates {
  const parts = [{ of: whole, slice: 0 }, ...order.map((slice) => ({ of: state, slice }))]
  const moments = parts.map(({ of, slice }) => of.series[place].moments(slice, of.rows[slice]))
  const spreads = known ?? spreadsOf(parts, moments, place, question)
  const [overall, ...slices] = parts.map(({ of, slice }, i) =>
    estimateOf(of, slice, place, moments[i], spreads[i], question),
  )
  return {
    overall,
    slices: slices.map((slice, i) => ({ key: namedKey(question.by, state.keys[order[i]]), ...slice })),
  }
}

/**
 * Of each series, the spreads of all rows and of the slices, by the bootstrap of rows; undefined if there are too many.
 * The order of the rows does not depend on that in which they came.
 */
function rowSpreads(
  { kept, keys }: State,
  order: readonly number[],
  { replicates, seed, goOn }: Question,
): (Uncertain | undefined)[][] | undefined {
  if (kept === undefined || replicates === 0) return undefined
  const { places, slices, values, shares } = kept.record()
  const rank = new Int32Array(keys.length)
  for (const [at, slice] of order.entries()) rank[slice] = at
  const sorted = Uint32Array.from(places, (_, i) => i).sort(
    (a, b) => rank[slices[a]] - rank[slices[b]] || places[a] - places[b],
  )
  const ends = new Array<number>(Math.max(1, order.length)).fill(0)
  for (const slice of slices) ends[rank[slice]]++
  for (let i = 1; i < ends.length; i++) ends[i] += ends[i - 1]
  const inOrder = (own: Float64Array) => Float64Array.from(sorted, (i) => own[i])
  const series = values.map((own, place) => {
    const ofRows = shares[place]
    return { values: inOrder(own), shares: ofRows && inOrder(ofRows) }
  })
  const spreads = bootstrapRows({ ends, series }, { replicates, seed, goOn })
  return order.length === 0 ? spreads.map(([all]) => [all]) : spreads
}

interface Part {
  readonly of: State
  readonly slice: number
}

function spreadsOf(
  parts: readonly Part[],
  moments: readonly Moments[],
  place: number,
  { replicates, seed, goOn }: Question,
): (Uncertain | undefined)[] {
  if (replicates === 0) return moments.map(fromMoments)
  const buckets = parts.map((part) => bucketsOf(part, place))
  return bootstrap(buckets, { replicates, seed, goOn }).map((found, i) => {
    const { of, slice } = parts[i]
    return knownSpread(found, moments[i], of.series[place].buckets!.roundingOf(of.rows[slice]))
  })
}

function bucketsOf({ of, slice }: Part, place: number): Buckets {
  const { buckets, bucketRows } = of
  const series = of.series[place]
  const from = slice * buckets
  const sumOf = (i: number) => series.buckets!.value(from + i)
  const shareOf = (i: number) => series.bucketShares?.value(from + i) ?? bucketRows![from + i]
  const [sums, shares] = [new Float64Array(buckets), new Float64Array(buckets)]
  for (let i = 0; i < buckets; i++) {
    sums[i] = sumOf(i)
    shares[i] = shareOf(i)
  }
  return { sums, shares }
}

function estimateOf(
  state: State,
  slice: number,
  place: number,
  moments: Moments,
  spread: Uncertain | undefined,
  { quantiles }: Question,
): Estimate {
  const series = state.series[place]
  const infinite = moments.infinite[0] + moments.infinite[1]
  const isKnown = isMeanKnown(moments)
  const known = infinite === 0 && isKnown ? spread : undefined
  const sketch = hasSketchOfSlices(series, state.keys.length) ? series.sketches[slice] : undefined
  const hasQuantiles = sketch !== undefined && sketch.total > 0
  return {
    rows: state.rows[slice],
    ...(series.shares === undefined ? {} : { weight: moments.shares }),
    mean: isKnown ? numberOrNull(meanOf(moments)) : null,
    standard_error: known?.standardError ?? null,
    interval: known?.interval ?? null,
    min: numberOrNull(moments.low),
    max: numberOrNull(moments.high),
    ...(hasQuantiles ? { quantiles: quantilesOf(sketch, quantiles, moments) } : {}),
    ...(infinite === 0 ? {} : { infinite }),
  }
}

function meanOf({ sum, shares, infinite: [above, below] }: Moments): number {
  if (above > 0) return below > 0 ? Number.NaN : Number.POSITIVE_INFINITY
  return below > 0 ? Number.NEGATIVE_INFINITY : sum / shares
}

/** Bins reach further than the numbers in them. */
function quantilesOf(
  sketch: QuantileSketch,
  shares: readonly number[],
  { low, high }: Moments,
): Record<string, number> {
  const found = shares.map((share) => {
    const quantile = sketch.quantile(share) ?? 0
    return [String(share), Math.min(high, Math.max(low, quantile))] as const
  })
  return Object.fromEntries(found)
}

function distributionOf({ sketches }: Series): Bin[] {
  const whole = new QuantileSketch()
  for (const sketch of sketches) whole.merge(sketch)
  const bins = whole.histogram()
  const finite = bins.filter(({ low }) => Number.isFinite(low))
  // No finite loss is in a bin with infinite ones.
  return [
    ...bins.filter(({ low }) => low === Number.NEGATIVE_INFINITY),
    ...coarser(finite, MOST_BINS),
    ...bins.filter(({ low }) => low === Number.POSITIVE_INFINITY),
  ]
}

/** Neighboring bins together, so that there are not too many. */
function coarser(bins: readonly Bin[], most: number): Bin[] {
  const step = Math.ceil(bins.length / most)
  const starts = bins.flatMap((_, i) => (i % step === 0 ? [i] : []))
  return starts.map((start) => {
    const part = bins.slice(start, start + step)
    return {
      low: part[0].low,
      high: part.at(-1)!.high,
      count: part.reduce((total, { count }) => total + count, 0),
    }
  })
}

function uncertaintyOf(state: State, { replicates, seed, cluster }: Question): Uncertainty {
  if (replicates === 0) return { method: 'standard error', confidence: CONFIDENCE }
  return {
    method: 'bootstrap',
    confidence: CONFIDENCE,
    replicates,
    resampled: state.kept === undefined ? 'buckets' : 'rows',
    ...(state.kept === undefined ? { buckets: state.buckets } : {}),
    ...(cluster === undefined ? {} : { cluster }),
    seed,
  }
}

function namedKey(by: readonly string[], key: SliceKey): SliceEstimate['key'] {
  return Object.fromEntries(by.map((name, i) => [name, key[i]]))
}

/** Slices in the order of their keys: numbers by size, then texts by their characters, null last. */
function sortedSlices(keys: readonly SliceKey[]): number[] {
  if (keys.length === 1 && keys[0].length === 0) return []
  return keys.map((_, i) => i).sort((a, b) => compareKeys(keys[a], keys[b]))
}

function compareKeys(a: SliceKey, b: SliceKey): number {
  for (let i = 0; i < a.length; i++) {
    const order = compareParts(a[i], b[i])
    if (order !== 0) return order
  }
  return 0
}

function compareParts(a: SliceKey[number], b: SliceKey[number]): number {
  if (a === b) return 0
  if (a === null || b === null) return a === null ? 1 : -1
  if (typeof a === 'number' && typeof b === 'number') return a - b
  // A column of numbers has texts, too, where doubles or JSON have no number: 9007199254740993, NaN.
  if (typeof a === 'number' || typeof b === 'number') return typeof a === 'number' ? -1 : 1
  return String(a) < String(b) ? -1 : 1
}

function numberOrNull(x: number): number | null {
  return Number.isFinite(x) ? x : null
}
