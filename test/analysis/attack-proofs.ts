/**
 * npm run test:proofs: thousands of random formulas are analysed, and everything that is proved is attacked with points;
 * losses of a margin, a quarter as many, with a grid;
 * as many programs are enclosed with their gradients and second derivatives, and evaluated in their boxes. Ends with 1 if
 * a single proof or enclosure is false. `-- 5000` sets their number, `-- 5000 17` also the first seed.
 */
import type { Analysis } from '../../src/analysis/analyze.ts'
import { loadCatalog } from '../../src/losses/load-catalog.ts'
import {
  attacked,
  brokenEnclosures,
  randomBoxes,
  randomElementFormula,
  randomFormula,
  randomLikelyFormula,
} from '../support/attack.ts'
import { attackClassifier, marginLoss, randomMarginFormula } from '../support/broken-classifiers.ts'
import { attackProofs, elementLoss } from '../support/broken-proofs.ts'
import { randomFrom } from '../support/sample.ts'

const { losses: catalog } = await loadCatalog()
const [count, first] = [Number(process.argv[2] ?? 2000), Number(process.argv[3] ?? 1)]
const tally = new Map<string, number>()
let [tried, wrong] = [0, 0]

function note(properties: Analysis['properties']) {
  for (const [name, { verdict }] of Object.entries(properties))
    tally.set(`${name} ${verdict}`, (tally.get(`${name} ${verdict}`) ?? 0) + 1)
}

for (let seed = first; seed < first + count; seed++) {
  const random = randomFrom(seed)
  const formula = seed % 2 === 0 ? randomLikelyFormula(random) : randomElementFormula(random)
  const { analysis, broken } = attackProofs(elementLoss(formula), random, 300, 400, catalog)
  tried++
  note(analysis.properties)
  for (const what of broken.slice(0, 2)) console.error(`seed ${seed}: ${formula}\n  ${what}`)
  if (broken.length > 0) wrong++
}

for (let seed = first; seed < first + count; seed += 4) {
  const formula = randomMarginFormula(randomFrom(seed))
  const { analysis, broken } = attackClassifier(marginLoss(formula))
  tried++
  note(analysis.properties)
  for (const what of broken.slice(0, 2)) console.error(`seed ${seed}: ${formula}\n  ${what}`)
  if (broken.length > 0) wrong++
}

let leaks = 0
for (let seed = first; seed < first + count; seed++) {
  const random = randomFrom(seed)
  const formula = randomFormula(random)
  const [broken] = brokenEnclosures(attacked(formula), randomBoxes(random), random, 10)
  if (broken === undefined) continue
  leaks++
  console.error(`seed ${seed}: ${formula}\n  ${JSON.stringify(broken)}`)
}

const proofs = [...tally].filter(([key]) => key.endsWith(' proved')).sort()
console.log(proofs.map(([key, n]) => `${key}: ${n}`).join('\n'))
console.log(
  `${tried} formulas, ${wrong} with a false proof; ${count} programs, ${leaks} with a false enclosure`,
)
process.exitCode = wrong + leaks === 0 ? 0 : 1
