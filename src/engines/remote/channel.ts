/** The way to an engine that lives elsewhere: messages there and back, and the news that it is gone. Types only. */
import type { Reply, Request } from './messages.ts'

/** A started thread or process. */
export interface Channel {
  /** What runs behind it, for logs: `compute thread`, `tensorflow process`. */
  readonly title: string
  send(request: Request): void
  /** @param listener is called for every reply, in order */
  onReply(listener: (reply: Reply) => void): void
  /** @param listener is called once, with why it ended: `exit code 1`, `SIGABRT` */
  onExit(listener: (why: string) => void): void
  /** Ends it at once, whatever it is doing. */
  kill(): void
}
