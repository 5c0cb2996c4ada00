/** Generates parts of docs/formats.md: the formats, the dtypes, and a hex dump of a request and its response. */
import { loadConfig } from '../src/config.ts'
import { loadCatalog } from '../src/losses/load-catalog.ts'
import { createProgramSource } from '../src/losses/program.ts'
import { evaluateExactly } from '../src/schemas/evaluate-exactly.ts'
import { createRequestPlanSource } from '../src/schemas/request-plan.ts'
import { BYTES_PER_ELEMENT } from '../src/wire/define.ts'
import { formats } from '../src/wire/index.ts'
import { DTYPE_OF_CODE } from '../src/wire/safetensors/dtype-codes.ts'

/** Marker -> text. */
export async function formatsText(): Promise<Readonly<Record<string, string>>> {
  const request = exampleRequest()
  return {
    formats: formatsTable(),
    dtypes: dtypesTable(),
    request: dump(request),
    answer: dump(await answerTo(request)),
  }
}

function formatsTable(): string {
  const rows = formats.map(({ title, mediaTypes, layout, bodyLimit, compresses }) => {
    const types = mediaTypes.map((type) => `\`${type}\``).join(', or ')
    const cells = [title, types, layout.tensors, layout.options, LIMITS[bodyLimit], compresses ? 'yes' : 'no']
    return `| ${cells.join(' | ')} |`
  })
  const head = '| format | media type | tensors | everything else | largest body | compressed answers |'
  return [head, '|---|---|---|---|---|---|', ...rows].join('\n')
}

const mebibytes = (bytes: number) => `${bytes / 2 ** 20} MiB`
const { jsonBodyLimit, binaryBodyLimit } = loadConfig({})
const LIMITS = {
  json: `\`LOSSD_JSON_BODY_LIMIT\`, ${mebibytes(jsonBodyLimit)}`,
  binary: `\`LOSSD_BINARY_BODY_LIMIT\`, ${mebibytes(binaryBodyLimit)}`,
}

function dtypesTable(): string {
  const rows = [...DTYPE_OF_CODE].map(
    ([code, dtype]) => `| \`${dtype}\` | \`${code}\` | ${BYTES_PER_ELEMENT[dtype]} |`,
  )
  return ['| dtype | in safetensors | bytes |', '|---|---|---|', ...rows].join('\n')
}

/** A request for huber with delta 2 and two numbers, written without the service's own encoder. */
function exampleRequest(): Buffer {
  const header = {
    __metadata__: { params: '{"delta":2}' },
    predictions: { dtype: 'F32', shape: [2], data_offsets: [0, 8] },
    targets: { dtype: 'F32', shape: [2], data_offsets: [8, 16] },
  }
  const text = JSON.stringify(header)
  const padded = Buffer.from(text.padEnd(Math.ceil(text.length / 8) * 8))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(padded.length))
  return Buffer.concat([length, padded, Buffer.from(Float32Array.of(1, 2, 1, 5).buffer)])
}

async function answerTo(request: Buffer): Promise<Buffer> {
  const config = loadConfig({})
  const safetensors = formats.find(({ name }) => name === 'safetensors')!
  const plans = createRequestPlanSource(createProgramSource(), config)
  const huber = (await loadCatalog()).resolve('huber')!
  return Buffer.concat(safetensors.encode(evaluateExactly(huber, safetensors.decode(request, config), plans)))
}

const WIDTH = 16

/** A hex dump like that of `xxd -g 1`. */
function dump(bytes: Buffer): string {
  const lines: string[] = []
  for (let at = 0; at < bytes.length; at += WIDTH) {
    const row = [...bytes.subarray(at, at + WIDTH)]
    const hex = row.map((byte) => byte.toString(16).padStart(2, '0')).join(' ')
    const text = row.map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.')).join('')
    lines.push(`${at.toString(16).padStart(8, '0')}: ${hex.padEnd(WIDTH * 3)} ${text}`)
  }
  return `\`\`\`text\n${lines.join('\n')}\n\`\`\``
}
