import { assemble } from './src/batching/assemble.ts'
import { OPS } from './src/engines/tfjs/ops.ts'
import wasm from './src/engines/wasm.ts'
import { loadCatalog } from './src/losses/index.ts'
import { check } from './test/support/evaluate.ts'

const engine: any = await wasm.open('x')
const { find } = await loadCatalog()
const [rows, classes] = [Number(process.argv[3] ?? 1024), Number(process.argv[4] ?? 1000)]
const loss = find(process.argv[2] ?? 'cross_entropy')!
const t = (shape: number[], data: any, dtype = 'float32') =>
  ({ dtype, shape, data, spelling: 'binary', typed: true }) as any
const logits = Float32Array.from({ length: rows * classes }, (_, i) => Math.sin(i) * 3)
const tensors =
  loss.name === 'cross_entropy'
    ? new Map([
        ['predictions', t([rows, classes], logits)],
        [
          'targets',
          t(
            [rows],
            Int32Array.from({ length: rows }, (_, i) => i % classes),
            'int32',
          ),
        ],
      ])
    : new Map([
        ['predictions', t([rows, classes], logits)],
        [
          'targets',
          t(
            [rows, classes],
            logits.map((x: number) => (x > 0 ? 1 : 0)),
          ),
        ],
      ])
const c = check(loss, tensors)
const times: Record<string, [number, number]> = {}
if (process.argv[5])
  for (const op of Object.keys(OPS)) {
    const f = (OPS as any)[op]
    ;(OPS as any)[op] = (...a: any[]) => {
      const s = performance.now()
      const r = f(...a)
      const k = op + ' ' + a[0].node.axes.join(',')
      times[k] ??= [0, 0]
      times[k][0] += performance.now() - s
      times[k][1]++
      return r
    }
  }
await engine.run(assemble([c.job]))
for (const k in times) delete times[k]
const n = rows * classes > 1e5 ? 3 : 200
const s = performance.now()
for (let i = 0; i < n; i++) await engine.run(assemble([c.job]))
console.log(loss.name, rows, classes, 'ms', (performance.now() - s) / n, 'nodes', c.job.program.nodes.length)
for (const [k, [ms, cnt]] of Object.entries(times)
  .sort((a, b) => b[1][0] - a[1][0])
  .slice(0, 14))
  console.log(k, (ms / n).toFixed(3), cnt / n)
