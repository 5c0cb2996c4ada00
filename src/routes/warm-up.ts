/**
 * Warms up what only custom losses use: the parser, the compiler and its first WebAssembly module. Node compiles a
 * function when it is first called, and the first formula of a process calls thousands of them.
 */

import { assemble } from '../batching/assemble.ts'
import { checkRequest } from '../schemas/check.ts'
import { createInlineSource } from '../schemas/inline.ts'
import { formats } from '../wire/index.ts'
import type { RouteContext } from './context.ts'

/** One formula with sums, choices and functions, and one with an axis of classes. */
const BODIES = [
  {
    formula:
      'r = (predictions - targets) / scale\na = abs(r)\nw = tanh(a) + exp(-a) * sigmoid(r)\na < scale ? log1p(r^2) * w : sqrt(1 + a) - 1',
    params: { scale: 2 },
    predictions: [1, 2],
    targets: [0, 0],
  },
  {
    formula: 'p = log_softmax(logits, classes)\nmax(-pick(p, label, classes), 0) + mean(p^2, classes)',
    axes: { logits: 'rows,classes', label: 'rows' },
    logits: [
      [1, 2, 3],
      [3, 2, 1],
    ],
    label: [0, 1],
  },
]

/** Computes a formula of each kind from its text to its response. Nothing is counted or kept but the compiled code. */
export function warmUp({ config, plans, engine }: Pick<RouteContext, 'config' | 'plans' | 'engine'>) {
  const json = formats.find(({ name }) => name === 'json')!
  const inline = createInlineSource()
  for (const body of BODIES) {
    const { resolved, request } = inline(json.decode(Buffer.from(JSON.stringify(body)), config))
    const { job, answer } = checkRequest(resolved, request, { plans })
    const result = engine.runNow?.(assemble([job]))
    if (result !== undefined) json.encode(answer(result))
  }
}
