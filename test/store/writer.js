/**
 * Registers in an endless loop and prints each acknowledgement as a line of JSON. Plain JavaScript that uses the built
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
  // Every third registration uses a name that the other writer uses, too.
  const name = i % 3 === 0 ? 'shared' : `${writer}_${i % 5}`
  const document = JSON.stringify({ writer, i, formula: 'x'.repeat((i * 977) % 9000) })
  const digest = sha256(document)
  const draft = { namespace: 'acme', name, id: sha256(name), digest, document, createdBy: writer }
  const { stored } = await register(draft)
  console.log(JSON.stringify({ writer, i, name, version: stored.version, digest }))
}

/** SQLite gives the file to nobody in particular: the other writer may have it for longer than a transaction waits. */
async function register(draft) {
  for (;;) {
    try {
      return await store.register(draft)
    } catch (error) {
      if (error.name !== 'StoreDown' || !error.message.includes('another process has locked the file'))
        throw error
    }
  }
}
