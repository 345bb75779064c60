//! Where an event happened, as everyone shows it: what was measured, and what people say instead.
//!
//! ```text
//! place(event) = the newest location correction of its family that was not taken back
//!              = the source that the event's own decision chose, where there is none
//!              = nothing, where no source is usable
//! ```
//!
//! Newest is the highest sequence; on a device its own that have none yet come after all others.
//! What was measured stays in the event; several corrections are all kept.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::limits::{LINE_CHARS_MAX, NESTING_MAX, REASON_CHARS_MAX, TYPE_CHARS_MAX};
use crate::position::{Chosen, distance_m};
use crate::validate::nests_deeper;
use crate::{Event, EventId, Fix, FixQuality, VehicleId, Violation, code};

/// Two computations of one distance differ by less, metres.
const DISTANCE_TOLERANCE_M: f64 = 0.02;

/// A person says where an event happened. A fact of its own, beside what was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
pub struct LocationCorrection {
    /// The event's vehicle.
    pub vehicle_id: VehicleId,
    /// The event.
    pub event_id: EventId,
    /// What had been measured, as the person saw it; absent where nothing was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured: Option<Fix>,
    /// Degrees, −90..=90. Zero is a value.
    pub latitude: f64,
    /// Degrees, −180..=180. Zero is a value.
    pub longitude: f64,
    /// The place in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// How the person said it.
    pub method: CorrectionMethod,
    /// Why, in the person's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// From [`LocationCorrection::measured`] to the corrected position, metres, to 0.01 m; absent
    /// where nothing was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distance_m: Option<f64>,
    /// How the address was found: method and confidence, as the app knows them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extraction: Option<Extraction>,
    /// The person takes back what was said of the place; the measured one counts again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub withdrawn: bool,
    /// Keys of a newer peer, kept.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// How a person says where something happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum CorrectionMethod {
    /// Dragged the pin on a map.
    MapPin,
    /// Chose among places near by.
    NearbySearch,
    /// Typed it.
    ManualEntry,
    /// A way that a newer peer knows.
    #[serde(untagged)]
    Other(String),
}

/// How an address came about. Kept, never judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
pub struct Extraction {
    /// `vision_structured`, `vision_ocr`, `geocoding`, `gps`, `manual`.
    pub method: String,
    /// `high`, `medium`, `low`, `none`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<String>,
    /// The address as it was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Keys of a newer peer, kept.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Where an event happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
pub struct Place {
    /// Degrees.
    pub latitude: f64,
    /// Degrees.
    pub longitude: f64,
    /// 68 % radius of a measured one, metres.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy_m: Option<f64>,
    /// The place in words, where a person said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Where this is known from.
    pub from: PlaceFrom,
}

/// Where a [`Place`] is known from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum PlaceFrom {
    /// The event's fix.
    Fix,
    /// The photo's position.
    Photo,
    /// A person.
    Correction,
}

impl LocationCorrection {
    /// Says where an event happened, with the distance from what was measured.
    #[must_use]
    pub fn new(event: &Event, (latitude, longitude): (f64, f64), method: CorrectionMethod) -> Self {
        let measured = measured(event).map(|(fix, _)| fix.clone());
        let distance_m = measured
            .as_ref()
            .map(|fix| distance_m((fix.latitude, fix.longitude), (latitude, longitude)));
        Self {
            vehicle_id: event.vehicle_id,
            event_id: event.id,
            measured,
            latitude,
            longitude,
            address: None,
            method,
            reason: None,
            distance_m,
            extraction: None,
            withdrawn: false,
            extra: Map::new(),
        }
    }

    /// Checks what can be judged from the correction alone.
    ///
    /// # Errors
    /// Every [`Violation`], not only the first.
    pub fn validate(&self) -> Result<(), Vec<Violation>> {
        let mut out = Vec::new();
        for (field, degrees, most) in
            [("latitude", self.latitude, 90.0), ("longitude", self.longitude, 180.0)]
        {
            if !degrees.is_finite() {
                let message = format!("{field} must be a finite number");
                out.push(Violation::new(field, code::NOT_FINITE, message));
            } else if degrees.abs() > most {
                let message = format!("{field} must be between −{most} and {most}, got {degrees}");
                out.push(Violation::new(field, code::OUT_OF_RANGE, message));
            }
        }
        if let Some(measured) = &self.measured {
            measured.violations("measured", &mut out);
        }
        self.distance(&mut out);
        self.words(&mut out);
        let fix = self.measured.iter().flat_map(|fix| &fix.extra);
        let extraction = self.extraction.iter().flat_map(|extraction| &extraction.extra);
        for (key, value) in self.extra.iter().chain(fix).chain(extraction) {
            if nests_deeper(value, NESTING_MAX) {
                let message = format!("{key} may nest at most {NESTING_MAX} lists and objects");
                out.push(Violation::new(key.clone(), code::TOO_DEEP, message));
            }
        }
        if out.is_empty() { Ok(()) } else { Err(out) }
    }

    /// The distance is computed here and nowhere else, so that statistics can be believed.
    fn distance(&self, out: &mut Vec<Violation>) {
        let true_m = self
            .measured
            .as_ref()
            .map(|fix| distance_m((fix.latitude, fix.longitude), (self.latitude, self.longitude)));
        let fits = match (self.distance_m, true_m) {
            (None, None) => true,
            (Some(said), Some(true_m)) => (said - true_m).abs() <= DISTANCE_TOLERANCE_M,
            _ => false,
        };
        if !fits && out.is_empty() {
            let message = match true_m {
                Some(true_m) => format!("from what was measured it is {true_m} m"),
                None => "without a measured position there is no distance".to_string(),
            };
            out.push(Violation::new("distance_m", code::OUT_OF_RANGE, message));
        }
    }

    fn words(&self, out: &mut Vec<Violation>) {
        let extraction = self.extraction.as_ref();
        let method = match &self.method {
            CorrectionMethod::Other(word) => Some(word),
            _ => None,
        };
        for (field, text, most) in [
            ("address", self.address.as_ref(), LINE_CHARS_MAX),
            ("method", method, TYPE_CHARS_MAX),
            ("reason", self.reason.as_ref(), REASON_CHARS_MAX),
            ("extraction.method", extraction.map(|one| &one.method), TYPE_CHARS_MAX),
            (
                "extraction.confidence",
                extraction.and_then(|one| one.confidence.as_ref()),
                TYPE_CHARS_MAX,
            ),
            ("extraction.address", extraction.and_then(|one| one.address.as_ref()), LINE_CHARS_MAX),
        ] {
            if text.is_some_and(|text| text.chars().count() > most) {
                let message = format!("{field} may have at most {most} characters");
                out.push(Violation::new(field, code::TOO_LONG, message));
            }
        }
    }
}

/// What was measured of where an event happened: the source that its decision chose, or its fix
/// where nothing was decided. A fix that is unusable as a position is none.
#[must_use]
pub fn measured(event: &Event) -> Option<(&Fix, PlaceFrom)> {
    let fix = event.fix.as_ref().map(|fix| (fix, PlaceFrom::Fix));
    let photo = event.photo_fix.as_ref().map(|fix| (fix, PlaceFrom::Photo));
    let chosen = event.position.as_ref().map(|decision| decision.chosen);
    let source = match chosen {
        Some(Some(Chosen::Exif)) => photo.or(fix),
        Some(Some(Chosen::Gps | Chosen::Both | Chosen::Unknown)) | None => fix.or(photo),
        Some(None) => None,
    };
    source.filter(|(fix, _)| fix.quality() != FixQuality::Unusable)
}

/// The correction that counts among all of a family, each with its sequence (`None`: this device's
/// own, not numbered yet, later ones last).
#[must_use]
pub fn counting<'a>(
    corrections: impl IntoIterator<Item = (Option<u64>, &'a LocationCorrection)>,
) -> Option<&'a LocationCorrection> {
    let by_age = |(seq, _): &(Option<u64>, _)| (seq.is_none(), seq.unwrap_or(0));
    // Of equal ones `max_by_key` takes the last: own ones stand in the order of capture.
    corrections.into_iter().max_by_key(by_age).map(|(_, newest)| newest)
}

/// Where an event happened: what a person says, else what the event shown measured, else what the
/// first of its family did (a correction of other facts seldom repeats the fix).
#[must_use]
pub fn place<'a>(
    shown: &Event,
    root: Option<&Event>,
    corrections: impl IntoIterator<Item = (Option<u64>, &'a LocationCorrection)>,
) -> Option<Place> {
    if let Some(said) = counting(corrections).filter(|said| !said.withdrawn) {
        return Some(Place {
            latitude: said.latitude,
            longitude: said.longitude,
            accuracy_m: None,
            address: said.address.clone(),
            from: PlaceFrom::Correction,
        });
    }
    let (fix, from) = measured(shown).or_else(|| measured(root?))?;
    Some(Place {
        latitude: fix.latitude,
        longitude: fix.longitude,
        accuracy_m: fix.accuracy_m,
        address: None,
        from,
    })
}
