/**
 * `npm run docs`: writes the tables of README.md, docs/language.md and docs/presets.md from the code that they describe. Tests fail while
 * they differ.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import { settingsTable } from '../src/config.ts'
import { FUNCTIONS } from '../src/language/functions.ts'
import { type Params, PRESETS, type Preset } from '../src/losses/define.ts'
import { loadCatalog } from '../src/losses/index.ts'

/** File -> marker -> the text between `<!-- marker -->` and `<!-- /marker -->`. */
export async function generated(): Promise<Readonly<Record<string, Readonly<Record<string, string>>>>> {
  return {
    'README.md': { config: settingsTable(), losses: await lossesTable() },
    'docs/language.md': { functions: functionsTable() },
    'docs/presets.md': { presets: await presetsTable() },
  }
}

/** The text between two markers of a file. */
export function between(text: string, marker: string): string | undefined {
  return blockOf(marker).exec(text)?.[1]
}

function blockOf(marker: string): RegExp {
  return new RegExp(`<!-- ${marker} -->\\n([\\s\\S]*?)\\n<!-- /${marker} -->`)
}

function rewrite(text: string, marker: string, part: string): string {
  if (between(text, marker) === undefined) throw new Error(`there is no <!-- ${marker} -->`)
  return text.replace(blockOf(marker), () => `<!-- ${marker} -->\n${part}\n<!-- /${marker} -->`)
}

async function lossesTable(): Promise<string> {
  const { losses } = await loadCatalog()
  const families = [...new Set(losses.map(({ family }) => family))]
  const rows = families.map((family) => {
    const names = losses.filter((loss) => loss.family === family).map(({ name }) => `\`${name}\``)
    return `| ${family} | ${names.join(' ')} |`
  })
  return ['| family | losses |', '|---|---|', ...rows].join('\n')
}

/** A row for each loss and framework that has it. */
async function presetsTable(): Promise<string> {
  const { losses } = await loadCatalog()
  const rows = losses.flatMap(({ name, presets }) =>
    PRESETS.flatMap((framework) => {
      const preset = presets[framework]
      return preset === undefined ? [] : [presetRow(name, framework, preset)]
    }),
  )
  return ['| loss | framework | spelled | takes | note |', '|---|---|---|---|---|', ...rows].join('\n')
}

function presetRow(
  loss: string,
  framework: string,
  { names, params, reduction = 'mean', note }: Preset,
): string {
  const spellings = Object.entries(names).map(([name, implied]) => {
    const brings = assignments(implied)
    return brings === '' ? `\`${name}\`` : `\`${name}\` (${brings})`
  })
  const takes = [assignments(params), reduction].filter(Boolean).join(', ')
  return `| \`${loss}\` | ${framework} | ${spellings.join('<br>')} | ${takes} | ${(note ?? '').replaceAll('|', '\\|')} |`
}

/** `epsilon 1e-7, form negative` */
function assignments(params: Params = {}): string {
  return Object.entries(params)
    .map(([name, value]) => `${name} ${value}`)
    .join(', ')
}

function functionsTable(): string {
  const rows = [...FUNCTIONS].map(
    ([name, { parameters, about }]) => `| \`${name}\` | ${parameters.join(', ')} | ${about} |`,
  )
  return ['| function | arguments | meaning |', '|---|---|---|', ...rows].join('\n')
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  for (const [file, parts] of Object.entries(await generated())) {
    const url = new URL(`../${file}`, import.meta.url)
    const markers = Object.entries(parts)
    const text = markers.reduce(
      (whole, [marker, part]) => rewrite(whole, marker, part),
      readFileSync(url, 'utf8'),
    )
    writeFileSync(url, text)
  }
}
