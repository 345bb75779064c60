//! What is not on the server yet, why, and what a person can do about it.

use std::collections::BTreeMap;

use motomind_protocol::flow::Session;
use motomind_protocol::records::RecordIntent;
use motomind_protocol::wire::Rejection;
use motomind_protocol::{
    Attachment, Body, Event, Garage, LocationCorrection, Millis, OpId, OpState, VehicleId,
};
use rusqlite::OptionalExtension;
use serde::Serialize;

use crate::device::Device;
use crate::error::StoreError;
use crate::journal::{self, Stored};
use crate::mirror::{self, TimelinePage, TimelineQuery, VehicleEntry};
use crate::sync::Blocked;
use crate::{CaptureError, overlay, transfer};

/// A capture that the server does not have yet, or has refused.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
pub struct PendingItem {
    /// Its operation.
    pub op_id: OpId,
    /// Where it stands.
    pub state: OpState,
    /// Device clock at capture, UTC ms.
    pub captured_at: Millis,
    /// Age by the device clock, ms; never negative.
    pub age_ms: Millis,
    /// Size of the sealed text, bytes.
    pub bytes: u64,
    /// How often the server has refused or deferred it.
    pub attempts: u32,
    /// When it will be offered again by itself, UTC ms, if it rests.
    pub retry_at: Option<Millis>,
    /// Why it was refused.
    pub reason: Option<Rejection>,
    /// The operation whose place it takes.
    pub supersedes: Option<OpId>,
    /// What was captured.
    pub event: Option<Event>,
    /// What was changed of a record.
    pub change: Option<RecordIntent>,
    /// What was said of a photo on an event.
    pub photo: Option<Attachment>,
    /// Where an event was said to have happened.
    pub location: Option<LocationCorrection>,
    /// The capture session that is over.
    pub session: Option<Session>,
}

/// The whole of syncing at a glance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
pub struct Status {
    /// Captures that the server does not have: queued, sending and waiting.
    pub unsent: u64,
    /// Captures that it has refused; a person must act.
    pub refused: u64,
    /// Sealed bytes of both.
    pub bytes: u64,
    /// Age of the oldest of both by the device clock, ms.
    pub oldest_age_ms: Option<Millis>,
    /// Pictures that the server does not have.
    pub pictures_unsent: u64,
    /// What of them it has not acknowledged, bytes.
    pub picture_bytes: u64,
    /// Pictures that it has refused; see [`Device::uploads`].
    pub pictures_refused: u64,
    /// Why syncing has stopped, if it has.
    pub blocked: Option<String>,
    /// What went wrong last, until something succeeds.
    pub last_problem: Option<String>,
    /// When the server last answered, device clock, UTC ms.
    pub last_success_at: Option<Millis>,
    /// Requests are in flight.
    pub in_flight: bool,
    /// Sequence of the mirror.
    pub seq: u64,
    /// The server's newest sequence when last heard of.
    pub head: u64,
    /// Server clock minus device clock, ms.
    pub clock_offset_ms: Option<i64>,
}

impl Device {
    /// Everything that the server does not have or has refused, in the order of capture.
    ///
    /// # Errors
    /// [`StoreError`] when the journal cannot be read.
    pub fn pending(&self, now: Millis) -> Result<Vec<PendingItem>, StoreError> {
        let mut statement = self.conn.prepare_cached(&format!(
            "SELECT {} FROM operations WHERE state NOT IN ('accepted', 'superseded') ORDER BY pos",
            journal::STORED
        ))?;
        let mut rows = statement.query([])?;
        let mut items = Vec::new();
        while let Some(row) = rows.next()? {
            items.push(PendingItem::of(Stored::read(row)?, now)?);
        }
        Ok(items)
    }

    /// One operation, whatever its state, as long as the journal holds it.
    ///
    /// # Errors
    /// [`StoreError`] when the journal cannot be read.
    pub fn operation(&self, op_id: OpId, now: Millis) -> Result<Option<PendingItem>, StoreError> {
        let stored = journal::find(&self.conn, op_id)?;
        stored.map(|stored| PendingItem::of(stored, now)).transpose()
    }

    /// Syncing at a glance.
    ///
    /// # Errors
    /// [`StoreError`] when the journal cannot be read.
    pub fn status(&self, now: Millis) -> Result<Status, StoreError> {
        let (refused, all, bytes, oldest) = self
            .conn
            .prepare_cached(
                "SELECT count(*) FILTER (WHERE state = 'rejected'), count(*),
                        coalesce(sum(octet_length(text)), 0), min(captured_at)
                 FROM operations WHERE state NOT IN ('accepted', 'superseded')",
            )?
            .query_row([], |row| {
                Ok((
                    row.get::<_, i64>(0)?.unsigned_abs(),
                    row.get::<_, i64>(1)?.unsigned_abs(),
                    row.get::<_, i64>(2)?.unsigned_abs(),
                    row.get::<_, Option<i64>>(3)?,
                ))
            })?;
        let position = mirror::position(&self.conn)?;
        let (pictures_unsent, picture_bytes, pictures_refused) = transfer::unsent(&self.conn)?;
        Ok(Status {
            pictures_unsent,
            picture_bytes,
            pictures_refused,
            unsent: all - refused,
            refused,
            bytes,
            oldest_age_ms: oldest.map(|at| now.saturating_sub(at).max(0)),
            blocked: self.sync.blocked.as_ref().map(Blocked::to_string),
            last_problem: self.sync.last_problem.clone(),
            last_success_at: self.sync.last_success_at.or(position.pulled_at),
            in_flight: self.is_in_flight(),
            seq: position.seq,
            head: position.head.max(self.sync.pull.head),
            clock_offset_ms: self.sync.clock_offset.map(|(offset, _)| offset),
        })
    }

    /// Why syncing has stopped, if it has.
    #[must_use]
    pub fn blocked(&self) -> Option<&Blocked> {
        self.sync.blocked.as_ref()
    }

    /// Offers a refused or resting capture again as it is: what refused it may have changed.
    ///
    /// # Errors
    /// [`CaptureError::UnknownOperation`] when the journal does not hold it.
    pub fn retry(&mut self, op_id: OpId, now: Millis) -> Result<(), CaptureError> {
        journal::find(&self.conn, op_id)?.ok_or(CaptureError::UnknownOperation)?;
        journal::requeue(&self.conn, op_id, None)?;
        overlay::follow(self, &[op_id]);
        self.on_poke(now);
        Ok(())
    }

    /// A page of the timeline.
    ///
    /// # Errors
    /// [`StoreError`] when the mirror cannot be read.
    pub fn timeline(&self, query: &TimelineQuery) -> Result<TimelinePage, StoreError> {
        overlay::catch_up(self)?;
        self.noting_damage(mirror::timeline(&self.conn, query))
    }

    /// Live vehicles by name, with mileage and what is unsent.
    ///
    /// # Errors
    /// [`StoreError`] when the files cannot be read.
    pub fn vehicles(&self) -> Result<Vec<VehicleEntry>, StoreError> {
        overlay::catch_up(self)?;
        let mut vehicles = self.noting_damage(mirror::vehicles(&self.conn))?;
        let mut statement = self.conn.prepare_cached(
            "SELECT lane, count(*) FROM operations
             WHERE state NOT IN ('accepted', 'superseded') GROUP BY lane",
        )?;
        let mut rows = statement.query([])?;
        let mut pending = BTreeMap::new();
        while let Some(row) = rows.next()? {
            let count: i64 = row.get(1)?;
            pending.insert(VehicleId(crate::ids::read_id(row, 0)?), count.unsigned_abs());
        }
        if !pending.is_empty() {
            for entry in &mut vehicles {
                entry.pending = pending.get(&entry.vehicle.id).copied().unwrap_or(0);
            }
        }
        Ok(vehicles)
    }

    /// One vehicle, deleted or not.
    ///
    /// # Errors
    /// [`StoreError`] when the files cannot be read.
    pub fn vehicle(&self, id: VehicleId) -> Result<Option<VehicleEntry>, StoreError> {
        overlay::catch_up(self)?;
        let Some(mut entry) = self.noting_damage(mirror::vehicle(&self.conn, id))? else {
            return Ok(None);
        };
        let pending: Option<i64> = self
            .conn
            .prepare_cached(
                "SELECT count(*) FROM operations
                 WHERE state NOT IN ('accepted', 'superseded') AND lane = ?1",
            )?
            .query_row([crate::ids::blob(&id.0)], |row| row.get(0))
            .optional()?;
        entry.pending = pending.unwrap_or(0).unsigned_abs();
        Ok(Some(entry))
    }

    /// Live garages by name.
    ///
    /// # Errors
    /// [`StoreError`] when the mirror cannot be read.
    pub fn garages(&self) -> Result<Vec<Garage>, StoreError> {
        self.noting_damage(mirror::garages(&self.conn))
    }
}

impl PendingItem {
    fn of(stored: Stored, now: Millis) -> Result<Self, StoreError> {
        let operation = stored.operation()?;
        Ok(Self {
            op_id: stored.sealed.op_id,
            state: stored.state,
            captured_at: stored.captured_at,
            age_ms: now.saturating_sub(stored.captured_at).max(0),
            bytes: stored.sealed.text.len() as u64,
            attempts: stored.attempts,
            retry_at: stored.retry_at,
            reason: stored.reason,
            supersedes: stored.supersedes,
            event: operation.event().cloned(),
            change: operation.intent().cloned(),
            photo: match &operation.body {
                Body::Photo(said) => Some(Attachment::clone(said)),
                _ => None,
            },
            location: match &operation.body {
                Body::LocationCorrection(said) => Some(LocationCorrection::clone(said)),
                _ => None,
            },
            session: match operation.body {
                Body::Session(session) => Some(*session),
                _ => None,
            },
        })
    }
}
