/** Quotas over several processes: over time they hold exactly, and a new process brings no new quota. */
import { expect, it } from 'vitest'
import { Meter, readQuotas } from '../../src/access/quotas.ts'
import type { Elsewhere, Left } from '../../src/processes/messages.ts'
import { MeterHub, type Reporter } from '../../src/processes/meter-hub.ts'

const QUOTAS = ['requests=10/h', 'concurrency=3']
const KEY = 'key:a'

/** A process with a meter of its own. */
class Process implements Reporter {
  readonly meter = new Meter(readQuotas(QUOTAS))
  readonly #hub: MeterHub

  constructor(hub: MeterHub) {
    this.#hub = hub
    hub.enter(this)
    hub.join(this, { key: KEY, quotas: QUOTAS })
  }

  know(left: readonly Left[]) {
    for (const one of left) this.meter.restore(one.left, one.elsewhere)
  }

  tell(elsewhere: readonly Elsewhere[]) {
    for (const one of elsewhere) this.meter.learn(one.charges, one.elsewhere)
  }

  report() {
    this.#hub.spend(this, [{ key: KEY, ...this.meter.report() }])
  }

  /** @returns how many were admitted */
  ask(times: number): number {
    let admitted = 0
    for (let i = 0; i < times; i++) {
      try {
        this.meter.enter(0)
        this.meter.leave()
        admitted++
      } catch {
        // Refused.
      }
    }
    return admitted
  }
}

it('what one process has charged, the others know after its report', () => {
  const hub = new MeterHub()
  const [a, b] = [new Process(hub), new Process(hub)]
  expect(a.ask(6)).toBe(6)
  a.report()
  expect(b.ask(20)).toBe(4)
  b.report()
  expect(a.ask(20)).toBe(0)
})

it('what is charged twice between reports is debt', () => {
  const hub = new MeterHub()
  const [a, b] = [new Process(hub), new Process(hub)]
  expect(a.ask(10) + b.ask(10)).toBe(20)
  a.report()
  b.report()
  expect(a.meter.left()[0]).toBeCloseTo(-10, 1)
  expect(b.meter.left()[0]).toBeCloseTo(-10, 1)
})

it('a process that starts later begins with what is left', () => {
  const hub = new MeterHub()
  const a = new Process(hub)
  a.ask(7)
  a.report()
  hub.leave(a)
  expect(new Process(hub).ask(20)).toBe(3)
})

it('a process is told of callers that it has not met', () => {
  const hub = new MeterHub()
  const a = new Process(hub)
  a.ask(4)
  a.report()
  const known: Left[] = []
  hub.enter({ know: (left) => known.push(...left), tell: () => {} })
  expect(known).toMatchObject([{ key: KEY, quotas: QUOTAS, elsewhere: 0 }])
  expect(known[0]!.left[0]).toBeCloseTo(6, 1)
})

it('what was charged before the parent has answered is not forgotten', () => {
  const meter = new Meter(readQuotas(QUOTAS))
  meter.enter(0)
  meter.restore([5], 0)
  expect(meter.left()[0]).toBeCloseTo(4, 1)
})

it('open requests count in all processes, until their process ends', () => {
  const hub = new MeterHub()
  const [a, b] = [new Process(hub), new Process(hub)]
  a.meter.enter(0)
  a.meter.enter(0)
  a.report()
  b.meter.enter(0)
  expect(() => b.meter.enter(0)).toThrow('open requests')
  hub.leave(a)
  expect(() => b.meter.enter(0)).not.toThrow()
})
