//! Small pictures of photos: the host's, ours, or made later, away from the shutter.

use motomind_protocol::photo::{PhotoFacts, PreviewAbsence};
use motomind_protocol::{Hash, Millis, PhotoMime};
use rusqlite::Connection;

use super::album::{self, Kept};
use super::{blobs, uploads};
use crate::device::Device;
use crate::error::{CaptureError, StoreError};
use crate::photo::preview::{self, Preview};
use crate::photo::{EXIF_BYTES_MAX, PhotoReader};

/// A small picture of the photo.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum HostPreview {
    /// The host has none: one is made here, where this build can.
    #[default]
    None,
    /// The host's own, JPEG, PNG or WebP. Only the picture is taken from it.
    Bytes(Vec<u8>),
    /// Not now: [`Device::make_preview`] makes it later, away from the shutter.
    Later,
}

impl Device {
    /// Makes the preview of a photo that has none yet, and queues it where an event has the photo.
    ///
    /// # Errors
    /// [`CaptureError::UnknownPhoto`] where its original is not here.
    pub fn make_preview(
        &mut self,
        photo: Hash,
        preview: HostPreview,
        now: Millis,
    ) -> Result<Option<Result<Hash, PreviewAbsence>>, CaptureError> {
        let kept = album::find(&self.conn, &photo)?.ok_or(CaptureError::UnknownPhoto)?;
        if let Some(sha256) = kept.preview {
            return Ok(Some(Ok(sha256)));
        }
        let blob = blobs::find(&self.conn, &photo)?.ok_or(CaptureError::UnknownPhoto)?;
        let thumbnail = match kept.facts.mime {
            PhotoMime::Heic | PhotoMime::Heif => thumbnail(&self.conn, &blob)?,
            PhotoMime::Jpeg | PhotoMime::Png | PhotoMime::Webp => None,
        };
        let original = blobs::Reader::new(&self.conn, blob);
        let made = small(original, &kept.facts, thumbnail.as_deref(), &preview);
        let tx = self.conn.unchecked_transaction()?;
        let kept = keep_preview(&tx, kept.facts, made, now)?;
        album::keep(&tx, &kept, now)?;
        if uploads::any(&tx, &photo)? {
            uploads::queue(&tx, &photo, now)?;
        }
        tx.commit()?;
        Ok(told(&kept))
    }
}

/// Hands a reader the EXIF block of a file that names it only at its end.
pub(super) fn supply_missed(
    conn: &Connection,
    blob: &blobs::Blob,
    reader: &mut PhotoReader,
) -> Result<(), StoreError> {
    if let Some(missed) = reader.missed() {
        let most = usize::try_from(missed.end.saturating_sub(missed.start)).unwrap_or(0);
        reader.supply(&blobs::read(conn, blob, missed.start, most.min(EXIF_BYTES_MAX))?);
    }
    Ok(())
}

/// The thumbnail inside a photo that rests here.
fn thumbnail(conn: &Connection, blob: &blobs::Blob) -> Result<Option<Vec<u8>>, CaptureError> {
    let mut reader = PhotoReader::new(None);
    let mut at = 0;
    while at < blob.bytes {
        let piece = blobs::read(conn, blob, at, blobs::CHUNK_BYTES)?;
        reader.feed(&piece)?;
        at += piece.len() as u64;
    }
    supply_missed(conn, blob, &mut reader)?;
    Ok(reader.finish()?.thumbnail)
}

/// A small picture, the host's or ours; `None` where it is to be made later.
pub(super) fn small(
    original: blobs::Reader<'_>,
    facts: &PhotoFacts,
    thumbnail: Option<&[u8]>,
    given: &HostPreview,
) -> Option<Result<Preview, PreviewAbsence>> {
    match given {
        HostPreview::Later => None,
        HostPreview::Bytes(bytes) => match preview::from_host(bytes) {
            Ok(preview) => Some(Ok(preview)),
            // The host's own cannot be used: perhaps ours can be made.
            Err(why) => Some(preview::preview(original, facts, thumbnail).map_err(|_| why)),
        },
        HostPreview::None => Some(preview::preview(original, facts, thumbnail)),
    }
}

/// Stores a preview that was made, within the caller's transaction.
pub(super) fn keep_preview(
    conn: &Connection,
    facts: PhotoFacts,
    made: Option<Result<Preview, PreviewAbsence>>,
    now: Millis,
) -> Result<Kept, StoreError> {
    let (preview, preview_absent) = match made {
        Some(Ok(preview)) => (Some(blobs::store(conn, &preview.bytes, preview.mime, now)?), None),
        Some(Err(why)) => (None, Some(why)),
        None => (None, None),
    };
    Ok(Kept { facts, preview, preview_absent })
}

pub(super) fn told(kept: &Kept) -> Option<Result<Hash, PreviewAbsence>> {
    let absent = || kept.preview_absent.clone().map(Err);
    kept.preview.map(Ok).or_else(absent)
}
