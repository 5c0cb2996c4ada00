/**
 * Two clients of lossd in a few lines each, with nothing but `fetch`: one speaks JSON, the other safetensors. Copy what
 * you need; nothing here is part of the service.
 */

export interface LossAndGradient {
  readonly loss: number
  /** The gradient of the loss with respect to the predictions, in their shape. */
  readonly gradient: number[][]
}

/** Anything that computes a loss and its gradient for a matrix of predictions. */
export type GradientSource = (
  predictions: readonly (readonly number[])[],
  targets: readonly number[] | readonly (readonly number[])[],
) => Promise<LossAndGradient>

/** Speaks JSON. */
export function httpJson(loss: string, url: string, params: object = {}): GradientSource {
  return async (predictions, targets) => {
    const body = JSON.stringify({ predictions, targets, params, gradients: ['predictions'] })
    const response = await post(`${url}/v1/losses/${loss}`, 'application/json', body)
    const answer = (await response.json()) as { loss: number; gradients: { predictions: number[][] } }
    return { loss: answer.loss, gradient: answer.gradients.predictions }
  }
}

/** Speaks safetensors, in float64. */
export function httpSafetensors(loss: string, url: string, params: object = {}): GradientSource {
  return async (predictions, targets) => {
    const body = writeSafetensors({ predictions, targets }, { params, gradients: ['predictions'] })
    const response = await post(`${url}/v1/losses/${loss}`, 'application/x-safetensors', body)
    const answer = readSafetensors(await response.arrayBuffer())
    return { loss: answer.loss[0], gradient: rowsOf(answer['gradients.predictions'], predictions[0].length) }
  }
}

async function post(url: string, type: string, body: string | Uint8Array<ArrayBuffer>): Promise<Response> {
  const { origin } = new URL(url)
  const response = await fetch(url, { method: 'POST', headers: { 'content-type': type }, body }).catch(
    (cause) => {
      const hint =
        'start it with `npm start`, or pass the address of a running service: `npm run example:iris -- http://localhost:9090`'
      throw new Error(`lossd is not running at ${origin}: ${hint}`, { cause })
    },
  )
  if (response.ok) return response
  const problem = await response.text()
  throw new Error(`${origin} responded with ${response.status}: ${problem.slice(0, 500)}`)
}

type Nested = readonly number[] | readonly (readonly number[])[]

/** u64 header length, JSON header, then the tensors' bytes. Matrices go as float64, a list as class labels. */
function writeSafetensors(
  tensors: Readonly<Record<string, Nested>>,
  options: Readonly<Record<string, unknown>>,
) {
  const metadata = Object.entries(options).map(([name, value]) => [name, JSON.stringify(value)])
  const header: Record<string, object> = { __metadata__: Object.fromEntries(metadata) }
  const parts: Uint8Array[] = []
  let offset = 0
  for (const [name, tensor] of Object.entries(tensors)) {
    const { dtype, shape, bytes } = pack(tensor)
    header[name] = { dtype, shape, data_offsets: [offset, offset + bytes.length] }
    offset += bytes.length
    parts.push(bytes)
  }
  const text = Buffer.from(JSON.stringify(header))
  const size = Buffer.alloc(8)
  size.writeBigUInt64LE(BigInt(text.length))
  return Uint8Array.from(Buffer.concat([size, text, ...parts]))
}

function pack(tensor: Nested): { dtype: string; shape: number[]; bytes: Uint8Array } {
  const first = tensor[0]
  if (typeof first === 'number') {
    return {
      dtype: 'I32',
      shape: [tensor.length],
      bytes: new Uint8Array(Int32Array.from(tensor as number[]).buffer),
    }
  }
  const numbers = Float64Array.from(tensor.flat() as number[])
  return { dtype: 'F64', shape: [tensor.length, first.length], bytes: new Uint8Array(numbers.buffer) }
}

function readSafetensors(body: ArrayBuffer): Record<string, number[]> {
  const length = Number(new DataView(body).getBigUint64(0, true))
  const header = JSON.parse(Buffer.from(body, 8, length).toString()) as Record<
    string,
    { data_offsets: number[] }
  >
  const names = Object.keys(header).filter((name) => name !== '__metadata__')
  return Object.fromEntries(
    names.map((name) => {
      const [from, to] = header[name].data_offsets
      return [name, Array.from(new Float64Array(body.slice(8 + length + from, 8 + length + to)))]
    }),
  )
}

function rowsOf(flat: readonly number[], width: number): number[][] {
  return Array.from({ length: flat.length / width }, (_, i) => flat.slice(i * width, (i + 1) * width))
}
