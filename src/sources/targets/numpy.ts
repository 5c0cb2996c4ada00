/** NumPy: a function that returns the loss and its gradients. */
import { type ArrayNames, argumentNames, writeArrays } from '../arrays.ts'
import { indented } from '../code.ts'
import { flattenedInputs } from '../collapse-axes.ts'
import type { SourceProgram, Target, WriteOptions } from '../contract.ts'
import { helpersIn } from '../helpers.ts'
import { NUMPY, NUMPY_HELPERS } from '../numpy.ts'
import { docstring, realLines, shapeLines, signatureOf, TAKEN_IN_PYTHON } from '../python.ts'

const target: Target = {
  name: 'numpy',
  family: 'array',
  about: 'A NumPy function that returns the loss and its gradients.',
  mediaType: 'text/x-python',
  extension: '.py',
  precisions: ['float64'],
  dialects: [],
  taken: TAKEN_IN_PYTHON,
  write,
}

export default target

const HELPERS: Readonly<Record<string, readonly string[]>> = {
  _reals: [
    'def _reals(*arrays):',
    '    """Arrays of floats as they are; others as the floats that they become beside these, or as float64."""',
    '    arrays = [np.asarray(x) for x in arrays]',
    '    dtype = np.result_type(*(x.dtype for x in arrays))',
    '    dtype = dtype if dtype.kind == "f" else float',
    '    return [x if x.dtype.kind == "f" else x.astype(dtype) for x in arrays]',
    '',
  ],
  _reduce: [
    'def _reduce(loss, reduction, shares=None):',
    '    """The reduced loss, and its derivative with respect to each value."""',
    '    loss = loss if loss.dtype.kind == "f" else loss.astype(float)',
    '    if reduction == "none":',
    '        return loss, np.ones_like(loss)',
    '    count = 1 if reduction == "sum" else loss.size if shares is None else shares.sum()',
    '    scale = 1 / count if count != 0 else 0.0',
    '    return loss.sum() * loss.dtype.type(scale), np.full_like(loss, scale)',
    '',
  ],
  _reduce_by_lengths: [
    'def _reduce_by_lengths(loss, reduction, lengths):',
    '    """The same; in a mean the loss of each row is divided by its length, or by 1."""',
    '    if reduction != "mean":',
    '        return _reduce(loss, reduction)',
    '    lengths = np.maximum(lengths, 1)',
    '    reduced, g = _reduce((loss / lengths).astype(loss.dtype), reduction)',
    '    return reduced, (g / lengths).astype(loss.dtype)',
    '',
  ],
  ...NUMPY_HELPERS,
}

function write(source: SourceProgram, { name }: WriteOptions): string {
  const names = argumentNames(source, [...NUMPY.reserved, name], 'g')
  const body = bodyLines(source, names)
  const lines = [
    `def ${name}(${signatureOf(source, names)}):`,
    ...docstring(source, NOTES, '    '),
    ...indented(body, '    '),
  ]
  const helpers = helpersIn(body, HELPERS).flatMap((line, place, all) =>
    line === '' && all[place + 1] === '' ? [''] : [line],
  )
  const imports = helpers.some((line) => line.includes('math.')) ? ['import math', ''] : []
  const decorated = ['@np.errstate(all="ignore")', ...lines]
  return `${[...imports, 'import numpy as np', '', '', ...helpers, ...decorated].join('\n')}\n`
}

const NOTES = [
  'Returns the loss, reduced by "mean", "sum" or "none", and the gradient of what is returned with respect to each input that has one; for "none", of each value.',
]

function reductionOf(
  { lengths }: SourceProgram,
  { inputs }: ArrayNames,
  loss: string,
  shares: string | undefined,
): string {
  if (lengths !== undefined) return `_reduce_by_lengths(${loss}, reduction, ${inputs.get(lengths)})`
  return `_reduce(${[loss, 'reduction', ...(shares === undefined ? [] : [shares])].join(', ')})`
}

function bodyLines(source: SourceProgram, names: ArrayNames): string[] {
  const { program } = source
  const loss = names.names.take('loss')
  const shares = program.denominators === undefined ? undefined : names.names.take('shares')
  const gradients = Object.keys(program.gradients).map((of) => ({ of, name: names.names.take(`grad_${of}`) }))
  const reduced = names.names.take('reduced')
  const written = writeArrays(source, NUMPY, names, [
    { node: program.value, axes: program.nodes[program.value].axes, name: loss },
    ...(shares === undefined
      ? []
      : [{ node: program.denominators!, axes: program.nodes[program.value].axes, name: shares }]),
    ...gradients.map(({ of, name }) => ({
      node: program.gradients[of],
      axes: program.inputs[of].axes,
      name,
    })),
  ])
  const restored = flattenedInputs(source)
  const shape = (of: string) => `shape_${names.inputs.get(of)}`
  const back = (of: string, text: string) =>
    restored.some((input) => input.name === of) ? `${text}.reshape(${shape(of)})` : text
  const given = `${reduced}, ${names.cotangent} = ${reductionOf(source, names, loss, shares)}`
  return [
    ...realLines(source, names),
    ...restored.map(({ name }) => `${shape(name)} = ${names.inputs.get(name)}.shape`),
    ...shapeLines(source, names, written, {
      flatten: (x, before, after) =>
        `${x}.reshape(${[`*${x}.shape[:${before}]`, '-1', ...(after === 0 ? [] : [`*${x}.shape[-${after}:]`])].join(', ')})`,
      size: (x, dimension) => `${x}.shape[${dimension}]`,
    }),
    ...written.asArrays.map((param) => {
      const own = names.params.get(param)!
      const real = source.inputs.find(({ type }) => type === 'real')!
      return `${own} = ${names.inputs.get(real.name)}.dtype.type(${own})`
    }),
    ...written.lines.slice(0, written.ofValue),
    given,
    ...written.lines.slice(written.ofValue),
    `return ${reduced}, (${gradients.map(({ of, name }) => `${back(of, name)},`).join(' ')})`,
  ]
}
