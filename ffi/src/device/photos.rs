//! Photos: from a path, a file descriptor or bytes, piece by piece into the journal.

use std::io::{Read, Write};

use motomind_core::protocol::{EventId, Hash, limits};
use motomind_core::{
    Capture, Captured, HostPreview, NewPhoto, PhotoEdit, PhotoHandle, PhotoMeta, PhotoShown,
    PhotoTarget as CoreTarget, Room, Variant,
};

use super::life::Shared;
use super::{MotoMind, ended};
use crate::clock::threads;
use crate::failure::{MotoMindError, Thing};
use crate::files::{Opened, Sink, Source};
use crate::types::{PhotoAdded, PhotoBytes, PhotoTarget, Preview};

/// Read of a host's file at once, bytes.
const PIECE_BYTES: usize = 512 * 1024;

/// A photo to be captured with an event.
#[derive(Clone, Debug, uniffi::Record)]
pub struct GivenPhoto {
    /// Where its bytes are.
    pub source: Source,
    /// What the host knows of it.
    pub meta: PhotoMeta,
    /// The host's small picture of it, at most 1,600 pixels long; without one, one is made.
    #[uniffi(default)]
    pub preview: Option<Vec<u8>>,
}

#[uniffi::export]
impl MotoMind {
    /// Captures an event with its photos at once. After a crash there is all of it, or a session
    /// with the photos that had been added.
    ///
    /// # Errors
    /// As `capture` and `add_photo`: nothing of it is kept.
    pub async fn capture_with_photos(
        &self,
        capture: Capture,
        photos: Vec<GivenPhoto>,
    ) -> Result<Captured, MotoMindError> {
        let opened: Result<Vec<NewPhoto<Opened>>, MotoMindError> =
            photos.into_iter().map(GivenPhoto::open).collect();
        let (mut photos, room) = (opened?, self.shared.room());
        self.work(move |device, clock| {
            photos.iter_mut().for_each(|photo| photo.meta.room = photo.meta.room.or(room));
            Ok(device.capture_with_photos(capture, photos, clock)?)
        })
        .await
    }

    /// Adds a photo to a session or an event. When this returns, it survives a crash and a power
    /// loss. Captures and queries go on meanwhile.
    ///
    /// # Errors
    /// `Host` where it cannot be read, `Photo`, `NoRoom`, `SessionOver`, `Unknown`, `DiskFull`, …:
    /// nothing is left of the photo.
    pub async fn add_photo(
        &self,
        target: PhotoTarget,
        photo: GivenPhoto,
    ) -> Result<PhotoAdded, MotoMindError> {
        let (shared, photo) = (self.shared.clone(), photo.open()?);
        let adding = threads()?.spawn_blocking(move || add(&shared, target.into(), photo));
        ended(adding.await)
    }

    /// Begins a photo whose bytes come in pieces, as from a stream. Returns what to write to.
    ///
    /// # Errors
    /// As `add_photo`.
    pub async fn begin_photo(
        &self,
        target: PhotoTarget,
        mut meta: PhotoMeta,
    ) -> Result<u64, MotoMindError> {
        meta.room = meta.room.or(self.shared.room());
        self.work(move |device, clock| Ok(device.begin_photo(target.into(), meta, clock)?.0)).await
    }

    /// Takes the next bytes of a photo, at most 1 MiB.
    ///
    /// # Errors
    /// As `add_photo`. `TooLarge` changes nothing.
    pub async fn write_photo(&self, photo: u64, bytes: Vec<u8>) -> Result<(), MotoMindError> {
        self.work(move |device, _| Ok(device.write_photo(PhotoHandle(photo), &bytes)?)).await
    }

    /// Ends a photo; durable when this returns. Without a preview of the host, one is made.
    ///
    /// # Errors
    /// As `add_photo`.
    pub async fn finish_photo(
        &self,
        photo: u64,
        preview: Option<Vec<u8>>,
    ) -> Result<PhotoAdded, MotoMindError> {
        let preview = small(preview);
        self.work(move |device, _| Ok(device.finish_photo(PhotoHandle(photo), preview)?.into()))
            .await
    }

    /// Gives a photo up that is being written.
    ///
    /// # Errors
    /// `Unknown`.
    pub async fn abandon_photo(&self, photo: u64) -> Result<(), MotoMindError> {
        self.work(move |device, _| Ok(device.abandon_photo(PhotoHandle(photo))?)).await
    }

    /// Hands in the small picture of a photo that has none, or has one made.
    ///
    /// # Errors
    /// `Unknown`, `DiskFull`, …
    pub async fn make_preview(
        &self,
        photo: Hash,
        preview: Option<Vec<u8>>,
    ) -> Result<Preview, MotoMindError> {
        let preview = small(preview);
        self.work(move |device, clock| {
            Ok(device.make_preview(photo, preview, clock.wall_ms)?.into())
        })
        .await
    }

    /// The photos on an event, as everyone shows them.
    ///
    /// # Errors
    /// The storage's.
    pub async fn photos(&self, event: EventId) -> Result<Vec<PhotoShown>, MotoMindError> {
        self.work(move |device, _| Ok(device.photos(event)?)).await
    }

    /// Puts a photo that this device knows on another event, too.
    ///
    /// # Errors
    /// `Unknown`, `Invalid`, …
    pub async fn attach_photo(
        &self,
        event: EventId,
        photo: Hash,
        meta: PhotoMeta,
    ) -> Result<Captured, MotoMindError> {
        self.work(move |device, clock| Ok(device.attach_photo(event, photo, &meta, clock)?)).await
    }

    /// Says anew what a photo on an event is: its caption, its place, whether it is the first.
    ///
    /// # Errors
    /// As `attach_photo`.
    pub async fn describe_photo(
        &self,
        event: EventId,
        photo: Hash,
        edit: PhotoEdit,
    ) -> Result<Captured, MotoMindError> {
        self.work(move |device, clock| Ok(device.describe_photo(event, photo, edit, clock)?)).await
    }

    /// Takes a photo off an event. Its bytes stay.
    ///
    /// # Errors
    /// As `attach_photo`.
    pub async fn remove_photo(
        &self,
        event: EventId,
        photo: Hash,
        reason: String,
    ) -> Result<Captured, MotoMindError> {
        self.work(move |device, clock| Ok(device.remove_photo(event, photo, reason, clock)?)).await
    }

    /// Bytes of a picture from an offset, at most 1 MiB; none where they are not on this device.
    ///
    /// # Errors
    /// The storage's.
    pub async fn read_photo(
        &self,
        photo: Hash,
        variant: Variant,
        offset: u64,
        most: u32,
    ) -> Result<Option<PhotoBytes>, MotoMindError> {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        self.work(move |device, _| {
            Ok(device.read_photo(photo, variant, offset, most)?.map(PhotoBytes::from))
        })
        .await
    }

    /// Writes a whole picture to a file, for a screen that shows files. Returns how many bytes.
    ///
    /// # Errors
    /// `Unknown` where it is not on this device; `Host` as the file reports it.
    pub async fn save_photo(
        &self,
        photo: Hash,
        variant: Variant,
        to: Sink,
    ) -> Result<u64, MotoMindError> {
        let shared = self.shared.clone();
        let saving = threads()?.spawn_blocking(move || {
            let mut file = to.open()?;
            let mut at = 0;
            loop {
                let most = limits::PIECE_BYTES_MAX;
                let piece = shared
                    .with_device(|device, _| Ok(device.read_photo(photo, variant, at, most)?))?
                    .ok_or(MotoMindError::Unknown { thing: Thing::Photo })?;
                file.write_all(&piece.bytes)?;
                at += piece.bytes.len() as u64;
                if piece.bytes.is_empty() || at >= piece.total {
                    return Ok(at);
                }
            }
        });
        ended(saving.await)
    }

    /// Reads every photo that rests here and names those whose bytes are not what their hash says.
    ///
    /// # Errors
    /// The storage's.
    pub async fn verify_photos(&self) -> Result<Vec<Hash>, MotoMindError> {
        self.work(|device, _| Ok(device.verify_photos()?)).await
    }
}

impl GivenPhoto {
    fn open(self) -> Result<NewPhoto<Opened>, MotoMindError> {
        let Self { source, meta, preview } = self;
        Ok(NewPhoto { bytes: source.open()?, meta, preview: small(preview) })
    }
}

fn small(preview: Option<Vec<u8>>) -> HostPreview {
    preview.map_or(HostPreview::None, HostPreview::Bytes)
}

/// Adds a photo piece by piece; others use the device between them.
fn add(
    shared: &std::sync::Arc<Shared>,
    target: CoreTarget,
    photo: NewPhoto<Opened>,
) -> Result<PhotoAdded, MotoMindError> {
    let NewPhoto { mut bytes, mut meta, preview } = photo;
    meta.room = meta.room.or(shared.room());
    let handle =
        shared.with_device(|device, clock| Ok(device.begin_photo(target, meta, clock)?))?;
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        match bytes.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => {
                shared.with_device(|device, _| Ok(device.write_photo(handle, &piece[..count])?))?
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => {
                shared.with_device(|device, _| Ok(device.abandon_photo(handle)?))?;
                return Err(error.into());
            }
        }
    }
    shared.with_device(|device, _| Ok(device.finish_photo(handle, preview)?.into()))
}

impl Shared {
    /// How much room the host last said there is.
    fn room(&self) -> Option<Room> {
        self.settings().free_bytes.map(|free_bytes| Room { free_bytes })
    }
}
