/**
 * `application/json`: for people, and for clients that have nothing else. Numbers are parsed straight into typed
 * arrays and never become JavaScript arrays.
 */
import { Problem, pluralize, pointerToken, problemAt } from '../../errors.ts'
import {
  type Decoded,
  type DecodedTensor,
  type DecodeLimits,
  defineFormat,
  isNonTensorMember,
  NON_TENSOR_MEMBERS,
} from '../define.ts'
import { type Numbers, NumbersReader, parseNonFinite, tooManyNumbers } from './numbers.ts'
import { parseCached } from './parse-cache.ts'
import { type Json, JsonReader } from './reader.ts'
import { internSignature } from './request-signature.ts'
import { tensorFromArray, tensorFromObject } from './tensor.ts'
import { writeAnswer } from './writer.ts'

const OPEN_LIST = 0x5b
const OPEN_OBJECT = 0x7b
const BLANK = 0x20
const BYTE_ORDER_MARK = 0xef

export default defineFormat({
  name: 'json',
  title: 'JSON',
  mediaTypes: ['application/json'],
  rank: 0,
  bodyLimit: 'json',
  compresses: true,
  layout: { shape: 'object', tensors: 'top-level members', options: 'top-level members' },
  recognizes,
  decode,
  encode: (answer) => [writeAnswer(answer)],
})

function decode(bytes: Uint8Array, limits: DecodeLimits): Decoded {
  const reader = new JsonReader(bytes)
  if (bytes[0] === BYTE_ORDER_MARK) reader.fail('an object in UTF-8 without a byte order mark')
  if (reader.peek() !== OPEN_OBJECT) reader.fail('an object, {"predictions": ..., "targets": ...}')
  const body = new Body(reader, limits)
  reader.members((name) => body.member(name))
  reader.end()
  return finished(body)
}

/** An opening brace. JSON never contains a zero byte; the length that a binary file begins with does. */
function recognizes(bytes: Uint8Array): boolean {
  return bytes.find((byte) => byte > BLANK) === OPEN_OBJECT && !bytes.subarray(0, 8).includes(0)
}

function finished({ tensors, options }: Body): Decoded {
  const structure = internSignature(tensors, options)
  return { tensors, options, ...(structure === undefined ? {} : { structure }) }
}

/** A body while it is parsed. Every limit is checked before more is accepted. */
class Body {
  readonly tensors = new Map<string, DecodedTensor>()
  readonly options = new Map<string, unknown>()
  readonly #reader: JsonReader
  readonly #limits: DecodeLimits
  #elements = 0

  constructor(reader: JsonReader, limits: DecodeLimits) {
    this.#reader = reader
    this.#limits = limits
  }

  member(name: string) {
    if (name === 'definition') this.options.set(name, parseCached(this.#reader))
    else if (isNonTensorMember(name)) this.options.set(name, this.#reader.value())
    else this.#unlisted(name)
  }

  /** Numbers in one of their notations, or a plain value that the validation will reject by name. */
  #unlisted(name: string) {
    this.#checkCount()
    const read = this.#tensorOrValue(pointerToken(name))
    if ('value' in read) {
      this.options.set(name, read.value)
      return
    }
    this.#elements += read.tensor.data.length
    if (this.#elements > this.#limits.maxElements) throw tooManyNumbers(this.#limits.maxElements)
    this.tensors.set(name, read.tensor)
  }

  #checkCount() {
    const { maxTensors } = this.#limits
    if (this.tensors.size < maxTensors && this.options.size < maxTensors + NON_TENSOR_MEMBERS.length) return
    throw new Problem('payload-too-large', `the body contains more than ${pluralize(maxTensors, 'tensors')}`)
  }

  #tensorOrValue(name: string): { tensor: DecodedTensor } | { value: Json } {
    const reader = this.#reader
    const first = reader.peek()
    if (first === OPEN_OBJECT) return this.#object(name)
    if (first === OPEN_LIST || reader.atNumber()) return { tensor: this.#bare(name) }
    const value = reader.value()
    const number = parseNonFinite(value)
    return number === undefined ? { value } : { tensor: tensorFromArray(name, alone(number)) }
  }

  /**
   * Parses as float32 first, so that nobody computes more digits than needed. If labels keep the data in double,
   * parses it again with all digits.
   */
  #bare(name: string): DecodedTensor {
    const { offset } = this.#reader
    const tensor = tensorFromArray(name, this.#numbers(name, true))
    if (!(tensor.data instanceof Float64Array)) return tensor
    this.#reader.goBack(offset)
    return tensorFromArray(name, this.#numbers(name, false))
  }

  #object(name: string): { tensor: DecodedTensor } | { value: Json } {
    const read: { data?: Numbers | string } = {}
    const others: { [key: string]: Json } = {}
    this.#reader.members((key) => {
      if (key === 'data') read.data = this.#data(name)
      else others[key] = this.#reader.value()
    })
    const { shape, dtype, ...unknown } = others
    const extra = Object.keys(unknown)[0]
    if (read.data === undefined) {
      if (extra !== undefined || Object.keys(others).length === 0) return { value: others }
      throw problemAt('missing-input', `/${name}/data`, 'is missing')
    }
    if (extra !== undefined) {
      throw problemAt(
        'unknown-name',
        `/${name}/${pointerToken(extra)}`,
        'a tensor has only the members shape, dtype and data',
      )
    }
    return { tensor: tensorFromObject(name, { shape, dtype, data: read.data }, this.#limits) }
  }

  #data(name: string): Numbers | string {
    const reader = this.#reader
    return reader.atString() ? reader.string() : this.#numbers(`${name}/data`, false)
  }

  #numbers(name: string, asFloats: boolean): Numbers {
    return new NumbersReader(this.#reader, `/${name}`, this.#limits.maxElements, asFloats).read()
  }
}

function alone(number: number): Numbers {
  return { data: Float64Array.of(number), shape: [] }
}
