//! What holds across openings, kept in the journal by name.

use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::StoreError;

/// Keeps a value until another one is kept under its name.
pub(crate) fn keep(
    conn: &Connection,
    name: &str,
    value: &impl Serialize,
) -> Result<(), StoreError> {
    conn.prepare_cached(
        "INSERT INTO settings (name, value) VALUES (?1, ?2)
         ON CONFLICT (name) DO UPDATE SET value = excluded.value",
    )?
    .execute(params![name, serde_json::to_string(value)?])?;
    Ok(())
}

/// What was kept; nothing where it was a newer build that kept it, in words that this one does not
/// know.
pub(crate) fn kept<T: DeserializeOwned>(
    conn: &Connection,
    name: &str,
) -> Result<Option<T>, StoreError> {
    let value: Option<String> = conn
        .prepare_cached("SELECT value FROM settings WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()?;
    Ok(value.and_then(|value| serde_json::from_str(&value).ok()))
}
