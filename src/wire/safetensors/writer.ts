/**
 * Writes a response as safetensors: a header, which is usually the same as the last one's and is cached, then the
 * tensors, the widest first.
 */
import { sizeOf } from '../../tensor.ts'
import { type Answer, type AnswerTensor, BYTES_PER_ELEMENT, type Chunks } from '../define.ts'
import { asBytes, writeElements } from '../dtypes.ts'
import { stringifyMember } from '../json/writer.ts'
import { allocate } from '../response-slab.ts'
import { SAFETENSORS_CODE } from './dtype-codes.ts'

/** The order and offsets of the tensors of a response, and the text of the header about them. */
interface Template {
  readonly names: readonly string[]
  readonly offsets: readonly number[]
  readonly dataLength: number
  /** `"loss":{...},"gradients.predictions":{...}` */
  readonly text: string
  /** The header of the last response: from one training step to the next, usually only the numbers change. */
  last: Head | undefined
}

/** Everything before the data. */
interface Head {
  readonly members: Answer['members']
  readonly bytes: Uint8Array
}

const templates = new WeakMap<object, Template>()

/** From this size on, the data is sent from where it is, without copying. */
const LARGE_BYTES = 64 * 1024

/**
 * The bytes of a response: small ones in one piece, large ones as the header and views of the response's own
 * arrays.
 *
 * @example
 * Buffer.concat(encode({ loss, gradients: new Map(), members: { finite: true } }))
 */
export function encode(answer: Answer): Chunks {
  const template = templateOf(answer)
  const head = headOf(template, answer)
  return template.dataLength < LARGE_BYTES
    ? [joined(answer, template, head)]
    : [head, ...template.names.map((name) => bytesOf(tensorOf(answer, name)))]
}

function joined(answer: Answer, { names, offsets, dataLength }: Template, head: Uint8Array): Uint8Array {
  const length = head.length + dataLength
  const { bytes, floats, start } = allocate(length)
  bytes.set(head, start)
  for (let i = 0; i < names.length; i++) {
    const { dtype, data } = tensorOf(answer, names[i])
    const at = start + head.length + offsets[i]
    if (dtype === 'float32' && data instanceof Float32Array) floats.set(data, at / 4)
    else writeElements(dtype, data, bytes.subarray(at, at + data.length * BYTES_PER_ELEMENT[dtype]))
  }
  return bytes.subarray(start, start + length)
}

/** A zero-copy view if the memory is already its wire form. */
function bytesOf({ dtype, data }: AnswerTensor): Uint8Array {
  const view = asBytes(dtype, data)
  if (view !== undefined) return view
  const bytes = Buffer.allocUnsafe(data.length * BYTES_PER_ELEMENT[dtype])
  writeElements(dtype, data, bytes)
  return bytes
}

function headOf(template: Template, { members, nulls }: Answer): Uint8Array {
  const { last, text } = template
  if (last !== undefined && isSame(last.members, members)) return last.bytes
  const bytes = headBytes(`{"__metadata__":{${metadataText(members, nulls)}},${text}}`)
  template.last = { members, bytes }
  return bytes
}

function isSame(a: Answer['members'], b: Answer['members']): boolean {
  for (const name in a) if (!Object.is(a[name], b[name])) return false
  for (const name in b) if (!(name in a)) return false
  return true
}

function templateOf(answer: Answer): Template {
  const known = answer.structure === undefined ? undefined : templates.get(answer.structure)
  if (known !== undefined) return known
  const made = makeTemplate(answer)
  if (answer.structure !== undefined) templates.set(answer.structure, made)
  return made
}

function makeTemplate(answer: Answer): Template {
  const second = [...(answer.hessian?.keys() ?? [])].map((name) => `${HESSIAN}${name}`)
  const names = [LOSS, ...answer.gradients.keys(), ...second]
  const width = (name: string) => BYTES_PER_ELEMENT[tensorOf(answer, name).dtype]
  // The order of the reference writer: the widest elements first, so that each tensor is aligned.
  names.sort((a, b) => width(b) - width(a) || (nameOf(a) < nameOf(b) ? -1 : 1))
  const offsets: number[] = []
  const texts: string[] = []
  let offset = 0
  for (const name of names) {
    const { dtype, shape } = tensorOf(answer, name)
    const end = offset + sizeOf(shape) * BYTES_PER_ELEMENT[dtype]
    texts.push(
      `${JSON.stringify(nameOf(name))}:{"dtype":"${SAFETENSORS_CODE.get(dtype)}","shape":[${shape}],"data_offsets":[${offset},${end}]}`,
    )
    offsets.push(offset)
    offset = end
  }
  return { names, offsets, dataLength: offset, text: texts.join(), last: undefined }
}

/** Represents the loss among the names of gradients. No input has an empty name. */
const LOSS = ''

/** Prefix of the names of second derivatives. No input has a dot in its name. */
const HESSIAN = 'hessian.'

function tensorOf({ loss, gradients, hessian }: Answer, name: string): AnswerTensor {
  if (name === LOSS) return loss
  return name.startsWith(HESSIAN) ? hessian!.get(name.slice(HESSIAN.length))! : gradients.get(name)!
}

function nameOf(name: string): string {
  if (name === LOSS) return 'loss'
  return name.startsWith(HESSIAN) ? name : `gradients.${name}`
}

/** The header and its length, padded with spaces so that the data begins at a multiple of 8. */
function headBytes(header: string): Uint8Array {
  const length = Math.ceil(Buffer.byteLength(header) / 8) * 8
  const bytes = Buffer.alloc(8 + length, ' ')
  bytes.writeBigUInt64LE(BigInt(length))
  bytes.write(header, 8)
  return bytes
}

function metadataText(members: Answer['members'], nulls?: boolean): string {
  const texts: string[] = []
  for (const name in members) texts.push(`${JSON.stringify(name)}:${quoted(members[name], nulls)}`)
  return texts.join()
}

/** The JSON of a member, as a string, which metadata requires. */
function quoted(value: Answer['members'][string], nulls?: boolean): string {
  const isPlain = typeof value === 'boolean' || (typeof value === 'number' && Number.isFinite(value))
  return isPlain ? `"${value}"` : JSON.stringify(stringifyMember(value, nulls))
}
