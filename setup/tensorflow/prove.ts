/** The setup's final test: opens the engine as the server does, which computes one loss and its gradient and checks them. */
import { isUnavailable } from '../../src/engines/define.ts'
import { probe } from '../../src/engines/tensorflow/self-test.ts'
import tensorflow from '../../src/engines/tensorflow.ts'

const engine = await tensorflow.open('the setup')
if (isUnavailable(engine)) {
  console.error(`error: ${engine.unavailable}`)
  process.exit(1)
}
const { values, gradient, isCompiled } = await probe(engine)
const how = isCompiled ? '' : ' (op by op: XLA does not compile here)'
console.log(
  `proved: ${engine.info.device}${how}: cross-entropy ${values.join(', ')}; its gradient ${gradient.join(', ')}`,
)
