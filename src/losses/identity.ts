/**
 * Content addressing: two definitions that compute the same with the same formula are the same loss, no matter who
 * wrote them.
 */
import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js'
import type { Formula } from '../language/ast.ts'

/** The parts of a loss that determine what it computes. Names and descriptions do not. */
export interface Content {
  readonly formula: Formula
  readonly denominator: Formula | undefined
  readonly inputs: object
  readonly params: object
}

/**
 * SHA-256 of the syntax trees (so that spaces, comments and line breaks do not count), the inputs and the
 * parameters, in hex.
 *
 * @example
 * identify(parsed('abs(x - y)')) === identify(parsed('abs( x-y ) # the same')) // true
 */
export function identify({ formula, denominator, inputs, params }: Content): string {
  const trees = [formula.statements, denominator?.statements ?? null]
  const text = JSON.stringify([trees, inputs, params], (key, value) => (PROSE.has(key) ? undefined : value))
  return bytesToHex(sha256(utf8ToBytes(text)))
}

/** Members that are only for people, or that record a source position. */
const PROSE: ReadonlySet<string> = new Set(['at', 'about', 'description', 'title', 'outside'])
