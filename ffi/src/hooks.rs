//! What the host tells and is told.

use std::io::Write as _;

use motomind_core::protocol::{Millis, VehicleId};
use motomind_core::{Changes as CoreChanges, RecordRef};
use uuid::Uuid;

use crate::types::Status;

/// A hook of the host failed. It is noted; nothing that was captured depends on it.
#[derive(Debug, thiserror::Error, uniffi::Error)]
pub enum HostError {
    /// It says why.
    #[error("{what}")]
    Failed {
        /// What went wrong.
        what: String,
    },
}

impl From<uniffi::UnexpectedUniFFICallbackError> for HostError {
    fn from(error: uniffi::UnexpectedUniFFICallbackError) -> Self {
        Self::Failed { what: error.reason }
    }
}

/// Gives tokens to sync with. Called on a thread of the library's own when there is none or the
/// server no longer takes it; it may take its time.
#[uniffi::export(with_foreign)]
pub trait TokenProvider: Send + Sync {
    /// A fresh token, or none while nobody is signed in.
    fn token(&self) -> Result<Option<String>, HostError>;
}

/// The host's clocks. Without one the system's are read. Called on threads of the library's own.
#[uniffi::export(with_foreign)]
pub trait DeviceClock: Send + Sync {
    /// What they show now.
    fn read(&self) -> Result<ClockReading, HostError>;
}

/// What a device's clocks show: evidence, never a reason to refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Record)]
pub struct ClockReading {
    /// Wall clock, UTC ms.
    pub wall_ms: Millis,
    /// A clock that nobody can set, ms since some beginning.
    #[uniffi(default)]
    pub monotonic_ms: Option<i64>,
    /// Names that beginning: a boot, or a process's start.
    #[uniffi(default)]
    pub boot_id: Option<Uuid>,
}

/// Hears of what changes, on a thread of the library's own and never while the device is locked:
/// it may call the device, and it may close it. What it throws is noted and changes nothing.
#[uniffi::export(with_foreign)]
pub trait Listener: Send + Sync {
    /// Something changed: queries that show it can be asked again. Several changes may come as one.
    fn on_change(&self, changes: Changes) -> Result<(), HostError>;
    /// How syncing stands now.
    fn on_status(&self, status: Status) -> Result<(), HostError>;
}

/// How far local times of a zone are from UTC; the host has the rules, such as `java.time` or
/// `zoneinfo`.
#[uniffi::export(with_foreign)]
pub trait ZoneRules: Send + Sync {
    /// Minutes ahead of UTC at a local time (`2026-03-29T02:30:00`): one offset; none in the hour
    /// that is skipped in spring; two, the earlier instant's first, in the one that comes twice.
    fn offsets_minutes(&self, local: String) -> Result<Vec<i32>, HostError>;
}

/// What has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, uniffi::Record)]
pub struct Changes {
    /// Which kinds of data: `events`, `pending`, `status`, `photos`, and the collections of records.
    pub tables: Vec<String>,
    /// Which vehicles' timelines.
    pub vehicles: Vec<VehicleId>,
    /// Which records.
    pub records: Vec<RecordRef>,
}

impl From<CoreChanges> for Changes {
    fn from(changes: CoreChanges) -> Self {
        Self {
            tables: changes.tables.into_iter().map(str::to_owned).collect(),
            vehicles: changes.vehicles.into_iter().collect(),
            records: changes.records.into_iter().collect(),
        }
    }
}

/// Notes what a hook of the host did wrong, where the system keeps what programs complain of.
pub(crate) fn note(hook: &str, error: &HostError) {
    let said = error.to_string();
    // A host may add its whole stack. Nobody may be listening; that is no reason to fail.
    let said = said.lines().next().unwrap_or_default();
    let _ = writeln!(std::io::stderr(), "motomind: {hook} failed: {said}");
}
