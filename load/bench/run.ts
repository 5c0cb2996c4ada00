/**
 * Runs one benchmark: measures its parts, prints the tables and writes its file. A single part or a quick run is
 * only printed, so that the file always comes from one complete run.
 */
import { writeFileSync } from 'node:fs'
import { cpus, type } from 'node:os'
import { markdown, type Table } from '../table.ts'
import type { Part } from './part.ts'

export interface Bench {
  readonly title: string
  /** The command that runs it, for the reader. */
  readonly command: string
  readonly file: URL
  /** Sentences above the tables. */
  readonly about: readonly string[]
  readonly parts: Readonly<Record<string, Part>>
}

/**
 * Runs what the command line selects: names of parts, `--quick`.
 *
 * @throws Error for unknown words
 */
export async function runBench(bench: Bench): Promise<void> {
  const words = process.argv.slice(2)
  const quick = words.includes('--quick')
  const names = chosenOf(bench, words)
  const tables: Table[] = []
  for (const name of names) tables.push(...(await bench.parts[name]({ quick, say: console.error })))
  const text = documentOf(bench, tables, quick)
  console.log(text)
  if (!quick && names.length === Object.keys(bench.parts).length) writeFileSync(bench.file, text)
}

function chosenOf({ parts }: Bench, words: readonly string[]): string[] {
  const chosen = words.filter((word) => word !== '--quick')
  const strange = chosen.filter((word) => !Object.hasOwn(parts, word))
  if (strange.length > 0)
    throw new Error(`unknown argument ${strange.join(', ')}; use --quick, ${Object.keys(parts).join(', ')}`)
  return Object.keys(parts).filter((name) => chosen.length === 0 || chosen.includes(name))
}

function documentOf(
  { title, command, about, parts }: Bench,
  tables: readonly Table[],
  quick: boolean,
): string {
  const sentences = [
    `${cpus().length} cores of ${cpus()[0].model.trim()}, ${type()}, Node ${process.version}.`,
    `Written by \`${command}\`, which measures everything in one run with public tools. Run it to reproduce these numbers; set \`LOSSD_BENCH_PYTHON\` to a Python that has torch to get the PyTorch columns.`,
    ...about,
    `\`${command} -- ${Object.keys(parts).join('|')}\` prints one part, \`-- --quick\` is a smoke run.`,
    ...(quick ? ['**This is a smoke run: its figures mean nothing.**'] : []),
  ]
  return `${[`# ${title}`, sentences.join(' '), ...tables.map(markdown)].join('\n\n')}\n`
}
