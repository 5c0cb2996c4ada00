/** Parses a page of docs/start: its files, and what its programs print. */
import { readFileSync } from 'node:fs'

export interface StartPage {
  /** Name -> text: each code block whose first line is a comment with a file's name. */
  readonly files: ReadonlyMap<string, string>
  readonly programs: readonly Program[]
}

export interface Program {
  readonly file: string
  /** The `text` block that follows it. */
  readonly prints: string
}

/** @throws Error for code without a file name, which would never run */
export function readPage(path: URL): StartPage {
  const text = readFileSync(path, 'utf8')
  const blocks = [...text.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].map(([, language, body]) => {
    return { language: language!, body: body!, file: fileOf(body!) }
  })
  const nameless = blocks.find(({ language, file }) => !SPOKEN.has(language) && file === undefined)
  if (nameless !== undefined) throw new Error(`code without a file's name: ${nameless.body.slice(0, 80)}`)
  const programs = blocks.flatMap(({ file }, place) => {
    const next = blocks[place + 1]
    return file !== undefined && next?.language === 'text' ? [{ file, prints: next.body }] : []
  })
  const files = new Map(blocks.flatMap(({ file, body }) => (file === undefined ? [] : [[file, body]])))
  return { files, programs }
}

/** Languages that are not run: commands for people, and output. */
const SPOKEN: ReadonlySet<string> = new Set(['sh', 'text', 'json'])

/** `# first.py`, `// main.go`, `<!-- index.html -->`. */
function fileOf(body: string): string | undefined {
  return /^(?:#|\/\/|<!--) ([\w-]+\.\w+)(?: -->)?\n/.exec(body)?.[1]
}
