/** Reads the cases in test/oracles. */
import type { DecodedTensor } from '../../src/wire/define.ts'

export interface OracleCase {
  readonly id: string
  readonly source: string
  readonly inputs: Readonly<
    Record<string, { dtype: 'float64' | 'int64'; shape: number[]; data: (number | string)[] }>
  >
  readonly params: Readonly<Record<string, unknown>>
  readonly expected: {
    readonly gradients: Readonly<Record<string, unknown>>
    readonly gradients_of: string
  } & Readonly<Record<string, unknown>>
}

export function oracleTensors({ inputs }: Pick<OracleCase, 'inputs'>): Map<string, DecodedTensor> {
  const tensors = Object.entries(inputs).map(([name, { dtype, shape, data }]) => {
    const numbers = data.map(Number)
    const array = dtype === 'int64' ? Int32Array.from(numbers) : Float64Array.from(numbers)
    return [name, { dtype, shape, data: array, encoding: 'nested', typed: true } as const] as const
  })
  return new Map(tensors)
}

/** Numbers of any nesting, flattened. NaN and infinities are strings. */
export function oracleNumbers(value: unknown): number[] {
  const data = typeof value === 'object' && value !== null && 'data' in value ? value.data : value
  return [data].flat(9).map(Number)
}
