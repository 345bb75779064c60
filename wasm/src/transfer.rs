//! Transfers, space, places and custody as JavaScript sees them.

use motomind_core::protocol::EventId;
use motomind_core::{LocationSaid, TransferPolicy};
use serde_json::{from_str, json};
use wasm_bindgen::prelude::*;

use crate::device::{Device, id, text};
use crate::failure::{capturing, malformed, storing};

#[wasm_bindgen]
impl Device {
    /// Every picture that goes up or has gone: how far, and what the server said.
    ///
    /// # Errors
    /// `storage`.
    pub fn uploads(&self) -> Result<String, JsValue> {
        text(&self.lock().uploads().map_err(|error| storing(&error))?)
    }

    /// Says what may be transferred when, until the device is closed.
    ///
    /// # Errors
    /// `malformed`.
    #[wasm_bindgen(js_name = setTransferPolicy)]
    pub fn set_transfer_policy(&self, policy: &str) -> Result<(), JsValue> {
        let policy: TransferPolicy = from_str(policy).map_err(malformed)?;
        self.lock().set_transfer_policy(policy);
        Ok(())
    }

    /// Says whether the network at hand is metered.
    #[wasm_bindgen(js_name = setNetworkMetered)]
    pub fn set_network_metered(&self, metered: bool) {
        self.lock().set_network_metered(metered);
    }

    /// What takes space on this device, bytes.
    ///
    /// # Errors
    /// `storage`.
    pub fn space(&self) -> Result<String, JsValue> {
        text(&self.lock().space().map_err(|error| storing(&error))?)
    }

    /// Frees so many bytes, as far as there is something that may be freed.
    ///
    /// # Errors
    /// `storage`.
    #[wasm_bindgen(js_name = freeSpace)]
    pub fn free_space(&self, bytes: f64) -> Result<(), JsValue> {
        self.lock().free_space(bytes as u64).map_err(|error| storing(&error))
    }

    /// Says how much room there is for pictures that the server has, bytes.
    #[wasm_bindgen(js_name = setPhotoRoom)]
    pub fn set_photo_room(&self, bytes: f64) {
        self.lock().set_photo_room(bytes as u64);
    }

    /// Says where an event happened: `{"latitude", "longitude", "method", …}`.
    ///
    /// # Errors
    /// `unknown_operation`, `invalid`, `disk_full`, …
    #[wasm_bindgen(js_name = correctLocation)]
    pub fn correct_location(&self, event: &str, said: &str) -> Result<String, JsValue> {
        let said: LocationSaid = from_str(said).map_err(malformed)?;
        let event = EventId(id(event)?);
        let captured = self.lock().correct_location(event, said, self.clock());
        text(&captured.map_err(capturing)?)
    }

    /// Takes back what was said of where an event happened.
    ///
    /// # Errors
    /// As `correctLocation`.
    #[wasm_bindgen(js_name = withdrawLocation)]
    pub fn withdraw_location(&self, event: &str, reason: &str) -> Result<String, JsValue> {
        let event = EventId(id(event)?);
        let captured = self.lock().withdraw_location(event, reason, self.clock());
        text(&captured.map_err(capturing)?)
    }

    /// What is known of where an event happened; `null` for one that this device does not know.
    ///
    /// # Errors
    /// `storage`.
    pub fn place(&self, event: &str) -> Result<String, JsValue> {
        let event = EventId(id(event)?);
        text(&self.lock().place(event).map_err(|error| storing(&error))?)
    }

    /// Asks the server with the next sync what it holds of this journal.
    #[wasm_bindgen(js_name = compareCustody)]
    pub fn compare_custody(&self) {
        self.lock().compare_custody();
    }

    /// What the last comparison since opening found; `null` before one.
    ///
    /// # Errors
    /// `malformed`.
    pub fn custody(&self) -> Result<String, JsValue> {
        text(&self.lock().custody())
    }

    /// Who this device is: `{"tenant_id", "user_id", "device_id", "incarnation"}`.
    ///
    /// # Errors
    /// `malformed`.
    pub fn identity(&self) -> Result<String, JsValue> {
        let who = self.lock().identity();
        text(&json!({
            "tenant_id": who.identity.tenant_id,
            "user_id": who.identity.user_id,
            "device_id": who.device_id,
            "incarnation": who.incarnation,
        }))
    }
}
