//! Photos on their way up and down.
//!
//! An upload (`upload`) receives pieces (`receive`); each rests in the photo store (`store`) before
//! Postgres knows of it, on a disk in a file of the upload (`staged`) that the next request goes on
//! with (`staging`); an offset is told only from Postgres. Complete ones are verified by their hash
//! and published (`complete`), dead ones swept (`sweep`). No transaction is open while a body is
//! read or the store is spoken to.

pub(crate) mod capability;
pub(crate) mod checksum;
pub(crate) mod complete;
pub(crate) mod create;
pub(crate) mod metadata;
pub(crate) mod receive;
mod running;
mod staged;
mod staging;
pub(crate) mod store;
mod sweep;
pub(crate) mod upload;

use tokio::sync::Semaphore;

use crate::App;
use crate::error::Error;

pub(crate) use running::Running;
use staging::Staging;
pub(crate) use store::Store;
pub(crate) use sweep::sweep_regularly;
pub use sweep::{SweepReport, sweep};

/// Photos that are assembled at the same time: each holds up to two parts in memory.
const ASSEMBLIES_MAX: usize = 3;

/// What the server needs for photos.
#[derive(Debug)]
pub(crate) struct Photos {
    pub(crate) store: Store,
    pub(crate) running: Running,
    pub(crate) staging: Staging,
    assembling: Semaphore,
}

impl Photos {
    /// Opens the photo store at a directory or an `s3://` address.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub(crate) fn open(place: &str) -> Result<Self, String> {
        Ok(Self {
            store: Store::open(place)?,
            running: Running::default(),
            staging: Staging::default(),
            assembling: Semaphore::new(ASSEMBLIES_MAX),
        })
    }
}

/// The photo store of a server that has one.
pub(crate) fn of(app: &App) -> Result<&Photos, Error> {
    app.photos.as_ref().ok_or_else(|| {
        Error::Unavailable("no photo store is set: --photo-store (MOTOMIND_PHOTO_STORE)".into())
    })
}
