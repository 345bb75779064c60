//! Adding a photo: read, hashed and stored as it streams by, never in memory as a whole.
//!
//! ```text
//! begin_photo ──▶ write_photo … ──▶ finish_photo ──▶ in a session, or on an event
//!                      └──▶ abandon_photo, a refusal, a crash ──▶ nothing is left of it
//! ```
//! Captures, reading and syncing go on between the pieces.

use std::io::Read;

use motomind_protocol::flow::Happening;
use motomind_protocol::photo::{CaptureFacts, PhotoFacts, PhotoFlags, PreviewAbsence};
use motomind_protocol::{
    Attachment, EventId, Hash, OpId, PhotoMime, VehicleId, Violation, code, limits, photo,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::album::{self, Kept};
use super::blobs::{self, Writing};
use super::session;
use super::small::{HostPreview, keep_preview, small, supply_missed, told};
use crate::device::Device;
use crate::error::{CaptureError, StoreError};
use crate::fact::Clock;
use crate::photo::{PhotoError, PhotoNote, PhotoReader};

/// What storing a photo takes beside its bytes, at most: the log, a preview, indexes.
const ROOM_BESIDE_BYTES: u64 = 12 * 1024 * 1024;

/// Where a photo belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PhotoTarget {
    /// A session that goes on.
    Session {
        /// The session.
        id: Uuid,
        /// The step that it answers; none on the quick path.
        step: Option<String>,
    },
    /// An event that this device knows, whoever captured it.
    Event(EventId),
}

/// What the host knows of a photo.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
#[serde(default)]
pub struct PhotoMeta {
    /// The media type as the system says; held against the bytes.
    pub mime: Option<String>,
    /// How many bytes will come; held against what came.
    pub size: Option<u64>,
    /// How it was captured.
    pub capture: CaptureFacts,
    /// The person's own words.
    pub caption: Option<String>,
    /// The person chose it to stand for the event.
    pub is_primary: bool,
    /// Its place among the event's photos, from 1; after the last one when absent. In a session
    /// photos stand in the order in which they were taken.
    pub sequence: Option<i64>,
    /// How much room there is; not judged when absent.
    pub room: Option<Room>,
}

/// How much room the host has, as it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
pub struct Room {
    /// Free for this app: of the disk, or of the browser's quota. Bytes.
    pub free_bytes: u64,
}

/// A photo that is being written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PhotoHandle(pub u64);

/// A photo that is durable on this device.
#[derive(Clone, Debug, PartialEq)]
pub struct AddedPhoto {
    /// What it says about itself; [`PhotoFacts::sha256`] names it.
    pub facts: PhotoFacts,
    /// What a person should know of it.
    pub flags: PhotoFlags,
    /// What could not be read of it.
    pub notes: Vec<PhotoNote>,
    /// The preview's hash, or why there is none; `None` where it is to be made later.
    pub preview: Option<Result<Hash, PreviewAbsence>>,
    /// The same bytes were here already.
    pub duplicate: bool,
    /// The operation that puts it on the event, where it was added to one.
    pub op_id: Option<OpId>,
}

/// A photo between its beginning and its end.
#[derive(Debug)]
pub(crate) struct HalfWritten {
    target: Target,
    meta: PhotoMeta,
    clock: Clock,
    reader: PhotoReader,
    writing: Writing,
    written: u64,
}

/// A target that is known to be there.
#[derive(Clone, Debug)]
enum Target {
    Session { id: Uuid, step: Option<String> },
    Event { event: EventId, vehicle: VehicleId },
}

impl Device {
    /// Begins a photo. Everything that can be judged before its bytes come, is.
    ///
    /// # Errors
    /// [`CaptureError::NoRoom`], [`CaptureError::Photo`] for a size that no photo has,
    /// [`CaptureError::SessionOver`], [`CaptureError::UnknownSession`],
    /// [`CaptureError::UnknownOperation`] for an event that this device does not know,
    /// [`CaptureError::Invalid`] for what the host says of it.
    pub fn begin_photo(
        &mut self,
        target: PhotoTarget,
        mut meta: PhotoMeta,
        clock: impl Into<Clock>,
    ) -> Result<PhotoHandle, CaptureError> {
        let clock = clock.into();
        match meta.size {
            Some(0) => return Err(PhotoError::Empty.into()),
            Some(size) if size > limits::PHOTO_BYTES_MAX => return Err(PhotoError::TooLarge.into()),
            _ => room_for(&meta, meta.size.unwrap_or(0))?,
        }
        if let PhotoTarget::Session { step: Some(step), .. } = &target {
            meta.capture.step_id.get_or_insert_with(|| step.clone());
        }
        check(&meta)?;
        let target = self.target(target, clock)?;
        let others: Vec<i64> = self.half_written.values().map(|half| half.writing.n).collect();
        blobs::remove_half_written(&self.conn, &others)?;
        let begin = |tx: &rusqlite::Connection| Writing::begin(tx, clock.wall_ms);
        let writing = blobs::without_waiting(&self.conn, begin)?;
        let reader = PhotoReader::new(meta.mime.as_deref());
        let half = HalfWritten { target, meta, clock, reader, writing, written: 0 };
        self.photos_begun += 1;
        self.half_written.insert(self.photos_begun, half);
        Ok(PhotoHandle(self.photos_begun))
    }

    /// Takes the next bytes of a photo, at most [`limits::PIECE_BYTES_MAX`] at once.
    ///
    /// # Errors
    /// [`CaptureError::Photo`] as soon as it is certain, [`CaptureError::NoRoom`], or the storage's:
    /// nothing is left of the photo then. [`CaptureError::PieceTooLarge`] changes nothing.
    pub fn write_photo(&mut self, handle: PhotoHandle, bytes: &[u8]) -> Result<(), CaptureError> {
        if bytes.len() > limits::PIECE_BYTES_MAX {
            return Err(CaptureError::PieceTooLarge);
        }
        let half = self.half_written.get_mut(&handle.0).ok_or(CaptureError::NotBeingWritten)?;
        let written = half.add(&self.conn, bytes);
        if written.is_err() {
            let _ = self.abandon_photo(handle);
        }
        written
    }

    /// Ends a photo. When this returns `Ok`, it survives a crash and a power loss, in its session
    /// or on its event.
    ///
    /// # Errors
    /// As [`Device::write_photo`]; [`CaptureError::SessionOver`] where the session was left
    /// meanwhile. Nothing is left of the photo then.
    pub fn finish_photo(
        &mut self,
        handle: PhotoHandle,
        preview: HostPreview,
    ) -> Result<AddedPhoto, CaptureError> {
        let half = self.half_written.remove(&handle.0).ok_or(CaptureError::NotBeingWritten)?;
        let n = half.writing.n;
        let finished = self.finish(half, &preview);
        if finished.is_err() {
            let _ = blobs::without_waiting(&self.conn, |tx| blobs::remove(tx, n));
        }
        finished
    }

    /// Gives a photo up that is being written; nothing is left of it.
    ///
    /// # Errors
    /// [`CaptureError::NotBeingWritten`], or the storage's: the next opening removes it then.
    pub fn abandon_photo(&mut self, handle: PhotoHandle) -> Result<(), CaptureError> {
        let half = self.half_written.remove(&handle.0).ok_or(CaptureError::NotBeingWritten)?;
        blobs::without_waiting(&self.conn, |tx| blobs::remove(tx, half.writing.n))?;
        blobs::give_back(&self.conn)?;
        Ok(())
    }

    /// Adds a whole photo from where the host has it, piece by piece.
    ///
    /// # Errors
    /// As [`Device::begin_photo`], [`Device::write_photo`], [`Device::finish_photo`];
    /// [`CaptureError::Host`] where it cannot be read.
    pub fn add_photo(
        &mut self,
        target: PhotoTarget,
        mut bytes: impl Read,
        meta: PhotoMeta,
        preview: HostPreview,
        clock: impl Into<Clock>,
    ) -> Result<AddedPhoto, CaptureError> {
        let handle = self.begin_photo(target, meta, clock)?;
        let mut piece = vec![0; 2 * blobs::CHUNK_BYTES];
        loop {
            match bytes.read(&mut piece) {
                Ok(0) => return self.finish_photo(handle, preview),
                Ok(count) => self.write_photo(handle, &piece[..count])?,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let _ = self.abandon_photo(handle);
                    return Err(CaptureError::Host(error.to_string()));
                }
            }
        }
    }

    fn target(&mut self, target: PhotoTarget, clock: Clock) -> Result<Target, CaptureError> {
        match target {
            PhotoTarget::Session { id, step } => {
                // As if it were there already; its hash is not known yet.
                self.session_after(id, Happening::Photo(Hash::ZERO, step.clone()), clock)?;
                Ok(Target::Session { id, step })
            }
            PhotoTarget::Event(event) => {
                let known = self.event_for_statements(event)?;
                Ok(Target::Event { event: known.id, vehicle: known.vehicle_id })
            }
        }
    }

    fn finish(
        &mut self,
        mut half: HalfWritten,
        preview: &HostPreview,
    ) -> Result<AddedPhoto, CaptureError> {
        if let Some(size) = half.meta.size.filter(|size| *size != half.written) {
            let message = format!("{} of {size} bytes came", half.written);
            return Err(CaptureError::Invalid(vec![Violation::new(
                "size",
                code::OUT_OF_RANGE,
                message,
            )]));
        }
        blobs::without_waiting(&self.conn, |tx| half.writing.end(tx))?;
        // Of which kind it is matters for nothing here.
        supply_missed(&self.conn, &half.writing.blob(PhotoMime::Heif), &mut half.reader)?;
        let mut reading = half.reader.finish()?;
        reading.facts.capture = half.meta.capture.clone();
        let facts = reading.facts;
        let before = album::find(&self.conn, &facts.sha256)?;
        let made = match before.as_ref().and_then(|kept| kept.preview) {
            Some(_) => None,
            None => {
                let blob = half.writing.blob(facts.mime);
                let original = blobs::Reader::new(&self.conn, blob);
                small(original, &facts, reading.thumbnail.as_deref(), preview)
            }
        };
        let flags = facts.flags(half.clock.wall_ms);
        let photo = facts.sha256;
        let (now, mime, writing) = (half.clock.wall_ms, facts.mime, half.writing);
        let (mut kept, mut is_new) = (None, false);
        let beside_facts = facts.clone();
        let beside = |tx: &rusqlite::Connection| -> Result<(), StoreError> {
            is_new = writing.name(tx, &photo, mime)?;
            let stored = keep_preview(tx, beside_facts, made, now)?;
            album::keep(tx, &stored, now)?;
            kept =
                Some(Kept { preview: stored.preview.or(before.and_then(|b| b.preview)), ..stored });
            Ok(())
        };
        let op_id = match half.target {
            Target::Session { id, step } => {
                let next = self.session_with_photo(id, photo, step, &half.meta, half.clock)?;
                self.store_together(None, Vec::new(), |tx| {
                    beside(tx)?;
                    session::save(tx, &next)
                })?;
                None
            }
            Target::Event { event, vehicle } => {
                let said = self.attachment(event, vehicle, &facts, &half.meta)?;
                Some(self.state_with(said, half.clock, beside)?)
            }
        };
        let preview = kept.as_ref().and_then(told);
        let notes = reading.notes;
        Ok(AddedPhoto { facts, flags, notes, preview, duplicate: !is_new, op_id })
    }
}

impl HalfWritten {
    fn add(&mut self, conn: &rusqlite::Connection, bytes: &[u8]) -> Result<(), CaptureError> {
        self.reader.feed(bytes)?;
        self.written += bytes.len() as u64;
        room_for(&self.meta, self.written.max(self.meta.size.unwrap_or(0)))?;
        match self.writing.fills(bytes.len()) {
            true => blobs::without_waiting(conn, |tx| self.writing.add(tx, bytes))?,
            false => self.writing.add(conn, bytes)?,
        }
        Ok(())
    }
}

/// Whether so many bytes of a photo have room.
fn room_for(meta: &PhotoMeta, bytes: u64) -> Result<(), CaptureError> {
    let needed = bytes.saturating_add(ROOM_BESIDE_BYTES);
    match meta.room {
        Some(Room { free_bytes: free }) if free < needed => {
            Err(CaptureError::NoRoom { needed, free })
        }
        _ => Ok(()),
    }
}

/// Judges what the host says, before any byte has come.
fn check(meta: &PhotoMeta) -> Result<(), CaptureError> {
    let mut facts = PhotoFacts::new(Hash::ZERO, 1, PhotoMime::Jpeg);
    facts.capture = meta.capture.clone();
    let nil = Uuid::nil();
    let sequence = meta.sequence.unwrap_or(1);
    let mut said = Attachment::new(VehicleId(nil), EventId(nil), Hash::ZERO, sequence);
    said.caption = meta.caption.clone();
    let mut violations = photo::validate(&facts).err().unwrap_or_default();
    violations.extend(said.validate().err().unwrap_or_default());
    if violations.is_empty() { Ok(()) } else { Err(CaptureError::Invalid(violations)) }
}
