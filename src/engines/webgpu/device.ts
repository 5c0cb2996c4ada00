/**
 * The GPU itself: loads Dawn, asks for the best adapter with all that it has, and says in one line what is missing. It
 * computes nothing.
 */
import { existsSync, readdirSync } from 'node:fs'
import { platform } from 'node:os'

/** Dawn's own entry; an optional dependency, and there is no binary for every platform. */
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
  /** Whether a processor pretends to be a GPU. */
  readonly isSoftware: boolean
}

/**
 * Every shader of ours writes shared memory before it reads it, and clearing it first makes SwiftShader compile a hundred
 * times longer; timestamps are kept coarse for web pages only.
 */
const DAWN_OPTIONS = [
  'enable-dawn-features=disable_workgroup_init',
  'disable-dawn-features=timestamp_quantization',
]

/** What cannot be had here, in one line. */
export class NoDevice extends Error {
  override readonly name = 'NoDevice'
}

/**
 * @throws NoDevice when there is none
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
 * One Dawn for the process, and for good: its event loop goes on for some turns after the last device, and crashes or hangs
 * when the object has been collected by then. It keeps no process from ending.
 */
let instance: GPU | undefined

async function startDawn(): Promise<GPU> {
  const { create, globals } = await loadDawn()
  // tfjs, too, looks for the constants of WebGPU among the globals, where a browser has them.
  Object.assign(globalThis, globals)
  return create(DAWN_OPTIONS)
}

/** What the package exports; its own types are not there where the package is not. */
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
    throw new NoDevice(`the package ${PACKAGE} does not load: ${firstLine(message)}`)
  }
}

/** Dawn only says that there is none. */
async function whyNoAdapter(): Promise<string> {
  if (platform() !== 'linux') return 'no adapter: no driver that WebGPU can use'
  return hasVulkanLoader()
    ? 'no adapter: no Vulkan driver that works'
    : 'libvulkan.so.1 is missing (libvulkan1)'
}

/** Where distributions keep libraries; what `LD_LIBRARY_PATH` adds has been searched by the loader that Dawn called. */
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
    throw new NoDevice(`the device was refused: ${firstLine((error as Error).message)}`)
  }
}

/** The limits that decide what a launch may be. */
export function limitsOf({ limits }: GPUDevice): Record<string, number> {
  return Object.fromEntries(NEEDED_LIMITS.map((name) => [name, limits[name]]))
}

/** Names of drivers that compute on the processor. */
const SOFTWARE = /swiftshader|llvmpipe|lavapipe|software|microsoft basic render/i

function infoOf({ vendor, architecture, description, device }: GPUAdapterInfo): AdapterInfo {
  const told = [vendor, architecture, description, device].join(' ')
  return { vendor, architecture, description, isSoftware: SOFTWARE.test(told) }
}

/**
 * Why there can be no GPU here, found without opening anything; undefined where there may be one.
 */
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
