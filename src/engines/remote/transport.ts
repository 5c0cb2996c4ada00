/**
 * A message channel to an engine in a thread or process: messages in both directions, and a notification when it
 * ends. Types only.
 */
import type { Reply, Request } from './messages.ts'

/** A started thread or process. */
export interface Channel {
  /** What runs at the other end, for logs: `compute thread`, `tensorflow process`. */
  readonly title: string
  send(request: Request): void
  /** @param listener is called for every reply, in order */
  onReply(listener: (reply: Reply) => void): void
  /** @param listener is called once, with the reason why it ended: `exit code 1`, `SIGABRT` */
  onExit(listener: (why: string) => void): void
  /** Ends it immediately, whatever it is doing. */
  kill(): void
}
