/** Prints the content of a store's file without our own code: `node read-file.js <path>`. */
import Database from 'libsql'

const database = new Database(process.argv[2])
const all = (sql) => database.prepare(sql).all([])
const has = (table) => all(`select 1 from sqlite_master where name = '${table}'`).length > 0
console.log(
  JSON.stringify({
    integrity: all('pragma integrity_check').map((row) => row.integrity_check),
    losses: has('lossd_losses') ? all('select * from lossd_losses') : [],
    versions: has('lossd_versions') ? all('select * from lossd_versions') : [],
  }),
)
