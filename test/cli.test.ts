/** The command line: `lossd source`, `analyze` and `losses`, and what they say of mistakes. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { builtProgram } from './support/programs.ts'

const PROGRAM = builtProgram('cli')
let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'lossd-cli-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

function lossd(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [PROGRAM, ...args], {
    encoding: 'utf8',
  })
  return { status, stdout, stderr }
}

describe('lossd evaluate', () => {
  it('tells a failure in one line, whatever the names of columns are', () => {
    const file = join(folder, 'names.csv')
    writeFileSync(file, 'y,"a\u001b[31m\nb"\n1,2\n')
    const { status, stderr } = lossd('evaluate', file, '--predictions', 'y_hat', '--targets', 'y')
    expect([status, stderr]).toEqual([
      1,
      expect.stringMatching(/^\S*names.csv has no column "y_hat"; it has y, a\\u001b\[31m\\nb.*\n$/),
    ])
  })
})

describe('lossd analyze', () => {
  it('prints what is proved of a formula in a file, and a plot', () => {
    const file = join(folder, 'formula.txt')
    writeFileSync(file, 'e = predictions - targets\nlog1p((e / scale)^2)\n')
    const { status, stdout } = lossd('analyze', file, '--params', '{"scale": 2}')
    expect(status).toBe(0)
    expect(stdout).toMatch(/^✗ convex +refuted/m)
    expect(stdout).toMatch(/^✓ redescending +proved/m)
    expect(stdout).toMatch(/^slope +\S/m)
  })

  it('prints all of the evidence as JSON', () => {
    const { stdout } = lossd('analyze', 'huber', '--params', '{"delta": 2}', '--json')
    const { properties } = JSON.parse(stdout) as {
      properties: Record<string, { verdict: string; evidence: object }>
    }
    expect(properties.convex!.verdict).toBe('proved')
    expect(properties.lipschitz!.evidence).toMatchObject({ bound: 2 })
  })

  it('suggests the name that was meant', () => {
    const { status, stderr } = lossd('analyze', 'hubber')
    expect([status, stderr]).toEqual([1, expect.stringContaining('Did you mean "huber"?')])
  })

  it('says which inputs have a gradient', () => {
    const { status, stderr } = lossd('analyze', 'huber', '--of', 'target')
    expect([status, stderr]).toEqual([
      1,
      'huber has no gradient with respect to "target", only to predictions, targets\n',
    ])
  })
})

describe('lossd source', () => {
  it('prints a query for the dialect that is named', () => {
    const { status, stdout } = lossd(
      'source',
      'huber',
      '--target',
      'sql',
      '--dialect',
      'postgres',
      '--table',
      'sales',
    )
    expect(status).toBe(0)
    expect(stdout).toContain('FROM "sales"')
  })

  it('lists the targets if there is none of that name', () => {
    const { status, stderr } = lossd('source', 'huber', '--target', 'fortran')
    expect([status, stderr]).toEqual([1, expect.stringContaining('targets are numpy, torch')])
  })
})

it('lossd losses lists the catalog, and without a command the usage is printed', () => {
  expect(lossd('losses').stdout.split('\n').length).toBeGreaterThan(80)
  const { status, stderr } = lossd()
  expect([status, stderr]).toEqual([1, expect.stringContaining('lossd analyze <loss>')])
})
