/**
 * `npm run docs`: generates the tables of README.md, docs/language.md, docs/choosing.md, docs/presets.md and others from the code
 * that they describe. A test fails when they are out of date.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import { settingsTable } from '../src/config.ts'
import { parametersText } from '../src/language/arguments.ts'
import { FUNCTIONS } from '../src/language/functions.ts'
import { KINDS, type Params } from '../src/losses/define.ts'
import { guideFor, TASKS } from '../src/losses/guide.ts'
import { loadCatalog } from '../src/losses/load-catalog.ts'
import { cookbookContents, cookbookText } from './cookbook.ts'
import { faultsText } from './faults.ts'
import { formatsText } from './formats.ts'
import { problemsText } from './problems.ts'

/** File -> marker -> the text that belongs between `<!-- marker -->` and `<!-- /marker -->`. */
export async function generatedSections(): Promise<
  Readonly<Record<string, Readonly<Record<string, string>>>>
> {
  return {
    'README.md': { config: settingsTable(), losses: await lossesTable() },
    'docs/language.md': { functions: functionsTable(), kinds: kindsTable() },
    'docs/choosing.md': { guide: await guideTables() },
    'docs/cookbook.md': { contents: cookbookContents(), recipes: await cookbookText() },
    'docs/presets.md': { presets: await presetsTable() },
    'docs/formats.md': await formatsText(),
    'docs/problems.md': { problems: await problemsText() },
    'docs/reliability.md': { faults: faultsText() },
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
    const names = losses
      .filter((loss) => loss.family === family)
      .map(({ name }) => `[\`${name}\`](docs/losses/${name}.md)`)
    return `| ${family} | ${names.join(' ')} |`
  })
  return ['| family | losses |', '|---|---|', ...rows].join('\n')
}

/** One row per loss and framework. */
async function presetsTable(): Promise<string> {
  const { losses } = await loadCatalog()
  const rows = losses.flatMap(({ name, presets }) =>
    Object.entries(presets).map(([framework, { names, params = {}, reduction = 'mean', note = '' }]) => {
      const spellings = Object.entries(names).map(([spelling, implied]) => {
        return `\`${spelling}\` ${presetText(implied)}`.trimEnd()
      })
      return `| \`${name}\` | ${framework} | ${spellings.join('<br>') || '-'} | ${presetText({ ...params, reduction })} | ${note} |`
    }),
  )
  const head = ['| loss | framework | names | defaults | note |', '|---|---|---|---|---|']
  return [...head, ...rows].join('\n')
}

/** Parameters with their values: `delta 1, label_smoothing 0.1`. */
export function presetText(params: Params): string {
  return Object.entries(params)
    .map(([name, value]) => `${name} ${JSON.stringify(value)}`)
    .join(', ')
}

/** One table per task. */
function kindsTable(): string {
  const rows = Object.entries(KINDS).map(([kind, means]) => `| \`${kind}\` | ${means} |`)
  return ['| kind | values |', '|---|---|', ...rows].join('\n')
}

async function guideTables(): Promise<string> {
  const guide = guideFor((await loadCatalog()).losses)
  const tables = Object.entries(TASKS).map(([task, about]) => {
    const rows = guide
      .filter((advice) => advice.task === task)
      .map(({ trouble, wish, losses, because, unless }) => {
        const names = losses.map((name) => `\`${name}\``).join(' ')
        return `| ${[trouble, wish].filter(Boolean).join(', ') || '-'} | ${names} | ${because} | ${unless} |`
      })
    const head = ['| trouble or wish | losses | why | avoid if |', '|---|---|---|---|']
    return [`### ${task}: ${about}`, '', ...head, ...rows].join('\n')
  })
  return tables.join('\n\n')
}

function functionsTable(): string {
  const rows = [...FUNCTIONS].map(
    ([name, { parameters, about }]) => `| \`${name}\` | ${parametersText(parameters)} | ${about} |`,
  )
  return ['| function | arguments | meaning |', '|---|---|---|', ...rows].join('\n')
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  for (const [file, parts] of Object.entries(await generatedSections())) {
    const url = new URL(`../${file}`, import.meta.url)
    const markers = Object.entries(parts)
    const text = markers.reduce(
      (whole, [marker, part]) => rewrite(whole, marker, part),
      readFileSync(url, 'utf8'),
    )
    writeFileSync(url, text)
  }
}
