//! Photos, what is known of them, and where their bytes are.

use super::*;

/// What the host knows of a photo.
#[uniffi::remote(Record)]
pub struct PhotoMeta {
    /// The media type as the system says; held against the bytes.
    #[uniffi(default)]
    pub mime: Option<String>,
    /// How many bytes will come; held against what came.
    #[uniffi(default)]
    pub size: Option<u64>,
    /// How it was captured.
    #[uniffi(default)]
    pub capture: CaptureFacts,
    /// The person's own words.
    #[uniffi(default)]
    pub caption: Option<String>,
    /// The person chose it to stand for the event.
    #[uniffi(default)]
    pub is_primary: bool,
    /// Its place among the event's photos, from 1; after the last one when absent. In a session
    /// photos stand in the order in which they were taken.
    #[uniffi(default)]
    pub sequence: Option<i64>,
    /// How much room there is; not judged when absent.
    #[uniffi(default)]
    pub room: Option<Room>,
}

/// How much room the host has, as it says.
#[uniffi::remote(Record)]
pub struct Room {
    /// Free for this app: of the disk, or of the browser's quota. Bytes.
    pub free_bytes: u64,
}

/// How a photo was captured; all of it optional, told by the host.
#[uniffi::remote(Record)]
pub struct CaptureFacts {
    /// The step of the capture flow, such as `odometer`.
    #[uniffi(default)]
    pub step_id: Option<String>,
    /// Taken now, or chosen among older ones.
    #[uniffi(default)]
    pub capture_method: Option<CaptureMethod>,
    /// 0..=100. Zero is a value.
    #[uniffi(default)]
    pub quality_score: Option<i64>,
    /// What is wrong with the picture: blur, glare, too_dark, skewed, obstructed, missing_content …
    #[uniffi(default)]
    pub quality_issues: Vec<String>,
    /// The flash.
    #[uniffi(default)]
    pub flash: Option<Flash>,
    /// The camera's side.
    #[uniffi(default)]
    pub facing: Option<Facing>,
    /// How often the person took it again before.
    #[uniffi(default)]
    pub retake_count: Option<i64>,
    /// From the opened camera to the confirmed picture, ms.
    #[uniffi(default)]
    pub capture_duration_ms: Option<i64>,
    /// Keys of a newer peer, kept.
    #[uniffi(default = "{}")]
    pub extra: JsonFields,
}

/// Where a photo came from.
#[uniffi::remote(Enum)]
pub enum CaptureMethod {
    /// The camera, now.
    Camera,
    /// A file chosen by the person.
    Upload,
    /// A way that a newer peer knows.
    Other(String),
}

/// How the flash was set.
#[uniffi::remote(Enum)]
pub enum Flash {
    /// As the camera thinks.
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
    /// A setting that a newer peer knows.
    Other(String),
}

/// Which side of the device looked at it.
#[uniffi::remote(Enum)]
pub enum Facing {
    /// Away from the person.
    Environment,
    /// Towards the person.
    User,
    /// A side that a newer peer knows.
    Other(String),
}

/// What to say anew of a photo on an event; what is absent stays.
#[uniffi::remote(Record)]
pub struct PhotoEdit {
    /// The person's words; an empty text clears them.
    #[uniffi(default)]
    pub caption: Option<String>,
    /// Its place among the event's photos, from 1.
    #[uniffi(default)]
    pub sequence: Option<i64>,
    /// Whether the person chose it to stand for the event.
    #[uniffi(default)]
    pub is_primary: Option<bool>,
}

/// What is known of one photo.
#[uniffi::remote(Record)]
pub struct PhotoFacts {
    /// Of the original bytes, before any resizing: the photo's identity.
    pub sha256: Hash,
    /// The original, bytes.
    pub size: u64,
    /// By its first bytes.
    pub mime: PhotoMime,
    /// As stored, before `orientation`, pixels; absent in a truncated file.
    pub width: Option<u32>,
    /// As stored, before `orientation`, pixels; absent in a truncated file.
    pub height: Option<u32>,
    /// EXIF's 1..=8: how to turn the stored picture for looking at it.
    pub orientation: Option<u8>,
    /// DateTimeOriginal, else DateTime, else DateTimeDigitized.
    pub taken_at: Option<PhotoTime>,
    /// DateTime: when a program last wrote the picture.
    pub modified_at: Option<PhotoTime>,
    /// The EXIF position, with source `exif`.
    pub position: Option<Fix>,
    /// Who made the camera.
    pub make: Option<String>,
    /// The camera's model.
    pub model: Option<String>,
    /// The program or firmware that wrote the file.
    pub software: Option<String>,
    /// What the device knew at the shutter.
    pub capture: CaptureFacts,
    /// Keys of a newer peer, kept.
    pub extra: JsonFields,
}

/// A kind of picture that is accepted as a photo.
#[uniffi::remote(Enum)]
pub enum PhotoMime {
    /// JPEG.
    Jpeg,
    /// PNG.
    Png,
    /// WebP.
    Webp,
    /// HEIF with HEVC inside, as phones write it.
    Heic,
    /// HEIF in general.
    Heif,
}

/// What could not be read of a photo that is kept all the same.
#[uniffi::remote(Enum)]
pub enum PhotoNote {
    /// The file ends before it says that it does.
    Truncated,
    /// The container contradicts itself; what came before that place was read.
    Malformed,
    /// Nothing says how many pixels it has.
    NoDimensions,
    /// The EXIF block is longer than `EXIF_BYTES_MAX`; its beginning was read.
    ExifCut,
    /// Something in the EXIF block cannot be read.
    ExifDamaged,
    /// The EXIF block lies before the table that names it, and was not supplied.
    ExifMissed,
}

/// `PhotoFlags`, to be written out.
#[uniffi::remote(Record)]
pub struct FlagsShown {
    /// A picture of a screen.
    pub screenshot: bool,
    /// Written again after it was taken.
    pub edited: bool,
    /// Taken more than seven days before.
    pub stale: bool,
}

/// A photo on an event, as everyone shows it.
#[uniffi::remote(Record)]
pub struct PhotoShown {
    /// SHA-256 of the original's bytes.
    pub photo: Hash,
    /// The operation of the newest statement about it; absent for another SQL client's.
    pub op_id: Option<OpId>,
    /// Where that operation stands. A refused one changes nothing but is shown.
    pub state: OpState,
    /// Its place among the event's photos, from 1.
    pub sequence: i64,
    /// The step of the flow that it answers.
    pub step_id: Option<String>,
    /// The person's words.
    pub caption: Option<String>,
    /// Whether it stands for the event.
    pub is_primary: bool,
    /// What it says about itself.
    pub facts: Option<PhotoFacts>,
    /// What a person should know of it, as it was when it was put on the event.
    pub flags: Option<FlagsShown>,
    /// Who said the newest of it.
    pub user_id: Option<UserId>,
    /// On which device.
    pub device_id: Option<DeviceId>,
    /// When the server received it; for this device's own until then, when it was said. UTC ms.
    pub said_at: Millis,
    /// Where the original's bytes are.
    pub original: Whereabouts,
    /// Where the preview's bytes are.
    pub preview: Whereabouts,
    /// Why this device has made no preview.
    pub preview_absent: Option<PreviewAbsence>,
}

/// Where the bytes of a picture are.
#[uniffi::remote(Record)]
pub struct Whereabouts {
    /// What names them, where it is known.
    pub sha256: Option<Hash>,
    /// On this device, whether taken here or fetched.
    pub here: bool,
    /// On the server, verified.
    pub on_server: bool,
    /// Their way up from this device, if they have one.
    pub upload: Option<UploadState>,
    /// What the server has acknowledged of them, bytes.
    pub acked: u64,
    /// The whole, bytes, where it is known here.
    pub bytes: Option<u64>,
}

/// Why there is no preview of a photo.
#[uniffi::remote(Enum)]
pub enum PreviewAbsence {
    /// HEIC or HEIF without a thumbnail inside; the host's system can decode it, we cannot.
    Heic,
    /// Decoding would take more memory than allowed.
    TooLarge,
    /// The bytes cannot be decoded.
    Damaged,
    /// This build makes none; the host does.
    NoDecoder,
    /// A reason that a newer peer knows.
    Other(String),
}

/// What is said of a photo on an event: that it is there, as which one, or that it is removed.
///
/// Statements are facts and all kept; of each photo of an event the newest counts (`attached`).
/// Deleting the one never deletes the other.
#[uniffi::remote(Record)]
pub struct Attachment {
    /// The event's vehicle.
    pub vehicle_id: VehicleId,
    /// The event.
    pub event_id: EventId,
    /// SHA-256 of the photo's original bytes.
    pub photo: Hash,
    /// Place among the event's photos, from 1. Two may share one, added on two devices.
    pub sequence: i64,
    /// The step of the capture flow that it answers; several photos of one step are fine.
    pub step_id: Option<String>,
    /// The person chose it to stand for the event.
    pub is_primary: bool,
    /// The person's own words.
    pub caption: Option<String>,
    /// What the photo says about itself. The first statement about a photo has them; the first
    /// ones that came count.
    pub facts: Option<Box<PhotoFacts>>,
    /// The photo is taken off the event. Its bytes stay.
    pub removed: bool,
    /// Why, in the person's words.
    pub reason: Option<String>,
    /// Keys of a newer peer, kept.
    pub extra: JsonFields,
}
