/** The setup of TensorFlow: the download plan, and one line for each thing that can be missing. */
import { readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { describe, expect, it, vi } from 'vitest'
import { errorLineOf, SetupError } from '../../setup/tensorflow/commands.ts'
import { checkDriver, checkLibrary, checkPip, checkSpace, isOlder } from '../../setup/tensorflow/needs.ts'
import { type Plan, planFor } from '../../setup/tensorflow/plan.ts'
import { pipErrorMessage } from '../../setup/tensorflow/wheels.ts'

const planOf = (arch: string, isForGpu: boolean) => planFor({ platform: 'linux', arch }, isForGpu) as Plan

describe('the plan', () => {
  it.each([
    ['x64', false, 'tensorflow-cpu', '@tensorflow/tfjs-node'],
    ['arm64', false, 'tensorflow', '@tensorflow/tfjs-node'],
    ['x64', true, 'tensorflow', '@tensorflow/tfjs-node-gpu'],
  ] as const)('for %s, gpu %s, is %s and %s', (arch, isForGpu, wheel, name) => {
    const plan = planOf(arch, isForGpu)
    expect([plan.wheels[0]!.name, plan.package]).toEqual([wheel, name])
  })

  it('has a version and a SHA-256 for every wheel', () => {
    const wheels = [...planOf('x64', false).wheels, ...planOf('x64', true).wheels]
    for (const { sha256, version } of wheels) {
      expect(sha256).toMatch(/^[0-9a-f]{64}$/)
      expect(version).toMatch(/^\d+(\.\d+)+$/)
    }
    expect(new Set(wheels.map(({ sha256 }) => sha256)).size).toBe(wheels.length)
  })

  it('contains everything that tensorflow[and-cuda] requires', () => {
    const parts = planOf('x64', true).wheels.map(({ name }) => name.replace(/^nvidia-|-cu12$/g, ''))
    const named =
      'cublas cuda-cupti cuda-nvcc cuda-nvrtc cuda-runtime cudnn cufft curand cusolver cusparse nccl nvjitlink'
    expect(parts.slice(1)).toEqual(named.split(' '))
  })

  it.each([
    ['darwin', 'arm64', false, /darwin is not supported/],
    ['linux', 'riscv64', false, /no wheel for riscv64/],
    ['linux', 'arm64', true, /does not contain CUDA/],
  ] as const)('is one line for %s %s, gpu %s', (platform, arch, isForGpu, line) => {
    expect(planFor({ platform, arch }, isForGpu)).toMatch(line)
  })

  it('builds the packages that are locked, at exact versions', () => {
    const locked = JSON.parse(
      readFileSync(new URL('../../setup/tensorflow/npm/package.json', import.meta.url), 'utf8'),
    )
    for (const isForGpu of [false, true])
      expect(locked.dependencies[planOf('x64', isForGpu).package]).toMatch(/^\d+\.\d+\.\d+$/)
  })
})

describe('a missing requirement is one line that says what to do', () => {
  it.each([
    [() => checkPip('python3', ''), /python3 has no pip: .*ensurepip/],
    [() => checkPip('python3', 'pip 18.1 from /usr/lib (python 3.6)'), /pip is 18.1, and 20.3 .*upgrade pip/],
    [() => checkLibrary(undefined), /musl.*glibc 2.27/],
    [() => checkLibrary('2.17'), /glibc is 2.17.*2.27/],
    [() => checkDriver('470.82.01'), /driver is 470.82.01.*525.60/],
  ])('%#', (check, line) => {
    expect(check).toThrow(SetupError)
    expect(check).toThrow(line)
  })

  it('not enough disk space', async () => {
    await expect(checkSpace(tmpdir(), 1e18)).rejects.toThrow(/GB are free.*free some disk space/)
    await expect(checkSpace(tmpdir(), 1)).resolves.toBeUndefined()
  })

  it('what is there is accepted', () => {
    const log = vi.spyOn(console, 'log').mockImplementation(() => {})
    checkPip('python3', 'pip 23.2.1 from /usr/lib (python 3.11)')
    checkLibrary('2.36')
    checkDriver('570.86.15')
    expect(log).not.toHaveBeenCalled()
    checkDriver(undefined)
    expect(log.mock.lastCall?.[0]).toMatch(/no NVIDIA driver .* 525.60/)
    log.mockRestore()
  })

  it("pip's errors: a wrong hash, no network, a full disk", () => {
    const wheel = { name: 'tensorflow-cpu', version: '2.21.0' }
    expect(pipErrorMessage(wheel, 'ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM ...')).toMatch(
      /does not match the known SHA-256/,
    )
    expect(pipErrorMessage(wheel, 'ERROR: No matching distribution found for x')).toMatch(
      /unreachable .*No matching/,
    )
    expect(pipErrorMessage(wheel, 'OSError: [Errno 28] No space left on device')).toMatch(/disk is full/)
  })
})

describe('small parts', () => {
  it('versions are compared as numbers', () => {
    expect(isOlder('2.9', '2.27')).toBe(true)
    expect(isOlder('2.27', '2.27')).toBe(false)
    expect(isOlder('525.60.13', '525.60')).toBe(false)
    expect(isOlder('20', '20.3')).toBe(true)
  })

  it('the last error line of a long output is reported', () => {
    expect(errorLineOf('one\nerror: two\nthree\n')).toBe('error: two')
    expect(errorLineOf('npm error two\nnpm error A complete log of this run is in x')).toBe('npm error two')
    expect(errorLineOf('one\ntwo\n')).toBe('two')
    expect(errorLineOf('')).toBe('no output')
  })
})
