/**
 * `npm run load [-- --smoke]`: starts the built service and the echo server as separate processes, sends both the
 * same load in turn, and prints requests/s, latencies and the ratio to the echo. Exits with 1 if a threshold is
 * missed.
 */
import { cpus } from 'node:os'
import type { Result } from 'autocannon'
import { bodyOf } from './bodies.ts'
import { failed, perSecond, post } from './client.ts'
import { endpointUrls, type Server, withEcho, withService } from './processes.ts'
import { inTurn } from './rounds.ts'
import { SCENARIOS, type Scenario } from './scenarios.ts'
import { markdown, type Table } from './table.ts'

const smoke = process.argv.includes('--smoke')
/** Seconds per round, and rounds per side. Medians are printed. */
const [SECONDS, ROUNDS] = smoke ? [1, 1] : [4, 3]

interface Row {
  readonly scenario: Scenario
  readonly service: Result
  readonly echo: Result
}

const rows = await withService({}, (service) => withEcho((echo) => measureAll(service, echo)))
console.log(markdown(tableOf(rows)))
const faults = rows.flatMap(faultsOf)
for (const fault of faults) console.error(`FAIL ${fault}`)
process.exitCode = faults.length > 0 ? 1 : 0

async function measureAll(service: Server, echo: Server): Promise<Row[]> {
  const rows: Row[] = []
  for (const scenario of SCENARIOS) rows.push(await measure(scenario, service, echo))
  return rows
}

async function measure(scenario: Scenario, service: Server, echo: Server): Promise<Row> {
  const body = bodyOf(scenario)
  const urls = endpointUrls(service, echo, scenario)
  const load = (url: string, duration: number) => post(url, body, scenario.connections, { duration })
  await load(urls.service, 0.5)
  const [loaded, echoed] = await inTurn(
    [urls.service, urls.echo],
    ROUNDS,
    (url) => load(url, SECONDS),
    perSecond,
  )
  return { scenario, service: loaded, echo: echoed }
}

function ratio({ service, echo }: Row): number {
  return perSecond(service) / perSecond(echo)
}

function faultsOf(row: Row): string[] {
  const { scenario, service } = row
  const { total } = service.requests
  const faults: string[] = []
  if (failed(service) / Math.max(1, total) > scenario.maxErrorRate)
    faults.push(`${scenario.name}: ${failed(service)} of ${total} failed`)
  if (service['2xx'] === 0) faults.push(`${scenario.name}: no request succeeded`)
  if (!smoke && ratio(row) < scenario.minRatio)
    faults.push(`${scenario.name}: only ${ratio(row).toFixed(3)} of the echo's rate`)
  return faults
}

function tableOf(rows: readonly Row[]): Table {
  return {
    title: 'cross_entropy with gradient',
    about: `${cpus().length} cores, Node ${process.version}, median of ${ROUNDS} rounds of ${SECONDS} s`,
    head: ['scenario', 'connections', 'requests/s', 'p50 ms', 'p99 ms', 'errors', 'echo requests/s', 'ratio'],
    rows: rows.map((row) => {
      const { scenario, service, echo } = row
      return [
        `${scenario.name} ${scenario.rows}x${scenario.columns}`,
        scenario.connections,
        perSecond(service),
        service.latency.p50,
        service.latency.p99,
        failed(service),
        perSecond(echo),
        ratio(row),
      ]
    }),
  }
}
