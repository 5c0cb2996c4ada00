/**
 * What stands around the loops in every language: the factor of a mean before them, and the reduction after them. A mean
 * whose denominator is only known afterwards divides the gradients once more.
 */
import { type Code, indented } from './code.ts'
import type { SourceProgram } from './contract.ts'
import type { HelperSyntax } from './loop-axis-ops.ts'
import type { LoopArray, LoopSource } from './loops.ts'

/** How a language says it. */
export interface FramePhrases {
  /** Whether the reduction is this one. */
  is(reduction: 'none' | 'sum' | 'mean'): string
  constant(name: string, value: string): string
  choose(test: string, yes: string, no: string): string
  /** The number of elements, as a real number. */
  realOf(count: Code): string
  number(value: number): string
  /** The sum of an array. */
  total(array: string, count: Code): string
  returnIf(test: string, value: string): readonly string[]
  return(value: string): string
  /** Multiplies each element. */
  scale(array: string, count: Code, factor: string): readonly string[]
  readonly helpers: HelperSyntax
}

/** The body of the function. */
export function framed(loops: LoopSource, phrases: FramePhrases): string[] {
  const { values, usesScale, scale, body } = loops
  const loss = named(loops, 'values')
  const shares = loops.outputs.find(({ role }) => role === 'denominators')
  const one = phrases.number(1)
  const count = phrases.realOf(values)
  const known = shares === undefined ? phrases.choose(phrases.is('mean'), `${one} / ${count}`, one) : one
  // The mean of no values is 0, as their total.
  const isMean = `${phrases.is('mean')} && ${values.text} > 0`
  const after =
    loops.lengths !== undefined
      ? byLengths(loops, loops.lengths, phrases)
      : shares === undefined
        ? [phrases.return(phrases.choose(isMean, `total / ${count}`, 'total'))]
        : byDenominator(loops, shares, phrases)
  return [
    ...(usesScale ? [phrases.constant(scale, known)] : []),
    ...body,
    ...phrases.returnIf(phrases.is('none'), phrases.number(0)),
    phrases.constant('total', phrases.total(loss, values)),
    ...after,
  ]
}

/** The loss and the gradient of each row are divided by its length. */
function byLengths(
  { outputs, values }: LoopSource,
  { name, rows }: NonNullable<LoopSource['lengths']>,
  phrases: FramePhrases,
): string[] {
  const { helpers } = phrases
  const called = (words: string, ...args: readonly string[]) => `${helpers.name(words)}(${args.join(', ')})`
  const loss = outputs.find(({ role }) => role === 'values')!
  const divided = outputs
    .filter(({ role }) => role === 'gradient')
    .map((gradient) => {
      return helpers.run(called('divide by lengths', gradient.name, name, rows.text, gradient.length.text))
    })
  const mean = `${called('total by lengths', loss.name, name, rows.text)} / ${phrases.realOf(values)}`
  return [
    ...phrases.returnIf(phrases.is('sum'), 'total'),
    ...divided,
    phrases.return(phrases.choose(`${values.text} > 0`, mean, 'total')),
  ]
}

function byDenominator({ outputs, values }: LoopSource, shares: LoopArray, phrases: FramePhrases): string[] {
  const gradients = outputs.filter(({ role }) => role === 'gradient')
  const zero = phrases.number(0)
  return [
    ...phrases.returnIf(phrases.is('sum'), 'total'),
    phrases.constant('denominator', phrases.total(shares.name, values)),
    phrases.constant(
      'mean',
      phrases.choose(`denominator == ${zero}`, zero, `${phrases.number(1)} / denominator`),
    ),
    ...gradients.flatMap(({ name, length }) => phrases.scale(name, length, 'mean')),
    phrases.return('total * mean'),
  ]
}

function named({ outputs }: LoopSource, role: LoopArray['role']): string {
  return outputs.find((output) => output.role === role)!.name
}

/** Words that the frame uses, in addition to those of the language. */
export const FRAME_WORDS = ['reduction', 'total', 'denominator', 'mean', 'sum', 'count', 'scratch'] as const

/** What the comment above the function says about its arguments. */
export function usageLines({ inputs }: SourceProgram, loops: LoopSource, none: string): string[] {
  const { outputs } = loops
  const layouts = inputs.map((input) => `${input.name}[${input.axes.join(', ')}]`).join(', ')
  const gradients = outputs.filter(({ role }) => role === 'gradient').map(({ name }) => name)
  return [
    `Arrays are flat, the last axis is contiguous: ${layouts}.`,
    `Returns the sum or the mean of the losses (0 for ${none}), and fills ${named(loops, 'values')} with each of them.`,
    ...(gradients.length === 0
      ? []
      : [`${gradients.join(', ')}: the gradient of what is returned; for ${none}, of each loss.`]),
  ]
}

/** Each scratch array begins where the one before ends. */
export function scratchOffsets(scratch: readonly LoopArray[]): { array: LoopArray; begin: string }[] {
  return scratch.map((array, place) => {
    const before = scratch[place - 1]
    return { array, begin: before === undefined ? 'scratch' : `${before.name} + ${before.length.text}` }
  })
}

/**
 * The arguments on one line if they fit, and otherwise on one line each.
 *
 * @param last what stands behind the last of them
 */
export function signatureLines(
  head: string,
  args: readonly string[],
  tail: string,
  { indent, last }: { readonly indent: string; readonly last: ',' | '' },
): string[] {
  const line = `${head}(${args.join(', ')})${tail}`
  if (line.length <= 110) return [line]
  const lines = args.map((arg, place) => `${arg}${place < args.length - 1 ? ',' : last}`)
  return [`${head}(`, ...indented(lines, indent), `)${tail}`]
}
