/**
 * The uniforms: the numbers that all dispatches of a batch share, one 32-bit word each in one uniform buffer:
 * sizes, memory offsets and parameters. So no source contains a size or a parameter, and a program is compiled once
 * for all of them.
 */
import type { BufferDeclaration } from './kernel-schedule.ts'

export type Word =
  | { readonly kind: 'infinity' | 'nan' | 'cotangent' | 'cotangent_step' }
  | { readonly kind: 'size' | 'parts' | 'part_length'; readonly axis: string }
  | { readonly kind: 'input'; readonly name: string }
  | { readonly kind: 'block'; readonly block: BufferDeclaration }
  | { readonly kind: 'scalar'; readonly node: number; readonly isTruth: boolean }

const FLOATS: ReadonlySet<Word['kind']> = new Set(['infinity', 'nan', 'scalar'])

export class UniformLayout {
  readonly list: Word[] = []
  readonly #places = new Map<string, number>()

  constructor() {
    this.use({ kind: 'infinity' })
    this.use({ kind: 'nan' })
  }

  /**
   * @returns the WGSL expression that reads it
   * @example
   * words.use({ kind: 'size', axis: 'rows' }) // 'words.w2'
   */
  use(word: Word): string {
    const key = keyOf(word)
    const place = this.#places.get(key) ?? this.list.push(word) - 1
    this.#places.set(key, place)
    return `words.${memberOf(word, place)}`
  }

  /** The declaration, after every source has been emitted. */
  source(): string {
    const members = this.list.map((word, place) => {
      const isFloat = FLOATS.has(word.kind) && !(word.kind === 'scalar' && word.isTruth)
      return `  ${memberOf(word, place)}: ${isFloat ? 'f32' : 'u32'},`
    })
    return `struct Words {\n${members.join('\n')}\n}`
  }
}

function keyOf(word: Word): string {
  if (word.kind === 'block') return `block ${word.block.id}`
  return Object.values(word).join(' ')
}

function memberOf({ kind }: Word, place: number): string {
  return kind === 'infinity' || kind === 'nan' ? kind : `w${place}`
}
