/** TypeScript, in this process: esbuild strips the types; the compiler has its say in typecheck.ts. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { transformSync } from 'esbuild'
import { elementsOf } from '../../../src/language/ir.ts'
import { camelCase } from '../../../src/sources/names.ts'
import type { Case } from '../cases.ts'
import { type LoopCall, loopCall } from './loop-call.ts'
import type { Outcome, Runner } from './runner.ts'

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
        outcomes.push(unit.cases.map((one) => outcomeOf(call, one, module[camelCase(name)]!)))
      }
      return outcomes
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  },
}

/** Arguments with defaults come last. */
function outcomeOf(call: LoopCall, one: Case, run: (...args: unknown[]) => number): Outcome {
  const sizes = call.sizesOf(one)
  const outputs = call.outputs.map(({ axes }) => new Float64Array(elementsOf(axes, sizes)))
  run(
    ...call.sizes.map(({ axis }) => sizes[axis]),
    ...call.inputs.map(({ of }) => one.inputs[of]),
    ...outputs,
    ...call.params.map(({ value }) => value),
    'none',
  )
  const gradients = call.outputs.flatMap(({ role, of }, place) =>
    role === 'gradient' ? [[of, outputs[place]!] as const] : [],
  )
  const values = outputs[call.outputs.findIndex(({ role }) => role === 'values')]!
  return { values, gradients: Object.fromEntries(gradients) }
}
