/** Installs the npm package with the addon's sources, and compiles the addon against the libraries from the wheels. */
import { existsSync } from 'node:fs'
import { copyFile, mkdir, readFile, rename, rm, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { errorLineOf, run, SetupError } from './commands.ts'

const LOCKED = fileURLToPath(new URL('npm/', import.meta.url))
const LOCK = 'package-lock.json'

/**
 * The package that must not be installed twice: without it, the addon finds lossd's own, one folder further up, and both
 * have one registry of backends.
 */
const SHARED = ['@tensorflow/tfjs-core', '@tensorflow/tfjs-backend-cpu']

/** The Node-API version in the path where the package looks for its addon. Node 20 has 9, and all later versions support it. */
const NODE_API = 8

/** @throws SetupError if npm cannot install the locked packages */
export async function installPackages(folder: string): Promise<void> {
  if (await isInstalled(folder)) return
  console.log('installing the packages of the addon')
  await rm(join(folder, LOCK), { force: true })
  await copyFile(join(LOCKED, 'package.json'), join(folder, 'package.json'))
  await copyFile(join(LOCKED, LOCK), join(folder, 'npm-shrinkwrap.json'))
  // Without install scripts: the package's own would download a TensorFlow from 2022.
  const { code, said } = await run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], {
    cwd: folder,
  })
  if (code !== 0)
    throw new SetupError(
      `the npm registry is unreachable or lacks a package: check the network and npm config get registry (npm: ${errorLineOf(said)})`,
    )
  for (const name of SHARED) await rm(join(folder, 'node_modules', name), { recursive: true, force: true })
  // Renamed last, so that a folder of this name is always complete.
  await rename(join(folder, 'npm-shrinkwrap.json'), join(folder, LOCK))
}

async function isInstalled(folder: string): Promise<boolean> {
  if (!existsSync(join(folder, LOCK)) || !existsSync(join(folder, 'node_modules'))) return false
  const [own, locked] = [join(folder, LOCK), join(LOCKED, LOCK)].map((file) => readFile(file, 'utf8'))
  return (await own) === (await locked)
}

/**
 * Compiles two files, which need neither node-gyp nor make nor Node's own headers: those of the Node-API, which is the
 * same in every version of Node, are in a package.
 *
 * @throws SetupError if the compiler fails
 */
export async function build(folder: string, name: string, compiler: string): Promise<void> {
  const home = join(folder, 'node_modules', name)
  const target = join(home, 'lib', `napi-v${NODE_API}`, 'tfjs_binding.node')
  await link(join(home, 'deps', 'lib'))
  if (existsSync(target)) return
  console.log('building the addon')
  await mkdir(join(home, 'lib', `napi-v${NODE_API}`), { recursive: true })
  const include = [join(folder, 'node_modules', 'node-api-headers', 'include'), join(home, 'deps', 'include')]
  const { code, said } = await run(
    compiler,
    [
      ...['-std=c++17', '-O2', '-fPIC', '-shared', `-DNAPI_VERSION=${NODE_API}`],
      ...include.map((path) => `-I${path}`),
      ...['binding/tfjs_backend.cc', 'binding/tfjs_binding.cc'],
      ...['-Ldeps/lib', '-ltensorflow', '-ltensorflow_framework', '-Wl,-rpath,$ORIGIN/../../deps/lib'],
      ...['-o', `${target}.part`],
    ],
    { cwd: home },
  )
  if (code !== 0)
    throw new SetupError(
      `the addon cannot be built with ${compiler}, which must support C++17: ${errorLineOf(said)}`,
    )
  await rename(`${target}.part`, target)
}

/** The names under which the linker looks for the libraries. */
async function link(libraries: string) {
  for (const [name, of] of [
    ['libtensorflow.so', 'libtensorflow_cc.so.2'],
    ['libtensorflow_framework.so', 'libtensorflow_framework.so.2'],
  ]) {
    await rm(join(libraries, name), { force: true })
    await symlink(of, join(libraries, name))
  }
}
