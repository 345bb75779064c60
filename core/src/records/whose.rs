//! Whose a record is, as far as a device can know.

use motomind_protocol::Role;
use motomind_protocol::records::{self, Document};

use super::edit::invalid;
use super::replay::Replay;
use crate::device::Device;
use crate::error::CaptureError;

impl Device {
    /// Refuses what this person may not change, before it is sealed: the record as it is shown, and
    /// as it would be. Their role is what the token says that this device holds; without one it
    /// lets pass what a manager may do, and the server judges alone.
    pub(super) fn theirs_to_change(
        &self,
        replay: &Replay,
        document: Option<&Document>,
    ) -> Result<(), CaptureError> {
        let Some(document) = document else { return Ok(()) };
        let (user, role) = (self.who.identity.user_id, self.sync.role().unwrap_or(Role::Manager));
        records::may_touch(replay.collection, replay.id, &document.fields(), user, role)
            .map_err(|rejection| invalid(*rejection))
    }
}
