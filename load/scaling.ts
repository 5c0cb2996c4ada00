/**
 * `npm run load:scaling`: requests/s of cross_entropy 1024x10 in JSON for 1, 2, 4, 8 and 16 processes and threads, as far as the
 * machine has cores for them. The clients are processes of their own, and share the cores.
 */
import { spawn } from 'node:child_process'
import { cpus } from 'node:os'
import { bodyOf } from './bodies.ts'
import { perSecond, post } from './client.ts'
import { type Server, withService } from './processes.ts'
import { markdown } from './table.ts'

const COUNTS = [1, 2, 4, 8, 16]
const CONNECTIONS = 32
const [SECONDS, ROUNDS] = [4, 3]
const BODY = bodyOf({ loss: 'cross_entropy', format: 'json', rows: 1024, columns: 10 })
const cores = cpus().length
/** One client process for four cores: more would only take cores from the service. */
const CLIENTS = Math.max(1, Math.round(cores / 4))

const [role, target] = process.argv.slice(2)
if (role === '--client') console.log(perSecond(await post(target!, BODY, CONNECTIONS, { duration: SECONDS })))
else await compare()

async function compare() {
  const counts = COUNTS.filter((count) => count <= cores)
  const sides = counts.flatMap((processes) =>
    counts.filter((threads) => processes * threads <= 2 * cores).map((threads) => ({ processes, threads })),
  )
  const best = sides.map(() => 0)
  for (let round = 0; round < ROUNDS; round++)
    for (const [place, { processes, threads }] of sides.entries()) {
      const settings = {
        LOSSD_STORE: 'none',
        LOSSD_PROCESSES: String(processes),
        LOSSD_THREADS: String(threads),
      }
      best[place] = Math.max(best[place]!, await withService(settings, measure))
    }
  console.log(
    markdown({
      title: 'Processes and threads',
      about: `cross_entropy 1024x10 in JSON, ${CLIENTS * CONNECTIONS} connections of ${CLIENTS} client processes, ${cores} cores, Node ${process.version}. Requests/s, the best of ${ROUNDS} rounds of ${SECONDS} s.`,
      head: ['processes', ...counts.map((threads) => `${threads} thread${threads === 1 ? '' : 's'} each`)],
      rows: counts.map((processes) => [
        processes,
        ...counts.map((threads) => {
          const place = sides.findIndex((side) => side.processes === processes && side.threads === threads)
          return place < 0 ? undefined : Math.round(best[place]!)
        }),
      ]),
    }),
  )
}

async function measure({ url }: Server): Promise<number> {
  const target = `${url}/v1/losses/cross_entropy`
  await post(target, BODY, CONNECTIONS, { duration: 2 })
  const rates = await Promise.all(Array.from({ length: CLIENTS }, () => client(target)))
  return rates.reduce((sum, rate) => sum + rate, 0)
}

async function client(target: string): Promise<number> {
  const args = ['--import', 'tsx', 'load/scaling.ts', '--client', target]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  let text = ''
  for await (const data of child.stdout) text += data
  return Number(text)
}
