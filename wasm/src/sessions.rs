//! Sessions in which photos are taken, as JavaScript sees them.

use motomind_core::Capture;
use motomind_core::protocol::VehicleId;
use serde_json::{from_str, from_value};
use wasm_bindgen::prelude::*;

use crate::device::{Device, hash, id, now, text};
use crate::failure::{capturing, malformed, storing};

#[wasm_bindgen]
impl Device {
    /// Begins a session of a flow under an id that the caller has made; `path` is `quick` or
    /// `guided`. Beginning it again is going on with it.
    ///
    /// # Errors
    /// `invalid`, `disk_full`, …
    #[wasm_bindgen(js_name = beginSession)]
    pub fn begin_session(
        &self,
        session: &str,
        vehicle: &str,
        flow: &str,
        path: &str,
    ) -> Result<String, JsValue> {
        let (vehicle, path) = (VehicleId(id(vehicle)?), from_value(path.into()));
        let (session, path) = (id(session)?, path.map_err(malformed)?);
        let session = self.lock().begin_session_as(session, vehicle, flow, path, self.clock());
        text(&session.map_err(capturing)?)
    }

    /// The person goes to a step of a session.
    ///
    /// # Errors
    /// `session_over`, `unknown_session`, `invalid`, …
    #[wasm_bindgen(js_name = sessionStep)]
    pub fn session_step(&self, session: &str, step: &str) -> Result<String, JsValue> {
        let session = self.lock().session_step(id(session)?, step, self.clock());
        text(&session.map_err(capturing)?)
    }

    /// Goes on with a session after a crash, or with the photos of one that was left.
    ///
    /// # Errors
    /// `unknown_session`, `disk_full`, …
    #[wasm_bindgen(js_name = resumeSession)]
    pub fn resume_session(&self, session: &str) -> Result<String, JsValue> {
        let session = self.lock().resume_session(id(session)?, self.clock());
        text(&session.map_err(capturing)?)
    }

    /// Throws a photo out of a session.
    ///
    /// # Errors
    /// As `sessionStep`; `unknown_photo`.
    #[wasm_bindgen(js_name = removeSessionPhoto)]
    pub fn remove_session_photo(&self, session: &str, photo: &str) -> Result<String, JsValue> {
        let (session, photo) = (id(session)?, hash(photo)?);
        let session = self.lock().remove_session_photo(session, photo, self.clock());
        text(&session.map_err(capturing)?)
    }

    /// The person leaves a session: `back_button`, `closed_tab` or `navigation`. Its photos stay.
    ///
    /// # Errors
    /// As `sessionStep`.
    #[wasm_bindgen(js_name = leaveSession)]
    pub fn leave_session(&self, session: &str, reason: &str) -> Result<String, JsValue> {
        let reason = from_value(reason.into()).map_err(malformed)?;
        let session = self.lock().leave_session(id(session)?, reason, self.clock());
        text(&session.map_err(capturing)?)
    }

    /// The sessions that a person can go on with, the last touched first.
    ///
    /// # Errors
    /// `storage`.
    pub fn sessions(&self) -> Result<String, JsValue> {
        text(&self.lock().sessions(now()).map_err(|error| storing(&error))?)
    }

    /// Throws away what is left of a session, with the photos that nothing else needs.
    ///
    /// # Errors
    /// `unknown_session`, `storage`.
    #[wasm_bindgen(js_name = discardSession)]
    pub fn discard_session(&self, session: &str) -> Result<(), JsValue> {
        let session = id(session)?;
        self.lock().discard_session_photos(session, self.clock()).map_err(capturing)
    }

    /// Saves the event of a session with its photos. Durable together when this returns.
    ///
    /// # Errors
    /// As `capture`; `session_over`, `unknown_session`, `steps_missing`.
    #[wasm_bindgen(js_name = completeSession)]
    pub fn complete_session(&self, session: &str, capture: &str) -> Result<String, JsValue> {
        let capture: Capture = from_str(capture).map_err(malformed)?;
        let captured = self.lock().complete_session(id(session)?, capture, self.clock());
        text(&captured.map_err(capturing)?)
    }
}
