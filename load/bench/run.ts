/** One bench: measures its parts, prints, and writes its file. A part alone and a quick run are only printed, so that the file is always of one whole run. */
import { writeFileSync } from 'node:fs'
import { cpus, type } from 'node:os'
import { markdown, type Table } from '../table.ts'
import type { Part } from './part.ts'

export interface Bench {
  readonly title: string
  /** How it is run, for a reader. */
  readonly command: string
  readonly file: URL
  /** Sentences that stand above the tables. */
  readonly about: readonly string[]
  readonly parts: Readonly<Record<string, Part>>
}

/**
 * Runs what the command line asks for: names of parts, `--quick`.
 *
 * @throws Error for words that it does not know
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
    throw new Error(`${strange.join(', ')}: there are --quick, ${Object.keys(parts).join(', ')}`)
  return Object.keys(parts).filter((name) => chosen.length === 0 || chosen.includes(name))
}

function documentOf(
  { title, command, about, parts }: Bench,
  tables: readonly Table[],
  quick: boolean,
): string {
  const sentences = [
    `${cpus().length} cores of ${cpus()[0].model.trim()}, ${type()}, Node ${process.version}.`,
    `Written by \`${command}\`, which measures all of it in one run with public tools; reproduce it with that command, and with \`LOSSD_BENCH_PYTHON\` naming a Python that has torch for the columns of PyTorch.`,
    ...about,
    `\`${command} -- ${Object.keys(parts).join('|')}\` prints one part, \`-- --quick\` is a smoke run.`,
    ...(quick ? ['**This is a smoke run: its figures mean nothing.**'] : []),
  ]
  return `${[`# ${title}`, sentences.join(' '), ...tables.map(markdown)].join('\n\n')}\n`
}
