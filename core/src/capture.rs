//! Capturing: durable before it returns.

use chrono::NaiveDate;
use motomind_protocol::{
    Body, ClockEvidence, Event, EventId, Fix, FixAbsence, Millis, OpId, OpState, Operation,
    Surroundings, UserId, VehicleId, Warning, limits, odometer, registry, validate, warnings,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::device::Device;
use crate::error::CaptureError;
use crate::{journal, mirror, open, overlay};

/// A fact to capture: an event without the parts that the device adds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Capture {
    /// Made by the caller to make the call idempotent; by the device when absent.
    #[serde(default)]
    pub op_id: Option<OpId>,
    /// The vehicle that the fact is about.
    pub vehicle_id: VehicleId,
    /// A name from the registry.
    #[serde(rename = "type")]
    pub kind: String,
    /// When it happened, UTC ms.
    pub occurred_at: Millis,
    /// The calendar day where it happened.
    pub date: NaiveDate,
    /// IANA name of the time zone where it happened.
    pub timezone: String,
    /// Odometer, miles.
    #[serde(default)]
    pub miles: Option<i64>,
    /// Money, minor units.
    #[serde(default)]
    pub total_minor: Option<i64>,
    /// ISO 4217.
    #[serde(default)]
    pub currency: Option<String>,
    /// Who sold or did it.
    #[serde(default)]
    pub vendor: Option<String>,
    /// The person's own words.
    #[serde(default)]
    pub notes: Option<String>,
    /// Keys of the type.
    #[serde(default)]
    pub payload: Map<String, Value>,
    /// Where it was captured.
    #[serde(default)]
    pub fix: Option<Fix>,
    /// Why there is no fix.
    #[serde(default)]
    pub fix_absent: Option<FixAbsence>,
    /// The capture session.
    #[serde(default)]
    pub session_id: Option<Uuid>,
    /// The event that this one corrects or retracts.
    #[serde(default)]
    pub corrects: Option<EventId>,
    /// Why it corrects or retracts.
    #[serde(default)]
    pub reason: Option<String>,
    /// Keys of a newer peer.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The host's clocks at a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// Wall clock, UTC ms.
    pub wall_ms: Millis,
    /// Monotonic clock since boot, ms.
    pub monotonic_ms: Option<i64>,
    /// Identity of that boot.
    pub boot_id: Option<Uuid>,
}

impl From<Millis> for Clock {
    fn from(wall_ms: Millis) -> Self {
        Self {
            wall_ms,
            monotonic_ms: None,
            boot_id: None,
        }
    }
}

/// A capture that is durable on this device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Captured {
    /// Its operation, and equally its event.
    pub op_id: OpId,
    /// It had been captured before under this id; nothing was added.
    pub duplicate: bool,
    /// What is worth a second look. Never blocking.
    pub warnings: Vec<Warning>,
}

/// What came of judging a capture.
enum Judged {
    /// It is in the journal already.
    CapturedBefore(Captured),
    /// It may be stored.
    New(Box<Prepared>),
}

/// A capture that has been judged and sealed but not stored.
struct Prepared {
    operation: Operation,
    sealed: motomind_protocol::SealedOperation,
    warnings: Vec<Warning>,
}

impl Capture {
    /// A capture with the required envelope and nothing else.
    #[must_use]
    pub fn new(
        vehicle_id: VehicleId,
        kind: impl Into<String>,
        occurred_at: Millis,
        date: NaiveDate,
        timezone: impl Into<String>,
    ) -> Self {
        let id = EventId(Uuid::nil());
        let mut capture: Self =
            Event::new(id, vehicle_id, kind, occurred_at, date, timezone).into();
        capture.op_id = None;
        capture
    }

    fn into_event(self, id: EventId, user: UserId) -> Event {
        let mut event = Event {
            id,
            vehicle_id: self.vehicle_id,
            kind: self.kind,
            occurred_at: self.occurred_at,
            date: self.date,
            timezone: self.timezone,
            miles: self.miles,
            total_minor: self.total_minor,
            currency: self.currency,
            vendor: self.vendor,
            notes: self.notes,
            payload: self.payload,
            fix: self.fix,
            fix_absent: self.fix_absent,
            session_id: self.session_id,
            corrects: self.corrects,
            reason: self.reason,
            extra: self.extra,
        };
        event.set_logged_by(user);
        event
    }
}

impl From<Event> for Capture {
    fn from(event: Event) -> Self {
        Self {
            op_id: Some(event.id.into()),
            vehicle_id: event.vehicle_id,
            kind: event.kind,
            occurred_at: event.occurred_at,
            date: event.date,
            timezone: event.timezone,
            miles: event.miles,
            total_minor: event.total_minor,
            currency: event.currency,
            vendor: event.vendor,
            notes: event.notes,
            payload: event.payload,
            fix: event.fix,
            fix_absent: event.fix_absent,
            session_id: event.session_id,
            corrects: event.corrects,
            reason: event.reason,
            extra: event.extra,
        }
    }
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
        self.record(capture, Vec::new(), clock.into())
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
        overlay::mend(self)?;
        let head = self.head;
        self.conn.execute_batch("BEGIN IMMEDIATE")?;
        let mut results = Vec::with_capacity(captures.len());
        let mut stored = Vec::new();
        for capture in captures {
            let result = self
                .judge(capture, Vec::new(), clock)
                .and_then(|judged| match judged {
                    Judged::CapturedBefore(captured) => Ok(captured),
                    Judged::New(prepared) => {
                        let captured = self.append(&prepared)?;
                        stored.push(prepared.operation);
                        Ok(captured)
                    }
                });
            results.push(result);
        }
        if let Err(error) = self.conn.execute_batch("COMMIT") {
            self.head = head;
            let _ = self.conn.execute_batch("ROLLBACK");
            return Err(error.into());
        }
        overlay::show(self, &stored);
        Ok(results)
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
        match stored.state {
            OpState::Superseded => Err(CaptureError::AlreadySuperseded),
            OpState::Accepted => {
                capture.corrects = Some(op_id.into());
                self.record(capture, Vec::new(), clock.into())
            }
            _ => {
                if capture.corrects.is_none() && capture.kind != registry::RETRACTION {
                    // Amending a correction keeps what it corrects.
                    capture.corrects = stored.operation()?.event().and_then(|e| e.corrects);
                }
                let replaced = journal::replaced_with(&self.conn, op_id)?;
                self.record(capture, replaced, clock.into())
            }
        }
    }

    /// Takes a capture back: on the server a retraction if it had arrived, else its id is closed
    /// for ever. The journal keeps it either way.
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
        let operation = stored.operation()?;
        let event = operation.event().ok_or(CaptureError::UnknownOperation)?;
        let mut retraction = Capture::new(
            event.vehicle_id,
            registry::RETRACTION,
            clock
                .wall_ms
                .clamp(limits::OCCURRED_AT_MIN_MS, limits::OCCURRED_AT_MAX_MS),
            event.date,
            event.timezone.clone(),
        );
        retraction.corrects = Some(op_id.into());
        retraction.reason = Some(reason.into());
        self.amend(op_id, retraction, clock)
    }

    fn record(
        &mut self,
        capture: Capture,
        supersedes: Vec<OpId>,
        clock: Clock,
    ) -> Result<Captured, CaptureError> {
        overlay::mend(self)?;
        let prepared = match self.judge(capture, supersedes, clock)? {
            Judged::CapturedBefore(captured) => return Ok(captured),
            Judged::New(prepared) => prepared,
        };
        let head = self.head;
        self.conn.execute_batch("BEGIN IMMEDIATE")?;
        let outcome = self
            .append(&prepared)
            .and_then(|captured| Ok(self.conn.execute_batch("COMMIT").map(|()| captured)?));
        match outcome {
            Ok(captured) => {
                overlay::show(self, std::slice::from_ref(&prepared.operation));
                Ok(captured)
            }
            Err(error) => {
                self.head = head;
                let _ = self.conn.execute_batch("ROLLBACK");
                Err(error)
            }
        }
    }

    /// Judges and seals.
    fn judge(
        &mut self,
        capture: Capture,
        supersedes: Vec<OpId>,
        clock: Clock,
    ) -> Result<Judged, CaptureError> {
        let given = capture.op_id;
        let op_id = given.unwrap_or_else(|| OpId(open::new_uuid(&mut self.rng, clock.wall_ms)));
        let event = capture.into_event(op_id.into(), self.who.identity.user_id);
        if given.is_some()
            && let Some(captured) = self.captured_before(op_id, &event)?
        {
            return Ok(Judged::CapturedBefore(captured));
        }
        validate(&event).map_err(CaptureError::Invalid)?;
        let warnings = self.look_around(&event)?;
        let operation = Operation {
            op_id,
            tenant_id: self.who.identity.tenant_id,
            user_id: self.who.identity.user_id,
            device_id: self.who.device_id,
            incarnation: self.who.incarnation,
            device_seq: self.head.device_seq + 1,
            lane: event.vehicle_id.0,
            schema: limits::SCHEMA_VERSION,
            supersedes,
            clock: self.clock_evidence(clock),
            prev_hash: self.head.hash,
            body: Body::Event(Box::new(event)),
        };
        let sealed = operation.seal()?;
        Ok(Judged::New(Box::new(Prepared {
            operation,
            sealed,
            warnings,
        })))
    }

    fn append(&mut self, prepared: &Prepared) -> Result<Captured, CaptureError> {
        journal::append(
            &self.conn,
            &self.head,
            &prepared.operation,
            &prepared.sealed,
        )?;
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

    fn captured_before(
        &self,
        op_id: OpId,
        event: &Event,
    ) -> Result<Option<Captured>, CaptureError> {
        let known = match journal::find(&self.conn, op_id)? {
            Some(stored) => stored.operation()?.event().cloned(),
            None => mirror::event(&self.conn, op_id.into())?.map(|record| record.event),
        };
        match known {
            None => Ok(None),
            Some(known) if known == *event => Ok(Some(Captured {
                op_id,
                duplicate: true,
                warnings: Vec::new(),
            })),
            Some(_) => Err(CaptureError::IdReused),
        }
    }

    /// Compares the capture with what this device knows around it.
    fn look_around(&self, event: &Event) -> Result<Vec<Warning>, CaptureError> {
        let before = match event.miles {
            Some(_) => mirror::reading_before(&self.conn, event.vehicle_id, event.occurred_at)?,
            None => None,
        };
        if let (Some(miles), Some(reading)) = (event.miles, &before)
            && odometer::needs_confirmation(event, Some(reading))
        {
            return Err(CaptureError::ConfirmJump {
                miles,
                before: reading.miles,
            });
        }
        let nearby = mirror::events_near(&self.conn, event)?;
        let around = Surroundings {
            reading_before: before.map(|reading| (reading.at, reading.miles)),
            nearby: &nearby,
        };
        Ok(warnings(event, &around))
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
