/** Argument roles: which parameter each argument of a call is for. */

/**
 * `axis` arguments are names of axes, the others are values; `axes` are one or several axes, an `order` is a whole number that
 * is known before anything runs, a `length` one from 1 on, `weights` are a list, `number?` may be left out.
 */
export type Parameter =
  | 'number'
  | 'number?'
  | 'place'
  | 'order'
  | 'length'
  | 'weights'
  | 'truth'
  | 'axis'
  | 'axes'

/** How an argument is interpreted. */
export type Role = Exclude<Parameter, 'number?' | 'axes'>

/**
 * @param isAxis whether an argument names an axis: a number may follow the axes
 * @returns one role per argument; undefined if there are too many or too few arguments
 * @example
 * rolesOf(['number', 'axes', 'number?'], 4, (place) => place < 3) // ['number', 'axis', 'axis', 'number']
 */
export function rolesOf(
  parameters: readonly Parameter[],
  count: number,
  isAxis: (place: number) => boolean,
): Role[] | undefined {
  const roles: Role[] = []
  for (const [place, parameter] of parameters.entries()) {
    if (parameter === 'number?') {
      if (roles.length < count) roles.push('number')
    } else if (parameter === 'axes') {
      roles.push('axis')
      const isLast = place === parameters.length - 1
      while (roles.length < count && (isLast || isAxis(roles.length))) roles.push('axis')
    } else roles.push(parameter)
  }
  return roles.length === count ? roles : undefined
}

/** What messages and docs call a parameter. */
const WORDS: Readonly<Partial<Record<Parameter, string>>> = { place: 'index', truth: 'condition' }

/**
 * The parameters of a function, for people.
 *
 * @example
 * parametersText(['number', 'place', 'axis']) // 'number, index, axis'
 */
export function parametersText(parameters: readonly Parameter[]): string {
  return parameters.map((parameter) => WORDS[parameter] ?? parameter).join(', ')
}

/** `2 arguments (number, axis)` */
export function formatSignature(parameters: readonly Parameter[]): string {
  const count = parameters.filter((parameter) => parameter !== 'number?').length
  const isOpen = count < parameters.length || parameters.includes('axes')
  return `${isOpen ? 'at least ' : ''}${count} argument${count === 1 ? '' : 's'} (${parametersText(parameters)})`
}
