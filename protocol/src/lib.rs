//! What MotoMind devices and servers agree on. Pure: no IO, no clock, no SQL, no HTTP, no async.
//!
//! A technician captures an [`Event`]. The device wraps it in an [`Operation`], seals that into a
//! text whose hash the next operation names, and keeps it until the server has answered with an
//! [`wire::Outcome`]. The server judges with the same functions as the device: [`validate`],
//! [`odometer::judge`], [`effective::effective`].
//!
//! ```
//! use motomind_protocol::*;
//! use uuid::Uuid;
//!
//! // Device A seals a reading taken in a basement …
//! let id = OpId(uuid_v7(1_700_000_000_000, [7; 10]));
//! let vehicle = VehicleId(Uuid::from_u128(1));
//! let day = chrono::NaiveDate::from_ymd_opt(2023, 11, 14).unwrap();
//! let mut event =
//!     Event::new(id.into(), vehicle, "odometer", 1_700_000_000_000, day, "America/Denver");
//! event.miles = Some(54_120);
//! assert_eq!(validate(&event), Ok(()));
//! let operation = Operation {
//!     op_id: id,
//!     tenant_id: TenantId(Uuid::from_u128(2)),
//!     user_id: UserId(Uuid::from_u128(3)),
//!     device_id: DeviceId(Uuid::from_u128(4)),
//!     incarnation: Incarnation(Uuid::from_u128(5)),
//!     device_seq: 1,
//!     lane: vehicle.0,
//!     schema: limits::SCHEMA_VERSION,
//!     supersedes: Vec::new(),
//!     needs: Vec::new(),
//!     clock: ClockEvidence { wall_ms: 1_700_000_000_000, ..Default::default() },
//!     prev_hash: Hash::ZERO,
//!     body: Body::Event(Box::new(event)),
//! };
//! let sealed = operation.seal().unwrap();
//!
//! // … and whoever receives it reads the very same bytes, or notices.
//! assert_eq!(sealed.open().unwrap(), operation);
//! let mut tampered = sealed.clone();
//! tampered.text = tampered.text.replace("54120", "24120");
//! assert_eq!(tampered.open().unwrap_err()[0].code, code::HASH_MISMATCH);
//! ```
#![forbid(unsafe_code)]

pub mod effective;
mod event;
mod fix;
pub mod flow;
mod id;
mod identity;
pub mod limits;
pub mod odometer;
mod operation;
pub mod photo;
pub mod place;
pub mod position;
mod record;
pub mod records;
pub mod registry;
mod validate;
mod violation;
pub mod wire;

pub use event::Event;
pub use fix::{Fix, FixAbsence, FixQuality, FixSource};
pub use id::{
    DeviceId, EventId, GarageId, Incarnation, OpId, TenantId, UserId, VehicleId, uuid_v7,
};
pub use identity::{AppMetadata, BadToken, Claims, Identity, Role};
pub use odometer::{Neighbour, Reading};
pub use operation::{
    BadHash, Body, ChainBreak, ClockEvidence, Hash, OpState, Operation, SealError, SealedOperation,
    verify_chain,
};
pub use photo::{Attachment, PhotoFacts, PhotoMime};
pub use place::{LocationCorrection, Place};
pub use record::{Day, EventRecord, Flag, Garage, Vehicle};
pub use validate::{Surroundings, is_clock_ahead, probable_duplicate, validate, warnings};
pub use violation::{Violation, Warning, code};

/// An instant or a span in milliseconds; an instant counts from 1970-01-01T00:00:00Z.
pub type Millis = i64;
