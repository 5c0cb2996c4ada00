import { StoreDown } from './contract.ts'

/**
 * What a promise gives, if it does within the time. Later on its result is dropped.
 *
 * @throws StoreDown when the time is over
 */
export async function within<T>(ms: number, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new StoreDown(`the store did not answer within ${ms / 1000} s`)), ms)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}
