//! What is on the screen.

use motomind_core::protocol::{EventId, EventRecord, Garage, OpId, VehicleId};
use motomind_core::{Family, PendingItem, TimelineEntry, TimelinePage, VehicleEntry};

use super::MotoMind;
use crate::failure::MotoMindError;
use crate::types::Page;

#[uniffi::export]
impl MotoMind {
    /// A page of the timeline, newest first.
    ///
    /// # Errors
    /// The storage's.
    pub async fn timeline(&self, page: Page) -> Result<TimelinePage, MotoMindError> {
        self.work(move |device, _| Ok(device.timeline(&page.into())?)).await
    }

    /// The whole story of an event: who stated, corrected, retracted and restored it and when.
    ///
    /// # Errors
    /// The storage's.
    pub async fn family(&self, event: EventId) -> Result<Option<Family>, MotoMindError> {
        self.work(move |device, _| Ok(device.family(event)?)).await
    }

    /// Live vehicles by name, with mileage and what is unsent.
    ///
    /// # Errors
    /// The storage's.
    pub async fn vehicles(&self) -> Result<Vec<VehicleEntry>, MotoMindError> {
        self.work(|device, _| Ok(device.vehicles()?)).await
    }

    /// One vehicle, deleted or not.
    ///
    /// # Errors
    /// The storage's.
    pub async fn vehicle(&self, id: VehicleId) -> Result<Option<VehicleEntry>, MotoMindError> {
        self.work(move |device, _| Ok(device.vehicle(id)?)).await
    }

    /// Live garages by name.
    ///
    /// # Errors
    /// The storage's.
    pub async fn garages(&self) -> Result<Vec<Garage>, MotoMindError> {
        self.work(|device, _| Ok(device.garages()?)).await
    }

    /// Everything that the server does not have or has refused, in the order of capture.
    ///
    /// # Errors
    /// The storage's.
    pub async fn pending(&self) -> Result<Vec<PendingItem>, MotoMindError> {
        self.work(|device, clock| Ok(device.pending(clock.wall_ms)?)).await
    }

    /// One operation, whatever its state, as long as the journal holds it.
    ///
    /// # Errors
    /// The storage's.
    pub async fn operation(&self, op_id: OpId) -> Result<Option<PendingItem>, MotoMindError> {
        self.work(move |device, clock| Ok(device.operation(op_id, clock.wall_ms)?)).await
    }
}

/// The whole record of an entry of the timeline.
///
/// # Errors
/// `Damaged` where its JSON cannot be read.
#[uniffi::export]
pub fn record_of(entry: TimelineEntry) -> Result<EventRecord, MotoMindError> {
    Ok(entry.record()?)
}
