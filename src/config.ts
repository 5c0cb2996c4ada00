/**
 * The configuration: one schema with name, type, default and description. This file is the only reader of the
 * environment; README's table is made from it.
 */
import { type Static, type TSchema, Type } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import { didYouMean } from './nearest.ts'

const MiB = 1024 * 1024

const count = (fallback: number, description: string, minimum = 1) =>
  Type.Integer({ minimum, default: fallback, description })
/** Node's timers fire at once when they are given more: a deadline of "never" would refuse every request. */
const milliseconds = (fallback: number, description: string, minimum = 1) =>
  Type.Integer({ minimum, maximum: 2 ** 31 - 1, default: fallback, description })
const words = <const W extends readonly string[]>(options: W, fallback: W[number], description: string) =>
  Type.Union(
    options.map((word) => Type.Literal(word)),
    { default: fallback, description },
  )

/** All, none, or scheme, host and port of each. */
const ORIGIN = String.raw`https?://([\w.-]+|\[[\da-fA-F:.]+\])(:\d+)?`
const ORIGINS = String.raw`^(\*|${ORIGIN}(\s*,\s*${ORIGIN})*)?$`

/** A relative path has no slashes before it: `file://data` would be a host. */
const STORE = '^(none|file:(?!//[^/]).+|postgres(ql)?://.+)$'

/** Property -> its environment variable and schema. */
const SETTINGS = {
  port: [
    'PORT',
    Type.Integer({ minimum: 0, maximum: 65535, default: 8080, description: 'Port; 0 takes a free one.' }),
  ],
  host: ['HOST', Type.String({ minLength: 1, default: '0.0.0.0', description: 'Address to listen on.' })],
  store: [
    'LOSSD_STORE',
    Type.String({
      pattern: STORE,
      default: 'file:data/lossd.db',
      expects: 'file:path, postgres://user@host/database or none',
      isSecret: true,
      description:
        'Where registered losses are kept: `file:path` (SQLite, made on the first registration), `postgres://...`, which replicas may share, or `none`.',
    }),
  ],
  maxLosses: ['LOSSD_MAX_LOSSES', count(1000, 'Most registered losses of a namespace.')],
  engine: [
    'LOSSD_ENGINE',
    words(
      ['auto', 'tensorflow', 'webgpu', 'compiled', 'wasm', 'cpu', 'interpreter'],
      'auto',
      'What computes; auto takes a GPU where there is one, beside the compiled kernels.',
    ),
  ],
  corsOrigins: [
    'LOSSD_CORS_ORIGINS',
    Type.String({
      pattern: ORIGINS,
      default: '',
      expects: '* or origins with commas between them, as in https://example.org,http://localhost:3000',
      description:
        'Origins whose pages may call the service from a browser, with commas between them; `*`: all.',
    }),
  ],
  logLevel: [
    'LOSSD_LOG_LEVEL',
    words(
      ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'],
      'info',
      'Least severe line that is logged.',
    ),
  ],
  jsonBodyLimit: ['LOSSD_JSON_BODY_LIMIT', count(8 * MiB, 'Largest JSON body, in bytes.')],
  binaryBodyLimit: ['LOSSD_BINARY_BODY_LIMIT', count(64 * MiB, 'Largest binary body, in bytes.')],
  compressBytes: [
    'LOSSD_COMPRESS_BYTES',
    count(1024, 'Smallest answer in JSON that is compressed for callers who ask, in bytes.'),
  ],
  maxElements: ['LOSSD_MAX_ELEMENTS', count(64 * MiB, 'Most numbers in one request, after widening.')],
  maxTensors: ['LOSSD_MAX_TENSORS', count(32, 'Most tensors in one request.')],
  maxIntermediate: [
    'LOSSD_MAX_INTERMEDIATE',
    count(64 * MiB, 'Most elements of one intermediate result; bounds the rows of pairwise losses.'),
  ],
  maxCost: ['LOSSD_MAX_COST', count(20_000_000_000, 'Most element operations of one request.')],
  threads: [
    'LOSSD_THREADS',
    Type.Integer({
      minimum: 0,
      maximum: 1024,
      default: 0,
      description: 'Threads that compute, for the compiled engine; 0: one a core.',
    }),
  ],
  computeMemory: [
    'LOSSD_COMPUTE_MEMORY',
    count(1024 * MiB, 'Bytes that all launches of the compiled engine may hold together.', MiB),
  ],
  queueJobs: ['LOSSD_QUEUE_JOBS', count(4096, 'Most requests that wait; beyond it 429.')],
  queueElements: ['LOSSD_QUEUE_ELEMENTS', count(128 * MiB, 'Most numbers that wait; beyond it 429.')],
  outboundBytes: [
    'LOSSD_OUTBOUND_BYTES',
    count(512 * MiB, 'Most bytes of answers that wait for their readers; beyond it 503.', MiB),
  ],
  queueBytes: ['LOSSD_QUEUE_BYTES', count(512 * MiB, 'Most bytes that wait; beyond it 429.')],
  batchElements: ['LOSSD_BATCH_ELEMENTS', count(1 * MiB, 'Most numbers that are merged into one launch.')],
  batchBytes: ['LOSSD_BATCH_BYTES', count(16 * MiB, 'Most bytes that are merged into one launch.')],
  maxDelayMs: [
    'LOSSD_MAX_DELAY_MS',
    milliseconds(0, 'How long a request may wait for company while the engine is free, in ms.', 0),
  ],
  deadlineMs: ['LOSSD_DEADLINE_MS', milliseconds(30_000, 'Deadline of a request that sets none, in ms.')],
  maxDeadlineMs: [
    'LOSSD_MAX_DEADLINE_MS',
    milliseconds(300_000, 'Longest deadline that a request may set, in ms.'),
  ],
  headersTimeoutMs: [
    'LOSSD_HEADERS_TIMEOUT_MS',
    milliseconds(10_000, 'Time for the headers to arrive, in ms.'),
  ],
  bodyTimeoutMs: [
    'LOSSD_BODY_TIMEOUT_MS',
    milliseconds(60_000, 'Time for the whole request to arrive, in ms.'),
  ],
  writeTimeoutMs: [
    'LOSSD_WRITE_TIMEOUT_MS',
    milliseconds(30_000, 'How long a reader may take nothing of its answer before it is cut off, in ms.'),
  ],
  keepAliveTimeoutMs: [
    'LOSSD_KEEP_ALIVE_TIMEOUT_MS',
    milliseconds(72_000, 'How long an idle connection is kept, in ms.'),
  ],
  shutdownDelayMs: [
    'LOSSD_SHUTDOWN_DELAY_MS',
    milliseconds(
      0,
      'How long to serve on after SIGTERM with readiness off, so that load balancers notice, in ms.',
      0,
    ),
  ],
  shutdownGraceMs: [
    'LOSSD_SHUTDOWN_GRACE_MS',
    milliseconds(
      2000,
      'How long idle connections stay open at shutdown, so that a request on its way is answered and its caller told, in ms.',
      0,
    ),
  ],
  shutdownLimitMs: [
    'LOSSD_SHUTDOWN_LIMIT_MS',
    milliseconds(30_000, 'Longest wait for accepted requests at shutdown, in ms.'),
  ],
} as const satisfies Record<string, readonly [string, TSchema]>

type Settings = typeof SETTINGS
export type Config = { readonly [K in keyof Settings]: Static<Settings[K][1]> }

/** What is wrong with the environment, one line a variable. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
}

/**
 * Reads the environment.
 *
 * @throws ConfigError naming every variable that is wrong, and unknown `LOSSD_*` ones
 * @example
 * loadConfig({ PORT: '9000' }).port // 9000
 */
export function loadConfig(env: Readonly<Record<string, string | undefined>>): Config {
  const faults = unknownVariables(env)
  const entries = Object.entries(SETTINGS).map(([name, [variable, schema]]) => {
    const value = readSetting(env[variable], schema)
    if (!Value.Check(schema, value))
      faults.push(
        `${variable} must be ${expectation(schema)}${schema.isSecret ? '' : `, got "${env[variable]}"`}`,
      )
    return [name, value]
  })
  if (faults.length === 0) faults.push(...contradictions(Object.fromEntries(entries) as Config))
  if (faults.length > 0) throw new ConfigError(faults.join('\n'))
  return Object.freeze(Object.fromEntries(entries) as Config)
}

/** Pairs of which the first may not exceed the second; Node refuses to start with the timeouts swapped. */
const ORDERED = [
  ['headersTimeoutMs', 'bodyTimeoutMs'],
  ['deadlineMs', 'maxDeadlineMs'],
] as const

function contradictions(config: Config): string[] {
  const wrong = ORDERED.filter(([lower, upper]) => config[lower] > config[upper])
  return wrong.map(([lower, upper]) => {
    const [left, right] = [SETTINGS[lower][0], SETTINGS[upper][0]]
    return `${left} must not exceed ${right}, got ${config[lower]} and ${config[upper]}`
  })
}

/** An unset or empty variable is the default; a number must be spelled as one. */
function readSetting(text: string | undefined, schema: TSchema): unknown {
  if (text === undefined || text === '') return schema.default
  return schema.type === 'integer' && /^\d{1,15}$/.test(text) ? Number(text) : text
}

function unknownVariables(env: Readonly<Record<string, string | undefined>>): string[] {
  const known: string[] = Object.values(SETTINGS).map(([variable]) => variable)
  const unknown = Object.keys(env).filter((name) => name.startsWith('LOSSD_') && !known.includes(name))
  return unknown.map((name) => `${name} is not a setting${didYouMean(name, known)}`)
}

function expectation(schema: TSchema): string {
  if (schema.anyOf) return schema.anyOf.map((part: TSchema) => part.const).join(', ')
  if (schema.type !== 'integer') return schema.expects ?? 'a text'
  return schema.maximum === undefined
    ? `a whole number >= ${schema.minimum}`
    : `a whole number from ${schema.minimum} to ${schema.maximum}`
}

/** The settings as a Markdown table, for README. */
export function settingsTable(): string {
  const rows = Object.values(SETTINGS).map(([variable, schema]) => {
    const fallback = schema.default === '' ? 'none' : `\`${schema.default}\``
    return `| \`${variable}\` | ${fallback} | ${schema.description} |`
  })
  return ['| variable | default | meaning |', '|---|---|---|', ...rows].join('\n')
}
