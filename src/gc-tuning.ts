/**
 * Limits V8's heap while programs come and go. By default, V8 lets the heap grow to four times the memory in use before
 * it marks it. Evicted programs and kernels are old enough that only marking frees them, so with thousands of different
 * formulas the heap would grow to 300 MB, of which 60 are in use. Marking more often costs a server that evicts nothing
 * a quarter of its small requests, so the limit is lifted when no programs are made for a while. V8 applies it from the
 * next marking on, so it has to be set before the caches are full.
 */
import { setFlagsFromString } from 'node:v8'

/** V8 marks the heap when it has grown by this part of the memory in use. */
const LIMITED = '--heap-growing-percent=20'
const DEFAULT = '--heap-growing-percent=0'
/** How long without a new program until the limit is lifted. */
const CALM_MS = 30_000

/**
 * @returns must be called for each program that is made while many are cached
 * @example
 * const grow = createHeapGrowthLimit()
 * grow()
 */
export function createHeapGrowthLimit(): () => void {
  let calm: NodeJS.Timeout | undefined
  const lift = () => {
    calm = undefined
    setFlagsFromString(DEFAULT)
  }
  return () => {
    if (calm !== undefined) return void calm.refresh()
    setFlagsFromString(LIMITED)
    calm = setTimeout(lift, CALM_MS).unref()
  }
}
