/** Identifiers: each thing gets the name that its author gave it, or the nearest one that the language allows. */

/** Gives out names, each once. */
export class Names {
  readonly #taken: Set<string>

  /** @param reserved words of the language, and names that the frame uses */
  constructor(reserved: Iterable<string>) {
    this.#taken = new Set(reserved)
  }

  /**
   * The name itself, or with an underscore or a number behind it if it is taken.
   *
   * @example
   * new Names(['lambda']).take('lambda') // 'lambda_'
   */
  take(wanted: string): string {
    const free = this.#taken.has(wanted) ? this.#next(wanted) : wanted
    this.#taken.add(free)
    return free
  }

  /** Another function has the same arguments and its own values. */
  copy(): Names {
    return new Names(this.#taken)
  }

  /** `t1`, `t2`, ... */
  number(base: string): string {
    let count = 1
    while (this.#taken.has(`${base}${count}`)) count++
    return this.take(`${base}${count}`)
  }

  #next(wanted: string): string {
    const plain = `${wanted}_`
    if (!this.#taken.has(plain)) return plain
    let count = 2
    while (this.#taken.has(`${plain}${count}`)) count++
    return `${plain}${count}`
  }
}

/**
 * The name of a function, with underscores behind it if the language has taken the name, or one of the forms that a target
 * gives it.
 */
export function freeName(wanted: string, taken: readonly string[]): string {
  const forms = [wanted, camelCase(wanted), pascalCase(wanted)]
  return forms.some((form) => taken.includes(form)) ? freeName(`${wanted}_`, taken) : wanted
}

/** An axis as an identifier: `...` are all the others, and an axis of fixed size is called by it. */
export function axisWord(axis: string): string {
  if (axis === '...') return 'rest'
  return /^\d/.test(axis) ? `of_${axis}` : axis
}

/** The size of an axis that is named by it. */
export function fixedSize(axis: string): number | undefined {
  return /^[1-9]\d*$/.test(axis) ? Number(axis) : undefined
}

/** Everything in source text that may be a name. */
export function wordsOf(lines: readonly string[]): Set<string> {
  return new Set(lines.flatMap((line) => line.match(/[A-Za-z_]\w*/g) ?? []))
}

/** `robust_log` -> `robustLog`. */
export function camelCase(name: string): string {
  return name.replaceAll(/_+([A-Za-z0-9])/g, (_, letter: string) => letter.toUpperCase())
}

/** `robust_log` -> `RobustLog`. */
export function pascalCase(name: string): string {
  const camel = camelCase(name)
  return camel.slice(0, 1).toUpperCase() + camel.slice(1)
}
