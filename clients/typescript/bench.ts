/** Microseconds of value and gradient, as JSON lines: `npm run bench:clients` runs this. */
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
