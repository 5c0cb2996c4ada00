/**
 * The GPU device: loads Dawn, requests the best adapter with all of its features, and says in one line what is
 * missing. It computes nothing.
 */
import { existsSync, readdirSync } from 'node:fs'
import { platform } from 'node:os'

/** Dawn's package. It is an optional dependency without binaries for some platforms. */
const PACKAGE = 'webgpu'

export interface OpenDevice {
  readonly gpu: GPU
  readonly device: GPUDevice
  readonly info: AdapterInfo
}

export interface AdapterInfo {
  readonly vendor: string
  readonly architecture: string
  readonly description: string
  /** Whether it is a software renderer on the CPU. */
  readonly isSoftware: boolean
}

/**
 * All of our shaders write shared memory before they read it. Clearing it first makes SwiftShader compile a hundred
 * times longer. Timestamps are coarse only for the sake of web pages.
 */
const DAWN_OPTIONS = [
  'enable-dawn-features=disable_workgroup_init',
  'disable-dawn-features=timestamp_quantization',
]

/** What is not available here, in one line. */
export class NoDevice extends Error {
  override readonly name = 'NoDevice'
}

/**
 * @throws NoDevice if there is none
 * @example
 * const { device, info } = await openDevice()
 * info.architecture // 'hopper'
 */
export async function openDevice(): Promise<OpenDevice> {
  instance ??= await startDawn()
  const gpu = instance
  const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' }).catch(() => null)
  if (adapter === null) throw new NoDevice(await whyNoAdapter())
  const device = await requestDevice(adapter)
  return { gpu, device, info: infoOf(adapter.info) }
}

/**
 * One Dawn instance for the lifetime of the process: its event loop continues for some iterations after the last
 * device, and crashes or hangs if the object has been garbage collected by then. It does not keep the process
 * alive.
 */
let instance: GPU | undefined

async function startDawn(): Promise<GPU> {
  const { create, globals } = await loadDawn()
  // tfjs, too, expects the constants of WebGPU among the globals, as in a browser.
  Object.assign(globalThis, globals)
  return create(DAWN_OPTIONS)
}

/** The exports of the package. Its own types are missing if it is not installed. */
interface Dawn {
  create(options: readonly string[]): GPU
  readonly globals: object
}

async function loadDawn(): Promise<Dawn> {
  try {
    return await import(PACKAGE)
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code === 'ERR_MODULE_NOT_FOUND') throw new NoDevice(`the package ${PACKAGE} is not installed`)
    if (code === 'MODULE_NOT_FOUND')
      throw new NoDevice(`the package ${PACKAGE} has no binary for this platform`)
    throw new NoDevice(`the package ${PACKAGE} cannot be loaded: ${firstLine(message)}`)
  }
}

/** Dawn reports only that there is none. */
async function whyNoAdapter(): Promise<string> {
  if (platform() !== 'linux') return 'no adapter: no driver that WebGPU can use'
  return hasVulkanLoader() ? 'no adapter: no working Vulkan driver' : 'libvulkan.so.1 is missing (libvulkan1)'
}

/** Where distributions install libraries. The loader that Dawn called has already searched `LD_LIBRARY_PATH`. */
const LIBRARY_FOLDERS = ['/usr/lib', '/usr/lib64', '/usr/local/lib', '/lib', '/lib64']

function hasVulkanLoader(): boolean {
  const isThere = (folder: string) => existsSync(`${folder}/libvulkan.so.1`)
  const below = (folder: string) => {
    const entries = existsSync(folder) ? readdirSync(folder) : []
    return entries.filter((name) => name.endsWith('-linux-gnu')).map((name) => `${folder}/${name}`)
  }
  return LIBRARY_FOLDERS.some((folder) => isThere(folder) || below(folder).some(isThere))
}

const NEEDED_LIMITS = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupSizeX',
  'maxComputeWorkgroupsPerDimension',
] as const

const WANTED_FEATURES = ['timestamp-query'] as const

async function requestDevice(adapter: GPUAdapter): Promise<GPUDevice> {
  const requiredLimits = Object.fromEntries(NEEDED_LIMITS.map((name) => [name, adapter.limits[name]]))
  const requiredFeatures = WANTED_FEATURES.filter((name) => adapter.features.has(name))
  try {
    return await adapter.requestDevice({ requiredLimits, requiredFeatures })
  } catch (error) {
    throw new NoDevice(`the device could not be created: ${firstLine((error as Error).message)}`)
  }
}

/** The limits that restrict launches. */
export function limitsOf({ limits }: GPUDevice): Record<string, number> {
  return Object.fromEntries(NEEDED_LIMITS.map((name) => [name, limits[name]]))
}

/** Names of drivers that compute on the CPU. */
const SOFTWARE = /swiftshader|llvmpipe|lavapipe|software|microsoft basic render/i

function infoOf({ vendor, architecture, description, device }: GPUAdapterInfo): AdapterInfo {
  const told = [vendor, architecture, description, device].join(' ')
  return { vendor, architecture, description, isSoftware: SOFTWARE.test(told) }
}

/** Why there cannot be a GPU here, found without opening anything; undefined if there may be one. */
export function missingDevice(): string | undefined {
  if (platform() !== 'linux') return undefined
  const folder = '/dev/dri'
  const nodes = existsSync(folder) ? readdirSync(folder) : []
  const isThere =
    nodes.some((name) => name.startsWith('renderD')) || ['/dev/nvidiactl', '/dev/dxg'].some(existsSync)
  return isThere ? undefined : 'no GPU device'
}

function firstLine(text: string): string {
  return text.split('\n')[0]
}
