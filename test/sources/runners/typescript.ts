/** TypeScript, in this process: esbuild strips the types; the compiler has its say in typecheck.ts. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { transformSync } from 'esbuild'
import { elementsOf } from '../../../src/language/ir.ts'
import { camelCase } from '../../../src/sources/names.ts'
import type { Case } from '../cases.ts'
import { type LoopCall, type LoopResult, loopCall, outcomeOf, reductionsOf } from './loop-call.ts'
import type { Runner } from './runner.ts'

export const typescript: Runner = {
  run: async (jobs) => {
    const folder = mkdtempSync(join(tmpdir(), 'lossd-sources-'))
    try {
      const outcomes = []
      for (const { id, name, text, unit } of jobs) {
        const file = join(folder, `${id}.mjs`)
        writeFileSync(file, transformSync(text, { loader: 'ts', format: 'esm' }).code)
        const module = (await import(pathToFileURL(file).href)) as Record<
          string,
          (...args: unknown[]) => number
        >
        const call = loopCall(unit)
        const called = (one: Case) =>
          reductionsOf(one).map((reduction) => resultOf(call, one, reduction, module[camelCase(name)]!))
        outcomes.push(unit.cases.map((one) => outcomeOf(call, one, called(one))))
      }
      return outcomes
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  },
}

/** Arguments with defaults come last. */
function resultOf(
  call: LoopCall,
  one: Case,
  reduction: string,
  run: (...args: unknown[]) => number,
): LoopResult {
  const sizes = call.sizesOf(one)
  const outputs = call.outputs.map(({ axes }) => new Float64Array(elementsOf(axes, sizes)))
  const result = run(
    ...call.sizes.map(({ axis }) => sizes[axis]),
    ...call.inputs.map(({ of }) => one.inputs[of]),
    ...outputs,
    ...call.params.map(({ value }) => value),
    reduction,
  )
  return { result, outputs }
}
