//! Which photos belong to an event, in what order, and which one stands for it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{line, step_id};
use crate::limits::{ATTACHMENTS_MAX, NESTING_MAX, SEQUENCE_MAX, TEXT_CHARS_MAX};
use crate::validate::nests_deeper;
use crate::{EventId, Hash, Violation, code};

/// A photo on an event. Deleting the one never deletes the other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attachment {
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
    /// Keys of a newer peer, kept.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Attachment {
    /// A photo at a place among the event's photos.
    #[must_use]
    pub fn new(event_id: EventId, photo: Hash, sequence: i64) -> Self {
        Self {
            event_id,
            photo,
            sequence,
            step_id: None,
            is_primary: false,
            caption: None,
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

/// Puts an event's photos in the order in which every device shows them: by sequence, then by hash.
pub fn in_order(attachments: &mut [Attachment]) {
    attachments.sort_by_key(|attachment| (attachment.sequence, attachment.photo));
}

/// The photo that stands for an event: the first one that a person chose, else the first.
#[must_use]
pub fn primary(attachments: &[Attachment]) -> Option<&Attachment> {
    let key = |one: &&Attachment| (!one.is_primary, one.sequence, one.photo);
    attachments.iter().min_by_key(key)
}
