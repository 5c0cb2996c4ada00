/**
 * `application/x-safetensors`: the tensors as bytes, everything else as JSON strings in `__metadata__`. Read by the rules
 * of the reference reader (safetensors/src/tensor.rs): every byte belongs to exactly one tensor.
 */
import { Problem, pointerToken, problemAt } from '../errors.ts'
import { type Dtype, sizeOf } from '../schemas/tensor.ts'
import {
  type Answer,
  BYTES,
  type Decoded,
  type DecodedTensor,
  type DecodeLimits,
  defineFormat,
} from './define.ts'
import { readElements, writeElements } from './dtypes.ts'
import { type Json, JsonReader } from './json/reader.ts'
import { spellMember } from './json/writer.ts'
import { checkShape, isShape } from './shape.ts'

export default defineFormat({
  name: 'safetensors',
  mediaTypes: ['application/x-safetensors', 'application/vnd.safetensors'],
  bodyLimit: 'binary',
  decode,
  encode,
})

/** The reference allows 100 MB; a request's header is small. */
const MAX_HEADER = 64 * 1024

const DTYPE_OF: ReadonlyMap<string, Dtype> = new Map([
  ['F32', 'float32'],
  ['F64', 'float64'],
  ['F16', 'float16'],
  ['BF16', 'bfloat16'],
  ['I64', 'int64'],
  ['I32', 'int32'],
  ['U8', 'uint8'],
  ['BOOL', 'bool'],
])
const NAME_OF: ReadonlyMap<Dtype, string> = new Map([...DTYPE_OF].map(([name, dtype]) => [dtype, name]))

/** Options that are a single word; their quotes may be left out. */
const WORDS: ReadonlySet<string> = new Set(['reduction', 'nonfinite', 'gradient_dtype'])

const malformed = (detail: string) => new Problem('malformed-safetensors', detail)

function decode(bytes: Uint8Array, limits: DecodeLimits): Decoded {
  const { header, data } = splitBody(bytes)
  const { __metadata__: metadata, ...rest } = header
  const entries = Object.entries(rest).map(([name, entry]) => readEntry(name, entry, limits))
  checkTotals(entries, limits)
  checkCoverage(entries, data.length)
  const tensors = new Map(entries.map((entry) => [entry.name, readTensor(entry, data)]))
  const options = readMetadata(metadata)
  const twice = [...options.keys()].find((name) => tensors.has(name))
  if (twice !== undefined) throw malformed(`${quote(twice)} is a tensor and stands in __metadata__ too`)
  return { tensors, options }
}

/** Elements are counted as they lie in memory: a body of bools grows fourfold. */
function checkTotals(entries: readonly Entry[], { maxTensors, maxElements }: DecodeLimits) {
  if (entries.length > maxTensors) {
    const detail = `the body holds ${entries.length} tensors, the limit is ${maxTensors}`
    throw new Problem('payload-too-large', detail)
  }
  const total = entries.reduce((sum, { shape }) => sum + sizeOf(shape), 0)
  if (total > maxElements) {
    throw new Problem('payload-too-large', `the body holds ${total} numbers, the limit is ${maxElements}`)
  }
}

function splitBody(bytes: Uint8Array): { header: { [name: string]: Json }; data: Uint8Array } {
  if (bytes.length < 8) throw malformed(`a body needs at least 8 bytes, got ${bytes.length}`)
  const length = new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true)
  if (length > BigInt(MAX_HEADER))
    throw malformed(`the header claims ${length} bytes, the limit is ${MAX_HEADER}`)
  const end = 8 + Number(length)
  if (end > bytes.length)
    throw malformed(`the header claims ${length} bytes, only ${bytes.length - 8} follow`)
  return { header: parseHeader(bytes.subarray(8, end)), data: bytes.subarray(end) }
}

function parseHeader(text: Uint8Array): { [name: string]: Json } {
  if (text[0] !== 0x7b) throw malformed('the header must start with {')
  const parsed = parse(text, 'the header')
  return parsed as { [name: string]: Json }
}

/** JSON by the strict reader, its complaint put in our words. */
function parse(text: Uint8Array, what: string): Json {
  const reader = new JsonReader(text)
  try {
    const value = reader.value()
    reader.end()
    return value
  } catch (error) {
    if (error instanceof Problem) throw malformed(`${what}: ${error.message}`)
    throw error
  }
}

interface Entry {
  readonly name: string
  readonly dtype: Dtype
  readonly shape: readonly number[]
  readonly begin: number
  readonly end: number
}

function readEntry(name: string, entry: Json, limits: DecodeLimits): Entry {
  const isObject = typeof entry === 'object' && entry !== null && !Array.isArray(entry)
  if (!isObject) throw malformed(`${quote(name)} must be an object`)
  const extra = Object.keys(entry).find((key) => !['dtype', 'shape', 'data_offsets'].includes(key))
  if (extra !== undefined) throw malformed(`${quote(name)} has an unknown member ${quote(extra)}`)
  const [begin, end] = readOffsets(name, entry.data_offsets)
  const dtype = readDtype(name, entry.dtype)
  const shape = readShape(name, entry.shape, limits)
  const expected = sizeOf(shape) * BYTES[dtype]
  if (end - begin !== expected) {
    throw malformed(`${quote(name)} has ${end - begin} bytes; ${entry.dtype} [${shape}] needs ${expected}`)
  }
  return { name, dtype, shape, begin, end }
}

function readOffsets(name: string, offsets: Json | undefined): [number, number] {
  const isOffset = (offset: Json) => Number.isSafeInteger(offset) && (offset as number) >= 0
  if (Array.isArray(offsets) && offsets.length === 2 && offsets.every(isOffset)) {
    const [begin, end] = offsets as [number, number]
    if (begin <= end) return [begin, end]
  }
  throw malformed(`the data_offsets of ${quote(name)} must be two whole numbers in order`)
}

function readDtype(name: string, dtype: Json | undefined): Dtype {
  if (typeof dtype !== 'string') throw malformed(`the dtype of ${quote(name)} is missing`)
  const known = DTYPE_OF.get(dtype)
  if (known !== undefined) return known
  const detail = `must be one of ${[...DTYPE_OF.keys()].join(', ')}, got ${dtype.slice(0, 20)}`
  throw problemAt('dtype-unsupported', `/${pointerToken(name)}`, detail)
}

function readShape(name: string, shape: Json | undefined, limits: DecodeLimits): readonly number[] {
  if (!isShape(shape)) throw malformed(`the shape of ${quote(name)} must be a list of whole numbers >= 0`)
  return checkShape(shape, limits, (code, detail) =>
    problemAt(code, `/${pointerToken(name)}`, `its shape ${detail}`),
  )
}

/** No holes, no overlap, nothing left over. */
function checkCoverage(entries: readonly Entry[], length: number) {
  let covered = 0
  for (const { name, begin, end } of [...entries].sort((a, b) => a.begin - b.begin || a.end - b.end)) {
    if (begin !== covered)
      throw malformed(`${quote(name)} begins at byte ${begin} of the data, expected ${covered}`)
    covered = end
  }
  if (covered !== length)
    throw malformed(`the tensors cover ${covered} bytes of data, the body has ${length}`)
}

function readTensor({ name, dtype, shape, begin, end }: Entry, data: Uint8Array): DecodedTensor {
  const elements = readElements(dtype, data.subarray(begin, end), sizeOf(shape), `/${pointerToken(name)}`)
  return { dtype, shape, data: elements, spelling: 'binary', typed: true }
}

function readMetadata(metadata: Json | undefined): Map<string, unknown> {
  if (metadata === undefined) return new Map()
  if (typeof metadata !== 'object' || metadata === null || Array.isArray(metadata)) {
    throw malformed('__metadata__ must be an object of strings')
  }
  return new Map(Object.entries(metadata).map(([name, text]) => [name, readOption(name, text)]))
}

function readOption(name: string, text: Json): unknown {
  if (typeof text !== 'string') throw malformed(`__metadata__ ${quote(name)} must be a string`)
  if (WORDS.has(name) && /^\w+$/.test(text)) return text
  return parse(Buffer.from(text), `__metadata__ ${quote(name)}`)
}

function quote(name: string): string {
  return JSON.stringify(name.slice(0, 80))
}

// Writing

function encode({ loss, gradients, members }: Answer): Uint8Array {
  const tensors = [
    ['loss', loss] as const,
    ...[...gradients].map(([name, t]) => [`gradients.${name}`, t] as const),
  ]
  // The reference writer's order: widest elements first, so that each tensor is aligned.
  tensors.sort(([a, x], [b, y]) => BYTES[y.dtype] - BYTES[x.dtype] || (a < b ? -1 : 1))
  const header: Record<string, object> = { __metadata__: asStrings(members) }
  let offset = 0
  for (const [name, { dtype, shape }] of tensors) {
    const end = offset + sizeOf(shape) * BYTES[dtype]
    header[name] = { dtype: NAME_OF.get(dtype), shape, data_offsets: [offset, end] }
    offset = end
  }
  const { body, dataStart } = startBody(header, offset)
  let at = dataStart
  for (const [, { dtype, shape, data }] of tensors) {
    const length = sizeOf(shape) * BYTES[dtype]
    writeElements(dtype, data, body.subarray(at, at + length))
    at += length
  }
  return body
}

/** The header, padded with blanks so that the data begins at a multiple of 8, and room for the data. */
function startBody(header: object, dataLength: number): { body: Buffer; dataStart: number } {
  const text = JSON.stringify(header)
  const length = Math.ceil(Buffer.byteLength(text) / 8) * 8
  const body = Buffer.allocUnsafe(8 + length + dataLength)
  body.writeBigUInt64LE(BigInt(length))
  body.fill(0x20, 8, 8 + length)
  body.write(text, 8)
  return { body, dataStart: 8 + length }
}

function asStrings(members: Answer['members']): Record<string, string> {
  return Object.fromEntries(Object.entries(members).map(([name, value]) => [name, spellMember(value)]))
}
