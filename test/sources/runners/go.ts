/** Go: each source is a package of its own. */
import { pascalCase } from '../../../src/sources/names.ts'
import type { Precision } from '../../../src/tensor.ts'
import { callsOf, type NativeJob, native } from './native.ts'

export const go = native({
  needs: ['go', 'version'],
  files: (jobs, precision) =>
    new Map([
      ['go.mod', 'module lossd.test\n\ngo 1.21\n'],
      ['main.go', main(jobs, precision)],
      ...jobs.map((job) => [`${job.id}/source.go`, job.text] as const),
    ]),
  build: () => [
    ['go', 'vet', './...'],
    ['go', 'build', '-o', 'program', '.'],
  ],
  run: ['./program'],
})

function main(jobs: readonly NativeJob[], real: Precision): string {
  const imports = jobs.map(({ id }) => `\t${id} "lossd.test/${id}"`)
  const calls = jobs.flatMap((job) => Array.from({ length: callsOf(job) }, () => `\trun_${job.id}()`))
  return `package main

import (
	"bufio"
	"fmt"
	"math"
	"os"
	"strconv"
${imports.join('\n')}
)

var in = bufio.NewReaderSize(os.Stdin, 1<<20)
var out = bufio.NewWriter(os.Stdout)

func word() []float64 {
	text, _ := in.ReadString('\\n')
	numbers := make([]float64, len(text)/16)
	for i := range numbers {
		bits, _ := strconv.ParseUint(text[16*i:16*i+16], 16, 64)
		numbers[i] = math.Float64frombits(bits)
	}
	return numbers
}

func as[T int | int32 | float32 | float64](numbers []float64) []T {
	found := make([]T, len(numbers))
	for i, number := range numbers {
		found[i] = T(number)
	}
	return found
}

func tell(numbers []${real}) {
	for _, number := range numbers {
		fmt.Fprintf(out, "%016x", math.Float64bits(float64(number)))
	}
	fmt.Fprintln(out)
}

${jobs.map((job) => caller(job, real)).join('\n')}
func main() {
	defer out.Flush()
${calls.join('\n')}
}
`
}

function caller({ id, name, call }: NativeJob, real: Precision): string {
  const { sizes, inputs, params, outputs } = call
  const args = [
    ...sizes.map((_, place) => `sizes[${place}]`),
    ...inputs.map((_, place) => `x${place}`),
    ...params.map((_, place) => `params[${place}]`),
    'reduction',
    ...outputs.map((_, place) => `y${place}`),
  ]
  return `func run_${id}() {
	sizes := as[int](word())
${inputs.map(({ type }, place) => `\tx${place} := as[${type === 'index' ? 'int32' : real}](word())`).join('\n')}
	params := as[${real}](word())
	lengths := as[int](word())
	_, _, _ = word(), sizes, params
	reduction := []string{"none", "sum", "mean"}[int(word()[0])]
${outputs.map((_, place) => `\ty${place} := make([]${real}, lengths[${place}])`).join('\n')}
	tell([]${real}{${id}.${pascalCase(name)}(${args.join(', ')})})
${outputs.map((_, place) => `\ttell(y${place})`).join('\n')}
}
`
}
