//! What is to go up of a photo, once an event has it. How it goes is `transfer`'s.

use motomind_protocol::{Hash, Millis};
use rusqlite::{Connection, params};

use crate::error::StoreError;

/// Queues the original and the preview of a photo that rest here, within the caller's transaction.
/// What is queued already, or was sent, stays as it is.
pub(crate) fn queue(conn: &Connection, photo: &Hash, now: Millis) -> Result<(), StoreError> {
    conn.prepare_cached(
        "INSERT OR IGNORE INTO uploads (sha256, photo, variant, bytes, queued_at)
         SELECT b.sha256, ?1, v.variant, b.bytes, ?2
         FROM photos p
         JOIN (SELECT 'original' AS variant UNION ALL SELECT 'preview') v
         JOIN blobs b ON b.sha256 = iif(v.variant = 'original', p.sha256, p.preview)
         WHERE p.sha256 = ?1 AND EXISTS (SELECT 1 FROM blob_chunks WHERE blob = b.n)",
    )?
    .execute(params![photo.0, now])?;
    Ok(())
}

/// Whether anything of a photo is to go up or has gone: an event has had it.
pub(crate) fn any(conn: &Connection, photo: &Hash) -> Result<bool, StoreError> {
    Ok(conn
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM uploads WHERE photo = ?1)")?
        .query_row([photo.0], |row| row.get(0))?)
}
