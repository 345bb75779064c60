// The official SQLite in a worker of its own, on its own pool of OPFS files: what opening costs without us.
import sqlite3InitModule from '/sqlite/index.mjs'

onmessage = async ({ data: { events } }) => {
  const sqlite3 = await sqlite3InitModule()
  const pool = await sqlite3.installOpfsSAHPoolVfs({ name: 'plain' })
  const db = new pool.OpfsSAHPoolDb('/plain.db')
  if (events) {
    db.exec(`PRAGMA locking_mode = exclusive; PRAGMA journal_mode = WAL;
      CREATE TABLE events (id BLOB PRIMARY KEY, vehicle BLOB, at INTEGER, data TEXT) WITHOUT ROWID;
      CREATE INDEX newest ON events (vehicle, at DESC)`)
    db.transaction(() => {
      for (const { id, at, data } of events) db.exec({ sql: 'INSERT INTO events VALUES (?, ?, ?, ?)', bind: [id, 'v', at, data] })
    })
  } else {
    db.exec('PRAGMA locking_mode = exclusive; PRAGMA journal_mode = WAL')
  }
  const rows = db.exec({
    sql: 'SELECT id, at, data FROM events WHERE vehicle = ? ORDER BY at DESC LIMIT 50',
    bind: ['v'], rowMode: 'object', returnValue: 'resultRows',
  })
  postMessage(rows.length)
}
