/** A failing store, as clients see it: cached losses still work, requests that need the store fail with a reason, and it recovers. */
import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { Cluster, findPostgres } from '../store/cluster.ts'
import { type Kept, ROBUST, startKeeper } from '../support/custom.ts'

/** The backoff takes seconds. */
const WAIT = { timeout: 30_000, interval: 50 }
const NOBODY = 65534

const body = { predictions: [1, 2], targets: [0, 0] }
const named = (name: string, changes: object = {}) => ({ ...ROBUST, name: `acme/${name}`, ...changes })
const register = (server: Kept, name: string, changes: object = {}) =>
  server.send('POST', '/v1/losses', named(name, changes))
const evaluate = (server: Kept, name: string) => server.send('POST', `/v1/losses/${name}`, body)
const stateOf = async (server: Kept): Promise<string> =>
  (await server.send('GET', '/health/ready')).body.store

/** Every request that does not need the store. `acme/known` was evaluated before. */
async function expectComputes(server: Kept) {
  const inline = { formula: 'abs(predictions - targets)', ...body }
  const terms = [{ loss: 'acme/known' }, { loss: 'l1' }]
  const answers = await Promise.all([
    evaluate(server, 'l1'),
    evaluate(server, 'acme/known'),
    evaluate(server, 'acme/known@1'),
    server.send('POST', '/v1/losses:evaluate', inline),
    server.send('POST', '/v1/losses:compose', { terms, ...body }),
    server.send('GET', '/v1/losses/acme/known'),
    server.send('GET', '/health/live'),
    server.send('GET', '/health/ready'),
  ])
  expect(answers.map(({ status }) => status)).toEqual(Array(8).fill(200))
}

async function expectDown(answer: Promise<{ status: number; headers: Headers; body: unknown }>, why: RegExp) {
  const { status, headers, body } = await answer
  expect(status, JSON.stringify(body)).toBe(503)
  expect(body).toMatchObject({ type: 'urn:lossd:problem:store-down', retryable: true })
  const { detail } = body as { detail: string }
  expect(detail).toMatch(why)
  // Where it is, concerns nobody else.
  expect(detail).not.toMatch(/127\.0\.0\.1|localhost|:\d|\/tmp/)
  expect(Number(headers.get('retry-after'))).toBeGreaterThan(0)
}

const recovers = (server: Kept, name = 'after') =>
  vi.waitFor(async () => expect((await register(server, name)).status).toBe(201), WAIT)

const bin = findPostgres()

describe.skipIf(bin === undefined)('a server of the store that is down', () => {
  let cluster: Cluster
  let server: Kept
  beforeAll(async () => {
    cluster = new Cluster(bin!)
    await cluster.start()
  })
  afterAll(() => cluster?.remove())
  beforeEach(async () => {
    server = await startKeeper({ store: cluster.createDatabase() })
    expect((await register(server, 'known')).status).toBe(201)
    expect((await evaluate(server, 'acme/known')).status).toBe(200)
  })
  afterEach(async () => {
    await server.close()
  })

  it('stops no evaluation: requests that need it fail, readiness reports why, and they work again when it is back', async () => {
    await register(server, 'unseen')
    expect(await stateOf(server)).toBe('up')
    await cluster.stop()
    await expectDown(register(server, 'new'), /cannot be used/)
    await expectComputes(server)
    await expectDown(evaluate(server, 'acme/nobody_knows'), /cannot be used/)
    await expectDown(server.send('DELETE', '/v1/losses/acme/known'), /cannot be used/)
    await expectDown(server.send('GET', '/v1/losses?namespace=acme'), /cannot be used/)
    await vi.waitFor(async () => expect(await stateOf(server)).toBe('down'), WAIT)
    await cluster.start()
    await recovers(server)
    await vi.waitFor(async () => expect(await stateOf(server)).toBe('up'), WAIT)
    expect((await evaluate(server, 'acme/unseen')).status).toBe(200)
  })

  it('may be down when the service starts', async () => {
    const url = cluster.createDatabase()
    await cluster.stop()
    const early = await startKeeper({ store: url })
    try {
      expect((await evaluate(early, 'l1')).status).toBe(200)
      await expectDown(register(early, 'new'), /cannot be used/)
      await cluster.start()
      await recovers(early)
      expect((await evaluate(early, 'acme/after')).status).toBe(200)
    } finally {
      await early.close()
    }
  })
})

describe('a file of the store', () => {
  let folder: string
  let server: Kept | undefined
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'lossd-failing-'))
    chmodSync(folder, 0o755)
  })
  afterEach(async () => {
    await server?.close()
    server = undefined
    rmSync(folder, { recursive: true })
  })
  const start = async (path: string) => {
    server = await startKeeper({ store: `file:${path}` })
    return server
  }

  it('that is read-only stops no evaluation, and accepts registrations again when it is writable', async () => {
    const path = join(folder, 'data', 'lossd.db')
    const first = await start(path)
    await register(first, 'known')
    await first.close()
    const permit = (mode: number) => {
      chmodSync(path, mode & 0o666)
      chmodSync(join(folder, 'data'), mode)
    }
    permit(0o555)
    const again = await start(path)
    await withoutPrivileges(async () => {
      await expectDown(register(again, 'new'), /read-only|cannot be opened/)
      expect((await evaluate(again, 'l1')).status).toBe(200)
    })
    permit(0o777)
    await recovers(again)
    await vi.waitFor(async () => expect((await evaluate(again, 'acme/known')).status).toBe(200), WAIT)
    await expectComputes(again)
  })

  it('on a full disk keeps every acknowledged registration, and accepts registrations again when there is space', async () => {
    const disk = join(folder, 'disk')
    mkdirSync(disk)
    if (!mount(disk)) return console.log('skipped: a small disk cannot be mounted here')
    try {
      const { closed, told } = await fill(disk)
      const after = await start(join(disk, 'lossd.db'))
      for (const name of told) expect((await evaluate(after, name)).status).toBe(200)
      const { body: listed } = await after.send('GET', '/v1/losses?namespace=acme')
      expect(listed.losses.map(({ name }: { name: string }) => name).sort()).toEqual([...told].sort())
      await after.close()
      await closed
    } finally {
      execFileSync('umount', ['-l', disk])
    }
  })

  /** Registers until the disk is full, frees space, and registers once more. @returns the acknowledged registrations */
  async function fill(disk: string) {
    const filling = await startKeeper({ store: `file:${join(disk, 'lossd.db')}` })
    writeFileSync(join(disk, 'ballast'), Buffer.alloc(300_000))
    const told: string[] = []
    const next = () =>
      register(filling, `loss_${told.length}`, { references: Array(30).fill('x'.repeat(900)) })
    let answer = await register(filling, 'known')
    while (answer.status === 201 && told.length < 90) {
      told.push(answer.body.name)
      answer = await next()
    }
    expect(told.length).toBeGreaterThan(5)
    await evaluate(filling, 'acme/known')
    await expectDown(Promise.resolve(answer), /the disk is full/)
    await expectDown(next(), /the disk is full/)
    await expectComputes(filling)
    expect((await evaluate(filling, told.at(-1)!)).status).toBe(200)
    rmSync(join(disk, 'ballast'))
    await recovers(filling)
    told.push('acme/after')
    return { told, closed: filling.close() }
  }
})

/** File permissions do not apply to root. */
async function withoutPrivileges(run: () => Promise<void>) {
  if (process.geteuid!() !== 0) return run()
  process.seteuid!(NOBODY)
  await run().finally(() => process.seteuid!(0))
}

/** Mounts a disk of one megabyte. @returns false if that is not permitted */
function mount(folder: string): boolean {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', folder], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}
