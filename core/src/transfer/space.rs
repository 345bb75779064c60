//! What takes space on this device, and what may be freed of it.
//!
//! An original that this device took is freed only once the server has had it for as long as it
//! may be restored to an older state, and has said that it has it when asked for that very reason;
//! the journal itself refuses it before it was asked (a trigger).

use motomind_protocol::{Hash, Millis, limits};
use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;

use super::cache;
use crate::device::Device;
use crate::error::StoreError;
use crate::photos::blobs;

/// What takes space, bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
pub struct SpaceReport {
    /// The journal's file.
    pub journal: u64,
    /// The mirror's file.
    pub mirror: u64,
    /// Of both, what is empty and will be used again.
    pub empty: u64,
    /// Originals and previews that the server does not have. They stay.
    pub photos_unsent: u64,
    /// Originals that the server has: they may be freed, and can be fetched again.
    pub photos_stored: u64,
    /// Photos of sessions that were left; the person decides.
    pub photos_of_sessions: u64,
    /// Pictures that came from the server: they may be freed, and can be fetched again.
    pub cached: u64,
}

impl Device {
    /// What takes space on this device.
    ///
    /// # Errors
    /// [`StoreError`] when the files cannot be read.
    pub fn space(&self) -> Result<SpaceReport, StoreError> {
        let pragma = |name: &str| -> Result<u64, StoreError> {
            let number: i64 = self.conn.query_row(&format!("PRAGMA {name}"), [], |r| r.get(0))?;
            Ok(number.unsigned_abs())
        };
        let page = pragma("main.page_size")?;
        let mirror_page = pragma("mirror.page_size")?;
        let sum = |sql: &str| -> Result<u64, StoreError> {
            let sum: i64 = self.conn.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
            Ok(sum.unsigned_abs())
        };
        Ok(SpaceReport {
            journal: pragma("main.page_count")? * page,
            mirror: pragma("mirror.page_count")? * mirror_page,
            empty: pragma("main.freelist_count")? * page
                + pragma("mirror.freelist_count")? * mirror_page,
            photos_unsent: sum(
                "SELECT coalesce(sum(bytes), 0) FROM uploads WHERE state <> 'stored'",
            )?,
            photos_stored: stored_bytes(&self.conn)?,
            photos_of_sessions: sum(
                "SELECT coalesce(sum(b.bytes), 0) FROM blobs b JOIN photos p ON p.sha256 = b.sha256
                 WHERE NOT EXISTS (SELECT 1 FROM uploads u WHERE u.sha256 = p.sha256)",
            )?,
            cached: cache::bytes(&self.conn)?,
        })
    }

    /// Frees so many bytes, as far as there is something that may be freed: pictures from the
    /// server at once; own originals that the server has had for its retention (30 days at least),
    /// as soon as it has confirmed again that it has them.
    ///
    /// # Errors
    /// [`StoreError`] when the mirror cannot be written.
    pub fn free_space(&mut self, bytes: u64) -> Result<(), StoreError> {
        let cached = cache::bytes(&self.conn)?;
        cache::shrink(&self.conn, cached.saturating_sub(bytes))?;
        let freed = cached.saturating_sub(cache::bytes(&self.conn)?);
        self.sync.download.to_free = bytes.saturating_sub(freed);
        self.sync.download.backoff.reset();
        Ok(())
    }
}

/// Own originals that the server has, bytes: a sum that the journal's triggers keep.
fn stored_bytes(conn: &Connection) -> Result<u64, StoreError> {
    let sum: i64 = conn
        .prepare_cached("SELECT stored_bytes FROM photo_totals")?
        .query_row([], |row| row.get(0))?;
    Ok(sum.unsigned_abs())
}

/// The next own original to free, where there is too much: the server is asked first.
pub(super) fn to_verify(device: &Device) -> Result<Option<Hash>, StoreError> {
    let (conn, download) = (&device.conn, &device.sync.download);
    // As operations: a server that is restored from a backup gets it again. By the server's clock,
    // as last heard; a device clock that jumps by years frees nothing.
    let days = device.sync.retention_days.unwrap_or(0).max(limits::RETENTION_DAYS_DEFAULT);
    let Some(server_time) = device.sync.server_time else { return Ok(None) };
    let kept_since = server_time.saturating_sub(i64::from(days) * limits::DAY_MS);
    if download.to_free == 0
        && stored_bytes(conn)?.saturating_add(cache::bytes(conn)?) <= download.limit
    {
        return Ok(None);
    }
    Ok(conn
        .prepare_cached(
            "SELECT u.sha256 FROM uploads u JOIN photos p ON p.sha256 = u.sha256
             WHERE u.state = 'stored' AND u.variant = 'original' AND p.freed_at IS NULL
               AND u.stored_at <= ?1
             ORDER BY p.added_at, p.sha256 LIMIT 1",
        )?
        .query_row([kept_since], |row| row.get(0).map(Hash))
        .optional()?)
}

/// Frees an original that the server has just confirmed to have.
pub(super) fn free(device: &mut Device, photo: Hash, now: Millis) -> Result<(), StoreError> {
    let blob = blobs::find(&device.conn, &photo)?;
    let tx = device.conn.unchecked_transaction()?;
    tx.execute(
        "UPDATE uploads SET verified_at = ?2 WHERE sha256 = ?1 AND state = 'stored'",
        params![photo.0, now],
    )?;
    tx.execute("UPDATE photos SET freed_at = ?2 WHERE sha256 = ?1", params![photo.0, now])?;
    if let Some(blob) = &blob {
        tx.execute("DELETE FROM blob_chunks WHERE blob = ?1", [blob.n])?;
    }
    tx.commit()?;
    let freed = blob.map_or(0, |blob| blob.bytes);
    device.sync.download.to_free = device.sync.download.to_free.saturating_sub(freed);
    device.changes.tables.insert("photos");
    blobs::give_back(&device.conn)
}
