/**
 * A process that times one engine: `node --import tsx load/bench/engine-process.ts NAME [THREADS]` reads one task per line and prints
 * one reply per line. There is one engine per process, because the engines on tfjs share one global backend. With a number of
 * threads it is the compiled engine with a pool of so many.
 */
import { createInterface } from 'node:readline'
import { openCompiled } from '../../src/engines/compiled/engine.ts'
import { type BatchResult, type Engine, UnsupportedByEngine } from '../../src/engines/contract.ts'
import { isUnavailable } from '../../src/engines/define.ts'
import { engineDefinitions } from '../../src/engines/engine-registry.ts'
import type { CheckedRequest } from '../../src/schemas/check.ts'
import { batchesOf, requestOf } from './batches.ts'
import type { Hello, Measured, Reply, Task } from './tasks.ts'

/** Consecutive launches on the device, so that the queue between the host and the device does not count. */
const LAUNCHES = 20

const [name, threads] = process.argv.slice(2)
const definition = (await engineDefinitions()).find((engine) => engine.name === name)
if (definition === undefined) throw new Error(`there is no engine "${name}"`)
const opened = threads === undefined ? await definition.open('the bench') : openPool(Number(threads))
if (isUnavailable(opened)) {
  say(opened)
} else {
  say({ about: opened.info.device, isGpu: opened.info.isGpu === true })
  for await (const line of createInterface({ input: process.stdin }))
    say(await replyTo(opened, JSON.parse(line)))
}

function openPool(count: number): Engine {
  return openCompiled({ reason: 'the bench', threads: count, memoryBytes: 2 ** 31, log: () => {} })
}

function say(message: Hello | Reply) {
  console.log(JSON.stringify(message))
}

async function replyTo(engine: Engine, task: Task): Promise<Reply> {
  try {
    return await measure(engine, await requestOf(task), task.seconds)
  } catch (error) {
    if (error instanceof UnsupportedByEngine) return { unsupported: error.message }
    // Whatever the error is (most likely memory), the engine cannot be trusted after it. The benchmark starts
    // another one.
    console.error(`${name} failed on ${JSON.stringify(task)}: ${error}`)
    return process.exit(1)
  }
}

async function measure(engine: Engine, request: CheckedRequest, seconds: number): Promise<Measured> {
  const started = performance.now()
  const found = await magnitudes(engine, request)
  // If one call took seconds, it has already warmed up everything.
  if (performance.now() - started < seconds * 1e3) await timed(engine, request, seconds / 3)
  return { ...(await timed(engine, request, seconds)), ...(await onDevice(engine, request)), ...found }
}

async function onDevice(engine: Engine, request: CheckedRequest): Promise<Pick<Measured, 'device'>> {
  const device = await engine.time?.(batchesOf(request)[0], LAUNCHES)
  return device === undefined ? {} : { device }
}

async function magnitudes(engine: Engine, request: CheckedRequest) {
  const result = await engine.run(batchesOf(request)[0])
  const answer = request.answer(result)
  const [gradient] = [...answer.gradients.values()].map(({ data }) => sumOf(data))
  const found = { value: answer.loss.data[0], gradient }
  release(result)
  return found
}

/** An engine that returns views of its own memory needs them released. */
function release(result: BatchResult & { readonly release?: () => void }) {
  result.release?.()
}

function sumOf(data: Iterable<number>): number {
  let sum = 0
  for (const x of data) sum += Math.abs(x)
  return sum
}

/** Nanoseconds per call. The arrays are copied outside the measured time. */
async function timed(engine: Engine, request: CheckedRequest, seconds: number) {
  let [calls, milliseconds, computing] = [0, 0, 0]
  while (milliseconds < seconds * 1e3) {
    const batches = batchesOf(request)
    const started = performance.now()
    for (const batch of batches) {
      const result = await engine.run(batch)
      computing += result.computeMs
      release(result)
    }
    milliseconds += performance.now() - started
    calls += batches.length
  }
  return { nanoseconds: (milliseconds / calls) * 1e6, compute: (computing / calls) * 1e6 }
}
