/** The examples, run from the command line as in README.md. */
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { sampled } from '../support/depth.ts'
import { sharedServer } from '../support/server.ts'

const server = sharedServer()

const run = (example: string, ...args: string[]) =>
  promisify(execFile)(process.execPath, ['--import', 'tsx', `examples/${example}.ts`, ...args], {
    env: { ...process.env, NO_COLOR: '1' },
  }).then(
    ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
    ({ code, stdout, stderr }) => ({ code, stdout, stderr }),
  )

describe.each(sampled(['iris', 'robust'], 2))('the example %s', (example) => {
  it('without a server reports that in one line, and what to do', async () => {
    const { code, stderr } = await run(example, 'http://127.0.0.1:1')
    expect(code).toBe(1)
    expect(stderr).toMatch(
      /^lossd is not running at http:\/\/127\.0\.0\.1:1: start it with `npm start`, .*\n$/,
    )
  })

  it('with another server shows its response', async () => {
    const other = createServer((_, response) => response.writeHead(404).end('nothing')).listen(0, '127.0.0.1')
    await once(other, 'listening')
    const { port } = other.address() as AddressInfo
    const { code, stderr } = await run(example, `127.0.0.1:${port}`)
    other.close()
    expect(code).toBe(1)
    expect(stderr).toBe(`http://127.0.0.1:${port} responded with 404: nothing\n`)
  })

  it('finds a service on another port', async () => {
    const { code, stdout } = await run(example, `${server.url}/`)
    expect(code).toBe(0)
    expect(stdout).toContain(example === 'iris' ? 'accuracy 0.9733' : 'huber, with typos: width = 0.4')
  })

  it('rejects an invalid address', async () => {
    const { stderr } = await run(example, 'http://')
    expect(stderr).toMatch(/^"http:\/\/" is not an address.*\n$/)
  })
})
