/**
 * What docs/problems.md says about each problem: what usually causes it, what to do, and requests that end in it. The
 * answers are asked of a service whenever the page is made, so that each example is known to produce its problem.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { request as open } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text as textBody } from 'node:stream/consumers'
import { type App, buildApp } from '../src/app.ts'
import { loadConfig } from '../src/config.ts'
import { PROBLEMS, type ProblemCode } from '../src/errors.ts'

interface Request {
  readonly path: string
  /** Default: POST where there is a body, else GET. */
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  /** Text, or what is sent as JSON. */
  readonly body?: string | object
  /** Whether the next one is sent before this one is answered. */
  readonly background?: boolean
}

interface Example {
  /** What the service is started with. */
  readonly settings?: Readonly<Record<string, string>>
  /** The last one is answered with the problem. */
  readonly requests: readonly [Request, ...Request[]]
  /** Whether the last one is sent while the service shuts down. */
  readonly closing?: boolean
}

interface Explained {
  readonly cause: string
  readonly remedy: string
  /** Absent where no request alone produces it; test/routes/problems.test.ts produces these. */
  readonly example?: Example
}

const SAFETENSORS = 'application/x-safetensors'
const SQUARED = {
  name: 'acme/squared',
  inputs: { predictions: { differentiable: true }, targets: {} },
  formula: '(predictions - targets)^2',
}
/** Without a kernel, so that the request waits in the queue. */
const SLOW = { LOSSD_ENGINE: 'interpreter', LOSSD_MAX_DELAY_MS: '1000' }
const pair = { predictions: [1, 2], targets: [1, 3] }

function huber(body: object): Example {
  return loss('huber', body)
}

function loss(name: string, body: object): Example {
  return { requests: [{ path: `/v1/losses/${name}`, body }] }
}

/** Of every problem; the compiler tells which is missing. */
export const EXPLAINED: Readonly<Record<ProblemCode, Explained>> = {
  moved: {
    cause: 'The path ends with a slash.',
    remedy: 'Follow `Location`, or leave the slash out; a 308 keeps method and body.',
    example: { requests: [{ path: '/v1/losses/' }] },
  },
  'bad-request': {
    cause:
      'The bytes are not a valid HTTP request: no `Host` header, a broken URL, a body that is not what `Content-Encoding` says.',
    remedy: 'Fix the client. A proxy between the two is a common culprit.',
    example: {
      requests: [{ path: '/v1/losses/huber', headers: { 'content-encoding': 'gzip' }, body: pair }],
    },
  },
  'malformed-json': {
    cause:
      'The body is not JSON: it was cut off, holds `NaN` without quotes, a trailing comma, or the same key twice. `detail` says at which byte.',
    remedy:
      'Use a JSON library. Write NaN and infinities as `"NaN"`, `"Infinity"` and `"-Infinity"`. Check that a safetensors body is not sent as `application/json`.',
    example: { requests: [{ path: '/v1/losses/huber', body: '{"predictions": [NaN], "targets": [1]}' }] },
  },
  'malformed-safetensors': {
    cause: 'The header is not valid, or its offsets do not cover the data without gaps and overlaps.',
    remedy:
      'Write files with the `safetensors` library; [formats.md](formats.md#layout) shows the layout byte by byte.',
    example: {
      requests: [
        { path: '/v1/losses/huber', headers: { 'content-type': SAFETENSORS }, body: 'no safetensors' },
      ],
    },
  },
  'not-found': {
    cause: 'The URL is not one of the service, often because `/v1` is missing.',
    remedy: '`/docs` lists all addresses.',
    example: { requests: [{ path: '/losses/huber', body: pair }] },
  },
  'unknown-loss': {
    cause: 'No loss has this name, or an own loss was never registered here.',
    remedy:
      '`detail` names the nearest loss. `GET /v1/losses` lists all of them, [losses](losses/README.md) describes them.',
    example: loss('hubber', pair),
  },
  'unknown-target': {
    cause: 'A loss cannot be written as this: there is no such target, or no such dialect of SQL.',
    remedy: '`detail` lists the targets or dialects. [sources](sources.md) describes them.',
    example: { requests: [{ path: '/v1/losses/huber/source/nmupy' }] },
  },
  'cannot-write': {
    cause: 'The target has no words for a part of the loss: a query reads one row, a loop cannot sort.',
    remedy:
      '`errors` has the op and its line and column in the formula. [sources](sources.md) shows which loss goes into which target.',
    example: { requests: [{ path: '/v1/losses/supcon/source/sql' }] },
  },
  'method-not-allowed': {
    cause: 'The address exists, but not with this method.',
    remedy: 'Use one of those in the `Allow` header; losses are evaluated with POST.',
    example: { requests: [{ path: '/v1/losses/huber', method: 'PUT', body: pair }] },
  },
  'not-acceptable': {
    cause: '`Accept` excludes both `application/json` and `application/x-safetensors`.',
    remedy: 'Send one of the two, `*/*`, or no `Accept`: the answer then has the format of the body.',
    example: {
      requests: [{ path: '/v1/losses/huber', headers: { accept: 'image/png' }, body: pair }],
    },
  },
  'request-timeout': {
    cause:
      'The request did not arrive in time (`LOSSD_HEADERS_TIMEOUT_MS`, `LOSSD_BODY_TIMEOUT_MS`), or `Content-Length` promises more bytes than were sent.',
    remedy: 'Send again. If it repeats, send less at once, compress the body, or raise the limits.',
    example: {
      settings: { LOSSD_HEADERS_TIMEOUT_MS: '100', LOSSD_BODY_TIMEOUT_MS: '200' },
      requests: [
        { path: '/v1/losses/huber', headers: { 'content-length': '100' }, body: '{"predictions": [1' },
      ],
    },
  },
  gone: {
    cause: 'The own loss was retired with DELETE.',
    remedy: 'Name a version, as in `acme/retired@1`: versions still answer. Or register the loss again.',
    example: {
      requests: [
        { path: '/v1/losses', body: { ...SQUARED, name: 'acme/retired' } },
        { path: '/v1/losses/acme/retired', method: 'DELETE' },
        { path: '/v1/losses/acme/retired', body: pair },
      ],
    },
  },
  'precondition-failed': {
    cause:
      '`If-Match` is not the ETag of the latest version, or `If-None-Match: *` met a loss that exists. Somebody else has registered meanwhile.',
    remedy: 'Get the loss, look at what changed, and send its `ETag` as `If-Match`.',
    example: { requests: [{ path: '/v1/losses', headers: { 'if-match': '"7"' }, body: SQUARED }] },
  },
  'payload-too-large': {
    cause:
      'The body, or a definition in it, is larger than the limit; or it holds more tensors or numbers than are allowed. A compressed body may grow a hundredfold.',
    remedy:
      'Split the batch and add up the losses (`denominator` keeps the mean exact), take safetensors instead of JSON, or raise `LOSSD_JSON_BODY_LIMIT`, `LOSSD_BINARY_BODY_LIMIT`, `LOSSD_MAX_TENSORS` or `LOSSD_MAX_ELEMENTS`.',
    example: { settings: { LOSSD_JSON_BODY_LIMIT: '32' }, ...huber(pair) },
  },
  'uri-too-long': {
    cause: 'A part of the path has more than 100 characters.',
    remedy: 'Check what the client puts into the URL: data belongs in the body.',
    example: { requests: [{ path: `/v1/losses/${'x'.repeat(101)}`, body: pair }] },
  },
  'unsupported-media-type': {
    cause:
      '`Content-Type` is missing, names another format, or another charset than UTF-8. curl sends `application/x-www-form-urlencoded` unless it is told.',
    remedy: 'Send `application/json` or `application/x-safetensors`.',
    example: {
      requests: [
        {
          path: '/v1/losses/huber',
          headers: { 'content-type': 'application/x-www-form-urlencoded' },
          body: pair,
        },
      ],
    },
  },
  'unsupported-encoding': {
    cause: '`Content-Encoding` names a coding that is not read, or more than one.',
    remedy: 'Use one of those in the `Accept-Encoding` header of the answer, or none.',
    example: {
      requests: [{ path: '/v1/losses/huber', headers: { 'content-encoding': 'compress' }, body: pair }],
    },
  },
  'expectation-failed': {
    cause: '`Expect` holds something other than `100-continue`.',
    remedy: 'Leave the header out.',
    example: { requests: [{ path: '/v1/losses/huber', headers: { expect: '200-ok' }, body: pair }] },
  },
  'headers-too-large': {
    cause:
      'The headers have more than 16 KiB, or more than 100 lines. Cookies of another application on the same host are a common cause.',
    remedy: 'Send fewer.',
    example: {
      requests: [{ path: '/v1/losses/huber', headers: { 'x-note': 'x'.repeat(20_000) }, body: pair }],
    },
  },
  'unknown-name': {
    cause:
      'An input, option or parameter is misspelt, or stands at the wrong level: inputs and options stand at the top, parameters in `params`.',
    remedy: '`errors` names every wrong name at once, each with what was probably meant.',
    example: huber({ ...pair, params: { dleta: 2 } }),
  },
  'missing-input': {
    cause: 'The loss needs a tensor that is not there.',
    remedy: 'Send it under the name in `pointer`. The page of the loss lists its inputs.',
    example: huber({ predictions: [1, 2] }),
  },
  'invalid-value': {
    cause:
      'A number is not what its input means (a probability of 1.2), or an option has another type, or two options contradict each other.',
    remedy:
      '`pointer` names the first element; `detail` what would be right. Often logits were sent where probabilities are meant, or the other way round.',
    example: loss('binary_cross_entropy', { predictions: [0.2, 1.2], targets: [0, 1] }),
  },
  'param-invalid': {
    cause: 'A parameter is outside of its range, or has no effect together with another one.',
    remedy: 'The page of the loss lists the ranges.',
    example: huber({ ...pair, params: { delta: 0 } }),
  },
  'shape-mismatch': {
    cause:
      'Two inputs differ in an axis that they share, or `shape` is not the shape of `data`. Nothing is broadcast: `[N, 1]` against `[N]` is an error.',
    remedy: 'Reshape before sending: `predictions.squeeze(-1)`.',
    example: huber({ predictions: [[1], [2]], targets: [1, 3] }),
  },
  'shape-overflow': {
    cause: 'A shape has more elements than `LOSSD_MAX_ELEMENTS`.',
    remedy: 'Usually the shape is wrong, since the data would have to be as large. Else split the batch.',
    example: huber({ predictions: { shape: [100_000, 100_000], dtype: 'float32', data: [] }, targets: [1] }),
  },
  'dtype-unsupported': {
    cause:
      'A dtype is not known, class indices were sent as floats, or a gradient was asked for with respect to integers.',
    remedy:
      'Use float32, float64, float16, bfloat16, int64, int32, uint8 or bool; cast labels with `.long()`, predictions with `.float()`.',
    example: loss('cross_entropy', {
      predictions: [[0.1, 0.9]],
      targets: { shape: [1], dtype: 'float32', data: [1] },
    }),
  },
  'label-out-of-range': {
    cause:
      'A class index is negative, or not below the number of classes. Labels that count from 1 are the usual case.',
    remedy: 'Subtract 1, or mark rows that do not count with the `ignore_index` of the loss.',
    example: loss('cross_entropy', { predictions: [[0.1, 0.9]], targets: [2] }),
  },
  'non-finite-input': {
    cause:
      'With `nonfinite: "error"`, an input holds NaN or an infinity. A number that does not fit its dtype (`1e999`) is refused always.',
    remedy:
      'Look at the step before: the model has diverged, or data is missing. `nonfinite: "propagate"` computes on.',
    example: huber({ predictions: [1, 'NaN'], targets: [1, 3], nonfinite: 'error' }),
  },
  'non-finite-result': {
    cause:
      'With `nonfinite: "error"`, the loss or a gradient is NaN or infinite although the inputs are finite: it overflows float32.',
    remedy: 'Scale the inputs, or send float64.',
    example: loss('mse', { predictions: [1e30], targets: [0], nonfinite: 'error' }),
  },
  'empty-batch': {
    cause: 'There are no rows, and the reduction is a mean.',
    remedy: 'Skip the step, use `reduction: "sum"` or `"none"`, or give a `denominator`.',
    example: huber({ predictions: [], targets: [] }),
  },
  'example-fails': {
    cause: 'A definition brings an example, and its formula gives another number.',
    remedy: '`detail` says what came out. One of the two is wrong; examples are held to nine digits.',
    example: {
      requests: [
        {
          path: '/v1/losses',
          body: { ...SQUARED, examples: [{ inputs: { predictions: [3], targets: [1] }, loss: [2] }] },
        },
      ],
    },
  },
  'formula-invalid': {
    cause: 'A formula cannot be parsed, names something that does not exist, or its shapes do not fit.',
    remedy:
      '`errors` has line and column, and the line with a mark below it. [language.md](language.md) is the reference.',
    example: {
      requests: [{ path: '/v1/losses:evaluate', body: { formula: 'abs(predictions - target)', ...pair } }],
    },
  },
  'too-expensive': {
    cause:
      'The loss compares all rows with each other, and there are too many rows; or the tensors are very large.',
    remedy: 'Send fewer rows, or raise `LOSSD_MAX_INTERMEDIATE` and `LOSSD_MAX_COST`.',
    example: {
      settings: { LOSSD_MAX_INTERMEDIATE: '8' },
      ...loss('nt_xent', {
        embeddings: [
          [1, 0],
          [1, 0],
          [0, 1],
        ],
        labels: [0, 0, 1],
      }),
    },
  },
  'too-many-losses': {
    cause: 'The namespace holds `LOSSD_MAX_LOSSES` own losses.',
    remedy:
      'Remove some with `DELETE /v1/losses/{namespace}/{name}?purge=true`, or raise the limit. A new version of a loss needs no place.',
    example: {
      settings: { LOSSD_MAX_LOSSES: '1' },
      requests: [
        { path: '/v1/losses', body: SQUARED },
        { path: '/v1/losses', body: { ...SQUARED, name: 'acme/squared_too' } },
      ],
    },
  },
  overloaded: {
    cause: 'More requests wait than `LOSSD_QUEUE_JOBS`, `LOSSD_QUEUE_ELEMENTS` or `LOSSD_QUEUE_BYTES` allow.',
    remedy: 'Wait for `Retry-After` seconds, then send again. If it lasts, add a replica.',
    example: {
      settings: { ...SLOW, LOSSD_QUEUE_JOBS: '1' },
      requests: [
        { path: '/v1/losses/huber', body: pair, background: true },
        { path: '/v1/losses/huber', body: pair },
      ],
    },
  },
  internal: {
    cause: 'A bug in lossd.',
    remedy: 'Report it with the line of the log that has the `requestId`.',
  },
  'unsupported-transfer': {
    cause: '`Transfer-Encoding` names something other than `chunked`.',
    remedy: 'Compress with `Content-Encoding` instead.',
    example: {
      requests: [{ path: '/v1/losses/huber', headers: { 'transfer-encoding': 'gzip, chunked' }, body: pair }],
    },
  },
  'not-kept': {
    cause: '`LOSSD_STORE` is `none`.',
    remedy:
      'Send the definition with each request to `POST /v1/losses:evaluate`, or give the service a store.',
    example: {
      settings: { LOSSD_STORE: 'none' },
      requests: [{ path: '/v1/losses', body: SQUARED }],
    },
  },
  'store-down': {
    cause:
      'The database of own losses cannot be reached. Losses of the catalog, and own losses that are in memory, still answer.',
    remedy: 'Send again after `Retry-After` seconds. `detail` says what is wrong with the database.',
    example: {
      settings: { LOSSD_STORE: 'postgres://127.0.0.1:1/lossd' },
      requests: [{ path: '/v1/losses', body: SQUARED }],
    },
  },
  'not-ready': {
    cause: 'The engine is being started or restarted. Only `/health/ready` answers so; requests wait.',
    remedy: 'Load balancers send requests elsewhere meanwhile.',
  },
  draining: {
    cause: 'The service has got a SIGTERM.',
    remedy: 'Open a new connection: another replica, or the next process, answers it.',
    example: { closing: true, requests: [{ path: '/health/ready' }] },
  },
  'engine-lost': {
    cause:
      "The process or device that computed the request has died: a GPU's driver was reset, or the system killed it for its memory.",
    remedy:
      'Send again after `Retry-After` seconds; it is restarted at once. If one request always ends so, it is the cause.',
  },
  'out-of-memory': {
    cause: 'The device has no memory for this request while others are computed, or at all.',
    remedy: 'Send again after `Retry-After` seconds, or split the batch.',
  },
  'answers-unread': {
    cause: '`LOSSD_OUTBOUND_BYTES` of answers wait for clients that read slowly or not at all.',
    remedy:
      'Send again after `Retry-After` seconds. Read answers to the end; ask for fewer gradients (`gradients: ["predictions"]`).',
  },
  'deadline-exceeded': {
    cause:
      'The answer was not there within `X-Request-Timeout-Ms`, or `LOSSD_DEADLINE_MS` where the request says nothing.',
    remedy: 'Send again with a longer deadline. If the service is always busy, add a replica.',
    example: {
      settings: SLOW,
      requests: [{ path: '/v1/losses/huber', headers: { 'x-request-timeout-ms': '5' }, body: pair }],
    },
  },
}

/** The part of docs/problems.md that is generated. */
export async function problemsText(): Promise<string> {
  const codes = Object.keys(PROBLEMS) as ProblemCode[]
  const rows = codes.map((code) => {
    const { status, title, retryable } = PROBLEMS[code]
    return `| [\`${code}\`](#${code}) | ${status} | ${retryable ? 'yes' : 'no'} | ${title} |`
  })
  const services = new Services()
  const sections: string[] = []
  for (const code of codes) sections.push(await section(code, services))
  await services.close()
  return ['| type | status | retry | title |', '|---|---|---|---|', ...rows, '', ...sections]
    .join('\n')
    .trimEnd()
}

async function section(code: ProblemCode, services: Services): Promise<string> {
  const { cause, remedy, example } = EXPLAINED[code]
  const { status, title, retryable } = PROBLEMS[code]
  const parts = [
    `## ${code}`,
    `${status}: ${title}. ${retryable ? 'Worth a retry.' : 'Sending it again does not help.'}`,
    `**Cause:** ${cause}`,
    `**What to do:** ${remedy}`,
    ...(example === undefined ? [] : [await shown(code, example, services)]),
  ]
  return `${parts.join('\n\n')}\n`
}

async function shown(code: ProblemCode, example: Example, services: Services): Promise<string> {
  const variables = Object.entries(example.settings ?? {}).map(([name, value]) => `\`${name}=${value}\``)
  const when = [
    ...(variables.length === 0 ? [] : [`With ${variables.join(', ')}`]),
    ...(example.closing ? ['While the service shuts down'] : []),
  ]
  const answer = masked(await answerTo(example, await services.get(example)))
  if ((JSON.parse(answer) as { type?: string }).type !== `urn:lossd:problem:${code}`)
    throw new Error(`the example of ${code} is answered with ${answer}`)
  const lead = when.length === 0 ? '' : `${when.join(', ')}:\n\n`
  const commands = example.requests.map(curl).join('\n')
  return `${lead}\`\`\`sh\n${commands}\n\`\`\`\n\`\`\`json\n${answer}\n\`\`\``
}

/** One for each group of settings that an example needs. */
class Services {
  readonly #folder = mkdtempSync(join(tmpdir(), 'lossd-docs-'))
  readonly #apps = new Map<string, App>()

  async get({ settings = {}, closing }: Example): Promise<App> {
    const key = JSON.stringify([settings, closing])
    const app = this.#apps.get(key) ?? (await this.#start(settings))
    this.#apps.set(key, app)
    return app
  }

  async #start(settings: Readonly<Record<string, string>>): Promise<App> {
    const store = `file:${this.#folder}/${this.#apps.size}.db`
    const app = await buildApp(loadConfig({ LOSSD_ENGINE: 'interpreter', LOSSD_STORE: store, ...settings }))
    await app.fastify.listen({ port: 0, host: '127.0.0.1' })
    return app
  }

  async close() {
    for (const { fastify } of this.#apps.values()) await fastify.close()
    rmSync(this.#folder, { recursive: true })
  }
}

async function answerTo({ requests, closing = false }: Example, app: App): Promise<string> {
  const others: Promise<string>[] = []
  for (const request of requests.slice(0, -1)) {
    const answer = send(app, request)
    others.push(answer)
    await (request.background ? somethingWaits(app) : answer)
  }
  if (closing) app.beginClosing()
  const answer = await send(app, requests.at(-1)!)
  await Promise.all(others)
  return answer
}

async function somethingWaits({ context }: App) {
  while (context.batcher.depth().jobs === 0) await new Promise((resolve) => setTimeout(resolve, 5))
}

/** Over a connection of its own, because `fetch` does not let all headers pass. */
function send({ fastify }: App, request: Request): Promise<string> {
  const text = textOf(request)
  const { port } = fastify.server.address() as AddressInfo
  const isChunked = request.headers?.['transfer-encoding'] !== undefined
  const length = text === undefined || isChunked ? {} : { 'content-length': Buffer.byteLength(text) }
  const headers = { ...length, ...headersOf(request) }
  const options = { port, path: request.path, method: methodOf(request), headers, agent: false }
  return new Promise((resolve, reject) => {
    const sent = open({ host: '127.0.0.1', ...options }, (response) => resolve(textBody(response)))
    sent.on('error', reject)
    sent.end(text)
  })
}

/** What differs from answer to answer, and from one Node to another. */
function masked(answer: string): string {
  return answer
    .replace(/"requestId":"[^"]+"/, '"requestId":"..."')
    .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, '...')
    .replaceAll('zstd, ', '')
}

function headersOf({ headers = {}, body }: Request): Readonly<Record<string, string>> {
  return body === undefined ? headers : { 'content-type': 'application/json', ...headers }
}

function textOf({ body }: Request): string | undefined {
  return typeof body === 'object' ? JSON.stringify(body) : body
}

function methodOf({ method, body }: Request): string {
  return method ?? (body === undefined ? 'GET' : 'POST')
}

function curl(request: Request): string {
  const text = textOf(request)
  const method = methodOf(request)
  const isPlain = method === (text === undefined ? 'GET' : 'POST')
  const parts = [
    `curl -s ${isPlain ? '' : `-X ${method} `}${quoted(`localhost:8080${request.path}`)}`,
    ...Object.entries(headersOf(request)).map(([name, value]) => `-H ${quoted(`${name}: ${value}`)}`),
    ...(text === undefined ? [] : [`-d ${quoted(text)}`]),
  ]
  return `${parts.join(' ')}${request.background ? ' &' : ''}`
}

/** A word of a shell; what is repeated often is left to printf. */
function quoted(text: string): string {
  const repeated = /(.)\1{99,}$/.exec(text)
  if (repeated !== null) {
    const [run, one] = repeated
    return `"${text.slice(0, -run.length)}$(printf '${one}%.0s' {1..${run.length}})"`
  }
  return /^[\w:/@.-]+$/.test(text) ? text : `'${text}'`
}
