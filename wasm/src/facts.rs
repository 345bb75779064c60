//! Events as JavaScript sees them: captured, mended, taken back and brought back, and where they
//! happened. Each write carries an id that its caller has made, so that it can be asked for again.

use motomind_core::protocol::{EventId, OpId};
use motomind_core::{Capture, CaptureError, Captured, Clock, LocationSaid};
use serde_json::from_str;
use wasm_bindgen::prelude::*;

use crate::device::{Device, id, text};
use crate::failure::{capturing, malformed, storing};

#[wasm_bindgen]
impl Device {
    /// Captures a fact. Durable when this returns.
    ///
    /// # Errors
    /// `invalid`, `confirm_jump`, `id_reused`, `disk_full`, …: nothing was stored.
    pub fn capture(&self, capture: &str) -> Result<String, JsValue> {
        let capture: Capture = from_str(capture).map_err(malformed)?;
        let captured = self.lock().capture(capture, self.clock()).map_err(capturing)?;
        text(&captured)
    }

    /// Replaces a capture by a mended one.
    ///
    /// # Errors
    /// As `capture`; `unknown_operation`, `already_superseded`.
    pub fn amend(&self, event: &str, capture: &str, op_id: &str) -> Result<String, JsValue> {
        let capture: Capture = from_str(capture).map_err(malformed)?;
        let event = OpId(id(event)?);
        self.stated(op_id, |device, clock| device.amend(event, capture, clock))
    }

    /// Takes back a write of this device.
    ///
    /// # Errors
    /// As `amend`.
    pub fn discard(&self, write: &str, reason: &str, op_id: &str) -> Result<String, JsValue> {
        let write = OpId(id(write)?);
        self.stated(op_id, |device, clock| device.discard(write, reason, clock))
    }

    /// Takes an event back, whoever captured it.
    ///
    /// # Errors
    /// As `amend`.
    pub fn retract(&self, event: &str, reason: &str, op_id: &str) -> Result<String, JsValue> {
        let event = EventId(id(event)?);
        self.stated(op_id, |device, clock| device.retract(event, reason, clock))
    }

    /// Brings back an event that was taken back.
    ///
    /// # Errors
    /// As `amend`; `invalid` where nothing has taken it back.
    pub fn restore(&self, event: &str, reason: &str, op_id: &str) -> Result<String, JsValue> {
        let event = EventId(id(event)?);
        self.stated(op_id, |device, clock| device.restore(event, reason, clock))
    }

    /// The whole story of an event; `null` where it is not known here.
    ///
    /// # Errors
    /// `storage`.
    pub fn family(&self, event: &str) -> Result<String, JsValue> {
        let event = EventId(id(event)?);
        text(&self.lock().family(event).map_err(|error| storing(&error))?)
    }

    /// Says where an event happened: `{"latitude", "longitude", "method", …}`.
    ///
    /// # Errors
    /// `unknown_operation`, `invalid`, `disk_full`, …
    #[wasm_bindgen(js_name = correctLocation)]
    pub fn correct_location(
        &self,
        event: &str,
        said: &str,
        op_id: &str,
    ) -> Result<String, JsValue> {
        let said: LocationSaid = from_str(said).map_err(malformed)?;
        let event = EventId(id(event)?);
        self.stated(op_id, |device, clock| device.correct_location(event, said, clock))
    }

    /// Takes back what was said of where an event happened.
    ///
    /// # Errors
    /// As `correctLocation`.
    #[wasm_bindgen(js_name = withdrawLocation)]
    pub fn withdraw_location(
        &self,
        event: &str,
        reason: &str,
        op_id: &str,
    ) -> Result<String, JsValue> {
        let event = EventId(id(event)?);
        self.stated(op_id, |device, clock| device.withdraw_location(event, reason, clock))
    }

    /// What is known of where an event happened; `null` for one that this device does not know.
    ///
    /// # Errors
    /// `storage`.
    pub fn place(&self, event: &str) -> Result<String, JsValue> {
        let event = EventId(id(event)?);
        text(&self.lock().place(event).map_err(|error| storing(&error))?)
    }
}

impl Device {
    /// Does what states a fact, once, and says what came of it.
    pub(crate) fn stated(
        &self,
        op_id: &str,
        act: impl FnOnce(&mut motomind_core::Device, Clock) -> Result<Captured, CaptureError>,
    ) -> Result<String, JsValue> {
        let before = Captured { op_id: OpId(id(op_id)?), duplicate: true, warnings: Vec::new() };
        text(&self.once(op_id, act)?.unwrap_or(before))
    }
}
