/**
 * Makes a tensor from its JSON form: bare numbers, or an object with shape, dtype and data. It does not parse text;
 * numbers.ts and reader.ts do.
 */
import { pluralize, pointerTo, problemAt } from '../../errors.ts'
import { didYouMean } from '../../nearest.ts'
import { DTYPES, type Dtype, isInteger, type NumericArray, sizeOf } from '../../tensor.ts'
import { BYTES_PER_ELEMENT, type DecodedTensor, type DecodeLimits } from '../define.ts'
import { readElements, roundTo } from '../dtypes.ts'
import { checkShape } from '../shape.ts'
import type { Numbers } from './numbers.ts'
import type { Json } from './reader.ts'

/** float32 represents every integer up to here. */
const MAX_EXACT_IN_FLOAT32 = 2 ** 24
/** The range of integers of each dtype. int64 is narrowed to int32 in memory. */
const INTEGERS: Readonly<Partial<Record<Dtype, readonly [low: number, high: number]>>> = {
  bool: [0, 1],
  uint8: [0, 255],
  int32: [-(2 ** 31), 2 ** 31 - 1],
  int64: [-(2 ** 31), 2 ** 31 - 1],
}

/**
 * A bare array or number: float32, or bool if it contains booleans. If it contains integers that float32 would
 * round (labels, ids), the data stays in double, and the validation, which knows the kind of the input, narrows it.
 *
 * @throws Problem `non-finite-input` for a finite number outside float32
 * @example
 * tensorFromArray('predictions', { data: Float64Array.of(0.1), shape: [] }).data // Float32Array [0.1]
 */
export function tensorFromArray(name: string, numbers: Numbers): DecodedTensor {
  const { data, shape, areTruths } = numbers
  if (areTruths)
    return { dtype: 'bool', shape, data: Int32Array.from(data), encoding: 'nested', typed: false }
  const floats = new Float32Array(data.length)
  let isLarge = false
  for (let i = 0; i < data.length; i++) {
    floats[i] = data[i]
    if (Math.abs(data[i]) > MAX_EXACT_IN_FLOAT32) isLarge = true
  }
  const kept = isLarge && isBlurred(name, numbers) ? data.slice() : floats
  return { dtype: 'float32', shape, data: kept, encoding: 'nested', typed: false }
}

/** Whether float32 would round an integer. */
function isBlurred(name: string, { data, shape }: Numbers): boolean {
  let isBlurred = false
  for (let i = 0; i < data.length; i++) {
    const magnitude = Math.abs(data[i])
    if (magnitude <= MAX_EXACT_IN_FLOAT32) continue
    if (Number.isFinite(magnitude) && !Number.isFinite(Math.fround(magnitude))) {
      const hint = 'does not fit float32; send {"shape": [...], "dtype": "float64", "data": [...]}'
      throw problemAt('non-finite-input', pointerTo(name, shape, i), hint)
    }
    // Beyond 2^53 not even a double represents every integer, so these are not labels.
    isBlurred ||= magnitude <= 2 ** 53 && Number.isInteger(magnitude)
  }
  return isBlurred
}

/** The members of `{shape, dtype, data}` as they were parsed. */
export interface Described {
  readonly shape: Json | undefined
  readonly dtype: Json | undefined
  readonly data: Numbers | string
}

/**
 * @param name the name of the tensor, as a token of a JSON pointer
 * @throws Problem `shape-mismatch`, `shape-overflow`, `dtype-unsupported`, `missing-input`, `invalid-value`,
 * `non-finite-input`
 * @example
 * tensorFromObject('x', { shape: [1], dtype: 'float64', data: numbers }, limits).typed // true
 */
export function tensorFromObject(name: string, given: Described, limits: DecodeLimits): DecodedTensor {
  const shape = given.shape === undefined ? undefined : readShape(name, given.shape, limits)
  const dtype = given.dtype === undefined ? undefined : checkDtype(name, given.dtype)
  if (typeof given.data === 'string') return fromBase64(name, given.data, shape, dtype)
  if (shape !== undefined) checkFit(name, given.data, shape)
  const place = `${name}/data`
  const read =
    dtype === undefined
      ? tensorFromArray(place, given.data)
      : { dtype, data: convertChecked(place, dtype, given.data), typed: true }
  return { ...read, shape: shape ?? given.data.shape, encoding: 'flat' }
}

/** Flat data can have any shape of its size. Nested data already determines its shape. */
function checkFit(name: string, { data, shape: nested }: Numbers, shape: readonly number[]) {
  const isFlat = nested.length <= 1
  const fits = isFlat ? sizeOf(shape) === data.length : String(shape) === String(nested)
  if (fits) return
  const found = isFlat ? pluralize(data.length, 'elements') : `shape [${nested}]`
  const wanted = isFlat ? `${pluralize(sizeOf(shape), 'elements')} (shape [${shape}])` : `shape [${shape}]`
  throw problemAt('shape-mismatch', `/${name}/data`, `has ${found}, expected ${wanted}`)
}

function fromBase64(
  name: string,
  text: string,
  shape: readonly number[] | undefined,
  dtype: Dtype | undefined,
): DecodedTensor {
  if (shape === undefined || dtype === undefined) {
    throw problemAt('missing-input', `/${name}`, 'base64 data requires shape and dtype')
  }
  const bytes = Buffer.from(text, 'base64')
  if (!isSpelling(text, bytes)) {
    throw problemAt('invalid-value', `/${name}/data`, 'must be base64, or an array of numbers')
  }
  const expected = sizeOf(shape) * BYTES_PER_ELEMENT[dtype]
  if (bytes.length !== expected) {
    const detail = `has ${pluralize(bytes.length, 'bytes')}; ${dtype} [${shape}] needs ${expected}`
    throw problemAt('shape-mismatch', `/${name}/data`, detail)
  }
  const data = readElements(dtype, bytes, sizeOf(shape), `/${name}/data`)
  return { dtype, shape, data, encoding: 'base64', typed: true }
}

/**
 * Node decodes base64 leniently and stops at characters that it does not know. Only canonical text encodes back to
 * itself.
 */
function isSpelling(text: string, bytes: Buffer): boolean {
  const canonical = bytes.toString('base64')
  return text === canonical || text === canonical.replace(/=+$/, '')
}

function readShape(name: string, shape: Json, limits: DecodeLimits): readonly number[] {
  return checkShape(shape, limits, (code, detail) => problemAt(code, `/${name}/shape`, detail))
}

function checkDtype(name: string, dtype: Json): Dtype {
  const known = DTYPES.find((candidate) => candidate === dtype)
  if (known !== undefined) return known
  const guess = typeof dtype === 'string' ? didYouMean(dtype.slice(0, 20), DTYPES) : ''
  throw problemAt('dtype-unsupported', `/${name}/dtype`, `must be one of ${DTYPES.join(', ')}${guess}`)
}

function convertChecked(name: string, dtype: Dtype, numbers: Numbers): NumericArray {
  if (!numbers.areTruths || dtype === 'bool') return convert(name, dtype, numbers)
  throw problemAt(
    'invalid-value',
    pointerTo(name, numbers.shape, 0),
    `must be a number (${dtype}), got a boolean`,
  )
}

function convert(name: string, dtype: Dtype, numbers: Numbers): NumericArray {
  if (isInteger(dtype)) return asIntegers(name, dtype, numbers)
  return dtype === 'float64' ? numbers.data.slice() : asFloats(name, dtype, numbers)
}

function asIntegers(name: string, dtype: Dtype, { data, shape }: Numbers): Int32Array {
  const [low, high] = INTEGERS[dtype]!
  const wrong = data.findIndex((x) => !Number.isInteger(x) || x < low || x > high)
  if (wrong < 0) return Int32Array.from(data)
  const detail = `must be an integer from ${low} to ${high} (${dtype}), got ${data[wrong]}`
  throw problemAt('invalid-value', pointerTo(name, shape, wrong), detail)
}

function asFloats(name: string, dtype: Dtype, { data, shape }: Numbers): Float32Array {
  const floats = new Float32Array(data.length)
  for (let i = 0; i < data.length; i++) {
    floats[i] = roundTo(dtype, data[i])
    if (Number.isFinite(floats[i]) || !Number.isFinite(data[i])) continue
    throw problemAt('non-finite-input', pointerTo(name, shape, i), `does not fit ${dtype}`)
  }
  return floats
}
