/**
 * Tells V8 when to mark the heap: when it has grown by a part of the memory in use.
 *
 * By default V8 chooses the part, and it chooses a tenth for a server whose own objects are short-lived. Memory outside of its heap
 * counts, too: bodies and tensors. So a service that reads 10 MB a second would mark a heap of 30 MB each second, which takes 60 ms.
 *
 * While programs come and go it is a fifth. Evicted programs and kernels are old enough that only marking frees them, so with thousands
 * of different formulas the heap would grow to 300 MB, of which 60 are in use. Marking more often costs a server that evicts nothing a
 * quarter of its small requests, so that limit is lifted when no programs are made for a while. V8 applies it from the next marking on,
 * so it has to be set before the caches are full.
 */
import { setFlagsFromString } from 'node:v8'

const NORMAL = '--heap-growing-percent=100'
const LIMITED = '--heap-growing-percent=20'
/** How long without a new program until the limit is lifted. */
const CALM_MS = 30_000

/**
 * Sets the normal limit.
 *
 * @returns must be called for each program that is made while many are cached
 * @example
 * const limit = limitHeapGrowth()
 * limit()
 */
export function limitHeapGrowth(): () => void {
  setFlagsFromString(NORMAL)
  let calm: NodeJS.Timeout | undefined
  const lift = () => {
    calm = undefined
    setFlagsFromString(NORMAL)
  }
  return () => {
    if (calm !== undefined) return void calm.refresh()
    setFlagsFromString(LIMITED)
    calm = setTimeout(lift, CALM_MS).unref()
  }
}
