/** Downloads a wheel with pip, which checks its hash, and extracts what is needed. The wheel itself is deleted. */
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { errorLineOf, run, SetupError } from './commands.ts'
import type { Wheel } from './plan.ts'

/** The Python version of the wheel. The pip of any Python can download it, because nothing in it is run. */
const PYTHON = ['--python-version', '3.11', '--implementation', 'cp', '--abi', 'cp311', '--abi', 'none']

/** Extracts a wheel into a folder by pairs of pattern and target. Executable files stay executable. */
const UNZIP = `
import os, re, shutil, sys, zipfile
wheel, folder = sys.argv[1:3]
pairs = list(zip(sys.argv[3::2], sys.argv[4::2]))
found = 0
with zipfile.ZipFile(wheel) as archive:
    for member in archive.infolist():
        for pattern, target in pairs:
            match = re.match(pattern + '$', member.filename)
            if not match:
                continue
            found += 1
            path = os.path.join(folder, match.expand(target))
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with archive.open(member) as source, open(path, 'wb') as sink:
                shutil.copyfileobj(source, sink, 1 << 20)
            os.chmod(path, 0o755 if member.external_attr >> 16 & 0o111 else 0o644)
if not found:
    sys.exit('error: the wheel contains none of the expected files')
`

/**
 * Downloads a wheel and extracts its files into a folder, unless they are already there.
 *
 * @throws SetupError if the registry is unreachable, has no such wheel, or sends a different one
 */
export async function place(wheel: Wheel, folder: string, python: string): Promise<void> {
  const done = join(folder, '.done', `${wheel.name}-${wheel.sha256}`)
  if (existsSync(done)) return
  console.log(`fetching ${wheel.name} ${wheel.version}`)
  await mkdir(join(folder, '.done'), { recursive: true })
  const download = await mkdtemp(join(folder, 'download-'))
  try {
    const file = await fetch(wheel, download, python)
    const { code, said } = await run(python, ['-c', UNZIP, file, folder, ...wheel.members.flat()])
    if (code !== 0) throw new SetupError(`${wheel.name} cannot be unpacked: ${errorLineOf(said)}`)
  } finally {
    await rm(download, { recursive: true, force: true })
  }
  await writeFile(done, '')
}

async function fetch(wheel: Wheel, folder: string, python: string): Promise<string> {
  const requirements = join(folder, 'requirements.txt')
  await writeFile(requirements, `${wheel.name}==${wheel.version} --hash=sha256:${wheel.sha256}\n`)
  const platforms = wheel.platforms.flatMap((platform) => ['--platform', platform])
  const args = ['--no-deps', '--only-binary=:all:', ...PYTHON, ...platforms, '--require-hashes']
  const where = ['--no-cache-dir', '--dest', folder, '-r', requirements]
  const { code, said } = await run(python, ['-m', 'pip', 'download', ...args, ...where])
  if (code !== 0) throw new SetupError(pipErrorMessage(wheel, said))
  const file = (await readdir(folder)).find((name) => name.endsWith('.whl'))
  if (file === undefined) throw new SetupError(`pip left no wheel of ${wheel.name}: ${errorLineOf(said)}`)
  return join(folder, file)
}

/** An error of pip as one line. */
export function pipErrorMessage({ name, version }: Pick<Wheel, 'name' | 'version'>, said: string): string {
  if (/DO NOT MATCH THE HASHES/i.test(said))
    return `the Python registry sent a ${name} ${version} that does not match the known SHA-256: try again; if this persists, do not trust that registry`
  if (/No space left/i.test(said)) return `the disk is full: free some space, then run this again`
  const reason = errorLineOf(said)
  return `the Python registry is unreachable or has no ${name} ${version}: check the network, proxies and PIP_INDEX_URL (pip: ${reason})`
}
