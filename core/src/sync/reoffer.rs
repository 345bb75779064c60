//! Offering again what was held up by something that has changed since.

use motomind_protocol::{Millis, OpId, OpState};
use rusqlite::{OptionalExtension, params};
use uuid::Uuid;

use super::backoff;
use crate::device::Device;
use crate::error::StoreError;
use crate::ids::{blob, read_id};
use crate::{journal, overlay};

struct Held {
    op: OpId,
    state: OpState,
    awaits: Uuid,
    attempts: u32,
}

/// Puts back in the queue: what waited for an event that is known now, and readings refused
/// because of a neighbour that has been corrected or retracted since. Looks at what is, not at
/// what just happened, so that nothing is missed across a crash.
pub(crate) fn reoffer_released(device: &mut Device, now: Millis) -> Result<(), StoreError> {
    let mut released = Vec::new();
    for held in held(device)? {
        let free = match held.state {
            OpState::Waiting => has_arrived(device, held.awaits)?,
            _ => is_mended(device, held.awaits)?,
        };
        if free {
            // The first time at once; again and again only with growing pauses.
            let wait = match held.attempts {
                0 | 1 => None,
                many => Some(now.saturating_add(backoff::delay(many, &mut device.rng))),
            };
            released.push((held.op, wait));
        }
    }
    if released.is_empty() {
        return Ok(());
    }
    let tx = device.conn.unchecked_transaction()?;
    for (op, wait) in &released {
        journal::requeue(&tx, *op, *wait)?;
    }
    tx.commit()?;
    let ops: Vec<OpId> = released.into_iter().map(|(op, _)| op).collect();
    overlay::follow(device, &ops);
    Ok(())
}

fn held(device: &Device) -> Result<Vec<Held>, StoreError> {
    let mut statement = device.conn.prepare_cached(
        "SELECT op_id, state, awaits, attempts FROM operations
         WHERE awaits IS NOT NULL ORDER BY pos",
    )?;
    let mut rows = statement.query([])?;
    let mut held = Vec::new();
    while let Some(row) = rows.next()? {
        let state = row.get_ref(1)?.as_str().unwrap_or_default();
        held.push(Held {
            op: OpId(read_id(row, 0)?),
            state: state.parse().map_err(|()| StoreError::Damaged(format!("state {state}")))?,
            awaits: read_id(row, 2)?,
            attempts: row.get(3)?,
        });
    }
    Ok(held)
}

/// The server knows the event, or what took its place.
fn has_arrived(device: &Device, event: Uuid) -> Result<bool, StoreError> {
    let arrived: bool = device
        .conn
        .prepare_cached(
            "WITH RECURSIVE later (op_id) AS (
               SELECT ?1
               UNION SELECT o.op_id FROM operations o JOIN later l ON o.supersedes = l.op_id)
             SELECT EXISTS (SELECT 1 FROM events WHERE event_id = ?1 AND own = 0)
                 OR EXISTS (SELECT 1 FROM operations
                            WHERE op_id IN (SELECT op_id FROM later) AND seq IS NOT NULL)",
        )?
        .query_row(params![blob(&event)], |row| row.get(0))?;
    Ok(arrived)
}

/// The contradicted reading no longer counts, by the server's own log.
fn is_mended(device: &Device, neighbour: Uuid) -> Result<bool, StoreError> {
    let mended: Option<bool> = device
        .conn
        .prepare_cached(
            "SELECT e.hidden AND NOT EXISTS (
               SELECT 1 FROM events f
               WHERE f.root = coalesce(e.root, e.event_id) AND f.own = 1)
             FROM events e WHERE e.event_id = ?1 AND e.own = 0",
        )?
        .query_row([blob(&neighbour)], |row| row.get(0))
        .optional()?;
    Ok(mended == Some(true))
}
