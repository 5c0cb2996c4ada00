/**
 * `npm run load:chaos [-- --only PATTERN] [-- --write]`: lets things go wrong under load, one after the other, and counts what becomes of
 * every request. Exits with 1 if a request is lost or an answer is wrong. `--write` puts the table into docs/reliability.md.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { Clients, type Outcome } from './chaos/clients.ts'
import { startProxy } from './chaos/proxy.ts'
import { type Prepared, SCENARIOS, type Scenario } from './chaos/scenarios.ts'
import { startService } from './processes.ts'
import { type Cell, markdown } from './table.ts'

const CLIENTS = 50
/** Before and after the fault, in ms. */
const CALM_MS = 1500
const PATIENCE_MS = 35_000
const DOCUMENT = new URL('../docs/reliability.md', import.meta.url)
const [BEGIN, END] = ['<!-- chaos -->', '<!-- /chaos -->']

const { values: flags } = parseArgs({
  options: { only: { type: 'string' }, write: { type: 'boolean', default: false } },
})
if (process.platform !== 'linux') {
  console.log('chaos takes Linux')
  process.exit(0)
}

interface Found {
  readonly scenario: Scenario
  readonly outcomes: readonly Outcome[]
  /** From the end of the fault until requests are answered, and all of them. */
  readonly recoveryMs: number
  readonly note: string
  readonly fault: string | undefined
}

const rows: Cell[][] = []
const faults: string[] = []
for (const scenario of SCENARIOS) {
  if (flags.only !== undefined && !new RegExp(flags.only).test(scenario.name)) continue
  const prepared = scenario.prepare?.()
  if (typeof prepared === 'string') {
    console.log(`${scenario.name}: not tried, ${prepared}`)
    continue
  }
  const found = await strike(scenario, prepared)
  prepared?.undo()
  rows.push(rowOf(found))
  console.log(rows.at(-1)!.join(' | '))
  if (found.fault !== undefined) faults.push(`${scenario.name}: ${found.fault}`)
}
const table = tableOf(rows)
console.log(`\n${table}`)
for (const fault of faults) console.error(`FAIL ${fault}`)
if (flags.write && faults.length === 0) write(table)
process.exitCode = faults.length > 0 ? 1 : 0

async function strike(scenario: Scenario, prepared: Prepared | undefined): Promise<Found> {
  const settings = { LOSSD_STORE: 'none', ...scenario.settings, ...prepared?.settings }
  const { server, stop } = await startService(settings)
  const proxy = scenario.network && (await startProxy(server.url, scenario.network))
  const clients = new Clients({
    url: proxy?.url ?? server.url,
    clients: CLIENTS,
    elements: 2000,
    patienceMs: PATIENCE_MS,
  })
  try {
    await clients.answers(500)
    await sleep(CALM_MS)
    const began = performance.now()
    const note = await scenario.strike({ service: server, clients, proxy })
    const ended = performance.now()
    if (scenario.ends !== true) {
      await clients.answers(200)
      await sleep(CALM_MS)
    }
    await clients.stop()
    return judge(scenario, clients, { began, ended, note: note ?? '' })
  } catch (error) {
    await clients.stop()
    return { scenario, outcomes: clients.outcomes, recoveryMs: Number.NaN, note: '', fault: String(error) }
  } finally {
    proxy?.close()
    await stop()
  }
}

function judge(
  scenario: Scenario,
  clients: Clients,
  { began, ended, note }: { began: number; ended: number; note: string },
): Found {
  const { outcomes } = clients
  const failures = outcomes.filter(({ fate }) => fate !== 'answered')
  const early = failures.filter(({ sent, ms }) => sent + ms < began)
  const later = outcomes.filter(({ fate, sent }) => fate === 'answered' && sent > ended)
  const first = Math.min(...later.map(({ sent, ms }) => sent + ms))
  const recovered = Math.max(first, ...failures.map(({ sent }) => sent))
  const isFaulty =
    clients.count('lost') +
    clients.count('wrong') +
    early.length +
    (scenario.cuts === true ? 0 : clients.count('cut'))
  const [worst] = failures.filter(
    ({ fate }) => fate === 'lost' || fate === 'wrong' || (fate === 'cut' && scenario.cuts !== true),
  )
  const fault =
    isFaulty === 0
      ? undefined
      : `${isFaulty} requests: ${worst?.fate ?? 'failed before'} ${worst?.why ?? early[0]?.why}`
  return { scenario, outcomes, recoveryMs: scenario.ends ? Number.NaN : recovered - ended, note, fault }
}

function rowOf({ scenario, outcomes, recoveryMs, note }: Found): Cell[] {
  const count = (fate: Outcome['fate']) => outcomes.filter((one) => one.fate === fate).length
  return [
    scenario.name,
    outcomes.length - count('refused'),
    count('answered'),
    count('refused'),
    count('cut'),
    count('lost'),
    count('wrong'),
    Number.isNaN(recoveryMs) ? '-' : `${(recoveryMs / 1000).toFixed(1)} s`,
    note,
  ]
}

function tableOf(rows: readonly Cell[][]): string {
  return markdown({
    title: 'Chaos',
    about: `\`npm run load:chaos\`, ${CLIENTS} clients in a closed loop, ${cpus().length} cores, Node ${process.version}. Each client knows the answer to each of its requests. Refused: a problem that says that a retry can help, or no connection. Cut: the connection broke with the network or with its process. Lost: neither an answer nor an end in ${PATIENCE_MS / 1000} s. Recovery: from the end of the fault until requests are answered again, and none is refused or cut any more.`,
    head: ['fault', 'accepted', 'answered', 'refused', 'cut', 'lost', 'wrong', 'recovery', ''],
    rows,
  })
}

function write(table: string) {
  const [before, rest] = readFileSync(DOCUMENT, 'utf8').split(BEGIN)
  const [, after] = rest!.split(END)
  // The page has a heading of its own.
  const text = table.slice(table.indexOf('\n')).trim()
  writeFileSync(DOCUMENT, `${before}${BEGIN}\n${text}\n${END}${after}`)
}
