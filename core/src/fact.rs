//! What a caller hands in to be captured, and what comes back.

use chrono::NaiveDate;
use motomind_protocol::position::Decision;
use motomind_protocol::{
    Event, EventId, Fix, FixAbsence, Millis, OpId, UserId, VehicleId, Warning,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

/// A fact to capture: an event without the parts that the device adds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
pub struct Capture {
    /// Made by the caller to make the call idempotent; by the device when absent.
    #[serde(default)]
    pub op_id: Option<OpId>,
    /// The vehicle that the fact is about.
    pub vehicle_id: VehicleId,
    /// A name from the registry.
    #[serde(rename = "type")]
    pub kind: String,
    /// When it happened, UTC ms.
    pub occurred_at: Millis,
    /// The calendar day where it happened.
    pub date: NaiveDate,
    /// IANA name of the time zone where it happened.
    pub timezone: String,
    /// Odometer, miles.
    #[serde(default)]
    pub miles: Option<i64>,
    /// Money, minor units.
    #[serde(default)]
    pub total_minor: Option<i64>,
    /// ISO 4217.
    #[serde(default)]
    pub currency: Option<String>,
    /// Who sold or did it.
    #[serde(default)]
    pub vendor: Option<String>,
    /// The person's own words.
    #[serde(default)]
    pub notes: Option<String>,
    /// Keys of the type.
    #[serde(default)]
    pub payload: Map<String, Value>,
    /// Where it was captured.
    #[serde(default)]
    pub fix: Option<Fix>,
    /// Why there is no fix.
    #[serde(default)]
    pub fix_absent: Option<FixAbsence>,
    /// The position in the photo that is captured with it; the device reads it from the photo.
    #[serde(default)]
    pub photo_fix: Option<Fix>,
    /// Which of the two positions counts; the device decides where there are photos.
    #[serde(default)]
    pub position: Option<Decision>,
    /// The capture session.
    #[serde(default)]
    pub session_id: Option<Uuid>,
    /// The event that this one corrects, retracts or restores.
    #[serde(default)]
    pub corrects: Option<EventId>,
    /// Why it corrects, retracts or restores.
    #[serde(default)]
    pub reason: Option<String>,
    /// Keys of a newer peer.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The host's clocks at a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// Wall clock, UTC ms.
    pub wall_ms: Millis,
    /// Monotonic clock since boot, ms.
    pub monotonic_ms: Option<i64>,
    /// Identity of that boot.
    pub boot_id: Option<Uuid>,
}

impl From<Millis> for Clock {
    fn from(wall_ms: Millis) -> Self {
        Self { wall_ms, monotonic_ms: None, boot_id: None }
    }
}

/// A capture that is durable on this device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
pub struct Captured {
    /// Its operation, and equally its event.
    pub op_id: OpId,
    /// It had been captured before under this id; nothing was added.
    pub duplicate: bool,
    /// What is worth a second look. Never blocking.
    pub warnings: Vec<Warning>,
}

impl Capture {
    /// A capture with the required envelope and nothing else.
    #[must_use]
    pub fn new(
        vehicle_id: VehicleId,
        kind: impl Into<String>,
        occurred_at: Millis,
        date: NaiveDate,
        timezone: impl Into<String>,
    ) -> Self {
        let id = EventId(Uuid::nil());
        let mut capture: Self =
            Event::new(id, vehicle_id, kind, occurred_at, date, timezone).into();
        capture.op_id = None;
        capture
    }

    pub(crate) fn into_event(self, id: EventId, user: UserId) -> Event {
        let mut event = Event {
            id,
            vehicle_id: self.vehicle_id,
            kind: self.kind,
            occurred_at: self.occurred_at,
            date: self.date,
            timezone: self.timezone,
            miles: self.miles,
            total_minor: self.total_minor,
            currency: self.currency,
            vendor: self.vendor,
            notes: self.notes,
            payload: self.payload,
            fix: self.fix,
            fix_absent: self.fix_absent,
            photo_fix: self.photo_fix,
            position: self.position,
            session_id: self.session_id,
            corrects: self.corrects,
            reason: self.reason,
            extra: self.extra,
        };
        event.set_logged_by(user);
        event
    }
}

impl From<Event> for Capture {
    fn from(event: Event) -> Self {
        Self {
            op_id: Some(event.id.into()),
            vehicle_id: event.vehicle_id,
            kind: event.kind,
            occurred_at: event.occurred_at,
            date: event.date,
            timezone: event.timezone,
            miles: event.miles,
            total_minor: event.total_minor,
            currency: event.currency,
            vendor: event.vendor,
            notes: event.notes,
            payload: event.payload,
            fix: event.fix,
            fix_absent: event.fix_absent,
            photo_fix: event.photo_fix,
            position: event.position,
            session_id: event.session_id,
            corrects: event.corrects,
            reason: event.reason,
            extra: event.extra,
        }
    }
}
