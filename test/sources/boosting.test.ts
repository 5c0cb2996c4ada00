/** What objectives for gradient boosting promise besides their numbers, which test/sources/boosting.ts runs. */
import { describe, expect, it } from 'vitest'
import { customLoss } from '../../src/losses/custom.ts'
import type { Loss } from '../../src/losses/define.ts'
import { loadCatalog } from '../../src/losses/load-catalog.ts'
import { CannotWrite, InvalidName, type SourceRequest } from '../../src/sources/contract.ts'
import lightgbm from '../../src/sources/targets/lightgbm.ts'
import xgboost from '../../src/sources/targets/xgboost.ts'
import { writeSource } from '../../src/sources/write.ts'
import { check } from '../support/evaluate.ts'
import { defaultsOf, sampleTensors } from '../support/sample.ts'

const { losses, find } = await loadCatalog()

function written(
  target: typeof xgboost,
  loss: Loss,
  request: Partial<SourceRequest> = {},
): string | CannotWrite {
  try {
    return writeSource(target, { loss, params: defaultsOf(loss), ...request }).text
  } catch (error) {
    if (error instanceof CannotWrite) return error
    throw error
  }
}

/** Whether the service answers with a second derivative. */
function hasHessian(loss: Loss): boolean {
  const [first] = Object.keys(loss.inputs).filter((name) => loss.inputs[name]!.differentiable)
  const tensors = sampleTensors(loss, { seed: 1, bare: true, precision: 'float64' })
  try {
    check(loss, tensors, { reduction: 'sum', gradients: [first], hessian: 'diagonal' })
    return true
  } catch {
    return false
  }
}

describe.each([xgboost, lightgbm])('$name', (target) => {
  it('is written where the service has a second derivative, and the data a place for each input', () => {
    for (const loss of losses) {
      const source = written(target, loss)
      if (typeof source === 'string') expect(hasHessian(loss), loss.name).toBe(true)
      else if (source.op !== 'input') expect(hasHessian(loss), `${loss.name}: ${source.message}`).toBe(false)
    }
  })

  it('takes what all rows share as arguments', () => {
    const source = written(target, find('cross_entropy')!, { optional: ['class_weights'] })
    expect(source).toContain(
      'def cross_entropy(preds, dtrain, *, class_weights, label_smoothing=0.0, hessian_floor=1e-6):',
    )
    expect(source).toContain(
      'def cross_entropy_metric(preds, dtrain, *, class_weights, label_smoothing=0.0):',
    )
  })

  it('predicts the input whose gradient is asked for', () => {
    const loss = customLoss({
      inputs: { location: { differentiable: true }, spread: { differentiable: true } },
      formula: 'exp(spread) + (location - 1)^2',
    })
    expect(written(target, loss, { gradients: ['spread'] })).toContain('spread = preds')
    expect(() => writeSource(target, { loss, params: {}, gradients: ['location', 'spread'] })).toThrow(
      InvalidName,
    )
  })

  it('says at which place there is no second derivative', () => {
    const inputs = { x: { axes: 'rows,columns', differentiable: true }, label: { axes: 'rows' } }
    const loss = customLoss({
      inputs,
      formula: 'y = sort(x, columns)\nsum(y * index(columns), columns) * label',
    })
    const refusal = written(target, loss) as CannotWrite
    expect(refusal).toBeInstanceOf(CannotWrite)
    expect(refusal.why).toContain('second derivative')
    expect(refusal.at).toMatchObject({ line: 1 })
  })

  it('leaves out gates where a derivative counts once', () => {
    const source = written(target, find('half_squared')!) as string
    expect(source).toContain('grad = predictions - targets')
    expect(source).not.toContain('_times')
  })
})
