/** `tsx setup/tensorflow/within.ts SCRIPT`: runs a script in the environment that the engine's own process would have. */
import { spawnSync } from 'node:child_process'
import tensorflow from '../../src/engines/tensorflow.ts'

const env = { ...process.env, ...tensorflow.environment?.() }
const args = ['--import', 'tsx', ...process.argv.slice(2)]
process.exitCode = spawnSync(process.execPath, args, { stdio: 'inherit', env }).status ?? 1
