/** TensorFlow.js on its CPU backend, in this process: esbuild strips the types; the compiler has its say in every-target.test.ts. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import * as tf from '@tensorflow/tfjs-core'
import '@tensorflow/tfjs-backend-cpu'
import { build, transformSync } from 'esbuild'
import { camelCase } from '../../../src/sources/names.ts'
import { sourceProgram } from '../../../src/sources/program.ts'
import type { DecodedTensor } from '../../../src/wire/define.ts'
import type { Case, Unit } from '../cases.ts'
import type { Outcome, Runner } from './runner.ts'

type Loss = (...args: unknown[]) => tf.Tensor

export const tfjs: Runner = {
  run: async (jobs) => {
    await tf.setBackend('cpu')
    await registerGradients()
    // Beside node_modules, where the source finds the library.
    const folder = mkdtempSync(fileURLToPath(new URL('../../../node_modules/.lossd-', import.meta.url)))
    try {
      const outcomes = []
      for (const { id, name, text, unit } of jobs) {
        const file = join(folder, `${id}.mjs`)
        const source = text.replace('@tensorflow/tfjs', '@tensorflow/tfjs-core')
        writeFileSync(file, transformSync(source, { loader: 'ts', format: 'esm' }).code)
        const module = (await import(pathToFileURL(file).href)) as Record<string, Loss>
        const loss = module[camelCase(name)]!
        outcomes.push(unit.cases.map((one) => tidily(() => outcomeOf(unit, one, loss))))
      }
      return outcomes
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  },
}

/** What @tensorflow/tfjs does: its core alone cannot differentiate the ops that reduce. It shares its registries with this core. */
async function registerGradients() {
  const folder = mkdtempSync(join(tmpdir(), 'lossd-sources-'))
  const file = join(folder, 'gradients.mjs')
  const core = fileURLToPath(new URL('../../../node_modules/@tensorflow/tfjs-core/', import.meta.url))
  const entryPoints = [join(core, 'dist', 'register_all_gradients.js')]
  await build({
    entryPoints,
    bundle: true,
    format: 'esm',
    platform: 'node',
    outfile: file,
    logLevel: 'error',
  })
  await import(pathToFileURL(file).href)
  rmSync(folder, { recursive: true, force: true })
}

/** Without the tensors that were made on the way. */
function tidily<T>(run: () => T): T {
  tf.engine().startScope()
  try {
    return run()
  } finally {
    tf.engine().endScope()
  }
}

function outcomeOf(unit: Unit, one: Case, loss: Loss): Outcome {
  const plain = resultOf(unit, one, loss, 'none')
  const reduced = [...one.reduced].map(([reduction, { weights }]) => {
    // A training loop weights the unreduced losses itself.
    const own = reduction === 'weighted' ? 'none' : reduction
    const { values, gradients } = resultOf(unit, one, loss, own, weights)
    const width = values.length / (weights?.length ?? 1)
    const total = values.reduce((sum, x, place) => sum + x * (weights?.[Math.floor(place / width)] ?? 1), 0)
    return [reduction, { loss: total, gradients }] as const
  })
  return { ...plain, reduced: new Map(reduced) }
}

function resultOf(unit: Unit, one: Case, loss: Loss, reduction: string, weights?: Float64Array) {
  const { inputs, params } = sourceProgram(unit.request)
  const options = Object.fromEntries(params.map(({ name }) => [name, unit.request.params[name]]))
  const given = new Map(inputs.map(({ name }) => [name, tensorOf(one.tensors.get(name)!)]))
  const wanted = Object.keys(one.gradients).filter((name) => given.has(name))
  const called = (...moved: tf.Tensor[]) => {
    const all = new Map([...given, ...wanted.map((name, place) => [name, moved[place]!] as const)])
    return loss(...all.values(), { ...options, reduction })
  }
  const own = wanted.map((name) => given.get(name)!)
  const values = called(...own)
  const found = wanted.length === 0 ? [] : tf.grads(called)(own, upstream(values, weights))
  const zeros = Object.entries(one.gradients).map(
    ([name, { length }]) => [name, new Float64Array(length)] as const,
  )
  const gradients = found.map((gradient, place) => [wanted[place]!, numbersOf(gradient)] as const)
  return { values: numbersOf(values), gradients: Object.fromEntries([...zeros, ...gradients]) }
}

/** The gradient of what comes after the loss. */
function upstream({ shape }: tf.Tensor, weights?: Float64Array): tf.Tensor {
  if (weights === undefined) return tf.ones(shape)
  const rows = tf.tensor(
    Array.from(weights),
    shape.map((size, place) => (place === 0 ? size : 1)),
  )
  return tf.broadcastTo(rows, shape)
}

function tensorOf({ data, shape, dtype }: DecodedTensor): tf.Tensor {
  return tf.tensor(Array.from(data), [...shape], dtype === 'int32' ? 'int32' : 'float32')
}

const numbersOf = (x: tf.Tensor) => Float64Array.from(x.dataSync())
