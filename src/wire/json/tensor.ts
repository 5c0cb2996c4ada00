/** Reads one tensor of a JSON body: nested arrays, or an object with shape, dtype and data. */
import { Problem, problemAt } from '../../errors.ts'
import { didYouMean } from '../../language/nearest.ts'
import { DTYPES, type Dtype, isInteger, type NumericArray, sizeOf } from '../../schemas/tensor.ts'
import { BYTES, type DecodedTensor, type DecodeLimits } from '../define.ts'
import { readElements } from '../dtypes.ts'
import type { Json, JsonReader } from './reader.ts'

/** Axes of a tensor; the most that the engines know. */
export const MAX_RANK = 8
/** float32 holds every integer up to here. */
const MAX_EXACT = 2 ** 24

/** Non-finite numbers are strings in JSON. */
const SPELLED: Readonly<Record<string, number>> = {
  NaN: Number.NaN,
  Infinity: Number.POSITIVE_INFINITY,
  '-Infinity': Number.NEGATIVE_INFINITY,
}

/** Numbers in the order in which they stand, and the shape that their brackets make. */
export interface Numbers {
  readonly data: Float64Array
  readonly shape: readonly number[]
}

/** The number that a string spells, if it is one of the three that JSON has no literal for. */
export function spelledNumber(text: string): number | undefined {
  return Object.hasOwn(SPELLED, text) ? SPELLED[text] : undefined
}

/** Reads nested arrays of numbers straight into one typed array, finding the shape on the way. */
export class NumbersReader {
  readonly #reader: JsonReader
  readonly #pointer: string
  readonly #maxElements: number
  #data = new Float64Array(256)
  #count = 0
  /** Length at each level, known once the first array there has ended. */
  readonly #shape: number[] = []
  /** Where in the arrays the reader is, for pointers. */
  readonly #places: number[] = []
  /** Level at which the numbers stand, known from the first one. */
  #leafLevel: number | undefined

  constructor(reader: JsonReader, pointer: string, maxElements: number) {
    this.#reader = reader
    this.#pointer = pointer
    this.#maxElements = maxElements
  }

  /**
   * @throws Problem `shape-mismatch` (ragged), `invalid-value` (not a number), `non-finite-input` (1e999), each with
   * the pointer to the element
   */
  read(): Numbers {
    this.#array(0)
    return { data: this.#data.subarray(0, this.#count), shape: this.#shape }
  }

  #array(level: number) {
    this.#checkLevel(level)
    const reader = this.#reader
    reader.expect('[')
    let length = 0
    if (!reader.accept(']')) {
      do {
        this.#places[level] = length
        this.#element(level)
        length++
      } while (reader.accept(','))
      reader.expect(']')
    }
    this.#checkLength(level, length)
  }

  #element(level: number) {
    if (this.#reader.peek() === 0x5b) {
      if (level + 1 > (this.#leafLevel ?? level + 1))
        this.#fail('shape-mismatch', 'is a list beside numbers', level)
      this.#reader.nested(() => this.#array(level + 1))
      return
    }
    const number = this.#number(level)
    this.#leafLevel ??= level
    if (this.#leafLevel !== level || this.#shape.length > level + 1) {
      this.#fail('shape-mismatch', 'is a number beside lists', level)
    }
    this.#push(number)
  }

  #number(level: number): number {
    const reader = this.#reader
    if (reader.atNumber()) {
      const number = reader.number()
      if (!Number.isFinite(number)) this.#fail('non-finite-input', 'is too large for any float', level)
      return number
    }
    const value = reader.value()
    const spelled = typeof value === 'string' ? spelledNumber(value) : undefined
    return spelled ?? this.#fail('invalid-value', `must be a number, got ${typeName(value)}`, level)
  }

  #push(number: number) {
    if (this.#count === this.#data.length) {
      if (this.#count >= this.#maxElements) throw tooMany(this.#maxElements)
      const wider = new Float64Array(this.#count * 2)
      wider.set(this.#data)
      this.#data = wider
    }
    this.#data[this.#count++] = number
  }

  #checkLevel(level: number) {
    if (level < MAX_RANK) return
    // Deeper than any document may be, it is malformed; the reader's own limit says so.
    let deeper = level
    while (this.#reader.accept('[')) if (++deeper > 32) this.#reader.fail('nesting of at most 32')
    throw problemAt('shape-mismatch', this.#pointer, `has more than ${MAX_RANK} axes`)
  }

  #checkLength(level: number, length: number) {
    const known = this.#shape[level]
    if (known === undefined) this.#shape[level] = length
    else if (known !== length)
      this.#fail('shape-mismatch', `has ${length} elements, its neighbours have ${known}`, level - 1)
  }

  #fail(code: 'shape-mismatch' | 'invalid-value' | 'non-finite-input', detail: string, level: number): never {
    throw problemAt(code, [this.#pointer, ...this.#places.slice(0, level + 1)].join('/'), detail)
  }
}

function tooMany(limit: number): Problem {
  const detail = `the body holds more than ${limit} numbers; send application/x-safetensors, or smaller batches`
  return new Problem('payload-too-large', detail)
}

/** A bare array or number: float32, unless it holds whole numbers that float32 would blur. */
export function untyped(name: string, { data, shape }: Numbers): DecodedTensor {
  const keepsDouble = data.some(
    (x) => Number.isInteger(x) && Math.abs(x) > MAX_EXACT && Math.abs(x) <= 2 ** 53,
  )
  const tooLarge = data.findIndex((x) => Number.isFinite(x) && !Number.isFinite(Math.fround(x)))
  if (tooLarge >= 0) {
    const detail = `element ${tooLarge} does not fit float32; send {"shape": ..., "dtype": "float64", "data": ...}`
    throw problemAt('non-finite-input', `/${name}`, detail)
  }
  const numbers = keepsDouble ? data.slice() : Float32Array.from(data)
  return { dtype: 'float32', shape, data: numbers, spelling: 'nested', typed: false }
}

/** The members of `{shape, dtype, data}` as they were read. */
export interface Described {
  readonly shape: Json | undefined
  readonly dtype: Json | undefined
  readonly data: Numbers | string
}

/** @throws Problem 422 when the description does not fit the data */
export function described(
  name: string,
  { shape, dtype, data }: Described,
  limits: DecodeLimits,
): DecodedTensor {
  const given = shape === undefined ? undefined : checkShape(name, shape, limits)
  const type = dtype === undefined ? undefined : checkDtype(name, dtype)
  if (typeof data === 'string') return fromBase64(name, data, given, type)
  const count = data.data.length
  if (given !== undefined && sizeOf(given) !== count) {
    throw problemAt(
      'shape-mismatch',
      `/${name}/data`,
      `has ${count} elements, its shape [${given}] has ${sizeOf(given)}`,
    )
  }
  const found = { data: data.data, shape: given ?? data.shape }
  if (type === undefined) return { ...untyped(name, found), spelling: 'flat' }
  return {
    dtype: type,
    shape: found.shape,
    data: convert(name, type, data.data),
    spelling: 'flat',
    typed: true,
  }
}

function fromBase64(
  name: string,
  text: string,
  shape: number[] | undefined,
  dtype: Dtype | undefined,
): DecodedTensor {
  if (shape === undefined || dtype === undefined) {
    throw problemAt('missing-input', `/${name}`, 'base64 data needs its shape and its dtype')
  }
  const bytes = Buffer.from(text, 'base64')
  if (bytes.toString('base64').replace(/=+$/, '') !== text.replace(/=+$/, '')) {
    throw problemAt('invalid-value', `/${name}/data`, 'must be base64, or numbers in an array')
  }
  const expected = sizeOf(shape) * BYTES[dtype]
  if (bytes.length !== expected) {
    throw problemAt(
      'shape-mismatch',
      `/${name}/data`,
      `has ${bytes.length} bytes; ${dtype} [${shape}] needs ${expected}`,
    )
  }
  return { dtype, shape, data: readElements(dtype, bytes, sizeOf(shape)), spelling: 'base64', typed: true }
}

/** A shape is a list of whole numbers; products are compared, never wrapped around. */
export function checkShape(name: string, shape: Json, limits: DecodeLimits): number[] {
  const isLength = (size: Json) => Number.isSafeInteger(size) && (size as number) >= 0 && !Object.is(size, -0)
  if (!Array.isArray(shape) || !shape.every(isLength)) {
    throw problemAt('shape-mismatch', `/${name}/shape`, 'must be a list of whole numbers >= 0')
  }
  const sizes = shape as number[]
  if (sizes.length > MAX_RANK)
    throw problemAt('shape-mismatch', `/${name}/shape`, `has more than ${MAX_RANK} axes`)
  if (sizeOf(sizes) > limits.maxElements) {
    throw problemAt(
      'shape-overflow',
      `/${name}/shape`,
      `has ${sizeOf(sizes)} elements, the limit is ${limits.maxElements}`,
    )
  }
  return sizes
}

function checkDtype(name: string, dtype: Json): Dtype {
  const known = DTYPES.find((candidate) => candidate === dtype)
  if (known !== undefined) return known
  const guess = typeof dtype === 'string' ? didYouMean(dtype, DTYPES) : ''
  throw problemAt('dtype-unsupported', `/${name}/dtype`, `must be one of ${DTYPES.join(', ')}${guess}`)
}

function convert(name: string, dtype: Dtype, data: Float64Array): NumericArray {
  if (dtype === 'float64') return data.slice()
  if (!isInteger(dtype)) return Float32Array.from(data)
  const [low, high] = dtype === 'bool' ? [0, 1] : dtype === 'uint8' ? [0, 255] : [-(2 ** 31), 2 ** 31 - 1]
  const wrong = data.findIndex((x) => !Number.isInteger(x) || x < low || x > high)
  if (wrong >= 0) {
    throw problemAt(
      'invalid-value',
      `/${name}/data/${wrong}`,
      `must be a whole number from ${low} to ${high} (${dtype})`,
    )
  }
  return Int32Array.from(data)
}

function typeName(value: Json): string {
  if (value === null) return 'null'
  return Array.isArray(value) ? 'a list' : typeof value === 'object' ? 'an object' : `a ${typeof value}`
}
