/** What has to be on the machine before anything is fetched: each thing that can be missing is one line, with its cure. */
import { existsSync, readFileSync } from 'node:fs'
import { statfs } from 'node:fs/promises'
import { answers, SetupError, saidBy } from './commands.ts'
import { LEAST_DRIVER, LEAST_GLIBC, type Plan } from './plan.ts'

/** The first that knows wheels by the C library that they need (PEP 600). */
const LEAST_PIP = '20.3'

export interface Tools {
  readonly python: string
  readonly compiler: string
}

/** @throws SetupError naming the first thing that is missing */
export function findTools(plan: Plan): Tools {
  checkLibrary(glibc())
  if (plan.isForGpu) checkDriver(driver())
  const python = firstOf(
    [process.env.PYTHON, 'python3', 'python'],
    ['-c', 'import sys; sys.exit(sys.version_info < (3, 6))'],
    'Python 3.6 or later is missing: apt-get install python3 python3-pip, or name one in PYTHON',
  )
  checkPip(python, saidBy(python, ['-m', 'pip', '--version']))
  const compiler = firstOf(
    [process.env.CXX, 'g++', 'clang++', 'c++'],
    ['--version'],
    'a C++ compiler is missing: apt-get install g++, or name one in CXX',
  )
  return { python, compiler }
}

/**
 * @param said by `pip --version`; empty where it is not there
 * @throws SetupError when it is missing or does not know today's names of platforms
 */
export function checkPip(python: string, said: string) {
  const version = said.match(/^pip (\d+(\.\d+)*)/)?.[1]
  if (version === undefined)
    throw new SetupError(
      `${python} has no pip: apt-get install python3-pip, or ${python} -m ensurepip --user`,
    )
  if (isOlder(version, LEAST_PIP))
    throw new SetupError(
      `pip is ${version}, and ${LEAST_PIP} or later is needed: ${python} -m pip install --upgrade pip, or name a newer Python in PYTHON`,
    )
}

function firstOf(
  names: readonly (string | undefined)[],
  question: readonly string[],
  missing: string,
): string {
  const found = names.find((name) => name !== undefined && answers(name, question))
  if (found === undefined) throw new SetupError(missing)
  return found
}

/** Undefined on musl. */
function glibc(): string | undefined {
  const { header } = process.report.getReport() as { header: { glibcVersionRuntime?: string } }
  return header.glibcVersionRuntime
}

/** @throws SetupError where the wheels' libraries cannot be loaded */
export function checkLibrary(version: string | undefined) {
  if (version !== undefined && !isOlder(version, LEAST_GLIBC)) return
  const own = version === undefined ? 'this system has another C library (musl)' : `glibc is ${version}`
  throw new SetupError(
    `${own}: TensorFlow's wheels need glibc ${LEAST_GLIBC} or later (Debian 10, Ubuntu 18.04)`,
  )
}

/** Version of the NVIDIA driver; undefined where none is loaded. */
export function driver(): string | undefined {
  const file = '/proc/driver/nvidia/version'
  if (!existsSync(file)) return undefined
  return readFileSync(file, 'utf8').match(/\s(\d+\.\d+(\.\d+)?)\s/)?.[1]
}

/**
 * No driver is no obstacle: images are built on machines without one.
 *
 * @throws SetupError where it is too old
 */
export function checkDriver(version: string | undefined) {
  if (version === undefined) {
    console.log(
      `no NVIDIA driver is loaded here: it is set up, but proved on the processor; where it runs, driver ${LEAST_DRIVER} or later is needed`,
    )
  } else if (isOlder(version, LEAST_DRIVER)) {
    throw new SetupError(
      `the NVIDIA driver is ${version}: CUDA 12 needs ${LEAST_DRIVER} or later, install a newer one`,
    )
  }
}

/** @throws SetupError where there is less room than is still needed */
export async function checkSpace(folder: string, needed: number) {
  const { bavail, bsize } = await statfs(folder)
  if (bavail * bsize >= needed) return
  const gigabytes = (bytes: number) => (bytes / 1e9).toFixed(1)
  throw new SetupError(
    `${gigabytes(bavail * bsize)} GB are free under ${folder}, ${gigabytes(needed)} GB are needed: make room`,
  )
}

/** Compares numbers with dots. */
export function isOlder(version: string, than: string): boolean {
  const [own, other] = [version, than].map((text) => text.split('.').map(Number))
  const place = other.findIndex((number, i) => (own[i] ?? 0) !== number)
  return place >= 0 && (own[place] ?? 0) < other[place]
}
