//! Custody: comparing what the server holds of this journal with the journal, and offering again
//! what it lacks.
//!
//! Nothing here decides what is true: an operation that is offered again is answered as a
//! duplicate where the server has it after all.

use std::collections::{BTreeMap, BTreeSet};

use motomind_protocol::wire::Custody;
use motomind_protocol::{Hash, Incarnation, Millis, OpId, limits};
use rusqlite::Connection;
use serde::Serialize;

use super::{Backoff, FailureKind, Next, Reply, RequestId, Setback, TokenSerial, excerpt, setback};
use crate::device::Device;
use crate::error::StoreError;
use crate::ids::read_id;
use crate::{journal, mirror, overlay, settings, transfer};

/// How often the device asks by itself, ms.
const INTERVAL_MS: Millis = 7 * 24 * 60 * 60 * 1000;

/// When it asked last, UTC ms of the device clock: the setting's name.
const ASKED_AT: &str = "custody_asked_at";

/// What the last comparison found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
pub struct CustodyReport {
    /// When, UTC ms of the device clock.
    pub compared_at: Millis,
    /// How many operations of this journal the server holds.
    pub held: u64,
    /// Operations that the server had accepted and does not hold any more; they go again.
    pub offered_again: Vec<OpId>,
    /// Photos of which the server lacks the original or the preview and this device has it; they go
    /// again.
    pub photos_again: Vec<Hash>,
    /// Photos of which neither has the original.
    pub photos_lost: Vec<Hash>,
    /// The server's chain has another operation at its highest contiguous place than this journal:
    /// a cloned phone, or damage on one side.
    pub chains_differ: bool,
}

/// The comparing part of the machine.
#[derive(Debug, Default)]
pub(crate) struct CustodyState {
    in_flight: Option<Asked>,
    pub(crate) backoff: Backoff,
    pub(crate) wanted: bool,
    last: Option<CustodyReport>,
    /// When it was asked last, or when this device first could have.
    asked_at: Option<Millis>,
}

/// A question on its way, and what the answer may know nothing of: an operation or a picture that
/// arrives meanwhile is no loss because an older answer lacks it.
#[derive(Debug)]
struct Asked {
    id: RequestId,
    token: TokenSerial,
    /// What was not on the server then, as far as this device knew …
    unsettled: BTreeSet<OpId>,
    unstored: BTreeSet<Hash>,
    /// … and the newest operation and upload that there were.
    newest: (i64, i64),
}

impl Asked {
    fn note(conn: &Connection, id: RequestId, token: TokenSerial) -> Result<Self, StoreError> {
        let newest = conn
            .prepare_cached(
                "SELECT coalesce((SELECT max(pos) FROM operations), 0),
                        coalesce((SELECT max(n) FROM uploads), 0)",
            )?
            .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let mut statement =
            conn.prepare_cached("SELECT op_id FROM operations WHERE state <> 'accepted'")?;
        let rows = statement.query_map([], |row| Ok(OpId(read_id(row, 0)?)))?;
        let unsettled = rows.collect::<Result<_, _>>()?;
        let mut statement = conn.prepare_cached(
            "SELECT photo FROM uploads WHERE variant = 'original' AND state <> 'stored'",
        )?;
        let rows = statement.query_map([], |row| row.get(0).map(Hash))?;
        let unstored = rows.collect::<Result<_, _>>()?;
        Ok(Self { id, token, unsettled, unstored, newest })
    }

    /// Whether the server had accepted an operation when it was asked.
    fn knew(&self, mine: &Mine) -> bool {
        mine.pos <= self.newest.0 && !self.unsettled.contains(&mine.op_id)
    }

    /// Whether a photo was still on its way when the server was asked.
    fn awaited(&self, conn: &Connection, photo: Hash) -> Result<bool, StoreError> {
        let began_later: bool = conn
            .prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM uploads
                                WHERE photo = ?1 AND variant = 'original' AND n > ?2)",
            )?
            .query_row(rusqlite::params![photo.0, self.newest.1], |row| row.get(0))?;
        Ok(began_later || self.unstored.contains(&photo))
    }
}

impl CustodyState {
    pub(crate) fn in_flight_is(&self, id: RequestId) -> bool {
        self.in_flight.as_ref().is_some_and(|asked| asked.id == id)
    }

    pub(crate) fn is_in_flight(&self) -> bool {
        self.in_flight.is_some()
    }
}

impl Device {
    /// Asks the server at the next opportunity what it holds of this journal. The device also does
    /// so by itself every week, however often it is opened and closed meanwhile, and after the
    /// server was restored.
    pub fn compare_custody(&mut self) {
        self.sync.custody.wanted = true;
    }

    /// What the last comparison since opening found.
    #[must_use]
    pub fn custody(&self) -> Option<&CustodyReport> {
        self.sync.custody.last.as_ref()
    }
}

/// Takes up when this device asked last, before this opening.
pub(crate) fn restore(device: &mut Device) -> Result<(), StoreError> {
    device.sync.custody.asked_at = settings::kept(&device.conn, ASKED_AT)?;
    Ok(())
}

pub(super) fn next(device: &mut Device, now: Millis) -> Result<Next, StoreError> {
    if device.sync.custody.asked_at.is_none() {
        note_asked(device, now);
    }
    let state = &mut device.sync.custody;
    // A clock that was years ahead when it was noted postpones nothing by years.
    let due = state.asked_at.is_some_and(|at| now.abs_diff(at) >= INTERVAL_MS.unsigned_abs());
    state.wanted |= due;
    if state.in_flight.is_some() || !state.wanted {
        return Ok(Next::Nothing);
    }
    if let Some(until) = state.backoff.waiting(now) {
        return Ok(Next::At(until));
    }
    note_asked(device, now);
    let path = "/v1/devices/me/custody".to_string();
    let request = device.sync.request("GET", path, Vec::new(), Vec::new());
    let asked = Asked::note(&device.conn, request.id, device.sync.token_serial)?;
    device.sync.custody.in_flight = Some(asked);
    Ok(Next::Send(request))
}

/// The week counts from here, also after the device was closed.
fn note_asked(device: &mut Device, now: Millis) {
    device.sync.custody.asked_at = Some(now);
    // Where it cannot be written, the next opening counts anew.
    let _ = settings::keep(&device.conn, ASKED_AT, &now);
}

pub(super) fn on_reply(device: &mut Device, reply: &Reply, now: Millis) -> Result<(), StoreError> {
    let Some(asked) = device.sync.custody.in_flight.take() else {
        return Ok(());
    };
    if reply.status == 200 {
        return match serde_json::from_slice::<Custody>(&reply.body) {
            Ok(custody) => compare(device, &asked, &custody, now),
            Err(_) => {
                fail(device, excerpt(&reply.body), None, now);
                Ok(())
            }
        };
    }
    match setback(reply) {
        Setback::Blocked(blocked) => device.sync.block(blocked, asked.token),
        Setback::Later { retry_after_s, what } => fail(device, what, retry_after_s, now),
        // An older server has no custody to tell of.
        Setback::Content(Some(problem)) if problem.status == 404 => {
            device.sync.custody.wanted = false;
        }
        Setback::Content(problem) => {
            let what = problem.map_or_else(|| format!("HTTP {}", reply.status), |p| p.detail);
            fail(device, what, None, now);
        }
    }
    Ok(())
}

fn fail(device: &mut Device, what: String, retry_after_s: Option<u32>, now: Millis) {
    device.sync.last_problem = Some(what);
    device.sync.custody.backoff.fail(now, retry_after_s, &mut device.rng);
}

fn compare(
    device: &mut Device,
    asked: &Asked,
    custody: &Custody,
    now: Millis,
) -> Result<(), StoreError> {
    let mut report = CustodyReport { compared_at: now, ..CustodyReport::default() };
    let lives: BTreeMap<Incarnation, _> =
        custody.lives.iter().map(|life| (life.incarnation, life)).collect();
    report.held = lives.values().map(|life| life.count).sum();
    for mine in accepted(&device.conn)? {
        let life = lives.get(&mine.incarnation);
        let is_cut = life.is_some_and(|life| life.held.len() >= limits::CUSTODY_RUNS_MAX);
        let told_to = life.and_then(|life| life.held.last()).map_or(0, |(_, to)| *to);
        let beyond = is_cut && mine.place > told_to;
        let held = life.is_some_and(|life| {
            life.held.iter().any(|(from, to)| (*from..=*to).contains(&mine.place))
        });
        if !held && !beyond && asked.knew(&mine) {
            report.offered_again.push(mine.op_id);
        }
        let head = life.filter(|life| life.high_water == mine.place).and_then(|life| life.head);
        report.chains_differ |= head.is_some_and(|head| head != mine.hash);
    }
    let tx = device.conn.unchecked_transaction()?;
    for op_id in &report.offered_again {
        journal::offer_again(&tx, *op_id)?;
    }
    for photo in &custody.missing_photos.photos {
        if asked.awaited(&tx, *photo)? {
            continue;
        }
        match transfer::offer_again(&tx, *photo)? {
            transfer::Offered::Again => report.photos_again.push(*photo),
            transfer::Offered::UnderWay => {}
            transfer::Offered::Lost => report.photos_lost.push(*photo),
        }
    }
    // The server misses originals that it knows of. That a preview is gone, its log alone tells.
    if mirror::position(&tx)?.has_the_whole_log() {
        report.photos_again.extend(transfer::offer_untold(&tx)?);
        report.photos_again.sort_unstable();
        report.photos_again.dedup();
    }
    tx.commit()?;
    overlay::follow(device, &report.offered_again);
    device.sync.custody.wanted = false;
    device.sync.custody.backoff.reset();
    device.sync.custody.last = Some(report);
    device.sync.heard_from_server(custody.server_time_ms, now);
    Ok(())
}

struct Mine {
    pos: i64,
    op_id: OpId,
    incarnation: Incarnation,
    place: u64,
    hash: Hash,
}

/// What this journal believes accepted.
fn accepted(conn: &Connection) -> Result<Vec<Mine>, StoreError> {
    let mut statement = conn.prepare_cached(
        "SELECT o.op_id, i.incarnation, o.device_seq, o.hash, o.pos
         FROM operations o JOIN incarnations i ON i.n = o.incarnation
         WHERE o.state = 'accepted' ORDER BY o.pos",
    )?;
    let mut rows = statement.query([])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        all.push(Mine {
            pos: row.get(4)?,
            op_id: OpId(read_id(row, 0)?),
            incarnation: Incarnation(read_id(row, 1)?),
            place: row.get::<_, i64>(2)?.unsigned_abs(),
            hash: Hash(row.get(3)?),
        });
    }
    Ok(all)
}

pub(super) fn on_failure(device: &mut Device, _kind: FailureKind, now: Millis) {
    device.sync.custody.in_flight = None;
    device.sync.custody.backoff.fail(now, None, &mut device.rng);
}
