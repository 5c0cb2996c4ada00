/**
 * How a formula uses the names that it does not assign: which inputs are read as places of which axis, and which
 * words parameters are compared with. What an author leaves out is inferred from this.
 */
import { type Expression, type Formula, subexpressionsOf } from '../language/ast.ts'

export interface NameUses {
  /** Input -> the axis that it is used as a place of; `undefined` if a place is only computed from it. */
  readonly places: ReadonlyMap<string, string | undefined>
  /** Parameter -> the words that it is compared with. */
  readonly words: ReadonlyMap<string, ReadonlySet<string>>
}

/** Functions that take a place of an axis: the positions of both arguments. Without an axis: any whole number. */
const PLACES: Readonly<Record<string, { readonly place: number; readonly axis?: number }>> = {
  pick: { place: 1, axis: 2 },
  gather: { place: 1, axis: 2 },
  scatter: { place: 1, axis: 2 },
  one_hot: { place: 0, axis: 1 },
  shift: { place: 1 },
}

/** @example nameUsesIn(parse('-pick(x, label, classes)')).places // Map { 'label' => 'classes' } */
export function nameUsesIn(...formulas: readonly Formula[]): NameUses {
  const uses = new Uses()
  const values = formulas.flatMap(({ statements }) => statements.map(({ value }) => value))
  for (const value of values) uses.collectRenamed(value)
  for (const value of values) uses.collect(value)
  return uses
}

class Uses implements NameUses {
  readonly places = new Map<string, string | undefined>()
  readonly words = new Map<string, Set<string>>()
  /** The second name of an axis -> its first one. */
  readonly #renamed = new Map<string, string>()

  collectRenamed(expression: Expression) {
    for (const part of subexpressionsOf(expression)) this.collectRenamed(part)
    if (expression.kind !== 'rename' || expression.to === expression.from) return
    const { from, to } = expression
    // Renamed back, an axis has its own name again.
    if (this.#sourceOf(from) !== to) this.#renamed.set(to, from)
  }

  collect(expression: Expression) {
    if (expression.kind === 'call') this.#collectPlace(expression.name, expression.arguments)
    if (expression.kind === 'binary') this.#collectWord(expression)
    for (const part of subexpressionsOf(expression)) this.collect(part)
  }

  #collectPlace(name: string, args: readonly Expression[]) {
    const found = Object.hasOwn(PLACES, name) ? PLACES[name] : undefined
    const place = args[found?.place ?? -1]
    if (place === undefined) return
    const axis = args[found?.axis ?? -1]
    const [input, path] = [plainName(place), axis && axisName(axis)]
    if (input !== undefined && path !== undefined) this.places.set(input, this.#sourceOf(path))
    else for (const part of namesInPlace(place)) if (!this.places.has(part)) this.places.set(part, undefined)
  }

  #sourceOf(axis: string): string {
    let source = axis
    for (let next = this.#renamed.get(source); next !== undefined; next = this.#renamed.get(source))
      source = next
    return source
  }

  #collectWord({ operator, left, right }: Expression & { kind: 'binary' }) {
    if ((operator !== '==' && operator !== '!=') || left.kind !== 'name' || right.kind !== 'name') return
    this.words.set(left.name, (this.words.get(left.name) ?? new Set()).add(right.name))
  }
}

/** A name, whose axes may have been renamed. */
function plainName(expression: Expression): string | undefined {
  if (expression.kind === 'rename') return plainName(expression.argument)
  return expression.kind === 'name' ? expression.name : undefined
}

function axisName(expression: Expression): string | undefined {
  return expression.kind === 'number' ? String(expression.value) : plainName(expression)
}

/** The names in sums, differences and products, which are whole numbers if the result is one. */
function namesInPlace(place: Expression): readonly string[] {
  switch (place.kind) {
    case 'name':
      return [place.name]
    case 'rename':
      return namesInPlace(place.argument)
    case 'unary':
      return place.operator === '-' ? namesInPlace(place.argument) : []
    case 'binary':
      return KEEPS_WHOLE.has(place.operator) ? [place.left, place.right].flatMap(namesInPlace) : []
    default:
      return []
  }
}

const KEEPS_WHOLE: ReadonlySet<string> = new Set(['+', '-', '*'])

/** Names that a formula reads and does not assign: its inputs and parameters, and names of axes. */
export function namesIn({ statements }: Formula): ReadonlySet<string> {
  const found = new Set<string>()
  const walk = (expression: Expression) => {
    if (expression.kind === 'name') found.add(expression.name)
    for (const part of subexpressionsOf(expression)) walk(part)
  }
  for (const { value } of statements) walk(value)
  return found
}
