//! Pictures on their way, in our hands or the host's system's, and the space that they take.

use motomind_core::protocol::{Hash, OpId};
use motomind_core::{SpaceReport, TransferPolicy, UploadItem, Variant};

use super::{MotoMind, ended};
use crate::clock::threads;
use crate::failure::MotoMindError;
use crate::files::Sink;
use crate::types::UploadPlan;

#[uniffi::export]
impl MotoMind {
    /// Every picture that goes up or has gone: how far, and what the server said.
    ///
    /// # Errors
    /// The storage's.
    pub async fn uploads(&self) -> Result<Vec<UploadItem>, MotoMindError> {
        self.work(|device, _| Ok(device.uploads()?)).await
    }

    /// Offers a refused picture again.
    ///
    /// # Errors
    /// `Unknown`.
    pub async fn retry_upload(&self, photo: Hash, variant: Variant) -> Result<(), MotoMindError> {
        self.work(move |device, clock| Ok(device.retry_upload(photo, variant, clock.wall_ms)?))
            .await
    }

    /// Says what may be transferred when, until it is said again.
    ///
    /// # Errors
    /// The storage's.
    pub async fn set_transfer_policy(&self, policy: TransferPolicy) -> Result<(), MotoMindError> {
        let set = self.work(move |device, clock| {
            device.set_transfer_policy(policy)?;
            device.on_poke(clock.wall_ms);
            Ok(())
        });
        set.await?;
        self.shared.syncing.wake();
        Ok(())
    }

    /// What the host's system has to send, as far as the server has created the uploads. Each is
    /// one HTTP request that needs no token of ours, hours later and in any process.
    ///
    /// # Errors
    /// The storage's.
    pub async fn upload_plans(&self) -> Result<Vec<UploadPlan>, MotoMindError> {
        let server = self.shared.syncing.server_url();
        self.work(move |device, _| {
            let plans = device.upload_plans()?.into_iter();
            Ok(plans.map(|plan| UploadPlan::new(plan, &server)).collect())
        })
        .await
    }

    /// Writes the body of a plan to a file, for a system that sends files only.
    ///
    /// # Errors
    /// `Unknown` where its bytes are not here; `Host` as the file reports it.
    pub async fn write_upload(
        &self,
        sha256: Hash,
        offset: u64,
        to: Sink,
    ) -> Result<(), MotoMindError> {
        let shared = self.shared.clone();
        let writing = threads()?.spawn_blocking(move || {
            let mut file = to.open()?;
            shared.with_device(|device, _| Ok(device.write_blob(sha256, offset, &mut file)?))
        });
        ended(writing.await)
    }

    /// The host's system says that it has sent all of a plan. The server is asked whether it has.
    ///
    /// # Errors
    /// `Unknown` where there is no such plan.
    pub async fn upload_finished(
        &self,
        photo: Hash,
        variant: Variant,
    ) -> Result<(), MotoMindError> {
        self.work(move |device, clock| Ok(device.upload_finished(photo, variant, clock.wall_ms)?))
            .await
    }

    /// The host's system could not send a plan. What arrived, the server is asked; then there is a
    /// new plan for the rest.
    ///
    /// # Errors
    /// As `upload_finished`.
    pub async fn upload_failed(
        &self,
        photo: Hash,
        variant: Variant,
        what: String,
    ) -> Result<(), MotoMindError> {
        self.work(move |device, clock| {
            Ok(device.upload_failed(photo, variant, &what, clock.wall_ms)?)
        })
        .await
    }

    /// Fetches a picture with the next sync.
    ///
    /// # Errors
    /// The storage's.
    pub async fn fetch_photo(&self, photo: Hash, variant: Variant) -> Result<(), MotoMindError> {
        let asked = self.work(move |device, clock| {
            device.fetch_photo(photo, variant, clock.wall_ms)?;
            Ok(())
        });
        asked.await?;
        self.shared.syncing.wake();
        Ok(())
    }

    /// What takes space on this device, bytes.
    ///
    /// # Errors
    /// The storage's.
    pub async fn space(&self) -> Result<SpaceReport, MotoMindError> {
        self.work(|device, _| Ok(device.space()?)).await
    }

    /// Says how much room there is for pictures that the server has, bytes, until it is said again.
    ///
    /// # Errors
    /// The storage's.
    pub async fn set_photo_room(&self, bytes: u64) -> Result<(), MotoMindError> {
        self.work(move |device, _| Ok(device.set_photo_room(bytes)?)).await
    }

    /// Frees so many bytes, as far as there is something that may be freed.
    ///
    /// # Errors
    /// The storage's.
    pub async fn free_space(&self, bytes: u64) -> Result<(), MotoMindError> {
        self.work(move |device, _| Ok(device.free_space(bytes)?)).await
    }

    /// The system warns that the disk is getting full: how much is free, and how much of it should
    /// be given back. Photos that would not fit are refused before their bytes come.
    ///
    /// # Errors
    /// The storage's.
    pub async fn low_disk(&self, free_bytes: u64, to_free: u64) -> Result<(), MotoMindError> {
        self.shared.settings().free_bytes = Some(free_bytes);
        self.work(move |device, _| Ok(device.free_space(to_free)?)).await
    }

    /// There is room again.
    pub fn disk_has_room(&self) {
        self.shared.settings().free_bytes = None;
    }
}

/// A fresh id for a capture, so that calling twice is capturing once.
///
/// # Errors
/// `Host` where the system has no entropy.
#[uniffi::export]
pub fn new_operation_id() -> Result<OpId, MotoMindError> {
    crate::clock::fresh_id().map(OpId)
}
