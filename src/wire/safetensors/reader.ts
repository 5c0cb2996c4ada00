/**
 * Reads a safetensors body. Its header is parsed once and cached for all bodies with the same header; its data is
 * read zero-copy, as views.
 */
import { Problem, pluralize, pointerToken, problemAt } from '../../errors.ts'
import { type Dtype, sizeOf } from '../../tensor.ts'
import { BYTES_PER_ELEMENT, type Decoded, type DecodedTensor, type DecodeLimits } from '../define.ts'
import { readElements } from '../dtypes.ts'
import { type Json, JsonReader } from '../json/reader.ts'
import { checkShape, isShape } from '../shape.ts'
import { DTYPE_OF_CODE } from './dtype-codes.ts'

/** The reference implementation allows 100 MB. The header of a request is small. */
const MAX_HEADER = 64 * 1024
const OPEN_OBJECT = 0x7b

/** Options that are a single word. Their quotes may be omitted. */
const WORDS: ReadonlySet<string> = new Set(['reduction', 'nonfinite', 'gradient_dtype'])

const malformed = (detail: string) => new Problem('malformed-safetensors', detail)

/** The content of a header. Frozen and cached, because a training loop sends the same header at every step. */
interface Header {
  readonly entries: readonly Entry[]
  readonly options: ReadonlyMap<string, unknown>
}

/** Maximum number of cached headers, and the maximum length of one. */
const MEMORY = { headers: 512, bytes: 2048 } as const

interface Memory {
  readonly headers: Map<string, Header>
  /** The last header with the length of its body, because the same one usually follows. */
  last: Seen | undefined
}

interface Seen {
  readonly bodyBytes: number
  readonly text: Buffer
  readonly header: Header
}

/** One cache per limits object, because the limits determine what is accepted. */
const remembered = new WeakMap<DecodeLimits, Memory>()

/**
 * Bytes -> tensors and options, by the rules of the reference reader (safetensors/src/tensor.rs): every byte
 * belongs to exactly one tensor.
 *
 * @throws Problem `malformed-safetensors`, `payload-too-large`, `shape-overflow`, `dtype-unsupported`, `invalid-value`
 * @example
 * decode(body, { maxElements: 1000, maxTensors: 8 }).tensors.get('predictions')
 */
export function decode(bytes: Uint8Array, limits: DecodeLimits): Decoded {
  const end = endOfHeader(bytes)
  const header = headerOf(bytes, end, limits)
  const tensors = new Map<string, DecodedTensor>()
  for (const entry of header.entries) tensors.set(entry.name, readTensor(entry, bytes, end))
  return { tensors, options: header.options, structure: header }
}

/** The content of the header. The length of the body is part of the key, because the tensors must cover all of it. */
function headerOf(bytes: Uint8Array, end: number, limits: DecodeLimits): Header {
  if (end > MEMORY.bytes) return readHeader(bytes.subarray(8, end), bytes.length - end, limits)
  const memory = memoryOf(limits)
  const { last } = memory
  const body = asBuffer(bytes)
  const isLast =
    last !== undefined &&
    last.bodyBytes === bytes.length &&
    last.text.length === end - 8 &&
    body.compare(last.text, 0, end - 8, 8, end) === 0
  if (isLast) return last.header
  const header = recalled(memory, body, end, limits)
  memory.last = { bodyBytes: bytes.length, text: Buffer.from(bytes.subarray(8, end)), header }
  return header
}

function memoryOf(limits: DecodeLimits): Memory {
  const known = remembered.get(limits)
  if (known !== undefined) return known
  const made: Memory = { headers: new Map(), last: undefined }
  remembered.set(limits, made)
  return made
}

function recalled({ headers }: Memory, body: Buffer, end: number, limits: DecodeLimits): Header {
  const key = `${body.length} ${body.toString('latin1', 8, end)}`
  const known = headers.get(key)
  if (known !== undefined) return known
  const header = readHeader(body.subarray(8, end), body.length - end, limits)
  headers.set(key, header)
  if (headers.size > MEMORY.headers) headers.delete(headers.keys().next().value!)
  return header
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function readHeader(text: Uint8Array, dataLength: number, limits: DecodeLimits): Header {
  const { __metadata__: metadata, ...rest } = parseHeader(text)
  const entries = Object.entries(rest).map(([name, entry]) => readEntry(name, entry, limits))
  checkTotals(entries, limits)
  checkCoverage(entries, dataLength)
  const options = readMetadata(metadata)
  const twice = entries.find(({ name }) => options.has(name))
  if (twice !== undefined) throw malformed(`${quote(twice.name)} is both a tensor and a key of __metadata__`)
  return Object.freeze({ entries, options })
}

/** Elements are counted as well as bytes, because a body of bools grows fourfold in memory. */
function checkTotals(entries: readonly Entry[], { maxTensors, maxElements }: DecodeLimits) {
  if (entries.length > maxTensors) {
    const detail = `the body contains ${pluralize(entries.length, 'tensors')}, the limit is ${maxTensors}`
    throw new Problem('payload-too-large', detail)
  }
  const total = entries.reduce((sum, { shape }) => sum + sizeOf(shape), 0)
  if (total > maxElements) {
    throw new Problem(
      'payload-too-large',
      `the body contains ${pluralize(total, 'numbers')}, the limit is ${maxElements}`,
    )
  }
}

/** A 64-bit header length and an opening brace. Text contains no zero bytes. */
export function recognizes(bytes: Uint8Array): boolean {
  return bytes[7] === 0 && bytes[8] === OPEN_OBJECT
}

/** The offset at which the header ends and the data begins. */
function endOfHeader(bytes: Uint8Array): number {
  if (bytes.length < 8) throw malformed(`a body needs at least 8 bytes, got ${bytes.length}`)
  const length = lengthAt(bytes, 0) + lengthAt(bytes, 4) * 2 ** 32
  if (length > MAX_HEADER)
    throw malformed(`the header length is ${pluralize(length, 'bytes')}, the limit is ${MAX_HEADER}`)
  const end = 8 + length
  if (end > bytes.length)
    throw malformed(`the header length is ${pluralize(length, 'bytes')}, but only ${bytes.length - 8} follow`)
  return end
}

/** 32 bits, little-endian. */
function lengthAt(bytes: Uint8Array, at: number): number {
  return bytes[at] + bytes[at + 1] * 2 ** 8 + bytes[at + 2] * 2 ** 16 + bytes[at + 3] * 2 ** 24
}

function parseHeader(text: Uint8Array): { [name: string]: Json } {
  if (text[0] !== OPEN_OBJECT) throw malformed('the header must start with {')
  const parsed = parse(text, 'the header')
  return parsed as { [name: string]: Json }
}

/** Parses JSON with the strict parser and rewords its error. */
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
  /** JSON pointer to the tensor, for problems. */
  readonly pointer: string
  readonly dtype: Dtype
  readonly shape: readonly number[]
  readonly elements: number
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
  const expected = sizeOf(shape) * BYTES_PER_ELEMENT[dtype]
  if (end - begin !== expected) {
    throw malformed(
      `${quote(name)} has ${pluralize(end - begin, 'bytes')}; ${entry.dtype} [${shape}] needs ${expected}`,
    )
  }
  return { name, pointer: `/${pointerToken(name)}`, dtype, shape, elements: sizeOf(shape), begin, end }
}

function readOffsets(name: string, offsets: Json | undefined): [number, number] {
  const isOffset = (offset: Json) => Number.isSafeInteger(offset) && (offset as number) >= 0
  if (Array.isArray(offsets) && offsets.length === 2 && offsets.every(isOffset)) {
    const [begin, end] = offsets as [number, number]
    if (begin <= end) return [begin, end]
  }
  throw malformed(`the data_offsets of ${quote(name)} must be two integers in ascending order`)
}

function readDtype(name: string, dtype: Json | undefined): Dtype {
  if (typeof dtype !== 'string') throw malformed(`the dtype of ${quote(name)} is missing`)
  const known = DTYPE_OF_CODE.get(dtype)
  if (known !== undefined) return known
  const detail = `must be one of ${[...DTYPE_OF_CODE.keys()].join(', ')}, got ${dtype.slice(0, 20)}`
  throw problemAt('dtype-unsupported', `/${pointerToken(name)}`, detail)
}

function readShape(name: string, shape: Json | undefined, limits: DecodeLimits): readonly number[] {
  if (!isShape(shape)) throw malformed(`the shape of ${quote(name)} must be a list of integers >= 0`)
  return checkShape(shape, limits, (code, detail) =>
    problemAt(code, `/${pointerToken(name)}`, `its shape ${detail}`),
  )
}

/** No holes, no overlap, and nothing left over. */
function checkCoverage(entries: readonly Entry[], length: number) {
  let covered = 0
  for (const { name, begin, end } of [...entries].sort((a, b) => a.begin - b.begin || a.end - b.end)) {
    if (begin !== covered)
      throw malformed(`${quote(name)} begins at byte ${begin} of the data, expected ${covered}`)
    covered = end
  }
  if (covered !== length)
    throw malformed(`the tensors cover ${pluralize(covered, 'bytes')} of data, the body has ${length}`)
}

function readTensor(
  { pointer, dtype, shape, elements, begin, end }: Entry,
  bytes: Uint8Array,
  start: number,
): DecodedTensor {
  const own = bytes.subarray(start + begin, start + end)
  const data = readElements(dtype, own, elements, pointer)
  return { dtype, shape, data, encoding: 'binary', typed: true }
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
  // A formula is already text. JSON of it is accepted too: a string, or a list of lines.
  if (name === 'formula' && !/^\s*(\[\s*)?"/.test(text)) return text
  return parse(Buffer.from(text), `__metadata__ ${quote(name)}`)
}

function quote(name: string): string {
  return JSON.stringify(name.slice(0, 80))
}
