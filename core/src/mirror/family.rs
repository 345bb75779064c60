//! Families: an event and everything that corrects, retracts or restores it, and which of them
//! is shown.
//! The rule itself is [`motomind_protocol::effective`].
//!
//! A family is named by its *root*: where a row's chain of `corrects` ends, at an event that
//! corrects none or at one that is not there (yet, or any more). Rows come, change and go through
//! [`super::put_event`] and [`remove`] alone, and both end in [`moved`], so that no row's root and
//! no family's choice can lag behind.

use motomind_protocol::effective::{Act, Member, effective, is_retracted};
use motomind_protocol::{DeviceId, EventId, Millis, UserId};
use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;

use crate::error::StoreError;
use crate::ids::{blob, read_id, read_id_opt};
use crate::mirror::derived;
use crate::mirror::query::{self, TimelineEntry};

/// The first event of the chain that `event` belongs to; itself when nothing is known of it.
pub(crate) fn root_of(conn: &Connection, event: EventId) -> Result<EventId, StoreError> {
    let root = conn
        .prepare_cached("SELECT root FROM events WHERE event_id = ?1")?
        .query_row([blob(&event.0)], |row| read_id_opt(row, 0))
        .optional()?;
    Ok(root.flatten().map_or(event, EventId))
}

/// Where an event stood before its row came, changed or went.
pub(super) struct Place {
    /// As its row said; `None` without one.
    root: Option<EventId>,
    /// Others correct it and lead to no further event.
    leads: bool,
}

/// Where an event stands now.
pub(super) fn place(conn: &Connection, event: EventId) -> Result<Place, StoreError> {
    let place = conn
        .prepare_cached(
            "SELECT (SELECT root FROM events WHERE event_id = ?1),
                    EXISTS (SELECT 1 FROM events WHERE root = ?1)",
        )?
        .query_row([blob(&event.0)], |row| {
            Ok(Place { root: read_id_opt(row, 0)?.map(EventId), leads: row.get(1)? })
        })?;
    Ok(place)
}

/// Settles the families of an event whose row has just come, changed or gone: the one that it
/// leaves, with everything that corrects it, and the one that it joins. `root` is its new one;
/// `None`: its own.
pub(super) fn moved(
    conn: &Connection,
    event: EventId,
    before: &Place,
    root: Option<EventId>,
) -> Result<(), StoreError> {
    if before.root.is_none() && !before.leads && root.is_none() {
        // It is alone, as nearly all are.
        return Ok(());
    }
    let left = before.root.unwrap_or(event);
    let joined = root.unwrap_or(event);
    if left != joined {
        carry(conn, event, left, joined)?;
        if left != event {
            refresh(conn, left)?;
        }
    }
    refresh(conn, joined)
}

/// Takes what corrects an event, directly or through a chain, from one family to another.
fn carry(conn: &Connection, event: EventId, from: EventId, to: EventId) -> Result<(), StoreError> {
    conn.prepare_cached(
        "WITH RECURSIVE followers (id) AS (
           SELECT event_id FROM events WHERE root = ?2 AND corrects = ?1
           UNION
           SELECT e.event_id FROM events e JOIN followers f ON e.corrects = f.id
           WHERE e.root = ?2)
         UPDATE events SET root = ?3
         WHERE event_id IN (SELECT id FROM followers) AND event_id <> ?1",
    )?
    .execute(params![blob(&event.0), blob(&from.0), blob(&to.0)])?;
    Ok(())
}

/// Removes a row.
pub(super) fn remove(conn: &Connection, event: EventId) -> Result<(), StoreError> {
    let before = place(conn, event)?;
    let removed =
        conn.prepare_cached("DELETE FROM events WHERE event_id = ?1")?.execute([blob(&event.0)])?;
    match removed {
        0 => Ok(()),
        _ => moved(conn, event, &before, None),
    }
}

/// Removes the row of an operation of this device; one that the server has told of stays.
pub(crate) fn remove_own(conn: &Connection, event: EventId) -> Result<(), StoreError> {
    let own: Option<bool> = conn
        .prepare_cached("SELECT own FROM events WHERE event_id = ?1")?
        .query_row([blob(&event.0)], |row| row.get(0))
        .optional()?;
    if own == Some(true) { remove(conn, event) } else { Ok(()) }
}

/// Removes what the server told in an older generation and has not told again in this one.
pub(super) fn remove_untold(conn: &Connection) -> Result<(), StoreError> {
    const UNTOLD: &str = "own = 0 AND generation <> (SELECT generation FROM mirror)";
    let of_families: Vec<EventId> = {
        let mut statement = conn
            .prepare(&format!("SELECT event_id FROM events WHERE root IS NOT NULL AND {UNTOLD}"))?;
        let ids = statement.query_map([], |row| Ok(EventId(read_id(row, 0)?)))?;
        ids.collect::<Result<_, _>>()?
    };
    of_families.into_iter().try_for_each(|event| remove(conn, event))?;
    // What corrects nothing leaves no family: it may go unseen.
    conn.execute(&format!("DELETE FROM events WHERE {UNTOLD}"), [])?;
    Ok(())
}

/// The whole story of an event.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
pub struct Family {
    /// The first event of the chain.
    pub root: EventId,
    /// The one that counts, if one does.
    pub counts: Option<EventId>,
    /// Everything that is known of it: the root, then by the server's sequence; this device's own
    /// that have none yet come last. Refused ones are among them and take no part.
    pub members: Vec<FamilyMember>,
}

/// One event of a [`Family`].
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
pub struct FamilyMember {
    /// The event, as in a list; the whole record is in it.
    pub entry: TimelineEntry,
    /// What it does to the event that it names.
    pub act: Act,
    /// Its newest retraction or restoration is a retraction.
    pub retracted: bool,
    /// It is the one that counts.
    pub counts: bool,
    /// Who said it, where that is known.
    pub user_id: Option<UserId>,
    /// The device it was said on.
    pub device_id: Option<DeviceId>,
    /// When the server received it; for this device's own until then, when it was said. UTC ms.
    pub said_at: Millis,
    /// Why.
    pub reason: Option<String>,
}

/// The family of an event.
pub(crate) fn family_of(conn: &Connection, event: EventId) -> Result<Option<Family>, StoreError> {
    let root = root_of(conn, event)?;
    let rows = members(conn, root)?;
    let standing = standing(&rows);
    let counts = effective(root, &standing)
        .filter(|id| standing.iter().any(|one| one.event_id == *id && one.act.states_a_fact()));
    let mut members = Vec::with_capacity(rows.len());
    for entry in query::family(conn, root)? {
        let record = entry.record()?;
        members.push(FamilyMember {
            act: Act::of_type(&entry.kind),
            retracted: is_retracted(entry.event_id, &standing),
            counts: counts == Some(entry.event_id),
            user_id: record.user_id,
            device_id: record.device_id,
            said_at: record.received_at,
            reason: record.event.reason,
            entry,
        });
    }
    members.sort_by_key(|member| {
        let entry = &member.entry;
        (entry.event_id != root, entry.seq.unwrap_or(u64::MAX), entry.event_id)
    });
    Ok((!members.is_empty()).then_some(Family { root, counts, members }))
}

/// Refused operations take no part in their family.
fn standing(rows: &[Row]) -> Vec<Member> {
    rows.iter().filter(|row| !row.rejected).map(|row| row.member).collect()
}

struct Row {
    member: Member,
    rejected: bool,
}

/// Decides which event of a family counts and hides the others. Refused ones stay visible, marked.
fn refresh(conn: &Connection, root: EventId) -> Result<(), StoreError> {
    let rows = members(conn, root)?;
    let counts = effective(root, &standing(&rows));
    let mut statement =
        conn.prepare_cached("UPDATE events SET hidden = ?2 WHERE event_id = ?1 AND hidden <> ?2")?;
    for Row { member, rejected } in rows {
        let counts = counts == Some(member.event_id) && member.act.states_a_fact();
        statement.execute(params![blob(&member.event_id.0), !(rejected || counts)])?;
    }
    derived::settle(conn, root)
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
                corrects: read_id_opt(row, 2)?.map(EventId),
                act: Act::of_type(row.get_ref(3)?.as_str().unwrap_or_default()),
            },
            rejected: row.get_ref(4)?.as_str().ok() == Some("rejected"),
        });
    }
    Ok(members)
}

#[cfg(test)]
mod tests;
