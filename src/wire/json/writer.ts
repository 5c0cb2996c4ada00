/** Writes a response as JSON, with numbers printed straight into bytes. */
import { isInteger, sizeOf } from '../../tensor.ts'
import { type Answer, type AnswerTensor, BYTES_PER_ELEMENT } from '../define.ts'
import { roundTo, writeElements } from '../dtypes.ts'
import { MAX_FLOAT_BYTES, printDoubles, printFloats } from './print-floats.ts'

const OPEN = 0x5b
const CLOSE = 0x5d
const COMMA = 0x2c

/** Estimated size of one printed number with its comma, which is seldom exceeded, and of everything else. */
const [NUMBER_ROOM, OTHER_ROOM] = [18, 1024]
/** How many numbers are printed between two checks of the buffer size. */
const AT_ONCE = 64

/**
 * The whole body: loss, gradients, then the plain members.
 *
 * @example
 * writeAnswer({ loss, gradients: new Map(), members: { finite: true } }).toString() // {"loss":0.5,"finite":true}
 */
export function writeAnswer({ loss, gradients, hessian = NONE, members, nulls = false }: Answer): Buffer {
  const out = new JsonWriter(roomFor([loss, ...gradients.values(), ...hessian.values()]), nulls)
  out.text('{"loss":')
  writeTensor(out, loss)
  if (gradients.size > 0) writeTensors(out, ',"gradients":{', gradients)
  let rest = gradients.size > 0 ? '}' : ''
  // There is never a hessian without gradients.
  if (hessian.size > 0) writeTensors(out, '},"hessian":{', hessian)
  for (const name of Object.keys(members))
    rest += `,${JSON.stringify(name)}:${stringifyMember(members[name], nulls)}`
  out.text(`${rest}}`)
  return out.finish()
}

function roomFor(tensors: readonly AnswerTensor[]): number {
  return tensors.reduce((sum, { data }) => sum + data.length * NUMBER_ROOM, OTHER_ROOM)
}

const NONE: ReadonlyMap<string, AnswerTensor> = new Map()

/** Everything except the closing brace. */
function writeTensors(out: JsonWriter, start: string, tensors: ReadonlyMap<string, AnswerTensor>) {
  let separator = start
  for (const [name, tensor] of tensors) {
    out.text(`${separator}${JSON.stringify(name)}:`)
    writeTensor(out, tensor)
    separator = ','
  }
}

/**
 * A plain member as JSON text. Numbers that JSON cannot represent are written as strings or as null, at any depth.
 *
 * @example
 * stringifyMember(Number.NaN) // '"NaN"'
 */
export function stringifyMember(value: number | boolean | string | object, nulls = false): string {
  if (typeof value === 'boolean' || (typeof value === 'number' && Number.isFinite(value)))
    return String(value)
  if (nulls) return JSON.stringify(value)
  return JSON.stringify(value, (_, part) =>
    typeof part === 'number' && !Number.isFinite(part) ? String(part) : part,
  )
}

function writeTensor(out: JsonWriter, tensor: AnswerTensor) {
  const { encoding, shape, dtype, data } = tensor
  if (encoding === 'nested' || (encoding === 'binary' && data.length > 0)) return writeNested(out, tensor)
  // Brackets cannot express every empty shape, and there would be many of them if it has one long axis. Empty
  // tensors are written in the flat form.
  out.text(`{"shape":[${shape.join(',')}],"dtype":"${dtype}","data":`)
  if (encoding === 'base64') out.latin(`"${base64Of(tensor)}"`)
  else out.rows(printableOf(tensor), 0, 1, data.length)
  out.text('}')
}

function base64Of({ dtype, shape, data }: AnswerTensor): string {
  const bytes = Buffer.alloc(sizeOf(shape) * BYTES_PER_ELEMENT[dtype])
  writeElements(dtype, data, bytes)
  return bytes.toString('base64')
}

function writeNested(out: JsonWriter, tensor: AnswerTensor) {
  const printable = printableOf(tensor)
  const { shape } = tensor
  if (shape.length === 0) out.numbers(printable, 0, 1)
  else if (shape.length === 1) out.rows(printable, 0, 1, shape[0])
  else writeLevel(out, printable, shape, 0, 0)
}

/** @returns the offset after the last element written */
function writeLevel(
  out: JsonWriter,
  data: Printable,
  shape: readonly number[],
  level: number,
  from: number,
): number {
  let at = from
  out.byte(OPEN)
  if (level === shape.length - 2) {
    out.rows(data, from, shape[level], shape[level + 1])
    at += shape[level] * shape[level + 1]
  } else {
    for (let i = 0; i < shape[level]; i++) {
      if (i > 0) out.byte(COMMA)
      at = writeLevel(out, data, shape, level + 1, at)
    }
  }
  out.byte(CLOSE)
  return at
}

/**
 * Numbers in the array type that determines how they are printed: as float32 if they are float32 or fit into it,
 * otherwise as doubles.
 */
type Printable = Float32Array | Float64Array | Int32Array

function printableOf({ dtype, data }: AnswerTensor): Printable {
  const isSingle = data instanceof Float32Array
  if (dtype === 'float64' || isInteger(dtype)) return isSingle ? new Float64Array(data) : data
  if (dtype === 'float32') return isSingle ? data : new Float32Array(data)
  const narrow = new Float32Array(data.length)
  for (let i = 0; i < data.length; i++) narrow[i] = roundTo(dtype, data[i])
  return narrow
}

/** A buffer that grows when its initial size was too small. */
class JsonWriter {
  #buffer: Buffer
  #view: DataView
  #offset = 0
  /** Whether non-finite numbers are written as null. */
  readonly #nulls: boolean

  constructor(size: number, nulls: boolean) {
    this.#nulls = nulls
    this.#buffer = Buffer.allocUnsafe(size)
    this.#view = viewOf(this.#buffer)
  }

  text(text: string) {
    this.#reserve(text.length * 3)
    this.#offset += this.#buffer.write(text, this.#offset)
  }

  /** Text with one byte per character, which may be long. */
  latin(text: string) {
    this.#reserve(text.length)
    this.#offset += this.#buffer.write(text, this.#offset, 'latin1')
  }

  byte(byte: number) {
    this.#reserve(1)
    this.#buffer[this.#offset++] = byte
  }

  /** `count` rows of `width` numbers, each in brackets, separated by commas. */
  rows(data: Printable, from: number, count: number, width: number) {
    for (let row = 0; row < count; row++) {
      this.#reserve(Math.min(width, AT_ONCE) * MAX_FLOAT_BYTES + 3)
      if (row > 0) this.#view.setUint8(this.#offset++, COMMA)
      this.#view.setUint8(this.#offset++, OPEN)
      if (width <= AT_ONCE) this.#print(data, from + row * width, from + (row + 1) * width)
      else this.numbers(data, from + row * width, from + (row + 1) * width)
      this.byte(CLOSE)
    }
  }

  /**
   * Numbers separated by commas, a few at a time, because the maximum that all of them could need is far more than
   * they will use.
   */
  numbers(data: Printable, from: number, end: number) {
    for (let at = from; at < end; at += AT_ONCE) {
      this.#reserve(Math.min(end - at, AT_ONCE) * MAX_FLOAT_BYTES + 1)
      if (at > from) this.byte(COMMA)
      this.#print(data, at, Math.min(at + AT_ONCE, end))
    }
  }

  #print(data: Printable, from: number, end: number) {
    if (this.#nulls) this.#printNulls(data, from, end)
    else this.#printAll(data, from, end)
  }

  #printNulls(data: Printable, from: number, end: number) {
    for (let i = from; i < end; i++) {
      if (i > from) this.#view.setUint8(this.#offset++, COMMA)
      if (Number.isFinite(data[i])) this.#printAll(data, i, i + 1)
      else this.#offset += this.#buffer.write('null', this.#offset)
    }
  }

  #printAll(data: Printable, from: number, end: number) {
    this.#offset =
      data instanceof Float32Array
        ? printFloats(this.#view, this.#offset, data, from, end)
        : printDoubles(this.#view, this.#offset, data, from, end)
  }

  finish(): Buffer {
    return this.#buffer.subarray(0, this.#offset)
  }

  #reserve(bytes: number) {
    if (this.#offset + bytes <= this.#buffer.length) return
    const wider = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, this.#offset + bytes))
    this.#buffer.copy(wider, 0, 0, this.#offset)
    this.#buffer = wider
    this.#view = viewOf(wider)
  }
}

function viewOf({ buffer, byteOffset, byteLength }: Buffer): DataView {
  return new DataView(buffer, byteOffset, byteLength)
}
