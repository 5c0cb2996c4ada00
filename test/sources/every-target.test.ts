/** What we promise of every target, and of those that run in this process also of their numbers. A new target is tested by being there. */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build, transformSync } from 'esbuild'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'
import { customLoss } from '../../src/losses/custom.ts'
import type { Loss } from '../../src/losses/define.ts'
import { loadCatalog } from '../../src/losses/load-catalog.ts'
import { CannotWrite, InvalidName, type Target } from '../../src/sources/contract.ts'
import { DIALECTS } from '../../src/sources/dialects.ts'
import { TARGETS } from '../../src/sources/targets.ts'
import { writeSource } from '../../src/sources/write.ts'
import { depth, sampled } from '../support/depth.ts'
import { defaultsOf } from '../support/sample.ts'
import { unitsOf } from './cases.ts'
import { checkTarget } from './every-source.ts'
import {
  callLosses,
  checkFunctions,
  columnLosses,
  functionBounds,
  recipeLosses,
  specialLosses,
} from './functions.ts'
import { indentOf, misindented } from './indents.ts'
import { columnsOf } from './rows.ts'
import { RUNNERS } from './runners/all.ts'

const { losses, find } = await loadCatalog()
const filesOf = (folder: string) => readdirSync(new URL(`../../src/sources/${folder}/`, import.meta.url))

const attempts = new Map<Target, Map<Loss, string | CannotWrite>>()

/** The text, or the refusal. Several promises are about the same ones. */
function attempt(target: Target, loss: Loss): string | CannotWrite {
  const found = attempts.get(target) ?? new Map()
  attempts.set(target, found)
  if (!found.has(loss)) found.set(loss, sourceOrRefusal(target, loss))
  return found.get(loss)
}

function sourceOrRefusal(target: Target, loss: Loss): string | CannotWrite {
  try {
    const columns = target.family === 'sql' ? columnsOf(unitsOf(loss)[0]!) : {}
    return writeSource(target, { loss, params: defaultsOf(loss), options: { columns } }).text
  } catch (error) {
    if (error instanceof CannotWrite) return error
    throw error
  }
}

/** Targets whose files end like those of others. */
const SHARES_EXTENSION = /^(numpy|torch|jax|tensorflow|keras|tfjs|xgboost|lightgbm)$/

const MORE_INPUTS = [
  'contrastive',
  'cosine_embedding',
  'dpo',
  'gaussian_nll',
  'info_nce',
  'margin_ranking',
  'triplet_margin',
]

/** One label for each row cannot be a distribution, a list or a box. */
const LABEL_MATRIX = [
  'ciou',
  'cosine_similarity',
  'diou',
  'distillation_kl',
  'fenchel_young',
  'generalized_kl_div',
  'giou',
  'iou',
  'js_div',
  'multilabel_margin',
  'multilabel_soft_margin',
]

/** Losses of elements and rows that read more than scores and one label for each row. */
const NO_TREES: Readonly<Record<string, readonly string[]>> = {
  xgboost: MORE_INPUTS,
  lightgbm: [...MORE_INPUTS, ...LABEL_MATRIX].sort(),
}

/** Each function of the language, and each recipe of the cookbook. */
const formulas = [...callLosses(), ...recipeLosses()]

/** Those of the catalog that are written in this run. */
const written = sampled(losses, 2)

const isWritten = (name: string) => written.some((loss) => loss.name === name)

/** What is written in this run. */
const lossesOf = ({ family }: Target): readonly Loss[] => {
  return family === 'array' || family === 'loop' ? [...written, ...sampled(formulas, 8)] : written
}

describe('the registry', () => {
  it('has every target and every dialect that there is a file for', () => {
    expect(TARGETS.map(({ name }) => `${name}.ts`).sort()).toEqual(filesOf('targets').sort())
    const shared = ['checked.ts', 'quoting.ts']
    const dialects = filesOf('dialects').filter((file) => !shared.includes(file))
    expect(DIALECTS.map(({ name }) => `${name}.ts`).sort()).toEqual(dialects.sort())
  })

  it('runs in a browser', async () => {
    const entry = new URL('../../src/sources/targets.ts', import.meta.url).pathname
    const bundle = await build({
      entryPoints: [entry],
      bundle: true,
      write: false,
      format: 'esm',
      platform: 'browser',
    })
    // esbuild refuses modules of Node for this platform.
    expect(bundle.errors).toEqual([])
    expect(bundle.outputFiles[0]!.text).not.toMatch(/(from|require\() ?["']node:/)
  })
})

describe.each(TARGETS.map((target) => [target.name, target] as const))('%s', (_, target) => {
  it('says all losses of elements, and all of rows but those whose rows share what they learn', () => {
    const refused = written
      .filter(({ couples }) => couples === 'element' || couples === 'row')
      .flatMap((loss) => {
        return attempt(target, loss) instanceof CannotWrite ? [loss.name] : []
      })
    const shared = ['adaptive_log_softmax', 'linear_cross_entropy', 'margin_softmax']
    const expected =
      target.family === 'sql' ? shared : target.family === 'boosting' ? NO_TREES[target.name] : []
    expect(refused.sort()).toEqual(expected.filter(isWritten))
  })

  it('names the op and its place where it refuses', () => {
    for (const loss of written) {
      const found = attempt(target, loss)
      if (typeof found === 'string') continue
      expect(found.op, loss.name).toBeTruthy()
      expect(found.why, loss.name).toBeTruthy()
      if (found.op !== 'input') expect(found.at, loss.name).toBeDefined()
    }
  })

  it('writes the same text each time, and that of the golden file', async () => {
    const huber = find('huber')!
    const text = attempt(target, huber)
    expect(sourceOrRefusal(target, huber)).toBe(text)
    await expect(text).toMatchFileSnapshot(
      `golden/huber${SHARES_EXTENSION.test(target.name) ? `.${target.name}` : ''}${target.extension}.txt`,
    )
  })

  it('indents every source with one unit, that of its language', () => {
    const indent = indentOf(target.extension)
    const texts = lossesOf(target)
      .map((loss) => attempt(target, loss))
      .filter((text) => typeof text === 'string')
    const wrong = texts.flatMap((text) => misindented(text, indent) ?? [])
    expect(texts.length).toBeGreaterThan(depth(20, 40))
    expect(wrong).toEqual([])
  })

  it('renames what its language has taken', () => {
    const inputs = { lambda: { differentiable: true }, double: {}, fn: {}, func: {}, class: {}, loss: {} }
    const params = {
      int: { type: 'number', default: 2 },
      def: { type: 'number', default: 3 },
      scale: { type: 'number', default: 1 },
    } as const
    const formula =
      'import = lambda - double + fn\nreturn = abs(import) * int + def * func\nreturn * scale + class * loss'
    const loss = customLoss({ inputs, params, formula })
    const ofTrees = customLoss({
      inputs: { preds: { differentiable: true }, class: {} },
      params,
      formula: 'grad = preds - class\nhess = abs(grad) * int + def * grad\nhess * scale',
    })
    const text = attempt(target, target.family === 'boosting' ? ofTrees : loss)
    expect(text).toEqual(expect.any(String))
  })
})

describe('c', () => {
  const c = TARGETS.find(({ name }) => name === 'c')!
  const write = (name: string) => attempt(c, find(name)!) as string

  it('tests once, before the loops, for the exponent that needs no power', () => {
    const [, special, general] = /if \(gamma_ == 2\.0\) \{(.*)\} else \{(.*)/s.exec(write('sigmoid_focal'))!
    expect(special).not.toMatch(/\bpow\(/)
    expect(general).toMatch(/\bpow\(/)
    expect(special).toContain('gradient_targets[i] =')
  })

  it('tells both compilers to round each product before it is added', () => {
    expect(write('huber')).toMatch(/^#pragma STDC FP_CONTRACT OFF$/m)
    expect(write('huber')).toMatch(/^#pragma GCC optimize \(.*"fp-contract=off"\)$/m)
  })

  it.each('ceil roundf truncl hypot fma isnormal linux M_PI strlen int8_t printf'.split(' '))(
    'defines no function that is named %s, as its headers or compilers do',
    (name) => {
      expect(writeSource(c, { loss: find('huber')!, params: { delta: 1 }, options: { name } }).name).toBe(
        `${name}_`,
      )
    },
  )

  it('has no variable that a macro replaces', () => {
    const inputs = { linux: { differentiable: true }, unix: {}, INT32_MAX: {} } as const
    const formula = 'M_PI = linux - unix\nisless = abs(M_PI)\nM_PI * isless + isless * INT32_MAX'
    const { text } = writeSource(c, { loss: customLoss({ inputs, formula }), params: {} })
    const words = ['linux', 'unix', 'INT32_MAX', 'M_PI', 'isless']
    const code = text.slice(text.indexOf('#include'))
    for (const word of words) {
      expect(code).toContain(`${word}_`)
      expect(code).not.toMatch(new RegExp(`\\b${word}\\b`))
    }
  })

  it('brings only the functions along that it calls', () => {
    for (const loss of written) {
      const text = attempt(c, loss)
      if (typeof text !== 'string') continue
      for (const [, name] of text.matchAll(/^static (?:inline )?\w+ (\w+)\(/gm)) {
        expect(text.match(new RegExp(`\\b${name}\\(`, 'g'))!.length, `${loss.name} ${name}`).toBeGreaterThan(
          1,
        )
      }
    }
    expect(write('huber')).not.toContain('exp_of')
  })
})

describe.each(['numpy', 'torch', 'jax', 'tensorflow', 'keras'])('%s', (name) => {
  it('makes whole numbers floats before it computes with them', () => {
    const target = TARGETS.find((one) => one.name === name)!
    const inputs = { x: { differentiable: true }, y: {} }
    const loss = customLoss({ inputs, formula: '(x - y)^2 / 2' }, 'halves')
    const { text } = writeSource(target, { loss, params: {} })
    const [, , body] = text.slice(text.indexOf('def halves(')).split('"'.repeat(3))
    expect(body).toMatch(/^\n {4}x, y = _reals\(x, y\)\n/)
    expect(text).toContain('def _reals(')
  })
})

describe.each(['numpy', 'torch', 'jax', 'tensorflow', 'keras', 'rust'])('%s', (name) => {
  it('has the sign of a constant within the base of its power', () => {
    const target = TARGETS.find((one) => one.name === name)!
    const loss = customLoss({ inputs: { x: { differentiable: true } }, formula: '(-2)^round(x) * x' })
    expect(writeSource(target, { loss, params: {} }).text).toMatch(/\(-2\.0(?:\) \*\* |_f64\)\.powf)/)
  })
})

describe.each([
  ['rust', 'DELTA', /^pub const (\w+): f64 = 0\.25_f64;$/m],
  ['c', 'LINES_DELTA', /^#define (\w+) 0\.25$/m],
])('%s', (name, line, constant) => {
  it('names no default like a line, which it would be taken for', () => {
    const target = TARGETS.find((one) => one.name === name)!
    const params = { delta: { type: 'number', default: 0.25 } } as const
    const formula = `${line} = x - delta\n${line}^2 + abs(${line})`
    const loss = customLoss({ inputs: { x: { differentiable: true } }, params, formula }, 'lines')
    const { text } = writeSource(target, { loss, params: { delta: 0.25 } })
    const [, own] = constant.exec(text)!
    expect(own).toBe(`${line}_`)
    expect(text).toMatch(new RegExp(`\\b${line}\\b`))
  })
})

describe('a query for DuckDB', () => {
  it('ends in the value that was clipped, with no choice but one', () => {
    const sql = TARGETS.find(({ name }) => name === 'sql')!
    const huber = find('huber')!
    const { text } = writeSource(sql, { loss: huber, params: defaultsOf(huber), gradients: ['predictions'] })
    expect(text.match(/CASE/g)).toHaveLength(1)
    expect(text).toContain('lossd_q * sign(lossd_e)::DOUBLE AS "gradient_predictions"')
  })
})

describe.each(['java', 'rust'])('%s', (name) => {
  it('has no constant that is named _, which only this language forbids', () => {
    const target = TARGETS.find((one) => one.name === name)!
    const params = { _: { type: 'number', default: 0.25 } } as const
    const loss = customLoss({ inputs: { x: { differentiable: true } }, params, formula: '_ * x^2' })
    const { text } = writeSource(target, { loss, params: { _: 0.25 } })
    expect(text).toMatch(/(?:const|double) __\w*(?:: f64)? = 0\.25/)
  })
})

const TFJS = new URL('../../node_modules/@tensorflow/tfjs-core/dist/index.d.ts', import.meta.url)

describe.each(['typescript', 'tfjs'])('%s', (name) => {
  it('compiles under the strictest options', () => {
    const folder = mkdtempSync(join(tmpdir(), 'lossd-sources-'))
    const target = TARGETS.find((one) => one.name === name)!
    const files = sampled(losses, 3).flatMap((loss) => {
      const text = attempt(target, loss)
      if (typeof text !== 'string') return []
      const file = join(folder, `${loss.name}.ts`)
      writeFileSync(file, text)
      return [file]
    })
    const options = {
      strict: true,
      noUncheckedIndexedAccess: true,
      noUnusedLocals: true,
      noEmit: true,
      target: ts.ScriptTarget.ES2022,
      types: [],
      skipLibCheck: true,
      moduleResolution: ts.ModuleResolutionKind.Bundler,
      module: ts.ModuleKind.ESNext,
      paths: { '@tensorflow/tfjs': [fileURLToPath(TFJS)] },
    }
    const problems = ts.getPreEmitDiagnostics(ts.createProgram(files, options))
    rmSync(folder, { recursive: true })
    expect(
      problems.map(
        ({ messageText, file, start }) => `${file?.fileName}:${start} ${JSON.stringify(messageText)}`,
      ),
    ).toEqual([])
    expect(files.length).toBeGreaterThan(depth(25, 75))
  })
})

describe('a mean', () => {
  it('is 0 if there are no values, as that of the service', async () => {
    const typescript = TARGETS.find(({ name }) => name === 'typescript')!
    const text = attempt(typescript, find('huber')!) as string
    const { code } = transformSync(text, { loader: 'ts', format: 'esm' })
    const { huber } = await import(`data:text/javascript,${encodeURIComponent(code)}`)
    const empty = () => new Float64Array(0)
    expect(huber(0, empty(), empty(), empty(), empty(), empty())).toBe(0)
    expect(huber(1, [3], [1], ...[1, 1, 1].map((size) => new Float64Array(size)))).toBe(1.5)
  })
})

describe.each([
  ['typescript', undefined],
  ['tfjs', undefined],
  ['sql', 'duckdb'],
] as const)('%s %s', (name, dialect) => {
  it("computes the service's float64 answers", async () => {
    const target = TARGETS.find((one) => one.name === name)!
    const { runner, bounds } = RUNNERS[dialect === undefined ? name : `${name} ${dialect}`]!
    const [precision] = target.precisions
    const scope = depth('defaults', 'all')
    const report = await checkTarget(target, sampled(losses, 6), runner, precision!, bounds, dialect, scope)
    const { failures, sources, cases } = report
    expect(failures).toEqual([])
    expect(sources).toBeGreaterThan(depth(10, 150))
    expect(cases).toBe(4 * sources)
  }, 600_000)
})

describe.each(['typescript', 'tfjs'])('%s', (name) => {
  it('says every function of the language, and every recipe of the cookbook', async () => {
    const target = TARGETS.find((one) => one.name === name)!
    const { runner, bounds } = RUNNERS[name]!
    const [precision] = target.precisions
    const own = functionBounds(name, bounds)
    const { failures, refused } = await checkFunctions(target, sampled(formulas, 8), runner, precision!, own)
    expect(failures).toEqual([])
    expect([...refused]).toEqual([])
  }, 600_000)

  it.each(Object.entries(specialLosses()))(
    '%s',
    async (_, of) => {
      const target = TARGETS.find((one) => one.name === name)!
      const { runner, bounds } = RUNNERS[name]!
      const [precision] = target.precisions
      const own = functionBounds(name, bounds)
      const { failures, refused } = await checkFunctions(target, of, runner, precision!, own)
      expect(failures).toEqual([])
      expect([...refused]).toEqual([])
    },
    600_000,
  )
})

describe('every target for arrays and loops', () => {
  it.each(TARGETS.filter(({ family }) => family === 'array' || family === 'loop'))(
    '$name says every loss, every function and every recipe',
    (target) => {
      for (const loss of [...lossesOf(target), ...Object.values(specialLosses()).flat()])
        expect(attempt(target, loss), loss.name).toEqual(expect.any(String))
    },
  )
})

describe('a query', () => {
  const sql = TARGETS.find(({ name }) => name === 'sql')!
  const huber = find('huber')!
  const write = (options: object) =>
    writeSource(sql, { loss: huber, params: defaultsOf(huber), options }).text

  it.each([
    '',
    ' ',
    'a;b',
    'a--b',
    'a/*b',
    'a\\b',
    'a\u0000',
    'a\nb',
    'a\u2028b',
    'a\u202eb',
    'x'.repeat(5000),
  ])('refuses the name %j', (name) => {
    expect(() => write({ table: name })).toThrow(InvalidName)
    expect(() => write({ columns: { predictions: [name] } })).toThrow(InvalidName)
  })

  it('is refused at the function that no dialect says', () => {
    const loss = customLoss({ inputs: { x: { differentiable: true } }, formula: 'y = x + 1\ny * lgamma(y)' })
    const refusal = attempt(sql, loss) as CannotWrite
    expect(refusal).toBeInstanceOf(CannotWrite)
    expect(refusal.op).toBe('lgamma')
    expect(refusal.at).toMatchObject({ line: 2, column: 5 })
  })

  it('sorts, shifts, adds up and solves along columns', async () => {
    const { runner, bounds } = RUNNERS['sql duckdb']!
    const of = columnLosses()
    const report = await checkTarget(sql, of, runner, 'float64', bounds, 'duckdb', 'defaults')
    expect(report.failures).toEqual([])
    expect([report.sources, [...report.refused]]).toEqual([of.length, []])
  })

  it('keeps NULL, also where a CASE would swallow it', async () => {
    const { DuckDBInstance } = await import('@duckdb/node-api')
    const connection = await (await DuckDBInstance.create()).connect()
    for (const loss of losses.filter(({ couples }) => couples === 'element')) {
      const names = Object.keys(loss.inputs).filter((name) => !loss.inputs[name]!.optional)
      const { text } = writeSource(sql, { loss, params: defaultsOf(loss) })
      for (const missing of names) {
        const columns = names.map((name) => `${name === missing ? 'NULL' : '0.5'}::DOUBLE AS "${name}"`)
        await connection.run(`CREATE OR REPLACE TABLE t AS SELECT ${columns.join(', ')}`)
        const [row] = (await connection.runAndReadAll(text)).getRowObjects()
        for (const [name, value] of Object.entries(row!)) {
          if (name === 'loss' || name.startsWith('gradient_'))
            expect(value, `${loss.name} ${name}`).toBeNull()
        }
      }
    }
  })
})
