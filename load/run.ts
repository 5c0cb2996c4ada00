/**
 * `npm run load [-- --smoke]`: starts the built service and the echo as processes of their own, loads them in turn with
 * the same bytes, and prints requests/s, latencies and the ratio to the echo. Exits 1 when a threshold does not hold.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpus } from 'node:os'
import autocannon, { type Result } from 'autocannon'
import { type Body, bodyOf, SCENARIOS, type Scenario } from './scenarios.ts'

const smoke = process.argv.includes('--smoke')
/** Seconds of one round, and rounds of each side; medians are printed. */
const [SECONDS, ROUNDS] = smoke ? [1, 1] : [4, 3]

interface Row {
  readonly scenario: Scenario
  readonly service: Result
  readonly echo: Result
}

const processes: ChildProcess[] = []
try {
  const service = await startService()
  const echo = await startEcho()
  const rows: Row[] = []
  for (const scenario of SCENARIOS) rows.push(await measure(scenario, service, echo))
  console.log(table(rows))
  const faults = rows.flatMap(faultsOf)
  for (const fault of faults) console.error(`FAIL ${fault}`)
  process.exitCode = faults.length > 0 ? 1 : 0
} finally {
  for (const child of processes) child.kill()
}

async function startService(): Promise<string> {
  const child = start(['dist/server.js'], { PORT: '0', HOST: '127.0.0.1' })
  const line = await lineWith(child, 'lossd listens on')
  return /http:\/\/[\d.:]+/.exec(line)![0]
}

async function startEcho(): Promise<string> {
  return (await lineWith(start(['--import', 'tsx', 'load/echo.ts'], {}), 'http://')).trim()
}

function start(args: string[], env: Record<string, string>): ChildProcess {
  const child = spawn(process.execPath, args, {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  processes.push(child)
  return child
}

/** The first line of a process's output that holds a text. */
async function lineWith(child: ChildProcess, text: string): Promise<string> {
  let output = ''
  child.stdout!.on('data', (data: Buffer) => {
    output += data
  })
  while (!output.includes(text)) await once(child.stdout!, 'data')
  return output.split('\n').find((line) => line.includes(text))!
}

/** Service and echo in turn, so that a machine that slows down slows both. */
async function measure(scenario: Scenario, service: string, echo: string): Promise<Row> {
  const body = bodyOf(scenario)
  const sides: Record<'service' | 'echo', Result[]> = { service: [], echo: [] }
  await load(`${service}/v1/losses/${scenario.loss}`, body, scenario, 0.5)
  for (let round = 0; round < ROUNDS; round++) {
    sides.service.push(await load(`${service}/v1/losses/${scenario.loss}`, body, scenario, SECONDS))
    sides.echo.push(await load(`${echo}/echo/${scenario.format}`, body, scenario, SECONDS))
  }
  return { scenario, service: median(sides.service), echo: median(sides.echo) }
}

function load(
  url: string,
  { contentType, bytes }: Body,
  { connections }: Scenario,
  duration: number,
): Promise<Result> {
  return autocannon({
    url,
    method: 'POST',
    headers: { 'content-type': contentType },
    body: bytes,
    connections,
    duration,
  })
}

function median(results: readonly Result[]): Result {
  const sorted = [...results].sort((a, b) => a.requests.average - b.requests.average)
  return sorted[Math.floor(sorted.length / 2)]
}

function faultsOf({ scenario, service, echo }: Row): string[] {
  const failed = service.errors + service.timeouts + service.non2xx
  const rate = failed / Math.max(1, service.requests.total)
  const ratio = service.requests.average / echo.requests.average
  const faults: string[] = []
  if (rate > scenario.maxErrorRate)
    faults.push(`${scenario.name}: ${failed} of ${service.requests.total} failed`)
  if (service['2xx'] === 0) faults.push(`${scenario.name}: nothing was answered`)
  if (!smoke && ratio < scenario.minRatio) faults.push(`${scenario.name}: ${ratio.toFixed(3)} of the echo`)
  return faults
}

function table(rows: readonly Row[]): string {
  const title = `${cpus().length} cores, Node ${process.version}, median of ${ROUNDS} rounds of ${SECONDS} s; cross_entropy with gradient`
  const head =
    '| scenario | connections | requests/s | p50 ms | p99 ms | errors | echo requests/s | ratio |\n|---|--:|--:|--:|--:|--:|--:|--:|'
  const lines = rows.map(({ scenario, service, echo }) => {
    const ratio = service.requests.average / echo.requests.average
    const cells = [
      `${scenario.name} ${scenario.rows}x${scenario.classes}`,
      scenario.connections,
      service.requests.average.toFixed(0),
      service.latency.p50,
      service.latency.p99,
      service.errors + service.timeouts + service.non2xx,
      echo.requests.average.toFixed(0),
      ratio.toFixed(3),
    ]
    return `| ${cells.join(' | ')} |`
  })
  return [title, '', head, ...lines].join('\n')
}
