/**
 * Content codings (RFC 9110, 8.4): decompresses request bodies, and compresses responses for clients that ask for
 * it. A declared size is not trusted: a body is decompressed in chunks, and rejected as soon as it is larger than a
 * legitimate one could be (decompression bomb).
 */
import type { IncomingMessage } from 'node:http'
import { Readable, type Transform } from 'node:stream'
import { promisify } from 'node:util'
import zlib from 'node:zlib'
import { Problem } from '../errors.ts'

/** Maximum number of bytes that one compressed byte may expand to. Numbers as text expand by 2 or 3, zeros by more. */
const MAX_RATIO = 100
/** Any body may expand to this size: the first compressed bytes are headers. */
const ANY_BYTES = 64 * 1024
/** Bytes that are decompressed at a time. */
const PART_BYTES = 64 * 1024

interface Coding {
  readonly unpack: () => Transform & { readonly bytesWritten: number }
  readonly pack: (bytes: Uint8Array) => Promise<Buffer>
}

const options = { chunkSize: PART_BYTES }
/** The fastest level. Clients so close that even this costs more than sending do not ask for compression. */
const FAST = { level: 1 }
const { BROTLI_PARAM_QUALITY } = zlib.constants

const gzip: Coding = {
  unpack: () => zlib.createGunzip(options),
  pack: (bytes) => promisify(zlib.gzip)(bytes, FAST) as Promise<Buffer>,
}

/** Fastest first. Among codings that the client prefers equally, the first one is used. */
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

/** Available in Node from 22.15 on. The types used here are those of the oldest supported Node. */
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

/** Every supported coding, fastest first. */
export const codings: readonly string[] = [...CODINGS.keys()].filter((name) => name !== 'x-gzip')

/** Whether a Content-Encoding is supported. */
export function isCoding(name: string): boolean {
  return CODINGS.has(name)
}

/** A body as it was sent, with the headers of its request. */
type Packed = Readable & Pick<IncomingMessage, 'headers'>

/**
 * The decompressed body of a request, or the request itself if it is not compressed. Its errors are Problems
 * `bad-request` and `payload-too-large`, or errors of the connection.
 */
export function unpacked(raw: Packed): Readable {
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
  return new Problem('payload-too-large', `${name} may expand a byte to at most ${MAX_RATIO} bytes`)
}

/** A decompression error as a problem; any other error as it is. */
export function unpackingProblem(raw: Packed, error: Error & { code?: string }): Error {
  if (error instanceof Problem || !/^(Z_|ERR_(BROTLI|_ERROR|PADDING|ZSTD|ZLIB)|ZSTD_)/.test(error.code ?? ''))
    return error
  return new Problem('bad-request', `the body is not ${raw.headers['content-encoding']}: ${error.message}`)
}

/**
 * The decompressed body of a request that has been read as it was sent.
 *
 * @param limit maximum number of bytes
 * @throws Problem `bad-request`, `payload-too-large`
 */
export async function unpackedBytes(
  headers: IncomingMessage['headers'],
  bytes: Buffer,
  limit: number,
): Promise<Buffer> {
  const packed: Packed = Object.assign(Readable.from([bytes]), { headers })
  const parts: Buffer[] = []
  let length = 0
  try {
    for await (const part of unpacked(packed)) {
      length += part.length
      if (length > limit) throw new Problem('payload-too-large', `a body may have at most ${limit} bytes`)
      parts.push(part)
    }
  } catch (error) {
    throw unpackingProblem(packed, error as Error)
  }
  return Buffer.concat(parts, length)
}

/**
 * The coding of a response; undefined for none.
 *
 * @param accept the Accept-Encoding header
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

/** Compresses a response. */
export function pack(coding: string, parts: readonly Uint8Array[]): Promise<Buffer> {
  return CODINGS.get(coding)!.pack(parts.length === 1 ? parts[0] : Buffer.concat(parts))
}
