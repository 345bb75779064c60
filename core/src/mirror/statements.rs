//! What is said beside events: photos on them, and where they happened.
//!
//! Statements are about a *family*: a correction of an event keeps its photos and its place. Which
//! of them count is `protocol`'s to say ([`motomind_protocol::photo::attached`],
//! [`motomind_protocol::place::place`]); what comes of it for the lists rests in columns of the
//! family's events (`derived`).

use motomind_protocol::wire::{PhotoStored, Stated};
use motomind_protocol::{
    Attachment, EventId, Hash, LocationCorrection, OpId, OpState, PhotoMime, VehicleId, photo,
};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::de::DeserializeOwned;
use serde_json::Value;
use uuid::Uuid;

use super::apply::{PageError, Standing};
use super::derived::settle;
use super::family::root_of;
use crate::error::StoreError;
use crate::ids::{blob, blob_opt, read_id, read_id_opt};
use crate::transfer::Variant;

/// A kind of statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StatementKind {
    /// [`Attachment`].
    Photo,
    /// [`LocationCorrection`].
    LocationCorrection,
    /// [`motomind_protocol::flow::Session`].
    Session,
}

impl StatementKind {
    /// The name in the log and in the table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Photo => "photo",
            Self::LocationCorrection => "location_correction",
            Self::Session => "session",
        }
    }

    /// The kind of a name.
    pub(crate) fn find(name: &str) -> Option<Self> {
        [Self::Photo, Self::LocationCorrection, Self::Session]
            .into_iter()
            .find(|kind| kind.name() == name)
    }
}

/// What is read of a statement to put it in its place.
struct Columns {
    id: Uuid,
    vehicle: VehicleId,
    event: Option<EventId>,
    photo: Option<Hash>,
    takes_back: bool,
}

fn columns(kind: StatementKind, data: &str) -> Result<Columns, serde_json::Error> {
    Ok(match kind {
        StatementKind::Photo => {
            let stated: Stated<Attachment> = serde_json::from_str(data)?;
            Columns {
                id: stated.id,
                vehicle: stated.said.vehicle_id,
                event: Some(stated.event_id.unwrap_or(stated.said.event_id)),
                photo: Some(stated.said.photo),
                takes_back: stated.said.removed,
            }
        }
        StatementKind::LocationCorrection => {
            let stated: Stated<LocationCorrection> = serde_json::from_str(data)?;
            Columns {
                id: stated.id,
                vehicle: stated.said.vehicle_id,
                event: Some(stated.event_id.unwrap_or(stated.said.event_id)),
                photo: None,
                takes_back: stated.said.withdrawn,
            }
        }
        StatementKind::Session => {
            let stated: Stated<motomind_protocol::flow::Session> = serde_json::from_str(data)?;
            let vehicle = stated.said.vehicle_id;
            Columns { id: stated.id, vehicle, event: None, photo: None, takes_back: false }
        }
    })
}

/// Inserts or replaces a statement and settles what it is about.
pub(crate) fn put(
    conn: &Connection,
    kind: StatementKind,
    data: &str,
    standing: Standing<'_>,
    generation: i64,
) -> Result<VehicleId, PageError> {
    let columns = columns(kind, data).map_err(|error| PageError::Unreadable { index: 0, error })?;
    let before = about(conn, columns.id)?;
    conn.prepare_cached(
        "INSERT INTO statements
           (id, kind, event_id, photo, takes_back, seq, state, own, generation, data)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
         ON CONFLICT (id) DO UPDATE SET
           kind = excluded.kind, event_id = excluded.event_id, photo = excluded.photo,
           takes_back = excluded.takes_back, seq = excluded.seq, state = excluded.state,
           own = excluded.own, generation = excluded.generation, data = excluded.data",
    )?
    .execute(params![
        blob(&columns.id),
        kind.name(),
        blob_opt(columns.event.map(|id| id.0)),
        columns.photo.map(|photo| photo.0),
        columns.takes_back,
        standing.seq.map(|seq| seq as i64),
        standing.state,
        standing.own,
        generation,
        if kind == StatementKind::Session { "" } else { data },
    ])?;
    for event in before.into_iter().filter(|event| Some(*event) != columns.event) {
        settle(conn, root_of(conn, event)?)?;
    }
    if let Some(event) = columns.event {
        settle(conn, root_of(conn, event)?)?;
    }
    Ok(columns.vehicle)
}

/// The event that a statement is about, where it is there and about one.
fn about(conn: &Connection, id: Uuid) -> Result<Option<EventId>, StoreError> {
    let event = conn
        .prepare_cached("SELECT event_id FROM statements WHERE id = ?1")?
        .query_row([blob(&id)], |row| read_id_opt(row, 0))
        .optional()?;
    Ok(event.flatten().map(EventId))
}

/// Removes the row of an operation of this device; one that the server has told of stays.
pub(crate) fn remove_own(conn: &Connection, op_id: OpId) -> Result<(), StoreError> {
    let event = about(conn, op_id.0)?;
    let removed = conn
        .prepare_cached("DELETE FROM statements WHERE id = ?1 AND own = 1")?
        .execute([blob(&op_id.0)])?;
    match event.filter(|_| removed > 0) {
        Some(event) => settle(conn, root_of(conn, event)?),
        None => Ok(()),
    }
}

/// Another event stands in the place of one: this device's own statements follow it.
pub(crate) fn follow(conn: &Connection, event: EventId, to: EventId) -> Result<(), StoreError> {
    let moved = conn
        .prepare_cached("UPDATE statements SET event_id = ?2 WHERE event_id = ?1 AND own = 1")?
        .execute(params![blob(&event.0), blob(&to.0)])?;
    if moved > 0 {
        settle(conn, root_of(conn, event)?)?;
        settle(conn, root_of(conn, to)?)?;
    }
    Ok(())
}

/// Whether the log of this generation has told of a statement.
pub(crate) fn is_told(conn: &Connection, id: Uuid, generation: i64) -> Result<bool, StoreError> {
    let own: Option<bool> = conn
        .prepare_cached("SELECT own FROM statements WHERE id = ?1 AND generation = ?2")?
        .query_row(params![blob(&id), generation], |row| row.get(0))
        .optional()?;
    Ok(own == Some(false))
}

/// Takes out what the log has passed and has nothing to tell of: what took back only what had
/// never arrived.
pub(super) fn pass(conn: &Connection, seq: u64) -> Result<(), StoreError> {
    let passed: Vec<OpId> = {
        let mut statement = conn.prepare_cached(
            "SELECT id FROM statements
             WHERE own = 1 AND takes_back = 1 AND state = 'accepted' AND seq <= ?1",
        )?;
        let ids = statement.query_map([seq as i64], |row| Ok(OpId(read_id(row, 0)?)))?;
        ids.collect::<Result<_, _>>()?
    };
    passed.into_iter().try_for_each(|op_id| remove_own(conn, op_id))
}

/// Remembers that bytes are on the server.
pub(super) fn put_stored(
    conn: &Connection,
    stored: &PhotoStored,
    generation: i64,
) -> Result<(), StoreError> {
    // What another generation said of the photo's other picture counts no more.
    conn.prepare_cached("DELETE FROM stored_photos WHERE photo = ?1 AND generation <> ?2")?
        .execute(params![stored.photo.0, generation])?;
    conn.prepare_cached(
        "INSERT INTO stored_photos (photo, generation) VALUES (?1, ?2)
         ON CONFLICT (photo) DO NOTHING",
    )?
    .execute(params![stored.photo.0, generation])?;
    let (bytes, mime) = (stored.bytes as i64, stored.mime.as_str());
    match stored.preview {
        Some(preview) => conn
            .prepare_cached(
                "UPDATE stored_photos SET preview = ?2, preview_bytes = ?3, preview_mime = ?4
                 WHERE photo = ?1",
            )?
            .execute(params![stored.photo.0, preview.0, bytes, mime])?,
        None => conn
            .prepare_cached("UPDATE stored_photos SET bytes = ?2, mime = ?3 WHERE photo = ?1")?
            .execute(params![stored.photo.0, bytes, mime])?,
    };
    Ok(())
}

/// Removes what the server told in an older generation and has not told again in this one.
pub(super) fn remove_untold(conn: &Connection) -> Result<(), StoreError> {
    const UNTOLD: &str = "own = 0 AND generation <> (SELECT generation FROM mirror)";
    let events: Vec<EventId> = {
        let mut statement = conn.prepare(&format!(
            "SELECT DISTINCT event_id FROM statements WHERE event_id IS NOT NULL AND {UNTOLD}"
        ))?;
        let ids = statement.query_map([], |row| Ok(EventId(read_id(row, 0)?)))?;
        ids.collect::<Result<_, _>>()?
    };
    conn.execute(&format!("DELETE FROM statements WHERE {UNTOLD}"), [])?;
    conn.execute(
        "DELETE FROM stored_photos WHERE generation <> (SELECT generation FROM mirror)",
        [],
    )?;
    events.into_iter().try_for_each(|event| settle(conn, root_of(conn, event)?))
}

/// A statement about an event's family.
#[derive(Clone, Debug)]
pub(crate) struct Told<T> {
    /// As received.
    pub(crate) stated: Stated<T>,
    /// The server's sequence, once it has one.
    pub(crate) seq: Option<u64>,
    /// Where its operation stands.
    pub(crate) state: OpState,
}

impl<T> Told<T> {
    /// What takes part in the law; refused ones are shown and take no part.
    pub(crate) fn counts(&self) -> Option<(Option<u64>, &T)> {
        (self.state != OpState::Rejected).then_some((self.seq, &self.stated.said))
    }
}

/// Every statement of a kind about a family, own ones without a sequence in the order of capture.
pub(crate) fn of_family<T: DeserializeOwned>(
    conn: &Connection,
    root: EventId,
    kind: StatementKind,
) -> Result<Vec<Told<T>>, StoreError> {
    let mut statement = conn.prepare_cached(
        "SELECT data, seq, state FROM statements
         WHERE kind = ?2 AND event_id IS NOT NULL
           AND (event_id = ?1 OR event_id IN (SELECT event_id FROM events WHERE root = ?1))
         ORDER BY seq IS NULL, seq, n",
    )?;
    let mut rows = statement.query(params![blob(&root.0), kind.name()])?;
    let mut told = Vec::new();
    while let Some(row) = rows.next()? {
        told.push(read(row)?);
    }
    Ok(told)
}

fn read<T: DeserializeOwned>(row: &Row<'_>) -> Result<Told<T>, StoreError> {
    let state = row.get_ref(2)?.as_str().unwrap_or_default();
    Ok(Told {
        stated: serde_json::from_str(row.get_ref(0)?.as_str().unwrap_or_default())?,
        seq: row.get::<_, Option<i64>>(1)?.map(i64::unsigned_abs),
        state: state.parse().map_err(|()| StoreError::Damaged(format!("state {state}")))?,
    })
}

/// What counts of what was told of a photo, on whatever event.
pub(crate) fn facts_of(
    conn: &Connection,
    photo: &Hash,
) -> Result<Option<photo::PhotoFacts>, StoreError> {
    let mut statement = conn.prepare_cached(
        "SELECT data, seq, state FROM statements WHERE photo = ?1 ORDER BY seq IS NULL, seq, n",
    )?;
    let mut rows = statement.query([photo.0])?;
    let mut told: Vec<Told<Attachment>> = Vec::new();
    while let Some(row) = rows.next()? {
        told.push(read(row)?);
    }
    Ok(photo::facts(told.iter().filter_map(Told::counts)).cloned())
}

/// What the server has of a photo: of the original and of a preview, each with its hash and bytes.
pub(crate) fn stored(conn: &Connection, photo: &Hash) -> Result<StoredPhoto, StoreError> {
    let found = conn
        .prepare_cached("SELECT bytes, preview, preview_bytes FROM stored_photos WHERE photo = ?1")?
        .query_row([photo.0], |row| {
            let bytes: Option<i64> = row.get(0)?;
            let preview: Option<[u8; 32]> = row.get(1)?;
            Ok(StoredPhoto { original: bytes.is_some(), preview: preview.map(Hash) })
        })
        .optional()?;
    Ok(found.unwrap_or_default())
}

/// What a picture of a photo is, as the server says.
pub(crate) fn stored_mime(
    conn: &Connection,
    photo: &Hash,
    variant: Variant,
) -> Result<Option<PhotoMime>, StoreError> {
    let column = match variant {
        Variant::Original => "mime",
        Variant::Preview => "preview_mime",
    };
    let sql = format!("SELECT {column} FROM stored_photos WHERE photo = ?1");
    let mut statement = conn.prepare_cached(&sql)?;
    let mime: Option<Option<String>> =
        statement.query_row([photo.0], |row| row.get(0)).optional()?;
    Ok(mime.flatten().map(|mime| serde_json::from_value(mime.into())).transpose()?)
}

/// What the server has of a photo.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct StoredPhoto {
    pub(crate) original: bool,
    /// SHA-256 of the preview's bytes.
    pub(crate) preview: Option<Hash>,
}

/// Whether anything is said about an event.
pub(super) fn any(conn: &Connection, event: EventId) -> Result<bool, StoreError> {
    Ok(conn
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM statements WHERE event_id = ?1)")?
        .query_row([blob(&event.0)], |row| row.get(0))?)
}

/// What is stated, as text: the server's own form, for this device's operations until they come
/// back.
pub(crate) fn stated_text(
    operation: &motomind_protocol::Operation,
    event: Option<EventId>,
) -> Result<Option<(StatementKind, String)>, StoreError> {
    use motomind_protocol::Body;
    let (kind, said) = match &operation.body {
        Body::Photo(said) => (StatementKind::Photo, serde_json::to_value(said)?),
        Body::LocationCorrection(said) => {
            (StatementKind::LocationCorrection, serde_json::to_value(said)?)
        }
        Body::Session(said) => (StatementKind::Session, serde_json::to_value(said)?),
        Body::Event(_) | Body::Record(_) | Body::Other(_) => return Ok(None),
    };
    let stated: Stated<Value> = Stated {
        id: operation.op_id.0,
        said,
        event_id: event,
        received_at: operation.clock.wall_ms,
        op_id: Some(operation.op_id),
        device_id: Some(operation.device_id),
        user_id: Some(operation.user_id),
        extra: serde_json::Map::new(),
    };
    Ok(Some((kind, serde_json::to_string(&stated)?)))
}
