/** Prints a plan for people: loops, loads and arithmetic in a few lines, with the names of the formula's inputs. */

import { type AxisRead, isRemapped, memoryReadOf } from './access-map.ts'
import type { Buffer, Plan, Statement, WholeAxisStatement } from './loop-plan.ts'
import { isScalar } from './loop-plan.ts'

const INFIX: Readonly<Record<string, string>> = {
  add: '+',
  sub: '-',
  mul: '*',
  div: '/',
  lt: '<',
  le: '<=',
  eq: '==',
}

/** @example printPlan(plan(legalize(program, variant))) // for ... by 4 { v2 = predictions[...] ... } */
export function printPlan(plan: Plan): string {
  const used = usedScalars(plan)
  const scalars = [...used].sort((a, b) => a - b).map((id) => `${name(plan, id)} = ${expression(plan, id)}`)
  const scratch = plan.buffers.filter(({ role }) => role === 'scratch').map((buffer) => declaration(buffer))
  return [...scalars, ...scratch, ...lines(plan, plan.body, '')].join('\n')
}

function declaration(buffer: Buffer): string {
  if (buffer.extent !== undefined) return `workspace m${buffer.id} of ${buffer.name.split(' ')[0]}`
  return `scratch ${spell(buffer)}${buffer.vectors ? ' of vectors' : ''}`
}

function lines(plan: Plan, statements: readonly Statement[], indent: string): string[] {
  return statements.flatMap((statement) => line(plan, statement, indent))
}

function line(plan: Plan, statement: Statement, indent: string): string[] {
  switch (statement.kind) {
    case 'loop': {
      const { axis, lanes, body, accumulators } = statement
      const sums = accumulators.map(
        ({ node }) => `${name(plan, node)} = ${plan.program.nodes[node].op} over ${axis}`,
      )
      const head = `${indent}for ${axis}${lanes ? ' by 4' : ''} {${sums.length > 0 ? ` # ${sums.join(', ')}` : ''}`
      return [head, ...lines(plan, body, `${indent}  `), `${indent}}`]
    }
    case 'compute':
      return [`${indent}${name(plan, statement.node)} = ${expression(plan, statement.node)}`]
    case 'load': {
      const { node, source, buffer } = statement
      const reads = source === node ? {} : memoryReadOf(plan.program.nodes, node).axes
      return [`${indent}${name(plan, node)} = ${spell(buffer, reads)}`]
    }
    case 'store':
      return [`${indent}${spell(statement.buffer)} = ${name(plan, statement.node)}`]
    case 'whole axis':
      return [`${indent}${wholeAxis(plan, statement)}`]
    case 'accumulate': {
      const { op, args } = plan.program.nodes[statement.node]
      const term = args.map((arg) => name(plan, arg)).join(' * ')
      const target =
        statement.memory === undefined ? name(plan, statement.node) : spell(statement.memory.partial)
      return [op === 'reduce_max' ? `${indent}${target} max= ${term}` : `${indent}${target} += ${term}`]
    }
  }
}

function wholeAxis(plan: Plan, { node, operands, result }: WholeAxisStatement): string {
  const { op, args, axis, to } = plan.program.nodes[node]
  const spelled = args.map((arg, place) => {
    const buffer = operands[place]
    return buffer === undefined ? name(plan, arg) : spell(buffer)
  })
  const target = result === undefined ? name(plan, node) : spell(result)
  return `${target} = ${op}(${[...spelled, axis, to].filter((part) => part !== undefined).join(', ')})`
}

function expression(plan: Plan, id: number): string {
  const { op, args, axis, value, name: own, axes } = plan.program.nodes[id]
  const operands = args.map((arg) => name(plan, arg))
  if (op === 'constant') return String(value)
  if (op === 'scalar') return own!
  if (op === 'input') return `${own}[${axes}]`
  if (op === 'cotangent') return `cotangent[${axes}]`
  if (op === 'index' || op === 'size') return `${op}(${axis})`
  if (isRemapped(plan.program.nodes[id])) return readOf(plan, id)
  if (op === 'pick') return `${plan.program.nodes[args[0]].name}[${axis} = ${operands[1]}]`
  if (op === 'expand') return operands[0]
  if (op === 'select') return `${operands[0]} ? ${operands[1]} : ${operands[2]}`
  const infix = INFIX[op]
  return infix === undefined ? `${op}(${operands.join(', ')})` : operands.join(` ${infix} `)
}

/** A read of an input with renamed axes or at a distance. */
function readOf({ program: { nodes, inputs } }: Plan, id: number): string {
  const { source, axes } = memoryReadOf(nodes, id)
  const { name: own = 'cotangent', axes: all } = nodes[source]
  return `${own}[${(inputs[own]?.axes ?? all).map((axis) => placeOf(axis, axes[axis]))}]`
}

function placeOf(axis: string, { loop, steps }: AxisRead = { loop: axis, steps: 0 }): string {
  const name = loop === axis ? axis : `${axis} -> ${loop}`
  return steps === 0 ? name : `${name} ${steps > 0 ? '-' : '+'} ${Math.abs(steps)}`
}

function spell(
  { role, name: own, axes, id }: Buffer,
  reads: Readonly<Record<string, AxisRead>> = {},
): string {
  const title = role === 'scratch' ? `m${id}` : role === 'gradient' ? `gradient(${own})` : own || role
  return `${title}[${axes.map((axis) => placeOf(axis, { loop: reads[axis]?.loop ?? axis, steps: reads[axis]?.steps ?? 0 }))}]`
}

/** Constants are printed as numbers. */
function name(plan: Plan, id: number): string {
  const { op, value, type } = plan.program.nodes[id]
  if (op === 'constant') return type === 'bool' ? String(value !== 0) : String(value)
  return isScalar(plan.program, id) ? `s${id}` : `v${id}`
}

function usedScalars({ program, body }: Plan): Set<number> {
  const used = new Set<number>()
  const visit = (id: number) => {
    if (!isScalar(program, id) || program.nodes[id].op === 'constant') return
    for (const arg of program.nodes[id].args) visit(arg)
    used.add(id)
  }
  const walk = (statements: readonly Statement[]) => {
    for (const statement of statements) {
      if (statement.kind === 'loop') walk(statement.body)
      else if (statement.kind !== 'load' && statement.kind !== 'store') {
        for (const arg of program.nodes[statement.node].args) visit(arg)
      }
    }
  }
  walk(body)
  return used
}
