//! What crosses the border, declared once more so that it can: the core's own types, field by
//! field, under their own names. No conversion is written; where a declaration here differs from
//! the core's, this does not compile.

mod events;
mod own;
mod pending;
mod photos;
mod places;
mod records;
mod sessions;
mod transfers;
mod values;

pub use own::*;
pub(crate) use values::{JsonFields, JsonText};

use motomind_core::photo::{PhotoNote, PreviewAbsence};
use motomind_core::protocol::effective::Act;
use motomind_core::protocol::flow::{Left, Path, Session, SessionPhoto, Standing};
use motomind_core::protocol::photo::PhotoTime;
use motomind_core::protocol::photo::{CaptureFacts, CaptureMethod, Facing, Flash};
use motomind_core::protocol::place::{CorrectionMethod, Extraction, PlaceFrom};
use motomind_core::protocol::position::{Chosen, Confidence, Decision, Rule};
use motomind_core::protocol::records::{By, Competing, Conflict, RecordIntent, Revision};
use motomind_core::protocol::wire::Rejection;
use motomind_core::protocol::{
    Attachment, Day, DeviceId, Event, EventId, EventRecord, Fix, FixAbsence, FixSource, Flag,
    Garage, GarageId, Hash, Identity, Incarnation, LocationCorrection, Millis, Neighbour, OpId,
    OpState, PhotoFacts, PhotoMime, Place, TenantId, UserId, Vehicle, VehicleId, Violation,
    Warning,
};
use motomind_core::{
    Aside, Capture, Captured, CorrectionShown, CustodyReport, Edited, Family, FamilyMember,
    FlagsShown, LocationSaid, PageKey, PendingItem, PhotoEdit, PhotoMeta, PhotoShown, PlaceShown,
    RecordConflict, RecordEntry, RecordMarks, RecordRef, RecordState, Room, SpaceReport,
    TimelineEntry, TimelinePage, TransferPolicy, Typed, UploadItem, UploadState, Variant,
    VehicleEntry, When, Whereabouts,
};
use uuid::Uuid;
