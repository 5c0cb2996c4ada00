/**
 * Large requests and responses: correct to the bit when concurrent, and memory is released whoever disconnects when.
 */
import { connect, type Socket } from 'node:net'
import { describe, expect, it } from 'vitest'
import { readSafetensors, safetensors, sharedServer, startServer } from '../support/server.ts'

const [ROWS, COLUMNS] = [1024, 500]
const COUNT = ROWS * COLUMNS

const server = sharedServer({ engine: 'compiled', threads: 2 })

/** Predictions that are `error` above the targets. The gradient of huber with reduction sum is the error, up to 1. */
function bodyOf(error: number, metadata: Record<string, unknown> = { reduction: 'sum' }): Buffer {
  const shape = [ROWS, COLUMNS]
  const column = (value: number) => ({
    dtype: 'F32',
    shape,
    bytes: new Uint8Array(new Float32Array(COUNT).fill(value).buffer),
  })
  return safetensors({ predictions: column(error), targets: column(0) }, metadata)
}

const TYPE = { 'content-type': 'application/x-safetensors' }
const head = (length: number) =>
  `POST /v1/losses/huber HTTP/1.1\r\nHost: lossd\r\nContent-Type: application/x-safetensors\r\nContent-Length: ${length}\r\n\r\n`

async function gradientOf(response: Response): Promise<number[]> {
  expect(response.status).toBe(200)
  const { tensors } = readSafetensors(Buffer.from(await response.arrayBuffer()))
  return tensors.get('gradients.predictions')!
}

/** Waits for what the server does a little after the client has its response. */
async function expectNothingHeld() {
  for (let i = 0; i < 100 && (await server.tensors()) > 0; i++)
    await new Promise((next) => setTimeout(next, 20))
  expect(await server.tensors()).toBe(0)
}

function speak(act: (socket: Socket) => void): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(server.port, '127.0.0.1')
    socket.on('error', () => {}).on('close', () => resolve())
    act(socket)
  })
}

describe('a large response', () => {
  it('belongs to its own request, concurrently and in sequence', async () => {
    const errors = [0.5, 0.25, 0.125, 0.75, 2, 0.375]
    const answers = await Promise.all(errors.map((error) => server.post('huber', bodyOf(error), TYPE)))
    for (const [i, answer] of answers.entries()) {
      const gradient = await gradientOf(answer)
      expect(gradient.length).toBe(COUNT)
      expect(gradient.every((g) => g === Math.min(1, errors[i]!))).toBe(true)
    }
    expect(
      (await gradientOf(await server.post('huber', bodyOf(0.0625), TYPE))).every((g) => g === 0.0625),
    ).toBe(true)
    await expectNothingHeld()
  })

  it('can have another dtype, or be JSON', async () => {
    const half = await server.post(
      'huber',
      bodyOf(0.5, { reduction: 'sum', gradient_dtype: 'float16' }),
      TYPE,
    )
    // The last tensor is the gradient with respect to the targets: -0.5.
    const bytes = Buffer.from(await half.arrayBuffer())
    expect(
      bytes.subarray(bytes.length - COUNT * 2).every((byte, i) => byte === (i % 2 === 0 ? 0 : 0xb8)),
    ).toBe(true)
    const json = await server.post('huber', bodyOf(0.5), { ...TYPE, accept: 'application/json' })
    const { gradients } = (await json.json()) as { gradients: { predictions: number[][] } }
    expect(gradients.predictions.flat().every((g) => g === 0.5)).toBe(true)
    await expectNothingHeld()
  })
})

describe('a client that disconnects', () => {
  it('during its body holds no memory', async () => {
    const body = bodyOf(0.5)
    await speak((socket) => {
      socket.write(head(body.length))
      socket.write(body.subarray(0, body.length / 2), () => socket.destroy())
    })
    await expectNothingHeld()
  })

  it('while its request is computed holds no memory', async () => {
    const body = bodyOf(0.5)
    await speak((socket) => {
      socket.write(head(body.length))
      socket.write(body, () => socket.destroy())
    })
    await expectNothingHeld()
  })

  it('during its response holds no memory, and others are served in the meantime', async () => {
    const body = bodyOf(0.5)
    const stuck: Socket[] = []
    const gone = Array.from({ length: 4 }, () =>
      speak((socket) => {
        stuck.push(socket)
        socket.once('data', () => socket.pause())
        socket.write(head(body.length))
        socket.write(body)
      }),
    )
    expect((await gradientOf(await server.post('huber', bodyOf(0.25), TYPE))).every((g) => g === 0.25)).toBe(
      true,
    )
    for (const socket of stuck) socket.destroy()
    await Promise.all(gone)
    await expectNothingHeld()
  })

  it('with pipelined requests holds no memory either', async () => {
    const body = bodyOf(0.5)
    await speak((socket) => {
      socket.once('data', () => socket.destroy())
      for (let i = 0; i < 3; i++) {
        socket.write(head(body.length))
        socket.write(body)
      }
    })
    await expectNothingHeld()
    expect((await gradientOf(await server.post('huber', bodyOf(0.5), TYPE))).every((g) => g === 0.5)).toBe(
      true,
    )
  })
})

describe('with little memory', () => {
  it('clients that do not read their responses do not block others', async () => {
    const small = await startServer({ engine: 'compiled', threads: 1, computeMemory: 32 * 2 ** 20 })
    const body = bodyOf(0.5)
    const stuck = Array.from({ length: 6 }, () => {
      const socket = connect(small.port, '127.0.0.1')
      socket.on('error', () => {})
      socket.write(head(body.length))
      socket.write(body)
      return socket.pause()
    })
    for (let i = 0; i < 3; i++) {
      const gradient = await gradientOf(await small.post('huber', bodyOf(0.25), TYPE))
      expect(gradient.every((g) => g === 0.25)).toBe(true)
    }
    for (const socket of stuck) socket.destroy()
    await small.close()
  })
})
