/** The clients and the service are published together, with one version. */
import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { FUNCTIONS } from '../../src/language/functions.ts'

const read = (file: string) => readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8')
const { version } = JSON.parse(read('package.json')) as { version: string }

it.each([
  ['clients/python/pyproject.toml', /^version = "(.+)"$/m],
  ['clients/python/src/lossd/_client.py', /^VERSION = "(.+)"$/m],
  ['clients/python/src/lossd/_catalog.json', /^\{"version":"([^"]+)"/],
  ['clients/go/doc.go', /^const Version = "(.+)"$/m],
  ['clients/java/pom.xml', /^ {2}<version>(.+)<\/version>$/m],
  ['clients/java/src/main/java/io/github/lossd/Client.java', /String VERSION = "(.+)";$/m],
  ['clients/rust/Cargo.toml', /^version = "(.+)"$/m],
  ['clients/rust/src/lib.rs', /^pub const VERSION: &str = "(.+)";$/m],
  ['clients/typescript/package.json', /"version": "(.+)"/],
  ['clients/typescript/src/client.ts', /^export const VERSION = '(.+)'$/m],
  ['clients/typescript/src/catalog.json', /^\{"version":"([^"]+)"/],
])('%s has the version of the service', (file, pattern) => {
  expect(pattern.exec(read(file))?.[1]).toBe(version)
})

it('the clients have one catalog', () => {
  expect(read('clients/typescript/src/catalog.json')).toBe(read('clients/python/src/lossd/_catalog.json'))
})

it('the clients know every function of the language', () => {
  const { functions } = JSON.parse(read('clients/python/src/lossd/_catalog.json'))
  expect(Object.keys(functions)).toEqual([...FUNCTIONS.keys()])
})
