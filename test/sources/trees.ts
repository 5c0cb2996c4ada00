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
  /** Below which second derivatives are raised. */
  readonly floor?: number
  /** Whether it is only compared without weights: the floor is that of weighted second derivatives, as in the service. */
  readonly isPlain?: boolean
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
const huber = {
  loss: 'huber',
  params: { delta: 0.9 },
  label: 'real',
  floor: 1,
  told: true,
  isPlain: true,
} as const
const gamma = { loss: 'gamma_nll', label: 'positive' } as const
const tweedie = { loss: 'tweedie', label: 'positive' } as const
/** Both libraries multiply its second derivative by e^max_delta_step, with 0.7 by default. */
const poisson = {
  loss: 'poisson_nll',
  label: 'count',
  factor: Math.exp(0.7),
  settings: { max_delta_step: 0.7 },
} as const

export const OWN: readonly Own[] = [
  { ...xgboost, ...squared, objective: 'reg:squarederror', metric: 'rmse' },
  // Its base score is a probability.
  { ...xgboost, ...logistic, objective: 'binary:logistic', metric: 'logloss', own: { base_score: 0.5 } },
  { ...xgboost, ...softmax, objective: 'multi:softprob', metric: 'mlogloss', factor: 2 },
  { ...xgboost, ...gamma, objective: 'reg:gamma', metric: 'gamma-nloglik', own: { base_score: 1 } },
  { ...xgboost, ...tweedie, objective: 'reg:tweedie', metric: 'tweedie-nloglik@1.5', own: { base_score: 1 } },
  { ...xgboost, ...poisson, objective: 'count:poisson', metric: 'poisson-nloglik', own: { base_score: 1 } },
  { ...lightgbm, ...squared, objective: 'regression', metric: 'l2' },
  { ...lightgbm, ...huber, objective: 'huber', metric: 'huber', own: { alpha: 0.9 } },
  { ...lightgbm, ...logistic, objective: 'binary', metric: 'binary_logloss' },
  { ...lightgbm, ...softmax, objective: 'multiclass', metric: 'multi_logloss', factor: 3 / 2 },
  { ...lightgbm, ...gamma, objective: 'gamma', metric: 'gamma' },
  { ...lightgbm, ...tweedie, objective: 'tweedie', metric: 'tweedie' },
  { ...lightgbm, ...poisson, objective: 'poisson', metric: 'poisson', told: true },
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
  const cases = own.flatMap((one) =>
    (one.isPlain ? [false] : [false, true]).map((weighted) => ({ ...one, weighted })),
  )
  try {
    cases.forEach(({ library, loss: name, params = {} }, place) => {
      const loss = find(name)!
      const target = TARGETS.find((one) => one.name === library)!
      const { text } = writeSource(target, { loss, params: { ...defaultsOf(loss), ...params } })
      writeFileSync(join(folder, `case_${place}.py`), text)
    })
    const described = cases.map((one, place) => ({
      factor: 1,
      floor: 1e-16,
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
