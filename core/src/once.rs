//! Doing something once, however often it is asked for.
//!
//! Whoever asks from another process or tab may not hear the answer, and asks again. An operation's
//! id is made by the one who asks, so that the journal itself tells whether it was done.

use motomind_protocol::{Millis, OpId};

use crate::device::Device;
use crate::error::CaptureError;
use crate::{journal, open};

impl Device {
    /// Does something whose first operation gets this id; `None` where the journal holds that
    /// operation already, and nothing is done.
    ///
    /// ```
    /// # use motomind_core::*;
    /// # use motomind_core::protocol::*;
    /// # fn f(device: &mut Device, op_id: OpId, event: EventId, now: Millis) -> Result<(), CaptureError> {
    /// let first = device.once(op_id, |device| device.retract(event, "entered twice", now))?;
    /// assert_eq!(first.unwrap().op_id, op_id);
    /// assert!(device.once(op_id, |device| device.retract(event, "entered twice", now))?.is_none());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// What doing it gives; the journal's when it cannot be read.
    pub fn once<T>(
        &mut self,
        op_id: OpId,
        act: impl FnOnce(&mut Self) -> Result<T, CaptureError>,
    ) -> Result<Option<T>, CaptureError> {
        if journal::find(&self.conn, op_id)?.is_some() {
            return Ok(None);
        }
        self.given_id = Some(op_id);
        let done = act(self);
        self.given_id = None;
        done.map(Some)
    }

    /// The id of the next operation: the caller's, else a fresh one.
    pub(crate) fn next_op_id(&mut self, now: Millis) -> OpId {
        let given = self.given_id.take();
        given.unwrap_or_else(|| OpId(open::new_uuid(&mut self.rng, now)))
    }
}
