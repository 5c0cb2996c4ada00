/**
 * What processes that serve the same port tell each other. Whoever counts something names a topic and gives its own part;
 * whoever shows it gathers the parts of all. A process that serves alone has no peers, and nothing here is used.
 */

export interface Peers {
  /** Gives this process's part of a topic whenever somebody gathers it. Parts must survive JSON. */
  provide(topic: string, part: () => unknown | Promise<unknown>): void
  /** The parts of all processes that answer in time, this one's among them. */
  gather(topic: string): Promise<readonly unknown[]>
}
