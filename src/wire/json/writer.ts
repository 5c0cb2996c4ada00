/** Writes an answer as JSON, numbers straight into bytes. */
import { isInteger, type NumericArray, sizeOf } from '../../schemas/tensor.ts'
import { type Answer, type AnswerTensor, BYTES } from '../define.ts'
import { roundTo, writeElements } from '../dtypes.ts'
import { MAX_PRINTED, printDouble, printFloat32 } from './print.ts'

const OPEN = 0x5b
const CLOSE = 0x5d
const COMMA = 0x2c

/**
 * The whole body: loss, gradients, then the plain members.
 *
 * @example
 * writeAnswer({ loss, gradients: new Map(), members: { finite: true } }).toString() // {"loss":0.5,"finite":true}
 */
export function writeAnswer({ loss, gradients, members }: Answer): Buffer {
  const out = new JsonWriter()
  out.text('{"loss":')
  writeTensor(out, loss)
  if (gradients.size > 0) writeGradients(out, gradients)
  for (const [name, value] of Object.entries(members))
    out.text(`,${JSON.stringify(name)}:${spellMember(value)}`)
  out.text('}')
  return out.finish()
}

function writeGradients(out: JsonWriter, gradients: ReadonlyMap<string, AnswerTensor>) {
  let separator = ',"gradients":{'
  for (const [name, tensor] of gradients) {
    out.text(`${separator}${JSON.stringify(name)}:`)
    writeTensor(out, tensor)
    separator = ','
  }
  out.text('}')
}

/**
 * A plain member as JSON text; numbers that JSON has no literal for are spelled as strings, at any depth.
 *
 * @example
 * spellMember(Number.NaN) // '"NaN"'
 */
export function spellMember(value: number | boolean | string | object): string {
  return JSON.stringify(value, (_, part) =>
    typeof part === 'number' && !Number.isFinite(part) ? String(part) : part,
  )
}

function writeTensor(out: JsonWriter, tensor: AnswerTensor) {
  const { spelling, shape, dtype, data } = tensor
  if (spelling === 'nested' || (spelling === 'binary' && data.length > 0)) return writeNested(out, tensor)
  // Brackets cannot show every empty shape, and would be many where it has one long axis: empty ones are told as flat.
  out.text(`{"shape":[${shape.join(',')}],"dtype":"${dtype}","data":`)
  if (spelling === 'base64') out.latin(`"${base64Of(tensor)}"`)
  else writeRow(out, printerOf(tensor), data, 0, data.length)
  out.text('}')
}

function base64Of({ dtype, shape, data }: AnswerTensor): string {
  const bytes = Buffer.alloc(sizeOf(shape) * BYTES[dtype])
  writeElements(dtype, data, bytes)
  return bytes.toString('base64')
}

function writeNested(out: JsonWriter, tensor: AnswerTensor) {
  const { shape, data } = tensor
  const print = printerOf(tensor)
  const widths = shape.map((_, level) => sizeOf(shape.slice(level + 1)))
  const write = (level: number, from: number) => {
    if (level === shape.length) return out.number(print, data[from])
    if (level === shape.length - 1) return writeRow(out, print, data, from, shape[level])
    out.byte(OPEN)
    for (let i = 0; i < shape[level]; i++) {
      if (i > 0) out.byte(COMMA)
      write(level + 1, from + i * widths[level])
    }
    out.byte(CLOSE)
  }
  write(0, 0)
}

function writeRow(out: JsonWriter, print: Printer, data: NumericArray, from: number, length: number) {
  out.byte(OPEN)
  for (let i = 0; i < length; i++) {
    if (i > 0) out.byte(COMMA)
    out.number(print, data[from + i])
  }
  out.byte(CLOSE)
}

type Printer = (target: Buffer, offset: number, value: number) => number

/** float64 and integers print as doubles; everything narrower as the float32 that it is or fits in. */
function printerOf({ dtype }: AnswerTensor): Printer {
  if (dtype === 'float64' || isInteger(dtype)) return printDouble
  return (target, offset, value) => printNarrow(target, offset, roundTo(dtype, value))
}

/** Rounding to less precision may overflow. */
function printNarrow(target: Buffer, offset: number, value: number): number {
  return Number.isFinite(value) ? printFloat32(target, offset, value) : printSpelled(target, offset, value)
}

/** JSON has no literal for what is not finite. */
function printSpelled(target: Buffer, offset: number, value: number): number {
  return offset + target.write(`"${value}"`, offset, 'latin1')
}

/** A buffer that grows. */
class JsonWriter {
  #buffer = Buffer.allocUnsafe(4096)
  #offset = 0

  text(text: string) {
    this.#reserve(text.length * 3)
    this.#offset += this.#buffer.write(text, this.#offset)
  }

  /** Text of one byte a character, which may be long. */
  latin(text: string) {
    this.#reserve(text.length)
    this.#offset += this.#buffer.write(text, this.#offset, 'latin1')
  }

  byte(byte: number) {
    this.#reserve(1)
    this.#buffer[this.#offset++] = byte
  }

  number(print: Printer, value: number) {
    this.#reserve(MAX_PRINTED)
    const printer = Number.isFinite(value) ? print : printSpelled
    this.#offset = printer(this.#buffer, this.#offset, value)
  }

  finish(): Buffer {
    return this.#buffer.subarray(0, this.#offset)
  }

  #reserve(bytes: number) {
    if (this.#offset + bytes <= this.#buffer.length) return
    const wider = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, this.#offset + bytes))
    this.#buffer.copy(wider, 0, 0, this.#offset)
    this.#buffer = wider
  }
}
