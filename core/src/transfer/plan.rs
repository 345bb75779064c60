//! Uploads in the host's hands: a phone's system goes on sending while the app is suspended.
//!
//! The device creates the upload and hands out a plan: where, with which headers, from which
//! offset. The host writes the bytes to a file ([`Device::write_blob`]), lets its system send
//! them, and tells how that went. What really arrived, the device asks the server.

use std::io::Write;

use motomind_protocol::{Hash, Millis};
use rusqlite::params;
use serde::Serialize;

use super::rows::{self, Upload};
use super::upload::is_planned;
use super::{UploadState, Variant};
use crate::device::Device;
use crate::error::{CaptureError, StoreError};
use crate::photos::blobs;

/// One request that the host's system can make by itself, hours later, without a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
pub struct UploadPlan {
    /// SHA-256 of what goes up: what [`Device::write_blob`] writes.
    pub sha256: Hash,
    /// SHA-256 of the photo's original.
    pub photo: Hash,
    /// Which picture of it.
    pub variant: Variant,
    /// `PATCH`.
    pub method: &'static str,
    /// Below the server's address.
    pub path: String,
    /// With the upload's own capability; names in lower case.
    pub headers: Vec<(&'static str, String)>,
    /// Where in the picture the body begins, bytes.
    pub offset: u64,
    /// Of the whole, bytes.
    pub bytes: u64,
    /// When the capability ends, UTC ms of the server's clock.
    pub expires_at: Option<Millis>,
}

impl UploadPlan {
    fn of(upload: Upload) -> Option<Self> {
        let (location, capability) = (upload.location?, upload.capability?);
        let item = upload.item;
        Some(Self {
            sha256: item.sha256,
            photo: item.photo,
            variant: item.variant,
            method: "PATCH",
            path: location,
            headers: vec![
                ("tus-resumable", "1.0.0".into()),
                ("content-type", "application/offset+octet-stream".into()),
                ("upload-offset", item.acked.to_string()),
                ("authorization", format!("Bearer {capability}")),
            ],
            offset: item.acked,
            bytes: item.bytes,
            expires_at: upload.expires_at,
        })
    }
}

impl Device {
    /// What the host has to send, as far as the server has created the uploads.
    ///
    /// # Errors
    /// [`StoreError`] when the journal cannot be read.
    pub fn upload_plans(&self) -> Result<Vec<UploadPlan>, StoreError> {
        let planned = self.uploads()?.into_iter().filter(|one| one.state == UploadState::Planned);
        let mut plans = Vec::new();
        for item in planned {
            let upload = rows::of(&self.conn, item.photo, item.variant)?;
            plans.extend(upload.and_then(UploadPlan::of));
        }
        Ok(plans)
    }

    /// Writes a picture's bytes from an offset on, for a system that sends files only. Not the
    /// whole is held in memory.
    ///
    /// # Errors
    /// [`CaptureError::UnknownPhoto`] when its bytes are not here; [`CaptureError::Host`] as
    /// the writer reports it.
    pub fn write_blob(
        &self,
        sha256: Hash,
        from: u64,
        to: &mut impl Write,
    ) -> Result<(), CaptureError> {
        let blob = blobs::find(&self.conn, &sha256)?.ok_or(CaptureError::UnknownPhoto)?;
        let mut at = from;
        while at < blob.bytes {
            let piece = blobs::read(&self.conn, &blob, at, blobs::CHUNK_BYTES)?;
            to.write_all(&piece).map_err(|error| CaptureError::Host(error.to_string()))?;
            at += piece.len() as u64;
        }
        Ok(())
    }

    /// The host's system says that it has sent all of it. The server is asked whether that is so.
    ///
    /// # Errors
    /// [`CaptureError::UnknownPhoto`] when there is no such plan.
    pub fn upload_finished(
        &mut self,
        photo: Hash,
        variant: Variant,
        now: Millis,
    ) -> Result<(), CaptureError> {
        self.take_back(photo, variant, None)?;
        self.on_poke(now);
        Ok(())
    }

    /// The host's system could not send it. What arrived, the server is asked; then there is a new
    /// plan for the rest.
    ///
    /// # Errors
    /// [`CaptureError::UnknownPhoto`] when there is no such plan.
    pub fn upload_failed(
        &mut self,
        photo: Hash,
        variant: Variant,
        what: &str,
        now: Millis,
    ) -> Result<(), CaptureError> {
        self.take_back(photo, variant, Some(what))?;
        self.on_poke(now);
        Ok(())
    }

    fn take_back(
        &mut self,
        photo: Hash,
        variant: Variant,
        problem: Option<&str>,
    ) -> Result<(), CaptureError> {
        let upload = rows::of(&self.conn, photo, variant)?.filter(is_planned);
        let upload = upload.ok_or(CaptureError::UnknownPhoto)?;
        self.conn.execute(
            "UPDATE uploads SET state = 'sending', problem = ?2 WHERE n = ?1",
            params![upload.n, problem],
        )?;
        self.changes.tables.insert("photos");
        Ok(())
    }
}
