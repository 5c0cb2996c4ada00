/** lgamma, digamma and polygamma in a TensorFlow graph, in float64: engines/gamma.ts has the algorithm. */
import * as gamma from '../gamma.ts'
import type { Graph, Value } from './graph.ts'

/** Its argument and result are float64. */
export function lgamma(graph: Graph, x: Value): Value {
  const argument = argumentOf(graph, x)
  return gamma.lgamma(arithmeticOf(graph), argument, logarithmsOf(graph, argument))
}

/** Its argument and result are float64. */
export function digamma(graph: Graph, x: Value): Value {
  const argument = argumentOf(graph, x)
  return gamma.digamma(arithmeticOf(graph), argument, logarithmsOf(graph, argument))
}

/**
 * Its argument and result are float64.
 *
 * @param n the order of the derivative of digamma, at least 1
 */
export function polygamma(graph: Graph, n: number, x: Value): Value {
  return gamma.polygamma(arithmeticOf(graph), n, argumentOf(graph, x))
}

function argumentOf(graph: Graph, x: Value): gamma.ReducedArgument<Value> {
  const rest = graph.binary('Sub', x, graph.unary('Rint', x))
  return { x, size: graph.unary('Abs', x), rest, distance: graph.unary('Abs', rest) }
}

function logarithmsOf(
  graph: Graph,
  { size, distance }: gamma.ReducedArgument<Value>,
): gamma.ArgumentLogs<Value> {
  return { ofSize: graph.unary('Log', size), ofDistance: graph.unary('Log', distance) }
}

function arithmeticOf(graph: Graph): gamma.Arithmetic<Value> {
  return {
    number: (value) => graph.number(value, 'float64'),
    add: (a, b) => graph.binary('AddV2', a, b),
    sub: (a, b) => graph.binary('Sub', a, b),
    mul: (a, b) => graph.binary('Mul', a, b),
    div: (a, b) => graph.binary('RealDiv', a, b),
    madd: (a, b, c) => graph.binary('AddV2', graph.binary('Mul', a, b), c),
    less: (a, b) => graph.compare('Less', a, b),
    select: (test, yes, no) => graph.select(test, yes, no),
    keep: (x) => x,
  }
}
