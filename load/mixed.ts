/**
 * `npm run load:mixed [-- CLIENTS ...]`: small and large requests over the same port. Each client repeats: four of five
 * requests are huber 32x10, one is huber 512x100 (1 MB of JSON). Prints how long each kind takes beside the other.
 */
import { Agent, request } from 'node:http'
import { cpus } from 'node:os'
import { type Body, bodyOf } from './bodies.ts'
import { type Server, withService } from './processes.ts'
import { quantile } from './quantile.ts'
import { markdown } from './table.ts'

const SECONDS = 20
const WARM_SECONDS = 3
const LARGE_SHARE = 0.2
const KINDS = {
  small: bodyOf({ loss: 'huber', format: 'json', rows: 32, columns: 10 }),
  large: bodyOf({ loss: 'huber', format: 'json', rows: 512, columns: 100 }),
} as const
type Kind = keyof typeof KINDS

/** Milliseconds of each answered request, and how many were rejected. */
interface Found {
  readonly times: Record<Kind, number[]>
  rejected: number
}

const clients = process.argv.slice(2).map(Number)
console.log(`${cpus().length} cores, Node ${process.version}, closed loop, ${SECONDS} s each`)
const rows = []
for (const count of clients.length > 0 ? clients : [8, 32, 128, 512])
  rows.push([count, ...rowOf(await withService({}, (service) => mixedLoad(service, count)))])
console.log(
  markdown({
    title: 'Small and large requests',
    about: 'Milliseconds.',
    head: [
      'clients',
      'small p50',
      'small p99',
      'large p50',
      'large p99',
      'requests/s',
      'of them large',
      'rejected',
    ],
    rows,
  }),
)

async function mixedLoad({ url }: Server, count: number): Promise<Found> {
  const agent = new Agent({ keepAlive: true, maxSockets: count })
  const target = new URL('/v1/losses/huber', url)
  const found: Found = { times: { small: [], large: [] }, rejected: 0 }
  const measuredFrom = performance.now() + WARM_SECONDS * 1000
  const end = measuredFrom + SECONDS * 1000
  const client = async (seed: number) => {
    const random = generator(seed)
    while (performance.now() < end) {
      const kind: Kind = random() < LARGE_SHARE ? 'large' : 'small'
      const started = performance.now()
      const status = await send(target, agent, KINDS[kind])
      if (started < measuredFrom) continue
      if (status === 200) found.times[kind].push(performance.now() - started)
      else found.rejected++
    }
  }
  await Promise.all(Array.from({ length: count }, (_, i) => client(i + 1)))
  agent.destroy()
  return found
}

function rowOf({ times: { small, large }, rejected }: Found) {
  for (const times of [small, large]) times.sort((a, b) => a - b)
  const perSecond = (small.length + large.length) / SECONDS
  const shares = [quantile(small, 0.5), quantile(small, 0.99), quantile(large, 0.5), quantile(large, 0.99)]
  return [...shares, perSecond, large.length / SECONDS, rejected]
}

/** @returns the status; the body is read and dropped */
function send(target: URL, agent: Agent, { contentType, bytes }: Body): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': contentType, 'content-length': bytes.length }
    const sent = request(target, { method: 'POST', agent, headers }, (response) => {
      response.resume()
      response.on('end', () => resolve(response.statusCode!))
    })
    sent.on('error', reject)
    sent.end(bytes)
  })
}

/** A linear congruential generator (Numerical Recipes), so that every run sends the same requests. */
function generator(seed: number): () => number {
  let state = (seed * 2654435761) >>> 0
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
}
