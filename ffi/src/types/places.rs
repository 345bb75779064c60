//! Where events happened.

use super::*;

/// Where an event happened.
#[uniffi::remote(Record)]
pub struct Place {
    /// Degrees.
    pub latitude: f64,
    /// Degrees.
    pub longitude: f64,
    /// 68 % radius of a measured one, metres.
    pub accuracy_m: Option<f64>,
    /// The place in words, where a person said so.
    pub address: Option<String>,
    /// Where this is known from.
    pub from: PlaceFrom,
}

/// Where a `Place` is known from.
#[uniffi::remote(Enum)]
pub enum PlaceFrom {
    /// The event's fix.
    Fix,
    /// The photo's position.
    Photo,
    /// A person.
    Correction,
}

/// Where a person says that an event happened.
#[uniffi::remote(Record)]
pub struct LocationSaid {
    /// Degrees, −90..=90.
    pub latitude: f64,
    /// Degrees, −180..=180.
    pub longitude: f64,
    /// How they said it.
    pub method: CorrectionMethod,
    /// The place in words.
    #[uniffi(default)]
    pub address: Option<String>,
    /// Why.
    #[uniffi(default)]
    pub reason: Option<String>,
    /// How the address came about.
    #[uniffi(default)]
    pub extraction: Option<Extraction>,
}

/// How a person says where something happened.
#[uniffi::remote(Enum)]
pub enum CorrectionMethod {
    /// Dragged the pin on a map.
    MapPin,
    /// Chose among places near by.
    NearbySearch,
    /// Typed it.
    ManualEntry,
    /// A way that a newer peer knows.
    Other(String),
}

/// How an address came about. Kept, never judged.
#[uniffi::remote(Record)]
pub struct Extraction {
    /// `vision_structured`, `vision_ocr`, `geocoding`, `gps`, `manual`.
    pub method: String,
    /// `high`, `medium`, `low`, `none`.
    #[uniffi(default)]
    pub confidence: Option<String>,
    /// The address as it was read.
    #[uniffi(default)]
    pub address: Option<String>,
    /// Keys of a newer peer, kept.
    #[uniffi(default = "{}")]
    pub extra: JsonFields,
}

/// What is known of where an event happened.
#[uniffi::remote(Record)]
pub struct PlaceShown {
    /// As everyone shows it.
    pub place: Option<Place>,
    /// As it was measured.
    pub measured: Option<Place>,
    /// Which source was chosen at capture, by which rule, and whether the person should say.
    pub decision: Option<Decision>,
    /// What people said, the oldest first.
    pub corrections: Vec<CorrectionShown>,
}

/// What a person said of where an event happened.
#[uniffi::remote(Record)]
pub struct CorrectionShown {
    /// What they said.
    pub said: LocationCorrection,
    /// The operation; absent for another SQL client's.
    pub op_id: Option<OpId>,
    /// Where it stands. A refused one changes nothing but is shown.
    pub state: OpState,
    /// It is the one that counts.
    pub counts: bool,
    /// Who said it.
    pub user_id: Option<UserId>,
    /// On which device.
    pub device_id: Option<DeviceId>,
    /// When the server received it; for this device's own until then, when it was said. UTC ms.
    pub said_at: Millis,
}

/// A person says where an event happened. A fact of its own, beside what was measured.
#[uniffi::remote(Record)]
pub struct LocationCorrection {
    /// The event's vehicle.
    pub vehicle_id: VehicleId,
    /// The event.
    pub event_id: EventId,
    /// What had been measured, as the person saw it; absent where nothing was.
    pub measured: Option<Fix>,
    /// Degrees, −90..=90. Zero is a value.
    pub latitude: f64,
    /// Degrees, −180..=180. Zero is a value.
    pub longitude: f64,
    /// The place in words.
    pub address: Option<String>,
    /// How the person said it.
    pub method: CorrectionMethod,
    /// Why, in the person's words.
    pub reason: Option<String>,
    /// From `measured` to the corrected position, metres, to 0.01 m; absent
    /// where nothing was measured.
    pub distance_m: Option<f64>,
    /// How the address was found: method and confidence, as the app knows them.
    pub extraction: Option<Extraction>,
    /// The person takes back what was said of the place; the measured one counts again.
    pub withdrawn: bool,
    /// Keys of a newer peer, kept.
    pub extra: JsonFields,
}
