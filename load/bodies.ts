/** Request bodies, written without the service's own code. */
import { type Inputs, inputsOf } from './fixed-inputs.ts'

export interface Workload {
  readonly loss: string
  readonly format: 'json' | 'safetensors'
  readonly rows: number
  readonly columns: number
  /** JSON as Python writes it with `json.dumps(array.tolist())`: all digits of the double that a float32 widens to. */
  readonly python?: boolean
  /** Other members of the body than tensors and `gradients`: a custom loss that is sent with the request. */
  readonly members?: Readonly<Record<string, unknown>>
}

export interface Body {
  readonly contentType: string
  readonly bytes: Buffer
}

/** Requests the loss and the gradient of its first input, as a trainer does. */
export function bodyOf({ loss, format, rows, columns, python = false, members = {} }: Workload): Body {
  const inputs = inputsOf(loss, rows, columns)
  return format === 'json'
    ? {
        contentType: 'application/json',
        bytes: python ? pythonBody(inputs) : jsonBody(inputs, shorten, members),
      }
    : { contentType: 'application/x-safetensors', bytes: safetensorsBody(inputs, members) }
}

function wanted(inputs: Inputs): string[] {
  return Object.keys(inputs).slice(0, 1)
}

/** Floats are F32, labels I32. The option is in the metadata. */
function safetensorsBody(inputs: Inputs, members: NonNullable<Workload['members']>): Buffer {
  const metadata = Object.entries({ gradients: wanted(inputs), ...members })
  let end = 0
  const tensors = Object.entries(inputs).map(([name, { shape, data }]) => {
    const start = end
    end += data.byteLength
    return [name, { dtype: data instanceof Float32Array ? 'F32' : 'I32', shape, data_offsets: [start, end] }]
  })
  const header = JSON.stringify({
    __metadata__: Object.fromEntries(metadata.map(([name, value]) => [name, JSON.stringify(value)])),
    ...Object.fromEntries(tensors),
  })
  const padded = Buffer.from(header.padEnd(Math.ceil(header.length / 8) * 8))
  const size = Buffer.alloc(8)
  size.writeBigUInt64LE(BigInt(padded.length))
  const bytes = Object.values(inputs).map(({ data }) => {
    return Buffer.from(data.buffer, data.byteOffset, data.byteLength)
  })
  return Buffer.concat([size, padded, ...bytes])
}

/** With a space after each comma and colon; no string here contains one. */
function pythonBody(inputs: Inputs): Buffer {
  return Buffer.from(String(jsonBody(inputs, (x) => x)).replaceAll(/[,:]/g, '$& '))
}

function jsonBody(
  inputs: Inputs,
  spell: (x: number) => number,
  members: NonNullable<Workload['members']> = {},
): Buffer {
  const tensors = Object.entries(inputs).map(([name, { shape, data }]) => {
    const numbers = Array.from(data, spell)
    return [name, shape.length === 1 ? numbers : rowsOf(numbers, shape[1])]
  })
  return Buffer.from(
    JSON.stringify({ ...members, ...Object.fromEntries(tensors), gradients: wanted(inputs) }),
  )
}

function rowsOf(numbers: readonly number[], columns: number): number[][] {
  return Array.from({ length: numbers.length / columns }, (_, i) => {
    return numbers.slice(i * columns, (i + 1) * columns)
  })
}

/** As a trainer would print a float32, not the double that it widens to. */
function shorten(x: number): number {
  return Number(x.toPrecision(8))
}
