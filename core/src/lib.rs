//! The device: capture facts about vehicles with no signal, keep them safe, sync them when there
//! is one.
//!
//! A [`Device`] is two SQLite files. The *journal* is evidence: every capture is sealed into it,
//! synced to disk, before [`Device::capture`] returns. The *mirror* is a cache: what the server
//! has told, with this device's own unsettled captures laid over it, always recomputable.
//!
//! The device does no IO but SQLite and knows no time or chance but what it is given: `now` is an
//! argument, entropy a seed at [`Device::open`], the network the values of [`Step`], [`Reply`] and
//! [`FailureKind`]. Same seed, same inputs, same bytes. The feature `http` adds the one async
//! driver that moves requests and replies.
//!
//! ```
//! use motomind_core::*;
//! use motomind_core::protocol::{Identity, TenantId, UserId, VehicleId};
//! use uuid::Uuid;
//!
//! # let dir = tempfile::tempdir().unwrap();
//! # let file = |name: &str| dir.path().join(name).to_str().unwrap().to_string();
//! let identity =
//!     Identity { tenant_id: TenantId(Uuid::from_u128(1)), user_id: UserId(Uuid::from_u128(2)) };
//! let now = 1_700_000_000_000;
//! let mut device = Device::open(OpenOptions {
//!     journal: file("journal.db"),
//!     mirror: file("mirror.db"),
//!     vfs: None,
//!     identity: Some(identity),
//!     key: None,
//!     seed: [7; 32], // from the system, in earnest
//!     now,
//! })
//! .unwrap();
//!
//! // In a basement, with no signal:
//! let day = chrono::NaiveDate::from_ymd_opt(2023, 11, 14).unwrap();
//! let truck = VehicleId(Uuid::from_u128(3));
//! let mut reading = Capture::new(truck, "odometer", now, day, "America/Denver");
//! reading.miles = Some(54_120);
//! let captured = device.capture(reading, now).unwrap();
//!
//! // It is on the screen, it is pending, and it will be sent as soon as there is a token.
//! let page = device.timeline(&TimelineQuery { vehicle: Some(truck), ..Default::default() });
//! assert_eq!(page.unwrap().entries[0].miles, Some(54_120));
//! assert_eq!(device.pending(now).unwrap()[0].op_id, captured.op_id);
//! assert_eq!(device.next_step(now).unwrap(), Step::Idle);
//! assert_eq!(device.blocked(), Some(&Blocked::NeedsToken));
//! ```
#![forbid(unsafe_code)]

mod act;
mod capture;
mod device;
mod error;
mod export;
mod fact;
#[cfg(feature = "http")]
pub mod http;
mod ids;
pub mod import;
mod journal;
pub mod mirror;
mod once;
mod open;
mod overlay;
mod pending;
pub mod photo;
mod photos;
mod places;
mod records;
mod salvage;
mod settings;
mod sync;
mod transaction;
mod transfer;

pub use motomind_protocol as protocol;

pub use device::{Changes, Device};
pub use error::{CaptureError, OpenError, StoreError};
pub use export::{
    EXPORT_VERSION, ExportError, ExportFooter, ExportHeader, ExportLine, ExportScope,
};
pub use fact::{Capture, Captured, Clock};
pub use mirror::{Aside, RecordEntry, RecordMarks, RecordRef, RecordState};
pub use mirror::{
    Family, FamilyMember, PageKey, TimelineEntry, TimelinePage, TimelineQuery, VehicleEntry,
};
pub use open::{DeviceIdentity, OpenOptions};
pub use pending::{PendingItem, Status};
pub use photos::{
    AddedPhoto, FlagsShown, HostPreview, NewPhoto, PhotoEdit, PhotoHandle, PhotoMeta, PhotoPiece,
    PhotoShown, PhotoTarget, Room, Whereabouts,
};
pub use places::{CorrectionShown, LocationSaid, PlaceShown};
pub use records::{Edited, Moved, RecordConflict, RecordView, Typed};
pub use salvage::{Salvaged, salvage};
pub use sync::{
    Blocked, CustodyReport, FailureKind, REPLY_HEADERS, Reply, Request, RequestId, Step,
};
pub use transfer::{
    SpaceReport, TransferPolicy, UploadItem, UploadPlan, UploadState, Variant, When,
};
