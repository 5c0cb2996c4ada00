/** `npm run docs`: docs/sources.md, which loss goes into which target, and why not where not. */
import { writeFileSync } from 'node:fs'
import type { Loss } from '../src/losses/define.ts'
import { loadCatalog } from '../src/losses/load-catalog.ts'
import { CannotWrite, type Target } from '../src/sources/contract.ts'
import { DIALECTS } from '../src/sources/dialects.ts'
import { TARGETS } from '../src/sources/targets.ts'
import { writeSource } from '../src/sources/write.ts'
import { unitsOf } from '../test/sources/cases.ts'
import { columnsOf } from '../test/sources/rows.ts'

const { losses } = await loadCatalog()
const reasons: string[] = []
const rows = losses.map((loss) => {
  const cells = TARGETS.map((target) => cell(target, loss))
  return `| [${loss.name}](losses/${loss.name}.md) | ${loss.couples} | ${cells.join(' | ')} |`
})
writeFileSync(new URL('sources.md', import.meta.url), page())

/** A check mark, or the number of the reason. */
function cell(target: Target, loss: Loss): string {
  try {
    const unit = unitsOf(loss)[0]!
    const columns = target.family === 'sql' ? columnsOf(unit) : {}
    writeSource(target, { ...unit.request, options: { columns } })
    return 'yes'
  } catch (error) {
    if (!(error instanceof CannotWrite)) throw error
    const why = error.op === 'input' ? reasonOfInput(target, error.why) : error.why
    const text = `\`${error.op}\`: ${why}`
    const known = reasons.indexOf(text)
    return `no (${known >= 0 ? known + 1 : reasons.push(text)})`
  }
}

/** Without the names of inputs, which differ from loss to loss. */
function reasonOfInput({ family }: Target, why: string): string {
  if (family === 'sql') return 'an input is shared by all rows, and its gradient is a sum over them'
  return why.includes('has the axes')
    ? 'scores and labels have one number per row, or one per class'
    : 'the data has a label for each row, and the loss reads more inputs than scores and labels'
}

function page(): string {
  return `# A loss as source

A loss that was found or designed here can leave as source code: self-contained, readable, with its formula as a comment, and
with value and gradient, including the conventions at kinks.

\`\`\`sh
curl -s localhost:8080/v1/losses/huber/source/torch
curl -s localhost:8080/v1/losses/acme/robust_log/source/c?precision=float32
curl -s 'localhost:8080/v1/losses/huber/source/sql?dialect=duckdb&table=sales.t&predictions=y_hat&targets=y'
curl -s localhost:8080/v1/losses:source -H 'content-type: application/json' -d '
  { "target": "numpy", "formula": "log1p(((predictions - targets) / scale)^2)", "params": { "scale": 2 } }'
npx lossd source huber --target sql --dialect duckdb
\`\`\`

| target | what it is |
|---|---|
${TARGETS.map(({ name, about }) => `| \`${name}\` | ${about} |`).join('\n')}

The options are members of the query, or of the body of \`POST /v1/losses:source\`:

| option | meaning |
|---|---|
| \`params\` | Parameters. Numbers become the defaults of arguments, and literals in SQL; words, booleans and whole numbers are part of the program. |
| \`gradients\` | Inputs whose gradients are written, separated by commas. Default: all that have one. |
| \`optional\` | Optional inputs that are given. Default: none. |
| \`per_class\` | Inputs with one number per class in place of a class index. |
| \`precision\` | \`float64\` (the default) or \`float32\`, for loops. Array libraries compute in the precision of their inputs. |
| \`name\` | The name of the function. Default: that of the loss. |
| \`dialect\` | Of SQL: ${DIALECTS.map(({ name }) => `\`${name}\``).join(', ')}. |
| \`table\` | Of SQL; default \`t\`. A name with dots is that of a table in a schema. |
| *an input* | Of SQL: its column, or several with commas (\`predictions=a,b,c\`). In a body: a member of \`columns\`. Default: the name of the input. |

Functions reduce by \`mean\` (the default), \`sum\` or \`none\`. **Loops** read flat arrays and fill arrays that the caller passes; they
allocate nothing in the loop. What needs a whole axis at once (sorting, running sums, CTC) stands between loops as a function that the
source brings along. In C, arrays that begin at multiples of 64 bytes (\`aligned_alloc\`) take two thirds of the time of others where
memory is the limit. At \`-O3 -march=native\` GCC makes vectors of the loops over elements, except where they call libm (\`pow\` of a
focal loss, unless gamma is 2) and where it branches: in \`barron_robust\`, \`varifocal\` and some variants of others.

**SQL** answers one query that adds \`loss\` and \`gradient_<input>\` to each row (\`loss_\`, if it reads a column \`loss\`), in doubles,
without reduction: \`avg(loss)\` is the mean. NULL stays NULL. Where a database would raise an error (a division by zero, a logarithm
of 0) the query has the infinity or NaN of IEEE 754. The numbers are those of the service where the columns are finite; infinities
and NaN in them abort no query either. Only Spark, BigQuery and Snowflake take a divisor of -0 for 0, so that the infinity has the
other sign. Names are quoted; one that cannot be, or that contains the end of a statement, a comment or
a control, is a 422.

**XGBoost and LightGBM** get an objective of \`(preds, dtrain)\`, which returns the first and second derivatives of each row's loss,
and a metric with \`_metric\` behind its name. The scores that trees predict are the first input that has a gradient, or the one
that \`gradients\` names; the label is the other input with rows. Class weights and other inputs that all rows share are arguments.
Second derivatives are exact, weights are those of the data, and \`hessian_floor\` is that of the service. Trees equal those of the
library's own objective where it has the loss; its second derivatives may have a factor, as the 2 of \`multi:softprob\`.

\`\`\`python
from functools import partial
from huber import huber, huber_metric   # curl -s localhost:8080/v1/losses/huber/source/xgboost > huber.py

booster = xgb.train({"disable_default_eval_metric": 1}, dtrain, 100, obj=partial(huber, delta=2, hessian_floor=1),
                    custom_metric=partial(huber_metric, delta=2), evals=[(dtrain, "train")])
\`\`\`

Every target is run against the service's float64 answers where its tools are installed (\`npm run test:sources\`), on ordinary,
extreme and tied inputs: queries agree to 1e-12, the others to a few roundings. BigQuery's queries are run in the reference
implementation of GoogleSQL. Snowflake cannot be installed: sqlglot says its queries as DuckDB does, and DuckDB computes them. XLA
on CPUs takes subnormal numbers (below 2.2e-308) for 0, so JAX and TensorFlow answer for those what the service answers for 0. Keras
3.15 on JAX computes sines, cosines and arcs in float32, also of float64 tensors.

## Which loss goes where

| loss | couples | ${TARGETS.map(({ name }) => name).join(' | ')} |
|---|---|${TARGETS.map(() => '---|').join('')}
${rows.join('\n')}

${reasons.map((reason, place) => `${place + 1}. ${reason}.`).join('\n')}
`
}
