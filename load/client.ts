/** One round of load with autocannon, and what is read off its result. */
import autocannon, { type Result } from 'autocannon'
import type { Body } from './bodies.ts'

/** How long: seconds, or a number of requests. */
export type Span = { readonly duration: number } | { readonly amount: number }

export function post(url: string, body: Body, connections: number, span: Span): Promise<Result> {
  return autocannon({
    url,
    method: 'POST',
    headers: { 'content-type': body.contentType },
    body: body.bytes,
    connections,
    // A round ends with a sample, and its duration is that of its samples; large bodies take seconds on a busy machine.
    sampleInt: 20,
    timeout: 60,
    ...span,
  })
}

/** Over the whole round, not the mean of its samples: large bodies are few a second. */
export function perSecond({ requests, duration }: Result): number {
  return requests.total / duration
}

export function failed({ errors, non2xx }: Result): number {
  return errors + non2xx
}
