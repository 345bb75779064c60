//! A small picture of a photo, for screens and slow networks: turned upright, at most 1,600 pixels
//! long, with nothing in it but the picture. No position, serial number or owner leaves with it.

use std::io::{BufRead, Seek};

use super::{PhotoFacts, PhotoMime, PhotoReader, PreviewAbsence};

/// The longer side of a preview, pixels.
pub const PREVIEW_SIDE_MAX: u32 = 1_600;

/// JPEG quality of a preview, percent.
pub const PREVIEW_QUALITY: u8 = 80;

/// Memory that making a preview may take, bytes, where the whole picture must be decoded: the file
/// and its pixels. A JPEG seldom must.
pub const PREVIEW_MEMORY_BYTES_MAX: u64 = 88 * 1024 * 1024;

/// A preview that a host may hand in, bytes.
pub const PREVIEW_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A small picture, without metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preview {
    /// The file.
    pub bytes: Vec<u8>,
    /// What it is.
    pub mime: PhotoMime,
    /// Upright, pixels.
    pub width: u32,
    /// Upright, pixels.
    pub height: u32,
}

/// Makes a preview of an original. `thumbnail` is the JPEG that its reading found: a HEIC photo can
/// show only that.
///
/// # Errors
/// Why there is none, known before any pixel is decoded where that would take too much memory.
pub fn preview(
    original: impl BufRead + Seek,
    facts: &PhotoFacts,
    thumbnail: Option<&[u8]>,
) -> Result<Preview, PreviewAbsence> {
    let orientation = facts.orientation.unwrap_or(1);
    if !matches!(facts.mime, PhotoMime::Heic | PhotoMime::Heif) {
        return decoder::made(original, facts, orientation);
    }
    let thumbnail = thumbnail.ok_or(PreviewAbsence::Heic)?;
    let inside = facts_of(thumbnail).ok_or(PreviewAbsence::Heic)?;
    match decoder::made(std::io::Cursor::new(thumbnail), &inside, orientation) {
        Err(PreviewAbsence::Damaged) => Err(PreviewAbsence::Heic),
        made => made,
    }
}

/// Takes a preview that the host made and leaves out of it everything but the picture. Where this
/// build decodes, it is made anew; elsewhere it must be upright and small, and its metadata is cut
/// out.
///
/// # Errors
/// Why it cannot be taken.
pub fn from_host(given: &[u8]) -> Result<Preview, PreviewAbsence> {
    if given.len() > PREVIEW_BYTES_MAX {
        return Err(PreviewAbsence::TooLarge);
    }
    let facts = facts_of(given).ok_or(PreviewAbsence::Damaged)?;
    preview_or_cut(given, &facts)
}

fn preview_or_cut(given: &[u8], facts: &PhotoFacts) -> Result<Preview, PreviewAbsence> {
    match preview(std::io::Cursor::new(given), facts, None) {
        Err(PreviewAbsence::NoDecoder) => {}
        made => return made,
    }
    let upright = facts.orientation.unwrap_or(1) == 1;
    let (width, height) = facts.width.zip(facts.height).ok_or(PreviewAbsence::Damaged)?;
    if !upright || width.max(height) > PREVIEW_SIDE_MAX {
        return Err(PreviewAbsence::NoDecoder);
    }
    let bytes = super::strip(given, facts.mime).ok_or(PreviewAbsence::Damaged)?;
    Ok(Preview { bytes, mime: facts.mime, width, height })
}

fn facts_of(bytes: &[u8]) -> Option<PhotoFacts> {
    let mut reader = PhotoReader::new(None);
    reader.feed(bytes).ok()?;
    reader.finish().ok().map(|reading| reading.facts)
}

#[cfg(all(feature = "previews", not(all(target_family = "wasm", target_os = "unknown"))))]
mod decoder {
    use std::io::SeekFrom;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use image::codecs::jpeg::JpegEncoder;
    use image::metadata::Orientation;
    use image::{DynamicImage, ImageError, ImageFormat, ImageReader, Limits, RgbImage};

    use super::*;
    use crate::photo::scaled::{self, Frame, SCALED_MEMORY_BYTES_MAX};

    /// Bytes that a decoder needs for each pixel at the worst, as far as the header tells: the
    /// coefficients of a progressive JPEG beside its pixels, planes and pixels in WebP. How many
    /// a PNG needs its decoder finds out, and holds against the same budget.
    fn bytes_per_pixel(mime: PhotoMime, progressive: bool) -> u64 {
        match mime {
            PhotoMime::Jpeg if progressive => 9,
            PhotoMime::Jpeg => 3,
            PhotoMime::Webp => 7,
            _ => 1,
        }
    }

    pub(super) fn made(
        original: impl BufRead + Seek,
        facts: &PhotoFacts,
        orientation: u8,
    ) -> Result<Preview, PreviewAbsence> {
        // The decoders are tested with hostile files, but they are not ours: what one of them
        // cannot bear must not take a capture with it.
        let decoded = catch_unwind(AssertUnwindSafe(|| decode(original, facts)));
        let mut picture = decoded.unwrap_or(Err(PreviewAbsence::Damaged))?;
        let side = PREVIEW_SIDE_MAX;
        if picture.width().max(picture.height()) > side {
            picture = picture.thumbnail(side, side);
        }
        picture.apply_orientation(
            Orientation::from_exif(orientation).unwrap_or(Orientation::NoTransforms),
        );
        let picture = on_white(picture);
        let (width, height) = picture.dimensions();
        let mut bytes = Vec::new();
        JpegEncoder::new_with_quality(&mut bytes, PREVIEW_QUALITY)
            .encode_image(&picture)
            .map_err(|_| PreviewAbsence::Damaged)?;
        Ok(Preview { bytes, mime: PhotoMime::Jpeg, width, height })
    }

    fn decode(
        mut original: impl BufRead + Seek,
        facts: &PhotoFacts,
    ) -> Result<DynamicImage, PreviewAbsence> {
        let (width, height) = facts.width.zip(facts.height).ok_or(PreviewAbsence::Damaged)?;
        let pixels = u64::from(width) * u64::from(height);
        let format = match facts.mime {
            PhotoMime::Jpeg => ImageFormat::Jpeg,
            PhotoMime::Png => ImageFormat::Png,
            PhotoMime::Webp => ImageFormat::WebP,
            PhotoMime::Heic | PhotoMime::Heif => return Err(PreviewAbsence::Heic),
        };
        let frame = match facts.mime {
            PhotoMime::Jpeg => Frame::find(&mut original),
            _ => None,
        };
        // What is small is decoded as a whole, by the decoder that bears the most damage. Of what is
        // large no more than the preview needs.
        let is_large = facts.size.saturating_add(pixels * 3) > SCALED_MEMORY_BYTES_MAX;
        if let Some(frame) = frame.as_ref().filter(|_| is_large) {
            match scaled::decode(&mut original, frame, facts.size) {
                Err(PreviewAbsence::Damaged) => {}
                decoded => return decoded,
            }
        }
        original.seek(SeekFrom::Start(0)).map_err(|_| PreviewAbsence::Damaged)?;
        let progressive = frame.is_none_or(|frame| frame.progressive);
        let budget = PREVIEW_MEMORY_BYTES_MAX.saturating_sub(facts.size);
        if pixels.saturating_mul(bytes_per_pixel(facts.mime, progressive)) > budget {
            return Err(PreviewAbsence::TooLarge);
        }
        let mut limits = Limits::no_limits();
        (limits.max_image_width, limits.max_image_height) = (Some(width), Some(height));
        limits.max_alloc = Some(budget);
        let mut reader = ImageReader::with_format(original, format);
        reader.limits(limits);
        reader.decode().map_err(|error| match error {
            ImageError::Limits(_) => PreviewAbsence::TooLarge,
            _ => PreviewAbsence::Damaged,
        })
    }

    /// Eight bits a colour, with white behind whatever is transparent.
    fn on_white(picture: DynamicImage) -> RgbImage {
        if !picture.color().has_alpha() {
            return picture.into_rgb8();
        }
        let rgba = picture.into_rgba8();
        RgbImage::from_fn(rgba.width(), rgba.height(), |x, y| {
            let [r, g, b, alpha] = rgba.get_pixel(x, y).0;
            let over = |colour: u8| {
                let (colour, alpha) = (u16::from(colour), u16::from(alpha));
                // At most 255.
                ((colour * alpha + 255 * (255 - alpha)) / 255) as u8
            };
            image::Rgb([over(r), over(g), over(b)])
        })
    }
}

#[cfg(not(all(feature = "previews", not(all(target_family = "wasm", target_os = "unknown")))))]
mod decoder {
    use super::*;

    pub(super) fn made(
        _: impl BufRead + Seek,
        _: &PhotoFacts,
        _: u8,
    ) -> Result<Preview, PreviewAbsence> {
        Err(PreviewAbsence::NoDecoder)
    }
}
