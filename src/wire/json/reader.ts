/**
 * A strict JSON parser over bytes (RFC 8259). It returns plain values, or works as a pull parser, so that numbers
 * go straight into typed arrays. Its fast path reads four digits at once (SIMD within a register). Duplicate keys,
 * prototype keys, deep nesting and invalid UTF-8 are errors.
 */
import { Problem } from '../../errors.ts'
import { divideDoubleDouble } from './double-double.ts'

/** Maximum nesting depth of arrays and objects. */
export const MAX_DEPTH = 32

const QUOTE = 0x22
const BACKSLASH = 0x5c
const MINUS = 0x2d
const PLUS = 0x2b
const DOT = 0x2e
const ZERO = 0x30
const NINE = 0x39
const BLANK = 0x20
const COMMA = 0x2c
const OPEN = 0x5b
const CLOSE = 0x5d

/** Maximum number of digits before and after the point on the fast path, which reads four digits at once. */
const [MAX_WHOLE, MAX_FRACTION] = [16, 24]
/**
 * The fast path reads ahead without checking for the end, so it stops this many bytes before it: a sign, a point,
 * and up to four bytes too many.
 */
const ROOM_FOR_NUMBER = MAX_WHOLE + MAX_FRACTION + 8
const FOUR_ZEROS = 0x30303030

/** Upper bound of the relative error of a number from the fast path: 16 roundings, with some reserve. */
const DOUBT = 2 ** -46
/** Shifts the 17 digits of the smallest float32 behind the point. */
const MAX_POWER = 62

/** Keys that would reach an object's prototype. */
const FORBIDDEN: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype'])

/** 10^0 .. 10^22: the powers of ten that a double represents exactly. */
const EXACT_POWERS = Float64Array.from({ length: 23 }, (_, n) => Number(`1e${n}`))
/** The doubles closest to these powers of ten. */
const POWERS = Float64Array.from({ length: MAX_POWER + 1 }, (_, n) => Number(`1e${n}`))

/** Words of Python and other languages, in lower case -> how JSON writes them here. */
const SPELLINGS: ReadonlyMap<string, string> = new Map([
  ['nan', '"NaN", in quotes'],
  ...['inf', '+inf', 'infinity', '+infinity'].map((word) => [word, '"Infinity", in quotes'] as const),
  ...['-inf', '-infinity'].map((word) => [word, '"-Infinity", in quotes'] as const),
  ['true', 'true'],
  ['false', 'false'],
  ['none', 'null'],
  ['null', 'null'],
])

/** Stateless: it keeps nothing from one text to the next. */
const DECODER = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json }

/**
 * Reads from front to back. Every reading method throws Problem `malformed-json` (400) with the offset at which it
 * stopped.
 *
 * @example
 * new JsonReader(Buffer.from('{"delta": 2}')).value() // { delta: 2 }
 */
export class JsonReader {
  /** Always a Buffer, because code that sees a single array class is faster. */
  readonly #bytes: Buffer
  readonly #view: DataView
  /**
   * The body as text, for numbers that need the platform's parser: slicing it is cheaper than decoding each number.
   */
  #text: string | undefined
  #offset = 0
  #depth = 0

  constructor(bytes: Uint8Array) {
    const { buffer, byteOffset, byteLength } = bytes
    this.#bytes = Buffer.isBuffer(bytes) ? bytes : Buffer.from(buffer, byteOffset, byteLength)
    this.#view = new DataView(buffer, byteOffset, byteLength)
  }

  /** Bytes consumed so far, and total bytes. */
  get offset(): number {
    return this.#offset
  }
  get length(): number {
    return this.#bytes.length
  }

  /** Returns to an earlier offset, in order to read a value again. */
  goBack(offset: number) {
    this.#offset = offset
  }

  /** Whether the remaining bytes begin with these. */
  startsWith(bytes: Uint8Array): boolean {
    const end = this.#offset + bytes.length
    return end <= this.#bytes.length && Buffer.compare(this.#bytes.subarray(this.#offset, end), bytes) === 0
  }

  /** A copy of the bytes from an earlier offset up to the current one. */
  copyFrom(offset: number): Uint8Array {
    return Uint8Array.from(this.#bytes.subarray(offset, this.#offset))
  }

  /** @throws Problem `malformed-json` with the offset of the byte */
  fail(expected: string): never {
    const found = this.#offset < this.#bytes.length ? '' : ', found the end of the body'
    throw new Problem('malformed-json', `at byte ${this.#offset}: expected ${expected}${found}`)
  }

  /** The next byte that is not whitespace, without consuming it; NaN at the end. */
  peek(): number {
    const bytes = this.#bytes
    for (;;) {
      const byte = bytes[this.#offset]
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return byte ?? Number.NaN
      this.#offset++
    }
  }

  accept(character: string): boolean {
    if (this.peek() !== character.charCodeAt(0)) return false
    this.#offset++
    return true
  }

  expect(character: string) {
    if (!this.accept(character)) this.fail(character)
  }

  /** The end of a list or an object, where another element could also have followed. */
  close(character: string) {
    if (!this.accept(character)) this.fail(`, or ${character}`)
  }

  atString(): boolean {
    return this.peek() === QUOTE
  }

  atNumber(): boolean {
    const byte = this.peek()
    return byte === MINUS || (byte >= ZERO && byte <= NINE)
  }

  end() {
    if (!Number.isNaN(this.peek())) this.fail('nothing after the value')
  }

  /** Counts one nesting level, until `leave`. */
  enter() {
    if (++this.#depth > MAX_DEPTH) this.fail(`nesting of at most ${MAX_DEPTH}`)
  }

  leave() {
    this.#depth--
  }

  /** Reads the members of an object. `member` must read the value of its key. */
  members(member: (key: string) => void) {
    this.expect('{')
    if (this.accept('}')) return
    const seen = new Set<string>()
    do {
      if (!this.atString()) this.fail('a key in quotes')
      const key = this.string()
      if (FORBIDDEN.has(key)) this.fail('a key other than __proto__, constructor and prototype')
      if (seen.has(key)) this.fail('each key to occur only once')
      seen.add(key)
      this.expect(':')
      this.enter()
      member(key)
      this.leave()
    } while (this.accept(','))
    this.close('}')
  }

  value(): Json {
    const byte = this.peek()
    if (byte === QUOTE) return this.string()
    if (byte === 0x7b) return this.#object()
    if (byte === 0x5b) return this.#array()
    if (this.atNumber()) return this.number()
    return this.#word()
  }

  #object(): Json {
    const object: { [key: string]: Json } = {}
    this.members((key) => {
      object[key] = this.value()
    })
    return object
  }

  #array(): Json {
    const array: Json[] = []
    this.expect('[')
    if (this.accept(']')) return array
    do {
      this.enter()
      array.push(this.value())
      this.leave()
    } while (this.accept(','))
    this.close(']')
    return array
  }

  #word(): Json {
    for (const [word, value] of [
      ['true', true],
      ['false', false],
      ['null', null],
    ] as const) {
      if (this.#bytes.toString('latin1', this.#offset, this.#offset + word.length) === word) {
        this.#offset += word.length
        return value
      }
    }
    return this.fail(this.#hint() ?? 'a value')
  }

  string(): string {
    const bytes = this.#bytes
    const start = this.#offset
    let end = start + 1
    let isPlain = true
    while (bytes[end] !== QUOTE) {
      if (end >= bytes.length) this.fail('a closing quote')
      const byte = bytes[end]
      if (byte < BLANK || byte === BACKSLASH || byte >= 0x7f) isPlain = false
      end += byte === BACKSLASH ? 2 : 1
    }
    const text = isPlain ? bytes.toString('latin1', start + 1, end) : this.#spelledText(start, end + 1)
    this.#offset = end + 1
    return text
  }

  /** A string with escapes or non-ASCII characters, including the quotes. */
  #spelledText(start: number, end: number): string {
    try {
      return JSON.parse(DECODER.decode(this.#bytes.subarray(start, end))) as string
    } catch {
      return this.fail('a valid UTF-8 string')
    }
  }

  /** A number, correctly rounded. */
  number(): number {
    const bytes = this.#bytes
    const start = this.#offset
    const negative = bytes[start] === MINUS
    let at = negative ? start + 1 : start
    let mantissa = 0
    const digitsFrom = at
    while (bytes[at] >= ZERO && bytes[at] <= NINE) mantissa = mantissa * 10 + (bytes[at++] - ZERO)
    if (at === digitsFrom || (at > digitsFrom + 1 && bytes[digitsFrom] === ZERO)) this.#badNumber(at)
    let exponent = 0
    if (bytes[at] === DOT) {
      const from = ++at
      while (bytes[at] >= ZERO && bytes[at] <= NINE) mantissa = mantissa * 10 + (bytes[at++] - ZERO)
      exponent = from - at
      if (exponent === 0) this.#badNumber(at)
    }
    this.#offset = at
    if (bytes[at] === 0x65 || bytes[at] === 0x45) exponent += this.#exponent()
    const magnitude = this.#rounded(mantissa, exponent, digitsFrom, this.#offset)
    return negative ? -magnitude : magnitude
  }

  #exponent(): number {
    const bytes = this.#bytes
    let at = this.#offset + 1
    const negative = bytes[at] === MINUS
    if (negative || bytes[at] === PLUS) at++
    const from = at
    let written = 0
    while (bytes[at] >= ZERO && bytes[at] <= NINE) written = written * 10 + (bytes[at++] - ZERO)
    if (at === from) this.#badNumber(at)
    this.#offset = at
    return negative ? -written : written
  }

  /**
   * The fast path for rows of the same width: reads rows and the commas between them as long as they are plain.
   *
   * @returns the number of rows that were read
   */
  rows(target: Float64Array, index: number, width: number, asFloats = false): number {
    let rows = 0
    let end = this.#offset
    while (this.#row(target, index + rows * width, width, asFloats)) {
      rows++
      end = this.#offset
      if (this.#bytes[end] !== COMMA) break
      this.#offset += this.#bytes[end + 1] === BLANK ? 2 : 1
    }
    this.#offset = end
    return rows
  }

  #row(target: Float64Array, index: number, width: number, asFloats: boolean): boolean {
    if (this.#bytes[this.#offset] !== OPEN) return false
    this.#offset++
    if (this.numbers(target, index, asFloats) !== width || this.#bytes[this.#offset] !== CLOSE) return false
    this.#offset++
    return true
  }

  /**
   * The fast path for one row: reads numbers and the commas between them into `target` from `index` on, as long as
   * they are written the way programs print them, and stops after the last one.
   *
   * @returns the number of numbers that were read
   */
  numbers(target: Float64Array, index: number, asFloats = false): number {
    const bytes = this.#bytes
    const view = this.#view
    const lastStart = bytes.length - ROOM_FOR_NUMBER
    let next = index
    let end = this.#offset
    let at = end
    while (at <= lastStart && next < target.length) {
      // Signs are hard to predict, so there is no branch for them: -1 for a minus, 0 for a digit.
      const sign = (bytes[at] - DOT) >> 31
      if ((sign & (bytes[at] ^ MINUS)) !== 0) break
      at -= sign
      const first = at
      let mantissa = 0
      while (isDigit(bytes[at]) && at < first + MAX_WHOLE) mantissa = mantissa * 10 + (bytes[at++] - ZERO)
      if (at === first || (bytes[first] === ZERO && at > first + 1)) break
      let exponent = 0
      if (bytes[at] === DOT) {
        const point = ++at
        let digits: number
        do {
          const four = view.getUint32(at, true) ^ FOUR_ZEROS
          digits = digitsIn(four)
          mantissa = mantissa * EXACT_POWERS[digits] + fourDigits(four, digits)
          at += digits
        } while (digits === 4 && at < point + MAX_FRACTION)
        exponent = point - at
        if (exponent === 0) break
      }
      if (bytes[at] === 0x65 || bytes[at] === 0x45) {
        this.#offset = at
        exponent += this.#exponent()
        at = this.#offset
      }
      if (bytes[at] !== COMMA && bytes[at] !== CLOSE) break
      const magnitude =
        asFloats && (mantissa >= 2 ** 53 || exponent < -22)
          ? this.#roundedToFloat(mantissa, exponent, first, at)
          : this.#rounded(mantissa, exponent, first, at)
      if (magnitude === Number.POSITIVE_INFINITY) break
      target[next++] = magnitude * (1 + 2 * sign)
      end = at
      if (bytes[at] === CLOSE) break
      at += bytes[at + 1] === BLANK ? 2 : 1
    }
    this.#offset = end
    return next - index
  }

  /**
   * mantissa x 10^exponent, as written from `start` to `end`. A mantissa below 2^53 and a small power of ten are
   * exact in doubles (Clinger 1990).
   */
  #rounded(mantissa: number, exponent: number, start: number, end: number): number {
    if (mantissa >= 2 ** 53 || exponent > 22 || exponent < -22) return this.#slowNumber(start, end, exponent)
    return exponent < 0 ? mantissa / EXACT_POWERS[-exponent] : mantissa * EXACT_POWERS[exponent]
  }

  /**
   * The float32 nearest to its nearest double, if a mantissa that was rounded up to 14 times can decide that, and
   * if it is small enough not to be a large label.
   */
  #roundedToFloat(mantissa: number, exponent: number, start: number, end: number): number {
    if (exponent <= 0 && exponent >= -MAX_POWER) {
      const value = mantissa / POWERS[-exponent]
      const float = Math.fround(value * (1 - DOUBT))
      if (float === Math.fround(value * (1 + DOUBT)) && float <= 2 ** 24) return float
    }
    return this.#slowNumber(start, end, exponent)
  }

  /** Long numbers are divided as a pair of doubles. All others go through the platform's parser. */
  #slowNumber(start: number, end: number, exponent: number): number {
    if (exponent <= 0 && exponent >= -22) {
      const number = this.#longNumber(start, end, EXACT_POWERS[-exponent])
      if (number !== undefined) return number
    }
    this.#text ??= this.#bytes.toString('latin1')
    return Number(this.#text.slice(start, end))
  }

  /**
   * More than 15 digits, read as two integers. Numbers with too many digits for that are left to the platform's
   * parser.
   */
  #longNumber(start: number, end: number, divisor: number): number | undefined {
    const bytes = this.#bytes
    if (end + 4 > bytes.length) return undefined
    let high = 0
    let at = start
    for (; isDigit(bytes[at]) && high < 1e11; at++) high = high * 10 + (bytes[at] - ZERO)
    if (bytes[at] === DOT) at++
    let low = 0
    let scale = 1
    for (let digits = 4; digits === 4; at += digits) {
      const four = this.#view.getUint32(at, true) ^ FOUR_ZEROS
      digits = digitsIn(four)
      const power = EXACT_POWERS[digits]
      if (high < 1e11) {
        high = high * power + fourDigits(four, digits)
      } else {
        low = low * power + fourDigits(four, digits)
        scale *= power
      }
    }
    return scale > 1e8 || bytes[at] === DOT ? undefined : divideDoubleDouble(high, scale, low, divisor)
  }

  #badNumber(at: number): never {
    const expected = this.#hint() ?? 'a valid JSON number'
    this.#offset = at
    return this.fail(expected)
  }

  /** How JSON writes a word of another language. */
  #hint(): string | undefined {
    const word = /^[-+]?[A-Za-z]+/.exec(this.#bytes.toString('latin1', this.#offset, this.#offset + 16))?.[0]
    const encoding = word === undefined ? undefined : SPELLINGS.get(word.toLowerCase())
    return encoding && `${encoding}, got ${word}`
  }
}

function isDigit(byte: number): boolean {
  return (byte - ZERO) >>> 0 <= 9
}

/** How many of four bytes are digits before the first one that is not. The first byte is the lowest. */
function digitsIn(four: number): number {
  const others = ((four + 0x76767676) | four) & 0x80808080
  return others === 0 ? 4 : (31 - Math.clz32(others & -others)) >>> 3
}

/** The number that the first `count` of four bytes spell. The others are replaced by leading zeros. */
function fourDigits(four: number, count: number): number {
  const aligned = count === 4 ? four : (four << (24 - 8 * count)) << 8
  const pairs = (aligned * 10 + (aligned >>> 8)) & 0x00ff00ff
  return (pairs & 0xff) * 100 + (pairs >>> 16)
}
