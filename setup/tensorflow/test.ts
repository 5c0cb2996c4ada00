/**
 * `npm run test:tensorflow`: what every engine promises, held against the one on TensorFlow, and what it promises itself.
 * Sets nothing up: where TensorFlow is not, it says so in one line and is content.
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
  // As its own process would have it.
  const env = { ...process.env, ...tensorflow.environment?.() }
  return spawnSync(process.execPath, command, { stdio: 'inherit', env }).status ?? 1
}
