//! Photos and sessions out of a damaged journal: each picture whole, or left behind and named.

use motomind_protocol::Hash;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params, params_from_iter};
use sha2::{Digest, Sha256};

use super::Salvaged;
use crate::error::OpenError;

/// Copies what can be read. A journal of an older version has none of it.
pub(super) fn copy(
    old: &Connection,
    new: &Connection,
    salvaged: &mut Salvaged,
) -> Result<(), OpenError> {
    let Ok(last) = last(old, "blobs", "n") else { return Ok(()) };
    for n in 1..=last {
        let named = old
            .query_row("SELECT sha256 FROM blobs WHERE n = ?1", [n], |row| {
                row.get::<_, Option<[u8; 32]>>(0)
            })
            .optional();
        let Ok(Some(Some(sha256))) = named else { continue };
        match copy_picture(old, new, n) {
            Ok(Some(found)) if found == Hash(sha256) => salvaged.pictures += 1,
            // Freed: the server has it.
            Ok(None) => {}
            _ => {
                new.execute("DELETE FROM blob_chunks WHERE blob = ?1", [n])?;
                new.execute("DELETE FROM blobs WHERE n = ?1", [n])?;
                salvaged.pictures_damaged.push(Hash(sha256));
            }
        }
    }
    for table in ["photos", "sessions", "uploads"] {
        copy_readable(old, new, table)?;
    }
    Ok(())
}

fn last(old: &Connection, table: &str, column: &str) -> rusqlite::Result<i64> {
    let sql = format!("SELECT coalesce(max({column}), 0) FROM {table}");
    old.query_row(&sql, [], |row| row.get(0))
}

/// Copies one picture piece by piece; the hash of what was copied, `None` where there is nothing.
fn copy_picture(old: &Connection, new: &Connection, n: i64) -> rusqlite::Result<Option<Hash>> {
    let row: [Value; 4] = old.query_row(
        "SELECT sha256, mime, bytes, added_at FROM blobs WHERE n = ?1",
        [n],
        |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?]),
    )?;
    let values = std::iter::once(Value::Integer(n)).chain(row);
    new.execute(
        "INSERT INTO blobs (n, sha256, mime, bytes, added_at) VALUES (?1, ?2, ?3, ?4, ?5)",
        params_from_iter(values),
    )?;
    let mut sha = Sha256::new();
    let mut select =
        old.prepare_cached("SELECT bytes FROM blob_chunks WHERE blob = ?1 AND chunk = ?2")?;
    let mut insert =
        new.prepare_cached("INSERT INTO blob_chunks (blob, chunk, bytes) VALUES (?1, ?2, ?3)")?;
    for chunk in 0i64.. {
        let piece: Option<Vec<u8>> =
            select.query_row(params![n, chunk], |row| row.get(0)).optional()?;
        let Some(piece) = piece else {
            return Ok((chunk > 0).then(|| Hash(sha.finalize().into())));
        };
        sha.update(&piece);
        insert.execute(params![n, chunk, piece])?;
    }
    Ok(None)
}

/// Copies the rows of a small table, up to where it cannot be read.
pub(super) fn copy_readable(
    old: &Connection,
    new: &Connection,
    table: &str,
) -> Result<(), OpenError> {
    let names: Vec<String> = {
        let columns = old.prepare(&format!("SELECT * FROM {table} LIMIT 0"));
        let Ok(columns) = columns else { return Ok(()) };
        columns.column_names().map(str::to_owned).collect()
    };
    let slots = vec!["?"; names.len()].join(", ");
    let names = names.join(", ");
    let mut insert =
        new.prepare(&format!("INSERT OR IGNORE INTO {table} ({names}) VALUES ({slots})"))?;
    let mut select = old.prepare(&format!("SELECT {names} FROM {table}"))?;
    let columns = select.column_count();
    let mut rows = select.query([])?;
    while let Ok(Some(row)) = rows.next() {
        let values: rusqlite::Result<Vec<Value>> = (0..columns).map(|at| row.get(at)).collect();
        let Ok(values) = values else { continue };
        // What refers to something that was left behind stays behind with it.
        let _ = insert.execute(params_from_iter(values));
    }
    Ok(())
}
