/**
 * The frame of Python libraries whose custom gradients are closures: one function, in which the value is decorated and
 * returns its gradient as a second function. Tensors are made and reshaped outside of both, so that the library
 * differentiates the reshaping.
 */
import type { ArrayLines, ArraySyntax } from './arrays.ts'
import { atom, indented } from './code.ts'
import { flattenedInputs, valueShape } from './collapse-axes.ts'
import type { SourceProgram } from './contract.ts'
import { type GradientParts, gradientParts, sizesRead, tensorParams } from './gradient-parts.ts'
import { helpersIn } from './helpers.ts'
import { docstring, realLines, signatureOf, tuple } from './python.ts'

/** What a library calls the parts of the frame. */
export interface CustomGradientPhrases {
  readonly imports: readonly string[]
  readonly decorator: string
  /** An argument of indices, which may be a list or an array of another library, as a tensor. `_reals` does the same of numbers. */
  convert(name: string): string
  /** A number as a tensor with the precision of another. */
  convertLike(name: string, like: string): string
  shapeOf(x: string): string
  size(x: string, dimension: number): string
  /** With one dimension in place of those between the first `before` and the last `after`. */
  flatten(x: string, before: number, after: number): string
  /** With `shape[from:until]` in place of the dimension `place`. */
  unflatten(x: string, place: number, shape: string): string
  /** How the gradient takes what comes from after the loss. */
  upstream(name: string): { readonly arguments: string; readonly lines: readonly string[] }
  /** Losses divided by the lengths of their rows, or by 1. */
  byLengths(x: string, lengths: string): string
  sum(x: string): string
  mean(x: string): string
  /** 0 if there is nothing to divide by. */
  ratio(total: string, count: string): string
  readonly helpers: Readonly<Record<string, readonly string[]>>
  readonly notes: readonly string[]
}

/** Names of the frame. */
const RESERVED = ['values', 'gradient', 'count', 'args', 'shape']

interface Parts extends GradientParts {
  readonly phrases: CustomGradientPhrases
}

/** @throws CannotWrite */
export function writeCustomGradient(
  source: SourceProgram,
  syntax: ArraySyntax,
  phrases: CustomGradientPhrases,
  name: string,
): string {
  const parts = { ...gradientParts(source, syntax, [...RESERVED, name]), phrases }
  const body = [
    `def ${name}(${signatureOf(source, parts.names)}):`,
    ...docstring(source, phrases.notes, '    '),
    ...indented([...preparation(parts), ...valueLines(parts), ...reduction(parts)], '    '),
  ]
  const helpers = helpersIn(body, phrases.helpers).flatMap((line, place, all) =>
    line === '' && all[place + 1] === '' ? [''] : [line],
  )
  return `${[...phrases.imports, '', '', ...helpers, ...body].join('\n')}\n`
}

/** Arguments as tensors whose dimensions are the axes of the formula. */
function preparation(parts: Parts): string[] {
  const { source, phrases, names } = parts
  const own = (name: string) => names.inputs.get(name)!
  const real = own(source.inputs.find(({ type }) => type === 'real')!.name)
  const shape = valueShape(source)
  const indices = source.inputs.filter(({ type }) => type === 'index')
  return [
    ...realLines(source, names),
    ...indices.map(({ name }) => `${own(name)} = ${phrases.convert(own(name))}`),
    ...(shape === undefined ? [] : [`shape = ${rest(phrases.shapeOf(own(shape.of)), shape)}`]),
    ...flattenedInputs(source).map(({ name, axes }) => {
      const before = axes.indexOf('...')
      return `${own(name)} = ${phrases.flatten(own(name), before, axes.length - before - 1)}`
    }),
    ...arrayParams(parts).map((name) => `${name} = ${phrases.convertLike(name, real)}`),
  ]
}

/** The names of the parameters that must be tensors. */
function arrayParams(parts: Parts): string[] {
  return tensorParams(parts).map((name) => parts.names.params.get(name)!)
}

function rest(shape: string, { from, until }: { readonly from: number; readonly until: number }): string {
  if (from === 0 && until === 0) return shape
  return `${shape}[${from === 0 ? '' : from}:${until === 0 ? '' : until}]`
}

function sizeLines(parts: Parts, lines: ArrayLines): string[] {
  const { phrases } = parts
  return sizesRead(parts, lines).map(
    ([name, argument, place]) => `${name} = ${phrases.size(argument, place)}`,
  )
}

/** All tensors are arguments: JAX traces these functions once more when it differentiates, and may then read no others. */
function valueLines(parts: Parts): string[] {
  const { phrases, names, loss, value, wanted } = parts
  const given = [...names.inputs.values(), ...arrayParams(parts)].join(', ')
  const lines = [...sizeLines(parts, value), ...value.lines]
  if (wanted.length === 0) return lines
  return [
    '',
    phrases.decorator,
    `def values(${given}):`,
    ...indented([...lines, '', ...gradientLines(parts), '', `return ${loss}, gradient`], '    '),
    '',
    `${loss} = values(${given})`,
  ]
}

function gradientLines(parts: Parts): string[] {
  const { phrases, names, gradient, wanted } = parts
  const upstream = phrases.upstream(names.cotangent)
  const ofInputs = [...names.inputs.keys()].map((name) => {
    return gradient.results[wanted.indexOf(name)] ?? atom('None')
  })
  const all = [...ofInputs, ...arrayParams(parts).map(() => atom('None'))]
  const returned = all.length === 1 ? all[0].text : tuple(all)
  return [
    `def gradient(${upstream.arguments}):`,
    ...indented(
      [...upstream.lines, ...sizeLines(parts, gradient), ...gradient.lines, `return ${returned}`],
      '    ',
    ),
  ]
}

function reduction(parts: Parts): string[] {
  const { source, phrases, names, loss, shares } = parts
  const { lengths } = source
  const mean = lengths === undefined ? loss : phrases.byLengths(loss, names.inputs.get(lengths)!)
  const shape = valueShape(source)
  const shaped = shape === undefined ? loss : phrases.unflatten(loss, shape.axes.indexOf('...'), 'shape')
  return [
    'if reduction == "none":',
    `    return ${shaped}`,
    ...(shares === undefined
      ? [`return ${phrases.sum(loss)} if reduction == "sum" else ${phrases.mean(mean)}`]
      : [
          'if reduction == "sum":',
          `    return ${phrases.sum(loss)}`,
          ...sizeLines(parts, shares),
          ...shares.lines,
          `count = ${phrases.sum(shares.results[0].text)}`,
          `return ${phrases.ratio(phrases.sum(loss), 'count')}`,
        ]),
  ]
}
