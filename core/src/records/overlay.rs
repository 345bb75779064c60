//! Rows of records follow the documents and the journal.
//!
//! ```text
//! row = document of the log up to the cursor
//!     + every own operation that is unsettled, or accepted with a sequence beyond it, replayed
//! ```

use std::collections::BTreeSet;

use motomind_protocol::records::Document;
use motomind_protocol::records::schema;
use motomind_protocol::{OpId, Operation};
use rusqlite::{Connection, params};

use super::replay::Replay;
use crate::device::Device;
use crate::error::StoreError;
use crate::ids::{blob, read_id};
use crate::journal;
use crate::mirror::layout::{self, RecordRow};
use crate::mirror::{self, Applied, RecordRef, records as docs};

/// The record that an operation changes, if it is of a collection that this version knows.
pub(crate) fn record_of(operation: &Operation) -> Option<RecordRef> {
    let intent = operation.intent()?;
    Some(RecordRef::new(&*intent.collection, intent.record_id))
}

/// Shows what has just been sealed. It is durable whatever happens here: a mirror that cannot be
/// written now is mended by the next call.
pub(crate) fn show(device: &mut Device, records: BTreeSet<RecordRef>) {
    let shown = device.noting_damage(show_all(&device.conn, &records));
    if shown.is_err() {
        device.mirror_is_stale.set(true);
    }
    device.changes.tables.insert("pending");
    device.changes.records_changed(records);
}

fn show_all(conn: &Connection, records: &BTreeSet<RecordRef>) -> Result<(), StoreError> {
    let tx = conn.unchecked_transaction()?;
    records.iter().try_for_each(|record| project(&tx, record))?;
    Ok(tx.commit()?)
}

/// Makes a record's row what the law says.
pub(crate) fn project(conn: &Connection, record: &RecordRef) -> Result<(), StoreError> {
    let Some(collection) = schema::find(&record.collection) else { return Ok(()) };
    let replay = Replay::read(conn, collection, record.id)?;
    if replay.unreadable {
        return Ok(());
    }
    let shown = replay.shown();
    let Some(document) = &shown.document else {
        return layout::remove_row(conn, collection, record.id);
    };
    let row = RecordRow {
        fields: &document.fields(),
        deleted_at: document.deleted_at(),
        state: shown.state.as_str(),
        refused: shown.refused,
        conflicts: Document::conflicts(document).len(),
        own: !replay.own.is_empty(),
        generation: replay.generation,
    };
    layout::put_row(conn, collection, record.id, &row)
}

/// Follows a page of the log, in its transaction, once the mirror's position is the page's.
pub(crate) fn follow_page(
    conn: &Connection,
    applied: &Applied,
    after: u64,
    generation: i64,
) -> Result<(), StoreError> {
    let closings = applied.closed_by.iter().map(|op| (*op, false));
    for (op_id, in_document) in applied.told.iter().copied().chain(closings) {
        if is_own(conn, op_id)? {
            docs::tell(conn, op_id, generation, in_document)?;
        }
    }
    let mut stale = BTreeSet::new();
    for record in &applied.records {
        if has_own(conn, record)? {
            stale.insert(record.clone());
        }
    }
    stale.extend(records_of(
        conn,
        "action IS NOT NULL AND seq > ?1 AND seq <= ?2",
        params![after as i64, applied.seq as i64],
    )?);
    stale.iter().try_for_each(|record| project(conn, record))?;
    forget_earlier(conn)
}

/// Drops what documents were before they began again, where no own operation may name it.
fn forget_earlier(conn: &Connection) -> Result<(), StoreError> {
    let position = mirror::position(conn)?;
    let beyond = if position.rebuilding { 0 } else { position.seq };
    conn.prepare_cached(
        "DELETE FROM record_earlier AS e WHERE NOT EXISTS (
           SELECT 1 FROM operations o WHERE o.lane = e.id AND o.action IS NOT NULL
             AND (o.state NOT IN ('accepted', 'superseded') OR o.seq > ?1))",
    )?
    .execute([beyond as i64])?;
    Ok(())
}

/// The server says that it knows an operation: it is not lost, whether or not it changed anything
/// that the log could tell of.
pub(crate) fn is_known(conn: &Connection, op_id: OpId) -> Result<(), StoreError> {
    match is_own(conn, op_id)? {
        true => docs::tell(conn, op_id, mirror::generation(conn)?, false),
        false => Ok(()),
    }
}

/// The log is read from its beginning, and without a cursor nothing says which log that is: what
/// the server knew of until now, it may have lost with another one. What it still knows and its log
/// does not tell of, it says again when it is offered.
pub(crate) fn begins(conn: &Connection) -> Result<(), StoreError> {
    conn.execute("DELETE FROM record_told WHERE in_document = 0", [])?;
    Ok(())
}

fn is_own(conn: &Connection, op_id: OpId) -> Result<bool, StoreError> {
    Ok(conn
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM operations WHERE op_id = ?1 AND action IS NOT NULL)",
        )?
        .query_row([blob(&op_id.0)], |row| row.get(0))?)
}

fn has_own(conn: &Connection, record: &RecordRef) -> Result<bool, StoreError> {
    Ok(conn
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM operations WHERE lane = ?1 AND action IS NOT NULL)",
        )?
        .query_row([blob(&record.id)], |row| row.get(0))?)
}

/// The records of operations that fulfil a condition.
fn records_of(
    conn: &Connection,
    condition: &str,
    params: impl rusqlite::Params,
) -> Result<BTreeSet<RecordRef>, StoreError> {
    let sql = format!("SELECT {} FROM operations WHERE {condition}", journal::STORED);
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query(params)?;
    let mut records = BTreeSet::new();
    while let Some(row) = rows.next()? {
        records.extend(record_of(&journal::Stored::read(row)?.operation()?));
    }
    Ok(records)
}

/// Makes all rows what the law says, whatever the mirror has lost.
pub(crate) fn rebuild(conn: &Connection) -> Result<BTreeSet<RecordRef>, StoreError> {
    let position = mirror::position(conn)?;
    let beyond = if position.rebuilding { 0 } else { position.seq };
    let mut stale = records_of(
        conn,
        "action IS NOT NULL AND (state NOT IN ('accepted', 'superseded') OR seq > ?1)",
        [beyond as i64],
    )?;
    for collection in schema::collections() {
        let sql = format!("SELECT id FROM {} WHERE own = 1", collection.name);
        let mut statement = conn.prepare(&sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            stale.insert(RecordRef::new(collection.name, read_id(row, 0)?));
        }
    }
    let tx = conn.unchecked_transaction()?;
    stale.iter().try_for_each(|record| project(&tx, record))?;
    tx.execute("DELETE FROM record_told WHERE op_id NOT IN (SELECT op_id FROM operations)", [])?;
    forget_earlier(&tx)?;
    tx.commit()?;
    Ok(stale)
}

/// Own operations that the server had accepted at a sequence that the mirror has passed, without
/// the log having told of them.
pub(crate) fn accepted_but_missing(
    conn: &Connection,
    mirror_seq: u64,
) -> Result<Vec<OpId>, StoreError> {
    let mut statement = conn.prepare_cached(
        "SELECT op_id FROM operations o
         WHERE action IS NOT NULL AND state = 'accepted' AND seq <= ?1 AND NOT EXISTS (
           SELECT 1 FROM record_told t
           WHERE t.op_id = o.op_id AND t.generation = (SELECT generation FROM mirror))",
    )?;
    let ops = statement.query_map([mirror_seq as i64], |row| Ok(OpId(read_id(row, 0)?)))?;
    Ok(ops.collect::<Result<_, _>>()?)
}
