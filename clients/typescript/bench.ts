/** Microseconds of value and gradient or, with `auto`, where that computes, as JSON lines: `npm run bench:clients` runs this. */
import { Client, Loss, type Tensors } from './src/index.ts'
import { keepAliveFetch } from './src/node.ts'

const client = new Client(process.env.LOSSD_URL, { fetch: keepAliveFetch() })
const SIZES = [
  [32, 10],
  [1024, 10],
  [1024, 1000],
] as const

/** One call, or many where the clock does not resolve one. */
function timesFor(milliseconds: number): number {
  return milliseconds > 0.05 ? 1 : 1000
}

function best(call: () => unknown): number {
  for (let i = 0; i < 200; i++) call()
  let started = performance.now()
  call()
  let least = performance.now() - started
  const times = timesFor(least)
  for (const until = performance.now() + 500; performance.now() < until; ) {
    started = performance.now()
    for (let i = 0; i < times; i++) call()
    least = Math.min(least, (performance.now() - started) / times)
  }
  return least * 1000
}

async function bestOf(call: () => Promise<unknown>): Promise<number> {
  for (let i = 0; i < 20; i++) await call()
  let started = performance.now()
  await call()
  let least = performance.now() - started
  const times = timesFor(least)
  for (const until = performance.now() + 500; performance.now() < until; ) {
    started = performance.now()
    for (let i = 0; i < times; i++) await call()
    least = Math.min(least, (performance.now() - started) / times)
  }
  return least * 1000
}

function report(where: string, loss: string, rows: number, columns: number, us: number) {
  console.log(JSON.stringify({ client: 'TypeScript', where, loss, rows, columns, us }))
}

async function clients() {
  for (const [rows, columns] of SIZES) {
    const random = () => Float32Array.from({ length: rows * columns }, () => Math.random() - 0.5)
    const predictions = { shape: [rows, columns], data: random() }
    const labels = Int32Array.from({ length: rows }, (_, i) => i % columns)
    const inputs: readonly (readonly [string, Tensors])[] = [
      ['huber', { predictions, targets: { shape: [rows, columns], data: random() } }],
      ['cross_entropy', { predictions, targets: labels }],
    ]
    for (const [name, tensors] of inputs) {
      const step = await new Loss(name, { client }).compile(tensors)
      report(
        'local',
        name,
        rows,
        columns,
        best(() => step(tensors)),
      )
      const remote = new Loss(name, { client, mode: 'remote' })
      report('remote', name, rows, columns, await bestOf(() => remote.evaluate(tensors)))
    }
  }
}

/** Where `auto` computes, beside the times of both places. */
async function sweep() {
  const auto = new Loss('cross_entropy', { client })
  const remote = new Loss('cross_entropy', { client, mode: 'remote' })
  const local = new Loss('cross_entropy', { client, mode: 'local' })
  for (let exponent = 0; exponent < 20; exponent++) {
    const rows = Math.trunc(2 ** (exponent * 0.75))
    const predictions = {
      shape: [rows, 100],
      data: Float32Array.from({ length: 100 * rows }, () => Math.random() - 0.5),
    }
    const tensors = { predictions, targets: Int32Array.from({ length: rows }, (_, i) => i % 100) }
    let chosen = ''
    for (let i = 0; i < 10; i++) chosen = (await auto.evaluate(tensors)).where
    const times = { local: await leastOf(20, local, tensors), remote: await leastOf(20, remote, tensors) }
    console.log(JSON.stringify({ client: 'TypeScript', size: rows, ...times, chosen }))
  }
}

async function leastOf(calls: number, loss: Loss, tensors: Tensors): Promise<number> {
  let least = Number.POSITIVE_INFINITY
  for (let i = 0; i < calls; i++) {
    const started = performance.now()
    await loss.evaluate(tensors)
    least = Math.min(least, performance.now() - started)
  }
  return least * 1000
}

await (process.argv[2] === 'auto' ? sweep() : clients())
