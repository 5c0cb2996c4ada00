/** Faults of a PostgreSQL server, and what the store reports. */
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { type Change, type LossStore, StoreDown } from '../../src/store/contract.ts'
import { openStore } from '../../src/store/index.ts'
import { Cluster, findPostgres } from './cluster.ts'
import { draftOf } from './drafts.ts'

/** Backoff takes seconds. */
const WAIT = { timeout: 30_000, interval: 50 }

const bin = findPostgres()
if (bin === undefined) console.log('PostgreSQL is not on this machine: its failures are not tested')

let cluster: Cluster
let url: string
let opened: LossStore[]

function open(at = url): LossStore {
  const store = openStore(at, { maxLosses: 1000 })!
  opened.push(store)
  return store
}

async function expectDown(call: Promise<unknown>, reason: RegExp) {
  await expect(call).rejects.toThrow(reason)
  await expect(call).rejects.toThrow(StoreDown)
}

const databaseOf = (url: string) => /\/(t\d+)\?/.exec(url)![1]!
const query = (sql: string) => cluster.query(databaseOf(url), sql)

async function hears(store: LossStore, wanted = true) {
  await vi.waitFor(() => expect(store.hearsChanges).toBe(wanted), WAIT)
}

describe.skipIf(bin === undefined)('the server of the store', () => {
  beforeAll(async () => {
    cluster = new Cluster(bin!)
    await cluster.start()
  })
  afterAll(() => cluster?.remove())
  beforeEach(() => {
    url = cluster.createDatabase()
    opened = []
  })
  afterEach(() => Promise.all(opened.map((store) => store.close())))

  it('passes over a job that another process is taking, and waits for nobody', async () => {
    const store = open()
    for (const id of ['a', 'b']) await store.addJob({ id, owner: null, request: '{}', idempotencyKey: null })
    const oldest = query('select id from lossd_jobs order by created limit 1')
    const holder = cluster.hold(
      databaseOf(url),
      `begin; select id from lossd_jobs where id = '${oldest}' for update; select pg_sleep(60)`,
    )
    const locks =
      "select count(*) from pg_stat_activity where query like '%pg_sleep(60)%' and wait_event = 'PgSleep'"
    await vi.waitFor(() => expect(query(locks)).toBe('1'), WAIT)
    const lease = { worker: 'w', now: Date.now(), until: Date.now() + 5000 }
    const started = performance.now()
    const taken = await store.claimJob(lease)
    expect([taken?.id, performance.now() - started < 2000]).toEqual([oldest === 'a' ? 'b' : 'a', true])
    expect(await store.claimJob({ ...lease, worker: 'v' })).toBeUndefined()
    holder.kill()
    query(
      "select pg_terminate_backend(pid) from pg_stat_activity where query like '%pg_sleep(60)%' and pid <> pg_backend_pid()",
    )
    await vi.waitFor(async () => expect((await store.claimJob(lease))?.id).toBe(oldest), WAIT)
  })

  it('may stop and start again while it is in use', async () => {
    const stores = [open(), open()]
    const kept: string[] = []
    const changes: Change[] = []
    let isOver = false
    const use = async (store: LossStore, prefix: string) => {
      for (let i = 0; !isOver; i++) {
        const name = `${prefix}${i}`
        try {
          await store.register(draftOf(`acme/${name}`, name))
          kept.push(name)
        } catch (error) {
          expect(error).toBeInstanceOf(StoreDown)
          await sleep(5)
        }
      }
    }
    await Promise.all(stores.map((store) => store.health()))
    for (const store of stores) await hears(store)
    stores[0]!.onChange((change) => changes.push(change))
    const using = stores.map((store, i) => use(store, 'ab'[i]!))
    for (let round = 0; round < 3; round++) {
      const before = kept.length
      await vi.waitFor(() => expect(kept.length).toBeGreaterThan(before + 20), WAIT)
      await cluster.stop()
      await hears(stores[0]!, false)
      expect(changes).toContain('all')
      await expect(stores[0]!.health()).rejects.toThrow(
        /^the store t\d+ at .*:5432 cannot be used: (no server is listening there|the server is starting or stopping|the connection was lost)$/,
      )
      await cluster.start()
      for (const store of stores) await hears(store)
    }
    isOver = true
    await Promise.all(using)
    const found = new Set(query('select name from lossd_losses').split('\n'))
    expect(kept.filter((name) => !found.has(name))).toEqual([])
    // The other store receives changes again.
    changes.length = 0
    await vi.waitFor(() => stores[1]!.register(draftOf('acme/last')), WAIT)
    await vi.waitFor(() => expect(changes).toContainEqual({ namespace: 'acme', name: 'last' }), WAIT)
  })

  it('may be down at first', async () => {
    await cluster.stop()
    const lines: string[] = []
    const log = { warn: (line: string) => lines.push(line), info: (line: string) => lines.push(line) }
    const store = openStore(url, { maxLosses: 1000, log })!
    opened.push(store)
    try {
      await expectDown(store.find('acme', 'a'), /cannot be used: no server is listening there/)
      await expectDown(store.register(draftOf('acme/a')), /no server is listening there/)
      expect(store.hearsChanges).toBe(false)
    } finally {
      await cluster.start()
    }
    await vi.waitFor(() => store.register(draftOf('acme/a')), WAIT)
    await hears(store)
    // Once each, however many calls fail.
    expect(lines).toEqual([
      expect.stringMatching(/^the store t\d+ at .* cannot be used: no server is listening there$/),
      'the store is available again',
    ])
  })

  it('may close the connection that listens: caches are told that they may be out of date', async () => {
    const store = open()
    await store.health()
    await hears(store)
    const changes: Change[] = []
    store.onChange((change) => changes.push(change))
    query(
      "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'lossd' and query ~ '^(select 1|listen|select pg_notify)'",
    )
    await vi.waitFor(() => expect(changes).toContain('all'), WAIT)
    await hears(store)
    changes.length = 0
    await open().register(draftOf('acme/a'))
    await vi.waitFor(() => expect(changes).toContainEqual({ namespace: 'acme', name: 'a' }), WAIT)
  })

  it('may hang: calls time out, listeners are told, and the store works again when it does', async () => {
    const store = open()
    await store.register(draftOf('acme/a'))
    await hears(store)
    cluster.signal('SIGSTOP')
    try {
      const start = performance.now()
      await expectDown(store.find('acme', 'a'), /did not respond/)
      expect(performance.now() - start).toBeLessThan(8000)
      await hears(store, false)
    } finally {
      cluster.signal('SIGCONT')
    }
    await vi.waitFor(async () => expect(await store.find('acme', 'a')).toBeDefined(), WAIT)
    await hears(store)
  })

  it('is not contacted for each call while it is down (circuit breaker)', async () => {
    await cluster.stop()
    const store = open()
    try {
      for (let i = 0; i < 5; i++) {
        await store.health().catch(() => {})
        await sleep(200)
      }
      // The backoff has grown by now, so these calls fail without waiting for a connection.
      const start = performance.now()
      for (let i = 0; i < 1000; i++) await expect(store.health()).rejects.toThrow(StoreDown)
      expect(performance.now() - start).toBeLessThan(2000)
    } finally {
      await cluster.start()
    }
    await vi.waitFor(() => store.health(), WAIT)
  })

  it('may be read-only: reads still work', async () => {
    const writer = open()
    await writer.register(draftOf('acme/a'))
    query(`alter database ${databaseOf(url)} set default_transaction_read_only = on`)
    const store = open()
    expect(await store.find('acme', 'a')).toBeDefined()
    await expectDown(store.register(draftOf('acme/b')), /cannot be used: the server is read-only/)
    expect(await store.find('acme', 'a')).toBeDefined()
  })

  it('reports what is wrong with the address, without the password', async () => {
    await expectDown(open(cluster.addressOf('nowhere')).health(), /nowhere at .* there is no such database/)
    await expectDown(
      open(cluster.addressOf(databaseOf(url), 'stranger:secret')).health(),
      /^(?!.*(secret|stranger)).*the server rejects the user or password/,
    )
    await expectDown(
      open('postgres://u:secret@127.0.0.1:1/db').health(),
      /^the store db at 127\.0\.0\.1:1 cannot be used: no server is listening there$/,
    )
    await expectDown(
      open('postgres://u:secret@nowhere.invalid/db').health(),
      /the host name (does not exist|cannot be resolved at the moment)$/,
    )
  })

  it('reports which permission is missing', async () => {
    query('create role reader login')
    const store = open(cluster.addressOf(databaseOf(url), 'reader'))
    await expectDown(store.health(), /the user lacks a permission: permission denied for schema public/)
    await open().register(draftOf('acme/a'))
    await vi.waitFor(() => expectDown(store.health(), /permission denied for table lossd_schema/), WAIT)
    query('grant select on all tables in schema public to reader')
    await vi.waitFor(async () => expect(await store.find('acme', 'a')).toBeDefined(), WAIT)
    await expectDown(store.register(draftOf('acme/b')), /permission denied for table lossd_losses/)
    // These permissions are enough according to docs/store.md.
    query('grant insert, update, delete on lossd_losses, lossd_versions to reader')
    await vi.waitFor(() => store.register(draftOf('acme/b')), WAIT)
    expect(await store.purge('acme', 'b')).toBe(true)
    query('grant insert, update on lossd_keys to reader')
    for (const record of ['1', '2']) await store.putKey({ id: 'a', record })
    expect(await store.keys()).toEqual([{ id: 'a', record: '2' }])
  })

  it('must use UTF-8', async () => {
    url = cluster.createDatabase("encoding 'SQL_ASCII' template template0 locale 'C'")
    await expectDown(open().health(), /database must have the encoding UTF8, but has SQL_ASCII/)
  })

  it('reports that another transaction has locked the name', async () => {
    const store = open()
    await store.register(draftOf('acme/a'))
    query('create table held(); ')
    const holder = cluster.hold(databaseOf(url), 'begin; lock table lossd_losses; select pg_sleep(60)')
    await vi.waitFor(
      () =>
        expect(
          query(
            "select count(*) from pg_locks where relation = 'lossd_losses'::regclass and mode = 'AccessExclusiveLock' and granted",
          ),
        ).toBe('1'),
      WAIT,
    )
    try {
      await expectDown(store.register(draftOf('acme/b')), /another process has locked it/)
    } finally {
      holder.kill()
      query(
        "select pg_terminate_backend(pid) from pg_stat_activity where query like '%pg_sleep%' and pid <> pg_backend_pid()",
      )
    }
    expect((await store.register(draftOf('acme/b'))).isNew).toBe(true)
  })

  it('has acknowledged commits on disk, whatever its default', async () => {
    query(`alter database ${databaseOf(url)} set synchronous_commit = off`)
    query(`create table seen(value text); create function see() returns trigger language plpgsql as
      $$ begin insert into seen values (current_setting('synchronous_commit')); return new; end $$`)
    const store = open()
    await store.health()
    query('create trigger see before insert on lossd_versions for each row execute function see()')
    await store.register(draftOf('acme/a'))
    expect(query('select value from seen')).toBe('on')
  })

  it('may be restored from an old backup without the tables', async () => {
    const store = open()
    await store.register(draftOf('acme/a'))
    query('drop table lossd_versions, lossd_losses, lossd_schema; drop function lossd_refuse_update')
    await expectDown(store.find('acme', 'a'), /the tables are missing/)
    await vi.waitFor(() => store.register(draftOf('acme/a')), WAIT)
    expect((await store.find('acme', 'a'))!.stored.version).toBe(1)
  })
})
