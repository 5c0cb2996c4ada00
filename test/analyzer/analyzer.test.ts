/** The queue of the analyzer: callers take turns, none takes all places, and what nobody waits for is not begun. */
import { afterEach, expect, it } from 'vitest'
import { Abandoned, type Analyzer, AnalyzerBusy, createAnalyzer } from '../../src/analyzer/analyzer.ts'
import type { AnalyzeTask } from '../../src/analyzer/tasks.ts'

let analyzer: Analyzer
afterEach(() => analyzer.close())

let count = 0
/** Each one is another question. */
function question(): AnalyzeTask {
  const params = { delta: 1 + count++ / 1000 }
  const common = { of: 'predictions', domain: {}, sizes: {}, budgetMs: 200 }
  return { kind: 'analyze', source: { name: 'huber' }, params, properties: ['symmetric'], ...common }
}

const sender = (caller: object) => ({ caller, connection: {}, isKnown: true })
const outcome = (answer: Promise<unknown>) =>
  answer.then(
    () => 'answered' as const,
    (error: Error) => error,
  )

it('does not begin what nobody waits for any more, and its place is free', async () => {
  analyzer = createAnalyzer()
  const first = analyzer.ask(question())
  const gone = new AbortController()
  const left = outcome(analyzer.ask(question(), { signal: gone.signal }))
  gone.abort()
  expect(await left).toBeInstanceOf(Abandoned)
  await first
})

it('answers an equal question whose first asker has gone', async () => {
  analyzer = createAnalyzer()
  const first = analyzer.ask(question())
  const same = question()
  const gone = new AbortController()
  void outcome(analyzer.ask(same, { signal: gone.signal }))
  const other = analyzer.ask(same)
  gone.abort()
  expect(await other).toHaveProperty('properties')
  await first
})

it('lets one caller have half of the places, and says when to come again', async () => {
  analyzer = createAnalyzer()
  const [many, few] = [{}, {}]
  const asked = Array.from({ length: 34 }, () => outcome(analyzer.ask(question(), { sender: sender(many) })))
  const refused = await asked.at(-1)
  expect(refused).toBeInstanceOf(AnalyzerBusy)
  expect((refused as AnalyzerBusy).retryAfter).toBeGreaterThanOrEqual(1)
  expect(await outcome(analyzer.ask(question(), { sender: sender(few) }))).toBe('answered')
})

it('serves a caller with one question before the others of a caller with many', async () => {
  analyzer = createAnalyzer()
  const [many, few] = [{}, {}]
  const order: string[] = []
  const ask = (name: string, caller: object) =>
    outcome(analyzer.ask(question(), { sender: sender(caller) })).then(() => order.push(name))
  const all = Array.from({ length: 6 }, () => ask('many', many))
  await Promise.all([...all, ask('few', few)])
  expect(order.indexOf('few')).toBeLessThan(3)
})
