//! The rows of `photos`: what was photographed here.

use motomind_protocol::photo::{PhotoFacts, PreviewAbsence};
use motomind_protocol::{Hash, Millis};
use rusqlite::{Connection, OptionalExtension, params};

use super::{blobs, uploads};
use crate::error::StoreError;

/// A photo of this device.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) facts: PhotoFacts,
    /// SHA-256 of the preview's bytes.
    pub(crate) preview: Option<Hash>,
    /// Why there is none; neither where none was made yet.
    pub(crate) preview_absent: Option<PreviewAbsence>,
}

/// The photo with this hash, if it was taken here.
pub(crate) fn find(conn: &Connection, photo: &Hash) -> Result<Option<Kept>, StoreError> {
    let found = conn
        .prepare_cached("SELECT facts, preview, preview_absent FROM photos WHERE sha256 = ?1")?
        .query_row([photo.0], |row| {
            let preview: Option<[u8; 32]> = row.get(1)?;
            Ok((row.get::<_, String>(0)?, preview.map(Hash), row.get::<_, Option<String>>(2)?))
        })
        .optional()?;
    let Some((facts, preview, absent)) = found else { return Ok(None) };
    Ok(Some(Kept {
        facts: serde_json::from_str(&facts)?,
        preview,
        preview_absent: absent.map(|json| serde_json::from_str(&json)).transpose()?,
    }))
}

/// Keeps a photo; of one that was here, a preview that it had stays.
pub(crate) fn keep(conn: &Connection, kept: &Kept, now: Millis) -> Result<(), StoreError> {
    let absent = kept.preview_absent.as_ref().map(serde_json::to_string).transpose()?;
    conn.prepare_cached(
        "INSERT INTO photos (sha256, facts, preview, preview_absent, added_at)
         VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (sha256) DO UPDATE SET
           facts = excluded.facts, freed_at = NULL,
           preview_absent = iif(preview IS NULL, excluded.preview_absent, NULL),
           preview = coalesce(preview, excluded.preview)",
    )?
    .execute(params![
        kept.facts.sha256.0,
        serde_json::to_string(&kept.facts)?,
        kept.preview.map(|preview| preview.0),
        absent,
        now
    ])?;
    Ok(())
}

/// Forgets a photo that a person threw away before any event had it, with its bytes. One that an
/// event has had, or that another session holds, stays.
pub(crate) fn forget_unused(conn: &Connection, photo: &Hash) -> Result<(), StoreError> {
    if uploads::any(conn, photo)? || super::session::holds(conn, photo)? {
        return Ok(());
    }
    let Some(kept) = find(conn, photo)? else { return Ok(()) };
    conn.execute("DELETE FROM photos WHERE sha256 = ?1", [photo.0])?;
    for sha256 in [Some(*photo), kept.preview].into_iter().flatten() {
        let shared: bool = conn.query_row(
            "SELECT EXISTS (SELECT 1 FROM photos WHERE sha256 = ?1 OR preview = ?1)",
            [sha256.0],
            |row| row.get(0),
        )?;
        if let Some(blob) = blobs::find(conn, &sha256)?.filter(|_| !shared) {
            blobs::remove(conn, blob.n)?;
        }
    }
    Ok(())
}
