//! Reading the pictures that rest in the journal, piece by piece.

use motomind_protocol::{Hash, limits};
use rusqlite::{Connection, OptionalExtension, params};
use sha2::{Digest, Sha256};

use crate::error::StoreError;

/// Bytes in each row of `blob_chunks` but a picture's last.
pub(crate) const CHUNK_BYTES: usize = limits::UPLOAD_CHUNK_BYTES;

/// A picture in the journal.
#[derive(Clone, Debug)]
pub(crate) struct Blob {
    n: i64,
    pub(crate) bytes: u64,
    pub(crate) mime: String,
}

/// The picture with this hash, where its bytes are here.
pub(crate) fn find(conn: &Connection, sha256: Hash) -> Result<Option<Blob>, StoreError> {
    Ok(conn
        .prepare_cached(
            "SELECT n, bytes, mime FROM blobs WHERE sha256 = ?1
               AND EXISTS (SELECT 1 FROM blob_chunks WHERE blob = n AND chunk = 0)",
        )?
        .query_row([sha256.0], |row| {
            let bytes: i64 = row.get(1)?;
            Ok(Blob { n: row.get(0)?, bytes: bytes.unsigned_abs(), mime: row.get(2)? })
        })
        .optional()?)
}

/// At most `len` bytes of a picture from an offset on; fewer at its end.
pub(crate) fn read(
    conn: &Connection,
    blob: &Blob,
    from: u64,
    len: usize,
) -> Result<Vec<u8>, StoreError> {
    let end = blob.bytes.min(from.saturating_add(len as u64));
    let mut out = Vec::with_capacity(usize::try_from(end.saturating_sub(from)).unwrap_or(0));
    let chunk_bytes = CHUNK_BYTES as u64;
    let mut statement = conn.prepare_cached(
        "SELECT bytes FROM blob_chunks WHERE blob = ?1 AND chunk BETWEEN ?2 AND ?3 ORDER BY chunk",
    )?;
    let last = end.saturating_sub(1) / chunk_bytes;
    let mut rows = statement.query(params![blob.n, (from / chunk_bytes) as i64, last as i64])?;
    let mut at = from - from % chunk_bytes;
    while let Some(row) = rows.next()? {
        let chunk = row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?;
        let within = |offset: u64| usize::try_from(offset.saturating_sub(at)).unwrap_or(usize::MAX);
        let (begin, stop) = (within(from).min(chunk.len()), within(end).min(chunk.len()));
        out.extend_from_slice(&chunk[begin..stop]);
        at += chunk.len() as u64;
    }
    if out.len() as u64 != end.saturating_sub(from) {
        return Err(StoreError::Damaged("a stored photo lacks some of its bytes".into()));
    }
    Ok(out)
}

/// Whether the bytes here still are what their hash says.
pub(crate) fn is_intact(conn: &Connection, sha256: Hash) -> Result<bool, StoreError> {
    let Some(blob) = find(conn, sha256)? else {
        return Ok(false);
    };
    let mut hasher = Sha256::new();
    let mut statement =
        conn.prepare_cached("SELECT bytes FROM blob_chunks WHERE blob = ?1 ORDER BY chunk")?;
    let mut rows = statement.query([blob.n])?;
    while let Some(row) = rows.next()? {
        hasher.update(row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?);
    }
    Ok(Hash(hasher.finalize().into()) == sha256)
}
