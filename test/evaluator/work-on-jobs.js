/** A process that works on jobs until it is killed: `node work-on-jobs.js <build> <store> <folder> <lease in ms>`. */
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

const [, , build, url, folder, leaseMs] = process.argv
const load = (file) => import(pathToFileURL(join(build, file)).href)
const [{ openStore }, { Jobs }] = await Promise.all([load('store/index.js'), load('evaluator/jobs.js')])
const store = openStore(url, { maxLosses: 10 })
const log = { error: (details, message) => console.error(message, details), info: () => {} }
new Jobs({ store, folder, threads: 1, log, leaseMs: Number(leaseMs), checkpointMs: 100 }).start()
console.log('working')
// The jobs' own timers do not keep a process.
setInterval(() => {}, 1000)
