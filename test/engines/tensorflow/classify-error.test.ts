/** Messages of TensorFlow and nvidia-smi, and the lowering of every program of the catalog; all without TensorFlow. */
import { describe, expect, it } from 'vitest'
import { DeviceLost, OutOfMemory, UnsupportedByEngine } from '../../../src/engines/contract.ts'
import { classifyError } from '../../../src/engines/tensorflow/classify-error.ts'
import { readGpu } from '../../../src/engines/tensorflow/gpu.ts'
import { lower } from '../../../src/engines/tensorflow/lower.ts'
import { isHostOp } from '../../../src/language/host-ops.ts'
import { sizesWithRenamedAxes } from '../../../src/language/ir.ts'
import { loadCatalog } from '../../../src/losses/load-catalog.ts'
import { check } from '../../support/evaluate.ts'
import { sampleTensors } from '../../support/sample.ts'

describe('a TensorFlow error', () => {
  it.each([
    ['Session fail to run with error: OOM when allocating tensor with shape[1024,1024]', OutOfMemory],
    [
      'Session fail to run with error: RESOURCE_EXHAUSTED: Out of memory while trying to allocate',
      OutOfMemory,
    ],
    ['Session fail to run with error: CUDA_ERROR_OUT_OF_MEMORY: out of memory', OutOfMemory],
    ['Session fail to run with error: CUDA_ERROR_ILLEGAL_ADDRESS: an illegal memory access', DeviceLost],
    ['Session fail to run with error: UNIMPLEMENTED: no XLA kernel', UnsupportedByEngine],
  ])('%s', (message, meaning) => {
    expect(classifyError(new Error(message))).toBeInstanceOf(meaning)
  })

  it('of any other kind is a bug and is left unchanged', () => {
    const error = new Error('Session fail to run with error: INVALID_ARGUMENT: You must feed a value')
    expect(classifyError(error)).toBe(error)
    const other = new TypeError('out of memory of what it was')
    expect(classifyError(other)).toBe(other)
  })
})

describe('nvidia-smi', () => {
  it('is parsed into name, driver and memory, or ignored', () => {
    const gpu = { name: 'NVIDIA H100 80GB HBM3', driver: '570.86.15', memoryBytes: 81559 * 2 ** 20 }
    expect(readGpu('NVIDIA H100 80GB HBM3, 570.86.15, 81559\n')).toEqual(gpu)
    expect(readGpu('No devices were found')).toBeUndefined()
  })
})

describe('a graph', async () => {
  const { losses } = await loadCatalog()
  const said = losses.map(
    (loss) => [loss.name, check(loss, sampleTensors(loss, { seed: 1, rows: 4 })).job] as const,
  )

  it.each(said.filter(([, { program }]) => !program.nodes.some(({ op }) => isHostOp(op))))(
    'of %s names each result once and reads only existing values',
    (_name, { program, sizes }) => {
      const { graph, results, outputs } = lower({
        program,
        sizes: sizesWithRenamedAxes(program, sizes),
        isUniform: true,
      })
      const known = new Set([
        ...graph.arguments.map(({ from }) => from),
        ...graph.nodes.map(({ name }) => name),
      ])
      const read = [
        ...graph.nodes.flatMap(({ inputs }) => inputs),
        ...Object.values(results).map(({ from }) => from),
      ]
      expect(read.filter((from) => !known.has(from.split(':')[0]!))).toEqual([])
      expect(known.size).toBe(graph.arguments.length + graph.nodes.length)
      const gradients = outputs.filter(({ role }) => role === 'gradient').map(({ name }) => name)
      expect(gradients).toEqual(Object.keys(program.gradients))
    },
  )

  it('is not built for programs with whole-axis ops', () => {
    const ctc = said.find(([name]) => name === 'ctc')![1]
    expect(() => lower({ ...ctc, isUniform: true })).toThrow(UnsupportedByEngine)
  })
})
