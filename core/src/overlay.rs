//! The overlay: this device's own operations shown over what the server has told.
//!
//! ```text
//! mirror = server's changes up to the cursor
//!        + every operation of mine that is unsettled, or accepted with a sequence beyond it
//! ```
//!
//! The journal is written first, the mirror after it. The mirror may lose its last transactions
//! at a power loss; [`rebuild`] makes the law hold again at every opening.

use std::collections::{BTreeMap, BTreeSet};

use motomind_protocol::records::schema::collections;
use motomind_protocol::wire::Rejection;
use motomind_protocol::{Body, EventId, EventRecord, OpId, OpState, Operation, VehicleId, code};
use rusqlite::{Connection, OptionalExtension, params};
use uuid::Uuid;

use crate::device::Device;
use crate::error::StoreError;
use crate::ids::{blob, read_id, read_id_opt};
use crate::journal::{self, Stored};
use crate::mirror::{self, PageError, RecordRef, Standing, statements};
use crate::records::overlay as records;
use crate::{open, transaction};

/// Captures that are laid over the mirror together, at most. One by one, writing the cache would
/// cost a person half as long again as making the capture safe.
const UNSHOWN_MAX: usize = 64;

/// Shows operations that have just been captured. They are durable whatever happens here: a
/// mirror that cannot be written now is mended by the next call.
pub(crate) fn show(device: &mut Device, operations: Vec<Operation>) {
    for operation in &operations {
        device.changes.event_of(VehicleId(operation.lane));
    }
    device.changes.tables.insert("pending");
    let plain = operations.iter().all(|operation| {
        let alone = operation.event().is_some_and(|event| event.corrects.is_none());
        operation.supersedes.is_empty() && alone
    });
    device.unshown.borrow_mut().extend(operations);
    if !plain || device.unshown.borrow().len() > UNSHOWN_MAX {
        // What cannot be shown now is remembered as such.
        let _ = catch_up(device);
    }
}

/// Lays what waits to be shown over the mirror; before anyone looks at it.
pub(crate) fn catch_up(device: &Device) -> Result<(), StoreError> {
    let waiting = device.unshown.take();
    if waiting.is_empty() {
        return Ok(());
    }
    let shown = device.noting_damage(try_show(&device.conn, &waiting));
    if shown.is_err() {
        device.mirror_is_stale.set(true);
    }
    shown
}

fn try_show(conn: &Connection, operations: &[Operation]) -> Result<(), StoreError> {
    transaction::begin(conn)?;
    let shown = show_each(conn, operations).and_then(|()| Ok(transaction::commit(conn)?));
    if shown.is_err() {
        let _ = conn.execute_batch("ROLLBACK");
    }
    shown
}

fn show_each(conn: &Connection, operations: &[Operation]) -> Result<(), StoreError> {
    let generation = mirror::generation(conn)?;
    for operation in operations {
        if let Some(superseded) = operation.supersedes.first() {
            take_out(conn, *superseded)?;
            if operation.event().is_some() {
                statements::follow(conn, superseded.0.into(), operation.op_id.into())?;
            }
        }
        // Just captured under an id that the mirror does not know: no look at what is there.
        put_over(conn, operation, OpState::Queued, None, generation)?;
    }
    Ok(())
}

/// Brings the rows of operations in line with the journal after their state has changed there.
pub(crate) fn follow(device: &mut Device, changed: &[OpId]) {
    let _ = catch_up(device);
    match device.noting_damage(try_follow(&device.conn, changed)) {
        Ok((vehicles, records)) => {
            vehicles.into_iter().for_each(|v| device.changes.event_of(v));
            device.changes.records_changed(records);
        }
        Err(_) => device.mirror_is_stale.set(true),
    }
    device.changes.tables.insert("pending");
}

fn try_follow(conn: &Connection, changed: &[OpId]) -> Result<Followed, StoreError> {
    let position = mirror::position(conn)?;
    let tx = conn.unchecked_transaction()?;
    let (mut vehicles, mut records) = Followed::default();
    for op_id in changed {
        let Some(stored) = journal::find(&tx, *op_id)? else {
            continue;
        };
        let operation = stored.operation()?;
        if let Some(record) = records::record_of(&operation) {
            records.insert(record);
            continue;
        }
        if went_with_its_event(&tx, &stored, &operation)? {
            journal::set_aside(&tx, *op_id, "its event was discarded".into())?;
            take_out(&tx, *op_id)?;
            vehicles.push(VehicleId(operation.lane));
            continue;
        }
        if belongs(&stored, position.seq, position.rebuilding) {
            put(&tx, &operation, stored.state, stored.seq, position.generation)?;
        } else if stored.state == OpState::Superseded || takes_back(&operation) {
            // The log has passed it without an event: a discard of what had never arrived.
            take_out(&tx, *op_id)?;
        }
        vehicles.push(VehicleId(operation.lane));
    }
    records.iter().try_for_each(|record| records::project(&tx, record))?;
    tx.commit()?;
    Ok((vehicles, records))
}

/// Whether an operation may have been accepted without the log telling of it: a discard of what had
/// never arrived.
fn takes_back(operation: &Operation) -> bool {
    match &operation.body {
        Body::Event(event) => event.is_retraction(),
        Body::Photo(said) => said.removed,
        Body::LocationCorrection(said) => said.withdrawn,
        Body::Session(_) | Body::Record(_) | Body::Other(_) => false,
    }
}

/// Whether the server refused what is said of an event because this device's person had discarded
/// that event: nobody has to look at it again.
fn went_with_its_event(
    conn: &Connection,
    stored: &Stored,
    operation: &Operation,
) -> Result<bool, StoreError> {
    let refused = |reason: &Rejection| reason.code == code::PARENT_REJECTED;
    if stored.state != OpState::Rejected || !stored.reason.as_ref().is_some_and(refused) {
        return Ok(false);
    }
    let Some(event) = event_of(conn, operation)? else { return Ok(false) };
    let standing = journal::find(conn, event.into())?;
    standing.map_or(Ok(false), |standing| standing.is_a_retraction())
}

/// Vehicles whose timelines, and records whose rows may have changed.
type Followed = (Vec<VehicleId>, BTreeSet<RecordRef>);

/// Catches up with the journal, if the mirror could not be written before; empties it first, if
/// it was found damaged.
pub(crate) fn mend(device: &mut Device) -> Result<(), StoreError> {
    if device.mirror_is_damaged.get() {
        open::reset_mirror(&device.conn, &device.files)?;
        device.mirror_is_damaged.set(false);
        device.mirror_is_stale.set(true);
        // A page that is under way would continue what is gone.
        device.sync.pull.start_over();
        device.sync.download.forget_flight();
        device.changes.tables.insert("events");
        device.changes.tables.extend(collections().map(|collection| collection.name));
    }
    if device.mirror_is_stale.get() {
        device.unshown.take();
        rebuild(device)?;
        device.mirror_is_stale.set(false);
    }
    Ok(())
}

/// Whether the overlay shows an operation.
fn belongs(stored: &Stored, mirror_seq: u64, rebuilding: bool) -> bool {
    match stored.state {
        OpState::Queued | OpState::Sending | OpState::Rejected | OpState::Waiting => true,
        OpState::Accepted => rebuilding || stored.seq.is_some_and(|seq| seq > mirror_seq),
        OpState::Superseded => false,
    }
}

/// Makes the overlay what the journal says, whatever the mirror has lost.
pub(crate) fn rebuild(device: &mut Device) -> Result<(), StoreError> {
    let generation = journal::log_generation(&device.conn)?;
    if mirror::position(&device.conn)?.generation != generation {
        // It knows another log of the server than the journal's sequences belong to.
        mirror::begin_rebuild(&device.conn, generation)?;
    }
    let position = mirror::position(&device.conn)?;
    device.sync.remember(&position);
    let mut shown = overlaid(&device.conn)?;
    let stale = {
        let conn = &device.conn;
        let mut wrong = Vec::new();
        each_overlaid_operation(conn, position.seq, |stored| {
            let state = (stored.state.as_str().to_string(), stored.seq, about(conn, &stored)?);
            if shown.remove(&stored.sealed.op_id.0) != Some(state) {
                wrong.push(stored);
            }
            Ok(())
        })?;
        wrong
    };
    let tx = device.conn.unchecked_transaction()?;
    for op_id in shown.into_keys() {
        take_out(&tx, OpId(op_id))?;
    }
    for stored in stale {
        put(&tx, &stored.operation()?, stored.state, stored.seq, position.generation)?;
    }
    tx.commit()?;
    let records = records::rebuild(&device.conn)?;
    device.changes.records_changed(records);
    Ok(())
}

/// State, sequence and, of a statement, the event that it is about.
type Shown = BTreeMap<Uuid, (String, Option<u64>, Option<EventId>)>;

/// The event that an own statement is about: what stands in the place of the one that it names.
fn about(conn: &Connection, stored: &Stored) -> Result<Option<EventId>, StoreError> {
    match stored.is_statement {
        true => event_of(conn, &stored.operation()?),
        false => Ok(None),
    }
}

fn event_of(conn: &Connection, operation: &Operation) -> Result<Option<EventId>, StoreError> {
    let named = match &operation.body {
        Body::Photo(said) => said.event_id,
        Body::LocationCorrection(said) => said.event_id,
        Body::Event(_) | Body::Record(_) | Body::Session(_) | Body::Other(_) => return Ok(None),
    };
    journal::stands_for(conn, named).map(Some)
}

fn overlaid(conn: &Connection) -> Result<Shown, StoreError> {
    let mut statement = conn.prepare(
        "SELECT event_id, state, seq, NULL FROM events WHERE own = 1
         UNION ALL SELECT id, state, seq, event_id FROM statements WHERE own = 1",
    )?;
    let mut rows = statement.query([])?;
    let mut shown = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let seq: Option<i64> = row.get(2)?;
        let about = read_id_opt(row, 3)?.map(EventId);
        shown.insert(read_id(row, 0)?, (row.get(1)?, seq.map(i64::unsigned_abs), about));
    }
    Ok(shown)
}

fn each_overlaid_operation(
    conn: &Connection,
    mirror_seq: u64,
    mut visit: impl FnMut(Stored) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let columns = journal::STORED;
    let mut statement = conn.prepare(&format!(
        "SELECT {columns} FROM operations
         WHERE state NOT IN ('accepted', 'superseded') AND action IS NULL
         UNION ALL
         SELECT {columns} FROM operations
         WHERE state = 'accepted' AND seq > ?1 AND action IS NULL"
    ))?;
    let mut rows = statement.query([mirror_seq as i64])?;
    while let Some(row) = rows.next()? {
        visit(Stored::read(row)?)?;
    }
    Ok(())
}

/// Puts an operation's event or statement over the mirror, unless the server's own row is there already.
fn put(
    conn: &Connection,
    operation: &Operation,
    state: OpState,
    seq: Option<u64>,
    generation: i64,
) -> Result<(), StoreError> {
    match is_told(conn, operation, generation)? {
        true => Ok(()),
        false => put_over(conn, operation, state, seq, generation),
    }
}

/// Puts an operation's event or statement over whatever the mirror holds.
fn put_over(
    conn: &Connection,
    operation: &Operation,
    state: OpState,
    seq: Option<u64>,
    generation: i64,
) -> Result<(), StoreError> {
    let standing = Standing { seq, state: state.as_str(), own: true };
    let Some(event) = operation.event() else {
        let about = event_of(conn, operation)?;
        let Some((kind, data)) = statements::stated_text(operation, about)? else {
            return Ok(());
        };
        return stored(statements::put(conn, kind, &data, standing, generation));
    };
    let record = EventRecord {
        event: event.clone(),
        received_at: operation.clock.wall_ms,
        op_id: Some(operation.op_id),
        device_id: Some(operation.device_id),
        user_id: Some(operation.user_id),
        corrects: event.corrects,
        flags: Vec::new(),
        extra: serde_json::Map::new(),
    };
    let data = serde_json::to_string(&record)?;
    stored(mirror::put_event(conn, &data, standing, generation))
}

fn stored(put: Result<VehicleId, PageError>) -> Result<(), StoreError> {
    match put {
        Ok(_) => Ok(()),
        Err(PageError::Store(error)) => Err(error),
        Err(other) => Err(StoreError::Damaged(other.to_string())),
    }
}

/// Whether one of these was accepted at a sequence that the mirror has passed without it.
pub(crate) fn contradicted(conn: &Connection, ops: &[OpId]) -> Result<bool, StoreError> {
    let position = mirror::position(conn)?;
    for op in ops {
        let Some(stored) = journal::find(conn, *op)? else {
            continue;
        };
        let passed = stored.seq.is_some_and(|seq| seq <= position.seq);
        if stored.state == OpState::Accepted && passed {
            let operation = stored.operation()?;
            // A discard may have stated nothing; anything else must be there.
            let told = operation.intent().is_some()
                || takes_back(&operation)
                || is_told(conn, &operation, position.generation)?;
            if !told {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Makes sure at opening that the mirror is of the log that the journal's sequences belong to:
/// a file that was put back from an older copy may be of one that is gone.
pub(crate) fn check_log(conn: &Connection) -> Result<(), StoreError> {
    let position = mirror::position(conn)?;
    let passed: Vec<OpId> = {
        let mut statement = conn.prepare(
            "SELECT op_id FROM operations
             WHERE state = 'accepted' AND seq <= ?1 AND action IS NULL AND NOT EXISTS (
               SELECT 1 FROM events
               WHERE event_id = op_id AND own = 0 AND generation = ?2)
             AND NOT EXISTS (
               SELECT 1 FROM statements
               WHERE id = op_id AND own = 0 AND generation = ?2)",
        )?;
        let mut rows = statement.query(params![position.seq as i64, position.generation])?;
        let mut passed = Vec::new();
        while let Some(row) = rows.next()? {
            passed.push(OpId(read_id(row, 0)?));
        }
        passed
    };
    if contradicted(conn, &passed)? {
        let tx = conn.unchecked_transaction()?;
        journal::offer_all_again(&tx)?;
        tx.commit()?;
    }
    Ok(())
}

/// Whether the log of a generation has told of an event or a statement.
fn is_told(conn: &Connection, operation: &Operation, generation: i64) -> Result<bool, StoreError> {
    match operation.event() {
        Some(event) => is_from_server(conn, event.id, generation),
        None => statements::is_told(conn, operation.op_id.0, generation),
    }
}

fn is_from_server(conn: &Connection, event: EventId, generation: i64) -> Result<bool, StoreError> {
    let own: Option<bool> = conn
        .prepare_cached("SELECT own FROM events WHERE event_id = ?1 AND generation = ?2")?
        .query_row(params![blob(&event.0), generation], |row| row.get(0))
        .optional()?;
    Ok(own == Some(false))
}

/// Removes an overlaid row; one that the server has told of stays.
pub(crate) fn take_out(conn: &Connection, op_id: OpId) -> Result<(), StoreError> {
    mirror::remove_own(conn, op_id.into())?;
    statements::remove_own(conn, op_id)
}

/// Own operations that the server had accepted at a sequence that the mirror has passed, without
/// the log having brought them.
pub(crate) fn accepted_but_missing(
    conn: &Connection,
    mirror_seq: u64,
) -> Result<Vec<OpId>, StoreError> {
    let mut statement = conn.prepare_cached(
        "SELECT event_id FROM events WHERE own = 1 AND state = 'accepted' AND seq <= ?1
         UNION ALL SELECT id FROM statements WHERE own = 1 AND state = 'accepted' AND seq <= ?1",
    )?;
    let mut rows = statement.query([mirror_seq as i64])?;
    let mut missing = Vec::new();
    while let Some(row) = rows.next()? {
        missing.push(OpId(read_id(row, 0)?));
    }
    missing.extend(records::accepted_but_missing(conn, mirror_seq)?);
    Ok(missing)
}
