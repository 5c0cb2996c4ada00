/**
 * Generates docs/problems.md: for each problem its usual cause, what to do, and requests that produce it. The requests are
 * sent to a service each time, so that every example is known to produce its problem.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { request as open } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text as textBody } from 'node:stream/consumers'
import { keySourceOf } from '../src/access/key-source.ts'
import { generateKey, type NewKey } from '../src/access/keys.ts'
import { type App, buildApp } from '../src/app.ts'
import { loadConfig } from '../src/config.ts'
import { PROBLEMS, type ProblemCode, problemTypeOf } from '../src/errors.ts'

interface Request {
  readonly path: string
  /** Default: POST with a body, otherwise GET. */
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  /** Text, or an object that is sent as JSON. */
  readonly body?: string | object
  /** Whether it has the key of the example. */
  readonly isAuthorized?: boolean
  /** Whether the next request is sent without waiting for this response. */
  readonly background?: boolean
}

interface Example {
  /** Environment variables of the service. */
  readonly settings?: Readonly<Record<string, string>>
  /** The service asks for keys, and has this one. */
  readonly key?: Pick<NewKey, 'grants' | 'quotas'>
  /** The response to the last request is the problem. */
  readonly requests: readonly [Request, ...Request[]]
  /** Whether the last request is sent while the service shuts down. */
  readonly closing?: boolean
}

interface Explained {
  readonly cause: string
  readonly remedy: string
  /** Absent if no request alone produces the problem. test/routes/problems.test.ts produces those. */
  readonly example?: Example
}

const TRAINER = { grants: ['evaluate:acme'], quotas: [] }
const SAFETENSORS = 'application/x-safetensors'
const SQUARED = {
  name: 'acme/squared',
  inputs: { predictions: { differentiable: true }, targets: {} },
  formula: '(predictions - targets)^2',
}
/** An engine without kernels, and a batching delay, so that the request waits in the queue. */
const SLOW = { LOSSD_ENGINE: 'interpreter', LOSSD_MAX_DELAY_MS: '1000' }
const MEAN_LOSS = {
  source: { path: 'predictions.parquet' },
  losses: [{ loss: 'huber' }],
  columns: { predictions: 'y_hat', targets: 'y' },
}
const pair = { predictions: [1, 2], targets: [1, 3] }

function huber(body: object): Example {
  return loss('huber', body)
}

function loss(name: string, body: object): Example {
  return { requests: [{ path: `/v1/losses/${name}`, body }] }
}

/** One entry per problem. The compiler reports a missing one. */
export const EXPLAINED: Readonly<Record<ProblemCode, Explained>> = {
  moved: {
    cause: 'The path ends with a slash.',
    remedy:
      'Remove the slash, or follow `Location`. A redirect with status 308 keeps the method and the body.',
    example: { requests: [{ path: '/v1/losses/' }] },
  },
  'bad-request': {
    cause:
      'The bytes are not a valid HTTP request: the `Host` header is missing, the URL is malformed, or the body does not match its `Content-Encoding`.',
    remedy: 'Fix the client. If there is a proxy in between, check that as well.',
    example: {
      requests: [{ path: '/v1/losses/huber', headers: { 'content-encoding': 'gzip' }, body: pair }],
    },
  },
  'malformed-json': {
    cause:
      'The body is not valid JSON: it is truncated, or contains `NaN` without quotes, a trailing comma or a duplicate key. `detail` has the byte offset.',
    remedy:
      'Use a JSON library. Write NaN and infinities as `"NaN"`, `"Infinity"` and `"-Infinity"`. If the body is a safetensors file, send it as `application/x-safetensors`.',
    example: { requests: [{ path: '/v1/losses/huber', body: '{"predictions": [NaN], "targets": [1]}' }] },
  },
  'malformed-safetensors': {
    cause: 'The header is not valid, or the offsets do not cover the data exactly, without gaps or overlaps.',
    remedy:
      'Write files with the `safetensors` library. [formats.md](formats.md#layout) shows the layout byte by byte.',
    example: {
      requests: [
        { path: '/v1/losses/huber', headers: { 'content-type': SAFETENSORS }, body: 'no safetensors' },
      ],
    },
  },
  unauthenticated: {
    cause:
      'The service asks for keys, and the request has none, or one that is not valid, expired or revoked. `WWW-Authenticate` says which.',
    remedy:
      'Send `Authorization: Bearer` with a key or a token. [access.md](access.md) shows how to make a key.',
    example: { key: TRAINER, requests: [{ path: '/v1/losses/huber', body: pair }] },
  },
  forbidden: {
    cause:
      'The caller lacks the role that this takes in the namespace: `register` to register or retire a loss, `admin` to delete one.',
    remedy: '`detail` names the role. Use a key that has it ([access.md](access.md#roles)).',
    example: { key: TRAINER, requests: [{ path: '/v1/losses', body: SQUARED, isAuthorized: true }] },
  },
  'not-found': {
    cause: 'No route matches the URL. Often `/v1` is missing.',
    remedy: 'See `/docs` for all routes.',
    example: { requests: [{ path: '/losses/huber', body: pair }] },
  },
  'unknown-loss': {
    cause: 'The name is misspelled, or a custom loss was not registered with this service.',
    remedy:
      '`detail` suggests the closest name. `GET /v1/losses` lists all losses, and [losses](losses/README.md) describes them.',
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
  'kernel-unavailable': {
    cause:
      'The formula is so long that its kernel would have more than 512 KiB. All losses of the catalog have one.',
    remedy: 'Let the service compute it. [kernel-abi](kernel-abi.md) says more about kernels.',
  },
  'method-not-allowed': {
    cause: 'The route exists, but does not support this method.',
    remedy: 'Use one of the methods in the `Allow` header. Losses are evaluated with POST.',
    example: { requests: [{ path: '/v1/losses/huber', method: 'PUT', body: pair }] },
  },
  'not-acceptable': {
    cause: '`Accept` excludes every media type of [formats.md](formats.md).',
    remedy:
      'Accept one of them, or `*/*`. Without `Accept`, the response has the same format as the request.',
    example: {
      requests: [{ path: '/v1/losses/huber', headers: { accept: 'image/png' }, body: pair }],
    },
  },
  'request-timeout': {
    cause:
      'The request did not arrive in time (`LOSSD_HEADERS_TIMEOUT_MS`, `LOSSD_BODY_TIMEOUT_MS`), or fewer bytes were sent than `Content-Length` announces.',
    remedy:
      'Send the request again. If that happens repeatedly, send smaller bodies, compress them, or raise the timeouts.',
    example: {
      settings: { LOSSD_HEADERS_TIMEOUT_MS: '100', LOSSD_BODY_TIMEOUT_MS: '200' },
      requests: [
        { path: '/v1/losses/huber', headers: { 'content-length': '100' }, body: '{"predictions": [1' },
      ],
    },
  },
  gone: {
    cause: 'The registered loss was retired with DELETE.',
    remedy: 'Use a pinned version, such as `acme/retired@1`, which still works. Or register the loss again.',
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
      '`If-Match` is not the ETag of the latest version, or the loss already exists and the request has `If-None-Match: *`. Somebody else may have registered it in the meantime.',
    remedy: 'Get the loss, check what has changed, and send its `ETag` as `If-Match`.',
    example: { requests: [{ path: '/v1/losses', headers: { 'if-match': '"7"' }, body: SQUARED }] },
  },
  'payload-too-large': {
    cause:
      'The body, or a definition in it, is larger than the limit, or contains too many tensors or numbers. A compressed body may expand to at most 100 times its size.',
    remedy:
      'Split the batch and add up the losses (`denominator` keeps the mean exact), use safetensors instead of JSON, or raise `LOSSD_JSON_BODY_LIMIT`, `LOSSD_BINARY_BODY_LIMIT`, `LOSSD_MAX_TENSORS` or `LOSSD_MAX_ELEMENTS`.',
    example: { settings: { LOSSD_JSON_BODY_LIMIT: '32' }, ...huber(pair) },
  },
  'uri-too-long': {
    cause: 'A segment of the path has more than 100 characters.',
    remedy: 'Check what the client puts into the URL. Data belongs in the body.',
    example: { requests: [{ path: `/v1/losses/${'x'.repeat(101)}`, body: pair }] },
  },
  'unsupported-media-type': {
    cause:
      '`Content-Type` is missing, or names another format or a charset other than UTF-8. By default, curl sends `application/x-www-form-urlencoded`.',
    remedy: 'Send a body in one of the [formats](formats.md), with its media type.',
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
    cause: '`Content-Encoding` names an unsupported encoding, or more than one.',
    remedy: 'Use one of the encodings in the `Accept-Encoding` header of the response, or none.',
    example: {
      requests: [{ path: '/v1/losses/huber', headers: { 'content-encoding': 'compress' }, body: pair }],
    },
  },
  'expectation-failed': {
    cause: 'The value of `Expect` is not `100-continue`.',
    remedy: 'Remove the header.',
    example: { requests: [{ path: '/v1/losses/huber', headers: { expect: '200-ok' }, body: pair }] },
  },
  'headers-too-large': {
    cause:
      'The headers are larger than 16 KiB, or there are more than 100. Cookies of another application on the same host are a common cause.',
    remedy: 'Send fewer or smaller headers.',
    example: {
      requests: [{ path: '/v1/losses/huber', headers: { 'x-note': 'x'.repeat(20_000) }, body: pair }],
    },
  },
  'unknown-name': {
    cause:
      'An input, option or parameter is misspelled or at the wrong level: inputs and options are top-level fields, parameters belong in `params`.',
    remedy: '`errors` lists all unknown names, each with the closest valid one.',
    example: huber({ ...pair, params: { dleta: 2 } }),
  },
  'missing-input': {
    cause: 'A required tensor is missing.',
    remedy: 'Add it under the name in `pointer`. The page of each loss lists its inputs.',
    example: huber({ predictions: [1, 2] }),
  },
  'invalid-value': {
    cause:
      'A number is not valid for its input (a probability of 1.2), an option has the wrong type, or two options contradict each other.',
    remedy:
      '`pointer` locates the first such element, and `detail` says what is expected. Often logits were sent instead of probabilities, or the other way round.',
    example: loss('binary_cross_entropy', { predictions: [0.2, 1.2], targets: [0, 1] }),
  },
  'param-invalid': {
    cause: 'A parameter is out of range, or has no effect in combination with another one.',
    remedy: 'The page of each loss lists the ranges.',
    example: huber({ ...pair, params: { delta: 0 } }),
  },
  'shape-mismatch': {
    cause:
      'Two inputs have different sizes on an axis that they share, or `shape` does not match `data`. Inputs are never broadcast: `[N, 1]` with `[N]` is an error.',
    remedy: 'Reshape before sending: `predictions.squeeze(-1)`.',
    example: huber({ predictions: [[1], [2]], targets: [1, 3] }),
  },
  'shape-overflow': {
    cause: 'A shape has more elements than `LOSSD_MAX_ELEMENTS`.',
    remedy:
      'Usually the shape is wrong, because the data would have to be just as large. Otherwise split the batch.',
    example: huber({ predictions: { shape: [100_000, 100_000], dtype: 'float32', data: [] }, targets: [1] }),
  },
  'dtype-unsupported': {
    cause:
      'The dtype is unknown, class indices were sent as floats, or the gradient with respect to an integer tensor was requested.',
    remedy:
      'Use float32, float64, float16, bfloat16, int64, int32, uint8 or bool. Cast labels with `.long()` and predictions with `.float()`.',
    example: loss('cross_entropy', {
      predictions: [[0.1, 0.9]],
      targets: { shape: [1], dtype: 'float32', data: [1] },
    }),
  },
  'label-out-of-range': {
    cause: 'A class index is negative or not less than the number of classes. Usually the labels start at 1.',
    remedy: 'Subtract 1, or mark the rows to ignore with the `ignore_index` of the loss.',
    example: loss('cross_entropy', { predictions: [[0.1, 0.9]], targets: [2] }),
  },
  'non-finite-input': {
    cause:
      'With `nonfinite: "error"`, an input contains NaN or an infinity. A number that its dtype cannot represent (`1e999`) is always rejected.',
    remedy:
      'Check the previous training step: the model may have diverged, or data may be missing. With `nonfinite: "propagate"`, lossd computes with such values.',
    example: huber({ predictions: [1, 'NaN'], targets: [1, 3], nonfinite: 'error' }),
  },
  'non-finite-result': {
    cause:
      'With `nonfinite: "error"`, the loss or a gradient is NaN or infinite although the inputs are finite, because it overflows float32.',
    remedy: 'Scale the inputs, or send float64.',
    example: loss('mse', { predictions: [1e30], targets: [0], nonfinite: 'error' }),
  },
  'empty-batch': {
    cause: 'The batch has no rows, and the reduction is a mean.',
    remedy: 'Skip the step, use `reduction: "sum"` or `"none"`, or set a `denominator`.',
    example: huber({ predictions: [], targets: [] }),
  },
  'example-fails': {
    cause: 'For an example in the definition, the formula gives a different result.',
    remedy:
      '`detail` has the result. Either the formula or the example is wrong. Examples are compared to nine digits.',
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
    cause:
      'The formula has a syntax error, uses an unknown name, or its axes do not match; or a denominator depends on an input that has a gradient.',
    remedy:
      '`errors` has the line and column, and shows the place with a caret. In a list of lines, `pointer` names the line as well. The reference is [language.md](language.md).',
    example: {
      requests: [{ path: '/v1/losses:evaluate', body: { formula: 'abs(predictions - target)', ...pair } }],
    },
  },
  'too-expensive': {
    cause: 'The loss compares all pairs of rows, and there are too many rows, or the tensors are very large.',
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
    cause: 'The namespace already has `LOSSD_MAX_LOSSES` losses.',
    remedy:
      'Delete some with `DELETE /v1/losses/{namespace}/{name}?purge=true`, or raise the limit. New versions of existing losses do not count.',
    example: {
      settings: { LOSSD_MAX_LOSSES: '1' },
      requests: [
        { path: '/v1/losses', body: SQUARED },
        { path: '/v1/losses', body: { ...SQUARED, name: 'acme/squared_too' } },
      ],
    },
  },
  'quota-exceeded': {
    cause:
      'The caller has sent more requests, elements or bytes than its key allows, or has too many requests open. `violated-policies` names the quotas.',
    remedy:
      'Retry after `Retry-After` seconds: then the quotas admit a request again. The header `RateLimit` of every response says how much is left.',
    example: {
      key: { ...TRAINER, quotas: ['requests=1/m'] },
      requests: [
        { path: '/v1/losses/huber', body: pair, isAuthorized: true },
        { path: '/v1/losses/huber', body: pair, isAuthorized: true },
      ],
    },
  },
  overloaded: {
    cause:
      'More requests are waiting than `LOSSD_QUEUE_JOBS`, `LOSSD_QUEUE_ELEMENTS` or `LOSSD_QUEUE_BYTES` allow, one caller has more than half of the free places of the queue, or the response would come after the deadline. The request was refused at once, and nothing was computed.',
    remedy:
      'Retry after `Retry-After` seconds: it is when there will be room, also for the others that were told to come back. If this persists, add processes (`LOSSD_PROCESSES`) or a replica.',
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
    remedy: 'Report it, with the log line that has the `requestId`.',
  },
  'unsupported-transfer': {
    cause: 'The value of `Transfer-Encoding` is not `chunked`.',
    remedy: 'To compress the body, use `Content-Encoding`.',
    example: {
      requests: [{ path: '/v1/losses/huber', headers: { 'transfer-encoding': 'gzip, chunked' }, body: pair }],
    },
  },
  'idempotency-key-reused': {
    cause: 'The caller has used this `Idempotency-Key` for another evaluation, which was accepted.',
    remedy: 'Send the request with a new key. With the key as it is, only the same request is answered.',
    example: {
      settings: { LOSSD_DATASETS: 'examples/data' },
      requests: [
        { path: '/v1/evaluations', headers: { 'idempotency-key': 'monday' }, body: MEAN_LOSS },
        {
          path: '/v1/evaluations',
          headers: { 'idempotency-key': 'monday' },
          body: { ...MEAN_LOSS, losses: [{ loss: 'mse' }] },
        },
      ],
    },
  },
  'no-evaluations': {
    cause: '`LOSSD_DATASETS` is not set, or `LOSSD_STORE` is `none`.',
    remedy:
      'Evaluate files where they are, with `lossd evaluate`, or configure both ([evaluation.md](evaluation.md)).',
    example: { requests: [{ path: '/v1/evaluations/8e0c7f3a' }] },
  },
  'unknown-evaluation': {
    cause: 'There is no evaluation with this id, or another caller has asked for it.',
    remedy: 'Use the `Location` of the response to `POST /v1/evaluations`.',
    example: {
      settings: { LOSSD_DATASETS: 'examples/data' },
      requests: [{ path: '/v1/evaluations/8e0c7f3a' }],
    },
  },
  'unknown-dataset': {
    cause: 'There is no dataset with this id, it has expired, or another caller has uploaded it.',
    remedy: '`GET /v1/datasets` lists those of the caller. Upload it again, with `PUT /v1/datasets/{id}`.',
    example: {
      settings: { LOSSD_DATASETS: 'examples/data' },
      requests: [{ path: '/v1/datasets/monday' }],
    },
  },
  'storage-full': {
    cause:
      'The datasets of the caller would take more than `LOSSD_UPLOAD_BYTES`, those of all callers more than `LOSSD_UPLOAD_TOTAL_BYTES`, or the disk is full.',
    remedy:
      'Delete datasets that are no longer needed: `DELETE /v1/datasets/{id}`. Nothing is kept of the one that was refused.',
    example: {
      settings: { LOSSD_DATASETS: 'examples/data', LOSSD_UPLOAD_BYTES: '4' },
      requests: [
        {
          path: '/v1/datasets/monday',
          method: 'PUT',
          headers: { 'content-type': 'text/csv' },
          body: 'y,y_hat\n1,2\n',
        },
      ],
    },
  },
  'not-kept': {
    cause: '`LOSSD_STORE` is `none`.',
    remedy:
      'Send the definition with each request to `POST /v1/losses:evaluate`, or configure a store ([store.md](store.md)).',
    example: {
      settings: { LOSSD_STORE: 'none' },
      requests: [{ path: '/v1/losses', body: SQUARED }],
    },
  },
  'store-down': {
    cause:
      'The database of custom losses is unavailable. The catalog, and custom losses that are cached in memory, still work.',
    remedy: 'Retry after `Retry-After` seconds. `detail` says what is wrong with the database.',
    example: {
      settings: { LOSSD_STORE: 'postgres://127.0.0.1:1/lossd' },
      requests: [{ path: '/v1/losses', body: SQUARED }],
    },
  },
  'identity-down': {
    cause:
      'The request has a token, and the keys of its issuer cannot be fetched from `LOSSD_JWT_JWKS`. Keys that were fetched within a day stand in for them, unless the token is signed with another one.',
    remedy: 'Retry after `Retry-After` seconds. API keys work meanwhile.',
    example: {
      settings: {
        LOSSD_JWT_JWKS: 'http://127.0.0.1:1/jwks',
        LOSSD_JWT_ISSUER: 'https://id.example',
        LOSSD_JWT_AUDIENCE: 'lossd',
      },
      requests: [
        {
          path: '/v1/losses/huber',
          headers: { authorization: 'Bearer eyJhbGciOiJFUzI1NiIsImtpZCI6IjEifQ.e30.AA' },
          body: pair,
        },
      ],
    },
  },
  'not-ready': {
    cause:
      'The engine is starting or restarting. Only `/health/ready` responds with this problem; other requests wait.',
    remedy: 'None. Load balancers send requests to other replicas in the meantime.',
  },
  draining: {
    cause: 'The service received a SIGTERM.',
    remedy: 'Open a new connection, which reaches another replica or the next process.',
    example: { closing: true, requests: [{ path: '/health/ready' }] },
  },
  'engine-lost': {
    cause:
      'The process or device that computed the request died: the GPU driver was reset, or the system ran out of memory and killed the process.',
    remedy:
      'Retry after `Retry-After` seconds. The engine is restarted at once. If one request always fails like this, it is probably the cause.',
  },
  'out-of-memory': {
    cause:
      'The device does not have enough memory for this request, either at all or while it computes others.',
    remedy: 'Retry after `Retry-After` seconds, or split the batch.',
  },
  'answers-unread': {
    cause:
      'Responses of `LOSSD_OUTBOUND_BYTES` in total are waiting for clients that read slowly or not at all.',
    remedy:
      'Retry after `Retry-After` seconds. Read each response to its end, and request fewer gradients (`gradients: ["predictions"]`).',
  },
  'deadline-exceeded': {
    cause:
      'The response was not ready within `X-Request-Timeout-Ms`, or `LOSSD_DEADLINE_MS` if the request does not set it.',
    remedy: 'Retry with a longer deadline. If the service is always busy, add a replica.',
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
    `${status}: ${title}. ${retryable ? 'A retry can help.' : 'A retry does not help.'}`,
    `**Cause:** ${cause}`,
    `**What to do:** ${remedy}`,
    ...(example === undefined ? [] : [await shown(code, example, services)]),
  ]
  return `${parts.join('\n\n')}\n`
}

async function shown(code: ProblemCode, example: Example, services: Services): Promise<string> {
  const variables = Object.entries(example.settings ?? {}).map(([name, value]) => `\`${name}=${value}\``)
  const options = [
    ...(example.key?.grants ?? []).map((grant) => ` --grant ${grant}`),
    ...(example.key?.quotas ?? []).map((quota) => ` --quota ${quota}`),
  ]
  const when = [
    ...(example.key === undefined
      ? []
      : [`With a key from \`lossd keys add --name trainer${options.join('')}\``]),
    ...(variables.length === 0 ? [] : [`With ${variables.join(', ')}`]),
    ...(example.closing ? ['While the service is shutting down'] : []),
  ]
  const answer = masked(await answerTo(example, await services.get(example)))
  if ((JSON.parse(answer) as { type?: string }).type !== problemTypeOf(code))
    throw new Error(`the response to the example of ${code} is ${answer}`)
  const lead = when.length === 0 ? '' : `${when.join(', ')}:\n\n`
  const commands = example.requests.map(curl).join('\n')
  return `${lead}\`\`\`sh\n${commands}\n\`\`\`\n\`\`\`json\n${answer}\n\`\`\``
}

interface Service {
  readonly app: App
  /** The text of its key. */
  readonly key: string | undefined
}

/** One service for each combination of settings that an example needs. */
class Services {
  readonly #folder = mkdtempSync(join(tmpdir(), 'lossd-docs-'))
  readonly #services = new Map<string, Service>()

  async get({ settings = {}, closing, key }: Example): Promise<Service> {
    const name = JSON.stringify([settings, closing, key])
    const service = this.#services.get(name) ?? (await this.#start(settings, key))
    this.#services.set(name, service)
    return service
  }

  async #start(settings: Readonly<Record<string, string>>, key: Example['key']): Promise<Service> {
    const place = `file:${this.#folder}/${this.#services.size}`
    const text = key && (await this.#keep(`${place}.json`, key))
    const own = { LOSSD_STORE: `${place}.db`, ...(key && { LOSSD_KEYS: `${place}.json` }) }
    const app = await buildApp(loadConfig({ LOSSD_ENGINE: 'interpreter', ...own, ...settings }))
    await app.fastify.listen({ port: 0, host: '127.0.0.1' })
    return { app, key: text }
  }

  async #keep(setting: string, { grants, quotas }: NonNullable<Example['key']>): Promise<string> {
    const { text, record } = generateKey({
      name: 'trainer',
      grants,
      quotas,
      createdBy: 'docs',
      expires: null,
    })
    await keySourceOf(setting, undefined).put(record)
    return text
  }

  async close() {
    for (const { app } of this.#services.values()) await app.fastify.close()
    rmSync(this.#folder, { recursive: true })
  }
}

async function answerTo({ requests, closing = false }: Example, service: Service): Promise<string> {
  const { app } = service
  const others: Promise<string>[] = []
  for (const request of requests.slice(0, -1)) {
    const answer = send(service, request)
    others.push(answer)
    await (request.background ? somethingWaits(app) : answer)
  }
  if (closing) app.beginClosing()
  const answer = await send(service, requests.at(-1)!)
  await Promise.all(others)
  return answer
}

async function somethingWaits({ context }: App) {
  while (context.batcher.depth().jobs === 0) await new Promise((resolve) => setTimeout(resolve, 5))
}

/** Sends with node:http, because `fetch` does not allow all headers. */
function send({ app: { fastify }, key }: Service, request: Request): Promise<string> {
  const text = textOf(request)
  const { port } = fastify.server.address() as AddressInfo
  const isChunked = request.headers?.['transfer-encoding'] !== undefined
  const length = text === undefined || isChunked ? {} : { 'content-length': Buffer.byteLength(text) }
  const credentials = request.isAuthorized ? { authorization: `Bearer ${key}` } : {}
  const headers = { ...length, ...credentials, ...headersOf(request) }
  const options = { port, path: request.path, method: methodOf(request), headers, agent: false }
  return new Promise((resolve, reject) => {
    const sent = open({ host: '127.0.0.1', ...options }, (response) => resolve(textBody(response)))
    sent.on('error', reject)
    sent.end(text)
  })
}

/** Masks what differs between responses and between versions of Node. */
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
    ...(request.isAuthorized ? ['-H "authorization: Bearer $KEY"'] : []),
    ...Object.entries(headersOf(request)).map(([name, value]) => `-H ${quoted(`${name}: ${value}`)}`),
    ...(text === undefined ? [] : [`-d ${quoted(text)}`]),
  ]
  return `${parts.join(' ')}${request.background ? ' &' : ''}`
}

/** Quotes an argument for the shell. A long run of one character is written with printf. */
function quoted(text: string): string {
  const repeated = /(.)\1{99,}$/.exec(text)
  if (repeated !== null) {
    const [run, one] = repeated
    return `"${text.slice(0, -run.length)}$(printf '${one}%.0s' {1..${run.length}})"`
  }
  return /^[\w:/@.-]+$/.test(text) ? text : `'${text}'`
}
