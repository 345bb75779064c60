//! Transfers and space as JavaScript sees them.

use motomind_core::TransferPolicy;
use serde_json::from_str;
use wasm_bindgen::prelude::*;

use crate::device::{Device, hash, now, text};
use crate::failure::{capturing, malformed, storing};
use crate::photos::variant;

#[wasm_bindgen]
impl Device {
    /// Every picture that goes up or has gone: how far, and what the server said.
    ///
    /// # Errors
    /// `storage`.
    pub fn uploads(&self) -> Result<String, JsValue> {
        text(&self.lock().uploads().map_err(|error| storing(&error))?)
    }

    /// What the host may send by itself, without a token: an URL, headers and an offset each.
    ///
    /// # Errors
    /// `storage`.
    #[wasm_bindgen(js_name = uploadPlans)]
    pub fn upload_plans(&self) -> Result<String, JsValue> {
        text(&self.lock().upload_plans().map_err(|error| storing(&error))?)
    }

    /// Offers a refused picture again.
    ///
    /// # Errors
    /// `unknown_photo`, `storage`.
    #[wasm_bindgen(js_name = retryUpload)]
    pub fn retry_upload(&self, photo: &str, which: &str) -> Result<(), JsValue> {
        let (photo, which) = (hash(photo)?, variant(which)?);
        self.lock().retry_upload(photo, which, now()).map_err(capturing)
    }

    /// Says what may be transferred when, until it is said again.
    ///
    /// # Errors
    /// `malformed`, `storage`.
    #[wasm_bindgen(js_name = setTransferPolicy)]
    pub fn set_transfer_policy(&self, policy: &str) -> Result<(), JsValue> {
        let policy: TransferPolicy = from_str(policy).map_err(malformed)?;
        self.lock().set_transfer_policy(policy).map_err(|error| storing(&error))
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

    /// Says how much room there is for pictures that the server has, bytes, until it is said again.
    ///
    /// # Errors
    /// `storage`.
    #[wasm_bindgen(js_name = setPhotoRoom)]
    pub fn set_photo_room(&self, bytes: f64) -> Result<(), JsValue> {
        self.lock().set_photo_room(bytes as u64).map_err(|error| storing(&error))
    }
}
