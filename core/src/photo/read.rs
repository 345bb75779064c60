//! Reads a photo as it streams by.

use std::ops::Range;

use motomind_protocol::photo::{MAGIC_BYTES, PhotoFacts, PhotoMime};
use motomind_protocol::{Hash, Violation, limits};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::container::{Found, Scan, Want};
use super::exif;

/// Why bytes are not taken as a photo.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PhotoError {
    /// There is not a single byte.
    #[error("the photo has no bytes")]
    Empty,
    /// They begin no JPEG, PNG, WebP, HEIC or HEIF.
    #[error("this is no JPEG, PNG, WebP, HEIC or HEIF picture")]
    NotAPhoto,
    /// They are another kind of picture than was claimed.
    #[error("{}", .0.message)]
    WrongMime(Violation),
    /// More than [`limits::PHOTO_BYTES_MAX`].
    #[error("a photo may have at most {} MiB", limits::PHOTO_BYTES_MAX / (1024 * 1024))]
    TooLarge,
    /// More than [`limits::PHOTO_PIXELS_MAX`].
    #[error("{width} × {height} are more than {} megapixels", limits::PHOTO_PIXELS_MAX / 1_000_000)]
    TooManyPixels {
        /// As claimed by the file.
        width: u32,
        /// As claimed by the file.
        height: u32,
    },
}

/// What could not be read of a photo that is kept all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum PhotoNote {
    /// The file ends before it says that it does.
    Truncated,
    /// The container contradicts itself; what came before that place was read.
    Malformed,
    /// Nothing says how many pixels it has.
    NoDimensions,
    /// The EXIF block is longer than [`super::EXIF_BYTES_MAX`]; its beginning was read.
    ExifCut,
    /// Something in the EXIF block cannot be read.
    ExifDamaged,
    /// The EXIF block lies before the table that names it, and was not supplied.
    ExifMissed,
}

/// A photo that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct PhotoReading {
    /// What it says; passes [`motomind_protocol::photo::validate`].
    pub facts: PhotoFacts,
    /// What could not be read, each once.
    pub notes: Vec<PhotoNote>,
    /// The JPEG in its EXIF block, as it is there.
    pub thumbnail: Option<Vec<u8>>,
}

/// Reads a photo from chunks of any size, in the order of the file. Keeps at most
/// [`super::EXIF_BYTES_MAX`] and [`super::HEIF_META_BYTES_MAX`] of it.
#[derive(Debug)]
pub struct PhotoReader {
    claimed: Option<String>,
    hash: Sha256,
    size: u64,
    mime: Option<PhotoMime>,
    /// `None` until the first bytes have said what it is.
    scan: Option<Scan>,
    /// `None` when the scan has seen enough.
    want: Option<Want>,
    taken: Vec<u8>,
    found: Found,
    failed: Option<PhotoError>,
}

impl PhotoReader {
    /// A reader, holding a claimed media type against the bytes where there is one.
    #[must_use]
    pub fn new(claimed: Option<&str>) -> Self {
        Self {
            claimed: claimed.map(String::from),
            hash: Sha256::new(),
            size: 0,
            mime: None,
            scan: None,
            want: Some(Want::take(MAGIC_BYTES)),
            taken: Vec::new(),
            found: Found::default(),
            failed: None,
        }
    }

    /// Takes the next bytes of the file.
    ///
    /// # Errors
    /// [`PhotoError`] as soon as it is certain, and again for whatever comes after.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), PhotoError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        self.size += bytes.len() as u64;
        self.hash.update(bytes);
        let too_large = self.size > limits::PHOTO_BYTES_MAX;
        let outcome = if too_large { Err(PhotoError::TooLarge) } else { self.scan(bytes) };
        self.failed = outcome.clone().err();
        outcome
    }

    /// The bytes of the file that hold the EXIF block, where they went by before the file said so
    /// (a HEIF file may have its table at the end). Asked after the last chunk; whoever has the file
    /// hands them to [`PhotoReader::supply`].
    #[must_use]
    pub fn missed(&self) -> Option<Range<u64>> {
        self.found.missed.clone()
    }

    /// Takes the bytes of [`PhotoReader::missed`].
    pub fn supply(&mut self, bytes: &[u8]) {
        if self.found.missed.take().is_some() {
            self.found.heif_exif(bytes);
        }
    }

    /// Ends the file and says what it is.
    ///
    /// # Errors
    /// [`PhotoError`].
    pub fn finish(mut self) -> Result<PhotoReading, PhotoError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        if self.size == 0 {
            return Err(PhotoError::Empty);
        }
        if self.mime.is_none() {
            self.recognise()?;
        }
        let mime = self.mime.ok_or(PhotoError::NotAPhoto)?;
        let hash: [u8; 32] = self.hash.finalize().into();
        let mut found = self.found;
        if self.want.is_some() || self.scan.is_some_and(|scan| scan.ends_after(self.size)) {
            found.note(PhotoNote::Truncated);
        }
        if found.missed.is_some() {
            found.note(PhotoNote::ExifMissed);
        }
        let mut facts = PhotoFacts::new(Hash(hash), self.size, mime);
        (facts.width, facts.height) = found.dimensions.unzip();
        if found.dimensions.is_none() {
            found.note(PhotoNote::NoDimensions);
        }
        let mut thumbnail = None;
        if let Some(block) = found.exif.take() {
            let read = exif::read(&block, &mut facts);
            thumbnail = read.thumbnail.map(|range| block[range].to_vec());
            if read.damaged {
                found.note(PhotoNote::ExifDamaged);
            }
        }
        facts.orientation = found.rotation.or(facts.orientation);
        facts.software = facts.software.or(found.software.take());
        found.notes.sort_unstable();
        Ok(PhotoReading { facts, notes: found.notes, thumbnail })
    }

    fn scan(&mut self, mut bytes: &[u8]) -> Result<(), PhotoError> {
        while let Some(want) = &mut self.want {
            let skipped = want.skip.min(bytes.len() as u64);
            want.skip -= skipped;
            // The shorter of two lengths of which one is a slice's.
            bytes = &bytes[usize::try_from(skipped).unwrap_or(bytes.len())..];
            let missing = want.take - self.taken.len();
            let (now, later) = bytes.split_at(missing.min(bytes.len()));
            self.taken.extend_from_slice(now);
            bytes = later;
            if want.skip > 0 || self.taken.len() < want.take {
                return Ok(());
            }
            match &mut self.scan {
                None => self.recognise()?,
                Some(scan) => {
                    self.want = scan.next(&self.taken, &mut self.found);
                    self.taken.clear();
                }
            }
            self.check_pixels()?;
        }
        if let Some(scan) = &mut self.scan {
            scan.watch(bytes);
        }
        Ok(())
    }

    /// Decides by the first bytes, then reads them as that.
    fn recognise(&mut self) -> Result<(), PhotoError> {
        let head = std::mem::take(&mut self.taken);
        let mime = PhotoMime::sniff(&head).ok_or(PhotoError::NotAPhoto)?;
        if let Some(claimed) = &self.claimed {
            mime.check_claim(claimed).map_err(PhotoError::WrongMime)?;
        }
        let (scan, want) = Scan::begin(mime);
        (self.mime, self.scan, self.want) = (Some(mime), Some(scan), Some(want));
        self.scan(&head)
    }

    fn check_pixels(&self) -> Result<(), PhotoError> {
        match self.found.dimensions {
            Some((width, height))
                if u64::from(width) * u64::from(height) > limits::PHOTO_PIXELS_MAX =>
            {
                Err(PhotoError::TooManyPixels { width, height })
            }
            _ => Ok(()),
        }
    }
}
