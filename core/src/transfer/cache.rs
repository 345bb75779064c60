//! Pictures from the server, within a limit. What is let go first is what was looked at longest
//! ago. Nothing here is the only copy: what this device took itself rests in the journal.

use motomind_protocol::{Hash, Millis};
use rusqlite::{Connection, OptionalExtension, Row, params};
use sha2::{Digest, Sha256};

use super::Variant;
use crate::error::StoreError;

/// A picture, or what has come of it.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) n: i64,
    pub(super) photo: Hash,
    pub(super) variant: Variant,
    pub(super) sha256: Option<Hash>,
    pub(super) bytes: Option<u64>,
    pub(super) have: u64,
    pub(super) attempts: u32,
}

const COLUMNS: &str = "n, photo, variant, sha256, bytes, have, attempts";

impl Entry {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let is_preview = row.get_ref(2)?.as_str().ok() == Some("preview");
        Ok(Self {
            n: row.get(0)?,
            photo: Hash(row.get(1)?),
            variant: if is_preview { Variant::Preview } else { Variant::Original },
            sha256: row.get::<_, Option<[u8; 32]>>(3)?.map(Hash),
            bytes: row.get::<_, Option<i64>>(4)?.map(i64::unsigned_abs),
            have: row.get::<_, i64>(5)?.unsigned_abs(),
            attempts: row.get(6)?,
        })
    }

    pub(super) fn is_whole(&self) -> bool {
        self.bytes == Some(self.have)
    }
}

/// The entry of a picture.
pub(super) fn find(
    conn: &Connection,
    photo: Hash,
    variant: Variant,
) -> Result<Option<Entry>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM photo_cache WHERE photo = ?1 AND variant = ?2");
    let mut statement = conn.prepare_cached(&sql)?;
    Ok(statement.query_row(params![photo.0, variant.name()], Entry::read).optional()?)
}

/// Notes that a picture is to come; `asked_for` by a person, or by policy.
pub(super) fn want(
    conn: &Connection,
    photo: Hash,
    variant: Variant,
    asked_for: bool,
    now: Millis,
) -> Result<(), StoreError> {
    conn.prepare_cached(
        "INSERT INTO photo_cache (photo, variant, wanted_at, used)
         VALUES (?1, ?2, CASE WHEN ?3 THEN ?4 END,
                 (SELECT coalesce(max(used), 0) + 1 FROM photo_cache))
         ON CONFLICT (photo, variant) DO UPDATE SET
           wanted_at = coalesce(excluded.wanted_at, wanted_at), used = excluded.used,
           let_go = 0, retry_at = NULL, problem = NULL",
    )?
    .execute(params![photo.0, variant.name(), asked_for, now])?;
    Ok(())
}

/// The next picture to fetch: what a person asked for, then, where `previews` may come by
/// themselves, those that the server has and this device neither took nor let go.
pub(super) fn due(
    conn: &Connection,
    previews: bool,
    now: Millis,
) -> Result<Option<Entry>, StoreError> {
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM photo_cache
         WHERE (bytes IS NULL OR have < bytes) AND let_go = 0
           AND (wanted_at IS NOT NULL OR (?2 AND variant = 'preview'))
           AND (retry_at IS NULL OR retry_at <= ?1 OR retry_at > ?1 + ?3)
         ORDER BY wanted_at IS NULL, wanted_at, n LIMIT 1"
    ))?;
    let bound = params![now, previews, super::rows::REST_MS_MAX];
    if let Some(entry) = statement.query_row(bound, Entry::read).optional()? {
        return Ok(Some(entry));
    }
    let unknown = conn
        .prepare_cached(
            "SELECT s.photo FROM stored_photos s
             WHERE ?1 AND s.preview IS NOT NULL
               AND NOT EXISTS (SELECT 1 FROM photo_cache c
                               WHERE c.photo = s.photo AND c.variant = 'preview')
               AND NOT EXISTS (SELECT 1 FROM photos p
                               WHERE p.sha256 = s.photo AND p.preview IS NOT NULL)
             LIMIT 1",
        )?
        .query_row([previews], |row| row.get(0).map(Hash))
        .optional()?;
    let Some(photo) = unknown else { return Ok(None) };
    want(conn, photo, Variant::Preview, false, now)?;
    find(conn, photo, Variant::Preview)
}

/// When the next one that rests will be due.
pub(super) fn next_due(conn: &Connection, now: Millis) -> Result<Option<Millis>, StoreError> {
    Ok(conn
        .prepare_cached(
            "SELECT min(retry_at) FROM photo_cache
             WHERE (bytes IS NULL OR have < bytes) AND let_go = 0
               AND retry_at > ?1 AND retry_at <= ?1 + ?2",
        )?
        .query_row(params![now, super::rows::REST_MS_MAX], |row| row.get(0))?)
}

/// Adds a piece at its end, and says of what whole it is.
pub(super) fn add(
    conn: &Connection,
    entry: &Entry,
    sha256: Hash,
    whole: u64,
    piece: &[u8],
) -> Result<Entry, StoreError> {
    let tx = conn.unchecked_transaction()?;
    tx.prepare_cached(
        "INSERT INTO photo_cache_pieces (entry, first_byte, bytes) VALUES (?1, ?2, ?3)",
    )?
    .execute(params![entry.n, entry.have as i64, piece])?;
    let have = entry.have + piece.len() as u64;
    tx.prepare_cached(
        "UPDATE photo_cache SET sha256 = ?2, bytes = ?3, have = ?4, attempts = 0 WHERE n = ?1",
    )?
    .execute(params![entry.n, sha256.0, whole as i64, have as i64])?;
    tx.commit()?;
    Ok(Entry { sha256: Some(sha256), bytes: Some(whole), have, ..entry.clone() })
}

/// Whether a whole picture is what the server named it.
pub(super) fn is_intact(conn: &Connection, entry: &Entry) -> Result<bool, StoreError> {
    let mut hasher = Sha256::new();
    let mut statement = conn.prepare_cached(
        "SELECT bytes FROM photo_cache_pieces WHERE entry = ?1 ORDER BY first_byte",
    )?;
    let mut rows = statement.query([entry.n])?;
    while let Some(row) = rows.next()? {
        hasher.update(row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?);
    }
    Ok(Some(Hash(hasher.finalize().into())) == entry.sha256)
}

/// It is here; nobody waits for it any more.
pub(super) fn arrived(conn: &Connection, entry: &Entry) -> Result<(), StoreError> {
    conn.prepare_cached(
        "UPDATE photo_cache SET wanted_at = NULL, retry_at = NULL, problem = NULL WHERE n = ?1",
    )?
    .execute([entry.n])?;
    Ok(())
}

/// Forgets what has come of it; it is begun again not before `retry_at`.
pub(super) fn begin_again(
    conn: &Connection,
    entry: &Entry,
    problem: &str,
    retry_at: Millis,
) -> Result<(), StoreError> {
    let tx = conn.unchecked_transaction()?;
    tx.execute("DELETE FROM photo_cache_pieces WHERE entry = ?1", [entry.n])?;
    tx.execute(
        "UPDATE photo_cache SET sha256 = NULL, bytes = NULL, have = 0, attempts = attempts + 1,
                problem = ?2, retry_at = ?3
         WHERE n = ?1",
        params![entry.n, problem, retry_at],
    )?;
    tx.commit()?;
    Ok(())
}

/// At most `most` bytes of a whole picture from an offset on; `None` where it is not here.
pub(crate) fn read(
    conn: &Connection,
    photo: Hash,
    variant: Variant,
    from: u64,
    most: usize,
) -> Result<Option<Cached>, StoreError> {
    let Some(entry) = find(conn, photo, variant)?.filter(Entry::is_whole) else {
        return Ok(None);
    };
    let end = entry.have.min(from.saturating_add(most as u64));
    let mut out = Vec::new();
    let mut statement = conn.prepare_cached(
        "SELECT first_byte, bytes FROM photo_cache_pieces
         WHERE entry = ?1 AND first_byte < ?3 AND first_byte + octet_length(bytes) > ?2
         ORDER BY first_byte",
    )?;
    let mut rows = statement.query(params![entry.n, from as i64, end as i64])?;
    while let Some(row) = rows.next()? {
        let first: i64 = row.get(0)?;
        let piece = row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?;
        let within = |at: u64| usize::try_from(at.saturating_sub(first.unsigned_abs()));
        let begin = within(from).unwrap_or(usize::MAX).min(piece.len());
        let stop = within(end).unwrap_or(usize::MAX).min(piece.len());
        out.extend_from_slice(&piece[begin..stop]);
    }
    drop(rows);
    // Looking at one picture again and again writes nothing.
    conn.prepare_cached(
        "UPDATE photo_cache SET used = (SELECT max(used) + 1 FROM photo_cache)
         WHERE n = ?1 AND used < (SELECT max(used) FROM photo_cache)",
    )?
    .execute([entry.n])?;
    Ok(Some(Cached { bytes: out, total: entry.have }))
}

/// A part of a cached picture.
pub(crate) struct Cached {
    pub(crate) bytes: Vec<u8>,
    /// Of the whole, bytes.
    pub(crate) total: u64,
}

/// The size of a picture that is here whole, bytes.
pub(crate) fn size(
    conn: &Connection,
    photo: Hash,
    variant: Variant,
) -> Result<Option<u64>, StoreError> {
    Ok(find(conn, photo, variant)?.filter(Entry::is_whole).map(|entry| entry.have))
}

/// What the cache holds, bytes: a sum that triggers keep.
pub(super) fn bytes(conn: &Connection) -> Result<u64, StoreError> {
    let sum: i64 = conn
        .prepare_cached("SELECT bytes FROM photo_cache_total")?
        .query_row([], |row| row.get(0))?;
    Ok(sum.unsigned_abs())
}

/// Lets pictures go until at most `keep` bytes are left, the one looked at longest ago first;
/// never one that somebody waits for.
pub(super) fn shrink(conn: &Connection, keep: u64) -> Result<(), StoreError> {
    let mut left = bytes(conn)?;
    while left > keep {
        let oldest = conn
            .prepare_cached(
                "SELECT n, have FROM photo_cache WHERE have > 0 AND wanted_at IS NULL
                 ORDER BY used, n LIMIT 1",
            )?
            .query_row([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))
            .optional()?;
        let Some((n, have)) = oldest else { return Ok(()) };
        let tx = conn.unchecked_transaction()?;
        tx.execute("DELETE FROM photo_cache_pieces WHERE entry = ?1", [n])?;
        tx.execute("UPDATE photo_cache SET have = 0, bytes = NULL, let_go = 1 WHERE n = ?1", [n])?;
        tx.commit()?;
        left = left.saturating_sub(have.unsigned_abs());
    }
    Ok(())
}
