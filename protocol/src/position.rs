//! Where an event happened: distances, and the choice between several sources.

use serde::{Deserialize, Serialize};

use crate::{Fix, FixQuality, Millis};

/// Mean radius of the earth (IUGG R₁), metres.
pub const EARTH_RADIUS_M: f64 = 6_371_008.8;

/// Positions of one place are closer than this, metres.
const SAME_PLACE_M: f64 = 100.0;
/// Positions further apart contradict each other, metres.
const CONFLICT_M: f64 = 1_000.0;
/// A photo younger than this was taken where the device is, ms.
const FRESH_MS: Millis = 15 * 60 * 1000;
/// A photo older than this was taken elsewhere, ms.
const OLD_MS: Millis = 60 * 60 * 1000;
/// A receipt from so many days ago does not tell where the device is now.
const OLD_RECEIPT_DAYS: i64 = 2;

/// Great-circle distance between two positions in degrees, metres, to 0.01 m.
///
/// ```text
/// d = 2 R · asin √( sin²(Δφ/2) + cos φ₁ · cos φ₂ · sin²(Δλ/2) )
/// ```
///
/// The haversine formula (R. W. Sinnott, "Virtues of the Haversine", 1984); the argument is clamped
/// to 1, which rounding exceeds for antipodes.
#[must_use]
pub fn distance_m(one: (f64, f64), other: (f64, f64)) -> f64 {
    let (lat1, lat2) = (one.0.to_radians(), other.0.to_radians());
    let half = |from: f64, to: f64| ((to - from) / 2.0).sin().powi(2);
    let (dlat, dlng) = (half(lat1, lat2), half(one.1.to_radians(), other.1.to_radians()));
    let h = (dlat + lat1.cos() * lat2.cos() * dlng).clamp(0.0, 1.0);
    (2.0 * EARTH_RADIUS_M * h.sqrt().asin() * 100.0).round() / 100.0
}

/// What is known of where an event happened.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sources<'a> {
    /// The device's fix at the shutter.
    pub gps: Option<&'a Fix>,
    /// The position in the photo.
    pub exif: Option<&'a Fix>,
    /// How long before the capture the photo was taken, ms; `None` where it does not say.
    pub photo_age_ms: Option<Millis>,
    /// How many days before the capture the receipt was printed.
    pub receipt_age_days: Option<i64>,
}

/// Which position an event has, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
pub struct Decision {
    /// The source whose position counts; `None` where there is none.
    pub chosen: Option<Chosen>,
    /// How far it can be trusted.
    pub confidence: Confidence,
    /// The rule that decided.
    pub rule: Rule,
    /// The other source, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alternate: Option<Chosen>,
    /// How far apart the sources are, metres.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distance_m: Option<f64>,
    /// The person should say.
    pub ask: bool,
}

/// A source of a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum Chosen {
    /// The device's fix.
    Gps,
    /// The photo's.
    Exif,
    /// Both say the same; the device's counts.
    Both,
    /// A source that a newer peer knows.
    #[serde(other)]
    Unknown,
}

/// How far a position can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// Two sources agree, or one fits its circumstances.
    High,
    /// Nothing speaks against it.
    Medium,
    /// Probably elsewhere.
    Low,
    /// No position.
    None,
    /// A word that a newer peer knows.
    #[serde(other)]
    Unknown,
}

/// The rules, in the order in which they are tried (DOMAIN "Location · Deciding the position").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// There is no usable source.
    NoSource,
    /// The photo is younger than 15 minutes and does not contradict the device.
    FreshPhoto,
    /// Photo and device are less than 100 m apart.
    SamePlace,
    /// Photo and device are more than 1,000 m apart.
    Conflict,
    /// The photo is older than an hour.
    OldPhoto,
    /// The receipt is two days old or older.
    OldReceipt,
    /// None of the others.
    Otherwise,
    /// A rule that a newer peer knows.
    #[serde(other)]
    Unknown,
}

/// Chooses between the sources of a position; first rule wins. A fix that is unusable as a position
/// (over 1,000 m) counts as none here; it is kept as evidence all the same.
#[must_use]
pub fn decide(sources: &Sources<'_>) -> Decision {
    let usable = |fix: &&Fix| fix.quality() != FixQuality::Unusable;
    let gps = sources.gps.filter(usable);
    let exif = sources.exif.filter(usable);
    let apart = gps.zip(exif).map(|(gps, exif)| {
        distance_m((gps.latitude, gps.longitude), (exif.latitude, exif.longitude))
    });
    let fresh = sources.photo_age_ms.is_some_and(|age| (0..FRESH_MS).contains(&age));
    let old = sources.photo_age_ms.is_some_and(|age| age > OLD_MS);
    let old_receipt = sources.receipt_age_days.is_some_and(|days| days >= OLD_RECEIPT_DAYS);
    let says = |chosen, confidence, rule| {
        let alternate = match chosen {
            Chosen::Gps => exif.map(|_| Chosen::Exif),
            Chosen::Exif => gps.map(|_| Chosen::Gps),
            Chosen::Both | Chosen::Unknown => None,
        };
        let ask = rule == Rule::Conflict;
        let chosen = Some(chosen);
        Decision { chosen, confidence, rule, alternate, distance_m: apart, ask }
    };
    let exif_else_gps = |exif_confidence, gps_confidence, rule| match exif {
        Some(_) => says(Chosen::Exif, exif_confidence, rule),
        None => says(Chosen::Gps, gps_confidence, rule),
    };
    match (gps, apart) {
        (None, _) if exif.is_none() => Decision {
            chosen: None,
            confidence: Confidence::None,
            rule: Rule::NoSource,
            alternate: None,
            distance_m: None,
            ask: true,
        },
        (Some(_), apart) if fresh && apart.is_none_or(|m| m < CONFLICT_M) => {
            says(Chosen::Gps, Confidence::High, Rule::FreshPhoto)
        }
        (_, Some(m)) if m < SAME_PLACE_M => says(Chosen::Both, Confidence::High, Rule::SamePlace),
        (_, Some(m)) if m > CONFLICT_M => {
            let preferred = if old { Chosen::Exif } else { Chosen::Gps };
            says(preferred, Confidence::Medium, Rule::Conflict)
        }
        _ if old => exif_else_gps(Confidence::High, Confidence::Low, Rule::OldPhoto),
        _ if old_receipt => exif_else_gps(Confidence::Medium, Confidence::Low, Rule::OldReceipt),
        _ => exif_else_gps(Confidence::Medium, Confidence::Medium, Rule::Otherwise),
    }
}
