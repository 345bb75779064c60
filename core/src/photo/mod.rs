//! What a photo says about itself, and a small picture of it. Knows neither storage nor network.
//!
//! [`PhotoReader`] is fed the original as it is stored, chunk by chunk; it hashes on the way, keeps
//! only what metadata needs and at the end tells [`PhotoFacts`]. [`preview`](preview::preview) makes
//! a picture of 1,600 pixels with no metadata in it at all.
//!
//! ```
//! use motomind_core::photo::{PhotoError, PhotoReader};
//!
//! let mut reader = PhotoReader::new(Some("image/jpeg"));
//! assert_eq!(reader.feed(&[b'<'; 64]), Err(PhotoError::NotAPhoto));
//! ```

mod container;
mod exif;
mod heif;
pub mod preview;
mod read;
#[cfg(all(feature = "previews", not(all(target_family = "wasm", target_os = "unknown"))))]
mod scaled;
mod strip;
mod tiff;

pub use motomind_protocol::photo::{PhotoFacts, PhotoMime, PreviewAbsence};
pub use read::{PhotoError, PhotoNote, PhotoReader, PhotoReading};
pub use strip::strip;

/// What is read of one EXIF block, bytes; a JPEG's cannot be longer.
pub const EXIF_BYTES_MAX: usize = 64 * 1024;

/// What is read of a HEIF file's table of contents, bytes.
pub const HEIF_META_BYTES_MAX: usize = 256 * 1024;
