/**
 * Parses the numbers of one tensor in a JSON body: nested arrays go straight into one typed array, and their
 * nesting determines the shape. It knows no dtypes; tensor.ts interprets the numbers.
 */
import { Problem, pluralize, problemAt } from '../../errors.ts'
import { MAX_RANK } from '../define.ts'
import { type Json, type JsonReader, MAX_DEPTH } from './reader.ts'

const OPEN = 0x5b

/** Initial capacity, in numbers. */
const [SMALLEST, LARGEST_GUESS] = [64, 1024]

/** Non-finite numbers are strings in JSON. */
const SPELLED: ReadonlyMap<Json, number> = new Map([
  ['NaN', Number.NaN],
  ['Infinity', Number.POSITIVE_INFINITY],
  ['-Infinity', Number.NEGATIVE_INFINITY],
])

/** The numbers in order, and the shape that the nesting of the arrays determines. */
export interface Numbers {
  readonly data: Float64Array
  readonly shape: readonly number[]
  /** Whether they were written as true and false. */
  readonly areTruths?: boolean
}

/**
 * The number that a value stands for, if it is one of the three strings for numbers that JSON cannot represent.
 *
 * @example
 * parseNonFinite('-Infinity') // -Infinity
 * parseNonFinite('1') // undefined
 */
export function parseNonFinite(value: Json): number | undefined {
  return SPELLED.get(value)
}

/** The problem for a body with more numbers than the service accepts at once. */
export function tooManyNumbers(limit: number): Problem {
  const detail = `the body contains more than ${pluralize(limit, 'numbers')}; send application/x-safetensors, or smaller batches`
  return new Problem('payload-too-large', detail)
}

/**
 * Reads a number, or nested arrays with the same length at each level.
 *
 * @example
 * new NumbersReader(new JsonReader(Buffer.from('[[1,2],[3,4]]')), '/predictions', 100, false).read().shape // [2, 2]
 */
export class NumbersReader {
  readonly #reader: JsonReader
  readonly #pointer: string
  readonly #maxElements: number
  readonly #asFloats: boolean
  /** Whether the first element was true or false; then all elements must be. */
  #areTruths = false
  /** Offset at which the numbers begin. */
  readonly #start: number
  #data: Float64Array
  #count = 0
  /** Length at each level, known as soon as the first array of that level has ended. */
  readonly #shape: number[] = []
  /** The current index at each level, for pointers. */
  readonly #places: number[] = []
  /** The nesting level of the numbers, known from the first number on. */
  #leafLevel: number | undefined

  /** @param asFloats whether only the float32 of each number is needed, and integers beyond 2^24 exactly */
  constructor(reader: JsonReader, pointer: string, maxElements: number, asFloats: boolean) {
    this.#reader = reader
    this.#pointer = pointer
    this.#maxElements = maxElements
    this.#asFloats = asFloats
    this.#start = reader.offset
    // Enough for any short body with many digits. For a longer body, the first numbers allow an estimate of how
    // many there are.
    const guess = Math.min((reader.length - reader.offset) >> 3, LARGEST_GUESS, maxElements + 1)
    this.#data = new Float64Array(Math.max(guess, SMALLEST))
  }

  /**
   * @throws Problem `shape-mismatch` (ragged, or more than 8 axes), `invalid-value` (not a number),
   * `non-finite-input` (1e999), each with the pointer to the element; `payload-too-large`
   */
  read(): Numbers {
    if (this.#reader.peek() === OPEN) this.#array(0)
    else this.#push(this.#number(-1))
    return { data: this.#data.subarray(0, this.#count), shape: this.#shape, areTruths: this.#areTruths }
  }

  #array(level: number) {
    this.#checkRank(level)
    const reader = this.#reader
    reader.expect('[')
    let length = 0
    if (!reader.accept(']')) {
      do length += this.#run(level) || this.#rows(level) || this.#single(level, length)
      while (reader.accept(','))
      reader.close(']')
    }
    this.#checkLength(level, length)
  }

  /** Fast path: reads as many consecutive plain numbers as possible, at the level where numbers have been found. */
  #run(level: number): number {
    if (this.#leafLevel !== level || this.#areTruths) return 0
    const taken = this.#reader.numbers(this.#data, this.#count, this.#asFloats)
    this.#count += taken
    return taken
  }

  /** Fast path: reads as many consecutive plain rows as possible, after a first row has been read. */
  #rows(level: number): number {
    if (this.#leafLevel !== level + 1 || this.#areTruths) return 0
    const width = this.#shape[level + 1]
    const taken = this.#reader.rows(this.#data, this.#count, width, this.#asFloats)
    this.#count += taken * width
    return taken
  }

  /** One element of any kind. */
  #single(level: number, place: number): 1 {
    this.#places[level] = place
    if (this.#reader.peek() === OPEN) this.#inner(level)
    else this.#element(level)
    return 1
  }

  #inner(level: number) {
    if (this.#leafLevel === level) this.#fail('shape-mismatch', 'is a list among numbers', level)
    this.#reader.enter()
    this.#array(level + 1)
    this.#reader.leave()
  }

  #element(level: number) {
    const number = this.#number(level)
    this.#leafLevel ??= level
    if (this.#leafLevel !== level || this.#shape.length > level + 1) {
      this.#fail('shape-mismatch', 'is a number among lists', level)
    }
    this.#push(number)
  }

  #number(level: number): number {
    const reader = this.#reader
    if (reader.atNumber()) {
      if (this.#areTruths) this.#failMixed(level)
      const number = reader.number()
      if (!Number.isFinite(number)) this.#fail('non-finite-input', 'is too large even for float64', level)
      return number
    }
    const value = reader.value()
    if (typeof value === 'boolean') return this.#truth(value, level)
    if (this.#areTruths) this.#failMixed(level)
    return (
      parseNonFinite(value) ?? this.#fail('invalid-value', `must be a number, got ${typeName(value)}`, level)
    )
  }

  #truth(value: boolean, level: number): number {
    if (this.#count === 0 && level >= 0) this.#areTruths = true
    if (!this.#areTruths) this.#fail('invalid-value', 'must be a number, got a boolean', level)
    return Number(value)
  }

  /** Reports the first element, which is a boolean although others are not. */
  #failMixed(level: number): never {
    this.#places.fill(0)
    this.#fail('invalid-value', 'must be a number, got a boolean', level)
  }

  #push(number: number) {
    if (this.#count === this.#data.length) this.#grow()
    this.#data[this.#count++] = number
  }

  /** Grows to the size that the rest of the body needs if its numbers are as long as those before. */
  #grow() {
    const count = this.#count
    if (count > this.#maxElements) throw tooManyNumbers(this.#maxElements)
    const { offset, length } = this.#reader
    const expected = Math.ceil(((length - this.#start) / (offset - this.#start)) * count * 1.05)
    const room = Math.min(Math.max(expected, count * 2), Math.max(count, this.#maxElements) + 1)
    const wider = new Float64Array(room)
    wider.set(this.#data)
    this.#data = wider
  }

  #checkRank(level: number) {
    if (level < MAX_RANK) return
    // If it is nested deeper than any document may be, it is malformed instead of having the wrong shape.
    let depth = level
    while (this.#reader.accept('[')) {
      if (++depth >= MAX_DEPTH) this.#reader.fail(`nesting of at most ${MAX_DEPTH}`)
    }
    throw problemAt('shape-mismatch', this.#pointer, `has more than ${MAX_RANK} axes`)
  }

  #checkLength(level: number, length: number) {
    const expected = this.#shape[level]
    if (expected === undefined) this.#shape[level] = length
    else if (expected !== length) {
      const row = this.#places[level - 1]
      this.#fail(
        'shape-mismatch',
        `row ${row} has ${pluralize(length, 'elements')}, expected ${expected}`,
        level - 1,
      )
    }
  }

  #fail(code: 'shape-mismatch' | 'invalid-value' | 'non-finite-input', detail: string, level: number): never {
    throw problemAt(code, [this.#pointer, ...this.#places.slice(0, level + 1)].join('/'), detail)
  }
}

function typeName(value: Json): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'a list'
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`
}
