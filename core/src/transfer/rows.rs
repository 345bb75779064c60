//! The rows of `uploads`: one for each picture that goes up.

use std::str::FromStr;

use motomind_protocol::{Hash, Millis};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;

use super::TransferPolicy;
use crate::device::Device;
use crate::error::{CaptureError, StoreError};

/// Longest rest of a picture that the server would not take, ms; also how far ahead a time to try
/// again can lie, so that a clock set back does not prolong it.
pub(super) const REST_MS_MAX: Millis = 6 * 60 * 60 * 1000;

/// Which picture of a photo.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum Variant {
    /// The small one.
    Preview,
    /// The photo itself.
    Original,
}

impl Variant {
    /// Its name on the wire and in the tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Preview => "preview",
            Self::Original => "original",
        }
    }
}

/// Where a picture stands on its way up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum UploadState {
    /// Waits for its turn, or for a network that it may use.
    Queued,
    /// Under way.
    Sending,
    /// Under way in the host's hands.
    Planned,
    /// The server has it, verified by its hash.
    Stored,
    /// The server would not take it; the reason is with it.
    Refused,
}

/// A picture on its way up, as a person sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
pub struct UploadItem {
    /// SHA-256 of the photo's original.
    pub photo: Hash,
    /// Which picture of it.
    pub variant: Variant,
    /// SHA-256 of what goes up.
    pub sha256: Hash,
    /// Its size, bytes.
    pub bytes: u64,
    /// What the server has acknowledged of it, bytes.
    pub acked: u64,
    /// What was sent for it, again and again, bytes.
    pub sent: u64,
    /// Where it stands.
    pub state: UploadState,
    /// What the server said last, where it refused.
    pub problem: Option<String>,
    /// When it is offered again by itself, UTC ms.
    pub retry_at: Option<Millis>,
}

/// A row, with what only the machine needs.
#[derive(Clone, Debug)]
pub(super) struct Upload {
    pub(super) n: i64,
    pub(super) item: UploadItem,
    pub(super) location: Option<String>,
    pub(super) capability: Option<String>,
    pub(super) expires_at: Option<Millis>,
    pub(super) attempts: u32,
}

const COLUMNS: &str = "sha256, photo, variant, bytes, acked, sent, state, problem, retry_at, \
     location, capability, expires_at, attempts, n";

impl Upload {
    fn read(row: &Row<'_>) -> Result<Self, StoreError> {
        let unsigned = |column| row.get::<_, i64>(column).map(i64::unsigned_abs);
        let state: String = row.get(6)?;
        let state = state.parse().map_err(|()| StoreError::Damaged(format!("upload {state}")))?;
        let is_preview = row.get_ref(2)?.as_str().ok() == Some("preview");
        Ok(Self {
            n: row.get(13)?,
            item: UploadItem {
                sha256: Hash(row.get(0)?),
                photo: Hash(row.get(1)?),
                variant: if is_preview { Variant::Preview } else { Variant::Original },
                bytes: unsigned(3)?,
                acked: unsigned(4)?,
                sent: unsigned(5)?,
                state,
                problem: row.get(7)?,
                retry_at: row.get(8)?,
            },
            location: row.get(9)?,
            capability: row.get(10)?,
            expires_at: row.get(11)?,
            attempts: row.get(12)?,
        })
    }
}

impl FromStr for UploadState {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Ok(match text {
            "queued" => Self::Queued,
            "sending" => Self::Sending,
            "planned" => Self::Planned,
            "stored" => Self::Stored,
            "refused" => Self::Refused,
            _ => return Err(()),
        })
    }
}

/// What may go up now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowed {
    pub(super) previews: bool,
    pub(super) originals: bool,
    /// There is a token to begin uploads with; those that have begun need none.
    pub(super) beginning: bool,
}

impl Allowed {
    pub(super) fn by(policy: &TransferPolicy, metered: bool, budget: u64, has_token: bool) -> Self {
        let affordable = !metered || budget > 0;
        Self {
            previews: affordable && policy.previews.allows(metered),
            originals: affordable && policy.originals.allows(metered),
            beginning: has_token,
        }
    }
}

/// The next picture whose turn it is: previews before originals, older ones first.
pub(super) fn due(
    conn: &Connection,
    allowed: Allowed,
    now: Millis,
    server_time: Millis,
) -> Result<Option<Upload>, StoreError> {
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM uploads
         WHERE (state IN ('queued', 'sending') OR (state = 'refused' AND retry_at IS NOT NULL)
                OR (state = 'planned' AND expires_at <= ?6))
           AND (retry_at IS NULL OR retry_at <= ?1 OR retry_at > ?1 + ?2)
           AND CASE variant WHEN 'preview' THEN ?3 ELSE ?4 END
           AND (?5 OR (location IS NOT NULL AND coalesce(expires_at, 9e18) > ?6))
         ORDER BY variant = 'original', n LIMIT 1"
    ))?;
    let bound = params![
        now,
        REST_MS_MAX,
        allowed.previews,
        allowed.originals,
        allowed.beginning,
        server_time
    ];
    let mut rows = statement.query(bound)?;
    rows.next()?.map(Upload::read).transpose()
}

/// When the next one that rests will be due.
pub(super) fn next_due(conn: &Connection, now: Millis) -> Result<Option<Millis>, StoreError> {
    Ok(conn
        .prepare_cached(
            "SELECT min(retry_at) FROM uploads
             WHERE state NOT IN ('stored', 'planned') AND retry_at > ?1 AND retry_at <= ?1 + ?2",
        )?
        .query_row(params![now, REST_MS_MAX], |row| row.get(0))?)
}

/// A row by its number.
pub(super) fn find(conn: &Connection, n: i64) -> Result<Option<Upload>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM uploads WHERE n = ?1");
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query([n])?;
    rows.next()?.map(Upload::read).transpose()
}

/// The row of a picture.
pub(super) fn of(
    conn: &Connection,
    photo: Hash,
    variant: Variant,
) -> Result<Option<Upload>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM uploads WHERE photo = ?1 AND variant = ?2");
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query(params![photo.0, variant.name()])?;
    rows.next()?.map(Upload::read).transpose()
}

/// What the server told when the upload was created.
pub(super) struct Begun<'a> {
    pub(super) location: &'a str,
    pub(super) capability: &'a str,
    pub(super) expires_at: Option<Millis>,
    pub(super) offset: u64,
    pub(super) by_host: bool,
}

/// Remembers an upload that the server has created.
pub(super) fn begun(conn: &Connection, n: i64, begun: &Begun<'_>) -> Result<(), StoreError> {
    conn.prepare_cached(
        "UPDATE uploads SET state = ?2, location = ?3, capability = ?4, expires_at = ?5,
                acked = ?6, retry_at = NULL, problem = NULL
         WHERE n = ?1 AND state <> 'stored'",
    )?
    .execute(params![
        n,
        if begun.by_host { "planned" } else { "sending" },
        begun.location,
        begun.capability,
        begun.expires_at,
        begun.offset as i64
    ])?;
    Ok(())
}

/// Remembers how far the server says that it is.
pub(super) fn stands_at(conn: &Connection, n: i64, offset: u64) -> Result<(), StoreError> {
    conn.prepare_cached("UPDATE uploads SET acked = ?2, attempts = 0 WHERE n = ?1")?
        .execute(params![n, offset as i64])?;
    Ok(())
}

/// The rest of it is the host's to send.
pub(super) fn planned(conn: &Connection, n: i64, offset: u64) -> Result<(), StoreError> {
    conn.prepare_cached(
        "UPDATE uploads SET state = 'planned', acked = ?2, attempts = 0
         WHERE n = ?1 AND state <> 'stored'",
    )?
    .execute(params![n, offset as i64])?;
    Ok(())
}

/// Counts what is about to be sent.
pub(super) fn sends(conn: &Connection, n: i64, bytes: usize) -> Result<(), StoreError> {
    conn.prepare_cached("UPDATE uploads SET sent = sent + ?2 WHERE n = ?1")?
        .execute(params![n, bytes as i64])?;
    Ok(())
}

/// The server has it.
pub(crate) fn stored(conn: &Connection, n: i64, now: Millis) -> Result<(), StoreError> {
    conn.prepare_cached(
        "UPDATE uploads SET state = 'stored', acked = bytes, stored_at = ?2, location = NULL,
                capability = NULL, expires_at = NULL, retry_at = NULL, problem = NULL
         WHERE n = ?1 AND state <> 'stored'",
    )?
    .execute(params![n, now])?;
    Ok(())
}

/// The upload is not there any more, or not ours: it is begun again.
pub(super) fn lost(conn: &Connection, n: i64, retry_at: Option<Millis>) -> Result<(), StoreError> {
    conn.prepare_cached(
        "UPDATE uploads SET state = 'queued', location = NULL, capability = NULL,
                expires_at = NULL, acked = 0, attempts = attempts + 1, retry_at = ?2
         WHERE n = ?1 AND state <> 'stored'",
    )?
    .execute(params![n, retry_at])?;
    Ok(())
}

/// It rests with what is wrong; offered again by itself where there is a time for that.
pub(super) fn refuse(
    conn: &Connection,
    n: i64,
    problem: &str,
    retry_at: Option<Millis>,
) -> Result<(), StoreError> {
    conn.prepare_cached(
        "UPDATE uploads SET state = 'refused', problem = ?2, retry_at = ?3,
                attempts = attempts + 1
         WHERE n = ?1 AND state <> 'stored'",
    )?
    .execute(params![n, problem, retry_at])?;
    Ok(())
}

impl Device {
    /// Every picture on its way up, and what became of it, in the order in which they go.
    ///
    /// # Errors
    /// [`StoreError`] when the journal cannot be read.
    pub fn uploads(&self) -> Result<Vec<UploadItem>, StoreError> {
        let mut statement = self.conn.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM uploads ORDER BY variant = 'original', n"
        ))?;
        let mut rows = statement.query([])?;
        let mut items = Vec::new();
        while let Some(row) = rows.next()? {
            items.push(Upload::read(row)?.item);
        }
        Ok(items)
    }

    /// Offers a refused picture again: what refused it may have changed.
    ///
    /// # Errors
    /// [`CaptureError::UnknownPhoto`] when no such picture goes up from here.
    pub fn retry_upload(
        &mut self,
        photo: Hash,
        variant: Variant,
        now: Millis,
    ) -> Result<(), CaptureError> {
        let upload = of(&self.conn, photo, variant)?.ok_or(CaptureError::UnknownPhoto)?;
        self.conn.execute(
            "UPDATE uploads SET state = 'queued', problem = NULL, retry_at = NULL
             WHERE n = ?1 AND state = 'refused'",
            [upload.n],
        )?;
        self.changes.tables.insert("photos");
        self.on_poke(now);
        Ok(())
    }
}

/// How many pictures are not on the server, and how many bytes of them; and how many it refused.
pub(crate) fn unsent(conn: &Connection) -> Result<(u64, u64, u64), StoreError> {
    let counts = conn
        .prepare_cached(
            "SELECT count(*) FILTER (WHERE state <> 'refused'), coalesce(sum(bytes - acked), 0),
                    count(*) FILTER (WHERE state = 'refused')
             FROM uploads WHERE state <> 'stored'",
        )?
        .query_row([], |row| {
            let count = |column| row.get::<_, i64>(column).map(i64::unsigned_abs);
            Ok((count(0)?, count(1)?, count(2)?))
        })
        .optional()?;
    Ok(counts.unwrap_or_default())
}
