/** TensorFlow.js on its CPU backend, in this process: esbuild strips the types; the compiler has its say in every-target.test.ts. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import * as tf from '@tensorflow/tfjs-core'
import '@tensorflow/tfjs-backend-cpu'
import { transformSync } from 'esbuild'
import { camelCase } from '../../../src/sources/names.ts'
import { sourceProgram } from '../../../src/sources/program.ts'
import type { DecodedTensor } from '../../../src/wire/define.ts'
import type { Case, Unit } from '../cases.ts'
import type { Outcome, Runner } from './runner.ts'

type Loss = (...args: unknown[]) => tf.Tensor

export const tfjs: Runner = {
  run: async (jobs) => {
    await tf.setBackend('cpu')
    // Beside node_modules, where the source finds the library.
    const folder = mkdtempSync(fileURLToPath(new URL('../../../node_modules/.lossd-', import.meta.url)))
    try {
      const outcomes = []
      for (const { id, name, text, unit } of jobs) {
        const file = join(folder, `${id}.mjs`)
        writeFileSync(file, transformSync(text, { loader: 'ts', format: 'esm' }).code)
        const module = (await import(pathToFileURL(file).href)) as Record<string, Loss>
        const loss = module[camelCase(name)]!
        outcomes.push(unit.cases.map((one) => tf.engine().tidy(() => outcomeOf(unit, one, loss))))
      }
      return outcomes
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  },
}

function outcomeOf(unit: Unit, one: Case, loss: Loss): Outcome {
  const { inputs, params } = sourceProgram(unit.request)
  const options = Object.fromEntries(params.map(({ name }) => [name, unit.request.params[name]]))
  const given = new Map(inputs.map(({ name }) => [name, tensorOf(one.tensors.get(name)!)]))
  const wanted = Object.keys(one.gradients).filter((name) => given.has(name))
  const values = (...moved: tf.Tensor[]) => {
    const all = new Map([...given, ...wanted.map((name, place) => [name, moved[place]!] as const)])
    return loss(...all.values(), { ...options, reduction: 'none' })
  }
  const found = wanted.length === 0 ? [] : tf.grads(values)(wanted.map((name) => given.get(name)!))
  const zeros = Object.entries(one.gradients).map(([name, { length }]) => [name, new Float64Array(length)] as const)
  const gradients = found.map((gradient, place) => [wanted[place]!, numbersOf(gradient)] as const)
  return {
    values: numbersOf(values(...wanted.map((name) => given.get(name)!))),
    gradients: Object.fromEntries([...zeros, ...gradients]),
  }
}

function tensorOf({ data, shape, dtype }: DecodedTensor): tf.Tensor {
  return tf.tensor(Array.from(data), [...shape], dtype === 'int32' ? 'int32' : 'float32')
}

const numbersOf = (x: tf.Tensor) => Float64Array.from(x.dataSync())
