/** A loss and what one wants of it -> the program that the writers read. */
import { Builder, type Ref, type Rewrite } from '../language/builder.ts'
import type { InputLayout, Node, Program } from '../language/ir.ts'
import type { TracedProgram } from '../language/lower.ts'
import { simplify } from '../language/simplify.ts'
import { expandLoss, type Loss, type Params } from '../losses/define.ts'
import { holdsIndices, type ProgramSignature, traceProgram } from '../losses/program.ts'
import type { SourceInput, SourceProgram, SourceRequest } from './contract.ts'
import { fixedSize } from './names.ts'

/**
 * The program for a request.
 *
 * @throws ProgramTooLarge, FormulaError
 */
export function sourceProgram(request: SourceRequest): SourceProgram {
  const loss = expandLoss(request.loss, request.params)
  return programOf(loss, request, signatureOf(loss, request))
}

/**
 * The program of an expanded loss for a signature of one's own.
 *
 * @throws ProgramTooLarge, FormulaError, NoHessian
 */
export function programOf(
  loss: Loss,
  { params }: Pick<SourceRequest, 'params'>,
  signature: ProgramSignature,
): SourceProgram {
  const traced = withFixedSizes(traceProgram(loss, signature))
  return {
    ...traced,
    loss,
    inputs: inputsOf(loss, traced.program),
    lengths: loss.meanPer,
    ...paramsOf(loss, traced.program, params),
  }
}

/** The structure of requests that a source is written for. */
export function signatureOf(
  loss: Loss,
  { params, optional = [], perClass = [], gradients }: SourceRequest,
): ProgramSignature {
  const present = Object.keys(loss.inputs).filter(
    (name) => !loss.inputs[name].optional || optional.includes(name),
  )
  const inputs = Object.fromEntries(present.map((name) => [name, layoutOf(loss, name, perClass)]))
  const wants = present.filter((name) => {
    const isWanted = gradients?.includes(name) ?? true
    return isWanted && loss.inputs[name].differentiable && inputs[name].type === 'real'
  })
  return { inputs, params, wants, hessians: [] }
}

/** A vector along the last of the other axes is read once per element. */
function layoutOf({ inputs }: Loss, name: string, perClass: readonly string[]): InputLayout {
  const spec = inputs[name]
  if (spec.trailing) return { type: 'real', axes: ['...'] }
  const axes = perClass.includes(name) ? Object.values(inputs)[0].axes : spec.axes
  return { type: holdsIndices(spec, axes) ? 'index' : 'real', axes }
}

function inputsOf(loss: Loss, program: Program): SourceInput[] {
  const read = Object.keys(loss.inputs).filter((name) => Object.hasOwn(program.inputs, name))
  return read.map((name) => {
    const { about, trailing } = loss.inputs[name]
    return { name, about, trailing, ...program.inputs[name] }
  })
}

function paramsOf(loss: Loss, { scalars }: Program, params: Params): Pick<SourceProgram, 'params' | 'fixed'> {
  const names = Object.keys(loss.params.properties)
  const read = names.filter((name) => scalars.includes(name))
  return {
    params: read.map((name) => {
      const { description = '' } = loss.params.properties[name]
      return { name, value: params[name] as number, about: description }
    }),
    fixed: Object.fromEntries(
      names.filter((name) => !read.includes(name)).map((name) => [name, params[name]]),
    ),
  }
}

/** How a node is made anew; undefined to copy it. */
export type Remake = (build: Builder, node: Node, args: readonly Ref[], id: number) => Ref | undefined

/**
 * The same program with some nodes in another form, simplified once more. Names and places move along.
 *
 * @param rewrite how it is simplified
 */
export function rebuilt(traced: TracedProgram, remake: Remake, rewrite: Rewrite = simplify): TracedProgram {
  const { program } = traced
  const build = new Builder(program.axes, rewrite)
  Object.assign(build.renamed, program.renamed)
  const made: Ref[] = []
  program.nodes.forEach((node, id) => {
    const args = node.args.map((arg) => made[arg])
    const ref = remake(build, node, args, id) ?? build.copy(node, args)
    made.push(build.expand(ref, node.axes))
  })
  return reachable(build, traced, made)
}

/** Without the nodes that no result needs any more. */
function reachable(
  build: Builder,
  { program, names, places }: TracedProgram,
  made: readonly Ref[],
): TracedProgram {
  const nodes: Node[] = []
  const placed = new Map<Ref, number>()
  const all = build.primitives()
  const place = (ref: Ref): number => {
    const known = placed.get(ref)
    if (known !== undefined) return known
    const args = all[ref].args.map(place)
    placed.set(ref, nodes.length)
    return nodes.push({ ...all[ref], args }) - 1
  }
  const root = (id: number) => place(made[id])
  const results = {
    value: root(program.value),
    ...(program.denominators === undefined ? {} : { denominators: root(program.denominators) }),
    gradients: Object.fromEntries(Object.entries(program.gradients).map(([name, id]) => [name, root(id)])),
  }
  const read = (op: Node['op']) => new Set(nodes.flatMap((node) => (node.op === op ? [node.name!] : [])))
  const [inputs, scalars] = [read('input'), read('scalar')]
  return {
    program: {
      ...program,
      ...results,
      nodes,
      inputs: Object.fromEntries(Object.entries(program.inputs).filter(([name]) => inputs.has(name))),
      scalars: program.scalars.filter((name) => scalars.has(name)),
    },
    names: moved(names, made, placed),
    places: moved(places, made, placed),
  }
}

/** The first of several keeps its place. */
function moved<T>(
  of: ReadonlyMap<number, T>,
  made: readonly Ref[],
  placed: ReadonlyMap<Ref, number>,
): Map<number, T> {
  const found = new Map<number, T>()
  for (const [id, value] of of) {
    const now = placed.get(made[id])
    if (now !== undefined && !found.has(now)) found.set(now, value)
  }
  return found
}

/** An axis that is named by its size has it. */
function withFixedSizes(traced: TracedProgram): TracedProgram {
  return rebuilt(traced, (build, { op, axis }) => {
    const size = op === 'size' ? fixedSize(axis!) : undefined
    return size === undefined ? undefined : build.constant(size)
  })
}
