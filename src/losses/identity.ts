/** Content addressing: two definitions that compute the same in the same words are one, whoever wrote them. */
import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js'
import type { Formula } from '../language/ast.ts'

/** The parts of a loss that decide what it computes; names and prose do not. */
export interface Content {
  readonly formula: Formula
  readonly denominator: Formula | undefined
  readonly inputs: object
  readonly params: object
}

/**
 * SHA-256 over the syntax trees (so that blanks, comments and line breaks do not count), inputs and parameters, in hex.
 *
 * @example
 * identify(parsed('abs(x - y)')) === identify(parsed('abs( x-y ) # the same')) // true
 */
export function identify({ formula, denominator, inputs, params }: Content): string {
  const trees = [formula.statements, denominator?.statements ?? null]
  const text = JSON.stringify([trees, inputs, params], (key, value) => (PROSE.has(key) ? undefined : value))
  return bytesToHex(sha256(utf8ToBytes(text)))
}

/** Members that say something to people, or where it was written. */
const PROSE: ReadonlySet<string> = new Set(['at', 'about', 'description', 'title', 'outside'])
