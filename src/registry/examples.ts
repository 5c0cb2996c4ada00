/** Checks the examples of a definition: the interpreter must compute them in float64 to nine digits. */
import { Problem, type ProblemDetail } from '../errors.ts'
import type { Definition } from '../losses/custom.ts'
import type { Kind, NestedNumbers } from '../losses/define.ts'
import type { Answer, AnswerTensor } from '../wire/define.ts'

/** Relative; for values below 1, absolute. */
const TOLERANCE = 1e-9

/** The examples of a definition, and the kinds of its inputs, stated or inferred. */
type Examples = Pick<Definition, 'examples'> & {
  readonly inputs: Readonly<Record<string, { readonly kind?: Kind }>>
}

/**
 * @param evaluate computes the response to a request with these members
 * @throws Problem `example-fails`, with the computed value
 */
export function checkExamples({ examples = [], inputs }: Examples, evaluate: (body: object) => Answer) {
  examples.forEach((example, place) => {
    const pointer = `/examples/${place}`
    const tensors = Object.entries(example.inputs).map(([name, data]) => [
      name,
      tensorOf(data, inputs[name]?.kind),
    ])
    const { params, reduction = 'none', gradients = {} } = example
    const wanted = Object.keys(gradients)
    const options = { ...(params && { params }), reduction, gradients: wanted.length > 0 && wanted }
    const answer = within(pointer, () => evaluate({ ...Object.fromEntries(tensors), ...options }))
    const found = [
      ...differences(`${pointer}/loss`, example.loss, answer.loss),
      ...wanted.flatMap((name) =>
        differences(`${pointer}/gradients/${name}`, gradients[name], answer.gradients.get(name)!),
      ),
    ]
    if (found.length > 0)
      throw new Problem('example-fails', `${found[0].pointer}: ${found[0].detail}`, { errors: found })
  })
}

/** Real numbers as float64, indices as they are written. */
function tensorOf(data: NestedNumbers, kind = 'real'): object | NestedNumbers {
  const isIndex = kind === 'class' || kind === 'count' || kind === 'index_list'
  return isIndex || kind.startsWith('class_or')
    ? data
    : {
        dtype: 'float64',
        data: Array.isArray(data) ? data : [data],
        ...(Array.isArray(data) ? {} : { shape: [] }),
      }
}

/** Moves the pointers of a problem with an example's request to the example. */
function within<T>(pointer: string, run: () => T): T {
  try {
    return run()
  } catch (error) {
    if (!(error instanceof Problem) || error.code === 'formula-invalid') throw error
    const errors = (error.options.errors ?? []).map((place) => ({
      ...place,
      pointer: `${pointer}${place.pointer}`,
    }))
    throw new Problem(error.code, `${pointer}: ${error.message}`, { errors })
  }
}

function differences(
  pointer: string,
  expected: NestedNumbers,
  { shape, data: found }: AnswerTensor,
): ProblemDetail[] {
  const numbers = flat(expected)
  const written = shapeOf(expected)
  if (!isNumbers(numbers)) return [{ pointer, detail: 'must be a number, or an array of numbers' }]
  if (numbers.length !== found.length) {
    return [
      {
        pointer,
        detail: `has ${numbers.length} numbers, but ${found.length} were computed: ${listed(found)}`,
      },
    ]
  }
  if (numbers.length > 0 && written.join() !== shape.join())
    return [{ pointer, detail: `has the shape [${written}], but [${shape}] was computed: ${listed(found)}` }]
  const wrong = numbers.findIndex((number, i) => !isClose(number, found[i]))
  if (wrong < 0) return []
  return [
    {
      pointer,
      detail: `is ${numbers[wrong]}, but ${found[wrong]} was computed (element ${wrong} of ${listed(found)})`,
    },
  ]
}

type Numbers = readonly (number | undefined)[]

/** Undefined for what is no number: the document may contain anything here. */
function flat(nested: unknown): Numbers {
  return Array.isArray(nested) ? nested.flatMap(flat) : [numberOf(nested)]
}

function numberOf(value: unknown): number | undefined {
  if (typeof value === 'number') return value
  return typeof value === 'string' && SPELLED.test(value) ? Number(value) : undefined
}

const SPELLED = /^(NaN|-?Infinity)$/

function isNumbers(values: Numbers): values is readonly number[] {
  return !values.includes(undefined)
}

function shapeOf(nested: NestedNumbers): number[] {
  return Array.isArray(nested) ? [nested.length, ...shapeOf(nested[0] ?? 0)] : []
}

function isClose(expected: number, found: number): boolean {
  if (Object.is(expected, found) || expected === found) return true
  return Math.abs(expected - found) <= TOLERANCE * Math.max(1, Math.abs(expected))
}

function listed(numbers: ArrayLike<number>): string {
  const shown = Array.from({ length: Math.min(8, numbers.length) }, (_, i) => numbers[i])
  return `[${shown.join(', ')}${numbers.length > 8 ? ', ...' : ''}]`
}
