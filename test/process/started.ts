/** `npm start`: a signal to npm, or to the whole process group of a terminal, shuts the service down gracefully. */
import { spawn, spawnSync } from 'node:child_process'
import { isThere } from '../../load/process-info.ts'
import { freePort } from '../support/free-port.ts'
import { clients, run } from './clients.ts'
import { check, endAll, ROOT, type Service, start } from './service.ts'

const PORT = String(await freePort())

/** The ways in which a person or a supervisor ends it. */
const WAYS: Readonly<Record<string, (service: Service) => void>> = {
  'SIGTERM to npm': ({ child }) => child.kill('SIGTERM'),
  'SIGINT to npm': ({ child }) => child.kill('SIGINT'),
  'Ctrl-C, which is SIGINT to the group': ({ child }) => process.kill(-child.pid!, 'SIGINT'),
  'a supervisor, which sends SIGTERM to the group': ({ child }) => process.kill(-child.pid!, 'SIGTERM'),
  'a closed terminal, which is SIGHUP to the group': ({ child }) => process.kill(-child.pid!, 'SIGHUP'),
}

export async function checkStarted(): Promise<void> {
  for (const [way, end] of Object.entries(WAYS)) await checkWay(way, end)
  await checkTerminal()
  await checkSecond()
}

const npmStart = (env: Readonly<Record<string, string>> = {}) =>
  start({ PORT, ...env }, ['npm', 'start'], { detached: true })

/** Each start uses the same port as the one before. */
async function checkWay(way: string, end: (service: Service) => void) {
  const service = await npmStart()
  const { warm, outcome } = run(clients()[0]!.command!, service.url, 24)
  await warm
  end(service)
  const { faults } = await outcome
  check(Object.keys(faults).length === 0, `${way}: clients see ${JSON.stringify(faults)}`)
  await service.exit
  await gone(service, way)
  check(service.output().includes('"closed"'), `${way}: it drains: ${service.output()}`)
  console.log(`npm start: ended by ${way}, with its drain`)
}

/** No process of the group is left, and nobody listens on the port. */
async function gone({ child, url }: Service, way: string) {
  for (let i = 0; isThere(-child.pid!); i++) {
    check(i < 100, `${way}: something runs on`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  const refused = await fetch(url).then(
    () => false,
    () => true,
  )
  check(refused, `${way}: somebody listens still`)
}

/** Closing a terminal also closes stdout. Python can open terminals, Node cannot. */
async function checkTerminal() {
  if (spawnSync('python3', ['--version']).status !== 0) {
    console.log('npm start: in a terminal it is not tested here, the machine has no Python')
    return
  }
  const program = new URL('clients/terminal.py', import.meta.url).pathname
  for (const way of ['ctrl-c', 'close']) {
    const env = { ...process.env, PORT, HOST: '127.0.0.1', LOSSD_ENGINE: 'compiled' }
    const child = spawn('python3', [program, way, PORT], {
      cwd: ROOT,
      env,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let said = ''
    for await (const data of child.stdout) said += data
    check(said.trim() === 'answered, gone', `in a terminal, ${way}: ${said}`)
    console.log(`npm start: ended in a terminal by ${way}, after the answer to what was asked`)
  }
}

/** A second signal, unless it is a duplicate of the first, ends it at once. */
async function checkSecond() {
  const service = await npmStart({ LOSSD_SHUTDOWN_DELAY_MS: '60000' })
  service.child.kill('SIGTERM')
  while (!service.output().includes('closing')) await new Promise((resolve) => setTimeout(resolve, 10))
  await new Promise((resolve) => setTimeout(resolve, 1000))
  service.child.kill('SIGTERM')
  await service.exit
  await gone(service, 'a second SIGTERM')
  console.log('npm start: ended by a second SIGTERM at once')
  endAll()
}
