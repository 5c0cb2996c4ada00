/** What is probably meant where a request does not say: the columns with the predictions and the targets, by their names. */
import type { Column } from './database.ts'
import type { EvaluationRequest } from './request.ts'

const NAMES = {
  predictions: [
    'predictions',
    'prediction',
    'predicted',
    'y_hat',
    'yhat',
    'y_pred',
    'pred',
    'preds',
    'logits',
    'logit',
    'score',
  ],
  targets: ['targets', 'target', 'y', 'y_true', 'truth', 'label', 'labels', 'actual'],
} as const

export interface Guess {
  readonly request: EvaluationRequest
  /** Input -> the column that was guessed. */
  readonly guessed: Readonly<Record<string, string>>
}

/**
 * Fills in the columns that a request for losses of the catalog leaves out.
 *
 * @example
 * guessColumns({ losses: [{ loss: 'mse' }], columns: {} }, columns).guessed // { predictions: 'y_hat', targets: 'y' }
 */
export function guessColumns(request: EvaluationRequest, columns: readonly Column[]): Guess {
  const guessed: Record<string, string> = {}
  const isByName = request.losses.some((ask) => !('loss' in ask))
  if (!isByName) {
    for (const [input, names] of Object.entries(NAMES)) {
      if (request.columns[input] !== undefined || (input === 'predictions' && request.compare !== undefined))
        continue
      const found = names.find((name) => columns.some((column) => column.name.toLowerCase() === name))
      const own = columns.find((column) => column.name.toLowerCase() === found)
      if (own !== undefined) guessed[input] = own.name
    }
  }
  const more = Object.entries(guessed).map(([input, name]) => [input, [name]] as const)
  return { request: { ...request, columns: { ...request.columns, ...Object.fromEntries(more) } }, guessed }
}
