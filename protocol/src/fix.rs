//! A position as measured: evidence, never overwritten, never a reason to block a capture.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Millis, Violation, code};

/// A measured position (WGS84).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
pub struct Fix {
    /// Degrees, −90..=90. Zero is a value.
    pub latitude: f64,
    /// Degrees, −180..=180. Zero is a value.
    pub longitude: f64,
    /// 68 % radius, metres.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy_m: Option<f64>,
    /// Above the WGS84 ellipsoid, metres.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub altitude_m: Option<f64>,
    /// 68 % interval of the altitude, metres.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub altitude_accuracy_m: Option<f64>,
    /// Degrees clockwise from true north, 0..=360.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heading_deg: Option<f64>,
    /// Metres per second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speed_mps: Option<f64>,
    /// When the position was measured, UTC ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fixed_at: Option<Millis>,
    /// Where the position comes from.
    pub source: FixSource,
    /// The system said that another app invented this position.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_mock: Option<bool>,
    /// Age of the fix at the shutter, ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_ms: Option<i64>,
    /// Keys of a newer peer, kept.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Where a [`Fix`] comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum FixSource {
    /// A satellite receiver.
    Gps,
    /// Cell towers or Wi-Fi.
    Network,
    /// The system's blend of several.
    Fused,
    /// The metadata of a photo.
    Exif,
    /// A person.
    Manual,
    /// Read from a picture by a model.
    Vision,
    /// An earlier fix handed out again.
    Cached,
    /// A source that a newer peer knows.
    #[serde(untagged)]
    Other(String),
}

/// Why a capture carries no [`Fix`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum FixAbsence {
    /// The person or the system said no.
    PermissionDenied,
    /// Allowed, but nothing was received.
    PositionUnavailable,
    /// Nothing within the five seconds that a capture waits.
    Timeout,
    /// The device has no positioning.
    NotSupported,
    /// A reason that a newer peer knows.
    #[serde(untagged)]
    Other(String),
}

/// How far a [`Fix`] can be trusted as a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum FixQuality {
    /// ≤ 5 m.
    AutoAccept,
    /// ≤ 100 m.
    Acceptable,
    /// > 100 m.
    Low,
    /// > 500 m.
    Poor,
    /// > 1,000 m: kept as evidence only.
    Unusable,
    /// The source gave no accuracy.
    Unknown,
}

impl Fix {
    /// A position without its circumstances.
    #[must_use]
    pub fn at(latitude: f64, longitude: f64, source: FixSource) -> Self {
        Self {
            latitude,
            longitude,
            accuracy_m: None,
            altitude_m: None,
            altitude_accuracy_m: None,
            heading_deg: None,
            speed_mps: None,
            fixed_at: None,
            source,
            is_mock: None,
            age_ms: None,
            extra: Map::new(),
        }
    }

    /// The band of DOMAIN "Location · Quality".
    #[must_use]
    pub fn quality(&self) -> FixQuality {
        match self.accuracy_m {
            None => FixQuality::Unknown,
            Some(m) if m <= 5.0 => FixQuality::AutoAccept,
            Some(m) if m <= 100.0 => FixQuality::Acceptable,
            Some(m) if m <= 500.0 => FixQuality::Low,
            Some(m) if m <= 1_000.0 => FixQuality::Poor,
            Some(_) => FixQuality::Unusable,
        }
    }

    /// What is wrong with it, under the name of the field that holds it.
    pub(crate) fn violations(&self, name: &str, out: &mut Vec<Violation>) {
        let mut range = |field: &str, value: Option<f64>, min: f64, max: f64| {
            let Some(value) = value else { return };
            if !value.is_finite() {
                let message = format!("{field} must be a finite number");
                out.push(Violation::new(format!("{name}.{field}"), code::NOT_FINITE, message));
            } else if !(min..=max).contains(&value) {
                let message = format!("{field} must be between {min} and {max}, got {value}");
                out.push(Violation::new(format!("{name}.{field}"), code::OUT_OF_RANGE, message));
            }
        };
        range("latitude", Some(self.latitude), -90.0, 90.0);
        range("longitude", Some(self.longitude), -180.0, 180.0);
        range("accuracy_m", self.accuracy_m, 0.0, 1e8);
        range("altitude_m", self.altitude_m, -1e5, 1e6);
        range("altitude_accuracy_m", self.altitude_accuracy_m, 0.0, 1e8);
        range("heading_deg", self.heading_deg, 0.0, 360.0);
        range("speed_mps", self.speed_mps, 0.0, 1e5);
    }
}
