/** Mailboxes: what is put in comes out, slots come back, and where there is no memory nobody waits for it. */
import { readdirSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { openSlots, SharedMemorySlots } from '../../../src/engines/remote/shared-memory-slots.ts'

const slots = openSlots(`lossd-test-${process.pid}`)

describe.skipIf(slots.length === 0)('a mailbox (where the system has files in memory)', () => {
  const mailbox = new SharedMemorySlots(slots)

  it('gives what was put in, in one piece', async () => {
    const pieces = [Uint8Array.of(1, 2, 3), Uint8Array.of(4), new Uint8Array(100_000).fill(5)]
    const slot = (await mailbox.put(pieces))!
    expect(Buffer.from(await mailbox.take(slot, 100_004))).toEqual(Buffer.concat(pieces))
    await mailbox.empty(slot, 100_004)
  })

  it('takes the next message elsewhere when every slot is full, and again when one is emptied', async () => {
    const filled = await Promise.all(slots.map((_, i) => mailbox.put([Uint8Array.of(i)])))
    expect(new Set(filled).size).toBe(slots.length)
    expect(await mailbox.put([Uint8Array.of(9)])).toBeUndefined()
    await mailbox.empty(filled[0]!, 1)
    expect(await mailbox.put([Uint8Array.of(9)])).toBe(filled[0])
    for (const slot of filled) await mailbox.empty(slot!, 1)
  })

  it('says that a message is not there in full', async () => {
    const slot = (await mailbox.put([Uint8Array.of(1, 2)]))!
    await expect(mailbox.take(slot, 1e6)).rejects.toThrow('ended at')
    await mailbox.empty(slot, 2)
  })

  it('leaves no names behind', () => {
    expect(readdirSync('/dev/shm').filter((name) => name.startsWith('lossd-test'))).toEqual([])
  })

  it('that is closed takes and gives nothing', async () => {
    await mailbox.close()
    expect(await mailbox.put([Uint8Array.of(1)])).toBeUndefined()
    await expect(mailbox.take(0, 1)).rejects.toThrow('closed')
  })
})

it('without files in memory everything takes the pipe', async () => {
  expect(openSlots('no/such/folder')).toEqual([])
  expect(await new SharedMemorySlots([]).put([Uint8Array.of(1)])).toBeUndefined()
})
