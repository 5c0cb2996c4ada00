/** A request of a test, on a connection of its own unless there is an agent. */
import { type Agent, type IncomingHttpHeaders, request as openPlain, type RequestOptions } from 'node:http'
import { request as openSecure } from 'node:https'

export interface Answer {
  readonly status: number
  readonly text: string
  readonly headers: IncomingHttpHeaders
}

/** @throws Error of the connection (rejects) */
export function send(url: URL | string, options: RequestOptions = {}, body?: string): Promise<Answer> {
  const open = new URL(url).protocol === 'https:' ? openSecure : openPlain
  return new Promise((resolve, reject) => {
    const sent = open(url, { agent: false, ...options }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (part) => {
        text += part
      })
      const { statusCode: status = 0, headers } = response
      response.on('end', () => resolve({ status, text, headers })).on('error', reject)
    })
    sent.on('error', reject)
    sent.end(body)
  })
}

export function post(
  url: URL | string,
  body: string,
  headers: Readonly<Record<string, string>> = {},
  agent: Agent | false = false,
): Promise<Answer> {
  const own = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body), ...headers }
  return send(url, { method: 'POST', agent, headers: own }, body)
}
