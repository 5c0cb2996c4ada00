/** The events of an evaluation on a service: they begin anew where they stop, and not forever. */
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, it } from 'vitest'
import { Service } from '../../src/evaluator/service.ts'

const request = { losses: [{ loss: 'l1' }], columns: {} }
const END = 'event: done\ndata: {"id":"x","state":"succeeded","result":{"used":3}}\n\n'
const progress = (rows: number) => `event: progress\ndata: {"rows":${rows},"total":null}\n\n`

type Answer = (response: ServerResponse, time: number) => void

/** What becomes of an evaluation whose events are answered like this, and how often they were asked for. */
async function follow(answer: Answer) {
  let asked = 0
  const server = createServer((incoming, response) => {
    incoming.resume()
    if (incoming.method === 'POST') response.writeHead(202).end('{"id":"x","state":"queued"}')
    else answer(response, asked++)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const service = new Service(url, { note: () => {}, isInteractive: false, firstWaitMs: 1 })
  const ended = await service
    .evaluate(request, { dataset: 'd' } as never)
    .catch((error: Error) => error.message)
  server.closeAllConnections()
  server.close()
  return [ended, asked]
}

function cutOff(response: ServerResponse, text: string) {
  response.writeHead(200).write(text, () => setTimeout(() => response.destroy(), 20))
}

it.each<[string, Answer]>([
  ['reset', (response, time) => (time < 3 ? cutOff(response, progress(1)) : response.end(END))],
  ['ended', (response, time) => response.end(time < 3 ? progress(1) : END)],
  ['refused for now', (response, time) => (time < 3 ? response.writeHead(503).end() : response.end(END))],
])('events that are %s begin anew', async (_, answer) => {
  expect(await follow(answer)).toEqual([{ used: 3 }, 4])
})

it('events go on for as long as there is progress', async () => {
  const answer: Answer = (response, time) => response.end(time < 20 ? progress(time + 1) : END)
  expect(await follow(answer)).toEqual([{ used: 3 }, 21])
})

it.each<[string, Answer, string]>([
  ['reset', (response) => cutOff(response, progress(1)), 'other side closed'],
  ['ended', (response) => void response.end(), 'its events end early'],
  ['refused', (response) => void response.writeHead(503).end(), '503 Service Unavailable'],
])('events that are always %s are one sentence in the end', async (_, answer, why) => {
  const [ended, asked] = await follow(answer)
  expect(ended).toMatch(new RegExp(`^http://127.0.0.1:\\d+: the evaluation x cannot be followed: ${why}$`))
  expect(asked).toBeLessThan(9)
})
