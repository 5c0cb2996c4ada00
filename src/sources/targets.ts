/** All targets. test/sources/targets.test.ts checks that every file of targets/ is here. */
import type { Target } from './contract.ts'
import c from './targets/c.ts'
import numpy from './targets/numpy.ts'
import sql from './targets/sql.ts'

export const TARGETS: readonly Target[] = [c, numpy, sql]
