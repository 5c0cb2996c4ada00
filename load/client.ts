/** Load generation: one round with autocannon, and what is read from its result. */
import autocannon, { type Client, type Result } from 'autocannon'
import type { Body } from './bodies.ts'

/** The length of a round: seconds, or a number of requests. */
export type RoundLength = { readonly duration: number } | { readonly amount: number }

export function post(
  url: string,
  body: Body,
  connections: number,
  span: RoundLength,
  headers: Readonly<Record<string, string>> = {},
): Promise<Result> {
  return autocannon({
    url,
    method: 'POST',
    headers: { 'content-type': body.contentType, ...headers },
    body: body.bytes,
    connections,
    // A round ends with a sample, and its duration is that of its samples. Large bodies take seconds on a busy
    // machine.
    sampleInt: 20,
    timeout: 60,
    setupClient: dropBodies,
    ...span,
  })
}

/**
 * autocannon decodes every response as UTF-8 into one string. For floats, that takes longer than sending it, and
 * the side with the longer response, the echo, would pay for the client. There is no option for this, only an
 * undocumented member.
 */
function dropBodies(client: Client) {
  const { pipelinedRequests } = client as { pipelinedRequests?: { addBody?: unknown } }
  if (typeof pipelinedRequests?.addBody !== 'function')
    throw new Error('this version of autocannon keeps bodies elsewhere')
  pipelinedRequests.addBody = () => {}
}

/** Over the whole round, not the mean of its samples: with large bodies there are few requests per second. */
export function perSecond({ requests, duration }: Result): number {
  return requests.total / duration
}

export function failed({ errors, non2xx }: Result): number {
  return errors + non2xx
}
