//! A large JPEG decoded at a half, a quarter or an eighth of its size, row by row as it is read: no
//! more of it is in memory than the small picture, whatever the file weighs.

use std::io::{Read, Seek, SeekFrom};

use image::{DynamicImage, GrayImage, RgbImage};
use jpeg_decoder::{Decoder, PixelFormat};

use super::PreviewAbsence;
use super::preview::{PREVIEW_MEMORY_BYTES_MAX, PREVIEW_SIDE_MAX};

/// What decoding may take, bytes: planes and pixels at the chosen size. A progressive one keeps its
/// coefficients as well, within what a whole picture may take.
pub(super) const SCALED_MEMORY_BYTES_MAX: u64 = 14 * 1024 * 1024;

/// Pixels for each byte of the file; no photo has more, a bomb has.
const PIXELS_PER_BYTE_MAX: u64 = 40;

/// What a frame header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    width: u16,
    height: u16,
    /// Coefficients of the whole picture are kept until the last scan.
    pub(super) progressive: bool,
    /// Horizontal and vertical samples of each component.
    samples: Vec<(u8, u8)>,
}

impl Frame {
    /// Finds the frame header; leaves the reader somewhere behind it.
    pub(super) fn find(original: &mut (impl Read + Seek)) -> Option<Self> {
        let mut at = 2;
        loop {
            original.seek(SeekFrom::Start(at)).ok()?;
            let mut header = [0; 4];
            original.read_exact(&mut header).ok()?;
            let [0xff, marker, high, low] = header else { return None };
            match marker {
                0xff => at += 1,
                0xc0..=0xc2 => return Self::read(original, marker == 0xc2),
                0xc3 | 0xc5..=0xc7 | 0xc9..=0xcf | 0xda => return None,
                _ => at += 2 + u64::from(u16::from_be_bytes([high, low])),
            }
        }
    }

    fn read(original: &mut impl Read, progressive: bool) -> Option<Self> {
        let mut fixed = [0; 6];
        original.read_exact(&mut fixed).ok()?;
        let [_, high, low, wide, narrow, count] = fixed;
        let (height, width) = (u16::from_be_bytes([high, low]), u16::from_be_bytes([wide, narrow]));
        let mut samples = Vec::new();
        for _ in 0..count.min(4) {
            let mut component = [0; 3];
            original.read_exact(&mut component).ok()?;
            samples.push((component[1] >> 4, component[1] & 15));
        }
        let is_sound = samples.iter().all(|(h, v)| (1..=4).contains(h) && (1..=4).contains(v));
        (width > 0 && height > 0 && is_sound && matches!(count, 1 | 3)).then_some(Self {
            width,
            height,
            progressive,
            samples,
        })
    }

    /// The longer side in eighths of the whole, pixels.
    fn side(&self, eighths: u64) -> u64 {
        (u64::from(self.width.max(self.height)) * eighths).div_ceil(8)
    }

    /// What decoding at so many eighths takes, bytes.
    fn memory(&self, eighths: u64) -> u64 {
        let most =
            |side: fn(&(u8, u8)) -> u8| u64::from(self.samples.iter().map(side).max().unwrap_or(1));
        let (h_max, v_max) = (most(|(h, _)| *h), most(|(_, v)| *v));
        // Planes are padded to whole blocks.
        let padded = |side: u16, samples: u64| u64::from(side).next_multiple_of(8 * samples);
        let pixels = padded(self.width, h_max) * padded(self.height, v_max);
        let of_all: u64 = self.samples.iter().map(|(h, v)| u64::from(*h) * u64::from(*v)).sum();
        let planes = (pixels * of_all).div_ceil(h_max * v_max);
        let coefficients = if self.progressive { 2 * planes } else { 0 };
        let scaled = |bytes: u64| (bytes * eighths * eighths).div_ceil(64);
        let interleaved = match self.samples.len() {
            1 => 0,
            components => scaled(pixels) * components as u64,
        };
        scaled(planes) + interleaved + coefficients
    }

    /// In how many eighths it is decoded: the fewest that fill a preview, fewer where those take too
    /// much.
    fn eighths(&self) -> Option<u64> {
        let fills = |eighths: &u64| self.side(*eighths) >= u64::from(PREVIEW_SIDE_MAX);
        let enough = [1, 2, 4].into_iter().find(fills).unwrap_or(8);
        // All coefficients of a progressive one, or none of it.
        let most = match self.progressive {
            true => PREVIEW_MEMORY_BYTES_MAX,
            false => SCALED_MEMORY_BYTES_MAX,
        };
        let fits = |eighths: &u64| self.memory(*eighths) <= most;
        [8, 4, 2, 1].into_iter().filter(|eighths| *eighths <= enough).find(fits)
    }
}

/// Decodes a JPEG that is larger than a preview.
///
/// # Errors
/// [`PreviewAbsence::TooLarge`] where even an eighth takes too much, [`PreviewAbsence::Damaged`] for
/// what this decoder cannot read.
pub(super) fn decode(
    original: &mut (impl Read + Seek),
    frame: &Frame,
    bytes: u64,
) -> Result<DynamicImage, PreviewAbsence> {
    let pixels = u64::from(frame.width) * u64::from(frame.height);
    if pixels > bytes.saturating_mul(PIXELS_PER_BYTE_MAX) {
        return Err(PreviewAbsence::TooLarge);
    }
    let eighths = frame.eighths().ok_or(PreviewAbsence::TooLarge)?;
    let damaged = |_| PreviewAbsence::Damaged;
    original.seek(SeekFrom::Start(0)).map_err(|_| PreviewAbsence::Damaged)?;
    let mut decoder = Decoder::new(original);
    decoder.set_max_decoding_buffer_size(SCALED_MEMORY_BYTES_MAX as usize);
    decoder.read_info().map_err(damaged)?;
    let is_same =
        |info: jpeg_decoder::ImageInfo| (info.width, info.height) == (frame.width, frame.height);
    if !decoder.info().is_some_and(is_same) {
        return Err(PreviewAbsence::Damaged);
    }
    if eighths < 8 {
        let scaled = |side: u16| (u32::from(side) * eighths as u32).div_ceil(8) as u16;
        decoder.scale(scaled(frame.width), scaled(frame.height)).map_err(damaged)?;
    }
    let pixels = decoder.decode().map_err(damaged)?;
    let info = decoder.info().ok_or(PreviewAbsence::Damaged)?;
    let (width, height) = (u32::from(info.width), u32::from(info.height));
    let picture = match info.pixel_format {
        PixelFormat::RGB24 => RgbImage::from_raw(width, height, pixels).map(Into::into),
        PixelFormat::L8 => GrayImage::from_raw(width, height, pixels).map(Into::into),
        PixelFormat::L16 | PixelFormat::CMYK32 => None,
    };
    picture.ok_or(PreviewAbsence::Damaged)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(width: u16, height: u16, progressive: bool, luma: (u8, u8)) -> Frame {
        Frame { width, height, progressive, samples: vec![luma, (1, 1), (1, 1)] }
    }

    #[test]
    fn no_more_is_decoded_than_fills_a_preview_and_fits() {
        // 12, 50 and 108 megapixels, as phones store them.
        assert_eq!(frame(4_032, 3_024, false, (2, 2)).eighths(), Some(4));
        assert_eq!(frame(8_160, 6_144, false, (2, 2)).eighths(), Some(2));
        assert_eq!(frame(12_000, 9_000, false, (2, 2)).eighths(), Some(1));
        // All colours of every pixel.
        assert_eq!(frame(4_032, 3_024, false, (1, 1)).eighths(), Some(2));
        assert_eq!(frame(1_200, 900, false, (1, 1)).eighths(), Some(8));
        assert_eq!(frame(60_000, 60_000, false, (1, 1)).eighths(), None);
        // A progressive one keeps its coefficients.
        assert_eq!(frame(4_032, 3_024, true, (2, 2)).eighths(), Some(4));
        assert_eq!(frame(8_160, 6_144, true, (2, 2)).eighths(), None);
    }

    #[test]
    fn a_frame_is_found_behind_whatever_comes_before_it() {
        let find = |bytes: &[u8]| Frame::find(&mut std::io::Cursor::new(bytes));
        let jpeg = b"\xff\xd8\xff\xe1\0\x04ab\xff\xff\xc0\0\x11\x08\0\x10\0\x20\x03\x01\x22\0\x02\x11\x01\x03\x11\x01";
        let found = find(jpeg).unwrap();
        assert_eq!((found.width, found.height, found.progressive), (32, 16, false));
        assert_eq!(found.samples, [(2, 2), (1, 1), (1, 1)]);
        for end in 0..jpeg.len() {
            assert_eq!(find(&jpeg[..end]), None);
        }
    }
}
