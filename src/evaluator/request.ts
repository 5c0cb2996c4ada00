/** What one wants to have evaluated. Plain JSON, so that it can be stored, and sent to a thread. */

/** A loss of the catalog by its name, a definition, or a formula. */
export type LossAsk =
  | { readonly loss: string; readonly params?: Readonly<Record<string, unknown>> }
  | { readonly definition: object; readonly params?: Readonly<Record<string, unknown>> }
  | { readonly formula: string; readonly params?: Readonly<Record<string, unknown>> }

/** How losses are computed: by DuckDB, by compiled kernels, or by what is faster. */
export type Road = 'auto' | 'sql' | 'kernels'

export interface EvaluationRequest {
  readonly losses: readonly LossAsk[]
  /** Input of a loss -> its columns. Several columns, or one with lists, are the classes of a row. */
  readonly columns: Readonly<Record<string, readonly string[]>>
  /** The predictions of each model, if several are compared: the first with each of the others. */
  readonly compare?: readonly (readonly string[])[]
  readonly weight?: string | undefined
  /** Slices are the rows with equal values in these columns. */
  readonly by?: readonly string[]
  /** Rows with equal values in this column are resampled together. */
  readonly cluster?: string | undefined
  /** See {@link replicatesOf}. */
  readonly bootstrap?: number
  readonly quantiles?: readonly number[] | undefined
  /** How many of the rows with the largest losses are reported. */
  readonly worst?: number
  readonly seed?: number
  readonly onBad?: 'fail' | 'skip'
  readonly road?: Road
}

/** With clusters, which standard errors know nothing of. */
export const CLUSTER_REPLICATES = 1000

/** Replicates of the bootstrap; 0: intervals from standard errors. */
export function replicatesOf({
  bootstrap,
  cluster,
}: Pick<EvaluationRequest, 'bootstrap' | 'cluster'>): number {
  return bootstrap ?? (cluster === undefined ? 0 : CLUSTER_REPLICATES)
}

/** Those of reports, and of rows that are not so many that it takes time. */
export const DEFAULT_QUANTILES: readonly number[] = [0.5, 0.9, 0.99]
