import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Problem } from '../src/errors.ts'
import { RejectionLog } from '../src/rejection-log.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

/** The lines after so many rejections. */
function lines(times: number, code: 'overloaded' | 'draining', rejections: RejectionLog) {
  for (let i = 0; i < times; i++) rejections.note(new Problem(code, `number ${i}`), { reqId: `r-${i}` })
}

describe('the log of rejected requests', () => {
  it('has ten lines of each kind in a second, and then the number of the others', () => {
    const logged: [object, string][] = []
    const rejections = new RejectionLog({ info: (...line: unknown[]) => void logged.push(line as never) })
    lines(1000, 'overloaded', rejections)
    lines(3, 'draining', rejections)
    expect(logged).toHaveLength(13)
    expect(logged[9]).toEqual([{ reqId: 'r-9', code: 'overloaded', detail: 'number 9' }, 'request rejected'])
    vi.advanceTimersByTime(1000)
    expect(logged.slice(13)).toEqual([[{ code: 'overloaded', requests: 990 }, 'more requests rejected']])
  })

  it('begins again in the next second', () => {
    const info = vi.fn()
    const rejections = new RejectionLog({ info })
    lines(10, 'overloaded', rejections)
    vi.advanceTimersByTime(1000)
    lines(1, 'overloaded', rejections)
    expect(info).toHaveBeenCalledTimes(11)
  })
})
