/** Runs sources in Python: one process for all of them. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { SourceRequest } from '../../../src/sources/contract.ts'
import type { Precision } from '../../../src/tensor.ts'
import type { Reduction } from '../cases.ts'
import { fromHex, toHex } from '../doubles.ts'
import { pythonWith } from './python-environment.ts'
import type { Job, Outcome, Runner } from './runner.ts'

/**
 * @param driver how a function of this library is called: see drivers/
 * @param env for the process
 */
export function python(
  driver: string,
  packages: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Runner {
  return {
    run: async (jobs, precision) => {
      const interpreter = pythonWith(packages)
      const folder = mkdtempSync(join(tmpdir(), 'lossd-sources-'))
      try {
        return runIn(folder, interpreter, driver, jobs, precision, env)
      } finally {
        rmSync(folder, { recursive: true, force: true })
      }
    },
  }
}

function runIn(
  folder: string,
  interpreter: string,
  driver: string,
  jobs: readonly Job[],
  precision: Precision,
  env: Readonly<Record<string, string>>,
) {
  for (const { id, text } of jobs) writeFileSync(join(folder, `${id}.py`), text)
  writeFileSync(join(folder, 'jobs.json'), JSON.stringify(jobs.map((job) => described(job, precision))))
  const path = new URL(`../drivers/${driver}.py`, import.meta.url).pathname
  const printed = execFileSync(interpreter, [path, folder, precision], {
    encoding: 'utf8',
    maxBuffer: 2 ** 30,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...process.env,
      TF_CPP_MIN_LOG_LEVEL: '3',
      JAX_PLATFORMS: 'cpu',
      ...env,
    },
  })
  // Libraries print, too.
  const answers: Answer[][] = JSON.parse(printed.slice(printed.lastIndexOf('ANSWERS') + 7))
  return answers.map((cases) => cases.map(outcomeOf))
}

/** What a driver found for a case: hexadecimal digits for each reduction, and sentences. */
interface Answer {
  readonly found: Readonly<Record<'none' | Reduction, Found>>
  readonly problems: readonly string[]
}

interface Found {
  readonly loss: string
  readonly gradients: Readonly<Record<string, string>>
}

function outcomeOf({ found: { none, ...others }, problems }: Answer): Outcome {
  const reduced = Object.entries(others).map(([reduction, found]) => {
    return [reduction as Reduction, { loss: fromHex(found.loss)[0]!, gradients: gradientsOf(found) }] as const
  })
  return {
    values: fromHex(none.loss),
    gradients: gradientsOf(none),
    reduced: new Map(reduced),
    problems,
  }
}

function gradientsOf({ gradients }: Found): Record<string, Float64Array> {
  return Object.fromEntries(Object.entries(gradients).map(([name, text]) => [name, fromHex(text)] as const))
}

/** Inputs with their shapes, in the order of the definition, and the parameters that are arguments. */
function described({ unit, id, name }: Job, precision: Precision) {
  const { loss, params } = unit.request
  return {
    id,
    name,
    params: Object.fromEntries(
      Object.entries(params).flatMap(([param, value]) =>
        typeof value === 'number' ? [[param, precision === 'float32' ? Math.fround(value) : value]] : [],
      ),
    ),
    isDetached: isDetached(unit.request),
    cases: unit.cases.map(({ label, tensors, gradients, reduced }) => ({
      label,
      reductions: [...reduced.keys()],
      weights: toHex(reduced.get('weighted')?.weights ?? []),
      inputs: Object.keys(loss.inputs).flatMap((input) => {
        const tensor = tensors.get(input)
        if (tensor === undefined) return []
        const isWhole = tensor.dtype === 'int32'
        return [{ name: input, shape: tensor.shape, isWhole, data: toHex(tensor.data) }]
      }),
      gradients: Object.keys(gradients),
    })),
  }
}

/** Whether the gradient is not the slope of the value, because a factor counts as a constant by definition. */
function isDetached({ loss, params }: SourceRequest): boolean {
  if (/\b(?:stop_gradient|straight_through)\b/.test(loss.formula.source) && loss.family === 'custom')
    return true
  const detached = loss.limits?.detached
  if (detached === undefined || detached === true) return detached === true
  return detached.values.includes(params[detached.param] as string | boolean)
}
