/** Engine discovery: engines are found by their files, and every list of engines is complete. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { ConfigError, loadConfig } from '../../src/config.ts'
import { engineDefinitions } from '../../src/engines/engine-registry.ts'

const names = (await engineDefinitions()).map(({ name }) => name)

describe('every engine', () => {
  it.each(['auto', ...names])('%s can be selected', (engine) => {
    expect(loadConfig({ LOSSD_ENGINE: engine }).engine).toBe(engine)
  })

  it('and no other name', () => {
    const words = refusalOf('none of them').replace(/^.*must be (.*), got.*$/s, '$1')
    expect(words.split(', ').sort()).toEqual(['auto', ...names].sort())
  })

  it.each(names)('%s is documented in docs/engines.md', (name) => {
    expect(readFileSync('docs/engines.md', 'utf8')).toContain(`\`${name}\``)
  })
})

function refusalOf(engine: string): string {
  try {
    loadConfig({ LOSSD_ENGINE: engine })
  } catch (error) {
    if (error instanceof ConfigError) return error.message
  }
  return ''
}
