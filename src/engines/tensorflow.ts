/**
 * TensorFlow through tfjs-node, after `npm run setup:tensorflow`: each formula with its gradient is one XLA
 * executable, which on a GPU consists of one or a few fused CUDA kernels.
 */
import { existsSync } from 'node:fs'
import { arch } from 'node:os'
import type { Engine } from './contract.ts'
import { defineEngine, type Unavailable } from './define.ts'
import { cudaFolder, readSetup } from './tensorflow/setup.ts'

export default defineEngine({
  name: 'tensorflow',
  rank: 30,
  mergesExactly: false,
  flushesSubnormals: true,
  home: 'process',
  environment,
  missing,
  open,
})

/** Device files of the NVIDIA driver; WSL has a different one. */
const DEVICES = ['/dev/nvidiactl', '/dev/nvidia0', '/dev/dxg']

function missing(): string | undefined {
  const setup = readSetup()
  if (typeof setup === 'string') return setup
  if (!setup.isForGpu) return 'set up without a GPU (npm run setup:tensorflow -- --gpu)'
  return DEVICES.some((file) => existsSync(file)) ? undefined : 'no NVIDIA device (/dev/nvidiactl)'
}

function environment(): Readonly<Record<string, string>> {
  const cuda = cudaFolder(readSetup())
  return {
    // Warnings and errors only: TensorFlow logs a greeting on every start.
    TF_CPP_MIN_LOG_LEVEL: '1',
    // A batch is one call after another: a second thread for such calls only makes them wait for it, which takes
    // 1.3 times as long.
    TF_NUM_INTEROP_THREADS: '1',
    // Allocates GPU memory as needed. Otherwise TensorFlow reserves the whole card.
    TF_FORCE_GPU_ALLOW_GROWTH: 'true',
    // Computes products of float32 matrices in float32.
    NVIDIA_TF32_OVERRIDE: '0',
    ...(cuda === undefined ? onProcessor() : { XLA_FLAGS: `--xla_gpu_cuda_data_dir=${cuda}` }),
  }
}

/**
 * Without fused multiply-adds, which come with AVX2. XLA computes a value wherever it is read, and fuses it with what is there, so a
 * maximum would not be equal to any of the numbers that it was found among, and its gradient would go nowhere.
 */
function onProcessor(): Readonly<Record<string, string>> {
  return arch() === 'x64' ? { XLA_FLAGS: '--xla_cpu_max_isa=AVX' } : {}
}

async function open(reason: string): Promise<Engine | Unavailable> {
  const setup = readSetup()
  if (typeof setup === 'string') return { unavailable: setup }
  try {
    // tfjs is loaded only where it computes.
    const { openTensorflow } = await import('./tensorflow/open.ts')
    return await openTensorflow(setup, reason)
  } catch (error) {
    return { unavailable: error instanceof Error ? error.message : String(error) }
  }
}
