//! Offering pictures again that the server had and has lost.

use motomind_protocol::Hash;
use rusqlite::Connection;

use super::Variant;
use super::rows::{self, UploadState};
use crate::error::StoreError;
use crate::photos::blobs;

/// Offers everything again whose bytes are here: the server's store may be another one now. What
/// it has, it says at once.
pub(crate) fn offer_all_again(conn: &Connection) -> rusqlite::Result<()> {
    conn.execute(
        "UPDATE uploads SET state = 'queued', location = NULL, capability = NULL,
                expires_at = NULL, acked = 0, stored_at = NULL, verified_at = NULL
         WHERE state = 'stored' AND EXISTS (
           SELECT 1 FROM blobs b JOIN blob_chunks c ON c.blob = b.n
           WHERE b.sha256 = uploads.sha256)",
        [],
    )
    .map(drop)
}

/// What became of offering a photo again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offered {
    /// It goes again.
    Again,
    /// It had not arrived yet, and is on its way.
    UnderWay,
    /// Its bytes are not here.
    Lost,
}

/// Offers a photo's original again that the server does not have, and with it its preview, which is
/// lost where the original was: what the server has, it says at once.
pub(crate) fn offer_again(conn: &Connection, photo: Hash) -> Result<Offered, StoreError> {
    let Some(upload) = rows::of(conn, photo, Variant::Original)? else {
        return Ok(Offered::Lost);
    };
    conn.prepare_cached(
        "UPDATE uploads SET state = 'queued', acked = 0, stored_at = NULL, verified_at = NULL
         WHERE photo = ?1 AND state = 'stored' AND EXISTS (
           SELECT 1 FROM blobs b JOIN blob_chunks c ON c.blob = b.n
           WHERE b.sha256 = uploads.sha256)",
    )?
    .execute([photo.0])?;
    Ok(match blobs::find(conn, &photo)? {
        _ if upload.item.state != UploadState::Stored => Offered::UnderWay,
        Some(_) => Offered::Again,
        None => Offered::Lost,
    })
}

/// Offers again what this device believes stored and the server's whole log does not tell of: a
/// server that was restored has lost it, and asks for originals that it knows of alone.
pub(crate) fn offer_untold(conn: &Connection) -> Result<Vec<Hash>, StoreError> {
    let mut statement = conn.prepare_cached(
        "UPDATE uploads SET state = 'queued', acked = 0, stored_at = NULL, verified_at = NULL
         WHERE state = 'stored' AND EXISTS (
           SELECT 1 FROM blobs b JOIN blob_chunks c ON c.blob = b.n
           WHERE b.sha256 = uploads.sha256)
         AND NOT EXISTS (
           SELECT 1 FROM stored_photos s
           WHERE s.photo = uploads.photo AND s.generation = (SELECT generation FROM mirror)
             AND CASE uploads.variant WHEN 'preview' THEN s.preview ELSE s.bytes END IS NOT NULL)
         RETURNING photo",
    )?;
    let photos = statement.query_map([], |row| row.get(0).map(Hash))?;
    Ok(photos.collect::<Result<_, _>>()?)
}
