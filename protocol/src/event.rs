//! Events: immutable facts about a vehicle.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::effective::Act;
use crate::position::Decision;
use crate::{EventId, Fix, FixAbsence, Millis, UserId, VehicleId, Violation, code, registry};

/// One captured fact. Zero is a value and distinct from absent in every field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
pub struct Event {
    /// Made on the device; equal to the id of the operation that captured it.
    pub id: EventId,
    /// The vehicle that the fact is about.
    pub vehicle_id: VehicleId,
    /// A name from [`registry::TYPES`], one of its aliases, or a newer peer's name, kept.
    #[serde(rename = "type")]
    pub kind: String,
    /// When it happened, UTC ms.
    pub occurred_at: Millis,
    /// The calendar day where it happened. Given once, never derived again.
    pub date: NaiveDate,
    /// IANA name of the time zone where it happened.
    pub timezone: String,
    /// Odometer, miles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub miles: Option<i64>,
    /// Money, integer minor units of [`Event::currency`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_minor: Option<i64>,
    /// ISO 4217; absent means USD.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// Who sold or did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// The person's own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
    /// Keys of the type; unknown ones are kept.
    #[serde(default)]
    pub payload: Map<String, Value>,
    /// Where it was captured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<Fix>,
    /// Why there is no fix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix_absent: Option<FixAbsence>,
    /// The position in the photo that was captured with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub photo_fix: Option<Fix>,
    /// Which of the two positions counts and why, as decided at capture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<Decision>,
    /// The capture session it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<Uuid>,
    /// The event that this one corrects, retracts or restores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub corrects: Option<EventId>,
    /// Why it corrects, retracts or restores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Keys of a newer peer, kept.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Event {
    /// An event with the required envelope and nothing else.
    #[must_use]
    pub fn new(
        id: EventId,
        vehicle_id: VehicleId,
        kind: impl Into<String>,
        occurred_at: Millis,
        date: NaiveDate,
        timezone: impl Into<String>,
    ) -> Self {
        Self {
            id,
            vehicle_id,
            kind: kind.into(),
            occurred_at,
            date,
            timezone: timezone.into(),
            miles: None,
            total_minor: None,
            currency: None,
            vendor: None,
            notes: None,
            payload: Map::new(),
            fix: None,
            fix_absent: None,
            photo_fix: None,
            position: None,
            session_id: None,
            corrects: None,
            reason: None,
            extra: Map::new(),
        }
    }

    /// The registry's name for [`Event::kind`]: aliases resolved, unknown names as they are.
    #[must_use]
    pub fn canonical_type(&self) -> &str {
        registry::find(&self.kind).map_or(self.kind.as_str(), |spec| spec.name)
    }

    /// What this event does to the one that it names.
    #[must_use]
    pub fn act(&self) -> Act {
        Act::of_type(&self.kind)
    }

    /// Whether this event takes another one back instead of stating a fact of its own.
    #[must_use]
    pub fn is_retraction(&self) -> bool {
        self.act() == Act::Retracts
    }

    /// Whether `payload` holds `key` as the JSON `true`.
    #[must_use]
    pub fn payload_flag(&self, key: &str) -> bool {
        self.payload.get(key) == Some(&Value::Bool(true))
    }

    /// Sets `payload.logged_by`, the one place that says who logged an event.
    pub fn set_logged_by(&mut self, user: UserId) {
        self.payload.insert("logged_by".into(), Value::String(user.to_string()));
    }

    /// Reads an event from JSON; what does not fit is named field by field.
    ///
    /// # Errors
    /// One [`Violation`] for each field that is missing or has the wrong type.
    pub fn from_value(value: &Value) -> Result<Self, Vec<Violation>> {
        match Self::deserialize(value) {
            Ok(event) => Ok(event),
            Err(error) => Err(diagnose(value, &error.to_string())),
        }
    }
}

/// Finds the fields that made an event unreadable, by trying each alone in an event that is whole.
fn diagnose(value: &Value, whole_error: &str) -> Vec<Violation> {
    let Value::Object(given) = value else {
        return vec![Violation::new("event", code::WRONG_TYPE, "an event is a JSON object")];
    };
    let day = NaiveDate::default();
    let whole = Event::new(EventId(Uuid::nil()), VehicleId(Uuid::nil()), "odometer", 0, day, "UTC");
    let Ok(Value::Object(whole)) = serde_json::to_value(&whole) else {
        return vec![Violation::new("event", code::WRONG_TYPE, whole_error)];
    };
    let mut violations: Vec<Violation> = whole
        .keys()
        .filter(|key| *key != "payload" && !given.contains_key(*key))
        .map(|key| Violation::new(key.clone(), code::MISSING, format!("{key} is required")))
        .collect();
    for (key, field) in given {
        let mut probe = whole.clone();
        probe.insert(key.clone(), field.clone());
        if let Err(error) = Event::deserialize(Value::Object(probe)) {
            match field {
                Value::Object(fix) if key == "fix" || key == "photo_fix" => {
                    diagnose_fix(key, fix, &mut violations);
                }
                _ => violations.push(Violation::new(key, code::WRONG_TYPE, error.to_string())),
            }
        }
    }
    if violations.is_empty() {
        violations.push(Violation::new("event", code::WRONG_TYPE, whole_error));
    }
    violations
}

fn diagnose_fix(name: &str, given: &Map<String, Value>, violations: &mut Vec<Violation>) {
    let whole = serde_json::to_value(Fix::at(0.0, 0.0, crate::FixSource::Manual));
    let Ok(Value::Object(whole)) = whole else {
        return;
    };
    for key in whole.keys().filter(|key| !given.contains_key(*key)) {
        let message = format!("{name}.{key} is required");
        violations.push(Violation::new(format!("{name}.{key}"), code::MISSING, message));
    }
    for (key, field) in given {
        let mut probe = whole.clone();
        probe.insert(key.clone(), field.clone());
        if let Err(error) = Fix::deserialize(Value::Object(probe)) {
            let path = format!("{name}.{key}");
            violations.push(Violation::new(path, code::WRONG_TYPE, error.to_string()));
        }
    }
}
