//! What is stated beside events: photos, places and sessions, as a device says them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use motomind_protocol::flow::{Happening, Left, Path, Session};
use motomind_protocol::{
    Attachment, Body, Event, EventId, Hash, LocationCorrection, OpId, Operation, PhotoFacts,
    SealedOperation, VehicleId,
};
use serde_json::json;
use uuid::Uuid;

use crate::server::{NOON, Sender, new_id};

/// What a JPEG of these bytes says about itself.
#[must_use]
pub fn facts(bytes: &[u8]) -> PhotoFacts {
    serde_json::from_value(json!({
        "sha256": Hash::of(bytes), "size": bytes.len(), "mime": "image/jpeg", "width": 4000,
        "height": 3000, "orientation": 6, "taken_at": "2026-03-01T11:58:00.250-07:00",
        "position": {"latitude": 39.7, "longitude": -104.9, "source": "exif"},
        "make": "Maker", "model": "M\u{0}1",
        "capture": {"step_id": "odometer", "quality_score": 0, "quality_issues": ["glare"]},
        "later_key": {"kept": true}
    }))
    .unwrap()
}

/// A photo on an event, with what it says about itself.
#[must_use]
pub fn attachment(event: &Event, bytes: &[u8], sequence: i64) -> Attachment {
    let mut said = Attachment::new(event.vehicle_id, event.id, Hash::of(bytes), sequence);
    said.facts = Some(Box::new(facts(bytes)));
    said
}

/// A session on a vehicle, abandoned after a photo.
#[must_use]
pub fn abandoned(vehicle: Uuid, photo: Hash) -> Session {
    let session = Session::begin(new_id(), VehicleId(vehicle), "tire", Path::Guided, NOON);
    let session = session.after(Happening::Photo(photo, Some("fl_tread".into())), NOON + 5_000);
    session.unwrap().after(Happening::Left(Left::BackButton), NOON + 60_000).unwrap()
}

/// A session on a vehicle that became an event.
#[must_use]
pub fn completed(vehicle: Uuid, event: EventId) -> Session {
    let session = Session::begin(new_id(), VehicleId(vehicle), "fuel", Path::Quick, NOON);
    session.after(Happening::Completed(event), NOON + 90_000).unwrap()
}

impl Sender {
    /// An operation that states something, before it is sealed.
    #[must_use]
    pub fn stating(&mut self, said: impl Into<Statement>) -> Operation {
        let body = said.into().0;
        let lane = match &body {
            Body::Photo(said) => said.vehicle_id,
            Body::LocationCorrection(said) => said.vehicle_id,
            Body::Session(said) => said.vehicle_id,
            _ => unreachable!("a statement"),
        };
        self.operation_of(OpId(new_id()), lane.0, NOON, body)
    }

    /// A statement, sealed.
    #[must_use]
    pub fn state(&mut self, said: impl Into<Statement>) -> SealedOperation {
        let operation = self.stating(said);
        self.sealed(&operation)
    }

    /// A sealed statement that takes the place of others.
    #[must_use]
    pub fn restate(&mut self, said: impl Into<Statement>, instead: &[OpId]) -> SealedOperation {
        let mut operation = self.stating(said);
        operation.supersedes = instead.to_vec();
        self.sealed(&operation)
    }
}

/// A body that states something beside events.
#[derive(Clone, Debug)]
pub struct Statement(Body);

impl From<Attachment> for Statement {
    fn from(said: Attachment) -> Self {
        Self(Body::Photo(Box::new(said)))
    }
}

impl From<LocationCorrection> for Statement {
    fn from(said: LocationCorrection) -> Self {
        Self(Body::LocationCorrection(Box::new(said)))
    }
}

impl From<Session> for Statement {
    fn from(said: Session) -> Self {
        Self(Body::Session(Box::new(said)))
    }
}
