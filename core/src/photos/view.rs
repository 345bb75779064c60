//! What is shown of photos: which an event has, where their bytes are, and the bytes.

use motomind_protocol::photo::{PhotoFacts, PhotoFlags, PreviewAbsence, attached};
use motomind_protocol::{
    Attachment, DeviceId, EventId, Hash, Millis, OpId, OpState, PhotoMime, UserId, limits,
};
use rusqlite::OptionalExtension;
use serde::Serialize;

use super::{album, blobs};
use crate::device::Device;
use crate::error::StoreError;
use crate::mirror::statements::{self, Told};
use crate::transfer::{self, UploadState, Variant};
use crate::{journal, mirror, overlay};

/// A photo on an event, as everyone shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
pub struct PhotoShown {
    /// SHA-256 of the original's bytes.
    pub photo: Hash,
    /// The operation of the newest statement about it; absent for another SQL client's.
    pub op_id: Option<OpId>,
    /// Where that operation stands. A refused one changes nothing but is shown.
    pub state: OpState,
    /// Its place among the event's photos, from 1.
    pub sequence: i64,
    /// The step of the flow that it answers.
    pub step_id: Option<String>,
    /// The person's words.
    pub caption: Option<String>,
    /// Whether it stands for the event.
    pub is_primary: bool,
    /// What it says about itself.
    pub facts: Option<PhotoFacts>,
    /// What a person should know of it, as it was when it was put on the event.
    pub flags: Option<FlagsShown>,
    /// Who said the newest of it.
    pub user_id: Option<UserId>,
    /// On which device.
    pub device_id: Option<DeviceId>,
    /// When the server received it; for this device's own until then, when it was said. UTC ms.
    pub said_at: Millis,
    /// Where the original's bytes are.
    pub original: Whereabouts,
    /// Where the preview's bytes are.
    pub preview: Whereabouts,
    /// Why this device has made no preview.
    pub preview_absent: Option<PreviewAbsence>,
}

/// [`PhotoFlags`], to be written out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
pub struct FlagsShown {
    /// A picture of a screen.
    pub screenshot: bool,
    /// Written again after it was taken.
    pub edited: bool,
    /// Taken more than seven days before.
    pub stale: bool,
}

impl From<PhotoFlags> for FlagsShown {
    fn from(PhotoFlags { screenshot, edited, stale }: PhotoFlags) -> Self {
        Self { screenshot, edited, stale }
    }
}

/// Where the bytes of a picture are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
pub struct Whereabouts {
    /// What names them, where it is known.
    pub sha256: Option<Hash>,
    /// On this device, whether taken here or fetched.
    pub here: bool,
    /// On the server, verified.
    pub on_server: bool,
    /// Their way up from this device, if they have one.
    pub upload: Option<UploadState>,
    /// What the server has acknowledged of them, bytes.
    pub acked: u64,
    /// The whole, bytes, where it is known here.
    pub bytes: Option<u64>,
}

/// A part of a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhotoPiece {
    /// The bytes, at most [`limits::PIECE_BYTES_MAX`].
    pub bytes: Vec<u8>,
    /// Of the whole, bytes.
    pub total: u64,
    /// What it is.
    pub mime: PhotoMime,
}

impl Device {
    /// The photos on an event: by sequence, refused ones last. None of an event that this device
    /// does not know, or that was discarded before it was sent.
    ///
    /// # Errors
    /// [`StoreError`] when the files cannot be read.
    pub fn photos(&self, event: EventId) -> Result<Vec<PhotoShown>, StoreError> {
        overlay::catch_up(self)?;
        let event = journal::stands_for(&self.conn, event)?;
        let family = self.noting_damage(mirror::family_of(&self.conn, event))?;
        if !family.is_some_and(|all| all.members.iter().any(|one| one.act.states_a_fact())) {
            return Ok(Vec::new());
        }
        let told = self.attachments_of(event)?;
        let on_it = attached(told.iter().filter_map(Told::counts));
        let mut photos = Vec::with_capacity(on_it.len());
        for one in &on_it {
            let newest = told.iter().rev().find(|told| std::ptr::eq(&told.stated.said, one.said));
            if let Some(newest) = newest {
                photos.push(self.shown(newest, one.is_primary)?);
            }
        }
        let refused = told.iter().rev().filter(|told| told.state == OpState::Rejected);
        for told in refused.filter(|told| !told.stated.said.removed) {
            if photos.iter().all(|shown| shown.photo != told.stated.said.photo) {
                photos.push(self.shown(told, false)?);
            }
        }
        Ok(photos)
    }

    fn shown(&self, told: &Told<Attachment>, is_primary: bool) -> Result<PhotoShown, StoreError> {
        let said = &told.stated.said;
        let kept = album::find(&self.conn, &said.photo)?;
        let facts = self.noting_damage(statements::facts_of(&self.conn, &said.photo))?;
        let facts = facts.or_else(|| kept.as_ref().map(|kept| kept.facts.clone()));
        let stored = self.noting_damage(statements::stored(&self.conn, &said.photo))?;
        let preview = kept.as_ref().and_then(|kept| kept.preview).or(stored.preview);
        Ok(PhotoShown {
            photo: said.photo,
            op_id: told.stated.op_id,
            state: told.state,
            sequence: said.sequence,
            step_id: said.step_id.clone(),
            caption: said.caption.clone(),
            is_primary,
            flags: facts.as_ref().map(|facts| facts.flags(told.stated.received_at).into()),
            facts,
            user_id: told.stated.user_id,
            device_id: told.stated.device_id,
            said_at: told.stated.received_at,
            original: self.whereabouts(
                said.photo,
                Variant::Original,
                Some(said.photo),
                stored.original,
            )?,
            preview: self.whereabouts(
                said.photo,
                Variant::Preview,
                preview,
                stored.preview.is_some(),
            )?,
            preview_absent: kept.and_then(|kept| kept.preview_absent),
        })
    }

    fn whereabouts(
        &self,
        photo: Hash,
        variant: Variant,
        sha256: Option<Hash>,
        on_server: bool,
    ) -> Result<Whereabouts, StoreError> {
        let Some(hash) = sha256 else { return Ok(Whereabouts::default()) };
        let blob = blobs::find(&self.conn, &hash)?;
        let upload = self
            .conn
            .prepare_cached("SELECT state, acked FROM uploads WHERE photo = ?1 AND variant = ?2")?
            .query_row(rusqlite::params![photo.0, variant.name()], |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?.unsigned_abs()))
            })
            .optional()?;
        let (state, acked) = upload.unzip();
        let cached = self.noting_damage(transfer::cached_size(&self.conn, photo, variant))?;
        let state: Option<UploadState> = state.and_then(|state| state.parse().ok());
        Ok(Whereabouts {
            sha256,
            here: blob.is_some() || cached.is_some(),
            on_server: on_server || state == Some(UploadState::Stored),
            upload: state,
            acked: acked.unwrap_or(0),
            bytes: blob.map(|blob| blob.bytes).or(cached),
        })
    }

    /// Reads every picture that rests in the journal and names those whose bytes are not what their
    /// hash says; takes as long as reading them does.
    ///
    /// # Errors
    /// [`StoreError`] when the journal cannot be read.
    pub fn verify_photos(&self) -> Result<Vec<Hash>, StoreError> {
        let named: Vec<Hash> = {
            let mut statement = self.conn.prepare_cached(
                "SELECT sha256 FROM blobs WHERE sha256 IS NOT NULL
                   AND EXISTS (SELECT 1 FROM blob_chunks WHERE blob = n) ORDER BY n",
            )?;
            let rows = statement.query_map([], |row| row.get(0).map(Hash))?;
            rows.collect::<Result<_, _>>()?
        };
        let mut altered = Vec::new();
        for sha256 in named {
            if !blobs::is_intact(&self.conn, &sha256)? {
                altered.push(sha256);
            }
        }
        Ok(altered)
    }

    /// Bytes of a photo or its preview from an offset, at most [`limits::PIECE_BYTES_MAX`]; `None`
    /// where they are not on this device.
    ///
    /// # Errors
    /// [`StoreError`] when the journal cannot be read.
    pub fn read_photo(
        &self,
        photo: Hash,
        variant: Variant,
        offset: u64,
        most: usize,
    ) -> Result<Option<PhotoPiece>, StoreError> {
        let wanted = match variant {
            Variant::Original => Some(photo),
            Variant::Preview => album::find(&self.conn, &photo)?.and_then(|kept| kept.preview),
        };
        let most = most.min(limits::PIECE_BYTES_MAX);
        let blob = match wanted {
            Some(wanted) => blobs::find(&self.conn, &wanted)?,
            None => None,
        };
        let Some(blob) = blob else {
            return self.read_cached_photo(photo, variant, offset, most);
        };
        let bytes = blobs::read(&self.conn, &blob, offset, most)?;
        Ok(Some(PhotoPiece { bytes, total: blob.bytes, mime: blob.mime }))
    }

    fn read_cached_photo(
        &self,
        photo: Hash,
        variant: Variant,
        offset: u64,
        most: usize,
    ) -> Result<Option<PhotoPiece>, StoreError> {
        let cached = transfer::read_cached(&self.conn, photo, variant, offset, most);
        let Some(cached) = self.noting_damage(cached)? else { return Ok(None) };
        let mime = self.noting_damage(statements::stored_mime(&self.conn, &photo, variant))?;
        let mime = mime.unwrap_or(PhotoMime::Jpeg);
        Ok(Some(PhotoPiece { bytes: cached.bytes, total: cached.total, mime }))
    }
}
