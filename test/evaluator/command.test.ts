/** `lossd evaluate` on a service: what it uploads, prints and writes, and what becomes of the job when nobody waits for it. */
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { Evaluation } from '../../src/evaluation/result.ts'
import { runEvaluate, type Terminal } from '../../src/evaluator/command.ts'
import { bearer, startGuarded } from '../support/access.ts'
import { type Kept, startKeeper } from '../support/custom.ts'
import { KeyRing } from '../support/key-ring.ts'

const EXAMPLE = fileURLToPath(new URL('../../examples/data/predictions.parquet', import.meta.url))
const WAIT = { timeout: 60_000, interval: 20 }
const ASKED = ['--loss', 'huber:delta=2', '--by', 'region', '--bootstrap', '50', '--worst', '3']

const BROKEN = join(tmpdir(), `lossd-${process.pid}-broken.json`)

let folder: string
let server: Kept
beforeAll(async () => {
  writeFileSync(BROKEN, '{\n  "name": }')
  folder = mkdtempSync(join(tmpdir(), 'lossd-command-'))
  mkdirSync(join(folder, 'data/sales'), { recursive: true })
  copyFileSync(EXAMPLE, join(folder, 'data/sales/monday.parquet'))
  server = await startKeeper({ datasets: join(folder, 'data') })
})
afterAll(async () => {
  await server.close()
  rmSync(folder, { recursive: true })
  rmSync(BROKEN)
})

interface Ran {
  readonly printed: string
  readonly notes: string
}

async function run(args: readonly string[], more: Partial<Terminal> = {}): Promise<Ran> {
  let [printed, notes] = ['', '']
  await runEvaluate(args, {
    out: (text) => {
      printed += `${text}\n`
    },
    note: (text) => {
      notes += text
    },
    isInteractive: true,
    ...more,
  })
  return { printed, notes }
}

const uploads = async () =>
  (await server.send('GET', '/v1/datasets')).body.datasets as { id: string; bytes: number }[]

describe('on a service', () => {
  it('a file is uploaded, and the answer is that of this machine', async () => {
    const here = await run([EXAMPLE, ...ASKED, '--json'])
    const there = await run([EXAMPLE, ...ASKED, '--json', '--url', server.url])
    const [own, other] = [here, there].map(({ printed }) => JSON.parse(printed) as Evaluation)
    expect(other!.losses[0]!.overall).toEqual(own!.losses[0]!.overall)
    expect(other!.losses[0]!.slices).toEqual(own!.losses[0]!.slices)
    expect(there.notes).toMatch(/bytes\/s/)
    const [dataset] = await uploads()
    expect(dataset).toMatchObject({
      id: expect.stringMatching(/^sha256-/),
      bytes: readFileSync(EXAMPLE).length,
    })
  })

  it('a file that the service has is not sent again', async () => {
    const before = await uploads()
    const { notes } = await run([EXAMPLE, '--url', server.url])
    expect(await uploads()).toEqual(before)
    expect(notes).not.toMatch(/bytes/)
  })

  it('the same tables are printed, and the same files are written', async () => {
    const out = (name: string) => join(folder, name)
    const here = await run([EXAMPLE, ...ASKED, '--out', out('here.csv'), '--report', out('here.html')])
    const there = await run([
      EXAMPLE,
      ...ASKED,
      '--out',
      out('there.csv'),
      '--report',
      out('there.html'),
      '--url',
      server.url,
    ])
    const named = (text: string) =>
      text.replaceAll(/sha256-[\da-f]+|\S*predictions\.parquet/g, 'FILE').replaceAll(/ +/g, ' ')
    expect(named(there.printed)).toBe(named(here.printed))
    expect(readFileSync(out('there.csv'))).toEqual(readFileSync(out('here.csv')))
    expect(readFileSync(out('there.html'), 'utf8')).toContain('huber (delta = 2)')
  })

  it('a path that is not on this machine is one of the service, and so is a pattern', async () => {
    const asked = ['--loss', 'l1', '--predictions', 'y_hat', '--targets', 'y', '--json', '--url', server.url]
    for (const path of ['sales/monday.parquet', 'sales/*.parquet']) {
      const { printed } = await run([path, ...asked])
      expect(JSON.parse(printed).files).toEqual(['sales/monday.parquet'])
    }
  })

  it.each([
    ['a path that is nowhere', ['nowhere.parquet'], /422: .*there is no such file/],
    ['an unknown loss', [EXAMPLE, '--loss', 'hubber'], /404: .*Did you mean "huber"/],
    ['a column that is not there', [EXAMPLE, '--loss', 'l1', '--by', 'z'], /has no column "z"/],
  ])('what the service says is one sentence: %s', async (_, args, message) => {
    await expect(
      run([...args, '--predictions', 'y_hat', '--targets', 'y', '--url', server.url]),
    ).rejects.toThrow(message)
  })

  it('no service is one sentence, too', async () => {
    await expect(run([EXAMPLE, '--url', 'http://127.0.0.1:1'])).rejects.toThrow(
      /http:\/\/127.0.0.1:1 cannot be reached: /,
    )
    await expect(run([EXAMPLE, '--url', 'ftp://x'])).rejects.toThrow(/must begin with http/)
  })

  it('Ctrl-C cancels the job', async () => {
    const stopping = new AbortController()
    const running = run([EXAMPLE, '--loss', 'l1', '--bootstrap', '100000', '--url', server.url], {
      signal: stopping.signal,
    })
    running.catch(() => {})
    const start = vi.spyOn(globalThis, 'fetch')
    let id = ''
    await vi.waitFor(() => {
      const call = start.mock.calls.find(([url]) => String(url).endsWith('/events'))
      id = /evaluations\/([^/]+)\/events/.exec(String(call?.[0]))![1]!
    }, WAIT)
    start.mockRestore()
    stopping.abort(new Error('interrupted'))
    await expect(running).rejects.toThrow('interrupted')
    expect((await server.send('GET', `/v1/evaluations/${id}`)).body.state).toBe('cancelled')
  })
})

it('on this machine, Ctrl-C ends the evaluation', async () => {
  const stopping = new AbortController()
  stopping.abort(new Error('interrupted'))
  await expect(run([EXAMPLE], { signal: stopping.signal })).rejects.toThrow('interrupted')
})

it('the key of a service is sent along', async () => {
  const ring = new KeyRing()
  const key = await ring.add({ grants: ['evaluate:acme'] })
  const guarded = await startGuarded(ring, { datasets: join(folder, 'data') })
  await expect(run([EXAMPLE, '--url', guarded.url])).rejects.toThrow(/401: /)
  const { printed } = await run([EXAMPLE, '--json', '--url', guarded.url], { apiKey: key })
  expect(JSON.parse(printed).used).toBe(10_000)
  expect((await guarded.send('GET', '/v1/datasets', undefined, bearer(key))).body.datasets).toHaveLength(1)
  await guarded.close()
  ring.remove()
})

it.each(['result.xlsx', 'result'])(
  'an ending that is not known is refused before anything is computed: %s',
  async (name) => {
    await expect(run([EXAMPLE, '--out', join(folder, name)])).rejects.toThrow(
      /ends in .json, .csv, .parquet, got/,
    )
  },
)

describe.each(['--out', '--report'])('what %s cannot write is told before anything is computed', (option) => {
  /** What is printed before the failure, and the failure. */
  async function refused(path: string) {
    let printed = ''
    const out = (text: string) => {
      printed += text
    }
    const error = await run([EXAMPLE, option, path], { out }).catch((thrown: unknown) => thrown as Error)
    return [printed, (error as Error).message]
  }

  it.each([
    ['a folder', 'full.json', 'illegal operation on a directory'],
    ['in no folder', 'none/x.json', 'no such file or directory'],
    ['below a file', 'file.json/x.json', 'not a directory'],
    ['of a name that is too long', `${'x'.repeat(300)}.json`, 'name too long'],
  ])('%s', async (_, name, why) => {
    mkdirSync(join(folder, 'full.json'), { recursive: true })
    writeFileSync(join(folder, 'file.json'), 'kept')
    const path = join(folder, name)
    expect(await refused(path)).toEqual(['', `${path} cannot be written: ${why}`])
    expect(readFileSync(join(folder, 'file.json'), 'utf8')).toBe('kept')
    expect(existsSync(join(folder, 'x.json'))).toBe(false)
  })
})

describe('a terminal', () => {
  const KEY = 'a\u001b[31m\nred\u202e'
  const SHOWN = 'a\\u001b[31m\\nred\\u202e'

  it('is shown the controls of keys and names, which do nothing to it', async () => {
    const path = join(folder, 'controls.csv')
    writeFileSync(path, `y,y_hat,"by\u001b[0m"\n1,2,"${KEY}"\n3,3,"k\u200dk"\n`)
    const asked = ['--loss', 'l1', '--by', 'by\u001b[0m', '--worst', '2']
    const { printed } = await run([path, ...asked])
    expect(printed).toMatch(/^by\\u001b\[0m +rows/m)
    expect(printed.split('\n').filter((line) => line.startsWith(`${SHOWN}  `))).toHaveLength(1)
    expect(printed).toMatch(/^k\u200dk +1 /m)
    for (const control of ['\u001b', '\u202e']) expect(printed).not.toContain(control)
    const json = JSON.parse((await run([path, ...asked, '--json'])).printed) as Evaluation
    expect(json.losses[0]!.slices.map(({ key }) => key)).toContainEqual({ 'by\u001b[0m': KEY })
  })

  it('is shown them in the names of columns that are compared, too', async () => {
    const path = join(folder, 'compared.csv')
    writeFileSync(path, `y,"m\u001b[1m",n\n1,2,3\n2,2,2\n`)
    const { printed } = await run([path, '--loss', 'l1', '--targets', 'y', '--compare', 'm\u001b[1m,n'])
    expect(printed).toContain('l1: n minus m\\u001b[1m (negative: n is better)')
    expect(printed).not.toContain('\u001b')
  })
})

describe('what --loss names', () => {
  const lossOf = async (loss: string) =>
    JSON.parse((await run([EXAMPLE, '--loss', loss, '--json'])).printed).losses[0]

  it('is a loss, even if a folder is called so', async () => {
    const before = process.cwd()
    mkdirSync(join(folder, 'l1'))
    process.chdir(folder)
    expect(await lossOf('l1').finally(() => process.chdir(before))).toMatchObject({ loss: 'l1' })
  })

  it.each(['scale=[1,2],name="a,b"', 'name="a,b",scale=[1,2]'])(
    'has parameters with commas in brackets and quotes: %s',
    async (params) => {
      const error = await lossOf(`huber:${params}`).catch((thrown: unknown) => thrown as Error)
      expect(error.message).toMatch(/scale|name/)
      expect(error.message).not.toMatch(/takes name=value/)
    },
  )
})

it.each([
  [['--wieght', 'w'], /^there is no option --wieght\. Did you mean "--weight"\? lossd evaluate --help/],
  [['--nothing'], /^there is no option --nothing\. lossd evaluate --help explains all options$/],
  [['--seed', '-1'], /^Option '--seed' argument is ambiguous\..*--seed=/],
  [['--weight'], /^Option '--weight <value>' argument missing$/],
  [['--threads', '0'], /^--threads takes an integer >= 1, got "0"$/],
  [
    ['--by', 'region', '--by', 'month'],
    /^--by may be given once\. Several columns or numbers have commas between them: a,b$/,
  ],
  [
    ['--loss', 'huber', '--predictions', 'y_hat,y_hat_b'],
    /^huber: targets has the axes \[\.\.\.\], but "y" has one number for each row; predictions has 2 numbers for each row$/,
  ],
  [
    ['--loss', 'nt_xent', '--input', 'labels=month'],
    /^nt_xent: embeddings has the axes \[rows, dim\], but "y_hat" has one number for each row; labels has one number for each row$/,
  ],
  [
    ['--loss', 'nt_xent', '--predictions', 'y_hat,y_hat_b', '--targets', 'month'],
    /^nt_xent cannot be evaluated row by row: the loss of a row depends on other rows$/,
  ],
  [['--loss', 'adaptive_log_softmax:cutoffs=[2,1]'], /must increase, got 1 after 2$/],
  [['--loss', 'huber:delta=2,'], /^--loss takes name=value, got ""$/],
  [['--loss', BROKEN], /^--loss: \S*broken.json is not JSON: Unexpected token .* is not valid JSON$/],
  [
    ['b.parquet', 'c.parquet'],
    /^evaluate takes one file, one folder, or a pattern in quotes, got .* c.parquet$/,
  ],
])('options that are not understood are told in one line: %j', async (args, message) => {
  const error = await run([EXAMPLE, ...args]).catch((thrown: unknown) => thrown as Error)
  expect((error as Error).message).toMatch(message)
  expect((error as Error).message).not.toContain('\n')
})
