import { createHash } from 'node:crypto'
import type { Draft } from '../../src/store/contract.ts'

export function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

/** A draft to register. The document may be any text. */
export function draftOf(name: string, document = '{}', rest: Partial<Draft> = {}): Draft {
  const [namespace, short] = name.split('/') as [string, string]
  const digest = sha256(document)
  return { namespace, name: short, id: sha256(`id ${document}`), digest, document, createdBy: null, ...rest }
}

/** Array.fromAsync, which Node 20 does not have. */
export async function allOf<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}
