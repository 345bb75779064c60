//! Syncing as JavaScript drives it: it asks what to send, sends it, and says what came back. `fetch` is
//! the host's; a second client of HTTP in here would be a third of what a page loads.

use js_sys::{Array, Object, Reflect, Uint8Array};
use motomind_core::protocol::limits;
use motomind_core::{FailureKind, Reply, Request, RequestId, Step};
use serde_json::from_str;
use wasm_bindgen::prelude::*;

use crate::device::{Device, now};
use crate::failure::{failure, malformed, storing};

#[wasm_bindgen]
impl Device {
    /// Gives the token to sync with, or takes it away. Returns why syncing is blocked, if it is.
    #[wasm_bindgen(js_name = setToken)]
    pub fn set_token(&self, token: Option<String>) -> Option<String> {
        let blocked = self.lock().set_token(token.as_deref(), now());
        blocked.map(|why| why.to_string())
    }

    /// Why syncing has stopped until someone acts, if it has.
    pub fn blocked(&self) -> Option<String> {
        self.lock().blocked().map(ToString::to_string)
    }

    /// There may be something new on the server, or the network is back.
    #[wasm_bindgen(js_name = onPoke)]
    pub fn on_poke(&self) {
        self.lock().on_poke(now());
    }

    /// What to do now: `{ send: [{ id, method, path, headers: [name, value][], body }] }` at the same
    /// time, then ask again; `{ wait }` until that instant, UTC ms; or nothing, `{}`.
    ///
    /// # Errors
    /// `storage`.
    #[wasm_bindgen(js_name = nextStep)]
    pub fn next_step(&self) -> Result<JsValue, JsValue> {
        let step = self.lock().next_step(now()).map_err(|error| storing(&error))?;
        let shown = Object::new();
        match step {
            Step::Send(requests) => {
                let requests: Result<Array, JsValue> = requests.iter().map(request).collect();
                Reflect::set(&shown, &"send".into(), &requests?.into())?;
            }
            Step::WaitUntil(at) => {
                Reflect::set(&shown, &"wait".into(), &(at as f64).into())?;
            }
            Step::Idle => {}
        }
        Ok(shown.into())
    }

    /// A reply came; `headers` are `[name, value][]` as JSON.
    ///
    /// # Errors
    /// `storage`.
    #[wasm_bindgen(js_name = onReply)]
    pub fn on_reply(
        &self,
        id: f64,
        status: u16,
        headers: &str,
        body: Vec<u8>,
    ) -> Result<(), JsValue> {
        let headers: Vec<(String, String)> = from_str(headers).map_err(malformed)?;
        let mut reply = Reply { status, retry_after_s: None, headers, body };
        reply.retry_after_s = reply.header("retry-after").and_then(|text| text.parse().ok());
        let settled = self.lock().on_reply(RequestId(id as u64), &reply, now());
        settled.map_err(|error| storing(&error))
    }

    /// Nothing usable came back: `network`, `timeout`, or `too_large`.
    ///
    /// # Errors
    /// `malformed`.
    #[wasm_bindgen(js_name = onFailure)]
    pub fn on_failure(&self, id: f64, kind: &str) -> Result<(), JsValue> {
        let kind = match kind {
            "network" => FailureKind::Network,
            "timeout" => FailureKind::Timeout,
            "too_large" => FailureKind::TooLarge,
            _ => return Err(failure("malformed", "no such failure")),
        };
        self.lock().on_failure(RequestId(id as u64), kind, now());
        Ok(())
    }

    /// The most that is read of a reply, bytes.
    #[wasm_bindgen(js_name = replyBytesMax)]
    #[must_use]
    pub fn reply_bytes_max() -> f64 {
        limits::REPLY_BYTES_MAX as f64
    }
}

fn request(request: &Request) -> Result<JsValue, JsValue> {
    let shown = Object::new();
    let headers: Array = request
        .headers
        .iter()
        .map(|(name, value)| Array::of2(&(*name).into(), &value.as_str().into()))
        .collect();
    Reflect::set(&shown, &"id".into(), &(request.id.0 as f64).into())?;
    Reflect::set(&shown, &"method".into(), &request.method.into())?;
    Reflect::set(&shown, &"path".into(), &request.path.as_str().into())?;
    Reflect::set(&shown, &"headers".into(), &headers)?;
    Reflect::set(&shown, &"body".into(), &Uint8Array::from(request.body.as_slice()))?;
    Ok(shown.into())
}
