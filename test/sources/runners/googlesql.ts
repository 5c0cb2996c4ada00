/**
 * Runs queries in GoogleSQL, the language of BigQuery: its reference implementation comes from Maven's repository. It computes
 * and raises errors as BigQuery documents it.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { fromHex, toHex } from '../doubles.ts'
import type { Table } from '../rows.ts'
import { NotHere } from './runner.ts'
import { type Columns, type Database, oncePerText, type Query, sqlRunner } from './sql.ts'

const FOLDER = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'lossd-sources')
const DRIVERS = new URL('../drivers/googlesql/', import.meta.url).pathname
/** A download that takes longer is given up, and the dialect is not run. */
const MOST_MILLISECONDS = 180_000
/** Of a word that is NULL. */
const NULL = '-'.repeat(16)

export const googlesql: Database = oncePerText({
  run: async (queries) => {
    const printed = execFileSync('java', ['-cp', classPath(), join(DRIVERS, 'RunQueries.java')], {
      input: queries.map(linesOf).join(''),
      encoding: 'utf8',
      maxBuffer: 2 ** 30,
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    const lines = printed.trimEnd().split('\n')
    const aborted = lines.flatMap((line, place) =>
      line.startsWith('ERROR ') ? [[line, queries[place]!.text]] : [],
    )
    if (aborted.length > 0)
      throw new Error(aborted.map(([error, text]) => `${error} in ${text!.split('\n')[0]}`).join('\n'))
    return lines.map((line, place) => columnsOf(line, queries[place]!))
  },
})

export const bigqueryRunner = sqlRunner(googlesql)

/**
 * The libraries, downloaded once.
 *
 * @throws NotHere without Java or Maven, or where they cannot be downloaded
 */
function classPath(): string {
  const file = join(FOLDER, 'googlesql-classpath.txt')
  try {
    mkdirSync(FOLDER, { recursive: true })
    execFileSync('javac', ['-version'], { stdio: 'pipe' })
    if (!existsSync(file)) {
      const options = ['-q', '-B', '-f', join(DRIVERS, 'pom.xml'), `-Dmdep.outputFile=${file}`]
      execFileSync('mvn', [...options, 'dependency:build-classpath'], {
        stdio: 'pipe',
        timeout: MOST_MILLISECONDS,
      })
    }
    return readFileSync(file, 'utf8').trim()
  } catch (error) {
    throw new NotHere(`Java with GoogleSQL: ${(error as Error).message.trim().split('\n').at(-1)}`)
  }
}

function linesOf({ text, table }: Query): string {
  const columns = [...table.columns].map(([name, numbers]) => `${name}\t${wordsOf(Array.from(numbers))}`)
  const place = `place\t${toHex(Array.from({ length: table.rows }, (_, row) => row))}`
  const query = Buffer.from(text).toString('hex')
  return `${[query, table.rows, place, ...columns].join('\n')}\n\n`
}

function wordsOf(numbers: readonly (number | null)[]): string {
  return numbers.map((number) => (number === null ? NULL : toHex([number]))).join('')
}

/** The columns that the query adds, by their places. */
function columnsOf(line: string, { table }: Query): Columns {
  const words = line.split('\t')
  const given: Table['columns'] = table.columns
  const pairs = Array.from(
    { length: words.length / 2 },
    (_, at) => [words[2 * at]!, words[2 * at + 1]!] as const,
  )
  return new Map(pairs.slice(1 + given.size).map(([name, own]) => [name, numbersOf(own)]))
}

function numbersOf(words: string): (number | null)[] {
  return Array.from({ length: words.length / 16 }, (_, place) => {
    const word = words.slice(16 * place, 16 * place + 16)
    return word === NULL ? null : fromHex(word)[0]!
  })
}
