/**
 * `npm run load:custom`: measures the cost of custom losses: a formula that is sent with each request compared with the
 * same formula in the catalog, the first request of a new formula, memory after thousands of formulas, and registrations
 * per second.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { bodyOf, type Work } from './bodies.ts'
import { perSecond, post } from './client.ts'
import { type Server, withService } from './processes.ts'
import { inTurn } from './rounds.ts'
import { markdown } from './table.ts'

const quick = process.argv.includes('--quick')
const [SECONDS, ROUNDS] = quick ? [1, 1] : [3, 5]
const FORMULAS = quick ? 500 : 10_000

/** The catalog's huber, as a user would define it. */
const HUBER = {
  inputs: {
    predictions: { axes: '...', differentiable: true },
    targets: { axes: '...', differentiable: true },
  },
  params: { delta: { type: 'number', exclusiveMinimum: 0, default: 1 } },
  formula: 'r = abs(predictions - targets)\nr <= delta ? r * r / 2 : delta * (r - delta / 2)',
}

const TENSORS = { predictions: [0.5, 1, 2], targets: [0, 0, 0] }

const folder = mkdtempSync(join(tmpdir(), 'lossd-'))
try {
  await withService({ LOSSD_STORE: `file:${folder}/lossd.db` }, measureAll)
} finally {
  rmSync(folder, { recursive: true, force: true })
}

async function measureAll(service: Server) {
  console.log(
    `${cpus().length} cores, Node ${process.version}, medians of ${ROUNDS} rounds of ${SECONDS} s\n`,
  )
  await compareWithCatalog(service)
  await timeFirstRequests(service)
  await watchMemory(service)
  await register(service)
}

async function compareWithCatalog({ url }: Server) {
  const rows = []
  for (const format of ['json', 'safetensors'] as const) {
    for (const size of [32, 1024]) {
      const work: Work = { loss: 'huber', format, rows: size, columns: 10 }
      const sides = [
        { url: `${url}/v1/losses/huber`, body: bodyOf(work) },
        {
          url: `${url}/v1/losses:evaluate`,
          body: bodyOf({ ...work, members: { definition: HUBER } }),
        },
      ]
      const load = (side: (typeof sides)[number]) => post(side.url, side.body, 8, { duration: SECONDS })
      for (const side of sides) await post(side.url, side.body, 8, { duration: 0.5 })
      const [catalog, inline] = await inTurn(sides, ROUNDS, load, perSecond)
      rows.push([
        format,
        `${size}x10`,
        perSecond(catalog!),
        perSecond(inline!),
        perSecond(inline!) / perSecond(catalog!),
      ])
    }
  }
  const head = ['format', 'size', 'catalog requests/s', 'definition with each request', 'ratio']
  console.log(markdown({ title: 'huber, 8 connections', about: '', head, rows }))
}

async function send(url: string, body: object): Promise<Response> {
  const headers = { 'content-type': 'application/json' }
  const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) })
  const text = await response.text()
  if (!response.ok) throw new Error(text)
  return response
}

/** A different formula of ten lines for each number. */
function formulaOf(seed: number): string {
  const lines = Array.from(
    { length: 8 },
    (_, i) => `a${i} = ${i === 0 ? 'r' : `a${i - 1}`} * ${seed + i}e-6 + tanh(r * ${i + 1}) / ${i + 2}`,
  )
  return `r = predictions - targets\n${lines.join('\n')}\nlog1p(a7 * a7) + r^2`
}

async function timeFirstRequests({ url }: Server) {
  const times: number[] = []
  for (let i = 0; i < 50; i++) {
    const started = performance.now()
    await send(`${url}/v1/losses:evaluate`, { formula: formulaOf(i), ...TENSORS })
    times.push(performance.now() - started)
  }
  const sorted = times.toSorted((a, b) => a - b)
  const [first] = times
  console.log(
    `First request of a new formula of ten lines: median ${sorted[25]!.toFixed(1)} ms, slowest of 50 ${sorted[49]!.toFixed(1)} ms, the very first ${first!.toFixed(1)} ms\n`,
  )
}

async function watchMemory({ url, pid }: Server) {
  const before = residentMB(pid)
  let peak = before
  for (let i = 0; i < FORMULAS; i++) {
    await send(`${url}/v1/losses:evaluate`, { formula: formulaOf(1000 + i), ...TENSORS })
    if (i % 50 === 0) peak = Math.max(peak, residentMB(pid))
  }
  console.log(
    `${FORMULAS} different formulas in a row: resident memory ${before.toFixed(0)} MB before, ${residentMB(pid).toFixed(0)} MB after, peak ${peak.toFixed(0)} MB\n`,
  )
}

function residentMB(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  return Number(/VmRSS:\s+(\d+)/.exec(status)![1]) / 1024
}

async function register({ url }: Server) {
  const count = quick ? 50 : 500
  const started = performance.now()
  const each = Array.from({ length: count }, (_, i) => i)
  await Promise.all(
    Array.from({ length: 8 }, async () => {
      for (let i = each.pop(); i !== undefined; i = each.pop()) {
        await send(`${url}/v1/losses`, { name: `load/loss_${i}`, ...HUBER })
      }
    }),
  )
  const seconds = (performance.now() - started) / 1000
  console.log(`Registered ${(count / seconds).toFixed(0)} losses a second on SQLite, 8 connections\n`)
}
