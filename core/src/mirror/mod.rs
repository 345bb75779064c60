//! The mirror: the tenant as this device knows it, in a SQLite file that is only a cache.
//!
//! The server builds first-sync snapshots with this module too: a snapshot is a mirror file.
//! Everything here works on a plain [`Connection`] in which the mirror's tables are visible.

mod apply;
mod derived;
pub(crate) mod documents;
mod family;
pub(crate) mod layout;
mod query;
pub(crate) mod records;
pub(crate) mod statements;

pub use apply::{Applied, PageError, Standing, apply, begin_rebuild, finish_rebuild, put_event};
pub use family::{Family, FamilyMember};
pub(crate) use family::{family_of, remove_own, root_of};
pub use query::{PageKey, TimelineEntry, TimelinePage, TimelineQuery, VehicleEntry};
pub(crate) use query::{event, events_near, garages, reading_before, timeline, vehicle, vehicles};

pub use records::{Aside, RecordEntry, RecordMarks, RecordRef, RecordState};

use motomind_protocol::Millis;
use rusqlite::Connection;

use crate::error::StoreError;

/// Version of the mirror's tables. Another version is emptied and pulled again.
pub const MIRROR_VERSION: i64 = 5;

/// Where the mirror stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Where to pull from; `None`: from the beginning.
    pub cursor: Option<String>,
    /// Sequence of the last change applied.
    pub seq: u64,
    /// The server's newest sequence when last heard of.
    pub head: u64,
    /// Counts rebuilds.
    pub generation: i64,
    /// Older generations are still shown while a new epoch is pulled.
    pub rebuilding: bool,
    /// Device clock at the last page, UTC ms.
    pub pulled_at: Option<Millis>,
    /// Server clock minus device clock then, ms.
    pub server_offset_ms: Option<i64>,
}

impl Position {
    /// Whether the mirror holds all that the server's log told when this device last heard of it.
    pub(crate) fn has_the_whole_log(&self) -> bool {
        self.cursor.is_some() && !self.rebuilding && self.seq >= self.head
    }
}

/// Creates the mirror's tables in an empty database file (the server's way in).
///
/// # Errors
/// [`StoreError`] as SQLite reports it.
pub fn create(conn: &Connection) -> Result<(), StoreError> {
    create_in(conn, "main")
}

fn create_in(conn: &Connection, schema: &str) -> Result<(), StoreError> {
    let sql = concat!(include_str!("schema.sql"), include_str!("../transfer/cache.sql"))
        .replace("$schema.", &format!("{schema}."));
    let tx = conn.unchecked_transaction()?;
    tx.execute_batch(&sql)?;
    layout::create(&tx, schema)?;
    tx.pragma_update(Some(schema), "user_version", MIRROR_VERSION)?;
    tx.commit()?;
    Ok(())
}

/// Brings the records' tables in line with the declaration of this build.
fn lay_out(conn: &Connection, schema: &str) -> Result<(), StoreError> {
    let sql = format!("SELECT layout FROM {schema}.mirror");
    let found: Option<String> = conn.query_row(&sql, [], |row| row.get(0))?;
    if found.as_deref() == Some(&layout::fingerprint()) {
        return Ok(());
    }
    let tx = conn.unchecked_transaction()?;
    records::lay_out_again(&tx, schema)?;
    tx.commit()?;
    Ok(())
}

/// Makes an attached file a mirror of this version.
pub(crate) fn prepare(conn: &Connection, schema: &str) -> Result<(), StoreError> {
    conn.execute_batch(&format!(
        "PRAGMA {schema}.page_size = 4096; PRAGMA {schema}.journal_mode = WAL; PRAGMA {schema}.synchronous = NORMAL;"
    ))?;
    let version: i64 = conn.pragma_query_value(Some(schema), "user_version", |row| row.get(0))?;
    match version {
        MIRROR_VERSION => position(conn).and_then(|_| lay_out(conn, schema)),
        0 => create_in(conn, schema),
        other => Err(StoreError::Damaged(format!("mirror version {other}"))),
    }
}

/// Which rebuild the mirror's rows belong to.
pub(crate) fn generation(conn: &Connection) -> Result<i64, StoreError> {
    let mut statement = conn.prepare_cached("SELECT generation FROM mirror")?;
    Ok(statement.query_row([], |row| row.get(0))?)
}

/// Where the mirror stands.
///
/// # Errors
/// [`StoreError`] as SQLite reports it.
pub fn position(conn: &Connection) -> Result<Position, StoreError> {
    let position = conn
        .prepare_cached(
            "SELECT cursor, seq, head, generation, rebuilding, pulled_at, server_offset_ms
             FROM mirror",
        )?
        .query_row([], |row| {
            Ok(Position {
                cursor: row.get(0)?,
                seq: row.get::<_, i64>(1)?.unsigned_abs(),
                head: row.get::<_, i64>(2)?.unsigned_abs(),
                generation: row.get(3)?,
                rebuilding: row.get(4)?,
                pulled_at: row.get(5)?,
                server_offset_ms: row.get(6)?,
            })
        })?;
    Ok(position)
}
