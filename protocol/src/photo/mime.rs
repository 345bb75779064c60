//! What kind of picture some bytes are. Their first bytes decide, never a name or a claim.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Violation, code};

/// So many first bytes are enough for [`PhotoMime::sniff`].
pub const MAGIC_BYTES: usize = 64;

/// A kind of picture that is accepted as a photo.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
pub enum PhotoMime {
    /// JPEG.
    #[serde(rename = "image/jpeg")]
    Jpeg,
    /// PNG.
    #[serde(rename = "image/png")]
    Png,
    /// WebP.
    #[serde(rename = "image/webp")]
    Webp,
    /// HEIF with HEVC inside, as phones write it.
    #[serde(rename = "image/heic")]
    Heic,
    /// HEIF in general.
    #[serde(rename = "image/heif")]
    Heif,
}

impl PhotoMime {
    /// The name in `Content-Type` and on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::Webp => "image/webp",
            Self::Heic => "image/heic",
            Self::Heif => "image/heif",
        }
    }

    /// The usual ending of a file's name, without the dot.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Self::Jpeg => "jpg",
            Self::Png => "png",
            Self::Webp => "webp",
            Self::Heic => "heic",
            Self::Heif => "heif",
        }
    }

    /// Reads the first bytes of a file ([`MAGIC_BYTES`] are enough); `None` when they begin no
    /// picture of an accepted kind.
    #[must_use]
    pub fn sniff(first: &[u8]) -> Option<Self> {
        match first {
            [0xff, 0xd8, 0xff, ..] => Some(Self::Jpeg),
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(Self::Png),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(Self::Webp),
            [_, _, _, _, b'f', b't', b'y', b'p', rest @ ..] => heif(first, rest),
            _ => None,
        }
    }

    /// Whether the first bytes of a file ([`MAGIC_BYTES`] are enough) begin a picture of this kind.
    /// HEIC and HEIF are two names of one container.
    #[must_use]
    pub fn fits(self, first: &[u8]) -> bool {
        Self::sniff(first).is_some_and(|found| found.container() == self.container())
    }

    /// HEIC is one of the HEIFs.
    fn container(self) -> Self {
        if self == Self::Heic { Self::Heif } else { self }
    }

    /// Holds a claimed media type against the bytes, as `fits` and `from_str` do.
    ///
    /// # Errors
    /// [`code::MIME_MISMATCH`] on `mime` when the claim is another kind.
    pub fn check_claim(self, claimed: &str) -> Result<(), Violation> {
        if claimed.parse().is_ok_and(|claimed: Self| claimed.container() == self.container()) {
            return Ok(());
        }
        let claimed: String = claimed.chars().filter(|c| !c.is_control()).take(64).collect();
        let message = format!("the file is {}, not {claimed}", self.as_str());
        Err(Violation::new("mime", code::MIME_MISMATCH, message))
    }
}

impl fmt::Display for PhotoMime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A media type that no photo has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a photo is image/jpeg, image/png, image/webp, image/heic or image/heif")]
pub struct NotAPhoto;

impl FromStr for PhotoMime {
    type Err = NotAPhoto;
    /// Parameters after a semicolon do not matter; `image/jpg` is a common slip.
    fn from_str(text: &str) -> Result<Self, NotAPhoto> {
        let name = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match name.as_str() {
            "image/jpeg" | "image/jpg" => Ok(Self::Jpeg),
            "image/png" => Ok(Self::Png),
            "image/webp" => Ok(Self::Webp),
            "image/heic" => Ok(Self::Heic),
            "image/heif" => Ok(Self::Heif),
            _ => Err(NotAPhoto),
        }
    }
}

/// The `ftyp` box: the major brand decides; a general one (`mif1`) is narrowed by the others.
fn heif(first: &[u8], rest: &[u8]) -> Option<PhotoMime> {
    const HEVC: [&[u8]; 8] =
        [b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs"];
    let size = u32::from_be_bytes(first.get(..4)?.try_into().ok()?) as usize;
    let major = rest.get(..4)?;
    if HEVC.contains(&major) {
        return Some(PhotoMime::Heic);
    }
    if ![b"mif1", b"mif2", b"msf1"].iter().any(|general| *general == major) {
        return None;
    }
    let brands = rest.get(8..size.saturating_sub(8).min(rest.len())).unwrap_or_default();
    let mut brands = brands.chunks_exact(4);
    if brands.clone().any(|brand| matches!(brand, b"avif" | b"avis")) {
        return None;
    }
    Some(if brands.any(|brand| HEVC.contains(&brand)) { PhotoMime::Heic } else { PhotoMime::Heif })
}
