//! Families: an event, its corrections and their retractions, and which of them is shown.
//! The rule itself is [`motomind_protocol::effective`].

use motomind_protocol::effective::{Member, effective};
use motomind_protocol::{EventId, registry};
use rusqlite::{Connection, OptionalExtension, params};

use crate::error::StoreError;
use crate::ids::{blob, read_id, read_id_opt};

/// The first event of the chain that `event` belongs to; itself when nothing is known of it.
pub(super) fn root_of(conn: &Connection, event: EventId) -> Result<EventId, StoreError> {
    let root = conn
        .prepare_cached("SELECT root FROM events WHERE event_id = ?1")?
        .query_row([blob(&event.0)], |row| read_id_opt(row, 0))
        .optional()?;
    Ok(root.flatten().map_or(event, EventId))
}

/// Moves the family of a correction that has just arrived to the root that it names: its own
/// corrections may have been overlaid before it.
pub(super) fn adopt(conn: &Connection, event: EventId, root: EventId) -> Result<(), StoreError> {
    conn.prepare_cached("UPDATE events SET root = ?2 WHERE root = ?1")?
        .execute(params![blob(&event.0), blob(&root.0)])?;
    Ok(())
}

/// Settles the family of an event that has just arrived, if it has one.
pub(super) fn refresh_if_any(conn: &Connection, root: EventId) -> Result<(), StoreError> {
    let any: bool = conn
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM events WHERE root = ?1)")?
        .query_row([blob(&root.0)], |row| row.get(0))?;
    if any { refresh(conn, root) } else { Ok(()) }
}

/// The first event of every family that has more than one.
pub(super) fn roots(conn: &Connection) -> Result<Vec<EventId>, StoreError> {
    let mut statement =
        conn.prepare_cached("SELECT DISTINCT root FROM events WHERE root IS NOT NULL")?;
    let mut rows = statement.query([])?;
    let mut roots = Vec::new();
    while let Some(row) = rows.next()? {
        roots.push(EventId(read_id(row, 0)?));
    }
    Ok(roots)
}

struct Row {
    member: Member,
    corrects: Option<EventId>,
    retraction: bool,
    rejected: bool,
}

/// Decides which event of a family counts and hides the others. Refused operations take no part;
/// they stay visible, marked.
pub(crate) fn refresh(conn: &Connection, root: EventId) -> Result<(), StoreError> {
    let mut rows = members(conn, root)?;
    let retracted: Vec<EventId> = rows
        .iter()
        .filter(|row| row.retraction && !row.rejected)
        .filter_map(|row| row.corrects)
        .collect();
    for row in &mut rows {
        row.member.retracted = retracted.contains(&row.member.event_id);
    }
    let corrections: Vec<Member> = rows
        .iter()
        .filter(|row| row.member.event_id != root && !row.retraction && !row.rejected)
        .map(|row| row.member)
        .collect();
    let first = Member { event_id: root, seq: 0, retracted: retracted.contains(&root) };
    let counts = effective(first, &corrections);
    let mut statement =
        conn.prepare_cached("UPDATE events SET hidden = ?2 WHERE event_id = ?1 AND hidden <> ?2")?;
    for row in &rows {
        let shown = row.rejected || counts == Some(row.member.event_id);
        statement.execute(params![blob(&row.member.event_id.0), !shown])?;
    }
    Ok(())
}

fn members(conn: &Connection, root: EventId) -> Result<Vec<Row>, StoreError> {
    let mut statement = conn.prepare_cached(
        "SELECT event_id, seq, corrects, type, state FROM events
         WHERE root = ?1 OR event_id = ?1",
    )?;
    let mut rows = statement.query([blob(&root.0)])?;
    let mut members = Vec::new();
    while let Some(row) = rows.next()? {
        let seq: Option<i64> = row.get(1)?;
        members.push(Row {
            member: Member {
                event_id: EventId(read_id(row, 0)?),
                seq: seq.map_or(u64::MAX, i64::unsigned_abs),
                retracted: false,
            },
            corrects: read_id_opt(row, 2)?.map(EventId),
            retraction: row.get_ref(3)?.as_str().ok() == Some(registry::RETRACTION),
            rejected: row.get_ref(4)?.as_str().ok() == Some("rejected"),
        });
    }
    Ok(members)
}
