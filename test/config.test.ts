/** The configuration is strictly validated and documented in README.md. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { ConfigError, loadConfig, settingsTable } from '../src/config.ts'

describe('the configuration', () => {
  it('has a default for every setting', () => {
    expect(loadConfig({})).toMatchObject({ port: 8080, host: '0.0.0.0', engine: 'auto', maxDelayMs: 0 })
  })

  it.each(['8080x', '1e3', '-1', '0x10', ' 80', '65536', '8.5'])('rejects the port %j', (PORT) => {
    expect(() => loadConfig({ PORT })).toThrow(ConfigError)
  })

  it('reports all errors at once', () => {
    expect(() => loadConfig({ PORT: 'x', LOSSD_QUEUE_JOBS: '0' })).toThrow(
      /PORT must[\s\S]*LOSSD_QUEUE_JOBS must be an integer >= 1/,
    )
  })

  it.each([
    [{ LOSSD_DEADLINE_MS: '2147483648' }, /LOSSD_DEADLINE_MS must be an integer from 1 to 2147483647/],
    [{ LOSSD_SHUTDOWN_LIMIT_MS: '9999999999' }, /LOSSD_SHUTDOWN_LIMIT_MS must be/],
    [{ LOSSD_HEADERS_TIMEOUT_MS: '90000' }, /LOSSD_HEADERS_TIMEOUT_MS must not exceed LOSSD_BODY_TIMEOUT_MS/],
    [{ LOSSD_DEADLINE_MS: '400000' }, /LOSSD_DEADLINE_MS must not exceed LOSSD_MAX_DEADLINE_MS/],
  ])('rejects timeouts that could not be met: %j', (env, message) => {
    expect(() => loadConfig(env)).toThrow(message)
  })

  it('treats an empty variable as unset, and ignores other variables', () => {
    expect(loadConfig({ PORT: '', PATH: '/bin' }).port).toBe(8080)
  })

  it('is documented in README.md', () => {
    const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')
    const table = /<!-- config -->\n([\s\S]*?)\n<!-- \/config -->/.exec(readme)?.[1]
    expect(table, 'run npm run docs').toBe(settingsTable())
  })
})
