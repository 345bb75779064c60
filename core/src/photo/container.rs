//! Walks a picture's container, asking the stream only for headers and metadata.

use std::ops::Range;

use motomind_protocol::limits::LINE_CHARS_MAX;
use motomind_protocol::photo::PhotoMime;

use super::heif;
use super::read::PhotoNote;
use super::{EXIF_BYTES_MAX, exif};

/// What a scan asks of the stream next: leave out so much, then hand over so much.
#[derive(Clone, Copy, Debug)]
pub(super) struct Want {
    pub(super) skip: u64,
    pub(super) take: usize,
}

impl Want {
    pub(super) fn take(take: usize) -> Self {
        Self { skip: 0, take }
    }

    pub(super) fn after(skip: u64, take: usize) -> Self {
        Self { skip, take }
    }
}

/// What a scan has found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) dimensions: Option<(u32, u32)>,
    /// A TIFF structure.
    pub(super) exif: Option<Vec<u8>>,
    /// HEIF's own way to say an orientation.
    pub(super) rotation: Option<u8>,
    /// PNG's own way to name the program.
    pub(super) software: Option<String>,
    pub(super) missed: Option<Range<u64>>,
    pub(super) notes: Vec<PhotoNote>,
}

impl Found {
    pub(super) fn note(&mut self, note: PhotoNote) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    pub(super) fn pixels(&mut self, width: u32, height: u32) {
        if self.dimensions.is_none() && width > 0 && height > 0 {
            self.dimensions = Some((width, height));
        }
    }

    /// The first block counts; some writers put `Exif\0\0` before it where it does not belong.
    pub(super) fn exif_block(&mut self, block: &[u8]) {
        let block = block.strip_prefix(b"Exif\0\0").unwrap_or(block);
        if self.exif.is_none() {
            self.exif = Some(block.to_vec());
        }
    }

    /// An Exif item of HEIF begins with the distance to its TIFF structure.
    pub(super) fn heif_exif(&mut self, item: &[u8]) {
        let distance = item.first_chunk().map(|bytes| u32::from_be_bytes(*bytes) as usize);
        match distance.and_then(|distance| item.get(distance.checked_add(4)?..)) {
            Some(block) => self.exif_block(block),
            None => self.note(PhotoNote::ExifDamaged),
        }
    }
}

/// Where in its container a scan is.
#[derive(Debug)]
pub(super) enum Scan {
    Jpeg(Jpeg),
    Png(Png),
    Webp(Webp),
    Heif(heif::Heif),
}

impl Scan {
    pub(super) fn begin(mime: PhotoMime) -> (Self, Want) {
        match mime {
            PhotoMime::Jpeg => (Self::Jpeg(Jpeg::Header), Want::after(2, 4)),
            PhotoMime::Png => (Self::Png(Png::Header), Want::after(8, 8)),
            PhotoMime::Webp => (Self::Webp(Webp { end: None, at: 0, chunk: None }), Want::take(12)),
            PhotoMime::Heic | PhotoMime::Heif => (Self::Heif(heif::Heif::default()), Want::take(8)),
        }
    }

    /// Reads what was asked for; `None` when nothing more is wanted.
    pub(super) fn next(&mut self, taken: &[u8], found: &mut Found) -> Option<Want> {
        match self {
            Self::Jpeg(jpeg) => jpeg.next(taken, found),
            Self::Png(png) => png.next(taken, found),
            Self::Webp(webp) => webp.next(taken, found),
            Self::Heif(heif) => heif.next(taken, found),
        }
    }

    /// Sees the bytes that nobody wants.
    pub(super) fn watch(&mut self, bytes: &[u8]) {
        let Self::Jpeg(Jpeg::Body { last, ended }) = self else { return };
        let Some(first) = bytes.first() else { return };
        *ended = *ended
            || [*last, *first] == [0xff, 0xd9]
            || bytes.windows(2).any(|pair| pair == [0xff, 0xd9]);
        *last = bytes[bytes.len() - 1];
    }

    /// Whether the file should go on past its last byte.
    pub(super) fn ends_after(&self, size: u64) -> bool {
        match self {
            Self::Jpeg(Jpeg::Body { ended, .. }) => !ended,
            Self::Webp(webp) => webp.end.is_some_and(|end| end > size),
            Self::Heif(heif) => heif.ends_after(size),
            _ => false,
        }
    }
}

fn be32(bytes: &[u8]) -> u32 {
    bytes.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes))
}

fn le32(bytes: &[u8]) -> u32 {
    bytes.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

/// Segments up to the first scan; then only the end matters.
#[derive(Debug)]
pub(super) enum Jpeg {
    Header,
    /// A header of which the first byte was fill.
    Filled([u8; 3]),
    App1,
    Frame(u64),
    /// The picture itself.
    Body {
        last: u8,
        ended: bool,
    },
}

impl Jpeg {
    fn next(&mut self, taken: &[u8], found: &mut Found) -> Option<Want> {
        match *self {
            Self::Header => self.segment(taken, found),
            Self::Filled([a, b, c]) => self.segment(&[a, b, c, taken[0]], found),
            Self::App1 => {
                if taken.starts_with(b"Exif\0\0") {
                    found.exif_block(taken);
                }
                *self = Self::Header;
                Some(Want::take(4))
            }
            Self::Frame(rest) => {
                let side = |at: usize| u32::from(taken[at]) << 8 | u32::from(taken[at + 1]);
                found.pixels(side(3), side(1));
                *self = Self::Header;
                Some(Want::after(rest, 4))
            }
            Self::Body { .. } => None,
        }
    }

    fn segment(&mut self, taken: &[u8], found: &mut Found) -> Option<Want> {
        let &[0xff, marker, high, low] = taken else {
            return self.malformed(found);
        };
        let length = usize::from(u16::from_be_bytes([high, low]));
        match (marker, length) {
            (0xff, _) => {
                *self = Self::Filled([0xff, high, low]);
                Some(Want::take(1))
            }
            (0xda, _) => {
                *self = Self::Body { last: 0, ended: false };
                None
            }
            (0x00..=0xbf | 0xd0..=0xd9, _) | (_, ..2) => self.malformed(found),
            (0xe1, length) => {
                *self = Self::App1;
                Some(Want::take(length - 2))
            }
            (0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf, length @ 7..) => {
                *self = Self::Frame(length as u64 - 7);
                Some(Want::take(5))
            }
            (_, length) => {
                *self = Self::Header;
                Some(Want::after(length as u64 - 2, 4))
            }
        }
    }

    fn malformed(&mut self, found: &mut Found) -> Option<Want> {
        found.note(PhotoNote::Malformed);
        *self = Self::Body { last: 0, ended: true };
        None
    }
}

/// Chunks up to `IEND`.
#[derive(Debug)]
pub(super) enum Png {
    Header,
    Dimensions,
    Exif(u64),
    Text(u64),
    End,
}

/// What is read of a PNG's text, bytes.
const TEXT_BYTES_MAX: u32 = 4 * 1024;
const CHECKSUM: u64 = 4;

impl Png {
    fn next(&mut self, taken: &[u8], found: &mut Found) -> Option<Want> {
        let after = match *self {
            Self::Header => return self.chunk(taken, found),
            Self::End => return None,
            Self::Dimensions => {
                found.pixels(be32(taken), be32(&taken[4..]));
                5 + CHECKSUM
            }
            Self::Exif(rest) => {
                found.exif_block(taken);
                rest + CHECKSUM
            }
            Self::Text(rest) => {
                if let Some(text) = taken.strip_prefix(b"Software\0") {
                    found.software = exif::line(text, LINE_CHARS_MAX);
                }
                rest + CHECKSUM
            }
        };
        *self = Self::Header;
        Some(Want::after(after, 8))
    }

    fn chunk(&mut self, taken: &[u8], found: &mut Found) -> Option<Want> {
        let length = be32(taken);
        match &taken[4..] {
            b"IEND" => {
                *self = Self::End;
                return Some(Want::after(u64::from(length), CHECKSUM as usize));
            }
            b"IHDR" if length == 13 => *self = Self::Dimensions,
            b"eXIf" => {
                let (now, rest) = cut(u64::from(length), found);
                *self = Self::Exif(rest);
                return Some(Want::take(now));
            }
            b"tEXt" if length <= TEXT_BYTES_MAX => {
                *self = Self::Text(0);
                return Some(Want::take(length as usize));
            }
            name if length > i32::MAX as u32 || !name.iter().all(u8::is_ascii_alphabetic) => {
                found.note(PhotoNote::Malformed);
                return None;
            }
            _ => return Some(Want::after(u64::from(length) + CHECKSUM, 8)),
        }
        Some(Want::take(8))
    }
}

/// How much of an EXIF block is read and how much is left out.
pub(super) fn cut(length: u64, found: &mut Found) -> (usize, u64) {
    match usize::try_from(length) {
        Ok(length) if length <= EXIF_BYTES_MAX => (length, 0),
        _ => {
            found.note(PhotoNote::ExifCut);
            (EXIF_BYTES_MAX, length - EXIF_BYTES_MAX as u64)
        }
    }
}

/// RIFF chunks up to the length that the first header gives.
#[derive(Debug)]
pub(super) struct Webp {
    /// Where the file says that it ends.
    end: Option<u64>,
    /// Where the next chunk's header is.
    at: u64,
    /// The chunk whose beginning was asked for, and how much of it is left out after that.
    chunk: Option<([u8; 4], u64)>,
}

impl Webp {
    fn next(&mut self, taken: &[u8], found: &mut Found) -> Option<Want> {
        let Some(end) = self.end else {
            (self.end, self.at) = (Some(u64::from(le32(&taken[4..])) + 8), 12);
            return self.header(0);
        };
        if let Some((name, rest)) = self.chunk.take() {
            Self::content(&name, taken, found);
            return self.header(rest);
        }
        let length = u64::from(le32(&taken[4..]));
        let name = *taken.first_chunk()?;
        let padded = length + length % 2;
        self.at = self.at.saturating_add(8 + padded);
        if self.at > end.saturating_add(1) {
            found.note(PhotoNote::Malformed);
        }
        let wanted = match &name {
            b"EXIF" => cut(length, found).0,
            b"VP8X" | b"VP8 " if length >= 10 => 10,
            b"VP8L" if length >= 5 => 5,
            _ => 0,
        };
        if wanted == 0 {
            return self.header(padded);
        }
        self.chunk = Some((name, padded - wanted as u64));
        Some(Want::take(wanted))
    }

    fn header(&self, skip: u64) -> Option<Want> {
        let more = self.end.is_some_and(|end| self.at.saturating_add(8) <= end);
        more.then_some(Want::after(skip, 8))
    }

    fn content(name: &[u8; 4], taken: &[u8], found: &mut Found) {
        match name {
            b"EXIF" => found.exif_block(taken),
            b"VP8X" => {
                let side = |at: usize| (le32(&taken[at..]) & 0xff_ffff) + 1;
                let height = u32::from(taken[7]) | u32::from(taken[8]) << 8;
                found.pixels(side(4), (height | u32::from(taken[9]) << 16) + 1);
            }
            b"VP8 " if taken[3..6] == [0x9d, 0x01, 0x2a] => {
                let sides = le32(&taken[6..]);
                found.pixels(sides & 0x3fff, sides >> 16 & 0x3fff);
            }
            b"VP8L" if taken[0] == 0x2f => {
                let sides = le32(&taken[1..]);
                found.pixels((sides & 0x3fff) + 1, (sides >> 14 & 0x3fff) + 1);
            }
            _ => {}
        }
    }
}
