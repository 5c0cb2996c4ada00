/**
 * The configuration: one schema with the name, type, default and description of each setting. This is the only file that
 * reads the environment. The table in README.md is generated from it.
 */
import { type Static, type TSchema, Type } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import { didYouMean } from './nearest.ts'

const MiB = 1024 * 1024

const count = (fallback: number, description: string, minimum = 1) =>
  Type.Integer({ minimum, default: fallback, description })
/** Node's timers fire immediately when the delay is larger: a deadline of "never" would reject every request. */
const milliseconds = (fallback: number, description: string, minimum = 1) =>
  Type.Integer({ minimum, maximum: 2 ** 31 - 1, default: fallback, description })
const words = <const W extends readonly string[]>(options: W, fallback: W[number], description: string) =>
  Type.Union(
    options.map((word) => Type.Literal(word)),
    { default: fallback, description },
  )

/** `*` (all), empty (none), or a list of origins, each with scheme, host and optional port. */
const ORIGIN = String.raw`https?://([\w.-]+|\[[\da-fA-F:.]+\])(:\d+)?`
const ORIGINS = String.raw`^(\*|${ORIGIN}(\s*,\s*${ORIGIN})*)?$`

/** A relative path has no slashes before it: `file://data` would be a host. */
const STORE = '^(none|file:(?!//[^/]).+|postgres(ql)?://.+)$'

const KEYS = '^(store|file:.+)?$'
const NAMESPACE = '[a-z][a-z0-9_]{0,63}'
const NAMESPACES = String.raw`^(${NAMESPACE}(\s*,\s*${NAMESPACE})*)?$`
/** Over plain HTTP, anybody on the way could publish keys of their own. */
const JWKS = String.raw`^(https://.+|http://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?/.*|file:.+)?$`
/** Not HS256: the service would need the secret that signs tokens. */
const ALGORITHM = '(RS256|RS384|RS512|PS256|PS384|PS512|ES256|ES384|ES512|EdDSA)'
const ALGORITHMS = String.raw`^${ALGORITHM}(\s*,\s*${ALGORITHM})*$`

/** Property -> its environment variable and schema. */
const SETTINGS = {
  port: [
    'PORT',
    Type.Integer({
      minimum: 0,
      maximum: 65535,
      default: 8080,
      description: 'Port to listen on. 0: any free port.',
    }),
  ],
  host: ['HOST', Type.String({ minLength: 1, default: '0.0.0.0', description: 'Address to listen on.' })],
  processes: [
    'LOSSD_PROCESSES',
    Type.String({
      pattern: '^(auto|[1-9][0-9]{0,2})$',
      default: 'auto',
      expects: 'auto or a number of processes from 1 to 999',
      description:
        'Processes that serve the port. auto: 1 on up to 4 cores, otherwise one per two cores. All limits below are those of each process, except quotas and `LOSSD_MAX_CONNECTIONS`.',
    }),
  ],
  maxConnections: [
    'LOSSD_MAX_CONNECTIONS',
    count(10_000, 'Maximum number of open connections. Beyond it, a new connection is closed at once.'),
  ],
  store: [
    'LOSSD_STORE',
    Type.String({
      pattern: STORE,
      default: 'file:data/lossd.db',
      expects: 'file:path, postgres://user@host/database or none',
      isSecret: true,
      description:
        'Where registered losses are stored: `file:path` (SQLite, created on the first registration), `postgres://...`, which replicas may share, or `none`.',
    }),
  ],
  maxLosses: ['LOSSD_MAX_LOSSES', count(1000, 'Maximum number of registered losses in a namespace.')],
  engine: [
    'LOSSD_ENGINE',
    words(
      ['auto', 'tensorflow', 'webgpu', 'compiled', 'wasm', 'cpu', 'interpreter'],
      'auto',
      'The engine that computes. auto: the compiled kernels, and a GPU if there is one.',
    ),
  ],
  keys: [
    'LOSSD_KEYS',
    Type.String({
      pattern: KEYS,
      default: '',
      expects: 'file:path or store',
      description:
        'Where API keys are kept: `file:path`, or `store` (with the registered losses). Without it and without `LOSSD_JWT_JWKS`, everyone who reaches the port may do everything.',
    }),
  ],
  sharedNamespaces: [
    'LOSSD_SHARED_NAMESPACES',
    Type.String({
      pattern: NAMESPACES,
      default: '',
      expects: 'namespaces with commas between them',
      description: 'Namespaces whose losses every caller may evaluate, separated by commas.',
    }),
  ],
  quota: [
    'LOSSD_QUOTA',
    Type.String({
      default: '',
      description:
        'Quotas of callers whose key has none of its own, separated by commas: `requests=100/s,elements=50M/m,bytes=64M/10s,concurrency=8`.',
    }),
  ],
  jwtJwks: [
    'LOSSD_JWT_JWKS',
    Type.String({
      pattern: JWKS,
      default: '',
      expects: 'https://..., http:// on this machine, or file:path',
      description:
        'Where the identity provider publishes the keys of its JSON Web Tokens: `https://...` or `file:path`.',
    }),
  ],
  jwtIssuer: [
    'LOSSD_JWT_ISSUER',
    Type.String({ default: '', description: 'The `iss` that tokens must have.' }),
  ],
  jwtAudience: [
    'LOSSD_JWT_AUDIENCE',
    Type.String({ default: '', description: 'The `aud` that tokens must have.' }),
  ],
  jwtAlgorithms: [
    'LOSSD_JWT_ALGORITHMS',
    Type.String({
      pattern: ALGORITHMS,
      default: 'RS256,ES256,EdDSA',
      expects: 'algorithms with public keys, with commas between them',
      description: 'Algorithms that tokens may be signed with, separated by commas.',
    }),
  ],
  jwtClaim: [
    'LOSSD_JWT_CLAIM',
    Type.String({
      minLength: 1,
      default: 'scope',
      description:
        'The claim of a token that has its grants, as in `evaluate:acme`; a dot leads into an object.',
    }),
  ],
  tlsCert: [
    'LOSSD_TLS_CERT',
    Type.String({
      default: '',
      description: 'File with the certificate and its chain (PEM). With it, the service speaks HTTPS.',
    }),
  ],
  tlsKey: [
    'LOSSD_TLS_KEY',
    Type.String({ default: '', description: 'File with the private key of the certificate (PEM).' }),
  ],
  tlsClientCa: [
    'LOSSD_TLS_CLIENT_CA',
    Type.String({
      default: '',
      description:
        'File with an authority (PEM). With it, only clients with a certificate of this authority are served (mutual TLS).',
    }),
  ],
  datasets: [
    'LOSSD_DATASETS',
    Type.String({
      default: '',
      description:
        'Folder with the files that may be evaluated over HTTP. With keys, its folders are namespaces: `acme/...` is for callers that may evaluate in `acme`.',
    }),
  ],
  uploadBytes: [
    'LOSSD_UPLOAD_BYTES',
    count(
      1024 * MiB,
      'Maximum size of all datasets that one caller has uploaded, in bytes. They are kept in the folder `.uploads` of the datasets. 0: nothing can be uploaded.',
      0,
    ),
  ],
  uploadTotalBytes: [
    'LOSSD_UPLOAD_TOTAL_BYTES',
    count(10 * 1024 * MiB, 'Maximum size of the uploaded datasets of all callers together, in bytes.'),
  ],
  uploadExpiryMs: [
    'LOSSD_UPLOAD_EXPIRY_MS',
    milliseconds(604_800_000, 'How long uploaded datasets are kept, in ms.'),
  ],
  uploadTimeoutMs: [
    'LOSSD_UPLOAD_TIMEOUT_MS',
    milliseconds(
      3_600_000,
      'Maximum time for a dataset to arrive, in ms. Without a byte for `LOSSD_BODY_TIMEOUT_MS`, it ends before.',
    ),
  ],
  evaluationThreads: [
    'LOSSD_EVALUATION_THREADS',
    Type.Integer({
      minimum: 1,
      maximum: 1024,
      default: 1,
      description: 'Threads that evaluate files. They give way to requests.',
    }),
  ],
  corsOrigins: [
    'LOSSD_CORS_ORIGINS',
    Type.String({
      pattern: ORIGINS,
      default: '',
      expects: '* or origins with commas between them, as in https://example.org,http://localhost:3000',
      description:
        'Origins whose pages may call the service from a browser, separated by commas. `*`: all origins.',
    }),
  ],
  logLevel: [
    'LOSSD_LOG_LEVEL',
    words(
      ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'],
      'info',
      'Minimum severity of the lines that are logged.',
    ),
  ],
  jsonBodyLimit: ['LOSSD_JSON_BODY_LIMIT', count(8 * MiB, 'Maximum size of a JSON body, in bytes.')],
  binaryBodyLimit: ['LOSSD_BINARY_BODY_LIMIT', count(64 * MiB, 'Maximum size of a binary body, in bytes.')],
  compressBytes: [
    'LOSSD_COMPRESS_BYTES',
    count(1024, 'Minimum size of a JSON response that is compressed for clients that accept it, in bytes.'),
  ],
  maxElements: [
    'LOSSD_MAX_ELEMENTS',
    count(64 * MiB, 'Maximum number of elements in one request, after widening.'),
  ],
  maxTensors: ['LOSSD_MAX_TENSORS', count(32, 'Maximum number of tensors in one request.')],
  maxIntermediate: [
    'LOSSD_MAX_INTERMEDIATE',
    count(
      64 * MiB,
      'Maximum number of elements of one intermediate result. Limits the rows of pairwise losses.',
    ),
  ],
  maxCost: ['LOSSD_MAX_COST', count(20_000_000_000, 'Maximum number of element operations in one request.')],
  threads: [
    'LOSSD_THREADS',
    Type.Integer({
      minimum: 0,
      maximum: 1024,
      default: 0,
      description: 'Worker threads of the compiled engine. 0: one per core.',
    }),
  ],
  computeMemory: [
    'LOSSD_COMPUTE_MEMORY',
    count(1024 * MiB, 'Maximum memory of all launches of the compiled engine together, in bytes.', MiB),
  ],
  queueJobs: ['LOSSD_QUEUE_JOBS', count(4096, 'Maximum number of queued requests. Beyond it: 429.')],
  queueElements: [
    'LOSSD_QUEUE_ELEMENTS',
    count(128 * MiB, 'Maximum number of queued elements. Beyond it: 429.'),
  ],
  outboundBytes: [
    'LOSSD_OUTBOUND_BYTES',
    count(512 * MiB, 'Maximum size of all responses not yet read by clients, in bytes. Beyond it: 503.', MiB),
  ],
  queueBytes: [
    'LOSSD_QUEUE_BYTES',
    count(512 * MiB, 'Maximum size of all queued requests, in bytes. Beyond it: 429.'),
  ],
  batchElements: [
    'LOSSD_BATCH_ELEMENTS',
    count(1 * MiB, 'Maximum number of elements batched into one launch.'),
  ],
  batchBytes: ['LOSSD_BATCH_BYTES', count(16 * MiB, 'Maximum number of bytes batched into one launch.')],
  maxDelayMs: [
    'LOSSD_MAX_DELAY_MS',
    milliseconds(
      0,
      'How long a request may wait for others to batch with while the engine is idle, in ms.',
      0,
    ),
  ],
  deadlineMs: ['LOSSD_DEADLINE_MS', milliseconds(30_000, 'Default deadline of a request, in ms.')],
  maxDeadlineMs: [
    'LOSSD_MAX_DEADLINE_MS',
    milliseconds(300_000, 'Maximum deadline that a request may set, in ms.'),
  ],
  headersTimeoutMs: [
    'LOSSD_HEADERS_TIMEOUT_MS',
    milliseconds(10_000, 'Maximum time for the request headers to arrive, in ms.'),
  ],
  bodyTimeoutMs: [
    'LOSSD_BODY_TIMEOUT_MS',
    milliseconds(60_000, 'Maximum time for the whole request to arrive, in ms.'),
  ],
  writeTimeoutMs: [
    'LOSSD_WRITE_TIMEOUT_MS',
    milliseconds(
      30_000,
      'How long a client may read nothing of its response before it is disconnected, in ms.',
    ),
  ],
  keepAliveTimeoutMs: [
    'LOSSD_KEEP_ALIVE_TIMEOUT_MS',
    milliseconds(72_000, 'Keep-alive timeout: how long an idle connection stays open, in ms.'),
  ],
  shutdownDelayMs: [
    'LOSSD_SHUTDOWN_DELAY_MS',
    milliseconds(
      0,
      'How long to keep serving after SIGTERM with readiness off, so that load balancers notice, in ms.',
      0,
    ),
  ],
  shutdownGraceMs: [
    'LOSSD_SHUTDOWN_GRACE_MS',
    milliseconds(
      2000,
      'How long idle connections stay open during shutdown, so that a request already on its way gets a response and its client is told to close, in ms.',
      0,
    ),
  ],
  shutdownLimitMs: [
    'LOSSD_SHUTDOWN_LIMIT_MS',
    milliseconds(30_000, 'Maximum time to wait for accepted requests during shutdown, in ms.'),
  ],
} as const satisfies Record<string, readonly [string, TSchema]>

type Settings = typeof SETTINGS
export type Config = { readonly [K in keyof Settings]: Static<Settings[K][1]> }

/** What is wrong with the environment: one line per variable. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
}

/**
 * Reads the environment.
 *
 * @throws ConfigError that names every invalid variable and every unknown `LOSSD_*` variable
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

/** Pairs of settings where the first must not exceed the second. Node refuses to start with the timeouts swapped. */
const ORDERED = [
  ['headersTimeoutMs', 'bodyTimeoutMs'],
  ['deadlineMs', 'maxDeadlineMs'],
] as const

/** Settings that mean nothing without another one. */
const NEEDED = [
  ['jwtJwks', 'jwtIssuer'],
  ['jwtJwks', 'jwtAudience'],
  ['jwtIssuer', 'jwtJwks'],
  ['jwtAudience', 'jwtJwks'],
  ['tlsCert', 'tlsKey'],
  ['tlsKey', 'tlsCert'],
  ['tlsClientCa', 'tlsCert'],
] as const

function contradictions(config: Config): string[] {
  return [...disordered(config), ...lonely(config)]
}

function lonely(config: Config): string[] {
  const missing = NEEDED.filter(([name, other]) => config[name] !== '' && config[other] === '')
  const isOpen = config.keys === '' && config.jwtJwks === ''
  const idle = (['quota', 'sharedNamespaces'] as const).filter((name) => isOpen && config[name] !== '')
  return [
    ...missing.map(([name, other]) => `${SETTINGS[name][0]} needs ${SETTINGS[other][0]}`),
    ...idle.map((name) => `${SETTINGS[name][0]} needs LOSSD_KEYS or LOSSD_JWT_JWKS`),
  ]
}

function disordered(config: Config): string[] {
  const wrong = ORDERED.filter(([lower, upper]) => config[lower] > config[upper])
  return wrong.map(([lower, upper]) => {
    const [left, right] = [SETTINGS[lower][0], SETTINGS[upper][0]]
    return `${left} must not exceed ${right}, got ${config[lower]} and ${config[upper]}`
  })
}

/** An unset or empty variable has its default. An integer must be written in digits. */
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
  if (schema.type !== 'integer') return schema.expects ?? 'a string'
  return schema.maximum === undefined
    ? `an integer >= ${schema.minimum}`
    : `an integer from ${schema.minimum} to ${schema.maximum}`
}

/** The settings as a Markdown table, for README.md. */
export function settingsTable(): string {
  const rows = Object.values(SETTINGS).map(([variable, schema]) => {
    const fallback = schema.default === '' ? 'none' : `\`${schema.default}\``
    return `| \`${variable}\` | ${fallback} | ${schema.description} |`
  })
  return ['| variable | default | meaning |', '|---|---|---|', ...rows].join('\n')
}
