/** Registers until the store fails, and prints what was acknowledged. */
import { StoreDown } from '../../src/store/contract.ts'
import { openStore } from '../../src/store/index.ts'
import { draftOf } from './drafts.ts'

const store = openStore(process.argv[2]!, { maxLosses: 10_000 })!
try {
  for (let i = 0; i < 10_000; i++) {
    const { stored } = await store.register(draftOf(`acme/a${i}`, `"${'x'.repeat(20_000)}${i}"`))
    console.log(stored.name)
  }
} catch (error) {
  if (!(error instanceof StoreDown)) throw error
  console.log(`down: ${error.message}`)
}
await store.close()
