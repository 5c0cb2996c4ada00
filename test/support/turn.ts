/**
 * Yields to the event loop after each test. Thousands of tests only wait for promises that are already resolved. On a busy
 * machine, a whole file could otherwise run without reading vitest's messages, and after a minute vitest reports a lost
 * connection.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { afterEach } from 'vitest'

afterEach(() => nextTurn())
