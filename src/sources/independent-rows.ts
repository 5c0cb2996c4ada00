/** Whether each row of a table is one row of a loss: for queries, and for trees, which see one row at a time. */
import { isValueIndependentAlong } from '../language/coupling.ts'
import { locationOf } from '../language/source-locations.ts'
import { batchAxisOf } from '../losses/program.ts'
import { CannotWrite, type SourceProgram } from './contract.ts'

/**
 * @param why what the refusal says of the op that couples rows
 * @throws CannotWrite if the loss of a row depends on another one
 */
export function checkIndependentRows({ program, loss, places }: SourceProgram, why: string) {
  const coupled = [batchAxisOf(loss), '...'].find(
    (axis) => program.axes.includes(axis) && !isValueIndependentAlong(program, axis),
  )
  if (coupled === undefined) return
  const { nodes, renamed } = program
  const names = [coupled, ...Object.keys(renamed).filter((axis) => renamed[axis] === coupled)]
  const id = nodes.findIndex(({ op, axis }) => {
    return op !== 'index' && op !== 'size' && axis !== undefined && names.includes(axis)
  })
  if (id < 0) throw new CannotWrite('input', why)
  throw new CannotWrite(nodes[id].op, why, locationOf(nodes, places, id))
}
