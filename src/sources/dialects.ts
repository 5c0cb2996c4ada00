/** The dialects of SQL; the first is the default. */
import { bigquery } from './dialects/bigquery.ts'
import { duckdb } from './dialects/duckdb.ts'
import { postgres } from './dialects/postgres.ts'
import { snowflake } from './dialects/snowflake.ts'
import { spark } from './dialects/spark.ts'
import type { Dialect } from './sql.ts'

export const DIALECTS: readonly Dialect[] = [duckdb, postgres, spark, bigquery, snowflake]
