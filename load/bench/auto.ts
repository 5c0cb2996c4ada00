/** How often `auto` of the Python client chooses the faster place. */
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { withService } from '../processes.ts'
import { python } from './clients.ts'
import type { Part } from './part.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))

interface Line {
  readonly size: number
  readonly local: number
  readonly remote: number
  readonly chosen: string
}

const part: Part = async ({ say }) => {
  if (!existsSync(python)) return []
  say('auto: a sweep of sizes')
  const lines = await withService({}, async ({ url }) => {
    const env = { ...process.env, LOSSD_URL: url, PYTHONPATH: join(root, 'clients/python/src') }
    const cwd = join(root, 'clients/python')
    const text = execFileSync(python, ['bench_auto.py'], { cwd, env, encoding: 'utf8' })
    return text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Line)
  })
  const right = lines.filter(({ local, remote, chosen }) => {
    const [own, other] = chosen === 'local' ? [local, remote] : [remote, local]
    // Within a tenth, either is right: the next measurement may say the opposite.
    return own <= other * 1.1
  })
  return [
    {
      title: 'What auto chooses',
      about: `The Python client chose the faster place for ${right.length} of ${lines.length} sizes of cross_entropy (100 classes), after it had tried both; a difference of less than a tenth counts as none. Microseconds of the best of 20 calls in each place.`,
      head: ['rows', 'local', 'remote', 'auto'],
      rows: lines.map(({ size, local, remote, chosen }) => [size, local, remote, chosen]),
    },
  ]
}
export default part
