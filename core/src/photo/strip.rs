//! Cuts out of a picture everything that is not the picture, without decoding it.

use super::PhotoMime;

/// The picture alone: no EXIF, XMP, IPTC, comment, colour profile, second picture or trailing bytes.
/// `None` where the container cannot be followed to its end, and for HEIC and HEIF.
#[must_use]
pub fn strip(bytes: &[u8], mime: PhotoMime) -> Option<Vec<u8>> {
    match mime {
        PhotoMime::Jpeg => jpeg(bytes),
        PhotoMime::Png => png(bytes),
        PhotoMime::Webp => webp(bytes),
        PhotoMime::Heic | PhotoMime::Heif => None,
    }
}

fn jpeg(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut rest = bytes.strip_prefix(&[0xff, 0xd8])?;
    let mut out = vec![0xff, 0xd8];
    loop {
        let (&[0xff, marker], after) = rest.split_first_chunk()? else { return None };
        match marker {
            0xff => rest = &rest[1..],
            0xd9 => {
                out.extend_from_slice(&[0xff, 0xd9]);
                return Some(out);
            }
            0xc0..=0xcf | 0xda..=0xdf | 0xe0..=0xef | 0xfe => {
                let length = usize::from(u16::from_be_bytes(*after.first_chunk()?));
                let end = match marker {
                    0xda => 2 + length.max(2) + scan_bytes(after.get(length..)?)?,
                    _ => 2 + length.max(2),
                };
                // JFIF says how pixels are shaped, Adobe which colours they have.
                let segment = rest.get(..end)?;
                let kept = match marker {
                    0xe0 => segment[4..].starts_with(b"JFIF\0") && length == 16,
                    0xee => segment[4..].starts_with(b"Adobe") && length == 14,
                    0xe1..=0xef | 0xfe => false,
                    _ => true,
                };
                if kept {
                    out.extend_from_slice(segment);
                }
                rest = &rest[end..];
            }
            _ => return None,
        }
    }
}

/// Up to the next marker that is neither an escaped byte nor a restart.
fn scan_bytes(bytes: &[u8]) -> Option<usize> {
    bytes.windows(2).position(|pair| pair[0] == 0xff && !matches!(pair[1], 0 | 0xd0..=0xd7))
}

fn png(bytes: &[u8]) -> Option<Vec<u8>> {
    let (signature, mut rest) = bytes.split_at_checked(8)?;
    let mut out = signature.to_vec();
    loop {
        let length = usize::try_from(u32::from_be_bytes(*rest.first_chunk()?)).ok()?;
        let (chunk, after) = rest.split_at_checked(length.checked_add(12)?)?;
        let name = &chunk[4..8];
        if matches!(name, b"IHDR" | b"PLTE" | b"IDAT" | b"IEND" | b"tRNS" | b"gAMA" | b"sRGB") {
            out.extend_from_slice(chunk);
        }
        if name == b"IEND" {
            return Some(out);
        }
        rest = after;
    }
}

fn webp(bytes: &[u8]) -> Option<Vec<u8>> {
    /// In `VP8X`: an ICC profile, EXIF, XMP follow.
    const METADATA_FLAGS: u8 = 0b0010_1100;
    let claimed = usize::try_from(u32::from_le_bytes(*bytes.get(4..)?.first_chunk()?)).ok()?;
    let mut rest = bytes.get(12..claimed.checked_add(8)?)?;
    let mut out = bytes[..12].to_vec();
    while !rest.is_empty() {
        let length = usize::try_from(u32::from_le_bytes(*rest.get(4..)?.first_chunk()?)).ok()?;
        let whole = length.checked_add(8 + length % 2)?;
        let (chunk, after) = rest.split_at_checked(whole)?;
        let start = out.len();
        if matches!(&chunk[..4], b"VP8X" | b"VP8 " | b"VP8L" | b"ALPH") {
            out.extend_from_slice(chunk);
        }
        if chunk.starts_with(b"VP8X") && length > 0 {
            out[start + 8] &= !METADATA_FLAGS;
        }
        rest = after;
    }
    let size = u32::try_from(out.len() - 8).ok()?;
    out[4..8].copy_from_slice(&size.to_le_bytes());
    Some(out)
}
