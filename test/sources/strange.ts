/**
 * Losses whose names are words of the languages that they are written in, or names that sources give and call themselves:
 * of the function, the inputs, the parameters, the lines and the axes. They must compile and compute like any other.
 */
import { customLoss } from '../../src/losses/custom.ts'
import type { Loss } from '../../src/losses/define.ts'

const WORDS =
  'double int lambda fn func class range math main string exp sigmoid times forward backward np torch jax tf keras ops list reduction total none true self type map package loss gradient values x larger pick total_of exp_of Reduction Math Double Huber NULL size_t int32_t i j n scale cotangent upstream g grad_output select from table order null lossd_x bool object static match go defer impl mut var let const void return import def print len shape args residuals out ceil linux isnormal M_PI INT32_MAX strlen hypot Some None unix fma'.split(
    ' ',
  )

/** These are no names within a formula, and those no names of a loss. */
const NOT_INSIDE = ['true', 'reduction', 'grad_output']
const INSIDE = ['_', '_times', '_sigmoid', '_pick', '_x', 'device', 'shape_x', 'predictions_i']

/** One loss for each word as the name of its function; the words after it name everything else. */
export function strangeLosses(): Loss[] {
  const words = [...WORDS.filter((word) => !NOT_INSIDE.includes(word)), ...INSIDE]
  const named = WORDS.map((word, place) => {
    const own = Array.from({ length: 5 }, (_, i) => words[(place + i + 1) % words.length]!)
    return elementLoss(`acme/${word}`, own)
  })
  return [...named, sameButForCase(), capitals(), rowLoss()]
}

function elementLoss(name: string, [a, b, p, q, line]: readonly string[]): Loss {
  return customLoss(
    {
      inputs: { [a!]: { differentiable: true }, [b!]: {} },
      params: { [p!]: { type: 'number', default: 1.5 }, [q!]: { type: 'number', default: 0.25 } },
      formula: `${line} = ${a} - ${b}\nsoftplus(${line} * ${p}) + abs(${line}) * ${q}`,
    },
    name,
  )
}

/** Constants are often spelled in capitals, and SQL knows no case. */
function sameButForCase(): Loss {
  return customLoss(
    {
      inputs: { A: { differentiable: true }, a_: { differentiable: true }, MEAN: {} },
      params: {
        delta: { type: 'number', default: 1 },
        Delta: { type: 'number', default: 2 },
        mean: { type: 'number', default: 3 },
        sum: { type: 'number', default: 4 },
        a_b: { type: 'number', default: 5 },
        aB: { type: 'number', default: 6 },
      },
      formula:
        'E = A - a_ * MEAN\ne = exp(-abs(E)) * delta\nE * E * Delta + e * e * mean + sum * e / (a_b + aB * E^2)',
    },
    'acme/cases',
  )
}

/** A line or an input that is spelled like the default of a parameter, like one of the reductions, or like a pattern. */
function capitals(): Loss {
  return customLoss(
    {
      inputs: { GAMMA: { differentiable: true }, LINES_GAMMA: {} },
      params: {
        delta: { type: 'number', default: 1.5 },
        gamma: { type: 'number', default: 0.5 },
        none: { type: 'number', default: 0.25 },
      },
      formula:
        'LINES_NONE = delta * 2\nLINES_DELTA = GAMMA - LINES_GAMMA\nDELTA = exp(LINES_DELTA * gamma)\nNone = DELTA * LINES_NONE\nSome = exp(-DELTA)\nOk = exp(-Some)\nErr = exp(-Ok)\nNone * Err * Err + Some * Some + Ok * Ok * none * LINES_NONE',
    },
    'acme/lines',
  )
}

/** Axes are names, too. */
function rowLoss(): Loss {
  return customLoss(
    {
      inputs: {
        for: { axes: 'int,class', differentiable: true },
        return: { axes: 'int', kind: 'class', places: 'class' },
      },
      params: { while: { type: 'number', default: 0.5 } },
      formula: 'double = logsumexp(for * while, class)\ndouble - pick(for * while, return, class)',
    },
    'acme/axes',
  )
}
