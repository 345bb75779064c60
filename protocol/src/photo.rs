//! What a photo says about itself, and which of that is believed.
//!
//! A photo is its original bytes: [`PhotoFacts::sha256`] is its identity, everything else is read
//! from the bytes or told by the device at the shutter. Flags inform, they never refuse.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::limits::*;
use crate::validate::nests_deeper;
use crate::{Fix, Hash, Millis, Violation, code};

mod attachment;
mod mime;
mod time;

pub use attachment::{Attached, Attachment, attached, facts, validate_attachments};
pub use mime::{MAGIC_BYTES, NotAPhoto, PhotoMime};
pub use time::{BadPhotoTime, PhotoTime, parse_offset};

/// What is known of one photo.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
pub struct PhotoFacts {
    /// Of the original bytes, before any resizing: the photo's identity.
    pub sha256: Hash,
    /// The original, bytes.
    pub size: u64,
    /// By its first bytes.
    pub mime: PhotoMime,
    /// As stored, before [`PhotoFacts::orientation`], pixels; absent in a truncated file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// As stored, before [`PhotoFacts::orientation`], pixels; absent in a truncated file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// EXIF's 1..=8: how to turn the stored picture for looking at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub orientation: Option<u8>,
    /// DateTimeOriginal, else DateTime, else DateTimeDigitized.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_at: Option<PhotoTime>,
    /// DateTime: when a program last wrote the picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified_at: Option<PhotoTime>,
    /// The EXIF position, with source `exif`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<Fix>,
    /// Who made the camera.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub make: Option<String>,
    /// The camera's model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The program or firmware that wrote the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub software: Option<String>,
    /// What the device knew at the shutter.
    #[serde(default, skip_serializing_if = "CaptureFacts::is_empty")]
    pub capture: CaptureFacts,
    /// Keys of a newer peer, kept.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// How a photo was captured; all of it optional, told by the host.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
pub struct CaptureFacts {
    /// The step of the capture flow, such as `odometer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_id: Option<String>,
    /// Taken now, or chosen among older ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capture_method: Option<CaptureMethod>,
    /// 0..=100. Zero is a value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality_score: Option<i64>,
    /// What is wrong with the picture: blur, glare, too_dark, skewed, obstructed, missing_content …
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quality_issues: Vec<String>,
    /// The flash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flash: Option<Flash>,
    /// The camera's side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facing: Option<Facing>,
    /// How often the person took it again before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retake_count: Option<i64>,
    /// From the opened camera to the confirmed picture, ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capture_duration_ms: Option<i64>,
    /// Keys of a newer peer, kept.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Where a photo came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum CaptureMethod {
    /// The camera, now.
    Camera,
    /// A file chosen by the person.
    Upload,
    /// A way that a newer peer knows.
    #[serde(untagged)]
    Other(String),
}

/// How the flash was set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum Flash {
    /// As the camera thinks.
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
    /// A setting that a newer peer knows.
    #[serde(untagged)]
    Other(String),
}

/// Which side of the device looked at it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum Facing {
    /// Away from the person.
    Environment,
    /// Towards the person.
    User,
    /// A side that a newer peer knows.
    #[serde(untagged)]
    Other(String),
}

/// Why there is no preview of a photo.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
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
    #[serde(untagged)]
    Other(String),
}

/// What a person should know before trusting a photo. Informs, never refuses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
pub struct PhotoFlags {
    /// A picture of a screen: a tool for that is named, or an upload names no device at all.
    pub screenshot: bool,
    /// Written again more than five minutes after it was taken, or by an editor.
    pub edited: bool,
    /// Taken more than seven days ago.
    pub stale: bool,
}

impl CaptureFacts {
    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl PhotoFacts {
    /// The facts that every photo has.
    #[must_use]
    pub fn new(sha256: Hash, size: u64, mime: PhotoMime) -> Self {
        Self {
            sha256,
            size,
            mime,
            width: None,
            height: None,
            orientation: None,
            taken_at: None,
            modified_at: None,
            position: None,
            make: None,
            model: None,
            software: None,
            capture: CaptureFacts::default(),
            extra: Map::new(),
        }
    }

    /// How long before `now` it was taken, ms, for [`crate::position::Sources::photo_age_ms`].
    ///
    /// A local time without an offset can be any of 26 hours: the least age is said where that is a
    /// day or more, otherwise the age is unknown and the photo never counts as fresh.
    #[must_use]
    pub fn age_ms(&self, now: Millis) -> Option<Millis> {
        let taken = self.taken_at?;
        match taken.utc_ms() {
            Some(instant) => Some(now.saturating_sub(instant)),
            None => Some(now.saturating_sub(taken.bounds_ms().1)).filter(|least| *least >= DAY_MS),
        }
    }

    /// What to know before trusting it, at the time of the capture (`now`, UTC ms).
    #[must_use]
    pub fn flags(&self, now: Millis) -> PhotoFlags {
        let names = |words: &[&str], text: &Option<String>| {
            text.as_ref().is_some_and(|text| names_any(words, text))
        };
        let unnamed = self.make.is_none() && self.model.is_none() && self.software.is_none();
        let upload = self.capture.capture_method == Some(CaptureMethod::Upload);
        let screenshot = names(SCREENSHOT_TOOLS, &self.software)
            || names(SCREENSHOT_TOOLS, &self.model)
            || upload && unnamed;
        let rewritten = self.taken_at.zip(self.modified_at).is_some_and(|(taken, modified)| {
            modified.at_least_after_ms(&taken) > PHOTO_EDITED_AFTER_MS
        });
        let edited = rewritten || names(EDITORS, &self.software);
        let stale = self
            .taken_at
            .is_some_and(|taken| now.saturating_sub(taken.bounds_ms().1) > PHOTO_STALE_AFTER_MS);
        PhotoFlags { screenshot, edited, stale }
    }
}

/// Programs that photograph screens, in lower case.
const SCREENSHOT_TOOLS: &[&str] = &[
    "screenshot",
    "screen capture",
    "screencapture",
    "snipping tool",
    "grab",
    "flameshot",
    "greenshot",
    "sharex",
    "spectacle",
];

/// Programs that change pictures, in lower case.
const EDITORS: &[&str] = &[
    "photoshop",
    "gimp",
    "lightroom",
    "edited",
    "modified",
    "snapseed",
    "pixelmator",
    "affinity",
    "darktable",
    "picsart",
    "paint.net",
    "facetune",
];

/// Whether a text names one of some programs, as words of their own.
fn names_any(words: &[&str], text: &str) -> bool {
    let text = text.to_lowercase();
    words.iter().any(|word| {
        text.match_indices(word).any(|(at, found)| {
            let touches = |c: Option<char>| c.is_some_and(char::is_alphabetic);
            let (before, after) = (text[..at].chars(), text[at + found.len()..].chars());
            !touches(before.last()) && !touches({ after }.next())
        })
    })
}

/// Checks everything about a photo that can be judged from its facts alone.
///
/// # Errors
/// Every [`Violation`], not only the first.
pub fn validate(facts: &PhotoFacts) -> Result<(), Vec<Violation>> {
    let mut out = Vec::new();
    if facts.size == 0 {
        out.push(Violation::new("size", code::OUT_OF_RANGE, "the photo has no bytes"));
    } else if facts.size > PHOTO_BYTES_MAX {
        let message = format!("a photo may have at most {PHOTO_BYTES_MAX} bytes");
        out.push(Violation::new("size", code::TOO_LARGE, message));
    }
    pixels(facts, &mut out);
    whole("orientation", facts.orientation.map(i64::from), 1, 8, &mut out);
    for (field, text) in
        [("make", &facts.make), ("model", &facts.model), ("software", &facts.software)]
    {
        line(field, text.as_deref(), LINE_CHARS_MAX, &mut out);
    }
    if let Some(position) = &facts.position {
        position.violations("position", &mut out);
    }
    capture(&facts.capture, &mut out);
    let fix = facts.position.iter().flat_map(|fix| &fix.extra);
    for (key, value) in facts.extra.iter().chain(&facts.capture.extra).chain(fix) {
        if nests_deeper(value, NESTING_MAX) {
            let message = format!("{key} may nest at most {NESTING_MAX} lists and objects");
            out.push(Violation::new(key.clone(), code::TOO_DEEP, message));
        }
    }
    if out.is_empty() { Ok(()) } else { Err(out) }
}

fn pixels(facts: &PhotoFacts, out: &mut Vec<Violation>) {
    for (field, pixels) in [("width", facts.width), ("height", facts.height)] {
        if pixels == Some(0) {
            let message = format!("{field} must be above 0");
            out.push(Violation::new(field, code::OUT_OF_RANGE, message));
        }
    }
    let (width, height) = (facts.width.unwrap_or(0), facts.height.unwrap_or(0));
    if u64::from(width) * u64::from(height) > PHOTO_PIXELS_MAX {
        let message = format!("a photo may have at most {PHOTO_PIXELS_MAX} pixels");
        out.push(Violation::new("width", code::TOO_LARGE, message));
    }
}

fn capture(capture: &CaptureFacts, out: &mut Vec<Violation>) {
    step_id("capture.step_id", capture.step_id.as_deref(), out);
    whole("capture.quality_score", capture.quality_score, 0, 100, out);
    whole("capture.retake_count", capture.retake_count, 0, RETAKES_MAX, out);
    whole("capture.capture_duration_ms", capture.capture_duration_ms, 0, i64::MAX, out);
    if capture.quality_issues.len() > LIST_ENTRIES_MAX {
        let message = format!("quality_issues may have at most {LIST_ENTRIES_MAX} entries");
        out.push(Violation::new("capture.quality_issues", code::TOO_LONG, message));
    }
    for issue in &capture.quality_issues {
        line("capture.quality_issues", Some(issue), LINE_CHARS_MAX, out);
    }
    let others = [
        (
            "capture.capture_method",
            match &capture.capture_method {
                Some(CaptureMethod::Other(word)) => Some(word),
                _ => None,
            },
        ),
        (
            "capture.flash",
            match &capture.flash {
                Some(Flash::Other(word)) => Some(word),
                _ => None,
            },
        ),
        (
            "capture.facing",
            match &capture.facing {
                Some(Facing::Other(word)) => Some(word),
                _ => None,
            },
        ),
    ];
    for (field, word) in others {
        line(field, word.map(String::as_str), TYPE_CHARS_MAX, out);
    }
}

fn whole(field: &str, value: Option<i64>, min: i64, max: i64, out: &mut Vec<Violation>) {
    if value.is_some_and(|value| !(min..=max).contains(&value)) {
        let message = format!("{field} must be between {min} and {max}");
        out.push(Violation::new(field, code::OUT_OF_RANGE, message));
    }
}

fn line(field: &str, text: Option<&str>, max: usize, out: &mut Vec<Violation>) {
    if text.is_some_and(|text| text.chars().count() > max) {
        let message = format!("{field} may have at most {max} characters");
        out.push(Violation::new(field, code::TOO_LONG, message));
    }
}

/// The name of a step: ours and those that a newer peer knows look alike.
pub(crate) fn step_id(field: &str, text: Option<&str>, out: &mut Vec<Violation>) {
    let Some(text) = text else { return };
    let form = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if text.is_empty() || text.len() > STEP_ID_CHARS_MAX || !text.chars().all(form) {
        let message = format!(
            "{field} must be 1 to {STEP_ID_CHARS_MAX} of a to z, 0 to 9 and _, such as fl_tread"
        );
        out.push(Violation::new(field, code::BAD_FORMAT, message));
    }
}
