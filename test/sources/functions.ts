/** Losses that call every function of the language once: what a formula of one's own may contain. */
import { customLoss } from '../../src/losses/custom.ts'
import type { Loss } from '../../src/losses/define.ts'
import { CONSTANT, SMOOTH } from '../support/calls.ts'

const INPUTS = {
  x: { axes: 'rows,columns', differentiable: true },
  y: { axes: 'rows,columns', differentiable: true },
  v: { axes: 'rows', differentiable: true },
  i: { axes: 'rows', kind: 'class', places: 'columns' },
} as const

export function functionLosses(): Loss[] {
  return [...SMOOTH, ...CONSTANT].filter((formula) => /\b[xyv]\b/.test(formula)).map(functionLoss)
}

/** The inputs and the parameter that the formula reads, and x, which says how many columns there are. */
function functionLoss(formula: string, place: number): Loss {
  const reads = (name: string) => new RegExp(`\\b${name}\\b`).test(formula)
  const inputs = Object.fromEntries(Object.entries(INPUTS).filter(([name]) => name === 'x' || reads(name)))
  const params = reads('s') ? { s: { type: 'number', default: 1.7 } as const } : {}
  const lines = formula.split('\n')
  const whole = reads('x') ? lines : [...lines.slice(0, -1), `0 * x + ${lines.at(-1)}`]
  return customLoss({ about: formula, inputs, params, formula: whole }, `call/f${place}`)
}
