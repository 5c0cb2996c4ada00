/** What Linux knows of a process, or of a group of them (a negative number). */
import { readFileSync } from 'node:fs'

export function childrenOf(pid: number): number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim()
  return text === '' ? [] : text.split(' ').map(Number)
}

export function isThere(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

/**
 * Resident memory in MB (10^6 bytes).
 *
 * @param field VmHWM is the peak
 */
export function residentMB(pid: number, field: 'VmRSS' | 'VmHWM' = 'VmRSS'): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const kilobytes = Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status)![1])
  return (kilobytes * 1024) / 1e6
}

/** Linux counts in hundredths of a second on every machine. */
const TICKS_A_SECOND = 100

/** CPU time of all threads so far, in s, of the process and of the system on its behalf. */
export function cpuSeconds(pid: number): number {
  // The name, in parentheses, may hold spaces.
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ')
  return (Number(fields[11]) + Number(fields[12])) / TICKS_A_SECOND
}
