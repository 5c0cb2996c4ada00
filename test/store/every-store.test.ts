/** The conformance suite of the stores: every kind of store keeps these promises. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import {
  type Change,
  ImportRefused,
  NamespaceFull,
  type NewJob,
  PreconditionFailed,
  StoreDown,
} from '../../src/store/contract.ts'
import { allOf, draftOf, sha256 } from './drafts.ts'
import { type Place, storeKinds } from './stores.ts'

/** Notifications and backoff take a moment, and on a busy machine longer. */
const WAIT = { timeout: 20_000, interval: 20 }

describe.each(storeKinds())('the store in $title', ({ begin, make, end }) => {
  let place: Place
  beforeAll(begin)
  afterAll(end)
  beforeEach(async () => {
    place = await make()
  })
  afterEach(() => place.remove())

  /** A second place for one test. */
  async function elsewhere(): Promise<Place> {
    const other = await make()
    onTestFinished(() => other.remove())
    return other
  }

  it('is empty at first', async () => {
    const store = place.open()
    expect(await store.find('acme', 'none')).toBeUndefined()
    expect(await store.list(undefined, { limit: 10 })).toEqual([])
    expect(await store.versions('acme', 'none', { limit: 10 })).toEqual([])
    await store.health()
  })

  it('returns what was registered, character for character', async () => {
    const store = place.open()
    const document = '{ "about": "\\u0000 \\"Δ\\" 𝄞",\n\t"formula": "predictions - targets" }'
    const draft = draftOf('acme/robust_log', document, { createdBy: 'Zoë <z@example.org>' })
    const before = Date.now()
    const { stored, isNew } = await store.register(draft)
    expect({ stored, isNew }).toEqual({
      stored: { ...draft, version: 1, created: expect.any(String) },
      isNew: true,
    })
    expect(new Date(stored.created).toISOString()).toBe(stored.created)
    expect(Date.parse(stored.created)).toBeGreaterThanOrEqual(before)
    const loss = { namespace: 'acme', name: 'robust_log', latest: 1, retired: null }
    expect(await store.find('acme', 'robust_log')).toEqual({ stored, loss })
    expect(await place.open().find('acme', 'robust_log', 1)).toEqual({ stored, loss })
  })

  it('stores a document of the maximum size', async () => {
    const store = place.open()
    const document = JSON.stringify('é'.repeat(32 * 1024 - 1))
    expect(Buffer.byteLength(document)).toBe(64 * 1024)
    await store.register(draftOf('acme/long', document))
    expect((await store.find('acme', 'long'))!.stored.document).toBe(document)
  })

  it('registers an equal document once, and a different one as the next version', async () => {
    const store = place.open()
    const first = await store.register(draftOf('acme/a', '1'))
    expect(await store.register(draftOf('acme/a', '1', { createdBy: 'another' }))).toEqual({
      stored: first.stored,
      isNew: false,
    })
    expect((await store.register(draftOf('acme/a', '2'))).stored.version).toBe(2)
    // The first document again: it is no longer the latest, so this is a new version.
    expect((await store.register(draftOf('acme/a', '1'))).stored.version).toBe(3)
    expect((await store.find('acme', 'a', 1))!.stored).toEqual(first.stored)
    expect((await store.find('acme', 'a'))!.stored.version).toBe(3)
    expect(await store.find('acme', 'a', 4)).toBeUndefined()
  })

  it('pages through versions, newest first', async () => {
    const store = place.open()
    for (let i = 1; i <= 5; i++) await store.register(draftOf('acme/a', `${i}`))
    const numbers = async (page: { limit: number; before?: number }) =>
      (await store.versions('acme', 'a', page)).map(({ version }) => version)
    expect(await numbers({ limit: 2 })).toEqual([5, 4])
    expect(await numbers({ limit: 2, before: 4 })).toEqual([3, 2])
    expect(await numbers({ limit: 2, before: 2 })).toEqual([1])
  })

  it('pages through names in the order of their bytes', async () => {
    const store = place.open()
    const names = ['b/a', 'a/z', 'a/b_c', 'a/bb', 'a/b', 'a/b1']
    for (const name of names) await store.register(draftOf(name, name))
    const sorted = [...names].sort()
    const found = async (namespace: string | undefined, page: Parameters<typeof store.list>[1]) =>
      (await store.list(namespace, page)).map(({ loss }) => `${loss.namespace}/${loss.name}`)
    expect(await found(undefined, { limit: 10 })).toEqual(sorted)
    expect(await found('a', { limit: 10 })).toEqual(sorted.slice(0, -1))
    expect(await found(undefined, { limit: 2, after: { namespace: 'a', name: 'b1' } })).toEqual(
      sorted.slice(2, 4),
    )
    expect(await found('c', { limit: 2 })).toEqual([])
  })

  it('lists each name with its latest version', async () => {
    const store = place.open()
    await store.register(draftOf('acme/a', '1'))
    await store.register(draftOf('acme/a', '2'))
    const [found, ...others] = await store.list('acme', { limit: 10 })
    expect(found).toEqual(await store.find('acme', 'a', 2))
    expect(others).toEqual([])
  })

  it('with the condition onlyCreate, registers only new names', async () => {
    const store = place.open()
    await store.register(draftOf('acme/a', '1'), { onlyCreate: true })
    const again = store.register(draftOf('acme/a', '1'), { onlyCreate: true })
    await expect(again).rejects.toThrow(PreconditionFailed)
    await expect(again).rejects.toMatchObject({ latest: 1, message: 'acme/a already exists: @1' })
    await store.retire('acme', 'a')
    expect((await store.register(draftOf('acme/a', '1'), { onlyCreate: true })).stored.version).toBe(2)
  })

  it('with the condition follows, registers only after that version', async () => {
    const store = place.open()
    await expect(store.register(draftOf('acme/a', '1'), { follows: 1 })).rejects.toMatchObject({
      latest: undefined,
      message: 'the latest version of acme/a must be @1, but there is none',
    })
    await store.register(draftOf('acme/a', '1'))
    expect((await store.register(draftOf('acme/a', '2'), { follows: 1 })).stored.version).toBe(2)
    await expect(store.register(draftOf('acme/a', '3'), { follows: 1 })).rejects.toMatchObject({ latest: 2 })
    await expect(store.register(draftOf('acme/a', '3'), { follows: 1 })).rejects.toThrow(PreconditionFailed)
    await store.retire('acme', 'a')
    await expect(store.register(draftOf('acme/a', '3'), { follows: 2 })).rejects.toMatchObject({
      latest: undefined,
    })
    expect(await store.find('acme', 'a', 3)).toBeUndefined()
  })

  it('still finds the versions of a retired name, and brings it back with the next version', async () => {
    const store = place.open()
    await store.register(draftOf('acme/a', '1'))
    expect(await store.retire('acme', 'a')).toBe(true)
    expect(await store.retire('acme', 'a')).toBe(false)
    expect(await store.retire('acme', 'b')).toBe(false)
    const found = (await store.find('acme', 'a'))!
    expect(new Date(found.loss.retired!).toISOString()).toBe(found.loss.retired)
    expect(await store.find('acme', 'a', 1)).toEqual(found)
    expect(await store.list('acme', { limit: 10 })).toEqual([])
    expect(await store.list('acme', { limit: 10, withRetired: true })).toEqual([found])
    expect(await store.register(draftOf('acme/a', '1'))).toMatchObject({
      stored: { version: 2 },
      isNew: true,
    })
    expect((await store.find('acme', 'a', 1))!.loss).toMatchObject({ latest: 2, retired: null })
  })

  it('purges a name, and never uses its version numbers again', async () => {
    const store = place.open()
    for (const document of ['1', '2']) await store.register(draftOf('acme/a', document))
    expect(await store.purge('acme', 'a')).toBe(true)
    expect(await store.purge('acme', 'a')).toBe(false)
    expect(await store.purge('acme', 'b')).toBe(false)
    expect(await store.find('acme', 'a')).toBeUndefined()
    expect(await store.find('acme', 'a', 1)).toBeUndefined()
    expect(await store.versions('acme', 'a', { limit: 10 })).toEqual([])
    expect(await store.list(undefined, { limit: 10, withRetired: true })).toEqual([])
    expect(await store.retire('acme', 'a')).toBe(false)
    expect((await store.register(draftOf('acme/a', '2'), { onlyCreate: true })).stored.version).toBe(3)
    expect(await store.find('acme', 'a', 2)).toBeUndefined()
    expect((await store.find('acme', 'a'))!.loss).toMatchObject({ latest: 3, retired: null })
  })

  it('purges a retired name as well', async () => {
    const store = place.open()
    await store.register(draftOf('acme/a', '1'))
    await store.retire('acme', 'a')
    expect(await store.purge('acme', 'a')).toBe(true)
    expect((await store.register(draftOf('acme/a', '1'))).stored.version).toBe(2)
  })

  it('limits the number of names in a namespace', async () => {
    const store = place.open({ maxLosses: 2 })
    for (const name of ['acme/a', 'acme/b', 'other/a']) await store.register(draftOf(name))
    const full = store.register(draftOf('acme/c'))
    await expect(full).rejects.toThrow(NamespaceFull)
    await expect(full).rejects.toMatchObject({ limit: 2 })
    // Existing names still accept new versions.
    expect((await store.register(draftOf('acme/a', '2'))).stored.version).toBe(2)
    await store.retire('acme', 'a')
    await expect(store.register(draftOf('acme/c'))).rejects.toThrow(NamespaceFull)
    expect((await store.register(draftOf('acme/a', '3'))).stored.version).toBe(3)
    await store.purge('acme', 'a')
    await store.register(draftOf('acme/c'))
    await expect(store.register(draftOf('acme/a', '4'))).rejects.toThrow(NamespaceFull)
  })

  it('gives each of many concurrent registrations its own version', async () => {
    const stores = [place.open(), place.open(), place.open()]
    const drafts = Array.from({ length: 60 }, (_, i) => draftOf('acme/a', `${i}`))
    const registered = await Promise.all(drafts.map((draft, i) => stores[i % 3]!.register(draft)))
    expect(registered.map(({ stored }) => stored.version).sort((a, b) => a - b)).toEqual(
      drafts.map((_, i) => i + 1),
    )
    for (const [i, { stored }] of registered.entries()) {
      expect(stored.digest).toBe(drafts[i]!.digest)
      expect((await stores[(i + 1) % 3]!.find('acme', 'a', stored.version))!.stored).toEqual(stored)
    }
  })

  it('lets one of many concurrent creations win, and one of many concurrent successors', async () => {
    const stores = [place.open(), place.open()]
    const attempt = (condition: Parameters<(typeof stores)[0]['register']>[1]) =>
      Promise.allSettled(
        Array.from({ length: 10 }, (_, i) => {
          const document = sha256(`${JSON.stringify(condition)} ${i}`)
          return stores[i % 2]!.register(draftOf('acme/a', document), condition)
        }),
      )
    for (const condition of [{ onlyCreate: true }, { follows: 1 }] as const) {
      const outcomes = await attempt(condition)
      expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
      for (const outcome of outcomes)
        if (outcome.status === 'rejected') expect(outcome.reason).toBeInstanceOf(PreconditionFailed)
    }
    expect((await stores[0]!.find('acme', 'a'))!.loss.latest).toBe(2)
  })

  it('fills a namespace exactly to its limit under concurrent registrations', async () => {
    const stores = [place.open({ maxLosses: 5 }), place.open({ maxLosses: 5 })]
    const outcomes = await Promise.allSettled(
      Array.from({ length: 20 }, (_, i) => stores[i % 2]!.register(draftOf(`acme/a${i}`))),
    )
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(5)
    expect(await stores[0]!.list('acme', { limit: 100 })).toHaveLength(5)
  })

  it('creates its tables once, however many processes start at the same time', async () => {
    const stores = Array.from({ length: 6 }, () => place.open())
    await Promise.all(stores.map((store, i) => store.register(draftOf(`acme/a${i}`))))
    await Promise.all(stores.map((store) => store.close()))
    expect(await place.open().list('acme', { limit: 10 })).toHaveLength(6)
  })

  it('rejects updates of a version', async () => {
    const store = place.open()
    const { stored } = await store.register(draftOf('acme/a', '1'))
    await expect(place.query("update lossd_versions set document = '2'")).rejects.toThrow(
      /versions are immutable/,
    )
    const insert = "insert into lossd_versions select * from lossd_versions where name = 'a'"
    await expect(place.query(insert)).rejects.toThrow(/unique/i)
    expect((await store.find('acme', 'a', 1))!.stored).toEqual(stored)
  })

  it('keeps keys, the latest record of each, in the order of their ids', async () => {
    const store = place.open()
    expect(await store.keys()).toEqual([])
    await store.putKey({ id: 'b', record: '{"n": 1}' })
    await store.putKey({ id: 'a', record: '"Zoë"' })
    await store.putKey({ id: 'b', record: '{"n": 2}' })
    const kept = [
      { id: 'a', record: '"Zoë"' },
      { id: 'b', record: '{"n": 2}' },
    ]
    expect(await store.keys()).toEqual(kept)
    expect(await place.open().keys()).toEqual(kept)
  })

  describe('jobs', () => {
    const job = (id: string, more: Partial<NewJob> = {}): NewJob => ({
      id,
      owner: 'key:1',
      request: `{"id": "${id}"}`,
      idempotencyKey: null,
      ...more,
    })
    const lease = (worker: string, now = 1_000_000) => ({ worker, now, until: now + 5000 })

    it('are found by all processes, and taken by one, the oldest first', async () => {
      const [store, other] = [place.open(), place.open()]
      expect(await store.findJob('a')).toBeUndefined()
      expect(await store.claimJob(lease('w1'))).toBeUndefined()
      await store.addJob(job('a'))
      await new Promise((done) => setTimeout(done, 5))
      await store.addJob(job('b'))
      expect(await other.findJob('a')).toMatchObject({ ...job('a'), state: 'queued', rows: 0, total: null })
      const taken = await Promise.all([store, other, store].map((one, i) => one.claimJob(lease(`w${i}`))))
      expect(taken.map((one) => one?.id ?? '').sort()).toEqual(['', 'a', 'b'])
      expect((await store.findJob('a'))!.state).toBe('running')
    })

    it('are each taken once, however many workers of several processes ask at the same time', async () => {
      const stores = [place.open(), place.open(), place.open()]
      const ids = Array.from({ length: 24 }, (_, i) => `j${i}`)
      for (const id of ids) await stores[0]!.addJob(job(id))
      const taken: string[] = []
      const work = async (place: number) => {
        for (;;) {
          const own = await stores[place % 3]!.claimJob(lease(`w${place}`))
          if (own === undefined) return
          taken.push(own.id)
        }
      }
      await Promise.all(Array.from({ length: 9 }, (_, place) => work(place)))
      expect(taken.toSorted()).toEqual(ids.toSorted())
    })

    it('with the idempotency key of another job of the owner are that job', async () => {
      const store = place.open()
      const first = await store.addJob(job('a', { idempotencyKey: 'k' }))
      const again = await place.open().addJob(job('b', { idempotencyKey: 'k' }))
      expect([first.isNew, again.isNew, again.job.id]).toEqual([true, false, 'a'])
      expect((await store.addJob(job('c', { idempotencyKey: 'k', owner: null }))).isNew).toBe(true)
      expect((await store.addJob(job('d', { idempotencyKey: 'k', owner: null }))).job.id).toBe('c')
    })

    it('are taken over when their worker is not heard of, with what it has left', async () => {
      const store = place.open()
      await store.addJob(job('a'))
      await store.claimJob(lease('w1'))
      const progress = { rows: 7, total: 10, checkpoint: 'half' }
      expect(await store.keepJob('a', lease('w1', 1_002_000), progress)).toBe(true)
      expect(await store.claimJob(lease('w2', 1_006_000))).toBeUndefined()
      const taken = await store.claimJob(lease('w2', 1_008_000))
      expect(taken).toMatchObject({ id: 'a', rows: 7, total: 10, checkpoint: 'half' })
      // The first worker was only slow. It learns that the job is no longer its own.
      expect(await store.keepJob('a', lease('w1', 1_008_500), progress)).toBe(false)
      expect(await store.endJob('a', 'w1', { state: 'failed', error: 'e' })).toBe(false)
      expect(await store.endJob('a', 'w2', { state: 'done', rows: 10, result: '{}' })).toBe(true)
      expect(await store.findJob('a')).toMatchObject({ state: 'done', rows: 10, result: '{}', error: null })
    })

    it('keep their checkpoint while only their progress is told', async () => {
      const store = place.open()
      await store.addJob(job('a'))
      await store.claimJob(lease('w1'))
      await store.keepJob('a', lease('w1'), { rows: 1, total: null, checkpoint: 'x'.repeat(3_000_000) })
      await store.keepJob('a', lease('w1'), { rows: 2, total: null })
      expect((await store.claimJob(lease('w2', 2_000_000)))!.checkpoint).toHaveLength(3_000_000)
    })

    it('that are cancelled are over, and nobody takes them', async () => {
      const store = place.open()
      expect(await store.cancelJob('a')).toBe(false)
      await store.addJob(job('a'))
      await store.claimJob(lease('w1'))
      expect(await place.open().cancelJob('a')).toBe(true)
      expect(await store.keepJob('a', lease('w1'), { rows: 1, total: 1 })).toBe(false)
      expect(await store.claimJob(lease('w2', 9_000_000))).toBeUndefined()
      expect([await store.cancelJob('a'), (await store.findJob('a'))!.state]).toEqual([false, 'cancelled'])
    })
  })

  it('brings the tables of an earlier lossd up to date, with what they have', async () => {
    const { stored } = await place.open().register(draftOf('acme/a'))
    await place.query('drop table lossd_keys')
    await place.query('drop table lossd_jobs')
    await place.query('update lossd_schema set version = 1')
    const store = place.open()
    await store.putKey({ id: 'a', record: '{}' })
    expect(await store.keys()).toHaveLength(1)
    expect((await store.find('acme', 'a'))!.stored).toEqual(stored)
  })

  it('does not touch the tables of a newer lossd', async () => {
    await place.open().register(draftOf('acme/a'))
    await place.query('update lossd_schema set version = version + 41')
    const store = place.open()
    const message =
      /the store has schema version 44, but this lossd supports only up to 3: a newer lossd has used it/
    for (const call of [store.find('acme', 'a'), store.register(draftOf('acme/b')), store.health()]) {
      await expect(call).rejects.toThrow(StoreDown)
      await expect(call).rejects.toThrow(message)
    }
    await place.query('update lossd_schema set version = 3')
    await vi.waitFor(async () => expect(await store.find('acme', 'a')).toBeDefined(), WAIT)
  })

  it('reports its own changes before the calls resolve, and nothing else', async () => {
    const store = place.open()
    const changes: Change[] = []
    await store.register(draftOf('acme/a', '0'))
    await vi.waitFor(() => expect(store.hearsChanges).toBe(true), WAIT)
    const stop = store.onChange((change) => changes.push(change))
    const heard = async (call: Promise<unknown>) => {
      await call
      return changes.splice(0)
    }
    const change = [{ namespace: 'acme', name: 'a' }]
    expect(await heard(store.register(draftOf('acme/a', '1')))).toEqual(change)
    expect(await heard(store.register(draftOf('acme/a', '1')))).toEqual([])
    const refused = store.register(draftOf('acme/a', '2'), { onlyCreate: true })
    expect(await heard(refused.catch(() => {}))).toEqual([])
    expect(await heard(store.retire('acme', 'a'))).toEqual(change)
    expect(await heard(store.retire('acme', 'a'))).toEqual([])
    expect(await heard(store.purge('acme', 'a'))).toEqual(change)
    expect(await heard(store.purge('acme', 'a'))).toEqual([])
    expect(await heard(store.find('acme', 'a'))).toEqual([])
    stop()
    expect(await heard(store.register(draftOf('acme/a', '3')))).toEqual([])
  })

  it('reports the changes of another store, which finds them at once', async () => {
    const [here, there] = [place.open(), place.open()]
    await here.register(draftOf('acme/a', '1'))
    await there.health()
    await vi.waitFor(() => expect([here.hearsChanges, there.hearsChanges]).toEqual([true, true]), WAIT)
    const told = (run: () => Promise<unknown>) =>
      new Promise<Change>((resolve, reject) => {
        const stop = there.onChange((change) => {
          stop()
          resolve(change)
        })
        run().catch(reject)
      })
    const changes = [
      () => here.register(draftOf('acme/a', '2')),
      () => here.retire('acme', 'a'),
      () => here.purge('acme', 'a'),
    ]
    for (const change of changes)
      expect(['all', { namespace: 'acme', name: 'a' }]).toContainEqual(await told(change))
    await here.register(draftOf('acme/b', '1'))
    expect(await there.find('acme', 'b')).toEqual(await here.find('acme', 'b'))
  })

  it('finishes pending calls when it is closed', async () => {
    const store = place.open()
    const calls = Array.from({ length: 10 }, (_, i) => store.register(draftOf('acme/a', `${i}`)))
    await store.close()
    const numbers = (await Promise.all(calls)).map(({ stored }) => stored.version)
    expect(numbers.sort((a, b) => a - b)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    expect((await place.open().find('acme', 'a'))!.loss.latest).toBe(10)
  })

  it('exports and imports everything, including version numbers, purged and retired names', async () => {
    const store = place.open()
    for (let i = 0; i < 250; i++) await store.register(draftOf(`acme/a${i % 120}`, `"Δ ${i}\\n"`))
    await store.retire('acme', 'a1')
    await store.purge('acme', 'a2')
    await store.purge('acme', 'a3')
    await store.register(draftOf('acme/a3', 'again', { createdBy: 'Zoë' }))
    const exported = await allOf(store.export())
    const other = await elsewhere()
    const copy = other.open({ maxLosses: 1 })
    expect(await copy.import(exported)).toBe(245)
    expect(await allOf(copy.export())).toEqual(exported)
    expect(await copy.import(exported)).toBe(0)
    expect(await allOf(copy.export())).toEqual(exported)
    expect(await copy.find('acme', 'a1')).toEqual(await store.find('acme', 'a1'))
    expect(await copy.find('acme', 'a2')).toBeUndefined()
    await copy.purge('acme', 'a0')
    expect((await copy.register(draftOf('acme/a1', 'next'))).stored.version).toBe(4)
    await copy.purge('acme', 'a1')
  })

  it('imports all or nothing, and refuses a different document for an existing version', async () => {
    const [store, other] = [place.open(), await elsewhere()]
    await store.register(draftOf('acme/b', '1'))
    const copy = other.open()
    await copy.register(draftOf('acme/a', '1'))
    await copy.register(draftOf('acme/b', '2'))
    const records = await allOf(copy.export())
    const refused = store.import(records)
    await expect(refused).rejects.toThrow(ImportRefused)
    await expect(refused).rejects.toMatchObject({
      index: 3,
      message: 'acme/b@1 is already stored with a different document',
    })
    expect(await store.find('acme', 'a')).toBeUndefined()
    await expect(store.import(records.slice(1))).rejects.toMatchObject({
      index: 0,
      message: 'acme/a@1 comes before the record of its name',
    })
    expect(await store.import(records.slice(0, 2))).toBe(1)
    expect((await store.find('acme', 'a'))!.stored).toEqual((await copy.find('acme', 'a'))!.stored)
  })

  it('merges an import with what is stored: the higher version is the latest', async () => {
    const [store, other] = [place.open(), await elsewhere()]
    const older = await store.register(draftOf('acme/a', '1'))
    const copy = other.open()
    await copy.import(await allOf(store.export()))
    for (const document of ['2', '3']) await store.register(draftOf('acme/a', document))
    await copy.retire('acme', 'a')
    // Older state in the import changes nothing.
    await store.import(await allOf(copy.export()))
    expect((await store.find('acme', 'a'))!.loss).toMatchObject({ latest: 3, retired: null })
    // Newer state in the import wins.
    await copy.import(await allOf(store.export()))
    expect((await copy.find('acme', 'a'))!.loss).toMatchObject({ latest: 3, retired: null })
    expect((await copy.find('acme', 'a', 1))!.stored).toEqual(older.stored)
  })
})
