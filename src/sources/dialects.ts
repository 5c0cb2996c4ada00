/** The dialects of SQL; the first is the default. */
import { duckdb } from './dialects/duckdb.ts'
import { postgres } from './dialects/postgres.ts'
import type { Dialect } from './sql.ts'

export const DIALECTS: readonly Dialect[] = [duckdb, postgres]
