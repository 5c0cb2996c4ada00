/** `lossd keys` as a person runs it, and the services that read the keys. */
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runKeys } from '../../src/access/command.ts'
import { keySourceOf } from '../../src/access/key-source.ts'
import { bearer } from '../support/access.ts'
import { startKeeper } from '../support/custom.ts'
import { builtProgram } from '../support/programs.ts'

const PROGRAM = builtProgram('cli')
let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'lossd-command-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

interface Ran {
  readonly code: number
  readonly out: string
  readonly err: string
}

async function lossd(env: Readonly<Record<string, string>>, ...args: readonly string[]): Promise<Ran> {
  try {
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [PROGRAM, 'keys', ...args], {
      env: { ...process.env, ...env },
    })
    return { code: 0, out: stdout, err: stderr }
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string }
    return { code, out: stdout, err: stderr }
  }
}

describe.each(['file', 'store'] as const)('lossd keys, in a %s', (kind) => {
  const env = () => ({
    LOSSD_KEYS: kind === 'file' ? `file:${folder}/keys.json` : 'store',
    LOSSD_STORE: `file:${folder}/lossd.db`,
  })

  it('makes a key that a service accepts, lists it, and revokes it while the service runs', async () => {
    const made = await lossd(
      env(),
      'add',
      '--name',
      'trainer',
      '--grant',
      'evaluate:acme',
      '--quota',
      'requests=9/s',
    )
    expect(made.code).toBe(0)
    const key = made.out.trim()
    expect(key).toMatch(/^lossd_[0-9a-f]{12}_[\w-]{43}$/)
    expect(made.err).not.toContain(key)
    const id = key.split('_')[1]!
    const listed = await lossd(env(), 'list')
    expect(listed.out).toMatch(new RegExp(`^${id}  valid +trainer  evaluate:acme  requests=9/s  \\d{4}`, 'm'))
    expect(listed.out).not.toContain(key.slice(-43))

    const server = await startKeeper({ keys: env().LOSSD_KEYS, store: env().LOSSD_STORE })
    const status = async () => (await server.send('GET', '/v1/guide', undefined, bearer(key))).status
    expect(await status()).toBe(200)
    expect((await lossd(env(), 'revoke', id)).err).toContain(`revoked key ${id}`)
    await expect.poll(status, { timeout: 5000 }).toBe(401)
    expect((await lossd(env(), 'revoke', id)).err).toContain('was revoked on')
    expect((await lossd(env(), 'list')).out).toMatch(new RegExp(`^${id}  revoked`, 'm'))
    await server.close()
  }, 60_000)
})

describe('lossd keys', () => {
  const source = () => keySourceOf(`file:${folder}/others.json`, undefined)
  const run = (...args: readonly string[]) =>
    runKeys(args, { source: source(), user: 'me', out: () => {}, note: () => {} })

  it.each([
    [['add'], /--name/],
    [['add', '--name', 'x', '--grant', 'evaluate'], /"evaluate" is not a grant/],
    [['add', '--name', 'x', '--grant', 'evaluate:Acme'], /"evaluate:Acme" is not a grant/],
    [['add', '--name', 'x', '--quota', 'requests=1'], /"requests=1" is not a quota/],
    [['add', '--name', 'x', '--expires', 'tomorrow'], /must be a date/],
    [['add', '--name', 'x\u0007'], /\/name/],
    [['revoke', 'nobody'], /there is no key nobody/],
    [['revoke'], /lossd keys revoke <id>/],
    [['remove', 'x'], /lossd keys add/],
  ])('says what is wrong with %j', async (args, why) => {
    await run('add', '--name', 'known')
    await expect(run(...args)).rejects.toThrow(why)
    expect(await source().read()).toHaveLength(1)
    rmSync(`${folder}/others.json`)
  })
})

it('lossd keys says in a sentence what it lacks, and exits with 1', async () => {
  const [without, missing] = await Promise.all([
    lossd({ LOSSD_KEYS: '' }, 'list'),
    lossd({ LOSSD_KEYS: `file:${folder}/none.json` }, 'list'),
  ])
  expect([without.code, missing.code]).toEqual([1, 1])
  expect(without.err).toContain('LOSSD_KEYS says where keys are kept')
  expect(missing.err.trim()).toBe('there is no such file; lossd keys add makes it')
})
