/** The table of faults for docs/reliability.md, from docs/faults.json. test/reliability.test.ts checks that the tests exist. */
import { readFileSync } from 'node:fs'

/** What can go wrong, and what holds it, or why it does not apply. */
export interface Fault {
  readonly id: string
  readonly fault: string
  readonly held?: readonly { readonly file: string; readonly says: string }[]
  readonly why?: string
}

const GROUPS: Readonly<Record<string, string>> = {
  P: 'HTTP',
  J: 'JSON bodies',
  B: 'binary bodies',
  S: 'shapes',
  N: 'numbers',
  C: 'parameters and formulas',
  O: 'overload and slow clients',
  T: 'shutdown, processes, devices, stores',
}

export const FAULTS = JSON.parse(
  readFileSync(new URL('faults.json', import.meta.url), 'utf8'),
) as readonly Fault[]

export function faultsText(): string {
  return Object.entries(GROUPS)
    .map(([group, title]) => {
      const rows = FAULTS.filter(({ id }) => id.startsWith(group)).map(rowOf)
      return [
        `### ${title[0]!.toUpperCase()}${title.slice(1)}`,
        '',
        '| | fault | held by |',
        '|---|---|---|',
        ...rows,
      ].join('\n')
    })
    .join('\n\n')
}

function rowOf({ id, fault, held = [], why }: Fault): string {
  const files = [...new Set(held.map(({ file }) => file))]
  const where = files.map((file) => `[${file.split('/').at(-1)}](../${file})`).join(', ')
  return `| ${id} | ${fault.replaceAll('__', '\\_\\_')} | ${why === undefined ? where : `not tested: ${why}`} |`
}
