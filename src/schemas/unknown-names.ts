/** Finds unknown and misplaced names in a request, and suggests what was probably meant. */
import { Problem, type ProblemDetail, pointerToken } from '../errors.ts'
import type { Loss, Params, ResolvedLoss } from '../losses/define.ts'
import { didYouMean, suggesting } from '../nearest.ts'
import type { Decoded } from '../wire/define.ts'
import { checkOptions } from './options.ts'
import { COMMON_TENSORS, OPTION_NAMES } from './request.ts'

/** The names that frameworks use for predictions, targets, weights and so on, and our names for them. */
const SYNONYMS: readonly { readonly words: ReadonlySet<string>; readonly inputs: readonly string[] }[] = [
  {
    words: wordsOf(`
      logits logit y_pred y_hat yhat pred preds prediction predicted input inputs output outputs out score scores x logprobs
      log_probs log_prob log_probabilities prob probs probabilities probability y_score y_prob estimate estimates approx
      predictions embedding features vectors representations`),
    inputs: ['predictions', 'embeddings', 'student', 'hidden'],
  },
  {
    words: wordsOf(`
      targets labels label y_true y target truth true ground_truth gt actual actuals expected reference references classes class
      answers gold relevance mask masks`),
    inputs: ['targets', 'labels', 'teacher'],
  },
  { words: wordsOf('where valid valid_mask pixel_mask'), inputs: ['mask'] },
  { words: wordsOf('weight weights class_weight'), inputs: ['class_weights', 'weight', 'sample_weight'] },
  { words: wordsOf('reduce reduce_mean size_average aggregation'), inputs: ['reduction'] },
  { words: wordsOf('parameters args kwargs config options hyperparameters hparams'), inputs: ['params'] },
  { words: wordsOf('upstream cotangent cotangents'), inputs: ['grad_output'] },
]

/** Maximum number of unknown names that are reported in one place. A client that sent more has understood by then. */
export const MAX_REPORTED = 32

/** The unknown members of a value, at most as many as a problem lists. */
export function strangersIn(value: object, known: readonly string[]): string[] {
  return Object.keys(value)
    .filter((name) => !known.includes(name))
    .slice(0, MAX_REPORTED)
}

function wordsOf(text: string): ReadonlySet<string> {
  return new Set(text.trim().split(/\s+/))
}

/**
 * Rejects all unknown names at once, including those of parameters.
 *
 * @param loss the loss, specialized for the request's parameters
 * @throws Problem `unknown-name`
 */
export function checkNames(loss: Loss, { tensors, options }: Decoded) {
  const sent = [...tensors.keys(), ...options.keys()]
  const wrong = sent.filter((name) => !isMember(loss, name)).slice(0, MAX_REPORTED)
  const strange = strangeParams(loss, options.get('params'))
  if (wrong.length === 0 && strange.length === 0) return
  throwUnknownNames([...wrong.map((name) => strangeMember(loss, name, { tensors, options })), ...strange])
}

/** Like `checkNames`, but only for the parameters: which inputs there are may depend on them. */
export function checkParamNames(loss: Loss, { options }: Pick<Decoded, 'options'>) {
  const strange = strangeParams(loss, options.get('params'))
  if (strange.length > 0) throwUnknownNames(strange)
}

/**
 * Parameters that come without a request, with their defaults.
 *
 * @throws Problem `unknown-name`, `param-invalid`
 */
export function checkParams(resolved: ResolvedLoss, given: unknown = {}): Params {
  const options = new Map([['params', given]])
  checkParamNames(resolved.loss, { options })
  return checkOptions(resolved, options).params
}

/** @throws Problem `unknown-name`, with each wrong place */
export function throwUnknownNames(all: readonly ProblemDetail[]): never {
  const errors = all.slice(0, MAX_REPORTED)
  const [{ pointer, detail }, ...others] = errors
  const more = others.length === 0 ? '' : ` (and ${others.map((other) => other.pointer).join(', ')})`
  throw new Problem('unknown-name', `${pointer}: ${detail}${more}`, { errors })
}

function isMember({ inputs }: Loss, name: string): boolean {
  return Object.hasOwn(inputs, name) || Object.hasOwn(COMMON_TENSORS, name) || OPTION_NAMES.has(name)
}

function strangeMember(loss: Loss, name: string, decoded: Decoded): ProblemDetail {
  const has = `is not an input or an option. ${loss.name} has the inputs ${inputsText(loss)}; options are ${[...OPTION_NAMES].join(', ')}`
  return { pointer: `/${pointerToken(name)}`, detail: `${has}${memberHint(loss, name, decoded)}` }
}

function inputsText({ inputs }: Loss): string {
  const common = Object.keys(COMMON_TENSORS).filter((name) => !Object.hasOwn(inputs, name))
  return `${Object.keys(inputs).join(', ')} and, like every loss, ${common.join(', ')}`
}

function memberHint(loss: Loss, name: string, { tensors, options }: Decoded): string {
  const params = Object.keys(loss.params.properties)
  const isFree = (one: string) => !tensors.has(one) && !options.has(one)
  const synonym = suggestInput(loss, name, isFree)
  if (params.includes(name)) {
    if (synonym === undefined) return '. It is a parameter: put it into params'
    return `${suggesting(synonym)} The parameter of that name belongs into params`
  }
  if (name === 'terms') return '. It belongs to POST /v1/losses:compose'
  if (holdsInputs(loss, options.get(name))) return '. Put its members at the top level'
  if (synonym !== undefined) return suggesting(synonym)
  const top = [...Object.keys(loss.inputs), ...Object.keys(COMMON_TENSORS), ...OPTION_NAMES].filter(isFree)
  const guess = didYouMean(name, top)
  if (guess !== '') return guess
  const param = didYouMean(name, params)
  return param === '' ? '' : `${param} It is a parameter: put it into params`
}

/**
 * Our name of an input that a framework calls by this name.
 *
 * @param isFree whether the request does not contain the input already
 * @example
 * suggestInput(mse, 'y_true', () => true) // 'targets'
 */
export function suggestInput(
  { inputs }: Pick<Loss, 'inputs'>,
  name: string,
  isFree: (input: string) => boolean,
): string | undefined {
  const called = SYNONYMS.filter(({ words }) => words.has(name.toLowerCase()))
  const isThere = (one: string) =>
    Object.hasOwn(inputs, one) || Object.hasOwn(COMMON_TENSORS, one) || OPTION_NAMES.has(one)
  return called.flatMap((synonym) => synonym.inputs).find((one) => isThere(one) && isFree(one))
}

/** `{"inputs": {"predictions": ...}}` */
function holdsInputs({ inputs }: Loss, value: unknown): boolean {
  return (
    typeof value === 'object' &&
    value !== null &&
    Object.keys(inputs).some((name) => Object.hasOwn(value, name))
  )
}

/** Unknown parameters. A value that is not an object is rejected elsewhere. */
function strangeParams(loss: Loss, given: unknown): ProblemDetail[] {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) return []
  const known = Object.keys(loss.params.properties)
  const has = known.length === 0 ? 'which has none' : `which has ${known.join(', ')}`
  return strangersIn(given, known).map((name) => ({
    pointer: `/params/${pointerToken(name)}`,
    detail: `is not a parameter of ${loss.name}, ${has}${paramHint(loss, name, known)}`,
  }))
}

function paramHint(loss: Loss, name: string, known: readonly string[]): string {
  if (Object.hasOwn(loss.inputs, name)) return '. It is an input: put it at the top level'
  if (Object.hasOwn(COMMON_TENSORS, name)) return '. It is a tensor of every loss: put it at the top level'
  if (OPTION_NAMES.has(name)) return '. It is an option: put it at the top level'
  const guess = didYouMean(name, known)
  if (guess !== '') return guess
  const elsewhere = suggestInput(loss, name, () => true)
  const input = elsewhere === undefined ? didYouMean(name, Object.keys(loss.inputs)) : suggesting(elsewhere)
  return input === '' ? '' : `${input} It is a top-level member`
}
