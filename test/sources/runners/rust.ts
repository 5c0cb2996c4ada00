/** Rust: each source is a module of its own. */
import type { Precision } from '../../../src/tensor.ts'
import { callsOf, type NativeJob, native } from './native.ts'

export const rust = native({
  needs: ['rustc', '--version'],
  files: (jobs, precision) =>
    new Map([
      ['lib.rs', jobs.map(({ id }) => `pub mod ${id};\n`).join('')],
      ['main.rs', main(jobs, precision)],
      ...jobs.map((job) => [`${job.id}.rs`, job.text] as const),
    ]),
  build: () => [
    // As a library, where what is public counts as used.
    ['rustc', '--edition', '2021', '-D', 'warnings', '--crate-type', 'lib', '--emit', 'metadata', 'lib.rs'],
    [
      'rustc',
      '--edition',
      '2021',
      '-D',
      'warnings',
      // Nobody reads the defaults here.
      '-A',
      'dead_code',
      '-O',
      '-C',
      'codegen-units=4',
      '-o',
      'program',
      'main.rs',
    ],
  ],
  run: ['./program'],
})

function main(jobs: readonly NativeJob[], precision: Precision): string {
  const real = precision === 'float64' ? 'f64' : 'f32'
  const calls = jobs.flatMap((job) => Array.from({ length: callsOf(job) }, () => `    run_${job.id}();`))
  return `use std::io::BufRead;
${jobs.map(({ id }) => `mod ${id};`).join('\n')}

fn word() -> Vec<f64> {
    let mut text = String::new();
    std::io::stdin().lock().read_line(&mut text).unwrap();
    let text = text.trim_end();
    (0..text.len() / 16).map(|i| f64::from_bits(u64::from_str_radix(&text[16 * i..16 * i + 16], 16).unwrap())).collect()
}

fn tell(numbers: &[${real}]) {
    let text: String = numbers.iter().map(|number| format!("{:016x}", (*number as f64).to_bits())).collect();
    println!("{}", text);
}

${jobs.map((job) => caller(job, real)).join('\n')}
fn main() {
${calls.join('\n')}
}
`
}

function caller({ id, name, call }: NativeJob, real: string): string {
  const { sizes, inputs, params, outputs } = call
  const args = [
    ...sizes.map((_, place) => `_sizes[${place}] as usize`),
    ...inputs.map((_, place) => `&x${place}`),
    ...params.map((_, place) => `_params[${place}] as ${real}`),
    'reduction',
    ...outputs.map((_, place) => `&mut y${place}`),
  ]
  return `fn run_${id}() {
    let _sizes = word();
${inputs.map(({ type }, place) => `    let x${place}: Vec<${type === 'index' ? 'i32' : real}> = word().iter().map(|x| *x as ${type === 'index' ? 'i32' : real}).collect();`).join('\n')}
    let _params = word();
    let lengths = word();
    word();
    let reduction = [${id}::Reduction::None, ${id}::Reduction::Sum, ${id}::Reduction::Mean][word()[0] as usize];
${outputs.map((_, place) => `    let mut y${place} = vec![0.0 as ${real}; lengths[${place}] as usize];`).join('\n')}
    tell(&[${id}::${name}(${args.join(', ')})]);
${outputs.map((_, place) => `    tell(&y${place});`).join('\n')}
}
`
}
