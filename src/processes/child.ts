/** One worker as the parent sees it: its channel, its state, and how it ended. */
import type { ChildProcess } from 'node:child_process'
import type { Socket } from 'node:net'
import type { Elsewhere, Left, ToParent, ToWorker, WorkerInfo } from './messages.ts'

export interface ChildEvents {
  message(worker: WorkerProcess, message: ToParent): void
  ended(worker: WorkerProcess, how: number | string): void
}

export class WorkerProcess {
  /** Which of the workers it is; its replacement has the same number. */
  readonly place: number
  readonly #child: ChildProcess
  /** Resolves when it can serve. */
  readonly ready: Promise<WorkerInfo>
  /** Resolves with its exit code, or the signal that ended it. */
  readonly ended: Promise<number | string>
  readonly started = performance.now()
  /** It was told to end, or has said that it will. */
  isLeaving = false
  /** Pulses since it last answered one. */
  unanswered = 0
  #info: WorkerInfo | undefined
  #become: (info: WorkerInfo) => void = () => {}

  constructor(place: number, child: ChildProcess, events: ChildEvents) {
    this.place = place
    this.#child = child
    let fail: (error: Error) => void = () => {}
    this.ready = new Promise((resolve, reject) => {
      this.#become = resolve
      fail = reject
    })
    // Whoever waits for it hears it.
    this.ready.catch(() => {})
    child.on('message', (message: ToParent) => {
      if (message.kind === 'ready') this.#start(message.info)
      else if (message.kind === 'failed') fail(new Error(message.why))
      events.message(this, message)
    })
    this.ended = new Promise((resolve) => {
      child.once('exit', (code, signal) => resolve(code ?? signal ?? 'unknown'))
      // It could not be started at all.
      child.once('error', (error) => resolve(error.message))
    })
    void this.ended.then((how) => {
      fail(new Error(`process ${place} ended with ${how} before it could serve`))
      events.ended(this, how)
    })
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  /** Whether it serves requests. */
  get isServing(): boolean {
    return this.#info !== undefined && !this.isLeaving
  }

  /** @returns false if it is gone */
  send(message: ToWorker, connection?: Socket): boolean {
    if (!this.#child.connected) return false
    // Errors are those of a process that has just ended, which 'exit' reports.
    this.#child.send(message, connection, { keepOpen: true }, () => {})
    return true
  }

  give(connection: Socket): boolean {
    return this.send({ kind: 'connection' }, connection)
  }

  know(left: readonly Left[]) {
    this.send({ kind: 'left', left })
  }

  tell(elsewhere: readonly Elsewhere[]) {
    this.send({ kind: 'elsewhere', elsewhere })
  }

  close(why: string) {
    if (this.isLeaving) return
    this.isLeaving = true
    this.send({ kind: 'close', why })
  }

  kill() {
    this.#child.kill('SIGKILL')
  }

  #start(info: WorkerInfo) {
    this.#info = info
    this.#become(info)
  }
}
