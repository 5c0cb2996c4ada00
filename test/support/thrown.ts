/** What a call throws. */

/**
 * @throws whatever else it throws, or an Error if it throws nothing
 * @example
 * thrownBy(Problem, () => json.decode(bytes, limits)).code // 'malformed-json'
 */
export function thrownBy<E extends Error>(kind: new (...args: never[]) => E, run: () => unknown): E {
  try {
    run()
  } catch (error) {
    if (error instanceof kind) return error
    throw error
  }
  throw new Error(`it throws no ${kind.name}`)
}
