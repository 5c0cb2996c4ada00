/** The command `lossd keys`: makes, lists and revokes keys, where `LOSSD_KEYS` says that they are. */
import { parseArgs } from 'node:util'
import { InvalidAccess } from './grants.ts'
import type { KeySource } from './key-source.ts'
import { generateKey, type KeyRecord, lapsed } from './keys.ts'

export const KEYS_USAGE = `lossd keys add --name <name>            makes a key, and prints it this one time
lossd keys list                         lists the keys
lossd keys revoke <id>                  revokes a key

  --grant     evaluate, register or admin in a namespace: register:acme, evaluate:* (may be repeated)
  --quota     requests=100/s, elements=50M/m, bytes=64M/10s, concurrency=8 (may be repeated)
  --expires   a date: 2027-01-01`

export interface KeysCommand {
  readonly source: KeySource
  /** Who runs the command. */
  readonly user: string
  /** What is printed for programs. */
  readonly out: (line: string) => void
  /** What is printed for people. */
  readonly note: (line: string) => void
}

/**
 * @throws InvalidAccess, or TypeError with the usage
 * @example
 * await runKeys(['add', '--name', 'trainer', '--grant', 'evaluate:acme'], command)
 */
export async function runKeys([verb, ...args]: readonly string[], command: KeysCommand): Promise<void> {
  if (verb === 'add') return add(args, command)
  if (verb === 'list' && args.length === 0) return list(command)
  if (verb === 'revoke' && args.length === 1) return revoke(args[0], command)
  throw new TypeError(KEYS_USAGE)
}

async function add(args: readonly string[], { source, user, out, note }: KeysCommand) {
  const many = { type: 'string', multiple: true } as const
  const options = { name: { type: 'string' }, grant: many, quota: many, expires: { type: 'string' } } as const
  const { values } = parseArgs({ args: [...args], options })
  if (values.name === undefined) throw new TypeError(KEYS_USAGE)
  const { text, record } = generateKey({
    name: values.name,
    grants: values.grant ?? [],
    quotas: values.quota ?? [],
    createdBy: user,
    expires: dateOf(values.expires),
  })
  await source.put(record)
  out(text)
  note(`lossd: made key ${record.id} (${record.name}). It is shown only now.`)
}

async function list({ source, out }: KeysCommand) {
  const rows = (await source.read()).map((key) => [
    key.id,
    lapsed(key, Date.now()) ?? 'valid',
    key.name,
    key.grants.join(' '),
    key.quotas.join(' '),
    key.created,
  ])
  const table = [['id', 'state', 'name', 'grants', 'quotas', 'created'], ...rows]
  const widths = table[0].map((_, column) => Math.max(...table.map((row) => row[column].length)))
  for (const row of table)
    out(
      row
        .map((cell, column) => cell.padEnd(widths[column]))
        .join('  ')
        .trimEnd(),
    )
}

async function revoke(id: string, { source, user, note }: KeysCommand) {
  const found = (await source.read()).find((key) => key.id === id)
  if (found === undefined) throw new InvalidAccess(`there is no key ${id.slice(0, 80)}`)
  if (found.revoked !== null) return note(`lossd: key ${id} was revoked on ${found.revoked}`)
  const record: KeyRecord = { ...found, revoked: new Date().toISOString(), revokedBy: user }
  await source.put(record)
  note(`lossd: revoked key ${id} (${found.name}). Services refuse it within seconds.`)
}

function dateOf(text: string | undefined): string | null {
  if (text === undefined) return null
  const time = Date.parse(text)
  if (Number.isNaN(time)) throw new InvalidAccess('--expires must be a date, as in 2027-01-01')
  return new Date(time).toISOString()
}
