/**
 * Lets the event loop turn after each test. Thousands of tests only wait for promises that are resolved already; a
 * busy machine could else run a whole file without reading what vitest answers, which vitest takes for a lost
 * connection after a minute.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { afterEach } from 'vitest'

afterEach(() => nextTurn())
