/** docs/reliability.md promises only what a test holds. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { FAULTS } from '../docs/faults.ts'
import { loadConfig, settingsTable } from '../src/config.ts'

const read = (file: string) => readFileSync(new URL(`../${file}`, import.meta.url), 'utf8')

describe('each fault', () => {
  it.each(FAULTS.map((fault) => [fault.id, fault.fault, fault] as const))(
    '%s (%s) is held by a test, or has a reason',
    (_id, _fault, { held = [], why }) => {
      expect(held.length > 0).toBe(why === undefined)
      for (const { file, says } of held) expect(read(file), file).toContain(says)
      for (const { file } of held) expect(file).toMatch(/^(test|load)\//)
    },
  )

  it('has an id of its own', () => {
    const ids = FAULTS.map(({ id }) => id)
    expect(new Set(ids).size).toBe(ids.length)
    expect(ids.length).toBe(120)
  })
})

describe('each resource', () => {
  const table = read('docs/reliability.md').split('## What a client can hold')[1]!.split('\n## ')[0]!
  const rows = table.split('\n').filter((line) => line.startsWith('| ') && !line.includes('| limit |'))

  it('has a limit, an end and a test', () => {
    expect(rows.length).toBeGreaterThan(8)
    for (const row of rows) {
      const cells = row.split('|').slice(1, -1)
      expect(cells).toHaveLength(4)
      for (const cell of cells) expect(cell.trim(), row).not.toBe('')
      expect(cells[3], row).toMatch(/\]\(\.\.\/(test|load)\//)
    }
  })

  it('is limited by settings that exist', () => {
    const known = settingsTable()
    for (const [name] of table.matchAll(/LOSSD_\w+/g)) expect(known).toContain(`\`${name}\``)
    expect(loadConfig({}).maxConnections).toBeGreaterThan(0)
  })
})
