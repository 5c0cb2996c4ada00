/** The HTML page of a loss, for browsers. Other clients get the same content as JSON. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import { escaped } from '../analysis/page.ts'
import { varies } from './negotiate.ts'

/** The part of the JSON description that the page shows. */
interface Described {
  readonly name: string
  readonly version?: number
  readonly about: string
  readonly formula: string
  readonly latex: string
  readonly denominator?: string
  readonly inputs: readonly {
    readonly name: string
    readonly axes: string
    readonly means: string
    readonly differentiable: boolean
    readonly optional: boolean
    readonly about: string
  }[]
  readonly params: { readonly properties: Readonly<Record<string, { readonly description?: string }>> }
  readonly defaults: Readonly<Record<string, unknown>>
  readonly references: readonly string[]
  readonly examples: readonly unknown[]
}

/** Sends the page to a browser, and the description to any other client. */
export function sendDescription<D extends Described>(
  { headers }: FastifyRequest,
  reply: FastifyReply,
  loss: D,
) {
  varies(reply, 'Accept')
  if (!/\btext\/html\b/.test(headers.accept ?? '')) return loss
  return reply.type('text/html; charset=utf-8').send(pageOf(loss))
}

function pageOf(loss: Described): string {
  const { name, version, about, formula, latex, denominator, references, examples } = loss
  const title = escaped(version === undefined ? name : `${name}@${version}`)
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<link rel="icon" href="data:,">
<style>
  :root { color-scheme: light dark; }
  body { font: 1rem/1.6 system-ui, sans-serif; max-width: 52rem; margin: 3rem auto; padding: 0 1rem; }
  pre { overflow-x: auto; padding: 1rem; border: 1px solid #8886; border-radius: 0.4rem; }
  table { display: block; overflow-x: auto; }
  td, th { padding: 0.2rem 1rem 0.2rem 0; text-align: left; vertical-align: top; }
</style>
<h1>${title}</h1>
<p>${escaped(about)}</p>
<h2>Formula</h2>
<pre>${escaped(formula)}</pre>
${section('LaTeX', `<pre>${escaped(latex)}</pre>`)}
${denominator === undefined ? '' : section('Denominator of the mean', `<pre>${escaped(denominator)}</pre>`)}
${section('Inputs', table(['input', 'axes', 'values', 'gradient', 'meaning'], inputsOf(loss)))}
${section('Parameters', table(['parameter', 'default', 'meaning'], paramsOf(loss)))}
${section('Examples', examples.map((one) => `<pre>${escaped(JSON.stringify(one, null, 1))}</pre>`).join('\n'))}
${section('References', `<ul>${references.map((one) => `<li>${escaped(one)}</li>`).join('')}</ul>`)}
</html>
`
}

function section(title: string, content: string): string {
  return `<h2>${title}</h2>\n${content}`
}

function inputsOf({ inputs }: Described): string[][] {
  return inputs.map(({ name, axes, means, differentiable, optional, about }) => {
    return [`${name}${optional ? ' (optional)' : ''}`, axes, means, differentiable ? 'yes' : 'no', about]
  })
}

function paramsOf({ params, defaults }: Described): string[][] {
  return Object.entries(params.properties).map(([name, schema]) => {
    return [name, JSON.stringify(defaults[name]), schema.description ?? '']
  })
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = (tag: string, row: readonly string[]) =>
    row.map((text) => `<${tag}>${escaped(text)}</${tag}>`)
  const lines = [cells('th', head), ...rows.map((row) => cells('td', row))]
  return `<table>\n${lines.map((line) => `<tr>${line.join('')}</tr>`).join('\n')}\n</table>`
}
