/**
 * `npm run load:access`: what keys and quotas cost. Sends the same small requests to a service that is open and to services that
 * ask for keys, in turn, and prints requests/s and the CPU time that the service takes per request. Exits with 1 if a key costs more
 * than 3 %.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { keySourceOf } from '../src/access/key-source.ts'
import { generateKey } from '../src/access/keys.ts'
import { type Body, bodyOf } from './bodies.ts'
import { failed, perSecond, post } from './client.ts'
import { cpuSeconds } from './process-info.ts'
import { type Started, startService } from './processes.ts'
import { FORMATS, SIZES } from './scenarios.ts'
import { markdown } from './table.ts'

const [SECONDS, ROUNDS] = process.argv.includes('--smoke') ? [1, 1] : [1, 12]
/** Seconds. */
const WARM_UP = 3
const MOST = 0.03
const [SMALL] = SIZES

interface Side {
  readonly name: string
  readonly started: Started
  readonly headers: Readonly<Record<string, string>>
}

interface Measured {
  readonly rate: number
  /** CPU time of the service per request, in us. */
  readonly micros: number
  readonly failed: number
}

const folder = mkdtempSync(join(tmpdir(), 'lossd-load-access-'))
const sides = await startSides()
try {
  const rows = []
  for (const format of FORMATS) rows.push(...(await compare(format)))
  console.log(
    markdown({
      title: 'Keys and quotas',
      about: `sigmoid_focal 32x10 over ${SMALL.connections} connections, ${cpus().length} cores, Node ${process.version}, the round with the least CPU time of ${ROUNDS} rounds of ${SECONDS} s, in turn. The clients share the cores.`,
      head: ['format', 'service', 'requests/s', 'CPU us per request', 'cost', 'failed'],
      rows: rows.map(({ row }) => row),
    }),
  )
  for (const { fault } of rows) if (fault !== undefined) console.error(`FAIL ${fault}`)
  process.exitCode = rows.some(({ fault }) => fault !== undefined) ? 1 : 0
} finally {
  for (const { started } of sides) await started.stop()
  rmSync(folder, { recursive: true })
}

async function startSides(): Promise<Side[]> {
  const sent = { authorization: `Bearer lossd_${'0'.repeat(12)}_${'A'.repeat(43)}` }
  return [
    await side('open', []),
    // Each has a process of its own: one that serves twice as much is compiled better.
    { ...(await side('open, with a header that nobody reads', [])), headers: sent },
    await side('key', ['']),
    await side('key and quotas', ['requests=1M/s', 'elements=1G/s', 'bytes=1G/s', 'concurrency=1000']),
  ]
}

/** @param quotas none: without keys */
async function side(name: string, quotas: readonly string[]): Promise<Side> {
  if (quotas.length === 0) return { name, started: await startService({}), headers: {} }
  const setting = `file:${folder}/${name}.json`
  const { text, record } = generateKey({
    name,
    grants: ['evaluate:acme'],
    quotas: quotas.filter((quota) => quota !== ''),
    createdBy: 'load',
    expires: null,
  })
  await keySourceOf(setting, undefined).put(record)
  return {
    name,
    started: await startService({ LOSSD_KEYS: setting }),
    headers: { authorization: `Bearer ${text}` },
  }
}

async function compare(format: (typeof FORMATS)[number]) {
  const body = bodyOf({ ...SMALL, loss: 'sigmoid_focal', format })
  for (const one of sides) await measure(one, body, WARM_UP)
  const found = await leastInTurn(body)
  return found.map((measured, place) => {
    const cost = measured.micros / found[0]!.micros - 1
    const { name } = sides[place]!
    const isDear = name === 'key' && cost > MOST && ROUNDS > 1
    return {
      row: [format, name, measured.rate, measured.micros, `${(cost * 100).toFixed(1)} %`, measured.failed],
      fault: isDear ? `${format}: a key costs ${(cost * 100).toFixed(1)} %` : undefined,
    }
  })
}

/** The least CPU time of all rounds: whatever else runs on the machine only adds to it. */
async function leastInTurn(body: Body): Promise<Measured[]> {
  const least: Measured[] = []
  for (let round = 0; round < ROUNDS; round++) {
    for (const [place, one] of sides.entries()) {
      const measured = await measure(one, body, SECONDS)
      if (round === 0 || measured.micros < least[place]!.micros) least[place] = measured
    }
  }
  return least
}

async function measure({ started, headers }: Side, body: Body, duration: number): Promise<Measured> {
  const { url, pid } = started.server
  const before = cpuSeconds(pid)
  const result = await post(`${url}/v1/losses/sigmoid_focal`, body, SMALL.connections, { duration }, headers)
  const seconds = cpuSeconds(pid) - before
  return { rate: perSecond(result), micros: (seconds * 1e6) / result.requests.total, failed: failed(result) }
}
