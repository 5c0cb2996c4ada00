/** A timeout for promises. */
import { StoreDown } from './contract.ts'

/**
 * The result of a promise that settles in time. A result that comes too late is ignored.
 *
 * @throws StoreDown when the time is up
 */
export async function within<T>(ms: number, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new StoreDown(`the store did not respond within ${ms / 1000} s`)), ms)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}
