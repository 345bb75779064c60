//! Which photos belong to an event, in what order, and which one stands for it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{PhotoFacts, line, step_id};
use crate::limits::{ATTACHMENTS_MAX, NESTING_MAX, REASON_CHARS_MAX, SEQUENCE_MAX, TEXT_CHARS_MAX};
use crate::validate::nests_deeper;
use crate::{EventId, Hash, VehicleId, Violation, code};

/// What is said of a photo on an event: that it is there, as which one, or that it is removed.
///
/// Statements are facts and all kept; of each photo of an event the newest counts ([`attached`]).
/// Deleting the one never deletes the other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
pub struct Attachment {
    /// The event's vehicle.
    pub vehicle_id: VehicleId,
    /// The event.
    pub event_id: EventId,
    /// SHA-256 of the photo's original bytes.
    pub photo: Hash,
    /// Place among the event's photos, from 1. Two may share one, added on two devices.
    pub sequence: i64,
    /// The step of the capture flow that it answers; several photos of one step are fine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_id: Option<String>,
    /// The person chose it to stand for the event.
    #[serde(default)]
    pub is_primary: bool,
    /// The person's own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caption: Option<String>,
    /// What the photo says about itself. The first statement about a photo has them, and they
    /// count ([`facts`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facts: Option<Box<PhotoFacts>>,
    /// The photo is taken off the event. Its bytes stay.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub removed: bool,
    /// Why, in the person's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Keys of a newer peer, kept.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Attachment {
    /// A photo at a place among the event's photos.
    #[must_use]
    pub fn new(vehicle_id: VehicleId, event_id: EventId, photo: Hash, sequence: i64) -> Self {
        Self {
            vehicle_id,
            event_id,
            photo,
            sequence,
            step_id: None,
            is_primary: false,
            caption: None,
            facts: None,
            removed: false,
            reason: None,
            extra: Map::new(),
        }
    }

    /// Checks what can be judged from the attachment alone.
    ///
    /// # Errors
    /// Every [`Violation`], not only the first.
    pub fn validate(&self) -> Result<(), Vec<Violation>> {
        let mut out = Vec::new();
        if !(1..=SEQUENCE_MAX).contains(&self.sequence) {
            let message = format!("sequence must be between 1 and {SEQUENCE_MAX}");
            out.push(Violation::new("sequence", code::OUT_OF_RANGE, message));
        }
        step_id("step_id", self.step_id.as_deref(), &mut out);
        line("caption", self.caption.as_deref(), TEXT_CHARS_MAX, &mut out);
        line("reason", self.reason.as_deref(), REASON_CHARS_MAX, &mut out);
        if let Some(facts) = &self.facts {
            if facts.sha256 != self.photo {
                let message = "the facts are of another photo";
                out.push(Violation::new("facts.sha256", code::ID_MISMATCH, message));
            }
            for violation in super::validate(facts).err().unwrap_or_default() {
                let field = format!("facts.{}", violation.field);
                out.push(Violation { field, ..violation });
            }
        }
        for (key, value) in &self.extra {
            if nests_deeper(value, NESTING_MAX) {
                let message = format!("{key} may nest at most {NESTING_MAX} lists and objects");
                out.push(Violation::new(key.clone(), code::TOO_DEEP, message));
            }
        }
        if out.is_empty() { Ok(()) } else { Err(out) }
    }
}

/// Checks the photos that one capture attaches to its event: each one, at most one of them primary,
/// none twice.
///
/// # Errors
/// Every [`Violation`]; its field names the attachment, such as `photos[2].sequence`.
pub fn validate_attachments(attachments: &[Attachment]) -> Result<(), Vec<Violation>> {
    let mut out = Vec::new();
    if attachments.len() > ATTACHMENTS_MAX {
        let message = format!("an event may have at most {ATTACHMENTS_MAX} photos");
        return Err(vec![Violation::new("photos", code::TOO_LONG, message)]);
    }
    let mut seen = std::collections::BTreeSet::new();
    let mut primary = false;
    for (at, attachment) in attachments.iter().enumerate() {
        for violation in attachment.validate().err().unwrap_or_default() {
            let field = format!("photos[{at}].{}", violation.field);
            out.push(Violation { field, ..violation });
        }
        if !seen.insert((attachment.event_id, attachment.photo)) {
            let message = "the photo is already on this event";
            out.push(Violation::new(format!("photos[{at}].photo"), code::DUPLICATE, message));
        }
        if attachment.is_primary && std::mem::replace(&mut primary, true) {
            let field = format!("photos[{at}].is_primary");
            out.push(Violation::new(field, code::DUPLICATE, "one photo stands for an event"));
        }
    }
    if out.is_empty() { Ok(()) } else { Err(out) }
}

/// A photo that is on an event, as everyone shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Attached<'a> {
    /// The newest statement about it.
    pub said: &'a Attachment,
    /// Whether it stands for the event.
    pub is_primary: bool,
}

/// The photos on an event, out of every statement about it, in the order in which every device
/// shows them: by sequence, then by hash.
///
/// Statements come with their sequence, `None` for this device's own that have none yet, which
/// count after all others in the order given. Of each photo the newest counts. The photo that
/// stands for the event is the one of which that was said last, else the first.
#[must_use]
pub fn attached<'a>(
    statements: impl IntoIterator<Item = (Option<u64>, &'a Attachment)>,
) -> Vec<Attached<'a>> {
    let mut statements: Vec<(Option<u64>, &Attachment)> = statements.into_iter().collect();
    statements.sort_by_key(|(seq, _)| (seq.is_none(), seq.unwrap_or(0)));
    let mut newest: BTreeMap<Hash, (usize, Attached<'a>)> = BTreeMap::new();
    for (age, (_, said)) in statements.into_iter().enumerate() {
        newest.insert(said.photo, (age, Attached { said, is_primary: false }));
    }
    let mut photos: Vec<(usize, Attached<'a>)> =
        newest.into_values().filter(|(_, photo)| !photo.said.removed).collect();
    photos.sort_by_key(|(_, photo)| (photo.said.sequence, photo.said.photo));
    let chosen = photos.iter().enumerate().filter(|(_, (_, photo))| photo.said.is_primary);
    let primary = chosen.max_by_key(|(_, (age, _))| *age).map_or(0, |(at, _)| at);
    let mut photos: Vec<Attached<'a>> = photos.into_iter().map(|(_, photo)| photo).collect();
    if let Some(photo) = photos.get_mut(primary) {
        photo.is_primary = true;
    }
    photos
}

/// What counts of what was told of one photo: the facts of the first statement that has any, on
/// whatever event of the tenant. Whoever puts a photo on an event first says what it is; what others
/// say of it later stays beside that, and never takes its place.
///
/// Statements come as for [`attached`], of this one photo.
#[must_use]
pub fn facts<'a>(
    statements: impl IntoIterator<Item = (Option<u64>, &'a Attachment)>,
) -> Option<&'a PhotoFacts> {
    let told = statements.into_iter().filter_map(|(seq, said)| Some((seq, said.facts.as_deref()?)));
    // Of equal ones `min_by_key` takes the first: own ones stand in the order of capture.
    told.min_by_key(|(seq, _)| (seq.is_none(), seq.unwrap_or(0))).map(|(_, facts)| facts)
}
