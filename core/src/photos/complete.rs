//! A session becomes an event: the event, its photos and the session's end, in one transaction.

use std::collections::BTreeSet;

use motomind_protocol::flow::{self, Happening, Path, Session};
use motomind_protocol::photo::validate_attachments;
use motomind_protocol::position::{Sources, decide};
use motomind_protocol::{
    Attachment, Body, Event, EventId, Hash, OpId, PhotoFacts, limits, validate,
};
use serde_json::Value;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::session::{self, CAPTION, IS_PRIMARY};
use super::{HostPreview, PhotoMeta, PhotoTarget, album, uploads};
use crate::capture::Judged;
use crate::device::Device;
use crate::error::CaptureError;
use crate::fact::{Capture, Captured, Clock};
use crate::{journal, open, overlay};

/// Steps that photograph a document with a date of its own.
const DATED_STEPS: &[&str] = &["receipt", "invoice"];

/// A photo that is captured together with its event.
#[derive(Debug)]
pub struct NewPhoto<R> {
    /// Where its bytes are.
    pub bytes: R,
    /// What the host knows of it.
    pub meta: PhotoMeta,
    /// A small picture of it.
    pub preview: HostPreview,
}

impl Device {
    /// Saves the event of a session with its photos. When this returns `Ok`, event, photos and the
    /// session's end survive a crash together; until then the session stays and can be resumed.
    ///
    /// The device sets `payload.photos`, `photo_fix`, `position` (from the photo that stands for
    /// the event, and the fix) and `session_id`. Calling again with the same `op_id` and the same
    /// content is one capture.
    ///
    /// # Errors
    /// As [`Device::capture`]; also [`CaptureError::SessionOver`], [`CaptureError::UnknownSession`],
    /// [`CaptureError::StepsMissing`].
    pub fn complete_session(
        &mut self,
        session: Uuid,
        mut capture: Capture,
        clock: impl Into<Clock>,
    ) -> Result<Captured, CaptureError> {
        let clock = clock.into();
        self.mend_if_possible();
        if let Some(captured) = self.completed_before(session, &capture)? {
            return Ok(captured);
        }
        let new_id = || OpId(open::new_uuid(&mut self.rng, clock.wall_ms));
        let op_id = capture.op_id.unwrap_or_else(new_id);
        let done = self.session_after(session, Happening::Completed(op_id.into()), clock)?;
        let first = match capture.corrects {
            Some(corrected) => self.next_sequence(corrected)?,
            None => 1,
        };
        let attachments = self.attachments(&done, op_id.into(), first)?;
        validate_attachments(&attachments).map_err(CaptureError::Invalid)?;
        capture.op_id = Some(op_id);
        capture.session_id = Some(session);
        with_photos(&mut capture, &attachments, clock);
        let event = match self.judge(capture, Vec::new(), clock)? {
            Judged::CapturedBefore(captured) => return Ok(captured),
            Judged::New(event) => event,
        };
        let warnings = event.warnings.clone();
        let photos: Vec<Hash> = attachments.iter().map(|said| said.photo).collect();
        let mut drafts = Vec::with_capacity(attachments.len() + 1);
        for said in attachments {
            let body = Body::Photo(Box::new(said));
            drafts.push(self.statement_draft(done.vehicle_id, body, Vec::new(), clock)?);
        }
        drafts.push(self.session_draft(&done, clock)?);
        let operations = self.store_together(Some(event), drafts, |tx| {
            session::forget(tx, session)?;
            photos.iter().try_for_each(|photo| uploads::queue(tx, photo, clock.wall_ms))?;
            // What a later photo of the same step took the place of.
            done.photos.iter().try_for_each(|one| album::forget_unused(tx, &one.photo))
        })?;
        overlay::show(self, operations);
        self.changes.tables.insert("photos");
        Ok(Captured { op_id, duplicate: false, warnings })
    }

    /// Captures an event with its photos at once, on the quick path. After a crash there is either
    /// all of it, or a session with the photos that had been added; calling again with the same
    /// `op_id` begins in its place.
    ///
    /// # Errors
    /// As [`Device::complete_session`] and [`Device::add_photo`]. Nothing of it is kept then.
    pub fn capture_with_photos<R: std::io::Read>(
        &mut self,
        mut capture: Capture,
        photos: Vec<NewPhoto<R>>,
        clock: impl Into<Clock>,
    ) -> Result<Captured, CaptureError> {
        let clock = clock.into();
        let new_id = || OpId(open::new_uuid(&mut self.rng, clock.wall_ms));
        let op_id = capture.op_id.unwrap_or_else(new_id);
        capture.op_id = Some(op_id);
        // The event's own id names the session, too: whoever tries again finds it.
        let session = op_id.0;
        if let Some(captured) = self.completed_before(session, &capture)? {
            let the_same = self.are_its_photos(op_id, photos)?;
            return if the_same { Ok(captured) } else { Err(CaptureError::IdReused) };
        }
        let judged = capture.clone().into_event(op_id.into(), self.who.identity.user_id);
        validate(&with_a_photo(judged, photos.is_empty())).map_err(CaptureError::Invalid)?;
        if session::load(&self.conn, session)?.is_some() {
            // What an attempt before this one had added; its photos come again now.
            self.give_up_quick(session)?;
        }
        let flow = flow_of(&capture);
        self.begin_session_as(session, capture.vehicle_id, flow, Path::Quick, clock)?;
        let captured = photos
            .into_iter()
            .try_for_each(|NewPhoto { bytes, meta, preview }| {
                let step = meta.capture.step_id.clone();
                let target = PhotoTarget::Session { id: session, step };
                self.add_photo(target, bytes, meta, preview, clock).map(drop)
            })
            .and_then(|()| self.complete_session(session, capture, clock));
        if captured.is_err() {
            let _ = self.give_up_quick(session);
        }
        captured
    }

    /// What was begun for a capture that was refused: nobody is told of it.
    fn give_up_quick(&mut self, session: Uuid) -> Result<(), CaptureError> {
        let begun = session::load(&self.conn, session)?.ok_or(CaptureError::UnknownSession)?;
        self.store_together(None, Vec::new(), |tx| {
            session::forget(tx, session)?;
            begun.photos.iter().try_for_each(|one| album::forget_unused(tx, &one.photo))
        })?;
        Ok(())
    }

    /// The capture, if it is in the journal already: equal but for what the device adds.
    fn completed_before(
        &self,
        session: Uuid,
        capture: &Capture,
    ) -> Result<Option<Captured>, CaptureError> {
        let Some(op_id) = capture.op_id else { return Ok(None) };
        let Some(stored) = journal::find(&self.conn, op_id)? else { return Ok(None) };
        let operation = stored.operation()?;
        let known = operation.event().ok_or(CaptureError::IdReused)?;
        let bare = |event: Event| {
            let mut event = event;
            event.payload.remove("photos");
            Event { photo_fix: None, position: None, session_id: None, ..event }
        };
        let given = capture.clone().into_event(op_id.into(), self.who.identity.user_id);
        match known.session_id == Some(session) && bare(known.clone()) == bare(given) {
            true => Ok(Some(Captured { op_id, duplicate: true, warnings: Vec::new() })),
            false => Err(CaptureError::IdReused),
        }
    }

    /// Whether these are the photos that a capture in the journal was made with. Of a step that
    /// takes one, an earlier photo is not on the event.
    fn are_its_photos<R: std::io::Read>(
        &self,
        op_id: OpId,
        photos: Vec<NewPhoto<R>>,
    ) -> Result<bool, CaptureError> {
        let stored = journal::find(&self.conn, op_id)?.ok_or(CaptureError::UnknownOperation)?;
        let operation = stored.operation()?;
        let known = operation.event().and_then(|event| event.payload.get("photos"));
        let known: BTreeSet<&str> = known
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let in_steps = photos.iter().any(|one| one.meta.capture.step_id.is_some());
        let mut given = BTreeSet::new();
        for mut one in photos {
            given.insert(hash_of(&mut one.bytes)?.to_string());
        }
        let given: BTreeSet<&str> = given.iter().map(String::as_str).collect();
        Ok(if in_steps { known.is_subset(&given) } else { known == given })
    }

    /// What a session says of its photos on the event that it becomes.
    fn attachments(
        &self,
        session: &Session,
        event: EventId,
        first: i64,
    ) -> Result<Vec<Attachment>, CaptureError> {
        let photos = session.current_photos();
        let primary = photos.iter().rposition(|one| one.extra.contains_key(IS_PRIMARY));
        let mut attachments = Vec::with_capacity(photos.len());
        for (at, one) in photos.into_iter().enumerate() {
            let kept = album::find(&self.conn, &one.photo)?.ok_or(CaptureError::UnknownPhoto)?;
            // At most ATTACHMENTS_MAX.
            let sequence = first.saturating_add(at as i64);
            let mut said = Attachment::new(session.vehicle_id, event, one.photo, sequence);
            said.step_id = one.step_id.clone();
            said.is_primary = primary == Some(at);
            said.caption = one.extra.get(CAPTION).and_then(Value::as_str).map(str::to_owned);
            said.facts = Some(Box::new(kept.facts));
            attachments.push(said);
        }
        Ok(attachments)
    }
}

/// Sets what follows from the photos: which they are, and where it happened.
fn with_photos(capture: &mut Capture, attachments: &[Attachment], clock: Clock) {
    let chosen = attachments.iter().find(|said| said.is_primary).or(attachments.first());
    let Some(facts) = chosen.and_then(|said| said.facts.as_deref()) else { return };
    let photos = attachments.iter().map(|said| Value::String(said.photo.to_string())).collect();
    capture.payload.insert("photos".into(), Value::Array(photos));
    capture.photo_fix = facts.position.clone();
    let dated = attachments
        .iter()
        .filter_map(|said| said.step_id.as_deref())
        .any(|step| DATED_STEPS.contains(&step));
    let age_ms = clock.wall_ms.saturating_sub(capture.occurred_at);
    capture.position = Some(decide(&Sources {
        gps: capture.fix.as_ref(),
        exif: capture.photo_fix.as_ref(),
        photo_age_ms: PhotoFacts::age_ms(facts, clock.wall_ms),
        receipt_age_days: dated.then_some(age_ms.div_euclid(limits::DAY_MS)),
    }));
}

/// The event as it will be, for judging it before its photos are read.
fn with_a_photo(mut event: Event, none: bool) -> Event {
    if !none {
        let photo = Value::String(Hash::ZERO.to_string());
        event.payload.insert("photos".into(), Value::Array(vec![photo]));
    }
    event
}

/// The flow that ends in such an event; its type, where there is none.
fn flow_of(capture: &Capture) -> String {
    let kind = motomind_protocol::registry::find(&capture.kind);
    let kind = kind.map_or(capture.kind.as_str(), |spec| spec.name);
    let flow = flow::FLOWS.iter().find(|flow| flow.event_type == kind);
    flow.map_or(kind, |flow| flow.name).into()
}

/// The hash of what a reader gives, not held as a whole.
fn hash_of(bytes: &mut impl std::io::Read) -> Result<Hash, CaptureError> {
    let (mut hasher, mut piece) = (Sha256::new(), vec![0; 64 * 1024]);
    loop {
        match bytes.read(&mut piece) {
            Ok(0) => return Ok(Hash(hasher.finalize().into())),
            Ok(count) => hasher.update(&piece[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(CaptureError::Host(error.to_string())),
        }
    }
}
