/**
 * A Vulkan driver for the CPU, for tests of the WebGPU engine: SwiftShader from the npm package
 * `@sparticuz/chromium`. The dynamic loader reads these variables when a process starts, so vitest.config.ts passes
 * them to the processes in which tests run.
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { arch, platform } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { brotliDecompressSync } from 'node:zlib'

const MODULES = fileURLToPath(new URL('../../node_modules/', import.meta.url))
const ARCHIVE = join(MODULES, '@sparticuz/chromium/bin/swiftshader.tar.br')
const FOLDER = join(MODULES, '.cache/lossd/swiftshader')

/** The files in the archive that Vulkan needs. */
const FILES: ReadonlySet<string> = new Set([
  'libvk_swiftshader.so',
  'libvulkan.so.1',
  'vk_swiftshader_icd.json',
])

/**
 * The environment variables with which a process finds SwiftShader. Empty if it is not available, or if a driver is
 * already selected.
 *
 * @example
 * swiftshaderEnvironment().VK_DRIVER_FILES // '.../node_modules/.cache/lossd/swiftshader/vk_swiftshader_icd.json'
 */
export function swiftshaderEnvironment(): Record<string, string> {
  if (process.env.VK_DRIVER_FILES !== undefined) return {}
  const missing = whyNot()
  if (missing !== undefined) {
    console.log(`no SwiftShader here, so WebGPU is tested only where there is a GPU: ${missing}`)
    return {}
  }
  if (!existsSync(FOLDER)) unpack()
  const others = process.env.LD_LIBRARY_PATH
  return {
    VK_DRIVER_FILES: join(FOLDER, 'vk_swiftshader_icd.json'),
    LD_LIBRARY_PATH: others === undefined || others === '' ? FOLDER : `${FOLDER}:${others}`,
  }
}

/** Whether WebGPU runs on this driver in the current process. */
export const isEmulated = (): boolean => process.env.VK_DRIVER_FILES?.startsWith(FOLDER) ?? false

function whyNot(): string | undefined {
  if (platform() !== 'linux' || arch() !== 'x64')
    return `it is built for x64 Linux, this is ${arch()} ${platform()}`
  return existsSync(ARCHIVE) ? undefined : '@sparticuz/chromium is not installed'
}

/** Unpacked into a temporary folder first, so that no other run finds half of it. */
function unpack() {
  mkdirSync(dirname(FOLDER), { recursive: true })
  const fresh = mkdtempSync(`${FOLDER}-`)
  for (const [name, content] of entriesOf(brotliDecompressSync(readFileSync(ARCHIVE)))) {
    if (FILES.has(name)) writeFileSync(join(fresh, name), content)
  }
  try {
    renameSync(fresh, FOLDER)
  } catch (error) {
    rmSync(fresh, { recursive: true })
    if (!existsSync(FOLDER)) throw error
  }
}

/** Size of a header in bytes; contents are padded to a multiple of it. */
const RECORD = 512

/** Files of a tar archive: name at 0, size in octal digits at 124 (POSIX.1-1988, ustar). */
function* entriesOf(archive: Buffer): Generator<readonly [string, Buffer]> {
  for (let at = 0; at + RECORD <= archive.length && archive[at] !== 0; ) {
    const text = (start: number, length: number) =>
      archive.toString('latin1', at + start, at + start + length).replace(/\0.*$/s, '')
    const size = Number.parseInt(text(124, 12), 8)
    const start = at + RECORD
    yield [text(0, 100).replace(/^\.\//, ''), archive.subarray(start, start + size)]
    at = start + Math.ceil(size / RECORD) * RECORD
  }
}
