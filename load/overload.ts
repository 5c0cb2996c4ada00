/**
 * `npm run load:overload [-- --factor 5 --format json]`: measures what the service can do, sends several times as much whether it keeps
 * up or not (open loop), and then half as much. Prints how much is answered in time, how fast the rest is refused, and how long it takes
 * until nobody is refused any more. Exits with 1 if it misses the marks.
 */
import { cpus } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { bodyOf } from './bodies.ts'
import { cpuSeconds } from './process-info.ts'
import { type Server, withService } from './processes.ts'
import { quantile } from './quantile.ts'
import { RawClient } from './raw-client.ts'
import { markdown } from './table.ts'

const { values: flags } = parseArgs({
  options: {
    factor: { type: 'string', default: '5' },
    rows: { type: 'string', default: '1200' },
    format: { type: 'string', default: 'json' },
  },
})
/** Each request costs the engine much more than the event loop. */
const BODY = bodyOf({
  loss: 'nt_xent',
  format: flags.format === 'safetensors' ? 'safetensors' : 'json',
  rows: Number(flags.rows),
  columns: 4,
})
const DEADLINE_MS = 1000
/** Seconds of each part. */
const SECONDS = { peak: 5, overload: 8, after: 4 } as const
/** The first second of each part does not count. */
const SETTLE_MS = 1000
const MARKS = { goodput: 0.9, refusalMs: 20, recoveryMs: 1000 } as const

interface Sent {
  readonly at: number
  readonly ms: number
  readonly status: number
}

const found = await withService({ LOSSD_STORE: 'none' }, measure)
console.log(
  markdown({
    title: `${flags.factor} times the capacity`,
    about: `nt_xent ${flags.rows}x4 in ${flags.format} with a deadline of ${DEADLINE_MS} ms, ${cpus().length} cores, Node ${process.version}; the clients share the cores.`,
    head: ['', 'value', 'mark'],
    rows: [
      ['peak, answers/s', found.peak, ''],
      ['sent/s', found.offered, ''],
      ['goodput, answers in time/s', found.goodput, `>= ${MARKS.goodput * 100} % of the peak`],
      ['part of the peak', found.goodput / found.peak, ''],
      ['CPU time of the service for each answer at the peak, ms', found.cpu[0]!, ''],
      ['and under overload, with the refusals, ms', found.cpu[1]!, ''],
      ['accepted, but late or failed', found.late, ''],
      ['p99 of answers, ms', found.answers, `< ${DEADLINE_MS}`],
      ['p50 of refusals, ms', found.refusals[0]!, ''],
      ['p99 of refusals, ms', found.refusals[1]!, `<= ${MARKS.refusalMs}`],
      ['slowest refusal, ms', found.refusals[2]!, ''],
      ['recovery, ms', found.recoveryMs, `<= ${MARKS.recoveryMs}`],
    ],
  }),
)
const misses = [
  found.goodput < MARKS.goodput * found.peak && 'goodput',
  found.refusals[1]! > MARKS.refusalMs && 'refusals',
  found.recoveryMs > MARKS.recoveryMs && 'recovery',
].filter(Boolean)
for (const miss of misses) console.error(`FAIL ${miss}`)
process.exitCode = misses.length > 0 ? 1 : 0

async function measure({ url, pid }: Server) {
  const target = `${url}/v1/losses/nt_xent`
  await closedLoop(target, 2)
  const before = cpuSeconds(pid)
  const { answered: atPeak, rate: peak } = await closedLoop(target, SECONDS.peak)
  const between = cpuSeconds(pid)
  const factor = Number(flags.factor)
  const during = await openLoop(target, factor * peak, SECONDS.overload * 1000)
  const afterwards = cpuSeconds(pid)
  const ended = performance.now()
  const after = await openLoop(target, 0.5 * peak, SECONDS.after * 1000)
  const settled = during.filter(({ at }) => at - during[0]!.at > SETTLE_MS)
  const seconds = SECONDS.overload - SETTLE_MS / 1000
  const isGood = ({ status, ms }: Sent) => status === 200 && ms <= DEADLINE_MS
  const answered = during.filter(({ status }) => status === 200).length
  const refused = timesOf(settled.filter(({ status }) => status === 429 || status === 503))
  const failures = after.filter((one) => !isGood(one))
  return {
    peak,
    // What an answer costs the service at the peak, and what it costs together with the refusals beside it.
    cpu: [(between - before) / atPeak, (afterwards - between) / answered].map((s) => 1000 * s),
    offered: settled.length / seconds,
    goodput: settled.filter(isGood).length / seconds,
    late: settled.filter((one) => !isGood(one) && one.status !== 429 && one.status !== 503).length,
    answers: quantile(timesOf(settled.filter(({ status }) => status === 200)), 0.99),
    refusals: [quantile(refused, 0.5), quantile(refused, 0.99), refused.at(-1) ?? 0],
    recoveryMs: Math.max(0, ...failures.map(({ at }) => at - ended)),
  }
}

/** As many requests as are answered, from 16 clients. */
async function closedLoop(target: string, seconds: number): Promise<{ answered: number; rate: number }> {
  const client = clientOf(target)
  const began = performance.now()
  const end = began + seconds * 1000
  let answered = 0
  const ask = async () => {
    while (performance.now() < end) if ((await client.send()) === 200) answered++
  }
  await Promise.all(Array.from({ length: 16 }, ask))
  client.close()
  // The last ones are answered after the end.
  return { answered, rate: (answered * 1000) / (performance.now() - began) }
}

/** Requests at random moments, so many per second on average, however many are waiting. */
async function openLoop(target: string, rate: number, ms: number): Promise<Sent[]> {
  const client = clientOf(target, { 'X-Request-Timeout-Ms': String(DEADLINE_MS) })
  const sent: Promise<Sent>[] = []
  const began = performance.now()
  let due = 0
  const send = async (): Promise<Sent> => {
    const at = performance.now()
    const status = await client.send()
    return { at, ms: performance.now() - at, status }
  }
  while (performance.now() - began < ms) {
    while (due <= performance.now() - began) {
      sent.push(send())
      due -= (Math.log(1 - Math.random()) * 1000) / rate
    }
    await sleep(1)
  }
  const all = await Promise.all(sent)
  client.close()
  return all
}

function clientOf(url: string, headers: Readonly<Record<string, string>> = {}): RawClient {
  return new RawClient({
    url,
    body: Buffer.from(BODY.bytes),
    headers: { 'Content-Type': BODY.contentType, ...headers },
  })
}

function timesOf(sent: readonly Sent[]): number[] {
  return sent.map(({ ms }) => ms).sort((a, b) => a - b)
}
