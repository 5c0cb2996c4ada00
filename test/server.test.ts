/** The process: it starts, logs what it is, and shuts down without losing a request. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { afterAll, describe, expect, it } from 'vitest'
import { listening, outputOf } from './support/child.ts'
import { builtProgram } from './support/programs.ts'

const PROGRAM = builtProgram('server')

const children: ChildProcess[] = []
afterAll(() => {
  for (const child of children) child.kill('SIGKILL')
})

interface Started {
  readonly child: ChildProcess
  readonly output: () => string
  /** Resolves with the exit code. */
  readonly exit: Promise<number | null>
}

function start(env: Readonly<Record<string, string>>): Started {
  const settings = { PORT: '0', HOST: '127.0.0.1', LOSSD_ENGINE: 'wasm', ...env }
  const { LOSSD_ENGINE: _ours, ...rest } = process.env
  const child = spawn(process.execPath, [PROGRAM], {
    env: { ...rest, ...settings },
  })
  children.push(child)
  return { child, output: outputOf(child), exit: once(child, 'exit').then(([code]) => code as number | null) }
}

const urlOf = ({ output, exit }: Started) => listening(output, exit)

const post = (url: string, rows: number) =>
  fetch(`${url}/v1/losses/nt_xent`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      embeddings: Array.from({ length: rows }, (_, i) => [Math.sin(i), Math.cos(i)]),
      labels: Array.from({ length: rows }, (_, i) => i % 3),
    }),
  })

async function waiting(url: string): Promise<number> {
  const ready = (await (await fetch(`${url}/health/ready`)).json()) as { queue: { jobs: number } }
  return ready.queue.jobs
}

// Each test has a process of its own, and mostly waits for it.
describe.concurrent('the process', () => {
  it('logs one JSON object per line if stdout is not a terminal, and names its engine', async () => {
    const started = start({})
    await urlOf(started)
    const lines = started
      .output()
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>)
    expect(lines.at(-1)).toMatchObject({ engine: 'wasm', why: 'selected by name' })
  })

  it('responds to every accepted request after SIGTERM, and exits with 0', async () => {
    const started = start({})
    const url = await urlOf(started)
    await post(url, 10)
    let answered = 0
    const requests = Array.from({ length: 6 }, async () => {
      const answer = await post(url, 1200)
      answered++
      // A response that is not read keeps its connection open, and the process waits for that.
      await answer.arrayBuffer()
      const { status } = answer
      return status
    })
    // Two are running and the others are queued: then all six are accepted.
    while ((await waiting(url)) + answered < 4) await new Promise((resolve) => setTimeout(resolve, 5))
    started.child.kill('SIGTERM')
    expect(await Promise.all(requests)).toEqual(Array(6).fill(200))
    expect(await started.exit).toBe(0)
  })

  it('turns readiness off at once and keeps serving until load balancers notice', async () => {
    const started = start({ LOSSD_SHUTDOWN_DELAY_MS: '1500' })
    const url = await urlOf(started)
    started.child.kill('SIGTERM')
    while ((await fetch(`${url}/health/ready`)).status !== 503)
      await new Promise((resolve) => setTimeout(resolve, 10))
    const [ready, answer] = [await fetch(`${url}/health/ready`), await post(url, 4)]
    expect(ready.headers.get('retry-after')).toBe('1')
    expect(answer.status).toBe(200)
    expect(await started.exit).toBe(0)
  })

  it('exits at once on a second signal', async () => {
    const started = start({ LOSSD_SHUTDOWN_DELAY_MS: '60000' })
    await urlOf(started)
    started.child.kill('SIGTERM')
    while (!started.output().includes('closing')) await new Promise((resolve) => setTimeout(resolve, 10))
    started.child.kill('SIGTERM')
    expect(await started.exit).toBe(1)
  })

  it('says in one line that it is open to everyone, if others can reach it and no keys are asked for', async () => {
    const warned = async (env: Readonly<Record<string, string>>) => {
      const started = start(env)
      await urlOf(started)
      return started
        .output()
        .split('\n')
        .filter((line) => line.includes('"level":40')).length
    }
    expect(await warned({ HOST: '0.0.0.0' })).toBe(1)
    expect(await warned({ HOST: '127.0.0.1' })).toBe(0)
  })

  it('opens no inspector on SIGUSR1, and ends on SIGHUP if there is nothing to reload', async () => {
    const started = start({})
    const url = await urlOf(started)
    started.child.kill('SIGUSR1')
    await new Promise((resolve) => setTimeout(resolve, 300))
    expect((await fetch(`${url}/health/live`)).status).toBe(200)
    started.child.kill('SIGHUP')
    expect(await started.exit).toBe(0)
    expect(started.output()).not.toContain('Debugger')
  })

  it.each([
    ['a port that is none', { PORT: 'http' }, 'PORT must be an integer from 0 to 65535, got "http"'],
    [
      'a misspelt setting',
      { LOSSD_ENGIN: 'wasm' },
      'LOSSD_ENGIN is not a setting. Did you mean "LOSSD_ENGINE"?',
    ],
    [
      'an engine that is none',
      { LOSSD_ENGINE: 'quantum' },
      'LOSSD_ENGINE must be auto, tensorflow, webgpu, compiled, wasm, cpu, interpreter, got "quantum"',
    ],
    ['a certificate without its key', { LOSSD_TLS_CERT: 'cert.pem' }, 'LOSSD_TLS_CERT needs LOSSD_TLS_KEY'],
    [
      'algorithms with a shared secret',
      { LOSSD_JWT_ALGORITHMS: 'HS256' },
      'LOSSD_JWT_ALGORITHMS must be algorithms with public keys, with commas between them, got "HS256"',
    ],
  ])('rejects %s in one line and exits with 1', async (_, env, line) => {
    const started = start(env)
    expect(await started.exit).toBe(1)
    expect(started.output().trim()).toBe(`lossd: ${line}`)
  })
})
