//! Taking back and bringing back what anyone captured, and an event's whole story.

use motomind_protocol::effective::{Act, may_act};
use motomind_protocol::{Event, EventId, OpId, OpState, Violation, limits, registry};

use crate::device::Device;
use crate::error::{CaptureError, StoreError};
use crate::fact::{Capture, Captured, Clock};
use crate::mirror::{self, Family};
use crate::{journal, overlay};

impl Device {
    /// Takes an event back, whoever captured it. One of this device's that the server may not have
    /// is discarded.
    ///
    /// # Errors
    /// As [`Device::capture`]; also [`CaptureError::UnknownOperation`] for an event that this
    /// device does not know.
    pub fn retract(
        &mut self,
        event: EventId,
        reason: impl Into<String>,
        clock: impl Into<Clock>,
    ) -> Result<Captured, CaptureError> {
        let clock = clock.into();
        let stored = journal::find(&self.conn, event.into())?;
        if stored.is_some_and(|stored| stored.state != OpState::Accepted) {
            return self.discard(event.into(), reason, clock);
        }
        let known = self.known_event(event)?;
        self.capture(act(&known, registry::RETRACTION, event, reason.into(), clock), clock)
    }

    /// Brings back an event that was retracted, whoever retracted it, and with it what corrects
    /// it. A capture of this device that was discarded before the server had it is captured again,
    /// under a new id.
    ///
    /// # Errors
    /// As [`Device::retract`]; [`CaptureError::Invalid`] with `not_retracted` where nothing has
    /// taken it back.
    pub fn restore(
        &mut self,
        event: EventId,
        reason: impl Into<String>,
        clock: impl Into<Clock>,
    ) -> Result<Captured, CaptureError> {
        let (clock, reason) = (clock.into(), reason.into());
        let known = self.known_event(event)?;
        match self.discarded_by(event)? {
            Some(discard) => {
                let again =
                    Capture { op_id: None, reason: Some(reason), ..Capture::from(known.clone()) };
                let captured = self.amend(discard, again, clock)?;
                self.attach_again(&known, captured.op_id.into(), clock)?;
                Ok(captured)
            }
            None => self.capture(act(&known, registry::RESTORATION, event, reason, clock), clock),
        }
    }

    /// The whole story of an event, the first one first: who stated, corrected, retracted and
    /// restored it and when, and which of it counts. `None` when this device does not know it.
    ///
    /// # Errors
    /// [`StoreError`] when the mirror cannot be read.
    pub fn family(&self, event: EventId) -> Result<Option<Family>, StoreError> {
        overlay::catch_up(self)?;
        self.noting_damage(mirror::family_of(&self.conn, event))
    }

    /// Whether an event may act on the one that it names, as far as this device knows that one.
    pub(crate) fn may_act(&self, event: &Event) -> Result<(), CaptureError> {
        let Some(named) = event.corrects else {
            return Ok(());
        };
        let unshown = self.unshown.borrow().iter().any(|op| op.op_id == named.into());
        let known = match unshown {
            // Plain captures alone wait to be shown.
            true => Some((Act::Corrects, false)),
            false => {
                let family = self.noting_damage(mirror::family_of(&self.conn, named));
                let members = family.ok().flatten().map_or(Vec::new(), |family| family.members);
                let target = members.iter().find(|member| member.entry.event_id == named);
                target.map(|target| (target.act, target.retracted))
            }
        };
        let Some((target, retracted)) = known else {
            return Ok(());
        };
        may_act(event.act(), target, retracted).map_err(|(code, message)| {
            CaptureError::Invalid(vec![Violation::new("corrects", code, message)])
        })
    }

    /// The event that an act of this device is about, as the server resolved it where it has.
    pub(crate) fn acted_on(&self, act: EventId) -> Result<Option<EventId>, StoreError> {
        let record = self.noting_damage(mirror::event(&self.conn, act))?;
        Ok(record.and_then(|record| record.corrects))
    }

    pub(crate) fn known_event(&self, event: EventId) -> Result<Event, CaptureError> {
        overlay::catch_up(self)?;
        if let Some(record) = self.noting_damage(mirror::event(&self.conn, event))? {
            return Ok(record.event);
        }
        let stored = journal::find(&self.conn, event.into())?;
        let operation = stored.ok_or(CaptureError::UnknownOperation)?.operation()?;
        operation.event().cloned().ok_or(CaptureError::UnknownOperation)
    }

    /// The discard of a capture that the log does not have.
    fn discarded_by(&self, event: EventId) -> Result<Option<OpId>, CaptureError> {
        let stored = journal::find(&self.conn, event.into())?;
        if stored.is_none_or(|stored| stored.state != OpState::Superseded)
            || self.noting_damage(mirror::event(&self.conn, event))?.is_some()
        {
            return Ok(None);
        }
        match journal::superseding(&self.conn, event.into())? {
            Some(by) if by.is_a_retraction()? => Ok(Some(by.sealed.op_id)),
            _ => Ok(None),
        }
    }
}

/// A retraction or restoration.
pub(crate) fn act(
    about: &Event,
    kind: &str,
    names: EventId,
    reason: String,
    clock: Clock,
) -> Capture {
    let at = clock.wall_ms.clamp(limits::OCCURRED_AT_MIN_MS, limits::OCCURRED_AT_MAX_MS);
    let mut capture = Capture::new(about.vehicle_id, kind, at, about.date, about.timezone.clone());
    capture.corrects = Some(names);
    capture.reason = Some(reason);
    capture
}
