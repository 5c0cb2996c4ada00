/** The client itself: traced losses, offline work, refusals, retries, TensorFlow.js, a training. */
import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { irisRows } from '../../../examples/rows.ts'
import {
  AbiMismatch,
  Client,
  DeadlineExceeded,
  InvalidRequest,
  KernelRejected,
  Loss,
  ops,
  ServiceFailed,
  ServiceUnreachable,
  TraceError,
  traced,
  where,
} from '../src/index.ts'
import { checkAbi } from '../src/kernel.ts'
import { fileStore, keepAliveFetch } from '../src/node.ts'
import { tfLoss } from '../src/tfjs.ts'

const client = new Client(process.env.LOSSD_URL, { log: () => {} })
const DEAD = 'http://127.0.0.1:9'
const folder = () => mkdtempSync(join(tmpdir(), 'lossd-'))
const pair = { predictions: [1, 5], targets: [1, 2] }

describe('a traced loss', () => {
  it('is a formula, computed in both places', async () => {
    for (const mode of ['local', 'remote'] as const) {
      const cauchy = traced(
        { inputs: ['predictions', 'targets'], params: { scale: 2 }, mode, client },
        ({ predictions, targets }, { scale }) => ops.log1p!(predictions!.sub(targets!).div(scale).pow(2)),
      )
      assert.equal(cauchy.formula, 'log1p(((predictions - targets) / scale)^2)')
      const [value, gradient] = await cauchy.valueAndGradient({ predictions: [1, 5], targets: [0, 0] })
      assert.ok(Math.abs(value - 1.1020725) < 1e-6)
      assert.deepEqual(
        [...gradient.data].map((x) => x.toFixed(6)),
        ['0.200000', '0.172414'],
      )
    }
  })

  it('has parentheses where operators need them', () => {
    const formulaOf = (body: Parameters<typeof traced>[1]) => traced({ inputs: ['x', 'y'] }, body).formula
    assert.equal(
      formulaOf(({ x, y }) => x!.sub(y!.sub(1))),
      'x - (y - 1)',
    )
    assert.equal(
      formulaOf(({ x, y }) => x!.sub(y!).sub(1)),
      'x - y - 1',
    )
    assert.equal(
      formulaOf(({ x, y }) => x!.div(y!.mul(-2))),
      'x / (y * -2)',
    )
    assert.equal(
      formulaOf(({ x, y }) => where(x!.less(y!), x!, 1).mul(2)),
      '(x < y ? x : 1) * 2',
    )
  })

  it('refuses what no formula can say', () => {
    const trace = (body: Parameters<typeof traced>[1]) => () => traced({ inputs: ['x'] }, body)
    assert.throws(
      trace(({ x }) => ((x as unknown as number) * 2) as never),
      TraceError,
    )
    assert.throws(
      trace(({ x }) => x!.add(Number.NaN)),
      TraceError,
    )
    assert.throws(
      trace(() => 1 as never),
      TraceError,
    )
  })
})

describe('local kernels', () => {
  it('work without the service once they are in the store', async () => {
    const store = fileStore(folder())
    const online = new Client(client.url, { store })
    await new Loss('huber', { mode: 'local', client: online }).value(pair)
    const offline = new Client(DEAD, { store, retries: 0 })
    for (const mode of ['local', 'auto'] as const) {
      const loss = new Loss('huber', { mode, client: offline, params: { delta: 2 } })
      const [value, gradient] = await loss.valueAndGradient(pair)
      assert.deepEqual([value, ...gradient.data], [2, 0, 1])
      await assert.rejects(loss.value(pair, { params: { delta: -1 } }), (error) => {
        assert.ok(error instanceof InvalidRequest)
        return error.pointer === '/params/delta' && /must be a number > 0, got -1/.test(error.detail)
      })
    }
  })

  it('are refused if their bytes have changed', async () => {
    const own = folder()
    await new Loss('huber', {
      mode: 'local',
      client: new Client(client.url, { store: fileStore(own) }),
    }).value(pair)
    const [file] = readdirSync(join(own, 'kernels'))
    const path = join(own, 'kernels', file!)
    writeFileSync(path, readFileSync(path).subarray(0, -1))
    const again = new Client(client.url, { store: fileStore(own) })
    await assert.rejects(new Loss('huber', { mode: 'local', client: again }).value(pair), KernelRejected)
  })

  it('say what to install for another ABI', () => {
    assert.throws(
      () => checkAbi({ abi: 2 }),
      (error) => error instanceof AbiMismatch && /npm install/.test(error.message),
    )
  })

  it('compute without a promise once they are compiled', async () => {
    const loss = new Loss('huber', { mode: 'local', client, params: { delta: 2 } })
    const step = await loss.compile(pair)
    assert.equal(step(pair).loss, 2)
    assert.equal(step({ predictions: [1, 5, 1], targets: [1, 2, 1] }, { reduction: 'sum' }).loss, 4)
    assert.throws(() => step({ predictions: [1], targets: [1, 2] }), InvalidRequest)
  })
})

describe('the service', () => {
  const served = async (left: number, run: (own: Client, seen: string[]) => Promise<void>) => {
    const seen: string[] = []
    const server = createServer((request, response) => {
      seen.push(String(request.headers.authorization))
      const body = {
        type: 'urn:lossd:problem:draining',
        title: 't',
        detail: 'd',
        errors: [],
        retryable: true,
      }
      if (seen.length <= left) response.writeHead(503, { 'retry-after': '0' }).end(JSON.stringify(body))
      else response.end('{"losses":[]}')
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    try {
      await run(new Client(url, { retries: 2, apiKey: 'secret', log: () => {} }), seen)
    } finally {
      server.closeAllConnections()
      server.close()
    }
  }

  it('is asked again while it refuses for the moment, and a bounded number of times', async () => {
    await served(2, async (own, seen) => {
      assert.deepEqual(await own.catalog(), [])
      assert.deepEqual(seen, ['Bearer secret', 'Bearer secret', 'Bearer secret'])
    })
    await served(9, async (own, seen) => {
      await assert.rejects(
        own.catalog(),
        (error) => error instanceof ServiceFailed && error.code === 'draining',
      )
      assert.equal(seen.length, 3)
    })
  })

  it('has its catalog in pages, which are followed', async () => {
    const asked: (string | undefined)[] = []
    const server = createServer((request, response) => {
      asked.push(request.url)
      const isFirst = !request.url?.includes('after')
      response.end(
        JSON.stringify({ losses: [{ name: isFirst ? 'a/b c' : 'a/d' }], next: isFirst ? 'b c' : undefined }),
      )
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const own = new Client(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
    assert.deepEqual(await own.catalog('a'), [{ name: 'a/b c' }, { name: 'a/d' }])
    assert.deepEqual(asked, ['/v1/losses?namespace=a', '/v1/losses?namespace=a&after=b+c'])
    server.closeAllConnections()
    server.close()
  })

  it('that does not answer is an error after the deadline, and one that is not there at once', async () => {
    const silent = createServer(() => {})
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
    const url = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`
    await assert.rejects(new Client(url, { timeout: 200 }).catalog(), DeadlineExceeded)
    silent.closeAllConnections()
    silent.close()
    await assert.rejects(new Client(DEAD, { retries: 0 }).catalog(), ServiceUnreachable)
  })

  it('stops waiting when the caller does', async () => {
    const signal = AbortSignal.abort(new Error('enough'))
    const loss = new Loss('huber', { mode: 'remote', client })
    await assert.rejects(loss.evaluate(pair, { signal }), /enough/)
  })
})

/** Softmax regression on the iris data. */
const irisOf = () => {
  const rows = irisRows()
  const features = rows.map((row) => row.slice(0, 4))
  const means = [0, 1, 2, 3].map((k) => features.reduce((sum, row) => sum + row[k]!, 0) / rows.length)
  return {
    x: features.map((row) => row.map((value, k) => value - means[k]!)),
    y: Int32Array.from(rows, (row) => row[4]!),
  }
}

describe('connections of Node', () => {
  it('stay open, and carry the same losses, problems and deadlines', async () => {
    const ports = new Set<number | undefined>()
    const server = createServer((request, response) => {
      ports.add(request.socket.remotePort)
      if (request.url === '/v1/losses') response.end('{"losses":[]}')
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const own = new Client(url, { fetch: keepAliveFetch(), timeout: 200 })
    for (let i = 0; i < 5; i++) await own.catalog()
    assert.equal(ports.size, 1)
    await assert.rejects(own.describe('huber'), DeadlineExceeded)
    server.closeAllConnections()
    server.close()
    const service = new Client(client.url, { fetch: keepAliveFetch() })
    const huber = new Loss('huber', { mode: 'remote', client: service, params: { delta: 2 } })
    assert.equal(await huber.value(pair), 2)
    await assert.rejects(huber.value({ predictions: [1], targets: [1, 2] }), InvalidRequest)
  })
})

describe('a training', () => {
  const train = async (
    gradientOf: (logits: Float32Array, y: Int32Array) => Promise<ArrayLike<number>>,
  ): Promise<number[]> => {
    const { x, y } = irisOf()
    const w = new Float64Array(12)
    for (let step = 0; step < 60; step++) {
      const logits = Float32Array.from({ length: 3 * x.length }, (_, i) =>
        x[Math.floor(i / 3)]!.reduce((sum, value, k) => sum + value * w[3 * k + (i % 3)]!, 0),
      )
      const gradient = await gradientOf(logits, y)
      for (let k = 0; k < 4; k++)
        for (let c = 0; c < 3; c++)
          for (let row = 0; row < x.length; row++) w[3 * k + c]! -= 0.3 * x[row]![k]! * gradient[3 * row + c]!
    }
    return [...w]
  }
  const own = async (logits: Float32Array, y: Int32Array) => {
    const gradient = new Float64Array(logits.length)
    for (let row = 0; row < y.length; row++) {
      const exps = [0, 1, 2].map((c) => Math.exp(logits[3 * row + c]!))
      const total = exps.reduce((a, b) => a + b, 0)
      exps.forEach((e, c) => {
        gradient[3 * row + c] = (e / total - Number(c === y[row])) / y.length
      })
    }
    return gradient
  }

  for (const mode of ['local', 'remote'] as const) {
    it(`ends at the weights of a gradient by hand, ${mode}`, async () => {
      const loss = new Loss('cross_entropy', { mode, client })
      const got = await train(async (logits, y) => {
        const predictions = { shape: [y.length, 3], data: logits }
        return (await loss.valueAndGradient({ predictions, targets: y }))[1].data
      })
      const want = await train(own)
      assert.ok(Math.max(...want.map(Math.abs)) > 0.5)
      got.forEach((weight, i) => {
        assert.ok(Math.abs(weight - want[i]!) < 1e-5, `${weight}, expected ${want[i]}`)
      })
    })
  }

  it('with TensorFlow.js ends at the weights of a gradient by hand', async () => {
    const tf = await import('@tensorflow/tfjs-core')
    await import('@tensorflow/tfjs-backend-cpu')
    await tf.setBackend('cpu')
    const { x, y } = irisOf()
    const labels = tf.tensor1d(Array.from(y))
    const loss = new Loss('huber', { client, params: { delta: 0.5 } })
    const huber = await tfLoss(tf as never, loss, { predictions: labels, targets: labels } as never)
    const gradient = tf.grads((p, t) => huber(p as never, t as never) as never)
    const trained = (gradientOf: (p: Float32Array) => ArrayLike<number>) => {
      const w = [0, 0, 0, 0]
      for (let step = 0; step < 60; step++) {
        const p = Float32Array.from(x, (row) => row.reduce((sum, value, k) => sum + value * w[k]!, 0))
        const g = gradientOf(p)
        w.forEach((_, k) => {
          w[k]! -= 0.1 * x.reduce((sum, row, i) => sum + row[k]! * g[i]!, 0)
        })
      }
      return w
    }
    // The upstream gradient of a sum of two losses is 1/2 for each of them.
    const got = trained((p) => gradient([tf.tensor1d(p), labels], tf.scalar(0.5) as never)[0]!.dataSync())
    const want = trained((p) =>
      p.map((value, i) => Math.max(-0.5, Math.min(0.5, value - y[i]!)) / p.length / 2),
    )
    assert.ok(Math.max(...want.map(Math.abs)) > 0.1)
    got.forEach((weight, i) => {
      assert.ok(Math.abs(weight - want[i]!) < 1e-5, `${weight}, expected ${want[i]}`)
    })
  })
})
