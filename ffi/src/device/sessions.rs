//! Sessions in which photos are taken, step by step.

use motomind_core::protocol::Hash;
use motomind_core::protocol::VehicleId;
use motomind_core::protocol::flow::{Left, Path, Session};
use motomind_core::{Capture, Captured};
use uuid::Uuid;

use super::MotoMind;
use crate::failure::MotoMindError;

#[uniffi::export]
impl MotoMind {
    /// Begins a session of a flow, such as `fuel`.
    ///
    /// # Errors
    /// `Invalid`, `DiskFull`, …
    pub async fn begin_session(
        &self,
        vehicle: VehicleId,
        flow: String,
        path: Path,
    ) -> Result<Session, MotoMindError> {
        self.work(move |device, clock| Ok(device.begin_session(vehicle, flow, path, clock)?)).await
    }

    /// The person goes to a step.
    ///
    /// # Errors
    /// `SessionOver`, `Unknown`, `Invalid`.
    pub async fn session_step(
        &self,
        session: Uuid,
        step: String,
    ) -> Result<Session, MotoMindError> {
        self.work(move |device, clock| Ok(device.session_step(session, step, clock)?)).await
    }

    /// The person does something else in a session, such as typing: it goes on.
    ///
    /// # Errors
    /// As `session_step`.
    pub async fn session_activity(&self, session: Uuid) -> Result<Session, MotoMindError> {
        self.work(move |device, clock| Ok(device.session_activity(session, clock)?)).await
    }

    /// Throws a photo out of a session.
    ///
    /// # Errors
    /// As `session_step`.
    pub async fn remove_session_photo(
        &self,
        session: Uuid,
        photo: Hash,
    ) -> Result<Session, MotoMindError> {
        self.work(move |device, clock| Ok(device.remove_session_photo(session, photo, clock)?))
            .await
    }

    /// The person leaves a session. Its photos stay.
    ///
    /// # Errors
    /// As `session_step`.
    pub async fn leave_session(
        &self,
        session: Uuid,
        reason: Left,
    ) -> Result<Session, MotoMindError> {
        self.work(move |device, clock| Ok(device.leave_session(session, reason, clock)?)).await
    }

    /// Goes on with a session after a crash, or with the photos of one that was left.
    ///
    /// # Errors
    /// `Unknown`, `DiskFull`, …
    pub async fn resume_session(&self, session: Uuid) -> Result<Session, MotoMindError> {
        self.work(move |device, clock| Ok(device.resume_session(session, clock)?)).await
    }

    /// The sessions that a person can go on with, the last touched first.
    ///
    /// # Errors
    /// The storage's.
    pub async fn sessions(&self) -> Result<Vec<Session>, MotoMindError> {
        self.work(|device, clock| Ok(device.sessions(clock.wall_ms)?)).await
    }

    /// Throws away what is left of a session, with the photos that nothing else needs.
    ///
    /// # Errors
    /// `Unknown`, `DiskFull`, …
    pub async fn discard_session(&self, session: Uuid) -> Result<(), MotoMindError> {
        self.work(move |device, clock| Ok(device.discard_session_photos(session, clock)?)).await
    }

    /// Saves the event of a session with its photos. Durable together when this returns.
    ///
    /// # Errors
    /// As `capture`; `SessionOver`, `Unknown`, `StepsMissing`.
    pub async fn complete_session(
        &self,
        session: Uuid,
        capture: Capture,
    ) -> Result<Captured, MotoMindError> {
        self.work(move |device, clock| Ok(device.complete_session(session, capture, clock)?)).await
    }
}
