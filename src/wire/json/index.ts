/** `application/json`: for people, and for trainers that have nothing else. Numbers never become JavaScript arrays. */
import { Problem } from '../../errors.ts'
import { OPTION_NAMES } from '../../schemas/request.ts'
import { type Decoded, type DecodedTensor, type DecodeLimits, defineFormat } from '../define.ts'
import { type Json, JsonReader } from './reader.ts'
import { checkShape, described, type Numbers, NumbersReader, spelledNumber, untyped } from './tensor.ts'
import { writeAnswer } from './writer.ts'

export default defineFormat({
  name: 'json',
  mediaTypes: ['application/json'],
  bodyLimit: 'json',
  decode,
  encode: writeAnswer,
})

function decode(bytes: Uint8Array, limits: DecodeLimits): Decoded {
  const reader = new JsonReader(bytes)
  const tensors = new Map<string, DecodedTensor>()
  const options = new Map<string, unknown>()
  if (reader.peek() !== 0x7b)
    reader.fail('an object, {"predictions": ..., "targets": ...}, without a byte order mark')
  reader.members((name) => {
    const read = OPTION_NAMES.has(name) ? reader.value() : readMember(reader, name, limits)
    if (isTensor(read)) tensors.set(name, read)
    else options.set(name, read)
  })
  reader.end()
  checkTotals(tensors, limits)
  return { tensors, options }
}

const isTensor = (read: Json | DecodedTensor): read is DecodedTensor =>
  typeof read === 'object' && read !== null && 'spelling' in read

function checkTotals(tensors: ReadonlyMap<string, DecodedTensor>, { maxElements, maxTensors }: DecodeLimits) {
  const elements = [...tensors.values()].reduce((total, { data }) => total + data.length, 0)
  if (elements > maxElements) {
    throw new Problem('payload-too-large', `the body holds ${elements} numbers, the limit is ${maxElements}`)
  }
  if (tensors.size > maxTensors) {
    throw new Problem(
      'payload-too-large',
      `the body holds ${tensors.size} tensors, the limit is ${maxTensors}`,
    )
  }
}

/** A member that is not an option: numbers in one of their spellings, or a plain value that the check will name. */
function readMember(reader: JsonReader, name: string, limits: DecodeLimits): Json | DecodedTensor {
  const first = reader.peek()
  if (first === 0x5b) return untyped(name, new NumbersReader(reader, `/${name}`, limits.maxElements).read())
  if (first === 0x7b) return readDescribed(reader, name, limits)
  const value = reader.value()
  const number = typeof value === 'string' ? spelledNumber(value) : value
  return typeof number === 'number' ? scalar(name, number) : value
}

function scalar(name: string, value: number): DecodedTensor {
  return untyped(name, { data: Float64Array.of(value), shape: [] })
}

function readDescribed(reader: JsonReader, name: string, limits: DecodeLimits): DecodedTensor {
  const read: { shape?: Json; dtype?: Json } = {}
  let data: Numbers | string | undefined
  reader.members((key) => {
    if (key === 'data') data = readData(reader, name, limits)
    else if (key === 'shape' || key === 'dtype') read[key] = reader.value()
    else throw new Problem('unknown-name', `/${name} has shape, dtype and data; found "${key.slice(0, 40)}"`)
  })
  if (read.shape !== undefined) checkShape(name, read.shape, limits)
  if (data === undefined) throw new Problem('missing-input', `/${name}/data is missing`)
  return described(name, { shape: read.shape, dtype: read.dtype, data }, limits)
}

function readData(reader: JsonReader, name: string, limits: DecodeLimits): Numbers | string {
  if (reader.peek() === 0x5b) return new NumbersReader(reader, `/${name}/data`, limits.maxElements).read()
  const value = reader.value()
  if (typeof value === 'string') return value
  if (typeof value === 'number') return { data: Float64Array.of(value), shape: [] }
  throw new Problem('invalid-value', `/${name}/data must be numbers or base64`)
}
