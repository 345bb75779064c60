//! What happened to vehicles: captures, events as they are shown, and their families.

use super::*;

/// A fact to capture: an event without the parts that the device adds.
#[uniffi::remote(Record)]
pub struct Capture {
    /// Made by the caller to make the call idempotent; by the device when absent.
    #[uniffi(default)]
    pub op_id: Option<OpId>,
    /// The vehicle that the fact is about.
    pub vehicle_id: VehicleId,
    /// A name from the registry.
    pub kind: String,
    /// When it happened, UTC ms.
    pub occurred_at: Millis,
    /// The calendar day where it happened.
    pub date: Day,
    /// IANA name of the time zone where it happened.
    pub timezone: String,
    /// Odometer, miles.
    #[uniffi(default)]
    pub miles: Option<i64>,
    /// Money, minor units.
    #[uniffi(default)]
    pub total_minor: Option<i64>,
    /// ISO 4217.
    #[uniffi(default)]
    pub currency: Option<String>,
    /// Who sold or did it.
    #[uniffi(default)]
    pub vendor: Option<String>,
    /// The person's own words.
    #[uniffi(default)]
    pub notes: Option<String>,
    /// Keys of the type.
    #[uniffi(default = "{}")]
    pub payload: JsonFields,
    /// Where it was captured.
    #[uniffi(default)]
    pub fix: Option<Fix>,
    /// Why there is no fix.
    #[uniffi(default)]
    pub fix_absent: Option<FixAbsence>,
    /// The position in the photo that is captured with it; the device reads it from the photo.
    #[uniffi(default)]
    pub photo_fix: Option<Fix>,
    /// Which of the two positions counts; the device decides where there are photos.
    #[uniffi(default)]
    pub position: Option<Decision>,
    /// The capture session.
    #[uniffi(default)]
    pub session_id: Option<Uuid>,
    /// The event that this one corrects, retracts or restores.
    #[uniffi(default)]
    pub corrects: Option<EventId>,
    /// Why it corrects, retracts or restores.
    #[uniffi(default)]
    pub reason: Option<String>,
    /// Keys of a newer peer.
    #[uniffi(default = "{}")]
    pub extra: JsonFields,
}

/// A capture that is durable on this device.
#[uniffi::remote(Record)]
pub struct Captured {
    /// Its operation, and equally its event.
    pub op_id: OpId,
    /// It had been captured before under this id; nothing was added.
    pub duplicate: bool,
    /// What is worth a second look. Never blocking.
    pub warnings: Vec<Warning>,
}

/// Something worth a look before saving. Shown, never blocking.
#[uniffi::remote(Record)]
pub struct Warning {
    /// Path of the field.
    pub field: String,
    /// A stable name, for programs.
    pub code: String,
    /// A sentence for people.
    pub message: String,
}

/// One thing that must be mended before an event can be accepted.
#[uniffi::remote(Record)]
pub struct Violation {
    /// Path of the field, such as `miles`, `payload.gallons`, `fix.latitude`.
    pub field: String,
    /// A stable name from `code`, for programs.
    pub code: String,
    /// A sentence for people.
    pub message: String,
}

/// A measured position (WGS84).
#[uniffi::remote(Record)]
pub struct Fix {
    /// Degrees, −90..=90. Zero is a value.
    pub latitude: f64,
    /// Degrees, −180..=180. Zero is a value.
    pub longitude: f64,
    /// 68 % radius, metres.
    #[uniffi(default)]
    pub accuracy_m: Option<f64>,
    /// Above the WGS84 ellipsoid, metres.
    #[uniffi(default)]
    pub altitude_m: Option<f64>,
    /// 68 % interval of the altitude, metres.
    #[uniffi(default)]
    pub altitude_accuracy_m: Option<f64>,
    /// Degrees clockwise from true north, 0..=360.
    #[uniffi(default)]
    pub heading_deg: Option<f64>,
    /// Metres per second.
    #[uniffi(default)]
    pub speed_mps: Option<f64>,
    /// When the position was measured, UTC ms.
    #[uniffi(default)]
    pub fixed_at: Option<Millis>,
    /// Where the position comes from.
    pub source: FixSource,
    /// The system said that another app invented this position.
    #[uniffi(default)]
    pub is_mock: Option<bool>,
    /// Age of the fix at the shutter, ms.
    #[uniffi(default)]
    pub age_ms: Option<i64>,
    /// Keys of a newer peer, kept.
    #[uniffi(default = "{}")]
    pub extra: JsonFields,
}

/// Where a `Fix` comes from.
#[uniffi::remote(Enum)]
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
    Other(String),
}

/// Why a capture carries no `Fix`.
#[uniffi::remote(Enum)]
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
    Other(String),
}

/// Which position an event has, and why.
#[uniffi::remote(Record)]
pub struct Decision {
    /// The source whose position counts; `None` where there is none.
    pub chosen: Option<Chosen>,
    /// How far it can be trusted.
    pub confidence: Confidence,
    /// The rule that decided.
    pub rule: Rule,
    /// The other source, where there is one.
    pub alternate: Option<Chosen>,
    /// How far apart the sources are, metres.
    pub distance_m: Option<f64>,
    /// The person should say.
    pub ask: bool,
}

/// A source of a position.
#[uniffi::remote(Enum)]
pub enum Chosen {
    /// The device's fix.
    Gps,
    /// The photo's.
    Exif,
    /// Both say the same; the device's counts.
    Both,
    /// A source that a newer peer knows.
    Unknown,
}

/// How far a position can be trusted.
#[uniffi::remote(Enum)]
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
    Unknown,
}

/// The rules, in the order in which they are tried (DOMAIN "Location · Deciding the position").
#[uniffi::remote(Enum)]
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
    Unknown,
}

/// One captured fact. Zero is a value and distinct from absent in every field.
#[uniffi::remote(Record)]
pub struct Event {
    /// Made on the device; equal to the id of the operation that captured it.
    pub id: EventId,
    /// The vehicle that the fact is about.
    pub vehicle_id: VehicleId,
    /// A name from `TYPES`, one of its aliases, or a newer peer's name, kept.
    pub kind: String,
    /// When it happened, UTC ms.
    pub occurred_at: Millis,
    /// The calendar day where it happened. Given once, never derived again.
    pub date: Day,
    /// IANA name of the time zone where it happened.
    pub timezone: String,
    /// Odometer, miles.
    pub miles: Option<i64>,
    /// Money, integer minor units of `currency`.
    pub total_minor: Option<i64>,
    /// ISO 4217; absent means USD.
    pub currency: Option<String>,
    /// Who sold or did it.
    pub vendor: Option<String>,
    /// The person's own words.
    pub notes: Option<String>,
    /// Keys of the type; unknown ones are kept.
    pub payload: JsonFields,
    /// Where it was captured.
    pub fix: Option<Fix>,
    /// Why there is no fix.
    pub fix_absent: Option<FixAbsence>,
    /// The position in the photo that was captured with it.
    pub photo_fix: Option<Fix>,
    /// Which of the two positions counts and why, as decided at capture.
    pub position: Option<Decision>,
    /// The capture session it came from.
    pub session_id: Option<Uuid>,
    /// The event that this one corrects, retracts or restores.
    pub corrects: Option<EventId>,
    /// Why it corrects, retracts or restores.
    pub reason: Option<String>,
    /// Keys of a newer peer, kept.
    pub extra: JsonFields,
}

/// An event as the server accepted it: the fact, and how it came to be known.
#[uniffi::remote(Record)]
pub struct EventRecord {
    /// The fact, as captured.
    pub event: Event,
    /// When the server received it, UTC ms.
    pub received_at: Millis,
    /// The operation that brought it; absent where another SQL client wrote it.
    pub op_id: Option<OpId>,
    /// The device that captured it.
    pub device_id: Option<DeviceId>,
    /// Who captured it.
    pub user_id: Option<UserId>,
    /// The event that this one corrects, retracts or restores, as the server resolved it: the one it names,
    /// or the one that took that one's place.
    pub corrects: Option<EventId>,
    /// What the server remarked.
    pub flags: Vec<Flag>,
    /// Keys of a newer peer, kept.
    pub extra: JsonFields,
}

/// A remark of the server on an accepted event. Informs, never refuses.
#[uniffi::remote(Enum)]
pub enum Flag {
    /// It claims to lie more than 24 hours ahead of the server.
    ClockAhead,
    /// A remark that a newer peer knows.
    Other(String),
}

/// Where a page ended.
#[uniffi::remote(Record)]
pub struct PageKey {
    /// Time of the last entry, UTC ms.
    pub occurred_at: Millis,
    /// Id of the last entry.
    pub event_id: EventId,
}

/// One event as shown in a list. The whole record is a call away: `record`.
#[uniffi::remote(Record)]
pub struct TimelineEntry {
    /// The event.
    pub event_id: EventId,
    /// Its vehicle.
    pub vehicle_id: VehicleId,
    /// Canonical type.
    pub kind: String,
    /// UTC ms.
    pub occurred_at: Millis,
    /// Local calendar day, `YYYY-MM-DD`.
    pub date: String,
    /// Odometer, miles.
    pub miles: Option<i64>,
    /// The server's sequence, once it has one here.
    pub seq: Option<u64>,
    /// Where its operation stands; `accepted` for what others captured.
    pub state: OpState,
    /// The event it corrects, retracts or restores.
    pub corrects: Option<EventId>,
    /// Corrected or retracted.
    pub hidden: bool,
    /// How many photos are on it; `photos` tells of them.
    pub photos: u64,
    /// Where it happened, as everyone shows it; `place` tells what is known.
    pub place: Option<Place>,
    /// `EventRecord` as JSON.
    pub record_json: String,
}

/// A page of the timeline.
#[uniffi::remote(Record)]
pub struct TimelinePage {
    /// Newest first.
    pub entries: Vec<TimelineEntry>,
    /// Where to go on; `None` at the end.
    pub next: Option<PageKey>,
}

/// Where an operation stands, as a person sees it.
#[uniffi::remote(Enum)]
pub enum OpState {
    /// Durable here, not sent yet.
    Queued,
    /// Sent at least once, no outcome yet: it may have arrived.
    Sending,
    /// The server has it.
    Accepted,
    /// The server refused it; it stays here with the reason until amended or discarded.
    Rejected,
    /// It waits for another operation that was refused or has not arrived.
    Waiting,
    /// An amendment or discard took its place.
    Superseded,
}

/// The whole story of an event.
#[uniffi::remote(Record)]
pub struct Family {
    /// The first event of the chain.
    pub root: EventId,
    /// The one that counts, if one does.
    pub counts: Option<EventId>,
    /// Everything that is known of it: the root, then by the server's sequence; this device's own
    /// that have none yet come last. Refused ones are among them and take no part.
    pub members: Vec<FamilyMember>,
}

/// One event of a `Family`.
#[uniffi::remote(Record)]
pub struct FamilyMember {
    /// The event, as in a list; the whole record is in it.
    pub entry: TimelineEntry,
    /// What it does to the event that it names.
    pub act: Act,
    /// Its newest retraction or restoration is a retraction.
    pub retracted: bool,
    /// It is the one that counts.
    pub counts: bool,
    /// Who said it, where that is known.
    pub user_id: Option<UserId>,
    /// The device it was said on.
    pub device_id: Option<DeviceId>,
    /// When the server received it; for this device's own until then, when it was said. UTC ms.
    pub said_at: Millis,
    /// Why.
    pub reason: Option<String>,
}

/// What an event does to the one that it names.
#[uniffi::remote(Enum)]
pub enum Act {
    /// It states a fact in the place of that one, or one of its own where it names none.
    Corrects,
    /// It takes that one back.
    Retracts,
    /// It brings back what a retraction took.
    Restores,
}
