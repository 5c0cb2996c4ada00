/** Two servers on one store, over real sockets: what one registers or retires, the other serves or refuses. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { type Place, storeKinds } from '../store/stores.ts'
import { type Kept, ROBUST, startKeeper } from '../support/custom.ts'

/** Changes reach another server within half a second, on a busy machine later. */
const WAIT = { timeout: 20_000, interval: 5 }

const body = { predictions: [1, 2], targets: [0, 0] }
const evaluate = (server: Kept, name: string) => server.send('POST', `/v1/losses/${name}`, body)
const named = (name: string, changes: object = {}) => ({ ...ROBUST, name: `acme/${name}`, ...changes })
const register = (server: Kept, definition: object) => server.send('POST', '/v1/losses', definition)

describe.each(storeKinds())('two servers on one store in $title', ({ begin, make, end }) => {
  let place: Place
  let here: Kept
  let there: Kept
  beforeAll(begin)
  afterAll(end)
  beforeEach(async () => {
    place = await make()
    here = await startKeeper({ store: place.url })
    there = await startKeeper({ store: place.url })
  })
  afterEach(async () => {
    await Promise.all([here.close(), there.close()])
    await place.remove()
  })

  it('serve at once what the other has registered', async () => {
    for (let i = 0; i < 20; i++) {
      const [one, other] = i % 2 === 0 ? [here, there] : [there, here]
      expect((await register(one, named(`at_once_${i}`))).status).toBe(201)
      expect((await evaluate(other, `acme/at_once_${i}`)).status).toBe(200)
    }
  })

  it('serve the next version there, too, and the pinned one at once', async () => {
    await register(here, named('next'))
    expect((await evaluate(there, 'acme/next')).body.loss).toBeCloseTo((Math.log(2) + Math.log(5)) / 2, 6)
    const formula = 'abs(predictions - targets) / scale'
    await register(here, named('next', { formula, examples: [] }))
    expect((await evaluate(there, 'acme/next@2')).body.loss).toBe(1.5)
    await vi.waitFor(async () => expect((await evaluate(there, 'acme/next')).body.loss).toBe(1.5), WAIT)
    expect((await evaluate(there, 'acme/next@1')).body.loss).toBeCloseTo((Math.log(2) + Math.log(5)) / 2, 6)
  })

  it('refuse what the other has retired, and serve its pinned versions', async () => {
    await register(here, named('retired'))
    expect((await evaluate(there, 'acme/retired')).status).toBe(200)
    expect((await here.send('DELETE', '/v1/losses/acme/retired')).status).toBe(200)
    await vi.waitFor(async () => expect((await evaluate(there, 'acme/retired')).status).toBe(410), WAIT)
    expect((await there.send('GET', '/v1/losses/acme/retired')).status).toBe(410)
    const pinned = await evaluate(there, 'acme/retired@1')
    expect([pinned.status, pinned.headers.has('deprecation')]).toEqual([200, true])
  })

  it('bring a name back that the other has retired', async () => {
    await register(here, named('back'))
    await here.send('DELETE', '/v1/losses/acme/back')
    await vi.waitFor(async () => expect((await evaluate(there, 'acme/back')).status).toBe(410), WAIT)
    expect((await register(there, named('back'))).body.version).toBe(2)
    await vi.waitFor(async () => expect((await evaluate(here, 'acme/back')).status).toBe(200), WAIT)
  })

  it('give every registration of a race a version of its own, without gaps', async () => {
    const answers = await Promise.all(
      Array.from({ length: 24 }, (_, i) =>
        register(i % 2 === 0 ? here : there, named('race', { about: `Number ${i}.` })),
      ),
    )
    expect(answers.map(({ status }) => status)).toEqual(Array(24).fill(201))
    const versions = answers.map(({ body }) => body.version as number).sort((a, b) => a - b)
    expect(versions).toEqual(Array.from({ length: 24 }, (_, i) => i + 1))
    for (const server of [here, there]) {
      const { body: listed } = await server.send('GET', '/v1/losses/acme/race/versions')
      expect(listed.versions).toHaveLength(24)
      for (const [i, { body: told }] of answers.entries()) {
        const { body: found } = await server.send('GET', `/v1/losses/acme/race@${told.version}`)
        expect([found.about, found.id, found.created]).toEqual([`Number ${i}.`, told.id, told.created])
      }
    }
  })

  it('let one of two creations of the same name win', async () => {
    const create = (server: Kept, about: string) =>
      server.send('POST', '/v1/losses', named('once', { about }), { 'if-none-match': '*' })
    const answers = await Promise.all([create(here, 'A.'), create(there, 'B.')])
    expect(answers.map(({ status }) => status).sort()).toEqual([201, 412])
    const { body: shown } = await here.send('GET', '/v1/losses/acme/once')
    expect(shown).toMatchObject({
      version: 1,
      about: answers.find(({ status }) => status === 201)!.body.about,
    })
  })
})
