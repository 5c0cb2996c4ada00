/** The wire format: tensors by name, and options as JSON in the metadata. */
import { dtypeOf, type FloatArray, type NumericArray, type Tensor } from './tensor.ts'

const CODES = { float32: 'F32', float64: 'F64', int32: 'I32', uint8: 'U8', int64: 'I64' } as const

/** The parts of a body. */
export function encode(
  tensors: ReadonlyMap<string, Tensor>,
  options: Readonly<Record<string, unknown>>,
): Uint8Array<ArrayBuffer> {
  const header: Record<string, unknown> = {}
  const metadata = Object.entries(options).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, JSON.stringify(value)] as const],
  )
  if (metadata.length > 0) header.__metadata__ = Object.fromEntries(metadata)
  let offset = 0
  for (const [name, { shape, data }] of tensors) {
    const end = offset + data.byteLength
    header[name] = { dtype: CODES[dtypeOf(data)], shape, data_offsets: [offset, end] }
    offset = end
  }
  const text = new TextEncoder().encode(JSON.stringify(header))
  const length = Math.ceil(text.length / 8) * 8
  const bytes = new Uint8Array(8 + length + offset)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(length), true)
  bytes.fill(0x20, 8, 8 + length)
  bytes.set(text, 8)
  let at = 8 + length
  for (const { data } of tensors.values()) {
    bytes.set(bytesOf(data), at)
    at += data.byteLength
  }
  return bytes
}

function bytesOf({ buffer, byteOffset, byteLength }: NumericArray): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength)
}

export interface Decoded {
  readonly tensors: ReadonlyMap<string, { readonly shape: readonly number[]; readonly data: FloatArray }>
  readonly members: Readonly<Record<string, unknown>>
}

interface Entry {
  readonly dtype: string
  readonly shape: readonly number[]
  readonly data_offsets: readonly [number, number]
}

/** Results are float32 or float64, in the order that keeps them aligned. */
export function decode(body: ArrayBuffer): Decoded {
  const length = Number(new DataView(body).getBigUint64(0, true))
  const start = 8 + length
  const { __metadata__: strings = {}, ...entries } = JSON.parse(
    new TextDecoder().decode(new Uint8Array(body, 8, length)),
  ) as { __metadata__?: Record<string, string> } & Record<string, Entry>
  const tensors = Object.entries(entries as Record<string, Entry>).map(([name, entry]) => {
    const [first, last] = entry.data_offsets
    const data =
      entry.dtype === 'F64'
        ? new Float64Array(body, start + first, (last - first) / 8)
        : new Float32Array(body, start + first, (last - first) / 4)
    return [name, { shape: entry.shape, data }] as const
  })
  const members = Object.entries(strings as Record<string, string>).map(([name, text]) => [
    name,
    JSON.parse(text),
  ])
  return { tensors: new Map(tensors), members: Object.fromEntries(members) }
}
