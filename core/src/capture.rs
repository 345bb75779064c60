//! Capturing: judged, sealed, and durable before it returns.

use motomind_protocol::effective::Act;
use motomind_protocol::wire::Rejection;
use motomind_protocol::{
    Body, ClockEvidence, Event, EventId, Millis, OpId, OpState, Operation, Reading,
    SealedOperation, Surroundings, VehicleId, Warning, code, limits, odometer, probable_duplicate,
    registry, validate, warnings,
};

use uuid::Uuid;

use crate::act::act;
use crate::device::{ChainHead, Device};
use crate::error::{CaptureError, StoreError};
use crate::fact::{Capture, Captured, Clock};
use crate::records::unsettled_creation;
use crate::{journal, mirror, overlay, transaction};

/// What came of judging a capture.
pub(crate) enum Judged {
    /// It is in the journal already.
    CapturedBefore(Captured),
    /// It may be stored.
    New(Box<Prepared>),
}

/// A capture that has been judged and sealed but not stored.
pub(crate) struct Prepared {
    pub(crate) operation: Operation,
    sealed: SealedOperation,
    pub(crate) warnings: Vec<Warning>,
}

/// An operation that has been judged and not sealed yet.
pub(crate) struct Draft {
    pub(crate) op_id: OpId,
    pub(crate) lane: Uuid,
    pub(crate) supersedes: Vec<OpId>,
    pub(crate) needs: Vec<OpId>,
    pub(crate) body: Body,
    pub(crate) clock: Clock,
}

impl Device {
    /// Captures a fact. When this returns `Ok`, it survives a crash and a power loss.
    ///
    /// Calling again with the same `op_id` and the same content is one capture.
    ///
    /// # Errors
    /// [`CaptureError`]: nothing was stored, and the error says what to mend.
    pub fn capture(
        &mut self,
        capture: Capture,
        clock: impl Into<Clock>,
    ) -> Result<Captured, CaptureError> {
        self.take(capture, Vec::new(), clock.into())
    }

    /// Captures many facts in one durable transaction, as an import does: each has its own
    /// result, and a bad one does not stop the rest.
    ///
    /// # Errors
    /// [`CaptureError::Store`] when the transaction as a whole failed: nothing was stored.
    pub fn capture_all(
        &mut self,
        captures: Vec<Capture>,
        clock: impl Into<Clock>,
    ) -> Result<Vec<Result<Captured, CaptureError>>, CaptureError> {
        let clock = clock.into();
        self.mend_if_possible();
        let _ = overlay::catch_up(self);
        let head = self.head;
        transaction::begin(&self.conn)?;
        let mut results = Vec::with_capacity(captures.len());
        let mut stored = Vec::new();
        for capture in captures {
            let result = self.judge(capture, Vec::new(), clock).and_then(|judged| match judged {
                Judged::CapturedBefore(captured) => Ok(captured),
                Judged::New(prepared) => {
                    let captured = self.append(&prepared)?;
                    stored.push(prepared.operation);
                    Ok(captured)
                }
            });
            if let Err(CaptureError::Store(error)) = result {
                // SQLite may have ended the transaction by itself: nothing more goes into it.
                return Err(self.nothing_stored(head, error.into()));
            }
            results.push(result);
        }
        if let Err(error) = transaction::commit(&self.conn) {
            return Err(self.nothing_stored(head, error.into()));
        }
        overlay::show(self, stored);
        Ok(results)
    }

    /// Takes back what a failed transaction has done.
    fn nothing_stored(&mut self, head: ChainHead, error: CaptureError) -> CaptureError {
        let _ = self.conn.execute_batch("ROLLBACK");
        self.head = head;
        error
    }

    /// A mirror that cannot be mended now never stops a capture.
    pub(crate) fn mend_if_possible(&mut self) {
        let _ = overlay::mend(self);
    }

    /// Replaces a capture by a mended one.
    ///
    /// What the server has accepted stays and is corrected; anything else is superseded, and its
    /// id is closed for ever, whether or not it had arrived.
    ///
    /// # Errors
    /// As [`Device::capture`]; also [`CaptureError::UnknownOperation`] and
    /// [`CaptureError::AlreadySuperseded`].
    pub fn amend(
        &mut self,
        op_id: OpId,
        mut capture: Capture,
        clock: impl Into<Clock>,
    ) -> Result<Captured, CaptureError> {
        let stored = journal::find(&self.conn, op_id)?.ok_or(CaptureError::UnknownOperation)?;
        if stored.is_statement {
            // Photos, places and sessions are said anew, each in its own way.
            return Err(CaptureError::UnknownOperation);
        }
        match stored.state {
            OpState::Superseded => Err(CaptureError::AlreadySuperseded),
            OpState::Accepted => {
                let act = Act::of_type(&capture.kind);
                capture.corrects = match (stored.act()?, act) {
                    (Act::Corrects, _) => Some(op_id.into()),
                    // What is captured anew in the place of a retraction corrects nothing that
                    // stands …
                    (_, Act::Corrects) => None,
                    // … and another act in its place is about the same event.
                    _ => self.acted_on(op_id.into())?,
                };
                self.take(capture, Vec::new(), clock.into())
            }
            _ => {
                let mut replaced = journal::replaced_with(&self.conn, op_id)?;
                let gives_up = capture.kind == registry::RETRACTION;
                if stored.state == OpState::Rejected
                    && stored.is_a_retraction()?
                    && (gives_up || !stored.may_have_arrived())
                {
                    // A refused retraction: what it was to take back is on the server, or it
                    // would have stated nothing. Given up, it leaves that alone; mended, it names
                    // that as what it corrects.
                    replaced.truncate(1);
                }
                if capture.corrects.is_none() && capture.kind != registry::RETRACTION {
                    capture.corrects = self.corrected_by(&replaced)?;
                }
                if !stored.has_a_foreign_id() {
                    return self.take(capture, replaced, clock.into());
                }
                replaced.remove(0);
                self.take_and_set_aside(capture, replaced, clock.into(), Some(op_id))
            }
        }
    }

    /// Amending a correction keeps what it corrects: the first event that one of the chain names
    /// and that is not of the chain itself.
    fn corrected_by(&self, chain: &[OpId]) -> Result<Option<EventId>, CaptureError> {
        for op in chain {
            let Some(stored) = journal::find(&self.conn, *op)? else {
                continue;
            };
            let operation = stored.operation()?;
            let corrects = operation.event().and_then(|event| event.corrects);
            // What turned out to be someone else's was named for an own one.
            let anothers = stored.reason.as_ref().and_then(Rejection::superseded_of_another);
            let named = corrects.map(OpId::from).filter(|op_id| Some(*op_id) != anothers);
            if let Some(op_id) = named.filter(|op_id| !chain.contains(op_id)) {
                return Ok(Some(op_id.into()));
            }
        }
        Ok(None)
    }

    /// Takes a capture out of sight on this device alone; the journal keeps it.
    pub(crate) fn set_aside(&mut self, op_id: OpId, why: String) -> Result<(), CaptureError> {
        journal::set_aside(&self.conn, op_id, why)?;
        overlay::follow(self, &[op_id]);
        Ok(())
    }

    /// Takes a capture back: on the server a retraction if it had arrived (of a retraction, a
    /// restoration), else its id is closed for ever. The journal keeps it either way.
    ///
    /// # Errors
    /// As [`Device::amend`].
    pub fn discard(
        &mut self,
        op_id: OpId,
        reason: impl Into<String>,
        clock: impl Into<Clock>,
    ) -> Result<Captured, CaptureError> {
        let clock = clock.into();
        let stored = journal::find(&self.conn, op_id)?.ok_or(CaptureError::UnknownOperation)?;
        let mut target = op_id;
        if stored.is_statement {
            return self.discard_statement(stored, reason.into(), clock);
        }
        if stored.has_a_foreign_id() && stored.operation()?.intent().is_none() {
            match journal::replaced_with(&self.conn, op_id)?.get(1) {
                Some(earlier) => target = *earlier,
                None => {
                    self.set_aside(op_id, reason.into())?;
                    return Ok(Captured { op_id, duplicate: false, warnings: Vec::new() });
                }
            }
        }
        let operation = stored.operation()?;
        if operation.intent().is_some() {
            return self.discard_edit(op_id, reason.into(), clock);
        }
        let event = operation.event().ok_or(CaptureError::UnknownOperation)?;
        if stored.state == OpState::Accepted && event.is_retraction() {
            let named = event.corrects.ok_or(CaptureError::UnknownOperation)?;
            return self.restore(self.acted_on(event.id)?.unwrap_or(named), reason, clock);
        }
        let mut retraction = act(event, registry::RETRACTION, target.into(), reason.into(), clock);
        if let Some(vehicle) = self.amended_elsewhere(&stored, event.vehicle_id)? {
            retraction.vehicle_id = vehicle;
        }
        self.amend(op_id, retraction, clock)
    }

    /// An amendment that names another vehicle is refused where what it amends had arrived. That is
    /// to be taken back, and it is where it was captured.
    fn amended_elsewhere(
        &self,
        stored: &journal::Stored,
        named: VehicleId,
    ) -> Result<Option<VehicleId>, CaptureError> {
        let is_why = |why: &Rejection| {
            why.code == code::UNKNOWN_VEHICLE && why.field.as_deref() == Some("corrects")
        };
        if !stored.reason.as_ref().is_some_and(is_why) {
            return Ok(None);
        }
        for op in journal::replaced_with(&self.conn, stored.sealed.op_id)? {
            let Some(earlier) = journal::find(&self.conn, op)? else { continue };
            let operation = earlier.operation()?;
            let vehicle = operation.event().map(|event| event.vehicle_id);
            if let Some(vehicle) = vehicle.filter(|vehicle| *vehicle != named) {
                return Ok(Some(vehicle));
            }
        }
        Ok(None)
    }

    fn take(
        &mut self,
        capture: Capture,
        supersedes: Vec<OpId>,
        clock: Clock,
    ) -> Result<Captured, CaptureError> {
        self.take_and_set_aside(capture, supersedes, clock, None)
    }

    /// Captures, and in the same transaction takes another capture out of sight on this device:
    /// one whose id is someone else's, so that nothing may be said of it.
    fn take_and_set_aside(
        &mut self,
        capture: Capture,
        supersedes: Vec<OpId>,
        clock: Clock,
        aside: Option<OpId>,
    ) -> Result<Captured, CaptureError> {
        let why = |captured: &Captured| format!("amended as {}", captured.op_id);
        self.mend_if_possible();
        let prepared = match self.judge(capture, supersedes, clock)? {
            Judged::CapturedBefore(captured) => {
                aside.map(|op_id| self.set_aside(op_id, why(&captured))).transpose()?;
                return Ok(captured);
            }
            Judged::New(prepared) => prepared,
        };
        let head = self.head;
        transaction::begin(&self.conn)?;
        let outcome = self.append(&prepared).and_then(|captured| {
            if let Some(op_id) = aside {
                journal::set_aside(&self.conn, op_id, why(&captured))?;
            }
            Ok(transaction::commit(&self.conn).map(|()| captured)?)
        });
        match outcome {
            Ok(captured) => {
                overlay::show(self, vec![prepared.operation]);
                if let Some(op_id) = aside {
                    overlay::follow(self, &[op_id]);
                }
                Ok(captured)
            }
            Err(error) => Err(self.nothing_stored(head, error)),
        }
    }

    /// Judges and seals.
    pub(crate) fn judge(
        &mut self,
        capture: Capture,
        supersedes: Vec<OpId>,
        clock: Clock,
    ) -> Result<Judged, CaptureError> {
        let given = capture.op_id;
        let op_id = given.unwrap_or_else(|| self.next_op_id(clock.wall_ms));
        let event = capture.into_event(op_id.into(), self.who.identity.user_id);
        if given.is_some()
            && let Some(captured) = self.captured_before(op_id, &event)?
        {
            return Ok(Judged::CapturedBefore(captured));
        }
        validate(&event).map_err(CaptureError::Invalid)?;
        if supersedes.is_empty() {
            self.may_act(&event)?;
        }
        let warnings = self.look_around(&event)?;
        let draft = Draft {
            op_id,
            lane: event.vehicle_id.0,
            supersedes,
            needs: unsettled_creation(&self.conn, event.vehicle_id.0)?.into_iter().collect(),
            body: Body::Event(Box::new(event)),
            clock,
        };
        let (operation, sealed) = self.seal(draft)?;
        Ok(Judged::New(Box::new(Prepared { operation, sealed, warnings })))
    }

    /// Seals an operation behind the newest one.
    fn seal(&self, draft: Draft) -> Result<(Operation, SealedOperation), CaptureError> {
        let operation = Operation {
            op_id: draft.op_id,
            tenant_id: self.who.identity.tenant_id,
            user_id: self.who.identity.user_id,
            device_id: self.who.device_id,
            incarnation: self.who.incarnation,
            device_seq: self.head.device_seq + 1,
            lane: draft.lane,
            schema: limits::SCHEMA_VERSION,
            supersedes: draft.supersedes,
            needs: draft.needs,
            clock: self.clock_evidence(draft.clock),
            prev_hash: self.head.hash,
            body: draft.body,
        };
        let sealed = operation.seal()?;
        Ok((operation, sealed))
    }

    /// Makes durable, all or none: what a caller writes to the journal, an event that has been
    /// judged, and operations behind it.
    pub(crate) fn store_together(
        &mut self,
        event: Option<Box<Prepared>>,
        drafts: Vec<Draft>,
        beside: impl FnOnce(&rusqlite::Connection) -> Result<(), StoreError>,
    ) -> Result<Vec<Operation>, CaptureError> {
        let head = self.head;
        transaction::begin(&self.conn)?;
        let stored = beside(&self.conn).map_err(CaptureError::from).and_then(|()| {
            let mut operations = Vec::with_capacity(drafts.len() + 1);
            if let Some(event) = event {
                self.append(&event)?;
                operations.push(event.operation);
            }
            for draft in drafts {
                let (operation, sealed) = self.seal(draft)?;
                let prepared = Prepared { operation, sealed, warnings: Vec::new() };
                self.append(&prepared)?;
                operations.push(prepared.operation);
            }
            transaction::commit(&self.conn)?;
            Ok(operations)
        });
        stored.map_err(|error| self.nothing_stored(head, error))
    }

    /// Seals operations and makes them durable, and takes others out of sight on this device, each
    /// with why: all or none.
    pub(crate) fn seal_all(
        &mut self,
        drafts: Vec<Draft>,
        aside: Vec<(OpId, String)>,
    ) -> Result<Vec<Operation>, CaptureError> {
        self.seal_all_and(drafts, aside, |_| Ok(()))
    }

    /// The same, with something else in the same transaction.
    pub(crate) fn seal_all_and(
        &mut self,
        drafts: Vec<Draft>,
        aside: Vec<(OpId, String)>,
        beside: impl FnOnce(&rusqlite::Connection) -> Result<(), StoreError>,
    ) -> Result<Vec<Operation>, CaptureError> {
        let out_of_sight: Vec<OpId> = aside.iter().map(|(op_id, _)| *op_id).collect();
        let sealed = self.store_together(None, drafts, |conn| {
            for (op_id, why) in aside {
                journal::set_aside(conn, op_id, why)?;
            }
            beside(conn)
        })?;
        if !out_of_sight.is_empty() {
            overlay::follow(self, &out_of_sight);
        }
        Ok(sealed)
    }

    fn append(&mut self, prepared: &Prepared) -> Result<Captured, CaptureError> {
        journal::append(&self.conn, &self.head, &prepared.operation, &prepared.sealed)?;
        if let Some(superseded) = prepared.operation.supersedes.first() {
            journal::supersede(&self.conn, *superseded)?;
        }
        self.head.device_seq = prepared.operation.device_seq;
        self.head.hash = prepared.sealed.hash;
        Ok(Captured {
            op_id: prepared.operation.op_id,
            duplicate: false,
            warnings: prepared.warnings.clone(),
        })
    }

    pub(crate) fn captured_before(
        &self,
        op_id: OpId,
        event: &Event,
    ) -> Result<Option<Captured>, CaptureError> {
        let known = match journal::find(&self.conn, op_id)? {
            Some(stored) => {
                Some(stored.operation()?.event().cloned().ok_or(CaptureError::IdReused)?)
            }
            None => {
                let record = self.noting_damage(mirror::event(&self.conn, op_id.into()));
                record.ok().flatten().map(|record| record.event)
            }
        };
        match known {
            None => Ok(None),
            Some(known) if known == *event => {
                Ok(Some(Captured { op_id, duplicate: true, warnings: Vec::new() }))
            }
            Some(_) => Err(CaptureError::IdReused),
        }
    }

    /// Compares the capture with what this device knows around it. A mirror that cannot be read
    /// knows nothing; it never stops a capture.
    fn look_around(&self, event: &Event) -> Result<Vec<Warning>, CaptureError> {
        let before = event.miles.and_then(|_| {
            let (vehicle, at) = (event.vehicle_id, event.occurred_at);
            let reading = mirror::reading_before(&self.conn, vehicle, at);
            let shown = self.noting_damage(reading).ok().flatten();
            let unshown = self.unshown_reading_before(vehicle, at);
            // Of the same instant the one that has no sequence yet is the later one.
            unshown.into_iter().chain(shown).rev().max_by_key(|reading| reading.at)
        });
        if let (Some(miles), Some(reading)) = (event.miles, &before)
            && odometer::needs_confirmation(event, Some(reading))
        {
            return Err(CaptureError::ConfirmJump { miles, before: reading.miles });
        }
        let nearby = self.noting_damage(mirror::events_near(&self.conn, event));
        let mut nearby = nearby.unwrap_or_default();
        let unshown = self.unshown.borrow();
        let unshown = unshown.iter().filter_map(Operation::event);
        nearby.extend(unshown.filter(|other| probable_duplicate(event, other)).cloned());
        let around = Surroundings {
            reading_before: before.map(|reading| (reading.at, reading.miles)),
            nearby: &nearby,
        };
        Ok(warnings(event, &around))
    }

    /// The latest reading at or before an instant among captures that the mirror does not show yet.
    fn unshown_reading_before(&self, vehicle: VehicleId, at: Millis) -> Option<Reading> {
        self.unshown
            .borrow()
            .iter()
            .filter_map(Operation::event)
            .filter(|event| event.vehicle_id == vehicle && event.occurred_at <= at)
            .filter_map(|event| Reading::of(event, event.occurred_at, u64::MAX))
            .max_by_key(|reading| reading.at)
    }

    fn clock_evidence(&self, clock: Clock) -> ClockEvidence {
        let offset = self.sync.clock_offset;
        ClockEvidence {
            wall_ms: clock.wall_ms,
            monotonic_ms: clock.monotonic_ms,
            boot_id: clock.boot_id,
            server_offset_ms: offset.map(|(offset, _)| offset),
            offset_age_ms: offset.map(|(_, at)| clock.wall_ms.saturating_sub(at)),
        }
    }
}
