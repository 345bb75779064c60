//! Pulling: pages applied whole, the cursor with them.

use motomind_protocol::wire::{PullResponse, page_digest, problem};
use motomind_protocol::{Millis, OpId, limits, registry};
use rusqlite::{Connection, params};

use super::{Backoff, FailureKind, Next, Reply, RequestId, Setback, TokenSerial, excerpt, setback};
use crate::device::Device;
use crate::error::StoreError;
use crate::ids::blob;
use crate::mirror::{self, PageError};
use crate::records::overlay as records;
use crate::{journal, overlay};

/// The downloading half of the machine.
#[derive(Debug)]
pub(crate) struct PullState {
    in_flight: Option<Flight>,
    pub(crate) backoff: Backoff,
    /// There is, or may be, something to fetch.
    pub(crate) wanted: bool,
    /// The server's newest sequence when last heard of.
    pub(crate) head: u64,
    /// How often the server has sent us back to the beginning since the last page.
    restarts: u32,
    /// Changes per page: halved when a page was too much for the way, grown again by success.
    limit: usize,
}

#[derive(Debug)]
struct Flight {
    id: RequestId,
    /// The mirror's position that the request was made from.
    seq: u64,
    generation: i64,
    /// Highest sequence of our own that the server had promised by then.
    promised: u64,
    /// The token that it was sent with.
    token: TokenSerial,
}

impl Default for PullState {
    fn default() -> Self {
        Self {
            in_flight: None,
            backoff: Backoff::default(),
            wanted: true,
            head: 0,
            restarts: 0,
            limit: limits::PULL_CHANGES_MAX,
        }
    }
}

impl PullState {
    pub(crate) fn in_flight_is(&self, id: RequestId) -> bool {
        self.in_flight.as_ref().is_some_and(|flight| flight.id == id)
    }

    pub(crate) fn is_in_flight(&self) -> bool {
        self.in_flight.is_some()
    }

    /// Begins at the mirror's position anew; a reply that is under way continues another one.
    pub(crate) fn start_over(&mut self) {
        self.in_flight = None;
        self.wanted = true;
    }

    /// A push reply told the head: our own operations are in it, perhaps others' too.
    pub(crate) fn saw_head(&mut self, head: u64) {
        self.wanted |= head != self.head;
    }
}

pub(super) fn next(device: &mut Device, now: Millis) -> Result<Next, StoreError> {
    if device.sync.pull.is_in_flight() || !device.sync.pull.wanted {
        return Ok(Next::Nothing);
    }
    if let Some(until) = device.sync.pull.backoff.waiting(now) {
        return Ok(Next::At(until));
    }
    let position = mirror::position(&device.conn)?;
    let mut path = format!("/v1/sync/pull?limit={}", device.sync.pull.limit);
    if let Some(cursor) = &position.cursor {
        // Cursors are base64url: nothing to escape.
        path.push_str("&cursor=");
        path.push_str(cursor);
    }
    let request = device.sync.request("GET", path, Vec::new(), Vec::new());
    device.sync.pull.in_flight = Some(Flight {
        id: request.id,
        seq: position.seq,
        generation: position.generation,
        promised: journal::highest_seq(&device.conn)?,
        token: device.sync.token_serial,
    });
    Ok(Next::Send(request))
}

pub(super) fn on_reply(device: &mut Device, reply: &Reply, now: Millis) -> Result<(), StoreError> {
    let Some(flight) = device.sync.pull.in_flight.take() else {
        return Ok(());
    };
    if reply.status == 200 {
        let page: Option<PullResponse> = serde_json::from_slice(&reply.body).ok();
        let whole = page.filter(|page| {
            page_digest(&page.changes) == page.digest
                && page.next_cursor.len() <= limits::CURSOR_CHARS_MAX
        });
        return match whole {
            Some(page) => take_page(device, &flight, &page, now),
            None => {
                fail(device, excerpt(&reply.body), None, now);
                Ok(())
            }
        };
    }
    match setback(reply) {
        Setback::Blocked(blocked) => {
            device.sync.block(blocked, flight.token);
            Ok(())
        }
        Setback::Later { retry_after_s, what } => {
            fail(device, what, retry_after_s, now);
            Ok(())
        }
        Setback::Content(Some(problem))
            if [problem::RESNAPSHOT, problem::BAD_CURSOR].contains(&problem.code.as_str()) =>
        {
            start_again(device, now)
        }
        Setback::Content(problem) => {
            let what = problem.map_or_else(|| format!("HTTP {}", reply.status), |p| p.detail);
            fail(device, what, None, now);
            Ok(())
        }
    }
}

fn fail(device: &mut Device, what: String, retry_after_s: Option<u32>, now: Millis) {
    device.sync.last_problem = Some(what);
    device.sync.pull.backoff.fail(now, retry_after_s, &mut device.rng);
}

/// Applies a page and moves the cursor, in one transaction of the mirror.
fn take_page(
    device: &mut Device,
    flight: &Flight,
    page: &PullResponse,
    now: Millis,
) -> Result<(), StoreError> {
    let tx = device.conn.unchecked_transaction()?;
    if mirror::position(&tx)?.cursor.is_none() {
        records::begins(&tx)?;
    }
    let applied = match mirror::apply(&tx, &page.changes, flight.seq, flight.generation) {
        Ok(applied) => applied,
        Err(PageError::Store(error)) => {
            drop(tx);
            return device.noting_damage(Err(error));
        }
        Err(refused) => {
            drop(tx);
            fail(device, refused.to_string(), None, now);
            return Ok(());
        }
    };
    tx.prepare_cached(
        "UPDATE mirror
         SET cursor = ?1, seq = ?2, head = ?3, pulled_at = ?4, server_offset_ms = ?5",
    )?
    .execute(params![
        page.next_cursor,
        page.seq as i64,
        page.head as i64,
        now,
        page.server_time_ms.saturating_sub(now)
    ])?;
    for by in &applied.closed_by {
        settle_closing(&tx, *by)?;
    }
    records::follow_page(&tx, &applied, flight.seq, flight.generation)?;
    let caught_up = page.seq >= page.head || page.changes.is_empty();
    let rebuilt = caught_up && mirror::position(&tx)?.rebuilding;
    if rebuilt {
        mirror::finish_rebuild(&tx)?;
    }
    tx.commit()?;
    // Before the overlay is rebuilt: it shows what was accepted and is missing only until then.
    offer_lost_again(device, flight, page)?;
    if rebuilt {
        overlay::rebuild(device)?;
    }
    let changes = &mut device.changes;
    applied.timelines.into_iter().for_each(|vehicle| changes.event_of(vehicle));
    changes.records_changed(applied.records);
    device.sync.heard_from_server(page.server_time_ms, now);
    device.sync.pull.backoff.reset();
    device.sync.pull.restarts = 0;
    device.sync.pull.limit = (device.sync.pull.limit * 2).min(limits::PULL_CHANGES_MAX);
    device.sync.pull.head = page.head;
    device.sync.pull.wanted = !caught_up;
    super::reoffer_released(device, now)?;
    match device.sync.retention_days.filter(|_| caught_up) {
        Some(days) => journal::prune(&device.conn, page.server_time_ms, days, page.seq),
        None => Ok(()),
    }
}

/// A discard of something that had never arrived is settled by its `closed` entry: there is no
/// event to show for it.
fn settle_closing(conn: &Connection, by: OpId) -> Result<(), StoreError> {
    let discard: bool = conn
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM events WHERE event_id = ?1 AND own = 1 AND type = ?2)",
        )?
        .query_row(params![blob(&by.0), registry::RETRACTION], |row| row.get(0))?;
    if discard {
        overlay::take_out(conn, by)?;
    }
    Ok(())
}

/// Offers again what the server had accepted and its log does not hold any more: it was restored
/// from a backup that still knows our cursor, so no `resnapshot` told us.
fn offer_lost_again(
    device: &mut Device,
    flight: &Flight,
    page: &PullResponse,
) -> Result<(), StoreError> {
    let mut lost = journal::promised_beyond(&device.conn, page.head, flight.promised)?;
    lost.extend(overlay::accepted_but_missing(&device.conn, page.seq)?);
    if lost.is_empty() {
        return Ok(());
    }
    let tx = device.conn.unchecked_transaction()?;
    for op in &lost {
        journal::offer_again(&tx, *op)?;
    }
    tx.commit()?;
    // It may have lost more than operations.
    device.sync.custody.wanted = true;
    overlay::follow(device, &lost);
    Ok(())
}

/// The server's log is another one now: pull it from its beginning, and offer again everything
/// that the journal still holds, for the new log may lack it.
fn start_again(device: &mut Device, now: Millis) -> Result<(), StoreError> {
    device.sync.pull.restarts += 1;
    if device.sync.pull.restarts > 1 {
        // It said so of the beginning, too: something is wrong with it. Do not hammer it.
        fail(device, "the server keeps sending us back to the beginning".into(), None, now);
        return Ok(());
    }
    let tx = device.conn.unchecked_transaction()?;
    journal::offer_all_again(&tx)?;
    tx.commit()?;
    device.sync.custody.wanted = true;
    // A push that is under way may be answered with a sequence of the log that is gone.
    device.sync.push.forget_flight();
    rebuild(device)
}

/// Starts the mirror again, once the journal has noted that the server's log is another one.
pub(super) fn rebuild(device: &mut Device) -> Result<(), StoreError> {
    device.sync.pull.start_over();
    overlay::rebuild(device)
}

pub(super) fn on_failure(device: &mut Device, kind: FailureKind, now: Millis) {
    device.sync.pull.in_flight = None;
    if matches!(kind, FailureKind::Timeout | FailureKind::TooLarge) {
        device.sync.pull.limit = (device.sync.pull.limit / 2).max(1);
    }
    device.sync.pull.backoff.fail(now, None, &mut device.rng);
}
