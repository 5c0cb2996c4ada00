/** The command `store export` and `store import`, run as a process. */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openStore } from '../../src/store/index.ts'
import { builtProgram } from '../support/programs.ts'
import { allOf, draftOf } from './drafts.ts'

const PROGRAM = builtProgram('store-cli')

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lossd-cli-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

const urlOf = (name: string) => `file:${folder}/${name}.db`

/** Runs the command on a store in the folder. */
async function run(command: string, store: string, { input = '', readOnly = Infinity } = {}) {
  const child = spawn(process.execPath, [PROGRAM, command], {
    env: { PATH: process.env.PATH, LOSSD_STORE: store },
    stdio: 'pipe',
  })
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve))
  child.stdin.on('error', () => {}).end(input)
  const errors = text(child.stderr)
  let out = ''
  for await (const chunk of child.stdout.setEncoding('utf8')) {
    out += chunk
    if (out.length >= readOnly) break
  }
  return { code: await ended, out, errors: await errors }
}

async function contentOf(name: string) {
  const store = openStore(urlOf(name), { maxLosses: 1000 })!
  return allOf(store.export()).finally(() => store.close())
}

async function fill(name: string, losses = 3) {
  const store = openStore(urlOf(name), { maxLosses: 1000 })!
  for (let i = 0; i < losses; i++)
    for (const about of ['Δ\n', '"']) await store.register(draftOf(`acme/a${i}`, JSON.stringify({ about })))
  await store.retire('acme', 'a0')
  await store.purge('acme', 'a1')
  await store.close()
}

describe('the store command', () => {
  it('exports everything and imports it into another store', async () => {
    await fill('here')
    const { code, out, errors } = await run('export', urlOf('here'))
    expect({ code, errors }).toEqual({ code: 0, errors: '' })
    expect(out.split('\n')).toHaveLength(3 + 4 + 1)
    const again = await run('import', urlOf('there'), { input: out })
    expect(again).toEqual({ code: 0, out: '', errors: 'lossd: 4 new versions\n' })
    expect(await contentOf('there')).toEqual(await contentOf('here'))
  })

  it('reports the invalid line of an import, and imports nothing then', async () => {
    await fill('here')
    const { out } = await run('export', urlOf('here'))
    const answer = await run('import', urlOf('there'), { input: out.slice(0, -3) })
    expect(answer).toEqual({ code: 1, out: '', errors: 'lossd: line 7: not valid JSON\n' })
    expect(await contentOf('there')).toEqual([])
  })

  it('exports nothing from a store that does not exist, and does not create it', async () => {
    expect(await run('export', urlOf('none'))).toEqual({ code: 0, out: '', errors: '' })
    expect(await contentOf('none')).toEqual([])
  })

  it('reports what is wrong with its arguments and its setting', async () => {
    expect(await run('', urlOf('here'))).toEqual({
      code: 1,
      out: '',
      errors: 'lossd: expected the argument export or import\n',
    })
    expect((await run('toString', urlOf('here'))).errors).toBe(
      'lossd: expected the argument export or import\n',
    )
    expect((await run('export', 'none')).errors).toBe('lossd: LOSSD_STORE is none\n')
    const wrong = await run('export', 'mysql://u:secret@h/d')
    expect(wrong.errors).toBe('lossd: LOSSD_STORE must be file:path, postgres://user@host/database or none\n')
    const down = await run('export', 'postgres://u:secret@127.0.0.1:1/db')
    expect(down.errors).toBe(
      'lossd: the store db at 127.0.0.1:1 cannot be used: no server is listening there\n',
    )
    expect(down.code).toBe(1)
  })

  it('exits quietly when the reader closes the pipe', async () => {
    await fill('here', 40)
    const { errors } = await run('export', urlOf('here'), { readOnly: 1 })
    expect(errors).toBe('')
  })
})
