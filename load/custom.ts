/**
 * `npm run load:custom`: measures the cost of custom losses: a formula that is sent with each request, compared with the
 * same formula in the catalog, the first request of a new formula, memory after thousands of formulas, registrations per
 * second, and how long other clients wait while one sends the most expensive formulas. `-- memory` runs only that part.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { bodyOf, type Workload } from './bodies.ts'
import { perSecond, post } from './client.ts'
import { FORMULAS, HOSTILE } from './formulas.ts'
import { residentMB } from './process-info.ts'
import { type Server, withService } from './processes.ts'
import { inTurn } from './rounds.ts'
import { markdown } from './table.ts'

const quick = process.argv.includes('--quick')
const [SECONDS, ROUNDS] = quick ? [1, 1] : [3, 5]
const MANY = quick ? 500 : 10_000
/** Maximum resident memory of the service, whatever the number of different formulas. */
const MOST_MB = 300

/** The catalog's huber, as a user would define it. */
const HUBER = {
  inputs: {
    predictions: { axes: '...', differentiable: true },
    targets: { axes: '...', differentiable: true },
  },
  params: { delta: { type: 'number', exclusiveMinimum: 0, default: 1 } },
  formula: 'r = abs(predictions - targets)\nr <= delta ? r * r / 2 : delta * (r - delta / 2)',
}

const JSON_TYPE = { 'content-type': 'application/json' }
const TENSORS = { predictions: [0.5, 1, 2], targets: [0, 0, 0] }

const PARTS: Readonly<Record<string, (service: Server) => Promise<void>>> = {
  first: timeFirstRequests,
  catalog: compareWithCatalog,
  memory: watchMemory,
  register,
  hostile: shareWithHostile,
}

const chosen = process.argv.slice(2).filter((word) => word in PARTS)
console.log(`${cpus().length} cores, Node ${process.version}, medians of ${ROUNDS} rounds of ${SECONDS} s\n`)
// Each part has its own service, so that none is affected by the memory of another.
for (const [name, measure] of Object.entries(PARTS)) {
  if (chosen.length > 0 && !chosen.includes(name)) continue
  const folder = mkdtempSync(join(tmpdir(), 'lossd-'))
  try {
    await withService({ LOSSD_STORE: `file:${folder}/lossd.db` }, measure)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function compareWithCatalog({ url }: Server) {
  const rows = []
  for (const format of ['json', 'safetensors'] as const) {
    for (const size of [32, 1024]) {
      const work: Workload = { loss: 'huber', format, rows: size, columns: 10 }
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

async function timeFirstRequests({ url }: Server) {
  // The first `fetch` of a process loads the client, which takes longer than most formulas.
  await send(`${url}/v1/losses/huber`, TENSORS)
  const times: number[] = []
  for (let i = 0; i < 50; i++) {
    const started = performance.now()
    await send(`${url}/v1/losses:evaluate`, FORMULAS.lines(i))
    times.push(performance.now() - started)
  }
  const sorted = times.toSorted((a, b) => a - b)
  const [first] = times
  console.log(
    `First request of a new formula of ten lines: median ${sorted[25]!.toFixed(1)} ms, slowest of 50 ${sorted[49]!.toFixed(1)} ms, the very first ${first!.toFixed(1)} ms\n`,
  )
}

/** All kinds of formulas in turn, all of them different. Every second request is large enough for the thread pool. */
async function watchMemory({ url, pid }: Server) {
  const kinds = Object.values(FORMULAS)
  const before = residentMiB(pid)
  let peak = before
  const started = performance.now()
  for (let i = 0; i < MANY; i++) {
    const make = kinds[i % kinds.length]!
    await send(`${url}/v1/losses:evaluate`, make(1000 + i, i % 2 === 0 ? 2 : 2000))
    if (i % 50 === 0) peak = Math.max(peak, residentMiB(pid))
  }
  const each = (performance.now() - started) / MANY
  const parts = await memoryParts(url)
  console.log(
    `${MANY} different formulas in a row (${each.toFixed(1)} ms each): resident memory ${before.toFixed(0)} MB before, ${residentMiB(pid).toFixed(0)} MB after, peak ${peak.toFixed(0)} MB; ${parts}\n`,
  )
  if (peak <= MOST_MB) return
  console.error(`resident memory exceeded ${MOST_MB} MB`)
  process.exitCode = 1
}

async function memoryParts(url: string): Promise<string> {
  const metrics = await (await fetch(`${url}/metrics`)).text()
  const read = (name: string) => Number(new RegExp(`^${name} (\\S+)`, 'm').exec(metrics)![1]) / 2 ** 20
  const [heap, external] = [read('nodejs_heap_size_total_bytes'), read('nodejs_external_memory_bytes')]
  return `main heap ${heap.toFixed(0)} MB, external ${external.toFixed(0)} MB`
}

/** In units of 2^20 bytes, as everything that this file prints. */
const residentMiB = (pid: number) => (residentMB(pid) * 1e6) / 2 ** 20

async function register({ url }: Server) {
  const count = quick ? 50 : 500
  const started = performance.now()
  const each = Array.from({ length: count }, (_, i) => i)
  await Promise.all(
    Array.from({ length: 8 }, async () => {
      for (let i = each.pop(); i !== undefined; i = each.pop()) {
        const formula = `${HUBER.formula} + ${i}e-6 * r`
        await send(`${url}/v1/losses`, { name: `load/loss_${i}`, ...HUBER, formula })
      }
    }),
  )
  const seconds = (performance.now() - started) / 1000
  console.log(`Registered ${(count / seconds).toFixed(0)} losses a second on SQLite, 8 connections\n`)
}

/** A client that repeats a request of the catalog, alone and next to one that keeps sending expensive formulas. */
async function shareWithHostile({ url }: Server) {
  const rows = []
  const nobody: (typeof HOSTILE)[string] | undefined = undefined
  const all: Record<string, (typeof HOSTILE)[string] | undefined> = { nobody, ...HOSTILE }
  for (const [name, make] of Object.entries(all)) {
    let isOver = false
    let sent = 0
    const hostile = async () => {
      for (; make !== undefined && !isOver; sent++) {
        const { path, body } = make(sent)
        await fetch(url + path, { method: 'POST', headers: JSON_TYPE, body }).then((answer) => answer.text())
      }
    }
    const loop = hostile()
    const times = await repeat(`${url}/v1/losses/huber`, SECONDS * 1000)
    isOver = true
    await loop
    const at = (share: number) => times[Math.min(times.length - 1, Math.floor(times.length * share))]!
    rows.push([name, sent, times.length, at(0.5), at(0.99), at(1)])
  }
  const head = ['beside', 'requests of it', 'requests of huber', 'median ms', 'p99 ms', 'slowest ms']
  console.log(markdown({ title: 'huber 3 elements, one after the other', about: '', head, rows }))
}

/** @returns milliseconds of each request, sorted */
async function repeat(url: string, ms: number): Promise<number[]> {
  const times: number[] = []
  for (const end = performance.now() + ms; performance.now() < end; ) {
    const started = performance.now()
    await send(url, TENSORS)
    times.push(performance.now() - started)
  }
  return times.sort((a, b) => a - b)
}
