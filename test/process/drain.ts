/** SIGTERM while clients use keep-alive connections: every request that was sent gets a response. */
import { clients, type Outcome, run } from './clients.ts'
import { check, start } from './service.ts'

const RUNS = 10
const COUNTS = [24, 200]

export async function checkDrain(): Promise<void> {
  for (const { language, command } of clients()) {
    if (command === undefined) {
      console.log(`drain: clients in ${language} are not tested here, the machine has no ${language}`)
      continue
    }
    for (const count of COUNTS) await drainRuns(language, command, count)
  }
}

async function drainRuns(language: string, command: readonly string[], count: number) {
  let [answered, faulty] = [0, 0]
  const faults = new Set<string>()
  for (let i = 0; i < RUNS; i++) {
    const outcome = await drainOnce(command, count)
    answered += outcome.answered
    for (const [fault, times] of Object.entries(outcome.faults)) {
      faulty += times
      faults.add(fault)
    }
  }
  console.log(`drain: ${count} clients in ${language}, ${RUNS} runs: ${answered} answered, ${faulty} faults`)
  check(faulty === 0, `${language}, ${count} clients: ${faulty} faults: ${[...faults].join('; ')}`)
}

async function drainOnce(command: readonly string[], count: number): Promise<Outcome> {
  const service = await start()
  const { warm, outcome } = run(command, service.url, count)
  await warm
  await new Promise((resolve) => setTimeout(resolve, 50 + Math.random() * 50))
  service.child.kill('SIGTERM')
  const result = await outcome
  check(result.refused + sum(result.faults) === count, 'every client ends')
  const code = await service.exit
  check(code === 0, `it exits with 0, not ${code}: ${service.output()}`)
  return result
}

function sum(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((so, count) => so + count, 0)
}
