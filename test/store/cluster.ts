/** A temporary PostgreSQL server from the machine's own package, on a private Unix socket. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

/** Where Debian installs PostgreSQL. */
const PACKAGES = '/usr/lib/postgresql'
/** The suffix of the socket's name. No port is opened. */
const PORT = 5432

/** @returns undefined if PostgreSQL is not installed */
export function findPostgres(): string | undefined {
  if (!existsSync(PACKAGES)) return undefined
  const versions = readdirSync(PACKAGES).sort((a, b) => Number(b) - Number(a))
  const folders = versions.map((version) => join(PACKAGES, version, 'bin'))
  return folders.find((folder) => existsSync(join(folder, 'initdb')) && existsSync(join(folder, 'postgres')))
}

/** PostgreSQL does not run as root. */
function userOf(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined
  const lines = readFileSync('/etc/passwd', 'utf8').split('\n')
  const [, , uid, gid] = lines.find((line) => /^(postgres|nobody):/.test(line))!.split(':')
  return { uid: Number(uid), gid: Number(gid) }
}

export class Cluster {
  readonly #bin: string
  readonly #folder = mkdtempSync(join(tmpdir(), 'lossd-pg-'))
  readonly #user = userOf()
  #server: ChildProcess | undefined
  #databases = 0

  constructor(bin: string) {
    this.#bin = bin
    if (this.#user !== undefined) chownSync(this.#folder, this.#user.uid, this.#user.gid)
    const options = ['--username=lossd', '--auth=trust', '--encoding=UTF8', '--locale=C.UTF-8', '--no-sync']
    this.#run('initdb', ['--pgdata', this.#data, ...options])
  }

  get #data() {
    return join(this.#folder, 'data')
  }

  /** @param settings of the server, each `name=value` */
  async start(settings: readonly string[] = []): Promise<void> {
    const all = ['listen_addresses=', `unix_socket_directories=${this.#folder}`, ...settings]
    const args = ['-D', this.#data, '-F', '-p', `${PORT}`, ...all.flatMap((setting) => ['-c', setting])]
    const server = spawn(join(this.#bin, 'postgres'), args, {
      ...this.#user,
      cwd: this.#folder,
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    this.#server = server
    process.once('exit', () => server.kill('SIGQUIT'))
    const lines: string[] = []
    for await (const line of createInterface(server.stderr)) {
      lines.push(line)
      if (!line.includes('ready to accept connections')) continue
      server.stderr.resume()
      return
    }
    throw new Error(`PostgreSQL does not start: ${lines.join('\n')}`)
  }

  /** Ends every connection, as a restart does. */
  async stop(): Promise<void> {
    const server = this.#server
    this.#server = undefined
    if (server === undefined || server.exitCode !== null) return
    const ended = once(server, 'exit')
    server.kill('SIGINT')
    await ended
  }

  /** Creates a database. @returns its address */
  createDatabase(options = ''): string {
    const name = `t${this.#databases++}`
    this.query('postgres', `create database ${name} ${options}`)
    return this.addressOf(name)
  }

  addressOf(database: string, user = 'lossd'): string {
    return `postgres://${user}@/${database}?host=${encodeURIComponent(this.#folder)}&port=${PORT}`
  }

  /** @returns what psql prints, without headings */
  query(database: string, sql: string): string {
    const args = ['-h', this.#folder, '-p', `${PORT}`, '-U', 'lossd', '-d', database]
    return this.#run('psql', [...args, '-v', 'ON_ERROR_STOP=1', '-XAtqc', sql])
  }

  /** Runs a query for as long as it takes, or until it is killed. */
  hold(database: string, sql: string): ChildProcess {
    const args = ['-h', this.#folder, '-p', `${PORT}`, '-U', 'lossd', '-d', database, '-c', sql]
    return spawn(join(this.#bin, 'psql'), args, { ...this.#user, cwd: this.#folder, stdio: 'ignore' })
  }

  /** Sends a signal to the server and all its processes. */
  signal(signal: 'SIGSTOP' | 'SIGCONT'): void {
    const server = this.#server!.pid!
    const children = readFileSync(`/proc/${server}/task/${server}/children`, 'utf8').trim().split(' ')
    for (const pid of [server, ...children.map(Number)]) process.kill(pid, signal)
  }

  async remove(): Promise<void> {
    await this.stop()
    rmSync(this.#folder, { recursive: true })
  }

  #run(program: string, args: readonly string[]): string {
    const options = { ...this.#user, cwd: this.#folder, encoding: 'utf8', stdio: 'pipe' } as const
    return execFileSync(join(this.#bin, program), args, options).trim()
  }
}
