/** Writes an answer as JSON, numbers straight into bytes. */
import { type NumericArray, sizeOf } from '../../schemas/tensor.ts'
import { type Answer, type AnswerTensor, BYTES } from '../define.ts'
import { roundTo, writeElements } from '../dtypes.ts'
import { MAX_PRINTED, printDouble, printFloat32 } from './print.ts'

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

function spellMember(value: number | boolean | string | object): string {
  return typeof value === 'number' && !Number.isFinite(value) ? `"${value}"` : JSON.stringify(value)
}

function writeTensor(out: JsonWriter, tensor: AnswerTensor) {
  if (tensor.spelling === 'nested' || tensor.spelling === 'binary') return writeNested(out, tensor)
  out.text(`{"shape":[${tensor.shape.join(',')}],"dtype":"${tensor.dtype}","data":`)
  if (tensor.spelling === 'base64') out.text(`"${base64Of(tensor)}"`)
  else writeRow(out, printerOf(tensor), tensor.data, 0, tensor.data.length)
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
    out.text('[')
    for (let i = 0; i < shape[level]; i++) {
      if (i > 0) out.text(',')
      write(level + 1, from + i * widths[level])
    }
    out.text(']')
  }
  write(0, 0)
}

function writeRow(out: JsonWriter, print: Printer, data: NumericArray, from: number, length: number) {
  out.text('[')
  for (let i = 0; i < length; i++) {
    if (i > 0) out.text(',')
    out.number(print, data[from + i])
  }
  out.text(']')
}

type Printer = (target: Buffer, offset: number, value: number) => number

/** float64 and integers print as doubles; everything narrower as the float32 that it fits in. */
function printerOf({ dtype, data }: AnswerTensor): Printer {
  if (data instanceof Float64Array || data instanceof Int32Array) return printDouble
  if (dtype === 'float32') return printFloat32
  return (target, offset, value) => printNarrow(target, offset, roundTo(dtype, value))
}

/** Rounding to half precision may overflow. */
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
    this.#offset += text.length === 1 ? this.#byte(text) : this.#buffer.write(text, this.#offset)
  }

  number(print: Printer, value: number) {
    this.#reserve(MAX_PRINTED)
    const printer = Number.isFinite(value) ? print : printSpelled
    this.#offset = printer(this.#buffer, this.#offset, value)
  }

  finish(): Buffer {
    return this.#buffer.subarray(0, this.#offset)
  }

  #byte(character: string): number {
    this.#buffer[this.#offset] = character.charCodeAt(0)
    return 1
  }

  #reserve(bytes: number) {
    if (this.#offset + bytes <= this.#buffer.length) return
    const wider = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, this.#offset + bytes))
    this.#buffer.copy(wider, 0, 0, this.#offset)
    this.#buffer = wider
  }
}
