/** Faults of a SQLite file and its disk, and what the store reports. */
import { execFileSync, spawn } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { type Change, type LossStore, StoreDown } from '../../src/store/contract.ts'
import { openStore } from '../../src/store/index.ts'
import { draftOf } from './drafts.ts'

/** Backoff takes a moment, and on a busy machine longer. */
const WAIT = { timeout: 20_000, interval: 20 }
const NOBODY = 65534

let folder: string
let path: string
let opened: LossStore[]

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lossd-sqlite-'))
  chmodSync(folder, 0o755)
  path = join(folder, 'data', 'lossd.db')
  opened = []
})
afterEach(async () => {
  await Promise.all(opened.map((store) => store.close()))
  rmSync(folder, { recursive: true })
})

function open(at = path, options: { fileCallMs?: number } = {}): LossStore {
  const store = openStore(`file:${at}`, { maxLosses: 1000, ...options })!
  opened.push(store)
  return store
}

/** File permissions do not apply to root. */
async function withoutPrivileges(run: () => Promise<void>) {
  if (process.geteuid!() !== 0) return run()
  process.seteuid!(NOBODY)
  await run().finally(() => process.seteuid!(0))
}

async function expectDown(call: Promise<unknown>, reason: RegExp) {
  await expect(call).rejects.toThrow(reason)
  await expect(call).rejects.toThrow(StoreDown)
}

/** Retries until the store responds. */
function recovers(store: LossStore, name = 'acme/after') {
  return vi.waitFor(() => store.register(draftOf(name)), WAIT)
}

describe('the file of the store', () => {
  it('is created on the first registration, with its folders, and not before', async () => {
    const store = open(join(folder, 'a', 'b', 'lossd.db'))
    await store.health()
    await store.find('acme', 'a')
    await store.list(undefined, { limit: 1 })
    expect([await store.retire('acme', 'a'), await store.purge('acme', 'a')]).toEqual([false, false])
    await store.close()
    expect(readdirSync(folder)).toEqual([])
    await open(join(folder, 'a', 'b', 'lossd.db')).register(draftOf('acme/a'))
    expect(existsSync(join(folder, 'a', 'b', 'lossd.db'))).toBe(true)
  })

  it.each([['file:'], ['file://']])('may be named by %s and an absolute path', async (scheme) => {
    const store = openStore(`${scheme}${path}`, { maxLosses: 1 })!
    opened.push(store)
    await store.register(draftOf('acme/a'))
    expect(existsSync(path)).toBe(true)
  })

  it('is found by readers when another process has created it', async () => {
    const [reader, writer] = [open(), open()]
    expect(await reader.find('acme', 'a')).toBeUndefined()
    expect(reader.hearsChanges).toBe(false)
    await writer.register(draftOf('acme/a'))
    expect(await reader.find('acme', 'a')).toBeDefined()
    expect(reader.hearsChanges).toBe(true)
  })

  it('may be empty, as left by a process that was killed while it created the file', async () => {
    mkdirSync(join(folder, 'data'))
    writeFileSync(path, '')
    const store = open()
    expect(await store.find('acme', 'a')).toBeUndefined()
    expect((await store.register(draftOf('acme/a'))).stored.version).toBe(1)
  })

  it('is on disk with every commit', async () => {
    const store = open()
    await store.register(draftOf('acme/a'))
    const trace = await traced(['trace=fdatasync,fsync'], async () => {
      for (let i = 0; i < 5; i++) await store.register(draftOf('acme/a', `${i}`))
    })
    if (trace === undefined) console.log('strace is not on this machine: syncs are not counted')
    else expect(trace.match(/f(data)?sync\(/g)!.length).toBeGreaterThanOrEqual(5)
  })

  it.each([
    ['EIO', 'disk I/O error'],
    ['ENOSPC', '(the disk is full|disk I/O error)'],
  ])('acknowledges nothing if the disk reports %s', async (code, reason) => {
    const store = open()
    await store.register(draftOf('acme/a', '1'))
    const trace = await traced(
      ['trace=fdatasync,fsync', `inject=fdatasync,fsync:error=${code}`],
      async () => {
        await expectDown(store.register(draftOf('acme/a', '2')), new RegExp(`cannot be used: ${reason}`))
      },
    )
    if (trace === undefined) return console.log('strace is not on this machine: a failing disk is not tried')
    await recovers(store)
    // The second version may be there or not, and is intact.
    const { stored, loss } = (await store.find('acme', 'a'))!
    expect([1, 2]).toContain(loss.latest)
    expect(stored).toMatchObject(draftOf('acme/a', `${loss.latest}`))
  })

  it('may be on a disk that hangs: calls time out, and the event loop is not blocked', async () => {
    const store = open(path, { fileCallMs: 2000 })
    await store.register(draftOf('acme/a', '1'))
    const changes: Change[] = []
    store.onChange((change) => changes.push(change))
    const loop = monitorEventLoopDelay({ resolution: 10 })
    const hang = ['trace=fdatasync,fsync', 'inject=fdatasync,fsync:delay_enter=4s']
    const trace = await traced(hang, async () => {
      loop.enable()
      const down = /did not respond within 2 s/
      await Promise.all([
        expectDown(store.register(draftOf('acme/a', '2')), down),
        expectDown(store.find('acme', 'a'), down),
        expectDown(store.health(), down),
      ])
      loop.disable()
    })
    if (trace === undefined) return console.log('strace is not on this machine: a hanging disk is not tried')
    expect(loop.max / 1e6).toBeLessThan(2000)
    // Nobody knows yet whether it was committed.
    expect(changes).toContainEqual({ namespace: 'acme', name: 'a' })
    await recovers(store)
    expect((await store.find('acme', 'a'))!.stored.digest).toBe(draftOf('acme/a', '2').digest)
  })

  it('may have a read-only folder: the error says so, and the store recovers', async () => {
    await open().register(draftOf('acme/a'))
    chmodSync(join(folder, 'data'), 0o555)
    const store = open()
    await withoutPrivileges(async () => {
      await expectDown(
        store.register(draftOf('acme/b')),
        /lossd\.db cannot be used: (the file or its folder is read-only|the file cannot be opened)/,
      )
      await expectDown(
        open(join(folder, 'other', 'lossd.db')).register(draftOf('acme/b')),
        /access to the file or its folder is denied/,
      )
    })
    chmodSync(join(folder, 'data'), 0o755)
    await recovers(store)
    expect((await store.list('acme', { limit: 10 })).map(({ loss }) => loss.name)).toEqual(['a', 'after'])
  })

  it('contains everything once the store is closed, so that a copy of it is enough', async () => {
    const store = open()
    for (let i = 0; i < 5; i++) await store.register(draftOf(`acme/a${i}`))
    await store.close()
    writeFileSync(join(folder, 'copy.db'), readFileSync(path))
    expect(await open(join(folder, 'copy.db')).list('acme', { limit: 10 })).toHaveLength(5)
  })

  it('may have an impossible path: the error says so', async () => {
    writeFileSync(join(folder, 'data'), '')
    await expectDown(open().register(draftOf('acme/a')), /part of the path is not a folder/)
    mkdirSync(join(folder, 'lossd.db'))
    await expectDown(open(join(folder, 'lossd.db')).find('acme', 'a'), /cannot be used/)
  })

  it.each([
    ['is not a database', () => 'this is not a database '.repeat(500)],
    ['was truncated', (bytes: Buffer) => bytes.subarray(0, 5000)],
    [
      'has overwritten pages',
      (bytes: Buffer) => Buffer.concat([bytes.subarray(0, 100), Buffer.alloc(bytes.length - 100, 7)]),
    ],
  ])('%s: the error says so, and the store works again when the file is replaced', async (_, damage) => {
    const before = open()
    for (let i = 0; i < 50; i++) await before.register(draftOf(`acme/a${i}`, 'x'.repeat(500)))
    await before.close()
    const good = copyOf(path)
    for (const file of readdirSync(join(folder, 'data'))) rmSync(join(folder, 'data', file))
    writeFileSync(path, damage(good))
    const store = open()
    const reason = /lossd\.db cannot be used: the file is (damaged|not a SQLite database)/
    await expectDown(store.register(draftOf('acme/b')), reason)
    await expectDown(store.find('acme', 'a1'), reason)
    await expectDown(store.health(), reason)
    writeFileSync(path, good)
    await recovers(store)
    expect((await store.find('acme', 'a1'))!.stored.document).toBe('x'.repeat(500))
  })

  it('is not written to after it was removed or replaced while open', async () => {
    const store = open()
    await store.register(draftOf('acme/a'))
    for (const file of readdirSync(join(folder, 'data'))) rmSync(join(folder, 'data', file))
    await expectDown(store.register(draftOf('acme/b')), /the file was removed/)
    await recovers(store)
    expect(await open().find('acme', 'after')).toBeDefined()
    expect(await store.find('acme', 'a')).toBeUndefined()
  })

  it('waits for another process that writes, and reports that when it takes too long', async () => {
    const store = open()
    await store.register(draftOf('acme/a'))
    const { default: Database } = await import('libsql')
    const other = new Database(path)
    other.exec('begin immediate')
    const waiting = store.register(draftOf('acme/b'))
    setTimeout(() => other.exec('rollback'), 300)
    expect((await waiting).isNew).toBe(true)
    other.exec('begin immediate')
    await expectDown(store.register(draftOf('acme/c')), /another process has locked the file/)
    // Readers do not wait for the writer.
    expect(await store.find('acme', 'b')).toBeDefined()
    other.exec('rollback')
    other.close()
    expect((await store.register(draftOf('acme/c'))).isNew).toBe(true)
  })

  it('stays intact on a full disk, and accepts registrations again when there is space', async () => {
    const disk = join(folder, 'disk')
    mkdirSync(disk)
    if (!mount(disk)) return console.log('no small disk can be mounted here: a full one is not tried')
    try {
      const store = open(join(disk, 'lossd.db'))
      const kept: string[] = []
      const fill = async () => {
        for (let i = 0; i < 500; i++) {
          const { stored } = await store.register(draftOf(`acme/a${i}`, `"${'x'.repeat(20_000)}${i}"`))
          kept.push(stored.name)
        }
      }
      writeFileSync(join(disk, 'ballast'), Buffer.alloc(200_000))
      await expectDown(fill(), /lossd\.db cannot be used: the disk is full/)
      expect(kept.length).toBeGreaterThan(5)
      // Reads work meanwhile.
      expect((await store.find('acme', kept.at(-1)!))!.stored.document).toContain(`x${kept.length - 1}"`)
      expect(await store.find('acme', `a${kept.length}`)).toBeUndefined()
      rmSync(join(disk, 'ballast'))
      await recovers(store)
      await store.close()
      const found = await open(join(disk, 'lossd.db')).list('acme', { limit: 1000 })
      expect(found.map(({ loss }) => loss.name).sort()).toEqual([...kept, 'after'].sort())
      expect(integrityOf(join(disk, 'lossd.db'))).toBe('ok')
    } finally {
      execFileSync('umount', ['-l', disk])
    }
  })

  it('stays intact when it reaches the file size limit', async () => {
    const { lines, code } = await inChild('ulimit -f 400', path)
    expect(code).toBe(0)
    expect(lines.at(-1)).toMatch(/^down: .*cannot be used: (the disk is full|disk I\/O error)/)
    const kept = lines.slice(0, -1)
    expect(kept.length).toBeGreaterThan(3)
    const found = await open().list('acme', { limit: 1000 })
    expect(found.map(({ loss }) => loss.name).sort()).toEqual(kept.sort())
    expect(integrityOf(path)).toBe('ok')
  })
})

describe('the setting of the store', () => {
  it('may be none', () => {
    expect(openStore('none', { maxLosses: 1 })).toBeUndefined()
  })

  it('is refused without repeating its password if the address is not valid', () => {
    for (const url of ['mysql://u:secret@h/db', 'postgres://u:secret@h:port/db', 'lossd.db']) {
      const attempt = () => openStore(url, { maxLosses: 1 })
      expect(attempt).toThrow(/a store is file:path|address of the PostgreSQL server/)
      expect(attempt).not.toThrow(/secret/)
    }
  })
})

/** A copy of the whole database in one file, including the write-ahead log. */
function copyOf(path: string): Buffer {
  const copy = `${path}-copy`
  execFileSync(process.execPath, [
    '-e',
    `const D = require('libsql'); new D(${JSON.stringify(path)}).exec("vacuum into '${copy}'")`,
  ])
  return readFileSync(copy)
}

function integrityOf(path: string): string {
  const script = `const D = require('libsql'); console.log(new D(${JSON.stringify(path)}).prepare('pragma integrity_check').all().map((row) => row.integrity_check).join())`
  return execFileSync(process.execPath, ['-e', script], { encoding: 'utf8' }).trim()
}

function mount(at: string): boolean {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'none', at], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

/** @returns strace's log of this process's system calls meanwhile, or undefined without strace */
async function traced(rules: readonly string[], run: () => Promise<void>): Promise<string | undefined> {
  const args = ['-f', '-p', `${process.pid}`, ...rules.flatMap((rule) => ['-e', rule])]
  const strace = spawn('strace', args, { stdio: ['ignore', 'ignore', 'pipe'] })
  let text = ''
  strace.stderr.on('data', (chunk) => {
    text += chunk
  })
  const ended = new Promise((resolve) => strace.once('close', resolve).once('error', resolve))
  const attached = new Promise<void>((resolve) => {
    strace.stderr.on('data', () => text.includes('attached') && resolve())
  })
  if ((await Promise.race([attached.then(() => 'attached'), ended])) !== 'attached') return undefined
  try {
    await run()
  } finally {
    strace.kill('SIGINT')
    await ended
  }
  return text
}

/** Registers acme/a0, acme/a1 ... in another process until that fails. */
async function inChild(limit: string, path: string) {
  const script = fileURLToPath(new URL('./fill.ts', import.meta.url))
  const command = `${limit} && exec "${process.execPath}" --import tsx "${script}" "file:${path}"`
  const child = spawn('bash', ['-c', command], { stdio: ['ignore', 'pipe', 'inherit'] })
  const lines: string[] = []
  for await (const line of createInterface(child.stdout)) lines.push(line)
  const code = child.exitCode ?? (await new Promise((resolve) => child.once('exit', resolve)))
  return { lines, code }
}
