//! Vehicles and garages as screens read them. What travels of them is in [`crate::records`].

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{DeviceId, Event, EventId, GarageId, Millis, OpId, UserId, VehicleId};

impl Vehicle {
    /// A vehicle of its record's fields.
    ///
    /// # Errors
    /// As serde reports it, where a field does not have its form.
    pub fn from_fields(
        id: uuid::Uuid,
        fields: Map<String, Value>,
        deleted_at: Option<Millis>,
    ) -> Result<Self, serde_json::Error> {
        of_fields(id, fields, deleted_at)
    }
}

impl Garage {
    /// A garage of its record's fields.
    ///
    /// # Errors
    /// As serde reports it, where a field does not have its form.
    pub fn from_fields(
        id: uuid::Uuid,
        fields: Map<String, Value>,
        deleted_at: Option<Millis>,
    ) -> Result<Self, serde_json::Error> {
        of_fields(id, fields, deleted_at)
    }
}

fn of_fields<T: serde::de::DeserializeOwned>(
    id: uuid::Uuid,
    mut fields: Map<String, Value>,
    deleted_at: Option<Millis>,
) -> Result<T, serde_json::Error> {
    fields.insert("id".into(), Value::String(id.to_string()));
    fields.insert("deleted_at".into(), deleted_at.map_or(Value::Null, Value::from));
    serde_json::from_value(Value::Object(fields))
}

/// A vehicle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
pub struct Vehicle {
    /// Its id.
    pub id: VehicleId,
    /// Where it lives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub garage_id: Option<GarageId>,
    /// Model year, 1900 to next year + 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub year: Option<i32>,
    /// Manufacturer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub make: Option<String>,
    /// Model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Trim level.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trim: Option<String>,
    /// Colour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub color: Option<String>,
    /// 17 characters of A–Z and 0–9 without I, O, Q.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vin: Option<String>,
    /// Licence plate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license_plate: Option<String>,
    /// What its people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nickname: Option<String>,
    /// Combined fuel economy by the manufacturer, miles per US gallon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manufacturer_mpg: Option<i32>,
    /// Service interval by the manufacturer, miles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manufacturer_service_interval_miles: Option<i32>,
    /// Wins over the mileage computed from events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_mileage_override: Option<i64>,
    /// IANA time zone where it usually is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// When it was deleted, UTC ms; absent while it is live.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<Millis>,
    /// Columns of a newer peer, kept.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Vehicle {
    /// Its nickname, else year, make and model, else its plate or VIN, else its id.
    #[must_use]
    pub fn display_name(&self) -> String {
        let text = |field: &Option<String>| field.clone().filter(|text| !text.is_empty());
        if let Some(nickname) = text(&self.nickname) {
            return nickname;
        }
        let year = self.year.map(|year| year.to_string());
        let parts: Vec<String> =
            [year, text(&self.make), text(&self.model)].into_iter().flatten().collect();
        if !parts.is_empty() {
            return parts.join(" ");
        }
        text(&self.license_plate).or(text(&self.vin)).unwrap_or_else(|| self.id.to_string())
    }
}

/// A garage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
pub struct Garage {
    /// Its id.
    pub id: GarageId,
    /// 1 to 100 characters.
    pub name: String,
    /// Postal address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Degrees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lat: Option<f64>,
    /// Degrees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lng: Option<f64>,
    /// IANA time zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// The tenant's default garage.
    #[serde(default)]
    pub is_default: bool,
    /// When it was deleted, UTC ms; absent while it is live.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<Millis>,
    /// Columns of a newer peer, kept.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// An event as the server accepted it: the fact, and how it came to be known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
pub struct EventRecord {
    /// The fact, as captured.
    pub event: Event,
    /// When the server received it, UTC ms.
    pub received_at: Millis,
    /// The operation that brought it; absent where another SQL client wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub op_id: Option<OpId>,
    /// The device that captured it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_id: Option<DeviceId>,
    /// Who captured it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// The event that this one corrects, retracts or restores, as the server resolved it: the one it names,
    /// or the one that took that one's place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub corrects: Option<EventId>,
    /// What the server remarked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<Flag>,
    /// Keys of a newer peer, kept.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl EventRecord {
    /// The instant that orders the event on the odometer's timeline, UTC ms.
    #[must_use]
    pub fn effective_at(&self) -> Millis {
        if self.flags.contains(&Flag::ClockAhead) {
            self.received_at
        } else {
            self.event.occurred_at
        }
    }
}

/// A remark of the server on an accepted event. Informs, never refuses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum Flag {
    /// It claims to lie more than 24 hours ahead of the server.
    ClockAhead,
    /// A remark that a newer peer knows.
    #[serde(untagged)]
    Other(String),
}

/// A day, for filters.
pub type Day = NaiveDate;
