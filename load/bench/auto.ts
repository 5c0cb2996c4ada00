/** How often `auto` of each client chooses the faster place. */
import { withService } from '../processes.ts'
import type { Cell, Table } from '../table.ts'
import { linesOf, PROGRAMS } from './clients.ts'
import type { Part } from './part.ts'

interface Line {
  readonly client: string
  readonly size: number
  readonly local: number
  readonly remote: number
  readonly chosen: string
}

const part: Part = async ({ say }) => {
  const lines = await withService({}, async (service) =>
    PROGRAMS.flatMap((program) => {
      say(`auto: a sweep of sizes in ${program.name}`)
      return linesOf<Line>(program, 'auto', service)
    }),
  )
  return lines.length === 0 ? [] : [tableOf(lines)]
}
export default part

function tableOf(lines: readonly Line[]): Table {
  const clients = [...new Set(lines.map(({ client }) => client))]
  const counts = clients.map((client) => {
    const own = lines.filter((line) => line.client === client)
    return `${client} ${own.filter(isRight).length} of ${own.length}`
  })
  const sizes = [...new Set(lines.map(({ size }) => size))]
  return {
    title: 'What auto chooses',
    about: `Sizes of cross_entropy (100 classes) for which auto chose the faster place, after it had tried both: ${counts.join(', ')}. A difference of less than a tenth counts as none. Microseconds of the best of 20 calls in each place, local and remote; the chosen place is marked.`,
    head: ['rows', ...clients],
    rows: sizes.map((size) => [
      size,
      ...clients.map((client) => cellOf(lines.find((line) => line.client === client && line.size === size))),
    ]),
  }
}

/** Within a tenth, either is right: the next measurement may say the opposite. */
function isRight({ local, remote, chosen }: Line): boolean {
  const [own, other] = chosen === 'local' ? [local, remote] : [remote, local]
  return own <= other * 1.1
}

function cellOf(line: Line | undefined): Cell {
  if (line === undefined) return undefined
  const place = (name: 'local' | 'remote') => {
    const text = line[name].toPrecision(3)
    const number = Number(text) >= 1000 ? String(Math.round(line[name])) : text
    return line.chosen === name ? `**${number}**` : number
  }
  return `${place('local')} / ${place('remote')}`
}
