/** How many processes serve, and how the cores are divided between their event loops and their compute threads. */

/** Up to this many cores, one event loop with threads behind it is the better use of them. */
const ONE_UP_TO = 4
/** Cores per process above that: one for the event loop, one for what it computes. */
const CORES_EACH = 2

/**
 * @param setting `LOSSD_PROCESSES`: `auto`, or a number
 * @example
 * processCount('auto', 16) // 8
 */
export function processCount(setting: string, cores: number): number {
  if (setting !== 'auto') return Number(setting)
  return cores <= ONE_UP_TO ? 1 : Math.floor(cores / CORES_EACH)
}

/**
 * Threads of each of several processes.
 *
 * @param setting `LOSSD_THREADS`; 0: as many as there are cores for
 */
export function threadsOfEach(setting: number, processes: number, cores: number): number {
  return setting === 0 ? Math.max(1, Math.ceil(cores / processes)) : setting
}
