//! The baseline of pulling: rows of a mirror, inserted again by prepared statements.

use std::path::Path;
use std::time::{Duration, Instant};

use motomind_core::mirror;
use rusqlite::Connection;

/// Inserts the events of a mirror into the same tables of a fresh file. How many, and how long.
pub(crate) fn inserts(source: &Connection, dir: &Path) -> (usize, Duration) {
    const COLUMNS: &str = "event_id, vehicle_id, type, occurred_at, at, date, miles, seq, state, \
         own, hidden, generation, data";
    let bare = Connection::open(dir.join("bare.db")).unwrap();
    bare.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL").unwrap();
    mirror::create(&bare).unwrap();
    let rows: Vec<Vec<rusqlite::types::Value>> = source
        .prepare(&format!("SELECT {COLUMNS} FROM events ORDER BY seq"))
        .unwrap()
        .query_map([], |row| (0..13).map(|column| row.get(column)).collect())
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    let slots = vec!["?"; 13].join(", ");
    let start = Instant::now();
    for page in rows.chunks(1_000) {
        let tx = bare.unchecked_transaction().unwrap();
        let sql = format!("INSERT INTO events ({COLUMNS}) VALUES ({slots})");
        let mut insert = tx.prepare_cached(&sql).unwrap();
        for row in page {
            insert.execute(rusqlite::params_from_iter(row)).unwrap();
        }
        drop(insert);
        tx.commit().unwrap();
    }
    (rows.len(), start.elapsed())
}
