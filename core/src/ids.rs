//! UUIDs in SQLite: 16-byte blobs.

use rusqlite::Row;
use rusqlite::types::{FromSqlError, Type};
use uuid::Uuid;

/// The bytes to bind.
pub(crate) fn blob(uuid: &Uuid) -> &[u8] {
    uuid.as_bytes()
}

/// The bytes to bind, where there may be none.
pub(crate) fn blob_opt(id: Option<Uuid>) -> Option<[u8; 16]> {
    id.map(|id| *id.as_bytes())
}

/// Reads a column that holds a UUID.
pub(crate) fn read_id(row: &Row<'_>, column: usize) -> rusqlite::Result<Uuid> {
    let bytes = row.get_ref(column)?.as_blob().map_err(|error| misread(column, error))?;
    Uuid::from_slice(bytes).map_err(|error| misread(column, error))
}

/// Reads a column that may hold a UUID.
pub(crate) fn read_id_opt(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Uuid>> {
    match row.get_ref(column)? {
        rusqlite::types::ValueRef::Null => Ok(None),
        _ => read_id(row, column).map(Some),
    }
}

fn misread(
    column: usize,
    error: impl std::error::Error + Send + Sync + 'static,
) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(
        column,
        Type::Blob,
        Box::new(FromSqlError::Other(Box::new(error))),
    )
}
