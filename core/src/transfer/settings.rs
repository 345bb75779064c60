//! What the host has set, kept in the journal: it holds until it is set again, also across a crash.

use rusqlite::Connection;

use super::TransferPolicy;
use crate::device::Device;
use crate::error::StoreError;
use crate::settings::{keep, kept};

const POLICY: &str = "transfer_policy";
const METERED_LEFT: &str = "metered_left";
const PHOTO_ROOM: &str = "photo_room";

impl Device {
    /// Says what may be transferred when. Takes effect with the next request, and holds until it is
    /// set again; a byte budget counts from here.
    ///
    /// # Errors
    /// [`StoreError`] when the journal cannot be written: what was set before holds.
    pub fn set_transfer_policy(&mut self, policy: TransferPolicy) -> Result<(), StoreError> {
        let tx = self.conn.unchecked_transaction()?;
        keep(&tx, POLICY, &policy)?;
        keep(&tx, METERED_LEFT, &policy.metered_budget)?;
        tx.commit()?;
        self.sync.upload.apply(policy, policy.metered_budget);
        Ok(())
    }

    /// What may be transferred when.
    #[must_use]
    pub fn transfer_policy(&self) -> TransferPolicy {
        self.sync.upload.policy
    }

    /// Says whether the network at hand is metered: the host's to say at each opening.
    pub fn set_network_metered(&mut self, metered: bool) {
        self.sync.upload.metered = metered;
    }

    /// Says how much room there is for pictures that the server has: those that came from it, and
    /// own originals that it has. Beyond it, the one looked at or taken longest ago goes. Holds
    /// until it is set again.
    ///
    /// # Errors
    /// [`StoreError`] when the journal cannot be written: what was set before holds.
    pub fn set_photo_room(&mut self, bytes: u64) -> Result<(), StoreError> {
        keep(&self.conn, PHOTO_ROOM, &bytes)?;
        self.sync.download.limit = bytes;
        // A cache that cannot be written is emptied soon enough.
        let _ = super::cache::shrink(&self.conn, bytes);
        Ok(())
    }

    /// How much room there is for pictures that the server has, bytes.
    #[must_use]
    pub fn photo_room(&self) -> u64 {
        self.sync.download.limit
    }
}

/// Takes up what was set before this opening.
pub(crate) fn restore(device: &mut Device) -> Result<(), StoreError> {
    if let Some(policy) = kept::<TransferPolicy>(&device.conn, POLICY)? {
        let left = kept::<Option<u64>>(&device.conn, METERED_LEFT)?.flatten();
        device.sync.upload.apply(policy, left.or(policy.metered_budget));
    }
    if let Some(bytes) = kept(&device.conn, PHOTO_ROOM)? {
        device.sync.download.limit = bytes;
    }
    Ok(())
}

/// Remembers what is left of a byte budget, within the caller's transaction.
pub(super) fn keep_metered_left(conn: &Connection, left: u64) -> Result<(), StoreError> {
    keep(conn, METERED_LEFT, &Some(left))
}
