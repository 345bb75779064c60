//! Capturing, mending and taking back.

use motomind_core::protocol::{EventId, OpId};
use motomind_core::{Capture, Captured, LocationSaid, PlaceShown};

use super::MotoMind;
use crate::failure::MotoMindError;

#[uniffi::export]
impl MotoMind {
    /// Captures a fact. When this returns, it survives a crash and a power loss. Calling again with
    /// the same `op_id` and the same content is one capture.
    ///
    /// # Errors
    /// `Invalid`, `ConfirmJump`, `IdReused`, `DiskFull`, …: nothing was stored.
    pub async fn capture(&self, capture: Capture) -> Result<Captured, MotoMindError> {
        self.work(move |device, clock| Ok(device.capture(capture, clock)?)).await
    }

    /// Replaces a capture by a mended one: a correction where the server has accepted it, else in
    /// its place.
    ///
    /// # Errors
    /// As `capture`; `Unknown`, `TooLate`.
    pub async fn amend(&self, op_id: OpId, capture: Capture) -> Result<Captured, MotoMindError> {
        self.work(move |device, clock| Ok(device.amend(op_id, capture, clock)?)).await
    }

    /// Takes a capture or an edit back; the journal keeps it.
    ///
    /// # Errors
    /// As `amend`.
    pub async fn discard(&self, op_id: OpId, reason: String) -> Result<Captured, MotoMindError> {
        self.work(move |device, clock| Ok(device.discard(op_id, reason, clock)?)).await
    }

    /// Offers a refused or resting operation again as it is: what refused it may have changed.
    ///
    /// # Errors
    /// `Unknown`.
    pub async fn retry(&self, op_id: OpId) -> Result<(), MotoMindError> {
        self.work(move |device, clock| Ok(device.retry(op_id, clock.wall_ms)?)).await
    }

    /// Takes an event back, whoever captured it.
    ///
    /// # Errors
    /// As `capture`; `Unknown`.
    pub async fn retract(&self, event: EventId, reason: String) -> Result<Captured, MotoMindError> {
        self.work(move |device, clock| Ok(device.retract(event, reason, clock)?)).await
    }

    /// Brings back an event that was retracted, and with it what corrects it.
    ///
    /// # Errors
    /// As `retract`.
    pub async fn restore(&self, event: EventId, reason: String) -> Result<Captured, MotoMindError> {
        self.work(move |device, clock| Ok(device.restore(event, reason, clock)?)).await
    }

    /// Says where an event happened. What was measured stays, and so does what others said.
    ///
    /// # Errors
    /// `Unknown`, `Invalid`, `DiskFull`, …
    pub async fn correct_location(
        &self,
        event: EventId,
        said: LocationSaid,
    ) -> Result<Captured, MotoMindError> {
        self.work(move |device, clock| Ok(device.correct_location(event, said, clock)?)).await
    }

    /// Takes back what was said of where an event happened.
    ///
    /// # Errors
    /// As `correct_location`.
    pub async fn withdraw_location(
        &self,
        event: EventId,
        reason: String,
    ) -> Result<Captured, MotoMindError> {
        self.work(move |device, clock| Ok(device.withdraw_location(event, reason, clock)?)).await
    }

    /// What is known of where an event happened; none for one that this device does not know.
    ///
    /// # Errors
    /// The storage's.
    pub async fn place(&self, event: EventId) -> Result<Option<PlaceShown>, MotoMindError> {
        self.work(move |device, _| Ok(device.place(event)?)).await
    }
}
