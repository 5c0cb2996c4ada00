/** C through gcc or clang: each source is a file of its own, which includes how to call it. */
import type { Precision } from '../../../src/tensor.ts'
import { callsOf, type NativeJob, native } from './native.ts'

const FLAGS = ['-std=c11', '-Wall', '-Wextra', '-Wpedantic', '-Werror']

export const cWith = (compiler: string, ...options: readonly string[]) =>
  native({
    needs: [compiler, '--version'],
    files: (jobs, precision) =>
      new Map([
        ['words.h', WORDS],
        ['main.c', main(jobs)],
        ...jobs.map(
          (job) => [`${job.id}.c`, `${ownNames(job)}${job.text}\n${caller(job, precision)}`] as const,
        ),
      ]),
    build: (jobs) => [
      [compiler, ...FLAGS, ...options, '-o', 'program', 'main.c', ...jobs.map(({ id }) => `${id}.c`), '-lm'],
    ],
    run: ['./program'],
  })

/** Several sources of one loss are linked together. */
const ownNames = ({ id, name }: NativeJob) =>
  `#define ${name} ${id}_f\n#define ${name}_scratch ${id}_scratch\n`

/** Each word is an array of doubles in hexadecimal digits, the highest byte first. */
const WORDS = `#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
static inline double *word(size_t *count) {
  size_t room = 64, length = 0;
  char *text = malloc(room);
  for (int next = getchar(); next != '\\n' && next != EOF; next = getchar()) {
    if (length + 1 >= room) text = realloc(text, room *= 2);
    text[length++] = (char)next;
  }
  text[length] = 0;
  *count = length / 16;
  double *numbers = malloc(8 * (*count + 1));
  for (size_t i = 0; i < *count; i++) {
    char digits[17];
    memcpy(digits, text + 16 * i, 16);
    digits[16] = 0;
    const uint64_t bits = strtoull(digits, 0, 16);
    memcpy(numbers + i, &bits, 8);
  }
  free(text);
  return numbers;
}
static inline void tell(double value) {
  uint64_t bits;
  memcpy(&bits, &value, 8);
  printf("%016llx", (unsigned long long)bits);
}
`

function main(jobs: readonly NativeJob[]): string {
  const declared = jobs.map(({ id }) => `void run_${id}(void);`)
  const called = jobs.flatMap((job) => Array.from({ length: callsOf(job) }, () => `  run_${job.id}();`))
  return `${declared.join('\n')}\nint main(void) {\n${called.join('\n')}\n  return 0;\n}\n`
}

function caller({ id, name, call }: NativeJob, precision: Precision): string {
  const real = precision === 'float64' ? 'double' : 'float'
  const { sizes, inputs, params, outputs, scratch } = call
  const read = inputs.map(({ type }, place) => {
    const own = type === 'index' ? 'int32_t' : real
    return `  double *w${place} = word(&count); ${own} *x${place} = malloc(8 * (count + 1)); for (size_t i = 0; i < count; i++) x${place}[i] = (${own})w${place}[i]; free(w${place});`
  })
  const args = [
    ...sizes.map((_, place) => `(size_t)sizes[${place}]`),
    ...inputs.map((_, place) => `x${place}`),
    ...params.map((_, place) => `(${real})params[${place}]`),
    `(enum ${name}_reduction)(int)reduction[0]`,
    ...outputs.map((_, place) => `y${place}`),
    ...(scratch.length === 0 ? [] : ['scratch']),
  ]
  const counts = sizes.map((_, place) => `(size_t)sizes[${place}]`).join(', ')
  return `#undef ${name}
#undef ${name}_scratch
#include "words.h"
void run_${id}(void);
void run_${id}(void) {
  size_t count;
  double *sizes = word(&count);
${read.join('\n')}
  double *params = word(&count);
  double *lengths = word(&count);
  double *room = word(&count);
  double *reduction = word(&count);
  (void)sizes; (void)params;
${outputs.map((_, place) => `  ${real} *y${place} = malloc(8 * ((size_t)lengths[${place}] + 1));`).join('\n')}
  (void)room;
  ${real} *scratch = malloc(8 * (${scratch.length === 0 ? '1' : `${id}_scratch(${counts}) + 1`}));
  (void)scratch;
  tell(${id}_f(${args.join(', ')}));
  printf("\\n");
${outputs.map((_, place) => `  for (size_t i = 0; i < (size_t)lengths[${place}]; i++) tell(y${place}[i]);\n  printf("\\n");`).join('\n')}
}
`
}
