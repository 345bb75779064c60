//! Operations: the unit of sync, and the evidence chain that they form.
//!
//! An operation is *sealed* once, at capture, into a JSON text. The text is what is stored, sent
//! and kept; its SHA-256 is the operation's hash, and it names the hash of the operation before
//! it. Nobody serialises it again, so unknown keys survive and a flipped byte anywhere is found.
//!
//! ```text
//!   hash(n) = SHA-256(text(n)),   text(n) contains prev_hash = hash(n − 1)
//! ```

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::flow::Session;
use crate::records::{Action, RecordIntent};
use crate::{
    Attachment, DeviceId, Event, EventId, Incarnation, LocationCorrection, Millis, OpId, TenantId,
    UserId, VehicleId, Violation, code, limits,
};

/// A SHA-256, as 64 lower-case hexadecimal digits on the wire.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "types", derive(ts_rs::TS), ts(type = "string"))]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// What the first operation of a device names as its predecessor.
    pub const ZERO: Self = Self([0; 32]);

    /// The hash of some bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is not 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a hash is 64 hexadecimal digits")]
pub struct BadHash;

impl FromStr for Hash {
    type Err = BadHash;
    fn from_str(text: &str) -> Result<Self, BadHash> {
        let digits = text.as_bytes();
        if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(BadHash);
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| BadHash)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| BadHash)?;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for Hash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// What a device knew of time at capture. Evidence, never a reason to refuse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockEvidence {
    /// Wall clock, UTC ms.
    pub wall_ms: Millis,
    /// Monotonic clock since boot, ms, where the host has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monotonic_ms: Option<i64>,
    /// Identity of the boot that the monotonic clock counts from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_id: Option<Uuid>,
    /// Server time minus device time when last seen, ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_offset_ms: Option<i64>,
    /// How long ago that was, ms of the wall clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset_age_ms: Option<i64>,
}

/// An operation before it is sealed, and after its text has been read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Operation {
    /// UUIDv7, made by the device or by its caller.
    pub op_id: OpId,
    /// Whose data it belongs to.
    pub tenant_id: TenantId,
    /// Who captured it.
    pub user_id: UserId,
    /// The installation that captured it.
    pub device_id: DeviceId,
    /// The life of that installation's journal.
    pub incarnation: Incarnation,
    /// Position in that life, from 1, without gaps.
    pub device_seq: u64,
    /// The vehicle or record that it concerns. Within a lane, operations are sent in order.
    pub lane: Uuid,
    /// Version of this structure and of the body.
    pub schema: u16,
    /// The operations whose place this one takes, newest first: an amendment or a discard names
    /// the operation it replaces, and what that one was to replace in turn, as far as the device
    /// does not know them accepted. Any of them may have arrived.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub supersedes: Vec<OpId>,
    /// Creations of the records that this operation concerns or refers to, as far as the device
    /// does not know them accepted: it waits for them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<OpId>,
    /// What the device knew of time.
    pub clock: ClockEvidence,
    /// Hash of the operation before it on this device; across incarnations, of the old head.
    pub prev_hash: Hash,
    /// What happened.
    pub body: Body,
}

/// What an operation says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Body {
    /// A captured event, a correction, a retraction or a restoration.
    Event(Box<Event>),
    /// A change of a record.
    Record(Box<RecordIntent>),
    /// What is said of a photo on an event.
    Photo(Box<Attachment>),
    /// A person says where an event happened.
    LocationCorrection(Box<LocationCorrection>),
    /// A capture session that is over.
    Session(Box<Session>),
    /// A kind that a newer peer writes; kept and refused as `unsupported`.
    #[serde(untagged)]
    Other(Value),
}

/// An operation as it is stored and sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedOperation {
    /// The operation's id, repeated outside for routing; the text decides.
    pub op_id: OpId,
    /// SHA-256 of `text`.
    pub hash: Hash,
    /// The sealed JSON.
    pub text: String,
}

/// An operation that could not be sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The sealed text is over [`limits::OPERATION_BYTES_MAX`].
    #[error("the capture takes {bytes} bytes; at most {max} are allowed: shorten its texts or lists", max = limits::OPERATION_BYTES_MAX)]
    TooLarge {
        /// Size of the sealed text.
        bytes: usize,
    },
    /// It takes the place of too many operations, or waits for too many.
    #[error(
        "{field} names at most {max} operations; take back what was amended so often, and begin anew"
    )]
    TooMany {
        /// `supersedes` or `needs`.
        field: &'static str,
        /// How many are allowed.
        max: usize,
    },
    /// The operation holds something JSON cannot say.
    #[error("the capture cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

impl Operation {
    /// Seals the operation: from here on its bytes never change.
    ///
    /// # Errors
    /// [`SealError::TooLarge`] over [`limits::OPERATION_BYTES_MAX`]; [`SealError::TooMany`] over
    /// [`limits::SUPERSEDES_MAX`] (one less unless it takes back, so that whatever was sealed can
    /// be taken back) or [`limits::NEEDS_MAX`].
    pub fn seal(&self) -> Result<SealedOperation, SealError> {
        let most = limits::SUPERSEDES_MAX - usize::from(!self.takes_back());
        if self.supersedes.len() > most {
            return Err(SealError::TooMany { field: "supersedes", max: most });
        }
        if self.needs.len() > limits::NEEDS_MAX {
            return Err(SealError::TooMany { field: "needs", max: limits::NEEDS_MAX });
        }
        let text = serde_json::to_string(self)?;
        if text.len() > limits::OPERATION_BYTES_MAX {
            return Err(SealError::TooLarge { bytes: text.len() });
        }
        let hash = Hash::of(text.as_bytes());
        Ok(SealedOperation { op_id: self.op_id, hash, text })
    }

    /// Whether it states nothing, if nothing that it takes the place of was accepted.
    #[must_use]
    pub fn takes_back(&self) -> bool {
        match &self.body {
            Body::Event(event) => event.is_retraction(),
            Body::Record(intent) => intent.step.action == Action::Nothing,
            Body::Photo(said) => said.removed,
            Body::LocationCorrection(said) => said.withdrawn,
            Body::Session(_) | Body::Other(_) => false,
        }
    }

    /// The event, where the body is one.
    #[must_use]
    pub fn event(&self) -> Option<&Event> {
        match &self.body {
            Body::Event(event) => Some(event),
            _ => None,
        }
    }

    /// The intent, where the body is a change of a record.
    #[must_use]
    pub fn intent(&self) -> Option<&RecordIntent> {
        match &self.body {
            Body::Record(intent) => Some(intent),
            _ => None,
        }
    }

    /// The vehicle whose timeline it is about; none for a record.
    #[must_use]
    pub fn vehicle(&self) -> Option<VehicleId> {
        match &self.body {
            Body::Event(event) => Some(event.vehicle_id),
            Body::Photo(said) => Some(said.vehicle_id),
            Body::LocationCorrection(said) => Some(said.vehicle_id),
            Body::Session(session) => Some(session.vehicle_id),
            Body::Record(_) | Body::Other(_) => None,
        }
    }

    /// The event that must be known before this operation can be judged. Superseding is not
    /// depending: what is superseded and unknown is closed for ever.
    #[must_use]
    pub fn parent(&self) -> Option<EventId> {
        let named = match &self.body {
            Body::Event(event) => event.corrects?,
            Body::Photo(said) => said.event_id,
            Body::LocationCorrection(said) => said.event_id,
            Body::Record(_) | Body::Session(_) | Body::Other(_) => return None,
        };
        (!self.supersedes.contains(&OpId::from(named))).then_some(named)
    }
}

impl SealedOperation {
    /// Reads the sealed text after checking its size and hash.
    ///
    /// # Errors
    /// [`Violation`]s with code `too_large`, `hash_mismatch`, `malformed`, `id_mismatch`,
    /// `too_long` for [`limits::SUPERSEDES_MAX`] and [`limits::NEEDS_MAX`], or those of an event
    /// that cannot be read.
    pub fn open(&self) -> Result<Operation, Vec<Violation>> {
        let one = |field: &str, code: &str, message: String| {
            Err(vec![Violation::new(field, code, message)])
        };
        if self.text.len() > limits::OPERATION_BYTES_MAX {
            let message = format!("at most {} bytes", limits::OPERATION_BYTES_MAX);
            return one("text", code::TOO_LARGE, message);
        }
        if Hash::of(self.text.as_bytes()) != self.hash {
            return one("hash", code::HASH_MISMATCH, "the text does not have this hash".into());
        }
        let operation: Operation = match serde_json::from_str(&self.text) {
            Ok(operation) => operation,
            Err(error) => return one("text", code::MALFORMED, error.to_string()),
        };
        if operation.op_id != self.op_id {
            return one("op_id", code::ID_MISMATCH, "op_id differs from the sealed one".into());
        }
        if operation.device_seq == 0 {
            return one("device_seq", code::OUT_OF_RANGE, "device_seq counts from 1".into());
        }
        for (field, named, most) in [
            ("supersedes", &operation.supersedes, limits::SUPERSEDES_MAX),
            ("needs", &operation.needs, limits::NEEDS_MAX),
        ] {
            if named.len() > most {
                return one(field, code::TOO_LONG, format!("at most {most} operations"));
            }
        }
        let lane = operation.vehicle().map(|vehicle| vehicle.0);
        match operation.body {
            Body::Other(ref value) => unreadable(value).map_or(Ok(operation), Err),
            Body::Event(ref event) if event.id != EventId::from(operation.op_id) => {
                one("id", code::ID_MISMATCH, "an event's id is its operation's id".into())
            }
            Body::Record(ref intent) if intent.record_id != operation.lane => {
                one("lane", code::ID_MISMATCH, "the lane of a record's change is the record".into())
            }
            _ if lane.is_some_and(|lane| lane != operation.lane) => {
                one("lane", code::ID_MISMATCH, "the lane is the vehicle that it is about".into())
            }
            _ => Ok(operation),
        }
    }
}

/// What is wrong with a body of a kind that this build knows, or of several. A kind that only a
/// newer peer knows is read as it is.
fn unreadable(body: &Value) -> Option<Vec<Violation>> {
    let kinds = ["event", "record", "photo", "location_correction", "session"];
    let kind = kinds.into_iter().find(|kind| body.get(*kind).is_some())?;
    let given = &body[kind];
    let malformed = |what: Option<serde_json::Error>| {
        what.map(|error| vec![Violation::new(kind, code::MALFORMED, error.to_string())])
    };
    let violations = match kind {
        "event" => Event::from_value(given).err(),
        "record" => malformed(RecordIntent::deserialize(given).err()),
        "photo" => malformed(Attachment::deserialize(given).err()),
        "location_correction" => malformed(LocationCorrection::deserialize(given).err()),
        _ => malformed(Session::deserialize(given).err()),
    };
    Some(violations.unwrap_or_else(|| {
        vec![Violation::new("body", code::MALFORMED, "a body is of one kind and has one key")]
    }))
}

/// Where a device's chain breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChainBreak {
    /// The text of this operation does not have its stored hash.
    Altered(OpId),
    /// This operation does not name the one before it.
    Unlinked(OpId),
}

/// Checks a chain in the order it was captured, from the hash before its first operation.
///
/// # Errors
/// The first [`ChainBreak`].
pub fn verify_chain<'a>(
    mut head: Hash,
    chain: impl IntoIterator<Item = &'a SealedOperation>,
) -> Result<Hash, ChainBreak> {
    #[derive(Deserialize)]
    struct Link {
        prev_hash: Hash,
    }
    for sealed in chain {
        if Hash::of(sealed.text.as_bytes()) != sealed.hash {
            return Err(ChainBreak::Altered(sealed.op_id));
        }
        let link: Result<Link, _> = serde_json::from_str(&sealed.text);
        if link.map(|link| link.prev_hash).ok() != Some(head) {
            return Err(ChainBreak::Unlinked(sealed.op_id));
        }
        head = sealed.hash;
    }
    Ok(head)
}

/// Where an operation stands, as a person sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum OpState {
    /// Durable here, not sent yet.
    Queued,
    /// Sent at least once, no outcome yet: it may have arrived.
    Sending,
    /// The server has it.
    Accepted,
    /// The server refused it; it stays here with the reason until amended or discarded.
    Rejected,
    /// It waits for another operation that was refused or has not arrived.
    Waiting,
    /// An amendment or discard took its place.
    Superseded,
}

impl OpState {
    /// The stored and transmitted name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sending => "sending",
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
            Self::Waiting => "waiting",
            Self::Superseded => "superseded",
        }
    }
}

impl FromStr for OpState {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        [
            Self::Queued,
            Self::Sending,
            Self::Accepted,
            Self::Rejected,
            Self::Waiting,
            Self::Superseded,
        ]
        .into_iter()
        .find(|state| state.as_str() == text)
        .ok_or(())
    }
}
