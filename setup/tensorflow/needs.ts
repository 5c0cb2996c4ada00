/** Checks the requirements before anything is downloaded. For each missing one, one line says what to do. */
import { existsSync, readFileSync } from 'node:fs'
import { statfs } from 'node:fs/promises'
import { answers, SetupError, saidBy } from './commands.ts'
import { LEAST_DRIVER, LEAST_GLIBC, type Plan } from './plan.ts'

/** The first version of pip that supports the platform tags of the wheels (PEP 600). */
const LEAST_PIP = '20.3'

export interface Tools {
  readonly python: string
  readonly compiler: string
}

/** @throws SetupError with the first missing requirement */
export function findTools(plan: Plan): Tools {
  checkLibrary(glibc())
  if (plan.isForGpu) checkDriver(driver())
  const python = firstOf(
    [process.env.PYTHON, 'python3', 'python'],
    ['-c', 'import sys; sys.exit(sys.version_info < (3, 6))'],
    'Python 3.6 or later is missing: apt-get install python3 python3-pip, or set PYTHON',
  )
  checkPip(python, saidBy(python, ['-m', 'pip', '--version']))
  const compiler = firstOf(
    [process.env.CXX, 'g++', 'clang++', 'c++'],
    ['--version'],
    'a C++ compiler is missing: apt-get install g++, or set CXX',
  )
  return { python, compiler }
}

/**
 * @param said the output of `pip --version`; empty if pip is missing
 * @throws SetupError if it is missing or does not support the wheels' platform tags
 */
export function checkPip(python: string, said: string) {
  const version = said.match(/^pip (\d+(\.\d+)*)/)?.[1]
  if (version === undefined)
    throw new SetupError(
      `${python} has no pip: apt-get install python3-pip, or ${python} -m ensurepip --user`,
    )
  if (isOlder(version, LEAST_PIP))
    throw new SetupError(
      `pip is ${version}, and ${LEAST_PIP} or later is needed: ${python} -m pip install --upgrade pip, or set PYTHON to a newer one`,
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

/** @throws SetupError if the libraries of the wheels cannot be loaded */
export function checkLibrary(version: string | undefined) {
  if (version !== undefined && !isOlder(version, LEAST_GLIBC)) return
  const own = version === undefined ? 'this system has a different C library (musl)' : `glibc is ${version}`
  throw new SetupError(
    `${own}: TensorFlow's wheels need glibc ${LEAST_GLIBC} or later (Debian 10, Ubuntu 18.04)`,
  )
}

/** Version of the NVIDIA driver; undefined if none is loaded. */
export function driver(): string | undefined {
  const file = '/proc/driver/nvidia/version'
  if (!existsSync(file)) return undefined
  return readFileSync(file, 'utf8').match(/\s(\d+\.\d+(\.\d+)?)\s/)?.[1]
}

/**
 * A missing driver is not an error, because container images are built on machines without one.
 *
 * @throws SetupError if it is too old
 */
export function checkDriver(version: string | undefined) {
  if (version === undefined) {
    console.log(
      `no NVIDIA driver is loaded here: the setup continues, but is tested on the CPU; lossd needs driver ${LEAST_DRIVER} or later to use a GPU`,
    )
  } else if (isOlder(version, LEAST_DRIVER)) {
    throw new SetupError(
      `the NVIDIA driver is ${version}: CUDA 12 needs ${LEAST_DRIVER} or later, install a newer one`,
    )
  }
}

/** @throws SetupError if there is not enough disk space */
export async function checkSpace(folder: string, needed: number) {
  const { bavail, bsize } = await statfs(folder)
  if (bavail * bsize >= needed) return
  const gigabytes = (bytes: number) => (bytes / 1e9).toFixed(1)
  throw new SetupError(
    `${gigabytes(bavail * bsize)} GB are free under ${folder}, ${gigabytes(needed)} GB are needed: free some disk space`,
  )
}

/** Compares dotted version numbers. */
export function isOlder(version: string, than: string): boolean {
  const [own, other] = [version, than].map((text) => text.split('.').map(Number))
  const place = other.findIndex((number, i) => (own[i] ?? 0) !== number)
  return place >= 0 && (own[place] ?? 0) < other[place]
}
