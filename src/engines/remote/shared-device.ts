/**
 * An engine in one process that several processes share, so that a device is opened once, and batches form across processes. This is the
 * side that starts it, and starts it again when it ends; `shared-connection.ts` is the side that computes with it.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { env } from 'node:process'
import { Backoff } from '../../backoff.ts'
import type { EngineInfo } from '../contract.ts'
import type { EngineDefinition } from '../define.ts'
import { entryArguments } from './entry-arguments.ts'
import type { RemoteOptions } from './messages.ts'
import { OPEN_MS, RESTART_MS } from './remote.ts'

/** The options that the process starts with. */
export interface SharedStart extends RemoteOptions {
  /** Of the socket. */
  readonly path: string
  /** Of the inputs of one launch. */
  readonly maxElements: number
}

/** What the process says first. */
export type SharedReport =
  | { readonly type: 'opened'; readonly info: EngineInfo }
  | { readonly type: 'refused'; readonly reason: string }

export interface SharedOptions {
  readonly definition: EngineDefinition
  readonly reason: string
  readonly maxElements: number
  readonly log: (message: string, details?: object) => void
}

/**
 * @example
 * const shared = await SharedDevice.start({ definition: webgpu, reason: 'a GPU', maxElements: 2 ** 22, log: console.log })
 * shared.path // '/tmp/lossd-x3TqQb/webgpu'
 */
export class SharedDevice {
  readonly #options: SharedOptions
  /** Only this user may enter it. */
  readonly #folder = mkdtempSync(join(tmpdir(), 'lossd-'))
  readonly #backoff = new Backoff(RESTART_MS)
  #child: ChildProcess | undefined
  #info: EngineInfo | undefined
  #isClosed = false

  /** @throws Error if the engine cannot be opened; the message says why */
  static async start(options: SharedOptions): Promise<SharedDevice> {
    const shared = new SharedDevice(options)
    try {
      shared.#info = await shared.#start()
      return shared
    } catch (error) {
      shared.close()
      throw error
    }
  }

  private constructor(options: SharedOptions) {
    this.#options = options
  }

  get name(): string {
    return this.#options.definition.name
  }

  /** What the engine says of itself. */
  get info(): EngineInfo {
    return this.#info!
  }

  /** Of the socket on which it listens. */
  get path(): string {
    return join(this.#folder, this.name)
  }

  get pid(): number | undefined {
    return this.#child?.pid
  }

  /** Ends the process at once. Those that compute with it must have ended. */
  close() {
    this.#isClosed = true
    this.#child?.kill('SIGKILL')
    rmSync(this.#folder, { recursive: true, force: true })
  }

  /** Nobody can connect to it any more. The process ends when those that are connected have ended. */
  retire() {
    this.#isClosed = true
    if (this.#child?.connected) this.#child.disconnect()
    else this.close()
  }

  async #start(): Promise<EngineInfo> {
    const { definition, reason, maxElements } = this.#options
    // That of a process that was killed.
    rmSync(this.path, { force: true })
    const start: SharedStart = { engine: this.name, reason, path: this.path, maxElements }
    const child = forkChild(start, definition.environment?.() ?? {})
    this.#child = child
    const info = await opened(child)
    child.once('exit', (code, signal) => this.#restart(signal ?? `exit code ${code}`))
    this.#backoff.reset()
    return info
  }

  #restart(why: string) {
    if (this.#isClosed) return
    const waitMs = this.#backoff.next()
    this.#options.log(`the ${this.name} process ended, starting another`, { why, waitMs })
    setTimeout(() => {
      if (this.#isClosed) return
      this.#start().catch(({ message }: Error) => this.#restart(message))
    }, waitMs)
  }
}

function forkChild(start: SharedStart, variables: Readonly<Record<string, string>>): ChildProcess {
  const { execArgv, entry } = entryArguments('shared-child')
  return fork(entry, [JSON.stringify(start)], {
    execArgv,
    env: { ...env, ...variables },
    // Output of native code goes to stderr.
    stdio: ['ignore', 2, 2, 'ipc'],
  })
}

/** @throws Error (rejects) if it refuses or ends */
function opened(child: ChildProcess): Promise<EngineInfo> {
  const limit = setTimeout(() => child.kill('SIGKILL'), OPEN_MS)
  return new Promise<EngineInfo>((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code, signal) =>
      reject(new Error(`the process ended (${signal ?? `exit code ${code}`}) before it opened an engine`)),
    )
    child.once('message', (report: SharedReport) => {
      if (report.type === 'opened') return resolve(report.info)
      child.removeAllListeners('exit')
      reject(new Error(report.reason))
    })
  }).finally(() => clearTimeout(limit))
}
