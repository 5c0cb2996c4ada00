/** What every store of own losses promises. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { NamespaceFull, PreconditionFailed } from '../../src/store/contract.ts'
import { draftOf, sha256 } from './drafts.ts'
import { type Place, storeKinds } from './stores.ts'

describe.each(storeKinds())('the store in $title', ({ begin, make, end }) => {
  let place: Place
  beforeAll(begin)
  afterAll(end)
  beforeEach(async () => {
    place = await make()
  })
  afterEach(() => place.remove())

  it('is empty at first', async () => {
    const store = place.open()
    expect(await store.find('acme', 'none')).toBeUndefined()
    expect(await store.list(undefined, { limit: 10 })).toEqual([])
    expect(await store.versions('acme', 'none', { limit: 10 })).toEqual([])
    await store.health()
  })

  it('gives back what was registered, sign for sign', async () => {
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

  it('holds the largest document that there may be', async () => {
    const store = place.open()
    const document = JSON.stringify('é'.repeat(32 * 1024 - 1))
    expect(Buffer.byteLength(document)).toBe(64 * 1024)
    await store.register(draftOf('acme/long', document))
    expect((await store.find('acme', 'long'))!.stored.document).toBe(document)
  })

  it('takes the same document once, and another for the next version', async () => {
    const store = place.open()
    const first = await store.register(draftOf('acme/a', '1'))
    expect(await store.register(draftOf('acme/a', '1', { createdBy: 'another' }))).toEqual({
      stored: first.stored,
      isNew: false,
    })
    expect((await store.register(draftOf('acme/a', '2'))).stored.version).toBe(2)
    // Back to the first one: it is not the latest any more.
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

  it('creates only, where that is the condition', async () => {
    const store = place.open()
    await store.register(draftOf('acme/a', '1'), { onlyCreate: true })
    const again = store.register(draftOf('acme/a', '1'), { onlyCreate: true })
    await expect(again).rejects.toThrow(PreconditionFailed)
    await expect(again).rejects.toMatchObject({ latest: 1, message: 'acme/a is there already: @1' })
    await store.retire('acme', 'a')
    expect((await store.register(draftOf('acme/a', '1'), { onlyCreate: true })).stored.version).toBe(2)
  })

  it('follows only the version that the condition names', async () => {
    const store = place.open()
    await expect(store.register(draftOf('acme/a', '1'), { follows: 1 })).rejects.toMatchObject({
      latest: undefined,
      message: 'the latest version of acme/a must be @1, and there is none',
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

  it('retires a name, whose versions are still found, and brings it back with the next one', async () => {
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

  it('purges a name, and never gives its numbers again', async () => {
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

  it('has so many names in a namespace and no more', async () => {
    const store = place.open({ maxLosses: 2 })
    for (const name of ['acme/a', 'acme/b', 'other/a']) await store.register(draftOf(name))
    const full = store.register(draftOf('acme/c'))
    await expect(full).rejects.toThrow(NamespaceFull)
    await expect(full).rejects.toMatchObject({ limit: 2 })
    // Names that are there go on.
    expect((await store.register(draftOf('acme/a', '2'))).stored.version).toBe(2)
    await store.retire('acme', 'a')
    await expect(store.register(draftOf('acme/c'))).rejects.toThrow(NamespaceFull)
    expect((await store.register(draftOf('acme/a', '3'))).stored.version).toBe(3)
    await store.purge('acme', 'a')
    await store.register(draftOf('acme/c'))
    await expect(store.register(draftOf('acme/a', '4'))).rejects.toThrow(NamespaceFull)
  })

  it('gives each of many registrations at once a version of its own', async () => {
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

  it('lets one of many creations at once win, and one of many successors', async () => {
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

  it('fills a namespace to its limit, whoever registers at once', async () => {
    const stores = [place.open({ maxLosses: 5 }), place.open({ maxLosses: 5 })]
    const outcomes = await Promise.allSettled(
      Array.from({ length: 20 }, (_, i) => stores[i % 2]!.register(draftOf(`acme/a${i}`))),
    )
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(5)
    expect(await stores[0]!.list('acme', { limit: 100 })).toHaveLength(5)
  })
})
