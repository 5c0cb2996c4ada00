/**
 * The download plan for each machine: packages and wheels by version and SHA-256, and what is extracted from each. Data
 * only. To update TensorFlow, change the version and the hashes here and run `npm run test:tensorflow`.
 */

/** A file of the Python registry. */
export interface Wheel {
  readonly name: string
  readonly version: string
  readonly sha256: string
  /** The platform tags that pip searches for. */
  readonly platforms: readonly string[]
  /** Which files are extracted, and to where: a Python regular expression for whole paths, and its replacement. */
  readonly members: readonly (readonly [string, string])[]
}

export interface Plan {
  /** The npm package whose addon is built. */
  readonly package: string
  readonly version: string
  readonly isForGpu: boolean
  readonly wheels: readonly Wheel[]
  /** Required disk space in bytes: everything that is installed, plus the largest wheel. */
  readonly space: number
}

export const VERSION = '2.21.0'

/** The minimum driver of CUDA 12.0, on which all versions of CUDA 12 run. */
export const LEAST_DRIVER = '525.60'

/** The oldest C library that the wheels support. */
export const LEAST_GLIBC = '2.27'

const X64 = ['manylinux_2_27_x86_64', 'manylinux_2_17_x86_64', 'manylinux2014_x86_64'] as const
const OLDER_X64 = [...X64, 'manylinux_2_12_x86_64', 'manylinux2010_x86_64']

/** The two libraries, and the few headers of the C API that the addon reads. */
const TENSORFLOW_MEMBERS = [
  ['tensorflow/(libtensorflow_(cc|framework)\\.so\\.2)', 'lib/\\1'],
  ['tensorflow/(include/tensorflow/c/.*\\.h)', '\\1'],
  ['tensorflow/(include/(tensorflow/core|tsl)/platform/ctstring(_internal)?\\.h)', '\\1'],
  ['tensorflow/(include/xla/tsl/c/tsl_status\\.h)', '\\1'],
] as const

/** CUDA's libraries, in the folders where TensorFlow looks for them. */
const CUDA = [
  [
    'nvidia-cublas-cu12',
    '12.9.3.13',
    'd7d51055f161b317c7105ddaae90e71eda059026074ffef93cf7cde2886bfe72',
    'lib/libcublas',
  ],
  [
    'nvidia-cuda-cupti-cu12',
    '12.8.90',
    'ea0cb07ebda26bb9b29ba82cda34849e73c166c18162d3913575b0c9db9a6182',
    'lib/libcupti',
  ],
  [
    'nvidia-cuda-nvcc-cu12',
    '12.9.86',
    '5d6a0d32fdc7ea39917c20065614ae93add6f577d840233237ff08e9a38f58f0',
    '(bin/ptxas|nvvm/lib)',
  ],
  [
    'nvidia-cuda-nvrtc-cu12',
    '12.9.86',
    '210cf05005a447e29214e9ce50851e83fc5f4358df8b453155d5e1918094dcb4',
    'lib/libnvrtc(-builtins)?\\.so',
  ],
  [
    'nvidia-cuda-runtime-cu12',
    '12.9.79',
    '25bba2dfb01d48a9b59ca474a1ac43c6ebf7011f1b0b8cc44f54eb6ac48a96c3',
    'lib/libcudart\\.so',
  ],
  [
    'nvidia-cudnn-cu12',
    '9.28.0.42',
    '9ff58b7f36dacd0a93e89f8f2957b52466889217963701daa15e577317cfa375',
    'lib/libcudnn',
  ],
  [
    'nvidia-cufft-cu12',
    '11.4.1.4',
    'c67884f2a7d276b4b80eb56a79322a95df592ae5e765cf1243693365ccab4e28',
    'lib/libcufft\\.so',
  ],
  [
    'nvidia-curand-cu12',
    '10.3.10.19',
    '49b274db4780d421bd2ccd362e1415c13887c53c214f0d4b761752b8f9f6aa1e',
    'lib/libcurand',
  ],
  [
    'nvidia-cusolver-cu12',
    '11.7.5.82',
    '15da72d1340d29b5b3cf3fd100e3cd53421dde36002eda6ed93811af63c40d88',
    'lib/libcusolver\\.so',
  ],
  [
    'nvidia-cusparse-cu12',
    '12.5.10.65',
    '73060ce019ac064a057267c585bf1fd5a353734151f87472ff02b2c5c9984e78',
    'lib/libcusparse',
  ],
  [
    'nvidia-nccl-cu12',
    '2.32.3',
    'bb94b2348e4861d5e8aa00b36c3d12d9bdf9c6369b82cbb723de0b582280a21c',
    'lib/libnccl',
  ],
  [
    'nvidia-nvjitlink-cu12',
    '12.9.86',
    'e3f1171dbdc83c5932a45f0f4c99180a70de9bd2718c1ab77d14104f6d7147f9',
    'lib/libnvJitLink',
  ],
] as const

function tensorflow(name: string, sha256: string, platforms: readonly string[]): Wheel {
  return { name, version: VERSION, sha256, platforms, members: TENSORFLOW_MEMBERS }
}

const GPU_WHEELS: readonly Wheel[] = [
  tensorflow('tensorflow', '9056fbc9ba04235810b71ae6cbd958a196e8804fb53bbcffbf3e23b56155f124', X64),
  ...CUDA.map(([name, version, sha256, members]) => {
    return {
      name,
      version,
      sha256,
      platforms: OLDER_X64,
      members: [[`(nvidia/\\w+/${members}.*)`, '\\1']] as const,
    }
  }),
]

/** The wheels for each CPU architecture, by Node's name for it. */
const CPU_WHEELS: Readonly<Record<string, Wheel>> = {
  x64: tensorflow('tensorflow-cpu', '2b847d217b02ee7731ed91431daf3250daa0196c3c94614d23be27232e6e5b6c', X64),
  arm64: tensorflow('tensorflow', '4b24aca16d527a3cf1c37f720c04c484c3d20f4d0fdfa98632ac8b9f3be6eb5c', [
    'manylinux_2_27_aarch64',
  ]),
}

/**
 * @returns the plan, or in one line why this machine is not supported
 * @example
 * planFor({ platform: 'linux', arch: 'x64' }, false)
 */
export function planFor(
  { platform, arch }: { readonly platform: string; readonly arch: string },
  isForGpu: boolean,
): Plan | string {
  if (platform !== 'linux') return `${platform} is not supported: use Linux, or Docker (see Dockerfile)`
  const cpu = CPU_WHEELS[arch]
  if (cpu === undefined) return `TensorFlow has no wheel for ${arch}, only for x64 and arm64`
  const common = { version: VERSION, isForGpu }
  if (!isForGpu) return { ...common, package: '@tensorflow/tfjs-node', wheels: [cpu], space: 2e9 }
  if (arch !== 'x64')
    return `TensorFlow's wheel for ${arch} does not contain CUDA: run the setup without --gpu`
  return { ...common, package: '@tensorflow/tfjs-node-gpu', wheels: GPU_WHEELS, space: 7e9 }
}
