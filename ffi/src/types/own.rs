//! What has a shape of its own at this border.

use std::collections::HashMap;

use motomind_core::http::SyncEnd;
use motomind_core::photo::PhotoNote;
use motomind_core::protocol::wire::Rejection;
use motomind_core::{
    AddedPhoto, Moved, PhotoTarget as CoreTarget, RecordView, Salvaged, TimelineQuery,
};

use super::*;

/// Whose data a device holds.
#[uniffi::remote(Record)]
pub struct Identity {
    /// The tenant.
    pub tenant_id: TenantId,
    /// The person.
    pub user_id: UserId,
}

/// Who this device is.
#[derive(Clone, Debug, uniffi::Record)]
pub struct DeviceIdentity {
    /// Whose data it holds.
    pub identity: Identity,
    /// The installation.
    pub device_id: DeviceId,
    /// The present life of its journal.
    pub incarnation: Incarnation,
}

impl From<motomind_core::DeviceIdentity> for DeviceIdentity {
    fn from(who: motomind_core::DeviceIdentity) -> Self {
        let motomind_core::DeviceIdentity { identity, device_id, incarnation } = who;
        Self { identity, device_id, incarnation }
    }
}

/// Which part of the timeline to show. Newest first.
#[derive(Clone, Debug, uniffi::Record)]
pub struct Page {
    /// One vehicle, or all.
    #[uniffi(default)]
    pub vehicle: Option<VehicleId>,
    /// One event type, or all.
    #[uniffi(default)]
    pub kind: Option<String>,
    /// First calendar day, included.
    #[uniffi(default)]
    pub from_day: Option<Day>,
    /// Last calendar day, included.
    #[uniffi(default)]
    pub to_day: Option<Day>,
    /// Continue after this entry: `next` of the page before.
    #[uniffi(default)]
    pub before: Option<PageKey>,
    /// Entries per page, 1 to 500.
    #[uniffi(default = 50)]
    pub limit: u32,
    /// Also what was corrected or retracted, and the retractions and restorations.
    #[uniffi(default)]
    pub include_hidden: bool,
}

impl From<Page> for TimelineQuery {
    fn from(page: Page) -> Self {
        let Page { vehicle, kind, from_day, to_day, before, limit, include_hidden } = page;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Self { vehicle, kind, from: from_day, to: to_day, before, limit, include_hidden }
    }
}

/// A record with everything that this device knows of it.
#[derive(Clone, Debug, uniffi::Record)]
pub struct RecordShown {
    /// The record.
    pub record: RecordRef,
    /// Its fields that have a value, own edits included.
    pub fields: JsonFields,
    /// Its fields as agreed with the server; absent where it has none of it yet.
    pub agreed: Option<JsonFields>,
    /// When it was deleted, UTC ms.
    pub deleted_at: Option<Millis>,
    /// Where it stands.
    pub marks: RecordMarks,
    /// Fields with competing values.
    pub conflicting: Vec<Conflict>,
    /// Own operations on it that the server has refused, oldest first.
    pub refusals: Vec<Refusal>,
    /// Entries of the server's log on it that could not be read; what they say is not shown.
    pub aside: Vec<Aside>,
}

/// An operation that the server has refused.
#[derive(Clone, Debug, uniffi::Record)]
pub struct Refusal {
    /// The operation.
    pub op_id: OpId,
    /// Why.
    pub reason: Rejection,
}

impl From<RecordView> for RecordShown {
    fn from(view: RecordView) -> Self {
        let refusals = view.refusals.into_iter();
        Self {
            record: view.record,
            fields: view.fields,
            agreed: view.agreed,
            deleted_at: view.deleted_at,
            marks: view.marks,
            conflicting: view.conflicting,
            refusals: refusals.map(|(op_id, reason)| Refusal { op_id, reason }).collect(),
            aside: view.aside,
        }
    }
}

/// What became of a refused creation that is the same as an existing record.
#[derive(Clone, Debug, uniffi::Record)]
pub struct MovedRecord {
    /// Operations of the refused record that were taken back.
    pub closed: Vec<OpId>,
    /// What spoke of the refused record, and what speaks of the existing one instead.
    pub moved: HashMap<OpId, OpId>,
    /// The edit that adds to the existing record's texts.
    pub filled: Option<OpId>,
    /// What was typed for the refused record where the existing one says something else.
    pub typed: Vec<Typed>,
}

impl From<Moved> for MovedRecord {
    fn from(moved: Moved) -> Self {
        let Moved { closed, moved, filled, typed } = moved;
        Self { closed, moved: moved.into_iter().collect(), filled, typed }
    }
}

/// Where a photo belongs.
#[derive(Clone, Debug, uniffi::Enum)]
pub enum PhotoTarget {
    /// A session that goes on.
    Session {
        /// The session.
        id: Uuid,
        /// The step that it answers; none on the quick path.
        step: Option<String>,
    },
    /// An event that this device knows, whoever captured it.
    Event {
        /// The event.
        event: EventId,
    },
}

impl From<PhotoTarget> for CoreTarget {
    fn from(target: PhotoTarget) -> Self {
        match target {
            PhotoTarget::Session { id, step } => Self::Session { id, step },
            PhotoTarget::Event { event } => Self::Event(event),
        }
    }
}

/// A photo that is durable on this device.
#[derive(Clone, Debug, uniffi::Record)]
pub struct PhotoAdded {
    /// What it says about itself; its `sha256` names it.
    pub facts: PhotoFacts,
    /// What a person should know of it.
    pub flags: FlagsShown,
    /// What could not be read of it.
    pub notes: Vec<PhotoNote>,
    /// Its small picture.
    pub preview: Preview,
    /// The same bytes were here already.
    pub duplicate: bool,
    /// The operation that puts it on the event, where it was added to one.
    pub op_id: Option<OpId>,
}

/// What came of a photo's small picture.
#[derive(Clone, Debug, uniffi::Enum)]
pub enum Preview {
    /// It is to be made later.
    Later,
    /// It is here.
    Made {
        /// What names it.
        sha256: Hash,
    },
    /// There is none.
    Absent {
        /// Why.
        why: PreviewAbsence,
    },
}

impl From<Option<Result<Hash, PreviewAbsence>>> for Preview {
    fn from(made: Option<Result<Hash, PreviewAbsence>>) -> Self {
        match made {
            None => Self::Later,
            Some(Ok(sha256)) => Self::Made { sha256 },
            Some(Err(why)) => Self::Absent { why },
        }
    }
}

impl From<AddedPhoto> for PhotoAdded {
    fn from(added: AddedPhoto) -> Self {
        let AddedPhoto { facts, flags, notes, preview, duplicate, op_id } = added;
        Self { facts, flags: flags.into(), notes, preview: preview.into(), duplicate, op_id }
    }
}

/// Bytes of a picture.
#[derive(Clone, Debug, uniffi::Record)]
pub struct PhotoBytes {
    /// From the offset that was asked for.
    pub bytes: Vec<u8>,
    /// Of the whole, bytes.
    pub total: u64,
    /// What kind of picture it is.
    pub mime: PhotoMime,
}

impl From<motomind_core::PhotoPiece> for PhotoBytes {
    fn from(piece: motomind_core::PhotoPiece) -> Self {
        let motomind_core::PhotoPiece { bytes, total, mime } = piece;
        Self { bytes, total, mime }
    }
}

/// Why syncing has stopped until someone acts.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum Blocked {
    /// There is no token, or the server no longer takes it: give a new one.
    NeedsToken,
    /// The token given is for someone else.
    WrongIdentity,
    /// The manager has revoked this device: export what is unsent.
    DeviceRevoked,
    /// The role does not allow syncing.
    Forbidden,
    /// The server speaks another protocol version: update the app.
    NeedsUpdate,
}

impl From<&motomind_core::Blocked> for Blocked {
    fn from(blocked: &motomind_core::Blocked) -> Self {
        use motomind_core::Blocked as Core;
        match blocked {
            Core::NeedsToken => Self::NeedsToken,
            Core::WrongIdentity(_) => Self::WrongIdentity,
            Core::Revoked => Self::DeviceRevoked,
            Core::Forbidden(_) => Self::Forbidden,
            Core::NeedsUpdate(_) => Self::NeedsUpdate,
        }
    }
}

/// How a round of syncing ended.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum RoundEnd {
    /// Everything that could go has gone, everything there was has come.
    CaughtUp,
    /// The server cannot be reached or used now.
    Later {
        /// When it makes sense to try again, device clock, UTC ms.
        at: Millis,
    },
    /// Syncing has stopped until someone acts.
    Stopped {
        /// Why.
        why: Blocked,
    },
}

impl From<SyncEnd> for RoundEnd {
    fn from(end: SyncEnd) -> Self {
        match end {
            SyncEnd::CaughtUp => Self::CaughtUp,
            SyncEnd::Later(at) => Self::Later { at },
            SyncEnd::Blocked(why) => Self::Stopped { why: (&why).into() },
        }
    }
}

/// Syncing at a glance.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct Status {
    /// Captures that the server does not have: queued, sending and waiting.
    pub unsent: u64,
    /// Captures that it has refused; a person must act.
    pub refused: u64,
    /// Sealed bytes of both.
    pub bytes: u64,
    /// Age of the oldest of both by the device clock, ms.
    pub oldest_age_ms: Option<Millis>,
    /// Pictures that the server does not have.
    pub pictures_unsent: u64,
    /// What of them it has not acknowledged, bytes.
    pub picture_bytes: u64,
    /// Pictures that it has refused; see `uploads`.
    pub pictures_refused: u64,
    /// Why syncing has stopped, if it has.
    pub blocked: Option<Blocked>,
    /// What went wrong last, until something succeeds.
    pub last_problem: Option<String>,
    /// When the server last answered, device clock, UTC ms.
    pub last_success_at: Option<Millis>,
    /// Requests are in flight.
    pub in_flight: bool,
    /// How far this device has read the server's log.
    pub seq: u64,
    /// The server's newest sequence when last heard of.
    pub head: u64,
    /// Server clock minus device clock, ms.
    pub clock_offset_ms: Option<i64>,
}

impl Status {
    pub(crate) fn new(
        status: motomind_core::Status,
        blocked: Option<&motomind_core::Blocked>,
    ) -> Self {
        Self {
            unsent: status.unsent,
            refused: status.refused,
            bytes: status.bytes,
            oldest_age_ms: status.oldest_age_ms,
            pictures_unsent: status.pictures_unsent,
            picture_bytes: status.picture_bytes,
            pictures_refused: status.pictures_refused,
            blocked: blocked.map(Blocked::from),
            last_problem: status.last_problem,
            last_success_at: status.last_success_at,
            in_flight: status.in_flight,
            seq: status.seq,
            head: status.head,
            clock_offset_ms: status.clock_offset_ms,
        }
    }
}

/// One request that the host's system can make by itself, hours later, without a token.
#[derive(Clone, Debug, uniffi::Record)]
pub struct UploadPlan {
    /// What goes up: what `write_upload` writes to a file.
    pub sha256: Hash,
    /// The photo's original.
    pub photo: Hash,
    /// Which picture of it.
    pub variant: Variant,
    /// The HTTP method, `PATCH`.
    pub method: String,
    /// Where to; a path below the server's address where the device has been given none.
    pub url: String,
    /// With the upload's own capability; names in lower case.
    pub headers: HashMap<String, String>,
    /// Where in the picture the body begins, bytes.
    pub offset: u64,
    /// Of the whole, bytes.
    pub bytes: u64,
    /// When the capability ends, UTC ms of the server's clock.
    pub expires_at: Option<Millis>,
}

impl UploadPlan {
    pub(crate) fn new(plan: motomind_core::UploadPlan, server: &str) -> Self {
        let headers = plan.headers.into_iter().map(|(name, value)| (name.to_owned(), value));
        Self {
            sha256: plan.sha256,
            photo: plan.photo,
            variant: plan.variant,
            method: plan.method.to_owned(),
            url: format!("{server}{}", plan.path),
            headers: headers.collect(),
            offset: plan.offset,
            bytes: plan.bytes,
            expires_at: plan.expires_at,
        }
    }
}

/// What was recovered of a damaged journal.
#[derive(Clone, Debug, uniffi::Record)]
pub struct SalvageReport {
    /// Operations read whole, their hashes right.
    pub recovered: u64,
    /// Operations whose bytes do not have their hash; left behind.
    pub altered: Vec<OpId>,
    /// Positions that could not be read at all.
    pub unreadable: u64,
    /// Photos and previews whose bytes are whole.
    pub pictures: u64,
    /// Those whose bytes are not what their hash says, or cannot be read; left behind.
    pub pictures_damaged: Vec<Hash>,
}

impl From<Salvaged> for SalvageReport {
    fn from(salvaged: Salvaged) -> Self {
        let Salvaged { recovered, altered, unreadable, pictures, pictures_damaged } = salvaged;
        Self { recovered, altered, unreadable, pictures, pictures_damaged }
    }
}

/// What an import did.
#[derive(Clone, Debug, uniffi::Record)]
pub struct Imported {
    /// Rows that became captures.
    pub new: u64,
    /// Rows that had been imported before.
    pub known: u64,
    /// Rows that the device did not take.
    pub failed: u64,
    /// Lines that could not be read.
    pub refused_lines: Vec<u64>,
    /// Lines that have nothing to import.
    pub skipped_lines: Vec<u64>,
}
