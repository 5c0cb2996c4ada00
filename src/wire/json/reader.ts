/**
 * A strict JSON reader over bytes (RFC 8259): it can give plain values, or be driven token by token so that numbers go
 * straight into typed arrays. Duplicate keys, prototype keys, deep nesting and invalid UTF-8 are errors here.
 */
import { Problem } from '../../errors.ts'

/** Nesting of arrays and objects that is read at all. */
export const MAX_DEPTH = 32

const QUOTE = 0x22
const BACKSLASH = 0x5c
const MINUS = 0x2d
const PLUS = 0x2b
const DOT = 0x2e
const ZERO = 0x30
const NINE = 0x39

/** Keys that would reach an object's prototype. */
const FORBIDDEN: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype'])

/** 10^0 .. 10^22: the powers of ten that a double holds exactly. */
const EXACT_POWERS = Float64Array.from({ length: 23 }, (_, n) => Number(`1e${n}`))

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json }

/**
 * Reads from the front; every method that reads throws Problem `malformed-json` (400) with the byte where it stopped.
 *
 * @example
 * new JsonReader(Buffer.from('{"delta": 2}')).value() // { delta: 2 }
 */
export class JsonReader {
  readonly #bytes: Uint8Array
  readonly #latin: Buffer
  /** The body as text, for numbers that need the platform's parser: slicing it is cheaper than decoding each one. */
  #text: string | undefined
  readonly #decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  #offset = 0
  #depth = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    this.#latin = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  /** @throws Problem `malformed-json` with the offset of the byte */
  fail(expected: string): never {
    const found = this.#offset < this.#bytes.length ? '' : ', found the end'
    throw new Problem('malformed-json', `at byte ${this.#offset}: expected ${expected}${found}`)
  }

  /** The next byte that is not blank, not yet taken; NaN at the end. */
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

  /** The end of a list or an object, of which another element could have followed. */
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

  /** Counts a level of nesting while `inner` reads it. */
  nested<T>(inner: () => T): T {
    if (++this.#depth > MAX_DEPTH) this.fail(`nesting of at most ${MAX_DEPTH}`)
    const result = inner()
    this.#depth--
    return result
  }

  /** Reads an object's members; `member` must read the value of its key. */
  members(member: (key: string) => void) {
    this.expect('{')
    if (this.accept('}')) return
    const seen = new Set<string>()
    do {
      if (!this.atString()) this.fail('a key in quotes')
      const key = this.string()
      if (FORBIDDEN.has(key)) this.fail('no key of that name')
      if (seen.has(key)) this.fail('each key only once')
      seen.add(key)
      this.expect(':')
      this.nested(() => member(key))
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
    do array.push(this.nested(() => this.value()))
    while (this.accept(','))
    this.close(']')
    return array
  }

  #word(): Json {
    for (const [word, value] of [
      ['true', true],
      ['false', false],
      ['null', null],
    ] as const) {
      if (this.#latin.toString('latin1', this.#offset, this.#offset + word.length) === word) {
        this.#offset += word.length
        return value
      }
    }
    return this.fail('a value')
  }

  string(): string {
    const start = this.#offset
    let end = start + 1
    while (this.#bytes[end] !== QUOTE) {
      if (end >= this.#bytes.length) this.fail('a closing quote')
      end += this.#bytes[end] === BACKSLASH ? 2 : 1
    }
    try {
      const text = JSON.parse(this.#decoder.decode(this.#bytes.subarray(start, end + 1))) as string
      this.#offset = end + 1
      return text
    } catch {
      return this.fail('a valid UTF-8 string')
    }
  }

  /**
   * A number, correctly rounded: a mantissa below 2^53 and a small power of ten are exact in doubles (Clinger 1990),
   * anything else goes through the platform's parser.
   */
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
    if (mantissa >= 2 ** 53 || exponent > 22 || exponent < -22) return this.#slowNumber(start)
    const magnitude = exponent < 0 ? mantissa / EXACT_POWERS[-exponent] : mantissa * EXACT_POWERS[exponent]
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

  #slowNumber(start: number): number {
    this.#text ??= this.#latin.toString('latin1')
    return Number(this.#text.slice(start, this.#offset))
  }

  #badNumber(at: number): never {
    this.#offset = at
    return this.fail('a number as JSON spells it')
  }
}
