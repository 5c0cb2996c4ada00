/** The parent: what it does when a process cannot even be forked. */
import type { ChildProcess } from 'node:child_process'
import { EventEmitter } from 'node:events'
import { expect, it } from 'vitest'
import { Supervisor } from '../../src/processes/supervisor.ts'

/** A process that serves at once. */
class Child extends EventEmitter {
  readonly pid = 1
  connected = true
  send() {
    return true
  }
  kill() {
    this.connected = false
    this.emit('exit', null, 'SIGKILL')
    return true
  }
}

const INFO = { engine: 'wasm', device: '', why: '', isGpu: false, losses: 0, isOpen: true }

it('tries again when a process cannot be forked, and does not reload without one', async () => {
  const children: Child[] = []
  const errors: string[] = []
  let failures = 0
  const supervisor = new Supervisor({
    count: 1,
    isOneForGpu: false,
    maxConnections: 10,
    endMs: 100,
    log: { info: () => {}, warn: () => {}, error: (_, message) => errors.push(message) },
    fork: () => {
      if (failures-- > 0) throw new Error('spawn EMFILE')
      const child = new Child()
      children.push(child)
      setImmediate(() => child.emit('message', { kind: 'ready', info: INFO }))
      return child as unknown as ChildProcess
    },
  })
  await supervisor.start()
  failures = 1
  await supervisor.reload()
  expect(errors.splice(0)).toEqual([expect.stringContaining('the reload has stopped')])
  failures = 1
  children[0].kill()
  await expect.poll(() => supervisor.serving, { timeout: 5000 }).toBe(1)
  expect(errors).toEqual(['a process ended; restarting', 'a process cannot be started; trying again'])
  supervisor.kill()
})
