/** Writes arrays as NumPy and safetensors do. */
import { crc32 as crcOf, deflateRawSync } from 'node:zlib'

export interface Written {
  readonly data: ArrayBufferView & { readonly length: number }
  readonly shape: readonly number[]
  /** In place of the usual one. */
  readonly descr?: unknown
  readonly isFortran?: boolean
  readonly isBool?: boolean
}

const DESCR: Readonly<Record<string, string>> = {
  Float64Array: '<f8',
  Float32Array: '<f4',
  BigInt64Array: '<i8',
  BigUint64Array: '<u8',
  Int32Array: '<i4',
  Int16Array: '<i2',
  Uint8Array: '|u1',
}

const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView) =>
  Buffer.from(buffer, byteOffset, byteLength)

export function npy({ data, shape, descr, isFortran = false, isBool = false }: Written): Buffer {
  const type = descr ?? (isBool ? '|b1' : DESCR[data.constructor.name])
  const word = JSON.stringify(type).replaceAll('"', "'").replaceAll('[[', '[(').replaceAll(']]', ')]')
  const text = `{'descr': ${word}, 'fortran_order': ${isFortran ? 'True' : 'False'}, 'shape': (${shape.join(', ')}${shape.length === 1 ? ',' : ''}), }`
  const padded = `${text.padEnd(Math.ceil((text.length + 11) / 64) * 64 - 11)}\n`
  const head = Buffer.from('\x93NUMPY\x01\x00\x00\x00', 'latin1')
  head.writeUInt16LE(padded.length, 8)
  const bytes = Buffer.from(bytesOf(data))
  if (typeof type === 'string' && type.startsWith('>')) swap(bytes, Number(type.slice(2)))
  return Buffer.concat([head, Buffer.from(padded, 'latin1'), bytes])
}

function swap(bytes: Buffer, width: number) {
  if (width === 2) bytes.swap16()
  if (width === 4) bytes.swap32()
  if (width === 8) bytes.swap64()
}

/** Texts as NumPy keeps them: UTF-32, all of the same length. */
function texts(values: readonly string[]): Written {
  const width = Math.max(...values.map((value) => [...value].length))
  const data = new Uint32Array(values.length * width)
  values.forEach((value, i) => {
    ;[...value].forEach((letter, j) => {
      data[i * width + j] = letter.codePointAt(0)!
    })
  })
  return { data, shape: [values.length], descr: `<U${width}` }
}

/** @param size what the zip says that each array has unpacked, in place of the truth */
export function npz(
  arrays: Readonly<Record<string, Written | readonly string[]>>,
  { isPacked, size }: { readonly isPacked: boolean; readonly size?: number },
): Buffer {
  const parts: Buffer[] = []
  const entries: Buffer[] = []
  let at = 0
  for (const [name, array] of Object.entries(arrays)) {
    const bytes = npy('data' in array ? array : texts(array))
    const packed = isPacked ? deflateRawSync(bytes) : bytes
    const file = Buffer.from(`${name}.npy`)
    const extra = size !== undefined && size > 0xffffffff ? longSize(size) : Buffer.alloc(0)
    const fields = Buffer.alloc(26)
    fields.writeUInt16LE(20, 0)
    fields.writeUInt16LE(isPacked ? 8 : 0, 4)
    fields.writeUInt32LE(crc(bytes), 10)
    fields.writeUInt32LE(packed.length, 14)
    fields.writeUInt32LE(Math.min(size ?? bytes.length, 0xffffffff), 18)
    fields.writeUInt16LE(file.length, 22)
    const local = Buffer.concat([Buffer.from('PK\x03\x04'), fields, file, packed])
    fields.writeUInt16LE(extra.length, 24)
    const tail = Buffer.alloc(14)
    tail.writeUInt32LE(at, 10)
    entries.push(Buffer.concat([Buffer.from('PK\x01\x02\x14\x00'), fields, tail, file, extra]))
    parts.push(local)
    at += local.length
  }
  const directory = Buffer.concat(entries)
  const end = Buffer.alloc(22)
  end.write('PK\x05\x06', 'latin1')
  end.writeUInt16LE(entries.length, 8)
  end.writeUInt16LE(entries.length, 10)
  end.writeUInt32LE(directory.length, 12)
  end.writeUInt32LE(at, 16)
  return Buffer.concat([...parts, directory, end])
}

function longSize(size: number): Buffer {
  const extra = Buffer.alloc(12)
  extra.writeUInt16LE(1, 0)
  extra.writeUInt16LE(8, 2)
  extra.writeBigUInt64LE(BigInt(size), 4)
  return extra
}

/** Node has it from 20.15 on. */
function crc(bytes: Buffer): number {
  return crcOf === undefined ? 0 : crcOf(bytes)
}

const CODES: Readonly<Record<string, string>> = {
  Float64Array: 'F64',
  Float32Array: 'F32',
  BigInt64Array: 'I64',
  Uint8Array: 'BOOL',
}

/** @param places in place of those where the tensors are */
export function safetensors(
  arrays: Readonly<Record<string, Written>>,
  places: Readonly<Record<string, readonly [number, number]>> = {},
): Buffer {
  const header: Record<string, unknown> = { __metadata__: { format: 'pt' } }
  const parts: Buffer[] = []
  let at = 0
  for (const [name, { data, shape }] of Object.entries(arrays)) {
    const end = at + data.byteLength
    header[name] = { dtype: CODES[data.constructor.name], shape, data_offsets: places[name] ?? [at, end] }
    parts.push(bytesOf(data))
    at = end
  }
  const text = Buffer.from(JSON.stringify(header))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(text.length))
  return Buffer.concat([length, text, ...parts])
}
