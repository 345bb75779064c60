//! Applying the server's changes: a page is applied whole or not at all.

use std::borrow::Cow;
use std::collections::BTreeSet;

use chrono::NaiveDate;
use motomind_protocol::effective::Act;
use motomind_protocol::wire::PhotoStored;
use motomind_protocol::{EventId, Flag, Millis, OpId, VehicleId, registry};
use rusqlite::{CachedStatement, Connection, params};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::records::{self, RecordRef};
use super::statements::{self, StatementKind};
use super::{derived, family};
use crate::error::StoreError;
use crate::ids::{blob, blob_opt};

/// A page could not be applied; the mirror is as it was.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// The change is not of the agreed form.
    #[error("change {index} of the page cannot be read: {error}")]
    Unreadable {
        /// Position within the page.
        index: usize,
        /// What the parser says.
        error: serde_json::Error,
    },
    /// The changes are not in sequence.
    #[error("change {index} of the page is out of sequence")]
    OutOfSequence {
        /// Position within the page.
        index: usize,
    },
    /// The storage failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for PageError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

/// What a page changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Sequence of the last change.
    pub seq: u64,
    /// Vehicles whose timeline changed.
    pub timelines: BTreeSet<VehicleId>,
    /// Records that changed.
    pub records: BTreeSet<RecordRef>,
    /// Operations whose changes of records came, and whether a document holds them.
    pub told: Vec<(OpId, bool)>,
    /// Operations that closed the id of another.
    pub closed_by: Vec<OpId>,
    /// Photos and previews that have come to the server.
    pub stored: Vec<PhotoStored>,
}

#[derive(Deserialize)]
struct ClosedColumns {
    by: OpId,
}

/// A change as far as the mirror reads it at once; `data` rests as received.
#[derive(Deserialize)]
struct RawChange<'a> {
    seq: u64,
    #[serde(borrow)]
    kind: Cow<'a, str>,
    /// A kind of a newer server may have none.
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

/// The columns of an [`motomind_protocol::EventRecord`], borrowed from its text.
#[derive(Deserialize)]
pub(super) struct RecordColumns<'a> {
    #[serde(borrow)]
    event: EventColumns<'a>,
    received_at: Millis,
    corrects: Option<EventId>,
    #[serde(default)]
    flags: Vec<Flag>,
}

#[derive(Deserialize)]
struct EventColumns<'a> {
    id: EventId,
    vehicle_id: VehicleId,
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    occurred_at: Millis,
    date: NaiveDate,
    miles: Option<i64>,
    #[serde(borrow)]
    fix: Option<&'a RawValue>,
    #[serde(borrow)]
    photo_fix: Option<&'a RawValue>,
    #[serde(borrow)]
    position: Option<&'a RawValue>,
    #[serde(default)]
    payload: PayloadColumns,
}

#[derive(Default, Deserialize)]
struct PayloadColumns {
    /// Any JSON: a foreign client may have written something else than a flag.
    odometer_replaced: Option<serde_json::Value>,
}

/// Where an event's row comes from and stands.
#[derive(Clone, Copy, Debug)]
pub struct Standing<'a> {
    /// The server's sequence, once there is one.
    pub seq: Option<u64>,
    /// State of its operation.
    pub state: &'a str,
    /// Overlaid from the journal rather than received.
    pub own: bool,
}

/// Applies changes in order within the caller's transaction. `after` is the sequence before the
/// first of them.
///
/// # Errors
/// [`PageError`]; roll the transaction back.
pub fn apply(
    conn: &Connection,
    changes: &[Box<RawValue>],
    after: u64,
    generation: i64,
) -> Result<Applied, PageError> {
    let mut applied = Applied { seq: after, ..Applied::default() };
    for (index, raw) in changes.iter().enumerate() {
        let unreadable = |error| PageError::Unreadable { index, error };
        let change: RawChange<'_> = serde_json::from_str(raw.get()).map_err(unreadable)?;
        if change.seq <= applied.seq {
            return Err(PageError::OutOfSequence { index });
        }
        applied.seq = change.seq;
        let data = change.data.map_or("null", RawValue::get);
        match change.kind.as_ref() {
            "event" => {
                let standing = Standing { seq: Some(change.seq), state: "accepted", own: false };
                let vehicle = put_event(conn, data, standing, generation).map_err(|e| match e {
                    PageError::Unreadable { error, .. } => unreadable(error),
                    other => other,
                })?;
                applied.timelines.insert(vehicle);
            }
            "record" => {
                let took = records::take_in(conn, change.seq, data, generation)?;
                applied.records.extend(took.record);
                applied.told.extend(took.op_id.map(|op_id| (op_id, took.in_document)));
            }
            "closed" => {
                let closed: ClosedColumns = serde_json::from_str(data).map_err(unreadable)?;
                applied.closed_by.push(closed.by);
            }
            "photo_stored" => {
                let stored: PhotoStored = serde_json::from_str(data).map_err(unreadable)?;
                statements::put_stored(conn, &stored, generation)?;
                applied.stored.push(stored);
            }
            kind => {
                // Kinds of a newer server are read after an upgrade, when the mirror is rebuilt.
                let Some(kind) = StatementKind::find(kind) else { continue };
                let standing = Standing { seq: Some(change.seq), state: "accepted", own: false };
                let put = statements::put(conn, kind, data, standing, generation);
                applied.timelines.insert(put.map_err(|e| match e {
                    PageError::Unreadable { error, .. } => unreadable(error),
                    other => other,
                })?);
            }
        }
    }
    statements::pass(conn, applied.seq)?;
    Ok(applied)
}

/// Inserts or replaces an event's row and settles which of its family counts.
///
/// # Errors
/// [`PageError::Unreadable`] when `data` is not an event record.
pub fn put_event(
    conn: &Connection,
    data: &str,
    standing: Standing<'_>,
    generation: i64,
) -> Result<VehicleId, PageError> {
    let record: RecordColumns<'_> =
        serde_json::from_str(data).map_err(|error| PageError::Unreadable { index: 0, error })?;
    // As the server resolved it: an event that names one may stand alone.
    let corrects = record.corrects;
    let root = match corrects {
        Some(corrected) => Some(family::root_of(conn, corrected)?),
        None => None,
    };
    let id = record.event.id;
    let before = family::place(conn, id)?;
    insert_event(conn, &record, data, standing, generation, corrects, root)?;
    family::moved(conn, id, &before, root)?;
    if statements::any(conn, id)? {
        derived::settle(conn, root.unwrap_or(id))?;
    }
    Ok(record.event.vehicle_id)
}

fn insert_event(
    conn: &Connection,
    record: &RecordColumns<'_>,
    data: &str,
    standing: Standing<'_>,
    generation: i64,
    corrects: Option<EventId>,
    root: Option<EventId>,
) -> Result<(), StoreError> {
    let event = &record.event;
    let kind = registry::find(&event.kind).map_or(event.kind.as_ref(), |spec| spec.name);
    let clock_ahead = record.flags.contains(&Flag::ClockAhead);
    let at = if clock_ahead { record.received_at } else { event.occurred_at };
    let starts_segment = event.payload.odometer_replaced == Some(serde_json::Value::Bool(true));
    let place = derived::measured(&derived::Sources {
        fix: event.fix.map(RawValue::get),
        photo_fix: event.photo_fix.map(RawValue::get),
        position: event.position.map(RawValue::get),
    });
    put_statement(conn)?.execute(params![
        blob(&event.id.0),
        blob(&event.vehicle_id.0),
        kind,
        event.occurred_at,
        at,
        DayText::of(event.date).as_str(),
        event.miles,
        starts_segment,
        standing.seq.map(|seq| seq as i64),
        standing.state,
        standing.own,
        blob_opt(corrects.map(|id| id.0)),
        blob_opt(root.map(|id| id.0)),
        // As a family of its own; a refused one stays visible.
        !Act::of_type(kind).states_a_fact() && standing.state != "rejected",
        generation,
        place.as_ref().map(|place| place.latitude),
        place.as_ref().map(|place| place.longitude),
        place.as_ref().and_then(|place| place.accuracy_m),
        place.as_ref().map(|place| derived::from_name(place.from)),
        data,
    ])?;
    Ok(())
}

fn put_statement(conn: &Connection) -> rusqlite::Result<CachedStatement<'_>> {
    conn.prepare_cached(
        "INSERT INTO events (event_id, vehicle_id, type, occurred_at, at, date, miles,
           starts_segment, seq, state, own, corrects, root, hidden, generation, latitude,
           longitude, accuracy_m, place_from, data)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18,
                 ?19, ?20)
         ON CONFLICT (event_id) DO UPDATE SET
           vehicle_id = excluded.vehicle_id, type = excluded.type,
           occurred_at = excluded.occurred_at, at = excluded.at, date = excluded.date,
           miles = excluded.miles, starts_segment = excluded.starts_segment,
           seq = excluded.seq, state = excluded.state, own = excluded.own,
           corrects = excluded.corrects, root = excluded.root, hidden = excluded.hidden,
           generation = excluded.generation, photos = 0, latitude = excluded.latitude,
           longitude = excluded.longitude, accuracy_m = excluded.accuracy_m, address = NULL,
           place_from = excluded.place_from, data = excluded.data",
    )
}

/// `YYYY-MM-DD` without an allocation for each row of a long pull.
struct DayText([u8; 10]);

impl DayText {
    fn of(day: NaiveDate) -> Self {
        use chrono::Datelike;
        let (year, month, dom) = (day.year().unsigned_abs() % 10_000, day.month(), day.day());
        let digit = |number: u32| b'0' + u8::try_from(number % 10).unwrap_or(0);
        Self([
            digit(year / 1000),
            digit(year / 100),
            digit(year / 10),
            digit(year),
            b'-',
            digit(month / 10),
            digit(month),
            b'-',
            digit(dom / 10),
            digit(dom),
        ])
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("")
    }
}

/// Starts again from the beginning of a new log of the server. What is shown stays until it has
/// been pulled, so that nothing vanishes from the screen meanwhile.
///
/// # Errors
/// [`StoreError`] as SQLite reports it.
pub fn begin_rebuild(conn: &Connection, generation: i64) -> Result<(), StoreError> {
    conn.execute(
        "UPDATE mirror SET cursor = NULL, seq = 0, head = 0, generation = ?1, rebuilding = 1",
        [generation],
    )?;
    Ok(())
}

/// Drops what the new epoch did not bring again. Rows overlaid from the journal stay.
///
/// # Errors
/// [`StoreError`] as SQLite reports it.
pub fn finish_rebuild(conn: &Connection) -> Result<(), StoreError> {
    family::remove_untold(conn)?;
    statements::remove_untold(conn)?;
    records::remove_untold(conn)?;
    conn.execute_batch("UPDATE mirror SET rebuilding = 0")?;
    Ok(())
}
