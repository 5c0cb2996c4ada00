/** Derivatives of values that count once: what is left of them once their cotangent is 1. */
import type { Attributes, Builder, Ref, Rewrite } from '../language/builder.ts'
import type { FormulaOp } from '../language/ir.ts'
import type { TracedProgram } from '../language/lower.ts'
import { isElementwise } from '../language/scalar.ts'
import { simplify } from '../language/simplify.ts'
import { rebuilt } from './program.ts'

/** Also `0.5 q + 0.5 q`, which is q. */
export const simplifyUnit: Rewrite = (build, op, args, attributes) => {
  if (op !== 'add' || args[0] !== args[1] || build.opOf(args[0]) !== 'mul')
    return simplify(build, op, args, attributes)
  const [a, b] = build.nodes[args[0]].args
  const factor = build.constantOf(a)
  return factor === undefined ? undefined : build.mul(build.constant(2 * factor), b)
}

/** The program with 1 for the cotangent of each value. */
export function withUnitCotangent(traced: TracedProgram): TracedProgram {
  return rebuilt(
    traced,
    (build, { op, axes }) => (op === 'cotangent' ? build.expand(build.constant(1), axes) : undefined),
    simplifyRepeated,
  )
}

/** What is repeated along an axis is computed before it is repeated, so that a constant is seen as one. */
const simplifyRepeated: Rewrite = (build, op, args, attributes) => {
  if (isPointwise(op) && args.some((arg) => build.opOf(arg) === 'expand')) {
    const axes = args.flatMap((arg) => build.axesOf(arg))
    const inner = build.make(
      op,
      args.map((arg) => unrepeated(build, arg)),
      attributes,
    )
    return build.expand(inner, axes)
  }
  return (
    ungated(build, op, args) ??
    diagonal(build, op, args, attributes) ??
    simplifyUnit(build, op, args, attributes)
  )
}

const isPointwise = (op: FormulaOp) => isElementwise(op) || op === 'select'

function unrepeated(build: Builder, ref: Ref): Ref {
  return build.opOf(ref) === 'expand' ? build.argOf(ref, 0) : ref
}

/** A product with 1 needs no gate, and neither does x where it is 0 anyway. */
function ungated(build: Builder, op: FormulaOp, [first, second, third]: readonly Ref[]): Ref | undefined {
  if (op === 'mul_no_nan') return build.is(first, 1) ? second : undefined
  if (op !== 'select' || !build.is(second, 0) || build.opOf(first) !== 'eq') return undefined
  const [x, zero] = build.nodes[first].args
  return x === third && build.is(zero, 0) ? third : undefined
}

/** The elements on the diagonal of what differs along one of its axes alone are all there are. */
function diagonal(
  build: Builder,
  op: FormulaOp,
  [x, place]: readonly Ref[],
  { axis }: Attributes,
): Ref | undefined {
  if (op !== 'pick') return undefined
  const { op: from, axis: own } = build.nodes[unrepeated(build, place)]
  const isSecondName = from === 'index' && axis !== undefined && build.renamed[axis] === own
  return isSecondName && !build.axesOf(x).includes(own!) ? build.rename(x, axis, own!) : undefined
}
