/** The cases of a unit as rows of a table: one for each element of the first axis and of `...`, one column for each of the others. */
import { elementsOf, valueAxes } from '../../src/language/ir.ts'
import { offsetsOf } from '../../src/language/strides.ts'
import { batchAxisOf } from '../../src/losses/program.ts'
import type { SourceProgram } from '../../src/sources/contract.ts'
import { sourceProgram } from '../../src/sources/program.ts'
import type { Case, Unit } from './cases.ts'
import type { Outcome } from './runners/runner.ts'

/** The axes of a loss that become columns: in a loss of elements none is needed. */
function axesOf({ loss }: SourceProgram, axes: readonly string[]) {
  const isRow = (axis: string) => loss.couples === 'element' || axis === batchAxisOf(loss) || axis === '...'
  return { rows: axes.filter(isRow), columns: axes.filter((axis) => !isRow(axis)) }
}

/** Input -> its columns, `x_0`, `x_1` ... where there are several. */
export function columnsOf(unit: Unit): Record<string, readonly string[]> {
  const source = sourceProgram(unit.request)
  const { sizes } = unit.cases[0]!
  return Object.fromEntries(
    source.inputs.map(({ name, axes }) => {
      const count = elementsOf(axesOf(source, axes).columns, sizes)
      return [name, count === 1 ? [name] : Array.from({ length: count }, (_, i) => `${name}_${i}`)]
    }),
  )
}

/** Rows: for each column its numbers, or null. */
export interface Table {
  readonly columns: ReadonlyMap<string, ArrayLike<number | null>>
  readonly rows: number
}

export function tableOf(unit: Unit, one: Case): Table {
  const source = sourceProgram(unit.request)
  const names = columnsOf(unit)
  const rows = rowAxes(source)
  const columns = source.inputs.flatMap(({ name, axes }) => {
    const own = axesOf(source, axes)
    const offsets = offsetsOf(one.sizes, [...rows, ...own.columns], axes)
    const count = names[name]!.length
    return names[name]!.map((column, place) => {
      const numbers = Float64Array.from(
        { length: offsets.length / count },
        (_, row) => one.inputs[name]![offsets[row * count + place]!]!,
      )
      return [column, numbers] as const
    })
  })
  return { columns: new Map(columns), rows: elementsOf(rows, one.sizes) }
}

/** All axes that rows stand for. */
function rowAxes(source: SourceProgram): string[] {
  return [...new Set(source.inputs.flatMap(({ axes }) => axesOf(source, axes).rows))]
}

/** What the query added to the rows, in its order -> the results in the layouts of the service. */
export function outcomeOf(unit: Unit, one: Case, added: readonly ArrayLike<number>[]): Outcome {
  const source = sourceProgram(unit.request)
  const { program } = source
  const rows = rowAxes(source)
  let next = 0
  const read = (axes: readonly string[]) => {
    const own = axesOf(source, axes)
    const offsets = offsetsOf(one.sizes, [...rows, ...own.columns], axes)
    const count = elementsOf(own.columns, one.sizes)
    const found = new Float64Array(elementsOf(axes, one.sizes))
    for (let place = 0; place < count; place++) {
      const numbers = added[next++]!
      for (let row = 0; row < numbers.length; row++) found[offsets[row * count + place]!] = numbers[row]!
    }
    return found
  }
  const values = read(valueAxes(program))
  const gradients = Object.keys(program.gradients).map((name) => {
    return [name, read(program.inputs[name]!.axes)] as const
  })
  return { values, gradients: Object.fromEntries(gradients) }
}
