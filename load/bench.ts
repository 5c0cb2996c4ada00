/**
 * `npm run bench [-- http|kernels|growth] [--quick]`: measures, prints, and writes docs/benchmarks.md. A part alone and a
 * quick run are only printed, so that the file is always of one whole run.
 */
import { writeFileSync } from 'node:fs'
import { cpus, type } from 'node:os'
import growth from './bench/growth.ts'
import http from './bench/http.ts'
import kernels from './bench/kernels.ts'
import type { Part } from './bench/part.ts'
import { markdown, type Table } from './table.ts'

const PARTS: Readonly<Record<string, Part>> = { http, kernels, growth }
const FILE = new URL('../docs/benchmarks.md', import.meta.url)

const words = process.argv.slice(2)
const quick = words.includes('--quick')
const chosen = words.filter((word) => word !== '--quick')
const strange = chosen.filter((word) => !Object.hasOwn(PARTS, word))
if (strange.length > 0)
  throw new Error(`${strange.join(', ')}: there are --quick, ${Object.keys(PARTS).join(', ')}`)

const text = documentOf(await measureAll())
console.log(text)
if (!quick && chosen.length === 0) writeFileSync(FILE, text)

async function measureAll(): Promise<Table[]> {
  const parts = Object.keys(PARTS).filter((name) => chosen.length === 0 || chosen.includes(name))
  const tables: Table[] = []
  for (const name of parts) tables.push(...(await PARTS[name]({ quick, say: console.error })))
  return tables
}

function documentOf(tables: readonly Table[]): string {
  const about = [
    `${cpus().length} cores of ${cpus()[0].model.trim()}, ${type()}, Node ${process.version}.`,
    'Written by `npm run bench`, which measures all of it in one run with public tools; reproduce it with that command, and with `LOSSD_BENCH_PYTHON` naming a Python that has torch for the columns of PyTorch.',
    'Clients, service and echo share the cores. `npm run bench -- http|kernels|growth` prints one part, `-- --quick` is a smoke run.',
    ...(quick ? ['**This is a smoke run: its figures mean nothing.**'] : []),
  ]
  return `${['# Benchmarks', about.join(' '), ...tables.map(markdown)].join('\n\n')}\n`
}
