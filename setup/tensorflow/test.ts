/**
 * `npm run test:tensorflow`: runs the conformance suite of the engines and the tests of the TensorFlow engine. It does not
 * install anything: without TensorFlow, it prints one line and passes.
 */
import { spawnSync } from 'node:child_process'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { readSetup } from '../../src/engines/tensorflow/setup.ts'
import tensorflow from '../../src/engines/tensorflow.ts'

const SHARED = [
  'test/engines/every-engine.test.ts',
  'test/engines/every-op.test.ts',
  'test/losses/every-loss.accuracy.test.ts',
]
const OWN = ['test/engines/tensorflow']

const setup = readSetup()
if (typeof setup === 'string') console.log(`TensorFlow is not tested here: ${setup}`)
else process.exitCode = [run([...SHARED, '-t', 'tensorflow']), run(OWN)].find((code) => code !== 0) ?? 0

function run(args: readonly string[]): number {
  const home = dirname(createRequire(import.meta.url).resolve('vitest/package.json'))
  const command = [join(home, 'vitest.mjs'), 'run', ...args]
  // The environment that the engine's own process would have.
  const env = { ...process.env, ...tensorflow.environment?.() }
  return spawnSync(process.execPath, command, { stdio: 'inherit', env }).status ?? 1
}
