//! Records: vehicles, garages, reminders and their like, edited by several people at once.
//!
//! Each record is a small Automerge document; the columns of both databases are a projection of
//! it. A device never writes a document: it sends a [`RecordIntent`], the fields that a person
//! changed and the heads of the document that they saw. The server makes the change at those
//! heads, so that concurrency is judged by what people saw:
//!
//! ```text
//! document′ = document + change(patch, at seen heads ∪ the device's own last change)
//! ```
//!
//! Different fields merge; competing values of one field converge to one that is shown and stay
//! listed by [`Document::conflicts`]; long texts merge character by character.

mod bounds;
mod claims;
mod compact;
mod document;
mod form;
mod history;
mod intent;
mod judge;
mod merge;
mod moved;
pub mod schema;
mod sound;
pub mod text;

pub use claims::{Claim, claim_taken, claims, references};
pub use compact::{compacted, take_over_chain, take_over_compacted};
pub use document::{Actor, BadDocument, DELETED_AT, Document, Signature};
pub use form::{check, check_value, normalised};
pub use history::{By, Competing, Conflict, Revision};
pub use intent::{Action, FieldEdit, Instead, Over, Patch, RecordIntent, Splice, Step, TextEdit};
pub use judge::{
    Closed, Closing, Fate, closings, earlier_edits, first_accepted, knows_all, new_claims, no_such,
    referred, signature_of, steps, take_as_seen, unmet_need,
};
pub use merge::{Circumstances, Taken, absorb, difference, may, may_touch, take, take_in};
pub use schema::{Collection, Field, Form, Key, Unique, find};
