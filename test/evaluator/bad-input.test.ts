/** Whatever a file or a request is: one precise sentence, no job that hangs, no memory beyond the limit, nothing opened outside. */
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { DuckDBInstance } from '@duckdb/node-api'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runEvaluate } from '../../src/evaluator/command.ts'
import { Database } from '../../src/evaluator/database.ts'
import { findDatasets } from '../../src/evaluator/datasets.ts'
import { evaluate } from '../../src/evaluator/evaluate.ts'
import { findFiles } from '../../src/evaluator/files.ts'
import { FORMATS } from '../../src/evaluator/formats/index.ts'
import { readFooter } from '../../src/evaluator/parquet/footer.ts'
import type { EvaluationRequest } from '../../src/evaluator/request.ts'
import { Uploads } from '../../src/evaluator/uploads.ts'
import { loadCatalog } from '../../src/losses/load-catalog.ts'
import { depth } from '../support/depth.ts'
import { type Claims, parquetWith } from './parquet-by-hand.ts'
import { npz, safetensors } from './write-files.ts'

const EXAMPLE = fileURLToPath(new URL('../../examples/data/predictions.parquet', import.meta.url))
const catalog = await loadCatalog()
let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'lossd-bad-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

const asked: EvaluationRequest = {
  losses: [{ loss: 'l1' }],
  columns: { predictions: ['y_hat'], targets: ['y'] },
}
const run = (request: EvaluationRequest, path: string) =>
  evaluate(request, findFiles(path), { catalog, threads: 1 })

function file(name: string, content: string | Uint8Array): string {
  const path = join(folder, name)
  writeFileSync(path, content)
  return path
}

async function parquet(name: string, query: string, options = ''): Promise<string> {
  const path = join(folder, name)
  const instance = await DuckDBInstance.create(':memory:', { threads: '1' })
  const connection = await instance.connect()
  await connection.run(`COPY (${query}) TO '${path}' (FORMAT parquet${options})`)
  connection.closeSync()
  instance.closeSync()
  return path
}

async function failure(running: Promise<unknown>): Promise<Error> {
  const error = await running.then(
    () => undefined,
    (thrown: Error) => thrown,
  )
  expect(error, 'it should have failed').toBeDefined()
  expect(['Problem', 'EvaluationFailed'], error!.stack).toContain(error!.name)
  expect(error!.message).not.toContain('\n')
  expect(error!.message.length).toBeLessThan(700)
  return error!
}

/** More than DuckDB reads before it hands over the first of them. */
const ROWS_OF_CSV = '1,2\n'.repeat(500_000)
const MANY_ROWS =
  'SELECT (i * i % 100003)::DOUBLE AS y, 1.0 AS y_hat, make_timestamp(i % 7) AS k FROM range(900000) t(i)'

/** Overwrites a little of what is in the last quarter of a file, before the footer. */
function damagedLate(path: string): string {
  const bytes = readFileSync(path)
  const at = Math.floor(bytes.length * 0.8)
  return file(basename(path), bytes.fill(0xa5, at, at + 5000))
}

describe('a file', () => {
  const one = { data: Float64Array.of(1), shape: [1] }
  const none = { data: new Float64Array(0), shape: [0] }

  it.each<[string, () => string | Promise<string>, RegExp]>([
    [
      'Parquet of 0 bytes',
      () => file('zero.parquet', ''),
      /zero.parquet: File too small to be a Parquet file$/,
    ],
    ['CSV of 0 bytes', () => file('zero.csv', ''), /zero.csv/],
    ['JSON lines of 0 bytes', () => file('zero.jsonl', ''), /zero.jsonl/],
    ['Arrow of 0 bytes', () => file('zero.arrow', ''), /zero.arrow: it is not Arrow/],
    ['npz of 0 bytes', () => file('zero.npz', ''), /zero.npz: it is not a zip/],
    [
      'safetensors of 0 bytes',
      () => file('zero.safetensors', ''),
      /zero.safetensors: it is not a safetensors file/,
    ],
    [
      'Parquet without rows',
      () => parquet('none.parquet', 'SELECT 1.0::DOUBLE AS y, 2.0::DOUBLE AS y_hat LIMIT 0'),
      /none.parquet: there are no rows/,
    ],
    ['CSV with only a header', () => file('none.csv', 'y,y_hat\n'), /none.csv: there are no rows/],
    [
      'npz without rows',
      () => file('none.npz', npz({ y: none, y_hat: none }, { isPacked: false })),
      /none.npz: there are no rows/,
    ],
    [
      'safetensors without rows',
      () => file('none.safetensors', safetensors({ y: none, y_hat: none })),
      /none.safetensors: there are no rows/,
    ],
    [
      'npz without the column',
      () => file('other.npz', npz({ y: one }, { isPacked: false })),
      /other.npz has no column "y_hat"; it has y/,
    ],
    [
      'CSV with a line that has too many cells',
      () => file('long.csv', `y,y_hat\n${'1,2\n'.repeat(30_000)}1,2,3\n`),
      /long.csv: .*Line: 30002/,
    ],
    [
      'CSV with a line that has too few cells',
      () => file('short.csv', `y,y_hat\n${'1,2\n'.repeat(30_000)}1\n`),
      /short.csv: .*Line: 30002/,
    ],
    [
      'CSV with a line that has too many cells near the beginning',
      () => file('early.csv', 'y,y_hat\n1,2\n1,2,3\n1,2\n'),
      /early.csv has no column "y_hat"; it has one column, "y,y_hat": does a line near the beginning have more/,
    ],
    [
      'CSV with a last line that has too many cells',
      () => file('last.csv', 'y,y_hat\n1,2\n1,2,3\n'),
      /it has column0, column1, column2: is its first line one with names, and has each line as many cells/,
    ],
    [
      'CSV with a text near the beginning',
      () => file('early-text.csv', 'y,y_hat\n1,2\n1,two\n'),
      /column "y_hat" of \S*early-text.csv has the type VARCHAR, with texts such as "two"; losses need numbers/,
    ],
    [
      'CSV that is no text',
      () =>
        file(
          'binary.csv',
          Uint8Array.from({ length: 5000 }, (_, i) => (i * 7919) % 256),
        ),
      /binary.csv: It was not possible to automatically detect the CSV parsing dialect$/,
    ],
    [
      'Parquet that was cut off',
      () => file('cut.parquet', parquetWith([1, 2]).subarray(0, 200)),
      /cut.parquet: it is not Parquet, or it was cut off/,
    ],
    [
      'CSV with a text among the numbers',
      () => file('text.csv', `y,y_hat\n${'1,2\n'.repeat(30_000)}1,two\n`),
      /text.csv: .*(Line: 30002|two)/,
    ],
    [
      'JSON lines with a line that is none',
      () => file('line.jsonl', `${'{"y":1,"y_hat":2}\n'.repeat(5000)}{"y":1,\n`),
      /line.jsonl: .*(line|5001)/i,
    ],
    [
      'CSV with a text after half a million rows',
      () => file('late.csv', `y,y_hat\n${ROWS_OF_CSV}1,two\n${ROWS_OF_CSV}`),
      /late.csv: .*Line: 500002.*two/,
    ],
    [
      'CSV with a line that has too many cells after half a million rows',
      () => file('late-long.csv', `y,y_hat\n${ROWS_OF_CSV}1,2,3\n${ROWS_OF_CSV}`),
      /late-long.csv: .*Line: 500002/,
    ],
    [
      'JSON lines that were cut off after half a million rows',
      () => file('late.jsonl', `${'{"y":1,"y_hat":2}\n'.repeat(500_000)}{"y":1,`),
      /late.jsonl: .*line 50000[12]/,
    ],
    [
      'JSON lines with a text among the numbers',
      () => file('text.jsonl', `${'{"y":1,"y_hat":2}\n'.repeat(30_000)}{"y":1,"y_hat":"two"}\n`),
      /text.jsonl: JSON transform error, in line 30001: Failed to cast value to numerical: "two"$/,
    ],
    [
      'CSV with many columns, none of which is the one',
      () =>
        file(
          'many.csv',
          `y,y_hats,${Array.from({ length: 25 }, (_, i) => `c${i}`).join(',')}\n1,2${',3'.repeat(25)}\n`,
        ),
      /has no column "y_hat"; it has y, y_hats, .*, c17 and 7 more\. Did you mean "y_hats"\?$/,
    ],
    [
      'Parquet that DuckDB reads, with a column that it has a use for the name of',
      () =>
        parquet(
          'place.parquet',
          "SELECT 1.0::DECIMAL(18, 3) AS y, 2.0::DECIMAL(18, 3) AS y_hat, {'a': 1} AS file_row_number",
        ),
      /place.parquet: file with column named file_row_number is not supported$/,
    ],
    ['CSV with a null', () => file('null.csv', 'y,y_hat\n1,2\n,3\n'), /null.csv, row 1: null in y;/],
    [
      'Parquet with a null',
      () => parquet('null.parquet', 'SELECT * FROM (VALUES (1.0, 2.0), (NULL, 3.0)) t(y, y_hat)'),
      /null.parquet, row 1: null in y/,
    ],
    [
      'Parquet with a text',
      () => parquet('type.parquet', "SELECT 'a' AS y, 2.0 AS y_hat"),
      /column "y" .* has the type VARCHAR, with texts such as "a"; losses need numbers/,
    ],
    [
      'Parquet with a struct',
      () => parquet('struct.parquet', "SELECT {'a': 1} AS y, 2.0 AS y_hat"),
      /column "y" .* has the type STRUCT/,
    ],
    [
      'Parquet with lists of lists',
      () => parquet('lists.parquet', 'SELECT [[1.0]] AS y, 2.0 AS y_hat'),
      /column "y" .* has the type/,
    ],
    [
      'Parquet with empty lists',
      () => parquet('empty.parquet', 'SELECT []::DOUBLE[] AS y, []::DOUBLE[] AS y_hat'),
      /the lists in "y(_hat)?" are empty/,
    ],
    [
      'Parquet with lists of two lengths',
      () =>
        parquet(
          'ragged.parquet',
          'SELECT * FROM (VALUES ([1.0, 2.0], [1.0, 2.0]), ([1.0], [1.0])) t(y, y_hat)',
        ),
      /ragged.parquet, row 1: a list of 1 in y\w*, not of 2/,
    ],
  ])('is told in one sentence: %s', async (_, make, message) => {
    expect(await toldOf(await make())).toMatch(message)
  })

  it.each([
    ['a key that becomes a text', { by: ['k'] }],
    ['a cluster that becomes a text', { cluster: 'k', bootstrap: 10 }],
    ['a key that becomes a text, where bad rows are left out', { by: ['k'], onBad: 'skip' }],
  ] as const)('has %s after half a million rows', async (_, more) => {
    const rows = '1,2,7\n'.repeat(500_000)
    const path = file('late-key.csv', `y,y_hat,k\n${rows}1,2,x7\n${rows}`)
    const { message } = await failure(run({ ...asked, ...more }, path))
    expect(message).toMatch(/late-key.csv: .*Line: 500002.*x7/)
  })

  it.each([{}, { by: ['k'] }])('has a damaged page after half a million rows, with %j', async (more) => {
    const path = damagedLate(await parquet('late.parquet', MANY_ROWS))
    const { message } = await failure(run({ ...asked, ...more }, path))
    expect(message).toMatch(/late.parquet: its pages are damaged/)
  })

  it.each([{ by: ['k'] }, { by: ['k', 'j'] }, { cluster: 'k', bootstrap: 20 }])(
    'has a key that its dictionary lacks, with %j',
    async (more) => {
      const query = `SELECT 0e0 AS y, 1e0 AS y_hat, chr(97 + (i % 3)::INTEGER) AS k, 'j' AS j FROM range(4000) t(i)`
      const path = await parquet('place.parquet', query, ', COMPRESSION uncompressed')
      const { columns, groups } = readFooter(path)!
      const { start, bytes } = groups[0]!.chunks[columns.find(({ name }) => name === 'k')!.leaf]!
      const content = readFileSync(path)
      // Four places of two bits. The largest that there is is 2.
      content[start + bytes - 200] = 0xff
      writeFileSync(path, content)
      const { message } = await failure(run({ ...asked, ...more }, path))
      expect(message).toMatch(/place.parquet: .*dictionary/i)
    },
  )

  describe.each(depth([2] as const, [1, 2] as const))('with a data page of version %d', (version) => {
    const levels: [string, Claims, RegExp][] = [
      ['has longer levels than bytes', { levels: 1000 }, /header inconsistency, uncompressed_page_size/],
      ['has levels of less than no bytes', { levels: -7 }, /header inconsistency, .* must be >= 0/],
    ]
    it.each<[string, Claims, RegExp]>([
      ['says it unpacks to 2 GB', { unpacked: 2_000_000_000 }, /takes more than 192MB of memory.*2.0 GiB/],
      ['says it unpacks to 200 MB', { unpacked: 200_000_000 }, /takes more than 192MB of memory/],
      [
        'says it has 2,000,000,000 values',
        { values: 2_000_000_000, rows: 2_000_000_000 },
        /its pages are damaged: one ends early/,
      ],
      ['has fewer numbers than it says', { values: 3, rows: 3 }, /its pages are damaged: one ends early/],
      [
        'unpacks to 512 MB',
        { content: Buffer.alloc(2 ** 29) },
        /its pages are damaged: Failed to decompress GZIP block/,
      ],
      [
        'unpacks to 256 MB, as it says',
        { content: Buffer.alloc(2 ** 28), unpacked: 2 ** 28, values: 2 ** 25, rows: 2 ** 25 },
        /takes more than 192MB of memory/,
      ],
      [
        'unpacks to less than it says',
        { content: Buffer.alloc(8) },
        /a page unpacks to 8 bytes, and not to 16/,
      ],
      ['has less than no bytes', { unpacked: -5 }, /Page sizes must be >= 0/],
      ['ends after the file', { packed: 100_000_000 }, /Could not read enough bytes/],
      ['is cut off', { cutOff: 9 }, /its pages are damaged: Failed to decompress GZIP block/],
      ...(version === 2 ? levels : []),
    ])('that %s is told in one sentence', async (_, claims, message) => {
      const told = await toldOf(file('page.parquet', parquetWith([1, 2], { ...claims, version })))
      expect(told).toMatch(message)
      expect(told).toMatch(/^\S*page.parquet: (?!.*(Error|page.parquet))/)
    })

    it('is read if its headers are true', async () => {
      const { losses } = await run(asked, file('true.parquet', parquetWith([1, 2, 3], { version })))
      expect(losses[0]!.overall).toMatchObject({ rows: 3, mean: 0 })
    })
  })
})

/** The sentence about a file, which must not take much time or memory. */
async function toldOf(path: string): Promise<string> {
  const before = process.memoryUsage.rss()
  const started = performance.now()
  const { message } = await failure(run(asked, path))
  expect(performance.now() - started).toBeLessThan(30_000)
  expect(process.memoryUsage.rss() - before).toBeLessThan(400 * 2 ** 20)
  return message
}

describe('a path', () => {
  const found = (path: string, search = {}) =>
    findFiles(join(folder, path), search).map((one) => one.path.slice(folder.length + 1))

  beforeAll(() => {
    for (const own of ['blobs', 'cache/deep', 'closed/inner'])
      mkdirSync(join(folder, own), { recursive: true })
    for (const own of ['blobs/4f1a', 'cache/b.csv', 'cache/deep/c.csv', 'closed/a.csv'])
      file(own, 'y,y_hat\n1,2\n')
    symlinkSync('../blobs/4f1a', join(folder, 'cache/a.csv'))
    symlinkSync('../cache', join(folder, 'cache/round'))
    symlinkSync('../cache/b.csv', join(folder, 'cache/notes'))
    mkdirSync(join(folder, 'missing'))
    symlinkSync('../blobs/gone', join(folder, 'missing/a.csv'))
    symlinkSync('b.csv', join(folder, 'missing/b.csv'))
  })

  it.each([
    ['below a file', 'blobs/4f1a/x.csv', /4f1a\/x.csv: there is no such file$/],
    ['of a name that is too long', 'x'.repeat(300), /there is no such file$/],
    ['with a folder that is too long', `${'x'.repeat(300)}/*.csv`, /there is no such folder$/],
    ['that is a link to itself', 'missing/b.csv', /there is no such file$/],
  ])('%s is told in one line', (_, path, message) => {
    expect(() => found(path)).toThrow(message)
  })

  it.each(['closed', 'closed/**/*.csv'])(
    'with a folder that nobody may read is told in one line: %s',
    (path) => {
      const inner = join(folder, 'closed/inner')
      chmodSync(inner, 0)
      const told = /closed\/inner: permission denied$/
      asNobody(() => expect(() => found(path)).toThrow(told))
      asNobody(() =>
        expect(() => findDatasets(folder, path)).toThrow(/^\/source\/path: closed\/inner: permission/),
      )
      expect(asNobody(() => found('closed/*.csv'))).toEqual(['closed/a.csv'])
      chmodSync(inner, 0o700)
    },
  )

  it.each([
    ['cache', ['cache/a.csv', 'cache/b.csv', 'cache/deep/c.csv']],
    ['cache/*.csv', ['cache/a.csv', 'cache/b.csv']],
    ['cache/**', ['cache/a.csv', 'cache/b.csv', 'cache/deep/c.csv']],
    ['cache/round/deep', ['cache/round/deep/c.csv']],
  ])('on this machine is searched for links to files, but not to folders: %s', (path, files) => {
    expect(found(path, { followsLinks: true })).toEqual(files)
  })

  it.each(['missing', 'missing/*.csv'])('with a link that leads nowhere lacks a file: %s', (path) => {
    expect(() => found(path, { followsLinks: true })).toThrow(/missing\/a.csv: there is no such file$/)
  })

  it('of the service is searched as if there were no links', () => {
    expect(findDatasets(folder, 'cache').map(({ name }) => name)).toEqual(['cache/b.csv', 'cache/deep/c.csv'])
    expect(() => findDatasets(folder, 'missing')).toThrow(/there are no files with data/)
  })
})

/** The administrator may read everything. */
function asNobody<T>(act: () => T): T {
  const isAdministrator = process.geteuid?.() === 0
  if (!isAdministrator) return act()
  chmodSync(folder, 0o755)
  process.seteuid!(65_534)
  try {
    return act()
  } finally {
    process.seteuid!(0)
  }
}

describe('a name of a column', () => {
  const name = '"; drop table x; --'
  const quoted = `"${name.replaceAll('"', '""')}"`

  it('is only a name, wherever it stands', async () => {
    const path = await parquet('names.parquet', `SELECT 1.0 AS ${quoted}, 3.0 AS "a b", 'k' AS "'"`)
    const request: EvaluationRequest = {
      losses: [{ loss: 'l1' }],
      columns: { predictions: [name], targets: ['a b'] },
      by: ["'"],
      weight: name,
      cluster: name,
      bootstrap: 10,
      worst: 1,
    }
    const { losses } = await run(request, path)
    expect(losses[0]!.overall.mean).toBe(2)
    expect(losses[0]!.worst![0]!.values).toMatchObject({ [name]: 1, "'": 'k' })
    const inSql = await run(
      { ...request, weight: undefined, cluster: undefined, bootstrap: 0, worst: 0, road: 'sql' },
      path,
    )
    expect(inSql.losses[0]!.slices[0]).toMatchObject({ key: { "'": 'k' }, mean: 2 })
    for (const out of ['out.csv', 'out.json', 'out.parquet']) {
      const to = join(folder, out)
      const terminal = { out: () => {}, note: () => {}, isInteractive: false }
      await runEvaluate(
        [path, '--loss', 'l1', '--predictions', name, '--targets', 'a b', '--by', "'", '--out', to],
        terminal,
      )
    }
    const table = join(folder, 'out.parquet')
    const database = new Database()
    const [found] = findFiles(table)
    const columns = await database.columns(found!)
    expect(columns.map((column) => column.name)).toContain("'")
    const rows = await database.rows(found!, columns, ' SELECT c3, c4, c7 FROM file ORDER BY c3')
    await database.close()
    expect(rows).toEqual([
      ['all', null, 2],
      ['slice', 'k', 2],
    ])
  })

  it.each(['by', 'weight', 'cluster', 'predictions', 'targets'])(
    'that is not there is told, in %s',
    async (where) => {
      const request: EvaluationRequest =
        where === 'predictions' || where === 'targets'
          ? { ...asked, columns: { ...asked.columns, [where]: [name] } }
          : { ...asked, [where]: where === 'by' ? [name] : name, bootstrap: 10 }
      const error = await failure(run(request, EXAMPLE))
      expect(error.message).toContain(`has no column "${name}"; it has`)
    },
  )
})

describe('the folder of the datasets', () => {
  const one = { data: Float64Array.of(1), shape: [1] }
  const CONTENT: Readonly<Record<string, () => string | Uint8Array>> = {
    parquet: () => parquetWith([1, 2]),
    csv: () => 'y,y_hat\n1,2\n',
    json: () => '{"y":1,"y_hat":2}\n',
    npz: () => npz({ y: one, y_hat: one }, { isPacked: false }),
    safetensors: () => safetensors({ y: one, y_hat: one }),
    // Whether it is Arrow does not matter before it is opened.
    arrow: () => 'ARROW1',
  }

  it.each([...FORMATS.values()].map((format) => [format.title, format] as const))(
    'is not left, even if a file or a folder becomes a link after it was checked: %s',
    async (_, format) => {
      const [ending] = format.extensions
      const root = mkdtempSync(join(tmpdir(), 'lossd-root-'))
      const outside = mkdtempSync(join(tmpdir(), 'lossd-outside-'))
      const content = CONTENT[format.name]!()
      writeFileSync(join(outside, `a${ending}`), content)
      for (const swapped of ['file', 'folder']) {
        mkdirSync(join(root, 'sub'))
        writeFileSync(join(root, 'sub', `a${ending}`), content)
        const files = findDatasets(root, `sub/a${ending}`)
        if (format.name !== 'arrow')
          expect((await evaluate(asked, files, { catalog, threads: 1 })).files).toEqual([`sub/a${ending}`])
        if (swapped === 'file') {
          rmSync(join(root, 'sub', `a${ending}`))
          symlinkSync(join(outside, `a${ending}`), join(root, 'sub', `a${ending}`))
        } else {
          renameSync(join(root, 'sub'), join(root, 'gone'))
          symlinkSync(outside, join(root, 'sub'))
        }
        const error = await failure(evaluate(asked, files, { catalog, threads: 1 }))
        expect(error.message).not.toContain(outside)
        expect(error.message).toMatch(/Permission|there is no such file|ELOOP|disabled by configuration/)
        rmSync(root, { recursive: true })
        mkdirSync(root)
      }
      rmSync(root, { recursive: true })
      rmSync(outside, { recursive: true })
    },
  )

  it('is all that DuckDB may open', async () => {
    const root = mkdtempSync(join(tmpdir(), 'lossd-root-'))
    writeFileSync(join(root, 'a.csv'), 'y,y_hat\n1,2\n')
    const [inside] = findDatasets(root, 'a.csv')
    const database = new Database()
    expect(await database.columns(inside!)).toHaveLength(2)
    const outside = { ...inside!, path: EXAMPLE, format: 'parquet' }
    expect((await failure(database.columns(outside))).message).toMatch(/disabled by configuration|Permission/)
    await database.close()
    rmSync(root, { recursive: true })
  })
})

describe('a full disk', () => {
  /** A disk of one megabyte, if this machine mounts one. */
  function smallDisk(): string | undefined {
    const place = mkdtempSync(join(tmpdir(), 'lossd-disk-'))
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'lossd-test', place], { stdio: 'pipe' })
      return place
    } catch {
      rmSync(place, { recursive: true })
      console.log('a full disk is not tested here: this machine mounts no small disk')
      return undefined
    }
  }

  it('refuses an upload, and nothing is left of it', async () => {
    const place = smallDisk()
    if (place === undefined) return
    const uploads = new Uploads(place, { bytes: 1e9, totalBytes: 1e9, expiryMs: 60_000, timeoutMs: 1000 })
    const chunks = (async function* () {
      for (let i = 0; i < 8; i++) yield Buffer.alloc(256 * 1024, '1')
    })()
    const upload = {
      id: 'a',
      format: FORMATS.get('csv')!,
      length: undefined,
      digest: undefined,
      onlyCreate: false,
      chunks,
    }
    const error = await failure(uploads.put(null, upload))
    expect([(error as Error & { code: string }).code, error.message]).toEqual([
      'storage-full',
      'the disk of the service is full',
    ])
    expect(readdirSync(join(place, '.uploads/.arriving'))).toEqual([])
    expect(await uploads.list(null)).toEqual([])
    uploads.close()
    execFileSync('umount', [place])
    rmSync(place, { recursive: true })
  })

  it.each(['--out', '--report'])(
    'does not take the answer away, which is printed before %s fails',
    async (option) => {
      const place = smallDisk()
      if (place === undefined) return
      writeFileSync(join(place, 'ballast'), Buffer.alloc(2 ** 20 - 4096))
      let printed = ''
      const out = (text: string) => {
        printed += text
      }
      const terminal = { out, note: () => {}, isInteractive: false }
      const to = join(place, option === '--out' ? 'out.json' : 'report.html')
      const args = [
        EXAMPLE,
        '--loss',
        'l1',
        '--by',
        'region',
        '--worst',
        '100',
        '--predictions',
        'y_hat',
        '--targets',
        'y',
        option,
        to,
      ]
      const error = await failure(runEvaluate(args, terminal))
      expect(error.message).toMatch(/(out.json|report.html) cannot be written: .*no space left/i)
      expect(printed).toContain('l1')
      execFileSync('umount', [place])
      rmSync(place, { recursive: true })
    },
  )
})
