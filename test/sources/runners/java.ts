/** Java: each source is a class in a package of its own. */
import { camelCase, pascalCase } from '../../../src/sources/names.ts'
import type { Precision } from '../../../src/tensor.ts'
import { callsOf, type NativeJob, native } from './native.ts'

export const java = native({
  needs: ['javac', '-version'],
  files: (jobs, precision) =>
    new Map([
      ['Main.java', main(jobs)],
      ['Words.java', WORDS],
      ...jobs.flatMap((job) => [
        [`${job.id}/${pascalCase(job.name)}.java`, `package ${job.id};\n${job.text}`] as const,
        [`${job.id}/Caller.java`, caller(job, precision)] as const,
      ]),
    ]),
  build: (jobs) => [
    [
      'javac',
      '-Xlint:all',
      '-Werror',
      '-d',
      'out',
      'Words.java',
      'Main.java',
      ...jobs.flatMap(({ id, name }) => [`${id}/${pascalCase(name)}.java`, `${id}/Caller.java`]),
    ],
  ],
  run: ['java', '-cp', 'out', 'words.Main'],
})

const WORDS = `package words;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
public final class Words {
  private static final BufferedReader IN = new BufferedReader(new InputStreamReader(System.in), 1 << 20);
  private static final StringBuilder OUT = new StringBuilder();
  private Words() {}
  public static double[] word() {
    try {
      final String text = IN.readLine();
      final double[] numbers = new double[text.length() / 16];
      for (int i = 0; i < numbers.length; i++)
        numbers[i] = Double.longBitsToDouble(Long.parseUnsignedLong(text.substring(16 * i, 16 * i + 16), 16));
      return numbers;
    } catch (IOException error) {
      throw new IllegalStateException(error);
    }
  }
  public static int[] ints(double[] numbers) {
    final int[] found = new int[numbers.length];
    for (int i = 0; i < found.length; i++) found[i] = (int) numbers[i];
    return found;
  }
  public static double[] doubles(double[] numbers) { return numbers; }
  public static float[] floats(double[] numbers) {
    final float[] found = new float[numbers.length];
    for (int i = 0; i < found.length; i++) found[i] = (float) numbers[i];
    return found;
  }
  public static void tell(double number) { OUT.append(String.format("%016x", Double.doubleToRawLongBits(number))); }
  public static void line() { OUT.append('\\n'); }
  public static void flush() { System.out.print(OUT); }
}
`

function main(jobs: readonly NativeJob[]): string {
  const calls = jobs.map((job) => `    for (int i = 0; i < ${callsOf(job)}; i++) ${job.id}.Caller.run();`)
  return `package words;\npublic final class Main {\n  public static void main(String[] args) {\n${calls.join('\n')}\n    Words.flush();\n  }\n}\n`
}

function caller({ id, name, call }: NativeJob, precision: Precision): string {
  const real = precision === 'float64' ? 'double' : 'float'
  const { sizes, inputs, params, outputs } = call
  const own = pascalCase(name)
  const args = [
    ...sizes.map((_, place) => `sizes[${place}]`),
    ...inputs.map((_, place) => `x${place}`),
    ...params.map((_, place) => `params[${place}]`),
    `${own}.Reduction.values()[Words.ints(Words.word())[0]]`,
    ...outputs.map((_, place) => `y${place}`),
  ]
  return `package ${id};
import words.Words;
public final class Caller {
  private Caller() {}
  public static void run() {
    final int[] sizes = Words.ints(Words.word());
${inputs.map(({ type }, place) => `    final ${type === 'index' ? 'int' : real}[] x${place} = Words.${type === 'index' ? 'int' : real}s(Words.word());`).join('\n')}
    final ${real}[] params = Words.${real}s(Words.word());
    final int[] lengths = Words.ints(Words.word());
    Words.word();
${outputs.map((_, place) => `    final ${real}[] y${place} = new ${real}[lengths[${place}]];`).join('\n')}
    Words.tell(${own}.${camelCase(name)}(${args.join(', ')}));
    Words.line();
${outputs.map((_, place) => `    for (${real} number : y${place}) Words.tell(number);\n    Words.line();`).join('\n')}
  }
}
`
}
