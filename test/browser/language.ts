/** The pure rooms, bundled for the browser: a page evaluates and differentiates a loss without a server. */
import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { build, type Plugin } from 'esbuild'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadCatalog } from '../../src/losses/load-catalog.ts'
import { sharedChromium } from '../support/chromium.ts'

const source = new URL('../../src/', import.meta.url)
const root = fileURLToPath(source)

/** What a page would import. */
const ENTRY = `
  import losses from 'losses'
  import { createCatalog } from './losses/catalog.ts'
  import { defineLoss, input, noParams } from './losses/define.ts'
  import { createProgramSource } from './losses/program.ts'
  import { interpret } from './language/interpret.ts'

  const programs = createProgramSource()
  const layout = { type: 'real', axes: ['...'] }

  /** Value and gradient of an element-wise loss of predictions and targets. */
  function evaluate(loss, params, predictions, targets) {
    const inputs = { predictions: layout, targets: layout }
    const made = programs(loss, { inputs, params, wants: ['predictions'], hessians: [] })
    const arrays = { predictions: Float64Array.from(predictions), targets: Float64Array.from(targets) }
    const found = interpret(made.program, { sizes: { '...': predictions.length }, inputs: arrays, scalars: made.scalars })
    return { values: [...found.values], gradient: [...found.gradients.predictions] }
  }

  const catalog = createCatalog(losses)
  const evaluateNamed = (name, params, predictions, targets) => evaluate(catalog.find(name), params, predictions, targets)
  const evaluateFormula = (formula, predictions, targets) => {
    const inputs = { predictions: input('...', 'real', { differentiable: true }), targets: input('...', 'real') }
    const spec = { name: 'own', family: 'regression', couples: 'element', about: '', inputs, params: noParams, formula }
    return evaluate(defineLoss({ ...spec, references: [], examples: [] }), {}, predictions, targets)
  }
  globalThis.lossd = { names: catalog.losses.map(({ name }) => name), evaluateNamed, evaluateFormula }
`

/** All losses of the catalog as one module: a page has no folder to read. */
const catalog: Plugin = {
  name: 'losses',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^losses$/ }, () => ({ path: 'losses', namespace: 'losses' }))
    onLoad({ filter: /.*/, namespace: 'losses' }, () => {
      const files = readdirSync(new URL('losses/', source), { recursive: true, encoding: 'utf8' })
      const paths = files.filter((file) => /^\w+\/\w+\.ts$/.test(file)).sort()
      const imports = paths.map((path, i) => `import loss${i} from './losses/${path}'`)
      return {
        contents: `${imports.join('\n')}\nexport default [${paths.map((_, i) => `loss${i}`).join(', ')}]`,
        resolveDir: root,
      }
    })
  },
}

const optionsFor = (entry: string) => ({
  stdin: { contents: entry, resolveDir: root, loader: 'ts' as const },
  plugins: [catalog],
  bundle: true,
  minify: true,
  write: false as const,
  format: 'iife' as const,
  platform: 'browser' as const,
})

const bundle = async (entry: string) => (await build(optionsFor(entry))).outputFiles[0]!.text

/** Modules that the bundle would import at run time. Node's own are marked as external, so that they show up here. */
async function importsLeft(entry: string): Promise<string[]> {
  const { metafile } = await build({ ...optionsFor(entry), metafile: true as const, external: ['node:*'] })
  return Object.values(metafile.outputs).flatMap(({ imports }) => imports.map(({ path }) => path))
}

const kilobytes = (text: string) => `${(gzipSync(text, { level: 9 }).length / 1000).toFixed(1)} kB compressed`

const browser: Browser | undefined = await sharedChromium()
const page = await browser?.newPage()
const evaluated = <T>(expression: string) => page!.evaluate<T>(expression)

describe('the language and the catalog in a page', () => {
  let script: string
  beforeAll(async () => {
    script = await bundle(ENTRY)
    const language = await bundle(ENTRY.replace("import losses from 'losses'", 'const losses = []'))
    console.log(
      `in a page: the language ${kilobytes(language)}, with the catalog and its prose ${kilobytes(script)}`,
    )
    await page?.addScriptTag({ content: script })
  })
  afterAll(() => page?.close())

  it('imports nothing that is not in the bundle', async () => {
    expect(await importsLeft(ENTRY)).toEqual([])
  })

  it.skipIf(browser === undefined)('contains every loss', async () => {
    const { losses } = await loadCatalog()
    expect((await evaluated<string[]>('lossd.names')).sort()).toEqual(losses.map(({ name }) => name).sort())
  })

  it.skipIf(browser === undefined)('evaluates and differentiates a loss of the catalog', async () => {
    const found = await evaluated("lossd.evaluateNamed('huber', { delta: 1 }, [0.5, 3], [0, 0])")
    expect(found).toEqual({ values: [0.125, 2.5], gradient: [0.5, 1] })
  })

  it.skipIf(browser === undefined)('evaluates and differentiates a formula', async () => {
    const formula = JSON.stringify('r = predictions - targets\nlog1p(r^2)')
    const found = await evaluated<{ values: number[]; gradient: number[] }>(
      `lossd.evaluateFormula(${formula}, [1, 3], [0, 0])`,
    )
    expect(found.values[0]).toBeCloseTo(Math.LN2, 15)
    expect(found.gradient[1]).toBeCloseTo(0.6, 15)
  })
})
