/**
 * XGBoost and LightGBM grow the same trees with an objective that was written as with their own one, and tell the same metric. Some of
 * their own second derivatives have a factor: XGBoost's softmax 2, LightGBM's classes / (classes - 1).
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Params } from '../../src/losses/define.ts'
import { loadCatalog } from '../../src/losses/load-catalog.ts'
import { TARGETS } from '../../src/sources/targets.ts'
import { writeSource } from '../../src/sources/write.ts'
import { defaultsOf } from '../support/sample.ts'
import { pythonWith } from './runners/python-environment.ts'

const PACKAGES: Readonly<Record<string, readonly string[]>> = {
  xgboost: ['numpy==2.4.6', 'scipy==1.17.1', 'xgboost-cpu==3.2.0'],
  lightgbm: ['numpy==2.4.6', 'scipy==1.17.1', 'lightgbm==4.7.0'],
}

/** One of the library's own objectives, and the loss that it is. */
interface Own {
  readonly library: 'xgboost' | 'lightgbm'
  readonly objective: string
  readonly metric: string
  readonly label: 'real' | 'binary' | 'count' | 'positive' | 'class'
  readonly loss: string
  readonly params?: Params
  /** Of the library's second derivatives. */
  readonly factor?: number
  /** Of the library's gradients. */
  readonly rate?: number
  /** Whether its metric is the mean of the loss. */
  readonly told?: boolean
  readonly settings?: object
  /** Settings of the library's objective alone. */
  readonly own?: object
}

const xgboost = { library: 'xgboost' } as const
const lightgbm = { library: 'lightgbm' } as const
const logistic = { loss: 'binary_cross_entropy_with_logits', label: 'binary', told: true } as const
const softmax = { loss: 'cross_entropy', label: 'class', told: true } as const
const squared = { loss: 'half_squared', label: 'real' } as const

export const OWN: readonly Own[] = [
  { ...xgboost, ...squared, objective: 'reg:squarederror', metric: 'rmse' },
  { ...xgboost, ...logistic, objective: 'binary:logistic', metric: 'logloss' },
  { ...xgboost, ...softmax, objective: 'multi:softprob', metric: 'mlogloss', factor: 2 },
  { ...lightgbm, ...squared, objective: 'regression', metric: 'l2' },
  { ...lightgbm, ...logistic, objective: 'binary', metric: 'binary_logloss' },
  { ...lightgbm, ...softmax, objective: 'multiclass', metric: 'multi_logloss', factor: 3 / 2 },
]

/**
 * Case -> what differs.
 *
 * @throws NotHere without the library
 */
export async function treeDifferences(of: string): Promise<Map<string, readonly string[]>> {
  const { find } = await loadCatalog()
  const interpreter = pythonWith(PACKAGES[of]!)
  const folder = mkdtempSync(join(tmpdir(), 'lossd-trees-'))
  const own = OWN.filter(({ library }) => library === of)
  const cases = own.flatMap((one) => [false, true].map((weighted) => ({ ...one, weighted })))
  try {
    cases.forEach(({ library, loss: name, params = {} }, place) => {
      const loss = find(name)!
      const target = TARGETS.find((one) => one.name === library)!
      const { text } = writeSource(target, { loss, params: { ...defaultsOf(loss), ...params } })
      writeFileSync(join(folder, `case_${place}.py`), text)
    })
    const described = cases.map((one, place) => ({
      factor: 1,
      rate: 1,
      told: false,
      settings: {},
      own: {},
      ...one,
      module: `case_${place}`,
    }))
    writeFileSync(join(folder, 'cases.json'), JSON.stringify(described))
    const driver = new URL('drivers/trees.py', import.meta.url).pathname
    const found: string[][] = JSON.parse(
      execFileSync(interpreter, [driver, folder], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }),
    )
    return new Map(
      cases.map(({ library, objective, weighted }, place) => {
        return [`${library} ${objective}${weighted ? ', weighted' : ''}`, found[place]!] as const
      }),
    )
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
