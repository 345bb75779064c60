//! What is wrong with a capture, said so that a person can mend it.

use serde::{Deserialize, Serialize};

/// One thing that must be mended before an event can be accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
pub struct Violation {
    /// Path of the field, such as `miles`, `payload.gallons`, `fix.latitude`.
    pub field: String,
    /// A stable name from [`code`], for programs.
    pub code: String,
    /// A sentence for people.
    pub message: String,
}

impl Violation {
    /// Names a field, a code and a sentence.
    pub fn new(
        field: impl Into<String>,
        code: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self { field: field.into(), code: code.into(), message: message.into() }
    }
}

/// Something worth a look before saving. Shown, never blocking.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
pub struct Warning {
    /// Path of the field.
    pub field: String,
    /// A stable name, for programs.
    pub code: String,
    /// A sentence for people.
    pub message: String,
}

impl Warning {
    pub(crate) fn new(field: &str, code: &str, message: String) -> Self {
        Self { field: field.into(), code: code.into(), message }
    }
}

/// Stable names of violations, rejections and problems.
pub mod code {
    /// The value's JSON type is not the field's.
    pub const WRONG_TYPE: &str = "wrong_type";
    /// The field is required and absent.
    pub const MISSING: &str = "missing";
    /// The value lies outside the field's range.
    pub const OUT_OF_RANGE: &str = "out_of_range";
    /// NaN or infinite.
    pub const NOT_FINITE: &str = "not_finite";
    /// The text or list is longer than the field's limit.
    pub const TOO_LONG: &str = "too_long";
    /// The value is not one of the field's choices.
    pub const NOT_A_CHOICE: &str = "not_a_choice";
    /// A text does not have the field's form.
    pub const BAD_FORMAT: &str = "bad_format";
    /// More decimal places than the field has.
    pub const TOO_PRECISE: &str = "too_precise";
    /// Lists and objects are nested deeper than the limit.
    pub const TOO_DEEP: &str = "too_deep";
    /// The bytes are another kind of picture than was claimed.
    pub const MIME_MISMATCH: &str = "mime_mismatch";
    /// It may be there only once.
    pub const DUPLICATE: &str = "duplicate";

    /// The event's id is not its operation's id.
    pub const ID_MISMATCH: &str = "id_mismatch";

    /// The operation is not readable JSON of the agreed form.
    pub const MALFORMED: &str = "malformed";
    /// The sealed text does not have the hash that came with it.
    pub const HASH_MISMATCH: &str = "hash_mismatch";
    /// The operation's sealed text is over its limit.
    pub const TOO_LARGE: &str = "too_large";
    /// The operation was captured by another user or in another tenant than the token's.
    pub const WRONG_IDENTITY: &str = "wrong_identity";
    /// The body is of a kind that this server does not know; a newer server will.
    pub const UNSUPPORTED: &str = "unsupported";
    /// The collection has no such field.
    pub const UNKNOWN_FIELD: &str = "unknown_field";
    /// The record is not in this tenant, or not at all.
    pub const UNKNOWN_RECORD: &str = "unknown_record";
    /// The field names a record that is not in this tenant, is deleted, or not there at all.
    pub const UNKNOWN_REFERENCE: &str = "unknown_reference";
    /// Another record has the id.
    pub const RECORD_ID_TAKEN: &str = "record_id_taken";
    /// The field is part of the record's identity.
    pub const IMMUTABLE: &str = "immutable";
    /// The record was deleted too long ago to be restored.
    pub const RESTORE_EXPIRED: &str = "restore_expired";
    /// The vehicle is not in this tenant, or not at all; the two look the same from outside.
    pub const UNKNOWN_VEHICLE: &str = "unknown_vehicle";
    /// The reading contradicts a neighbour on the vehicle's timeline.
    pub const ODOMETER_OUT_OF_ORDER: &str = "odometer_out_of_order";
    /// An amendment or discard has closed this operation's id for ever.
    pub const SUPERSEDED: &str = "superseded";
    /// The operation's id belongs to another operation (the outcome of that name, as a device keeps
    /// it).
    pub const OP_ID_REUSED: &str = "op_id_reused";
    /// The event that this one corrects was itself rejected or closed.
    pub const PARENT_REJECTED: &str = "parent_rejected";
    /// It names a retraction or restoration; these are not corrected, retracted or restored.
    pub const NOT_CORRECTABLE: &str = "not_correctable";
    /// The event that a restoration brings back is not retracted.
    pub const NOT_RETRACTED: &str = "not_retracted";
    /// Another event already has this id.
    pub const EVENT_ID_TAKEN: &str = "event_id_taken";
    /// The tenant role does not allow this.
    pub const FORBIDDEN: &str = "forbidden";
    /// The server failed on this operation alone; it is offered again later.
    pub const SERVER_FAULT: &str = "server_fault";
}
