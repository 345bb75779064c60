//! Sessions in which photos are taken.

use super::*;

/// One person photographing for one event. Its photos survive a crash with it.
#[uniffi::remote(Record)]
pub struct Session {
    /// Made on the device.
    pub id: Uuid,
    /// The vehicle.
    pub vehicle_id: VehicleId,
    /// A name from `FLOWS`, or a newer peer's, kept.
    pub flow: String,
    /// One shot or step by step.
    pub path: Path,
    /// When it began, UTC ms.
    pub started_at: Millis,
    /// When the person last did something, UTC ms; never goes back.
    pub last_activity_at: Millis,
    /// The step that the person is at.
    pub current_step: Option<String>,
    /// Every photo, also those that a later one of the same step took the place of.
    pub photos: Vec<SessionPhoto>,
    /// The abandoned session whose photos it took along.
    pub resumes: Option<Uuid>,
    /// Where it stands.
    pub standing: Standing,
    /// Keys of a newer peer, kept.
    pub extra: JsonFields,
}

/// A photo of a session.
#[uniffi::remote(Record)]
pub struct SessionPhoto {
    /// SHA-256 of the original's bytes.
    pub photo: Hash,
    /// The step that it answers; absent on the quick path.
    pub step_id: Option<String>,
    /// When it joined the session, UTC ms.
    pub added_at: Millis,
    /// Keys of a newer peer, kept.
    pub extra: JsonFields,
}

/// How a person goes through a flow.
#[uniffi::remote(Enum)]
pub enum Path {
    /// One shot.
    Quick,
    /// Step by step.
    Guided,
    /// A path that a newer peer knows.
    Other(String),
}

/// Why a session was left.
#[uniffi::remote(Enum)]
pub enum Left {
    /// The person went back.
    BackButton,
    /// The window was closed.
    ClosedTab,
    /// Nothing happened for more than 30 minutes.
    Timeout,
    /// The person went elsewhere in the app.
    Navigation,
    /// A reason that a newer peer knows.
    Other(String),
}

/// Where a session stands.
#[uniffi::remote(Enum)]
pub enum Standing {
    /// The person is at it.
    Active,
    /// It became an event.
    Completed {
        /// The event.
        event_id: EventId,
        /// When, UTC ms.
        completed_at: Millis,
    },
    /// It became none.
    Abandoned {
        /// The step at which it was left; absent before the first.
        abandoned_at_step: Option<String>,
        /// Why.
        reason: Left,
        /// When, UTC ms; after a timeout, 30 minutes past the last activity.
        abandoned_at: Millis,
    },
}
