//! The messages between device and server. JSON; unknown keys are ignored here and kept inside
//! sealed texts and change data. `docs/protocol.md` is the authority, golden files its examples.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::flow::Session;
use crate::{
    Attachment, DeviceId, EventId, EventRecord, Flag, Hash, Incarnation, LocationCorrection,
    Millis, Neighbour, OpId, PhotoMime, SealedOperation, UserId, Violation,
};

/// `POST /v1/sync/push`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PushRequest {
    /// [`crate::limits::PROTOCOL_VERSION`].
    pub protocol: u16,
    /// The device's present incarnation. Operations of an older one are leftovers from before a
    /// fork and accepted by id alone.
    pub incarnation: Incarnation,
    /// At most [`crate::limits::PUSH_OPERATIONS_MAX`], in the order of capture.
    pub operations: Vec<SealedOperation>,
}

/// The reply to a push: one outcome for each operation, in the same order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PushResponse {
    /// [`crate::limits::PROTOCOL_VERSION`].
    pub protocol: u16,
    /// One for each operation sent.
    pub outcomes: Vec<OpOutcome>,
    /// The tenant's newest sequence.
    pub head: u64,
    /// Server clock, UTC ms.
    pub server_time_ms: Millis,
    /// Keep accepted operations at least this long: the age of the server's oldest backup, days.
    pub retention_days: u32,
}

/// What became of one operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OpOutcome {
    /// The operation; absent when not even its id could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub op_id: Option<OpId>,
    /// The verdict.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// A verdict on an operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// It is in the tenant's log.
    Accepted {
        /// Its sequence.
        seq: u64,
        /// What the server remarked.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        flags: Vec<Flag>,
    },
    /// It was there already.
    Duplicate {
        /// Its sequence.
        seq: u64,
    },
    /// It names an event that has not arrived; offer it again after that one.
    Waiting {
        /// The event it waits for.
        parent: EventId,
    },
    /// It stays on the device, with this reason, until a person decides.
    Rejected(Rejection),
    /// Its id belongs to an operation with another hash. It stays on the device as refused.
    OpIdReused {
        /// The hash that the server has for this id.
        known_hash: Hash,
    },
    /// Another journal has used this device's sequence: the phone was cloned or restored. Open a
    /// new incarnation and offer it again.
    Forked {
        /// The sequence that is taken.
        at: u64,
    },
    /// A verdict that a newer server knows. The operation stays queued.
    #[serde(other)]
    Unknown,
}

/// Why an operation was refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
pub struct Rejection {
    /// A stable name from [`crate::code`].
    pub code: String,
    /// The field to mend, where one is to blame.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// A sentence for people.
    pub message: String,
    /// The contradicted reading, for `odometer_out_of_order`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub neighbour: Option<Neighbour>,
    /// The record that has what this one claims, for codes such as `vin_taken`; with the field
    /// `supersedes`, the operation that is someone else's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_by: Option<Uuid>,
    /// Everything that is wrong, where it is more than one thing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub violations: Vec<Violation>,
}

/// The field of an operation that names those whose place it takes.
const SUPERSEDES: &str = "supersedes";

impl Rejection {
    /// A refusal with a code and a sentence.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            field: None,
            message: message.into(),
            neighbour: None,
            taken_by: None,
            violations: Vec::new(),
        }
    }

    /// The refusal of what was to take the place of someone else's operation.
    #[must_use]
    pub fn supersedes_anothers(op_id: OpId) -> Self {
        let message = "it takes the place of an operation of someone else";
        Self {
            taken_by: Some(op_id.0),
            ..Self::new(crate::code::FORBIDDEN, message).field(SUPERSEDES)
        }
    }

    /// The operation of someone else whose place the refused one was to take, if that is why.
    #[must_use]
    pub fn superseded_of_another(&self) -> Option<OpId> {
        let is_why = self.code == crate::code::FORBIDDEN;
        let is_why = is_why && self.field.as_deref() == Some(SUPERSEDES);
        self.taken_by.filter(|_| is_why).map(OpId)
    }

    /// Blames a field.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }
}

impl From<Vec<Violation>> for Rejection {
    /// The first violation gives code, field and message; all are listed when there are several.
    fn from(violations: Vec<Violation>) -> Self {
        let first = violations.first().cloned().unwrap_or_else(|| {
            Violation::new("text", crate::code::MALFORMED, "the operation cannot be read")
        });
        let violations = if violations.len() > 1 { violations } else { Vec::new() };
        Self { violations, ..Self::new(first.code, first.message).field(first.field) }
    }
}

/// `GET /v1/sync/pull?cursor=…&limit=…`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PullResponse {
    /// [`crate::limits::PROTOCOL_VERSION`].
    pub protocol: u16,
    /// [`Change`]s in sequence order, exactly as the server encoded them.
    pub changes: Vec<Box<RawValue>>,
    /// Where the next page begins. Opaque.
    pub next_cursor: String,
    /// Sequence of the last change up to `next_cursor`.
    pub seq: u64,
    /// The tenant's newest sequence.
    pub head: u64,
    /// [`page_digest`] of `changes`.
    pub digest: Hash,
    /// Server clock, UTC ms.
    pub server_time_ms: Millis,
}

/// SHA-256 over the page's changes as encoded, each followed by a line feed.
#[must_use]
pub fn page_digest(changes: &[Box<RawValue>]) -> Hash {
    use sha2::{Digest, Sha256};
    let mut sha = Sha256::new();
    for change in changes {
        sha.update(change.get().as_bytes());
        sha.update(b"\n");
    }
    Hash(sha.finalize().into())
}

/// One entry of a tenant's log.
///
/// An entry of an unknown kind is read as [`ChangeKind::Other`]; one of a known kind whose data does
/// not fit is an error and never passed over, since what it says would be missing without a word.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// Its place in the tenant's order, from 1, without gaps.
    pub seq: u64,
    /// What changed.
    #[serde(flatten)]
    pub what: ChangeKind,
}

impl<'de> Deserialize<'de> for Change {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Entry {
            seq: u64,
            kind: String,
            data: Option<Value>,
            #[serde(flatten)]
            rest: Map<String, Value>,
        }
        #[derive(Deserialize)]
        struct Closed {
            op_id: OpId,
            by: OpId,
        }
        fn data<T: serde::de::DeserializeOwned, E: serde::de::Error>(
            data: Option<Value>,
        ) -> Result<T, E> {
            let data = data.ok_or_else(|| E::missing_field("data"))?;
            serde_json::from_value(data).map_err(E::custom)
        }
        let mut entry = Entry::deserialize(deserializer)?;
        let what = match entry.kind.as_str() {
            "event" => ChangeKind::Event(data(entry.data)?),
            "record" => ChangeKind::Record(data(entry.data)?),
            "photo" => ChangeKind::Photo(data(entry.data)?),
            "photo_stored" => ChangeKind::PhotoStored(data(entry.data)?),
            "location_correction" => ChangeKind::LocationCorrection(data(entry.data)?),
            "session" => ChangeKind::Session(data(entry.data)?),
            "closed" => {
                let Closed { op_id, by } = data(entry.data)?;
                ChangeKind::Closed { op_id, by }
            }
            _ => {
                entry.rest.insert("kind".into(), Value::String(entry.kind));
                entry.rest.extend(entry.data.map(|data| ("data".into(), data)));
                ChangeKind::Other(entry.rest)
            }
        };
        Ok(Self { seq: entry.seq, what })
    }
}

/// What changed.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", content = "data", rename_all = "snake_case")]
pub enum ChangeKind {
    /// An event was accepted or written.
    Event(Box<EventRecord>),
    /// A record changed.
    Record(Box<RecordChange>),
    /// Something was said of a photo on an event.
    Photo(Box<Stated<Attachment>>),
    /// The bytes of a photo, or of its preview, have come and are verified.
    PhotoStored(PhotoStored),
    /// Someone said where an event happened.
    LocationCorrection(Box<Stated<LocationCorrection>>),
    /// A capture session is over.
    Session(Box<Stated<Session>>),
    /// An operation's id was closed for ever before it arrived.
    Closed {
        /// The closed id.
        op_id: OpId,
        /// The amendment or discard that closed it.
        by: OpId,
    },
    /// A kind that a newer server writes.
    #[serde(untagged)]
    Other(Map<String, Value>),
}

/// A fact beside events, as the server keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
pub struct Stated<T> {
    /// The operation that states it; the row's own id where another SQL client wrote it.
    pub id: Uuid,
    /// What it states.
    pub said: T,
    /// The event that it is about, as resolved: an amendment may have taken the place of the one
    /// that was named. Absent for a session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_id: Option<EventId>,
    /// Server clock, UTC ms.
    pub received_at: Millis,
    /// The operation; absent for what another SQL client wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub op_id: Option<OpId>,
    /// The device that said it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_id: Option<DeviceId>,
    /// Who said it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// Keys of a newer peer, kept.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Bytes that are on the server, verified by their hash, for every device of the tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhotoStored {
    /// The photo: SHA-256 of the original's bytes.
    pub photo: Hash,
    /// SHA-256 of the preview's bytes, where it is the preview that came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview: Option<Hash>,
    /// What came, bytes.
    pub bytes: u64,
    /// What came.
    pub mime: PhotoMime,
}

/// `GET /v1/devices/me/custody`: what the server holds of a device's journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Custody {
    /// [`crate::limits::PROTOCOL_VERSION`].
    pub protocol: u16,
    /// Each life of the journal of which it holds something, oldest operation first.
    pub lives: Vec<LifeInCustody>,
    /// Photos that the device's operations name and whose originals are not here.
    pub missing_photos: MissingPhotos,
    /// Server clock, UTC ms.
    pub server_time_ms: Millis,
}

/// What the server holds of one life of a journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LifeInCustody {
    /// The life.
    pub incarnation: Incarnation,
    /// Every operation from 1 up to this one is here; 0 where the first is not. An operation that
    /// another one replaced before it was ever sent never comes, and ends this count.
    pub high_water: u64,
    /// Hash of the operation at [`LifeInCustody::high_water`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<Hash>,
    /// How many operations are here.
    pub count: u64,
    /// Sealed texts of them, bytes.
    pub bytes: u64,
    /// What is here, as runs of sequences from first to last, ascending; the first
    /// [`crate::limits::CUSTODY_RUNS_MAX`].
    pub held: Vec<(u64, u64)>,
}

/// Photos that have not come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingPhotos {
    /// How many.
    pub count: u64,
    /// Their originals together, as far as the facts say, bytes.
    pub bytes: u64,
    /// The first [`crate::limits::CUSTODY_PHOTOS_MAX`] of them.
    pub photos: Vec<Hash>,
}

/// Changes of one record's document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecordChange {
    /// The name of its collection. One that the device does not know is kept for a newer version.
    pub collection: String,
    /// The record.
    pub id: Uuid,
    /// The operation that these changes come from; absent for what was written on the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub op_id: Option<OpId>,
    /// Automerge changes, plain, in an order in which they apply; base64 on the wire.
    #[serde(default, with = "base64_list", skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Vec<u8>>,
    /// The changes are the whole document, begun again without its history; they take the place of
    /// the one that the device has.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub whole: bool,
    /// Keys of a newer peer, kept.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Bytes as standard base64 texts.
mod base64_list {
    use base64::{Engine, engine::general_purpose::STANDARD};
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(list: &[Vec<u8>], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(list.iter().map(|bytes| STANDARD.encode(bytes)))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<Vec<u8>>, D::Error> {
        let texts = Vec::<String>::deserialize(from)?;
        let read = |text: &String| STANDARD.decode(text).map_err(serde::de::Error::custom);
        texts.iter().map(read).collect()
    }
}

/// A line of `GET /v1/sync/events` (`event: poke`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Poke {
    /// The tenant's newest sequence.
    pub head: u64,
}

/// Request header that names the device, so that a revoked one is told on every way.
pub const DEVICE_HEADER: &str = "motomind-device";

/// Reply header of a created upload: a bearer token for that upload alone, good until it expires.
pub const UPLOAD_CAPABILITY_HEADER: &str = "motomind-upload-capability";

/// Headers that come with each piece of `GET /v1/sync/snapshot`.
pub mod snapshot_header {
    /// The cursor to pull from after installing the snapshot.
    pub const CURSOR: &str = "motomind-cursor";
    /// SHA-256 of the whole file, hexadecimal; also its strong `ETag`.
    pub const DIGEST: &str = "motomind-digest";
    /// Bytes of the whole file.
    pub const LENGTH: &str = "motomind-length";
}

/// An error reply: RFC 9457, `application/problem+json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Problem {
    /// `https://motomind.dev/problems/` and the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// The status's usual title.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// One of [`problem`], for programs.
    pub code: String,
    /// A sentence that says what to do.
    pub detail: String,
    /// The request, for the operator's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

/// Codes of [`Problem`].
pub mod problem {
    /// No token, or one that does not verify. 401.
    pub const UNAUTHENTICATED: &str = "unauthenticated";
    /// The token has expired; get a new one. 401.
    pub const TOKEN_EXPIRED: &str = "token_expired";
    /// The role does not allow this. 403.
    pub const FORBIDDEN: &str = "forbidden";
    /// The device was revoked; its captures stay on it and can be exported. 403.
    pub const DEVICE_REVOKED: &str = "device_revoked";
    /// The request as a whole cannot be read. 400.
    pub const MALFORMED: &str = "malformed";
    /// The cursor is not one of this tenant's; start again from the log's beginning. 400.
    pub const BAD_CURSOR: &str = "bad_cursor";
    /// The log before the cursor is gone or was replaced; start again from its beginning. 409.
    pub const RESNAPSHOT: &str = "resnapshot";
    /// The body is over a limit. 413.
    pub const TOO_LARGE: &str = "too_large";
    /// Too many requests; wait as `Retry-After` says. 429.
    pub const RATE_LIMITED: &str = "rate_limited";
    /// Nothing lives here. 404.
    pub const NOT_FOUND: &str = "not_found";
    /// The range lies outside the object. 416.
    pub const BAD_RANGE: &str = "bad_range";
    /// The upload stands at another offset; ask with HEAD and go on from there. 409.
    pub const OFFSET_CONFLICT: &str = "offset_conflict";
    /// The upload was not finished in time; create it again. 410.
    pub const UPLOAD_EXPIRED: &str = "upload_expired";
    /// The chunk is not what its `Upload-Checksum` says; send it again. 460.
    pub const CHECKSUM_MISMATCH: &str = "checksum_mismatch";
    /// The whole is not what its `sha256` says; it was thrown away, create it again. 422.
    pub const HASH_MISMATCH: &str = "hash_mismatch";
    /// The bytes are no photo of the format that was said. 422.
    pub const WRONG_MIME: &str = "wrong_mime";
    /// The tenant's room for photos is used up; ask the operator for more. 413.
    pub const QUOTA_EXCEEDED: &str = "quota_exceeded";
    /// This server speaks an older or newer protocol. 426; 412 for a version of tus.
    pub const PROTOCOL: &str = "protocol_mismatch";
    /// It took too long. 503.
    pub const TIMEOUT: &str = "timeout";
    /// The server or its database cannot answer now; try again. 503.
    pub const UNAVAILABLE: &str = "unavailable";
    /// A fault of the server. 500.
    pub const INTERNAL: &str = "internal";
}
