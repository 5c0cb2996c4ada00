/**
 * A process that registers for ever and prints what was acknowledged, a JSON line each. Plain JavaScript on the built
 * store, because it is started a thousand times.
 *
 *   node writer.js <module of the store> <url> <writer's name>
 */
import { createHash } from 'node:crypto'

const [, , module, url, writer] = process.argv
const { openStore } = await import(module)
const store = openStore(url, { maxLosses: 1000 })
const sha256 = (text) => createHash('sha256').update(text).digest('hex')

for (let i = 0; ; i++) {
  // Every third one goes to a name that the other writer uses as well.
  const name = i % 3 === 0 ? 'shared' : `${writer}_${i % 5}`
  const document = JSON.stringify({ writer, i, formula: 'x'.repeat((i * 977) % 9000) })
  const digest = sha256(document)
  const draft = { namespace: 'acme', name, id: sha256(name), digest, document, createdBy: writer }
  const { stored } = await store.register(draft)
  console.log(JSON.stringify({ writer, i, name, version: stored.version, digest }))
}
