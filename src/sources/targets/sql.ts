/** SQL: one query that adds the loss and its gradients to the rows of a table. */
import { InvalidName, type SourceProgram, type Target, type WriteOptions } from '../contract.ts'
import { DIALECTS } from '../dialects.ts'
import { writeSql } from '../sql.ts'

const target: Target = {
  name: 'sql',
  family: 'sql',
  about: 'A query that adds the loss and its gradients to the rows of a table, in doubles.',
  mediaType: 'application/sql',
  extension: '.sql',
  precisions: ['float64'],
  dialects: DIALECTS.map(({ name }) => name),
  write,
}

export default target

function write(source: SourceProgram, options: WriteOptions): string {
  const dialect = DIALECTS.find(({ name }) => name === options.dialect)
  if (dialect === undefined) throw new InvalidName('dialect', `there is no dialect "${options.dialect}"`)
  return writeSql(source, dialect, options)
}
