import { it } from 'vitest'
import { openCompiled } from '../src/engines/compiled/engine.ts'
import { batchOf, expectNear } from './support/random.ts'
const engine = openCompiled({ reason: 'test', threads: 0, memoryBytes: 2 ** 31, log: () => {} })
it('x', async () => {
  for (const text of ['(shift(x * 0 + x, -4, columns) * var(x * 0.1 + sum(tanh(v[rows -> others] - sum(x * 0.1 + x, columns)), others), rows))',
    '(shift(x, -4, columns) * var(x * 0.1 + sum(tanh(v[rows -> others] - sum(x, columns)), others), rows))',
    '(shift(x, -4, columns) * sum(x * tanh(sum(x, columns)), rows))',
    '(shift(x, -4, columns) * sum(sum(x, columns), rows))',
    '(x * sum(x * tanh(sum(x, columns)), rows))',
    '(shift(x, -4, columns) * sum(x, rows))',
    '(shift(x, -4, columns) * sum(x, columns))',
  ]) {
    let bad = 0, n = 0, msg = ''
    for (let rows = 1; rows < 8; rows++) for (let columns = 1; columns < 14; columns++) for (let seed = 0; seed < 2; seed++) {
      const batch = batchOf(text, rows, columns, seed); n++
      try { expectNear(await engine.run(batch), batch, text) } catch (e) { bad++; msg = `${rows}x${columns} ${seed} ${(e as Error).message}` }
    }
    console.log(bad, n, text, msg)
  }
}, 300000)
