/** Shared-memory slots: data arrives intact, slots are reused, and without shared memory the pipe is used. */
import { readdirSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { openSlots, SharedMemorySlots } from '../../../src/engines/remote/shared-memory-slots.ts'

const slots = openSlots(`lossd-test-${process.pid}`)

describe.skipIf(slots.length === 0)('shared-memory slots (if the system has in-memory files)', () => {
  const mailbox = new SharedMemorySlots(slots)

  it('return what was written, in one piece', async () => {
    const pieces = [Uint8Array.of(1, 2, 3), Uint8Array.of(4), new Uint8Array(100_000).fill(5)]
    const slot = (await mailbox.put(pieces))!
    expect(Buffer.from(await mailbox.take(slot, 100_004))).toEqual(Buffer.concat(pieces))
    await mailbox.empty(slot, 100_004)
  })

  it('leave the next message to the pipe when all are full, and accept one again when a slot is free', async () => {
    const filled = await Promise.all(slots.map((_, i) => mailbox.put([Uint8Array.of(i)])))
    expect(new Set(filled).size).toBe(slots.length)
    expect(await mailbox.put([Uint8Array.of(9)])).toBeUndefined()
    await mailbox.empty(filled[0]!, 1)
    expect(await mailbox.put([Uint8Array.of(9)])).toBe(filled[0])
    for (const slot of filled) await mailbox.empty(slot!, 1)
  })

  it('report an incomplete message', async () => {
    const slot = (await mailbox.put([Uint8Array.of(1, 2)]))!
    await expect(mailbox.take(slot, 1e6)).rejects.toThrow('ended at')
    await mailbox.empty(slot, 2)
  })

  it('leave no file names behind', () => {
    expect(readdirSync('/dev/shm').filter((name) => name.startsWith('lossd-test'))).toEqual([])
  })

  it('refuse reads and writes once closed', async () => {
    await mailbox.close()
    expect(await mailbox.put([Uint8Array.of(1)])).toBeUndefined()
    await expect(mailbox.take(0, 1)).rejects.toThrow('closed')
  })
})

it('without in-memory files everything goes through the pipe', async () => {
  expect(openSlots('no/such/folder')).toEqual([])
  expect(await new SharedMemorySlots([]).put([Uint8Array.of(1)])).toBeUndefined()
})
