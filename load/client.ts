/** One round of load with autocannon, and what is read off its result. */
import autocannon, { type Client, type Result } from 'autocannon'
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
    setupClient: dropBodies,
    ...span,
  })
}

/**
 * autocannon decodes every answer as UTF-8 into one string, which takes longer than to send it where the bytes are floats:
 * the side with the longer answer, the echo, would be charged for the client. It has no setting for that, only a member.
 */
function dropBodies(client: Client) {
  const { pipelinedRequests } = client as { pipelinedRequests?: { addBody?: unknown } }
  if (typeof pipelinedRequests?.addBody !== 'function')
    throw new Error('this autocannon keeps bodies elsewhere')
  pipelinedRequests.addBody = () => {}
}

/** Over the whole round, not the mean of its samples: large bodies are few a second. */
export function perSecond({ requests, duration }: Result): number {
  return requests.total / duration
}

export function failed({ errors, non2xx }: Result): number {
  return errors + non2xx
}
