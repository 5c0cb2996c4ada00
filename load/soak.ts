/**
 * `npm run load:soak [-- --minutes 10]`: everything at once for a long time: losses of the catalog in both formats, clients that leave
 * in the middle, own losses, formulas, wrong requests, and reloads by SIGHUP. Exits with 1 if the resident memory grows by more than 5 %
 * after the warm-up, if a handle, a tensor or a file is left when all clients have gone, or if an answer is wrong. The caches of losses and
 * formulas are filled first: what they keep is bounded, but at the rate of this load they would be full only near the end.
 */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { KeyRing } from '../test/support/key-ring.ts'
import { type Body, bodyOf } from './bodies.ts'
import { post } from './chaos/clients.ts'
import { FORMULAS } from './formulas.ts'
import { residentMB } from './process-info.ts'
import { type Server, startService } from './processes.ts'
import { median } from './quantile.ts'

const { values: flags } = parseArgs({ options: { minutes: { type: 'string', default: '10' } } })
const DURATION_MS = Number(flags.minutes) * 60_000
/** V8 finds its size, and glibc its. */
const WARM_UP = 0.4
const MOST_GROWTH = 0.05
const CLIENTS = 12
const SAMPLE_MS = 500
const RELOAD_MS = 5000

const LOSSES = ['cross_entropy', 'softmax_focal', 'triplet_margin', 'sigmoid_focal', 'huber', 'nt_xent']
const SIZES = [
  [8, 5],
  [64, 10],
  [512, 10],
] as const
const BODIES: readonly { readonly loss: string; readonly body: Body }[] = LOSSES.flatMap((loss) =>
  SIZES.flatMap(([rows, columns]) =>
    (['json', 'safetensors'] as const).map((format) => ({
      loss,
      body: bodyOf({ loss, format, rows, columns }),
    })),
  ),
)

const DEFINITION = {
  inputs: { predictions: { differentiable: true }, targets: {} },
  formula: '(predictions - targets)^2',
}
/** More than the caches of registered losses, and of formulas, have room for. */
const DIFFERENT = 5000
/** A thread that is started on first use stays, with a few descriptors. */
const SLACK: Held = { descriptors: 12, threads: 2, files: 0 }

const folder = mkdtempSync(join(tmpdir(), 'lossd-soak-'))
const ring = new KeyRing()
const key = await ring.add({ grants: ['register:soak'] })
const headers = { 'x-api-key': key }
const { server, stop } = await startService({
  LOSSD_STORE: `file:${folder}/lossd.db`,
  LOSSD_KEYS: `file:${ring.path}`,
})
const faults: string[] = []
const counts = new Map<string, number>()
/** How many there have been. */
const places = { registrations: 0, formulas: 0 }
try {
  await soak(server)
} finally {
  await stop()
  rmSync(folder, { recursive: true, force: true })
  ring.remove()
}
for (const fault of new Set(faults)) console.error(`FAIL ${fault}`)
process.exitCode = faults.length > 0 ? 1 : 0

async function soak({ url, pid }: Server) {
  await ask(`${url}/v1/losses`, JSON.stringify({ ...DEFINITION, name: 'soak/known' }))
  await fillCaches(url)
  await sleep(500)
  const before = held(pid)
  const end = performance.now() + DURATION_MS
  const isOver = () => performance.now() > end
  const samples: number[] = []
  const watch = setInterval(() => samples.push(residentMB(pid)), SAMPLE_MS)
  const reload = setInterval(() => process.kill(pid, 'SIGHUP'), RELOAD_MS)
  await Promise.all(Array.from({ length: CLIENTS }, (_, place) => work(url, place, isOver)))
  clearInterval(watch)
  clearInterval(reload)
  // Connections that were aborted end, too.
  await sleep(3000)
  const after = held(pid)
  judgeMemory(samples)
  judgeHandles(before, after)
  const tensors = /^lossd_engine_tensors (\d+)$/m.exec(await get(`${url}/metrics`))?.[1]
  if (tensors !== '0') faults.push(`the engine holds ${tensors} tensors`)
  console.log([...counts].map(([what, count]) => `${count} ${what}`).join(', '))
}

async function fillCaches(url: string) {
  const fill = async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    while (places.registrations < DIFFERENT) {
      await register(url, agent)
      await formula(url, agent)
    }
    agent.destroy()
  }
  await Promise.all(Array.from({ length: CLIENTS }, fill))
}

async function work(url: string, place: number, isOver: () => boolean) {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  for (let i = place; !isOver(); i++) {
    const kind = i % 16
    if (kind === 0) await abort(url, i)
    else if (kind === 1) await own(url, agent, i)
    else if (kind === 2) await formula(url, agent)
    else if (kind === 3) await wrong(url, agent)
    else if (kind === 4) await known(url, agent, i)
    else await catalog(url, agent, i)
  }
  agent.destroy()
}

async function catalog(url: string, agent: Agent, i: number) {
  const { loss, body } = BODIES[i % BODIES.length]!
  const { status, text } = await send(`${url}/v1/losses/${loss}`, agent, body)
  if (status !== 200) faults.push(`${loss} gets ${status}: ${text.slice(0, 100)}`)
  count(`of the catalog`)
}

/** An answer that is known. */
async function known(url: string, agent: Agent, i: number) {
  const x = (i % 1000) / 1000
  const { status, text } = await ask(`${url}/v1/losses/huber`, `{"predictions":[${x}],"targets":[0]}`, agent)
  if (status !== 200 || Math.abs(JSON.parse(text).loss - (x * x) / 2) > 1e-6)
    faults.push(`a wrong answer: ${text.slice(0, 100)}`)
  count('with a known answer')
}

async function own(url: string, agent: Agent, i: number) {
  if (i % 5 === 0) return register(url, agent)
  const { status } = await ask(`${url}/v1/losses/soak/known`, '{"predictions":[1,2],"targets":[0,0]}', agent)
  if (status !== 200) faults.push(`a registered loss gets ${status}`)
  count('of registered losses')
}

/** Each registration makes a new version. */
async function register(url: string, agent: Agent) {
  const place = places.registrations++
  const formula = `${DEFINITION.formula} + ${place}e-9 * (predictions - targets)`
  const { status, text } = await ask(
    `${url}/v1/losses`,
    JSON.stringify({ ...DEFINITION, formula, name: `soak/loss_${place % 20}` }),
    agent,
  )
  if (status !== 200 && status !== 201) faults.push(`a registration gets ${status}: ${text.slice(0, 100)}`)
  count('registrations')
}

async function formula(url: string, agent: Agent) {
  const body = JSON.stringify(FORMULAS.lines!(places.formulas++ % DIFFERENT))
  const { status, text } = await ask(`${url}/v1/losses:evaluate`, body, agent)
  if (status !== 200) faults.push(`a formula gets ${status}: ${text.slice(0, 100)}`)
  count('formulas')
}

async function wrong(url: string, agent: Agent) {
  const { status } = await ask(`${url}/v1/losses/huber`, '{"predictions":[1,2],"targets":[1]}', agent)
  if (status !== 422) faults.push(`a wrong request gets ${status}`)
  count('wrong')
}

/** Leaves in the middle of its body, or before it has read the answer. */
function abort(url: string, i: number): Promise<void> {
  const { loss, body } = BODIES[(i * 7) % BODIES.length]!
  return new Promise((resolve) => {
    const options = {
      method: 'POST',
      agent: false,
      headers: { ...headers, 'content-type': body.contentType, 'content-length': body.bytes.length },
    } as const
    const sent = request(`${url}/v1/losses/${loss}`, options, () => sent.destroy())
    sent.on('error', () => {}).on('close', resolve)
    if (i % 32 === 0) sent.end(body.bytes)
    else sent.write(body.bytes.subarray(0, body.bytes.length >> 1), () => sent.destroy())
    count('aborted')
  })
}

function ask(url: string, body: string, agent: Agent | false = false) {
  return post(url, agent, body, 60_000, headers)
}

function send(
  url: string,
  agent: Agent,
  { bytes, contentType }: Body,
): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const options = {
      method: 'POST',
      agent,
      headers: { ...headers, 'content-type': contentType, 'content-length': bytes.length },
    }
    const sent = request(url, options, (response) => {
      let text = ''
      response.on('data', (part) => {
        if (text.length < 1000) text += part
      })
      response.on('end', () => resolve({ status: response.statusCode!, text })).on('error', reject)
    })
    sent.on('error', reject)
    sent.end(bytes)
  })
}

async function get(url: string): Promise<string> {
  return (await fetch(url, { headers })).text()
}

function count(what: string) {
  counts.set(what, (counts.get(what) ?? 0) + 1)
}

function judgeMemory(samples: readonly number[]) {
  const flat = samples.slice(Math.ceil(samples.length * WARM_UP))
  const quarter = Math.floor(flat.length / 4)
  const [first, last] = [median(flat.slice(0, quarter)), median(flat.slice(-quarter))]
  const growth = last / first - 1
  console.log(`resident memory, median of each tenth, MB: ${tenthsOf(samples).map(Math.round).join(' ')}`)
  console.log(
    `resident memory: ${first.toFixed(0)} MB after the warm-up, ${last.toFixed(0)} MB at the end (${(100 * growth).toFixed(1)} %), peak ${Math.max(...samples).toFixed(0)} MB`,
  )
  if (growth > MOST_GROWTH) faults.push(`resident memory grows by ${(100 * growth).toFixed(1)} %`)
}

/** Whether it still grows at the end shows only here. */
function tenthsOf(samples: readonly number[]): number[] {
  const size = Math.ceil(samples.length / 10)
  return Array.from({ length: 10 }, (_, i) => median(samples.slice(i * size, (i + 1) * size)))
}

function judgeHandles(before: Held, after: Held) {
  console.log(
    `file descriptors ${before.descriptors} -> ${after.descriptors}, threads ${before.threads} -> ${after.threads}, files ${before.files} -> ${after.files}`,
  )
  for (const what of ['descriptors', 'threads', 'files'] as const)
    if (after[what] > before[what] + SLACK[what])
      faults.push(`${after[what] - before[what]} ${what} are left`)
}

interface Held {
  readonly descriptors: number
  readonly threads: number
  readonly files: number
}

function held(pid: number): Held {
  return {
    descriptors: readdirSync(`/proc/${pid}/fd`).length,
    threads: readdirSync(`/proc/${pid}/task`).length,
    files: readdirSync(folder).length,
  }
}
