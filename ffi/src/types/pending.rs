//! What the server does not have yet or has refused, and why.

use super::*;

/// A capture that the server does not have yet, or has refused.
#[uniffi::remote(Record)]
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

/// Why an operation was refused.
#[uniffi::remote(Record)]
pub struct Rejection {
    /// A stable name from `code`.
    pub code: String,
    /// The field to mend, where one is to blame.
    pub field: Option<String>,
    /// A sentence for people.
    pub message: String,
    /// The contradicted reading, for `odometer_out_of_order`.
    pub neighbour: Option<Neighbour>,
    /// The record that has what this one claims, for codes such as `vin_taken`; with the field
    /// `supersedes`, the operation that is someone else's.
    pub taken_by: Option<Uuid>,
    /// Everything that is wrong, where it is more than one thing.
    pub violations: Vec<Violation>,
}

/// The neighbour that a reading contradicts.
#[uniffi::remote(Record)]
pub struct Neighbour {
    /// The neighbouring event.
    pub event_id: EventId,
    /// Its reading, miles.
    pub miles: i64,
    /// When it was read, UTC ms.
    pub at: Millis,
}
