/**
 * Content codings (RFC 9110, 8.4): bodies that were compressed, and answers for those who ask. What a body says of itself is
 * not believed: it is unpacked part by part, and refused as soon as it is more than its sender could have meant.
 */
import type { IncomingMessage } from 'node:http'
import type { Readable, Transform } from 'node:stream'
import { promisify } from 'node:util'
import zlib from 'node:zlib'
import { Problem } from '../errors.ts'

/** Most bytes that one byte of a body may become. Numbers as text come to 2 or 3, zeros to more. */
const MAX_RATIO = 100
/** So much may become of any body: the first bytes of a packed body are its headers. */
const ANY_BYTES = 64 * 1024
/** Bytes that are unpacked at a time. */
const PART_BYTES = 64 * 1024

interface Coding {
  readonly unpack: () => Transform & { readonly bytesWritten: number }
  readonly pack: (bytes: Uint8Array) => Promise<Buffer>
}

const options = { chunkSize: PART_BYTES }
/** The fastest levels: whoever is so near that they cost more than sending does not ask. */
const FAST = { level: 1 }
const { BROTLI_PARAM_QUALITY } = zlib.constants

const gzip: Coding = {
  unpack: () => zlib.createGunzip(options),
  pack: (bytes) => promisify(zlib.gzip)(bytes, FAST) as Promise<Buffer>,
}

/** The sooner, the faster: the first is taken of those that a caller likes as much. */
const CODINGS: ReadonlyMap<string, Coding> = new Map([
  ...zstd(),
  [
    'br',
    {
      unpack: () => zlib.createBrotliDecompress(options),
      pack: (bytes) => promisify(zlib.brotliCompress)(bytes, { params: { [BROTLI_PARAM_QUALITY]: 1 } }),
    },
  ],
  ['gzip', gzip],
  ['x-gzip', gzip],
  [
    'deflate',
    {
      unpack: () => zlib.createInflate(options),
      pack: (bytes) => promisify(zlib.deflate)(bytes, FAST) as Promise<Buffer>,
    },
  ],
] satisfies [string, Coding][])

/** Node has it from 22.15 on; its types here are those of the oldest that is supported. */
function zstd(): [string, Coding][] {
  const { createZstdDecompress, zstdCompress, constants } = zlib as typeof zlib & {
    createZstdDecompress?: (options: { chunkSize: number }) => ReturnType<Coding['unpack']>
    zstdCompress?: (
      bytes: Uint8Array,
      options: { params: Record<number, number> },
      done: (error: Error | null, packed: Buffer) => void,
    ) => void
    constants: { ZSTD_c_compressionLevel?: number }
  }
  if (createZstdDecompress === undefined || zstdCompress === undefined) return []
  const params = { [constants.ZSTD_c_compressionLevel!]: 1 }
  const pack = (bytes: Uint8Array) =>
    new Promise<Buffer>((resolve, reject) => {
      zstdCompress(bytes, { params }, (error, packed) => (error === null ? resolve(packed) : reject(error)))
    })
  return [['zstd', { unpack: () => createZstdDecompress(options), pack }]]
}

/** Every coding that is read, fastest first. */
export const codings: readonly string[] = [...CODINGS.keys()].filter((name) => name !== 'x-gzip')

/** Whether a Content-Encoding is read. */
export function isCoding(name: string): boolean {
  return CODINGS.has(name)
}

/**
 * What a request's body is when it is unpacked: the request itself where it is not packed. Its errors are Problems
 * `bad-request` and `payload-too-large`, or the connection's own.
 */
export function unpacked(raw: IncomingMessage): Readable {
  const name = raw.headers['content-encoding']?.toLowerCase()
  if (name === undefined || name === 'identity') return raw
  const unpacking = CODINGS.get(name)!.unpack()
  let length = 0
  const stop = (error: Error) => {
    raw.unpipe(unpacking)
    unpacking.destroy(error)
  }
  unpacking.on('data', (part: Buffer) => {
    length += part.length
    if (length > Math.max(ANY_BYTES, MAX_RATIO * unpacking.bytesWritten)) stop(bomb(name))
  })
  raw.on('error', stop)
  raw.pipe(unpacking)
  return unpacking
}

function bomb(name: string): Problem {
  return new Problem('payload-too-large', `${name} may make of a byte ${MAX_RATIO} bytes and no more`)
}

/** What went wrong in unpacking, as the caller's problem; any other error as it is. */
export function unpackingProblem(raw: IncomingMessage, error: Error & { code?: string }): Error {
  if (error instanceof Problem || !/^(Z_|ERR_(BROTLI|_ERROR|PADDING|ZSTD|ZLIB)|ZSTD_)/.test(error.code ?? ''))
    return error
  return new Problem('bad-request', `the body is not ${raw.headers['content-encoding']}: ${error.message}`)
}

/**
 * The coding that a caller would have an answer in; undefined: as it is.
 *
 * @param accept an Accept-Encoding
 * @example
 * codingFor('gzip, br;q=0.5') // 'gzip'
 */
export function codingFor(accept: string | undefined): string | undefined {
  if (accept === undefined) return undefined
  const wanted = new Map(accept.split(',').map(weighted))
  const weightOf = (name: string) => wanted.get(name) ?? wanted.get('*') ?? 0
  let best: string | undefined
  for (const name of codings) {
    if (weightOf(name) > (best === undefined ? 0 : weightOf(best))) best = name
  }
  const plain = wanted.get('identity') ?? 0
  return best !== undefined && weightOf(best) >= plain ? best : undefined
}

function weighted(item: string): [string, number] {
  const [name, ...params] = item.split(';').map((part) => part.trim().toLowerCase())
  const weight = params.find((param) => param.startsWith('q='))
  return [name, weight === undefined ? 1 : Number(weight.slice(2)) || 0]
}

/** Packs an answer. */
export function pack(coding: string, parts: readonly Uint8Array[]): Promise<Buffer> {
  return CODINGS.get(coding)!.pack(parts.length === 1 ? parts[0] : Buffer.concat(parts))
}
