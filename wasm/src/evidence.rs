//! What this device can prove and hand out: its chain, exports, custody, who it is.

use motomind_core::{ExportError, ExportScope};
use serde_json::json;
use wasm_bindgen::prelude::*;

use crate::device::{Device, now, text};
use crate::failure::{failure, storing};

#[wasm_bindgen]
impl Device {
    /// Checks the chain of everything that the journal holds: `null` where it is whole, else what
    /// is wrong with it.
    ///
    /// # Errors
    /// `storage`.
    pub fn verify(&self) -> Result<String, JsValue> {
        let verified = self.lock().verify().map_err(|error| storing(&error))?;
        text(&verified.err().map(|broken| format!("{broken:?}")))
    }

    /// What is not on the server (`unsettled`), or `everything`, as lines of JSON.
    ///
    /// # Errors
    /// `malformed` scope, `storage`.
    pub fn export(&self, scope: &str) -> Result<String, JsValue> {
        let scope = match scope {
            "unsettled" => ExportScope::Unsettled,
            "everything" => ExportScope::Everything,
            _ => return Err(failure("malformed", "neither `unsettled` nor `everything`")),
        };
        let mut lines = Vec::new();
        self.lock().export(scope, &mut lines, now()).map_err(|error| match error {
            ExportError::Store(error) => storing(&error),
            ExportError::Write(error) => failure("host", error),
        })?;
        String::from_utf8(lines).map_err(|error| failure("malformed", error))
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
