/** What the service costs its process: memory, and event loop delay. */
import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { bodyOf } from '../bodies.ts'
import { failed, perSecond, post, type RoundLength } from '../client.ts'
import { type Server, withService } from '../processes.ts'
import { FORMATS, SIZES } from '../scenarios.ts'
import type { Cell, Table } from '../table.ts'
import type { PartContext } from './part.ts'

const [SMALL, , LARGE] = SIZES

/** Each format has a service of its own, so that the peak is that of small requests. */
export async function memory({ quick, say }: PartContext): Promise<Table> {
  const requests = quick ? 1000 : 100_000
  const rows: Cell[][] = []
  for (const format of FORMATS) {
    say(`http: memory over ${requests} requests, ${format}`)
    rows.push(await withService({}, (service) => memoryOf(service, format, requests)))
  }
  return {
    title: 'Memory of the server',
    about: `Resident memory of the process in MB while it serves sigmoid_focal 32x10 over ${SMALL.connections} connections, after a warm-up and after ${requests} more requests. Read from /proc/PID/status (VmRSS, peak VmHWM), which only Linux has.`,
    head: ['format', 'at start', 'warm', `after ${requests}`, 'peak', 'requests/s', 'failed'],
    rows,
  }
}

async function memoryOf(
  service: Server,
  format: (typeof FORMATS)[number],
  requests: number,
): Promise<Cell[]> {
  const start = await residentMB(service, 'VmRSS')
  const body = bodyOf({ ...SMALL, loss: 'sigmoid_focal', format })
  const load = (amount: number) =>
    post(`${service.url}/v1/losses/sigmoid_focal`, body, SMALL.connections, { amount })
  await load(requests / 10)
  const warm = await residentMB(service, 'VmRSS')
  const result = await load(requests)
  const [after, peak] = [await residentMB(service, 'VmRSS'), await residentMB(service, 'VmHWM')]
  return [format, start, warm, after, peak, perSecond(result), failed(result)]
}

/** `undefined` if there is no /proc. */
async function residentMB({ pid }: Server, line: 'VmRSS' | 'VmHWM'): Promise<number | undefined> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
  const kB = new RegExp(`^${line}:\\s*(\\d+) kB$`, 'm').exec(status)?.[1]
  return kB === undefined ? undefined : Number(kB) / 1e3
}

/** The event loop delay when idle, and while large requests are read, computed elsewhere and written. */
export async function eventLoop(service: Server, { quick, say }: PartContext): Promise<Table> {
  const seconds = quick ? 1 : 10
  say('http: event loop')
  const body = bodyOf({ ...LARGE, loss: 'huber', format: 'safetensors' })
  const load = (span: RoundLength) => post(`${service.url}/v1/losses/huber`, body, LARGE.connections, span)
  await load({ amount: LARGE.connections * 2 })
  const idle = await delaysWhile(service, () => sleep(seconds * 1e3))
  const loaded = await delaysWhile(service, () => load({ duration: seconds }))
  return {
    title: 'Event loop delay',
    about: `\`nodejs_eventloop_lag_*_seconds\` of \`GET /metrics\` over ${seconds} s, in ms: idle, and with ${LARGE.connections} huber requests of ${(body.bytes.length / 1e6).toFixed(0)} MB safetensors in flight. Node measures the interval of a 10 ms timer, so an idle loop also shows 10 ms.`,
    head: ['state', 'requests/s', 'p50', 'p99', 'max'],
    rows: [
      ['idle', undefined, ...idle.milliseconds],
      ['loaded', perSecond(loaded.result), ...loaded.milliseconds],
    ],
  }
}

async function delaysWhile<Result>(service: Server, act: () => Promise<Result>) {
  // Reading the metrics resets them.
  await delays(service)
  const result = await act()
  return { result, milliseconds: await delays(service) }
}

async function delays({ url }: Server): Promise<number[]> {
  const text = await (await fetch(`${url}/metrics`)).text()
  return ['p50', 'p99', 'max'].map((which) => {
    const line = new RegExp(`^nodejs_eventloop_lag_${which}_seconds (\\S+)$`, 'm').exec(text)
    return Number(line![1]) * 1e3
  })
}
