/** Parquet with whatever one likes in its headers. */
import { gzipSync } from 'node:zlib'

type Field = readonly [id: number, type: number, value: number | string | readonly unknown[]]

const [I32, I64, BINARY, LIST, STRUCT] = [5, 6, 8, 9, 12] as const
const [DOUBLE, GZIP, PLAIN, RLE] = [5, 2, 0, 3] as const
const [DATA, DATA_2] = [0, 3] as const

function varint(value: number): number[] {
  const bytes: number[] = []
  let rest = BigInt(value)
  for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128)
  return [...bytes, Number(rest)]
}

const zigzag = (value: number) => varint(value < 0 ? -2 * value - 1 : 2 * value)
const text = (value: string) => [...varint(value.length), ...Buffer.from(value)]

function encoded(type: number, value: Field[2]): number[] {
  if (type === I32 || type === I64) return zigzag(value as number)
  if (type === BINARY) return text(value as string)
  if (type === STRUCT) return struct(value as readonly Field[])
  const [kind, ...items] = value as readonly [number, ...Field[2][]]
  const size = items.length
  return [
    size < 15 ? (size << 4) | kind : 0xf0 | kind,
    ...(size < 15 ? [] : varint(size)),
    ...items.flatMap((item) => encoded(kind, item)),
  ]
}

/** The compact protocol of Thrift. */
function struct(fields: readonly Field[]): number[] {
  let before = 0
  const bytes = fields.flatMap(([id, type, value]) => {
    const head = ((id - before) << 4) | type
    before = id
    return [head, ...encoded(type, value)]
  })
  return [...bytes, 0]
}

export interface Claims {
  /** Bytes of the page when it is unpacked. */
  readonly unpacked?: number
  readonly packed?: number
  readonly values?: number
  readonly rows?: number
  /** What is in the page, if not the numbers. */
  readonly content?: Buffer
  /** Of the data pages. */
  readonly version?: 1 | 2
  /** Bytes of the levels at the beginning of a page of version 2. */
  readonly levels?: number
  /** Bytes that are missing at the end of each page. */
  readonly cutOff?: number
}

/** The header of a data page, after its sizes. */
function dataHeader({ version, levels = 0 }: Claims, values: number, rows: number): Field {
  if (version === 2)
    return [
      8,
      STRUCT,
      [
        [1, I32, values],
        [2, I32, 0],
        [3, I32, rows],
        [4, I32, PLAIN],
        [5, I32, levels],
        [6, I32, 0],
      ],
    ]
  return [
    5,
    STRUCT,
    [
      [1, I32, values],
      [2, I32, PLAIN],
      [3, I32, RLE],
      [4, I32, RLE],
    ],
  ]
}

/** Two columns of the same doubles, in one page each, compressed with gzip. */
export function parquetWith(numbers: readonly number[], claims: Claims = {}): Buffer {
  const plain = Buffer.from(Float64Array.from(numbers).buffer)
  const whole = gzipSync(claims.content ?? plain)
  const content = whole.subarray(0, whole.length - (claims.cutOff ?? 0))
  const {
    unpacked = plain.length,
    packed = content.length,
    values = numbers.length,
    rows = numbers.length,
  } = claims
  const parts: Buffer[] = [Buffer.from('PAR1')]
  const columns = ['y', 'y_hat'].map((name) => {
    const offset = parts.reduce((sum, part) => sum + part.length, 0)
    const page = struct([
      [1, I32, claims.version === 2 ? DATA_2 : DATA],
      [2, I32, unpacked],
      [3, I32, packed],
      dataHeader(claims, values, rows),
    ])
    parts.push(Buffer.from(page), content)
    const size = page.length + content.length
    const meta: Field[] = [
      [1, I32, DOUBLE],
      [2, LIST, [I32, 0]],
      [3, LIST, [BINARY, name]],
      [4, I32, GZIP],
      [5, I64, values],
      [6, I64, page.length + unpacked],
      [7, I64, size],
      [9, I64, offset],
    ]
    return [
      [2, I64, offset],
      [3, STRUCT, meta],
    ] as const
  })
  const leaf = (name: string): Field[] => [
    [1, I32, DOUBLE],
    [3, I32, 0],
    [4, BINARY, name],
  ]
  const footer = Buffer.from(
    struct([
      [1, I32, 1],
      [
        2,
        LIST,
        [
          STRUCT,
          [
            [4, BINARY, 'schema'],
            [5, I32, 2],
          ],
          leaf('y'),
          leaf('y_hat'),
        ],
      ],
      [3, I64, rows],
      [
        4,
        LIST,
        [
          STRUCT,
          [
            [1, LIST, [STRUCT, ...columns]],
            [2, I64, 1000],
            [3, I64, rows],
          ],
        ],
      ],
    ]),
  )
  const length = Buffer.alloc(4)
  length.writeUInt32LE(footer.length)
  return Buffer.concat([...parts, footer, length, Buffer.from('PAR1')])
}
