/** How a source is indented. */

const INDENT: Readonly<Record<string, string>> = { '.py': '    ', '.rs': '    ', '.go': '\t' }

/** What one step is in the files that end like this: the convention of their language. */
export const indentOf = (extension: string): string => INDENT[extension] ?? '  '

/** The first line of code that is indented by anything but whole steps, or by two steps more than the line before. */
export function misindented(text: string, indent: string): string | undefined {
  let depth = 0
  return codeLines(text).find((line) => {
    const [spaces] = /^\s*/.exec(line)!
    const own = spaces.length / indent.length
    const isWhole = spaces === indent.repeat(Math.floor(own))
    const isFar = own > depth + 1
    depth = own
    return !isWhole || isFar
  })
}

/** Without empty lines, comments and docstrings, whose texts have indents of their own. */
function codeLines(text: string): string[] {
  return text
    .replaceAll(/\/\*[\s\S]*?\*\/|"""[\s\S]*?"""/g, '')
    .split('\n')
    .filter((line) => line.trim() !== '' && !/^\s*(?:\/\/|--|#)/.test(line))
}
