//! What is said of photos on events: put on, described anew, taken off.
//!
//! Each is a fact of its own; of every photo the newest counts. What was said before it was sent,
//! or wrongly, is taken back by saying again what held before.

use motomind_protocol::photo::{PhotoFacts, attached};
use motomind_protocol::{
    Attachment, Body, Event, EventId, Hash, LocationCorrection, OpId, OpState, Operation,
    VehicleId, Violation, code, limits, place,
};
use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{PhotoMeta, album, uploads};
use crate::device::Device;
use crate::error::{CaptureError, StoreError};
use crate::fact::{Captured, Clock};
use crate::journal::{self, Stored};
use crate::mirror::statements::{self, StatementKind, Told};
use crate::{mirror, overlay};

/// What to say anew of a photo on an event; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
#[serde(default)]
pub struct PhotoEdit {
    /// The person's words; an empty text clears them.
    pub caption: Option<String>,
    /// Its place among the event's photos, from 1.
    pub sequence: Option<i64>,
    /// Whether the person chose it to stand for the event.
    pub is_primary: Option<bool>,
}

impl Device {
    /// Puts a photo on an event that is known already: it was added here before, or is on another
    /// event.
    ///
    /// # Errors
    /// [`CaptureError::UnknownPhoto`], [`CaptureError::UnknownOperation`] for the event,
    /// [`CaptureError::Invalid`].
    pub fn attach_photo(
        &mut self,
        event: EventId,
        photo: Hash,
        meta: &PhotoMeta,
        clock: impl Into<Clock>,
    ) -> Result<Captured, CaptureError> {
        let clock = clock.into();
        let known = self.event_for_statements(event)?;
        let facts = match album::find(&self.conn, &photo)? {
            Some(kept) => Some(kept.facts),
            None => self.noting_damage(statements::facts_of(&self.conn, &photo))?,
        };
        let facts = facts.ok_or(CaptureError::UnknownPhoto)?;
        let said = self.attachment(known.id, known.vehicle_id, &facts, meta)?;
        self.state_with(said, clock, |_| Ok(())).map(stated)
    }

    /// Says anew what a photo on an event is: its words, its place, whether it stands for the event.
    ///
    /// # Errors
    /// [`CaptureError::UnknownPhoto`] where it is not on the event; as [`Device::attach_photo`].
    pub fn describe_photo(
        &mut self,
        event: EventId,
        photo: Hash,
        edit: PhotoEdit,
        clock: impl Into<Clock>,
    ) -> Result<Captured, CaptureError> {
        let mut said = self.said_of(event, photo)?;
        if let Some(caption) = edit.caption {
            said.caption = Some(caption).filter(|caption| !caption.is_empty());
        }
        said.sequence = edit.sequence.unwrap_or(said.sequence);
        said.is_primary = edit.is_primary.unwrap_or(said.is_primary);
        self.state_with(said, clock.into(), |_| Ok(())).map(stated)
    }

    /// Takes a photo off an event. Its bytes stay, and so does all that was said of it.
    ///
    /// # Errors
    /// As [`Device::describe_photo`].
    pub fn remove_photo(
        &mut self,
        event: EventId,
        photo: Hash,
        reason: impl Into<String>,
        clock: impl Into<Clock>,
    ) -> Result<Captured, CaptureError> {
        let said = self.said_of(event, photo)?;
        let said = Attachment { removed: true, reason: Some(reason.into()), ..said };
        self.state_with(said, clock.into(), |_| Ok(())).map(stated)
    }

    /// Puts on an event that was captured again the photos that it had before, where they do not
    /// follow it by themselves.
    pub(crate) fn attach_again(
        &mut self,
        before: &Event,
        again: EventId,
        clock: Clock,
    ) -> Result<(), CaptureError> {
        let named = before.payload.get("photos").and_then(Value::as_array);
        let named = named.into_iter().flatten().filter_map(Value::as_str);
        for photo in named.filter_map(|photo| photo.parse::<Hash>().ok()) {
            let there = self.photos(again)?.iter().any(|shown| shown.photo == photo);
            if !there && album::find(&self.conn, &photo)?.is_some() {
                self.attach_photo(again, photo, &PhotoMeta::default(), clock)?;
            }
        }
        Ok(())
    }

    /// The newest that counts of a photo on an event, to be said anew.
    fn said_of(&mut self, event: EventId, photo: Hash) -> Result<Attachment, CaptureError> {
        let known = self.event_for_statements(event)?;
        let told = self.attachments_of(known.id)?;
        let on_it = attached(told.iter().filter_map(Told::counts));
        let one = on_it.into_iter().find(|one| one.said.photo == photo);
        let said = one.ok_or(CaptureError::UnknownPhoto)?.said.clone();
        Ok(Attachment { event_id: known.id, facts: None, ..said })
    }

    /// Every statement about the photos of an event's family.
    pub(super) fn attachments_of(
        &self,
        event: EventId,
    ) -> Result<Vec<Told<Attachment>>, StoreError> {
        let root = self.noting_damage(mirror::root_of(&self.conn, event))?;
        self.noting_damage(statements::of_family(&self.conn, root, StatementKind::Photo))
    }

    /// The place behind the last photo of an event.
    pub(super) fn next_sequence(&self, event: EventId) -> Result<i64, StoreError> {
        overlay::catch_up(self)?;
        let event = journal::stands_for(&self.conn, event)?;
        let told = self.attachments_of(event)?;
        let photos = attached(told.iter().filter_map(Told::counts));
        Ok(photos.iter().map(|one| one.said.sequence).max().unwrap_or(0).saturating_add(1))
    }

    /// What the host says of a photo on an event, judged.
    pub(super) fn attachment(
        &self,
        event: EventId,
        vehicle: VehicleId,
        facts: &PhotoFacts,
        meta: &PhotoMeta,
    ) -> Result<Attachment, CaptureError> {
        let told = self.attachments_of(event)?;
        if attached(told.iter().filter_map(Told::counts)).len() >= limits::ATTACHMENTS_MAX {
            let message = format!("an event may have at most {} photos", limits::ATTACHMENTS_MAX);
            return Err(invalid("photos", code::TOO_LONG, message));
        }
        let sequence = match meta.sequence {
            Some(sequence) => sequence,
            None => self.next_sequence(event)?,
        };
        let mut said = Attachment::new(vehicle, event, facts.sha256, sequence);
        said.step_id = meta.capture.step_id.clone();
        said.is_primary = meta.is_primary;
        said.caption = meta.caption.clone();
        said.facts = Some(Box::new(facts.clone()));
        Ok(said)
    }

    /// Seals what is said of a photo, in one transaction with what the caller writes.
    pub(super) fn state_with(
        &mut self,
        said: Attachment,
        clock: Clock,
        beside: impl FnOnce(&Connection) -> Result<(), StoreError>,
    ) -> Result<OpId, CaptureError> {
        said.validate().map_err(CaptureError::Invalid)?;
        let (vehicle, photo, stays) = (said.vehicle_id, said.photo, !said.removed);
        let body = Body::Photo(Box::new(said));
        let draft = self.statement_draft(vehicle, body, Vec::new(), clock)?;
        let op_id = draft.op_id;
        let operations = self.store_together(None, vec![draft], |tx| {
            beside(tx)?;
            if stays { uploads::queue(tx, &photo, clock.wall_ms) } else { Ok(()) }
        })?;
        self.show_statements(operations);
        Ok(op_id)
    }

    /// Seals what is said of the place of an event.
    pub(crate) fn state_place(
        &mut self,
        said: LocationCorrection,
        clock: Clock,
    ) -> Result<OpId, CaptureError> {
        said.validate().map_err(CaptureError::Invalid)?;
        let vehicle = said.vehicle_id;
        let body = Body::LocationCorrection(Box::new(said));
        let draft = self.statement_draft(vehicle, body, Vec::new(), clock)?;
        let op_id = draft.op_id;
        let operations = self.store_together(None, vec![draft], |_| Ok(()))?;
        self.show_statements(operations);
        Ok(op_id)
    }

    /// Shows statements that are durable.
    pub(crate) fn show_statements(&mut self, operations: Vec<Operation>) {
        if !operations.is_empty() {
            overlay::show(self, operations);
        }
        self.changes.tables.insert("photos");
    }

    /// The event that statements about `event` name: itself, or what stands in its place.
    pub(crate) fn event_for_statements(&mut self, event: EventId) -> Result<Event, CaptureError> {
        let _ = overlay::mend(self);
        let known = self.known_event(journal::stands_for(&self.conn, event)?)?;
        match known.act().states_a_fact() {
            true => Ok(known),
            // It was discarded, or takes something back itself.
            false => Err(invalid("event_id", code::NOT_CORRECTABLE, "it states no fact".into())),
        }
    }

    /// Takes back a statement of this device: what held before it is said again. One about a
    /// session that was refused is put aside.
    pub(crate) fn discard_statement(
        &mut self,
        stored: Stored,
        reason: String,
        clock: Clock,
    ) -> Result<Captured, CaptureError> {
        let op_id = stored.sealed.op_id;
        if stored.state == OpState::Superseded {
            return Err(CaptureError::AlreadySuperseded);
        }
        let mut chain = match stored.state {
            OpState::Accepted => Vec::new(),
            _ => journal::replaced_with(&self.conn, op_id)?,
        };
        let foreign = stored.has_a_foreign_id();
        if foreign {
            chain.remove(0);
        }
        if stored.state == OpState::Rejected && stored.supersedes.is_some() {
            // What was to take the place of others and was refused leaves them alone when it is
            // given up, as a refused retraction does: the next one would be refused, too.
            self.set_aside(op_id, reason)?;
            return Ok(stated(op_id));
        }
        let body = match stored.operation()?.body {
            Body::Photo(said) => self.without_attachment(&stored, &chain, *said, &reason)?,
            Body::LocationCorrection(said) => {
                self.without_correction(&stored, &chain, *said, &reason)?
            }
            _ if stored.state == OpState::Rejected => {
                self.set_aside(op_id, reason)?;
                return Ok(stated(op_id));
            }
            _ => return Err(CaptureError::UnknownOperation),
        };
        if foreign && chain.is_empty() {
            self.set_aside(op_id, reason)?;
            return Ok(stated(op_id));
        }
        let (vehicle, body) = body;
        let draft = self.statement_draft(vehicle, body, chain, clock)?;
        let new = draft.op_id;
        let operations = self.store_together(None, vec![draft], |tx| match foreign {
            true => journal::set_aside(tx, op_id, reason),
            false => Ok(()),
        })?;
        self.show_statements(operations);
        if foreign {
            overlay::follow(self, &[op_id]);
        }
        Ok(stated(new))
    }

    fn without_attachment(
        &self,
        stored: &Stored,
        chain: &[OpId],
        said: Attachment,
        reason: &str,
    ) -> Result<(VehicleId, Body), CaptureError> {
        overlay::catch_up(self)?;
        let event = journal::stands_for(&self.conn, said.event_id)?;
        let told = self.attachments_of(event)?;
        let before = told.iter().filter(|one| is_before(one, stored, chain));
        let before = attached(before.filter_map(Told::counts));
        let held = before.into_iter().find(|one| one.said.photo == said.photo);
        let again = match held {
            Some(held) => Attachment { facts: None, ..held.said.clone() },
            None => Attachment { removed: true, facts: None, ..said },
        };
        let again = Attachment { event_id: event, reason: Some(reason.into()), ..again };
        again.validate().map_err(CaptureError::Invalid)?;
        Ok((again.vehicle_id, Body::Photo(Box::new(again))))
    }

    fn without_correction(
        &self,
        stored: &Stored,
        chain: &[OpId],
        said: LocationCorrection,
        reason: &str,
    ) -> Result<(VehicleId, Body), CaptureError> {
        overlay::catch_up(self)?;
        let event = journal::stands_for(&self.conn, said.event_id)?;
        let told = self.corrections_of(event)?;
        let before = told.iter().filter(|one| is_before(one, stored, chain));
        let again = match place::counting(before.filter_map(Told::counts)) {
            Some(held) => held.clone(),
            None => LocationCorrection { withdrawn: true, ..said },
        };
        let again = LocationCorrection { event_id: event, reason: Some(reason.into()), ..again };
        again.validate().map_err(CaptureError::Invalid)?;
        Ok((again.vehicle_id, Body::LocationCorrection(Box::new(again))))
    }

    /// Every statement about the place of an event's family.
    pub(crate) fn corrections_of(
        &self,
        event: EventId,
    ) -> Result<Vec<Told<LocationCorrection>>, StoreError> {
        let root = self.noting_damage(mirror::root_of(&self.conn, event))?;
        let kind = StatementKind::LocationCorrection;
        self.noting_damage(statements::of_family(&self.conn, root, kind))
    }
}

/// Whether a statement is older than another one, and none of those that are taken back with it.
fn is_before<T>(one: &Told<T>, stored: &Stored, chain: &[OpId]) -> bool {
    let id = OpId(one.stated.id);
    if id == stored.sealed.op_id || chain.contains(&id) {
        return false;
    }
    match (one.seq, stored.seq) {
        (Some(one), Some(other)) => one < other,
        (None, Some(_)) => false,
        // Not numbered yet: this device's clock orders its own.
        (None, None) => one.stated.received_at <= stored.captured_at,
        (Some(_), None) => true,
    }
}

fn stated(op_id: OpId) -> Captured {
    Captured { op_id, duplicate: false, warnings: Vec::new() }
}

fn invalid(field: &str, code: &str, message: String) -> CaptureError {
    CaptureError::Invalid(vec![Violation::new(field, code, message)])
}
