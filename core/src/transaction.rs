//! The transactions of a capture: their two statements are prepared once, for they stand between a
//! person and "it is safe".

use rusqlite::Connection;

/// Begins a writing transaction.
pub(crate) fn begin(conn: &Connection) -> rusqlite::Result<()> {
    conn.prepare_cached("BEGIN IMMEDIATE")?.execute([]).map(drop)
}

/// Ends it; durable for the journal once this returns.
pub(crate) fn commit(conn: &Connection) -> rusqlite::Result<()> {
    conn.prepare_cached("COMMIT")?.execute([]).map(drop)
}
