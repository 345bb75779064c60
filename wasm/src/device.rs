//! The device as JavaScript sees it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use motomind_core::http::{Http, SyncEnd};
use motomind_core::protocol::{Hash, Identity, Millis};
use motomind_core::{Capture, Clock, OpenOptions, TimelineQuery};
use serde::Serialize;
use serde_json::{from_str, json};
use sqlite_wasm_vfs::sahpool::OpfsSAHPoolUtil;
use uuid::Uuid;
use wasm_bindgen::prelude::*;

use crate::failure::{capturing, failure, malformed, opening, storing};
use crate::files;

#[wasm_bindgen]
extern "C" {
    /// Milliseconds since this worker started; steady, whatever is done to the wall clock.
    #[wasm_bindgen(js_namespace = performance, js_name = now)]
    fn steady_ms() -> f64;
}

/// One user's device in this browser, open. Lives in a dedicated worker.
#[wasm_bindgen]
pub struct Device {
    device: Mutex<motomind_core::Device>,
    pool: OpfsSAHPoolUtil,
    /// Names the span in which the steady clock runs: the life of this worker.
    worker_life: Uuid,
}

#[wasm_bindgen]
impl Device {
    /// Opens or creates the device in the OPFS directory `name`. `identity` is
    /// `{"tenant_id", "user_id"}`, needed at the first opening only; `seed` 32 fresh bytes from
    /// `crypto.getRandomValues`.
    ///
    /// # Errors
    /// `already_open`, `wrong_identity`, `no_identity`, `newer_schema`, `journal_damaged`, …
    pub async fn open(
        name: String,
        identity: Option<String>,
        seed: Vec<u8>,
    ) -> Result<Device, JsValue> {
        console_error_panic_hook::set_once();
        let identity: Option<Identity> =
            identity.map(|text| from_str(&text)).transpose().map_err(malformed)?;
        let seed = <[u8; 32]>::try_from(seed)
            .map_err(|_| failure("malformed", "the seed must have 32 bytes"))?;
        let mut life = [0; 16];
        getrandom::fill(&mut life).map_err(|error| failure("no_entropy", error))?;
        let pool = files::take(&name).await?;
        let options = OpenOptions {
            journal: "journal.db".into(),
            mirror: "mirror.db".into(),
            vfs: Some(name),
            identity,
            key: None,
            seed,
            now: now(),
        };
        let device = motomind_core::Device::open(options).map_err(|error| {
            // Let go of the files, so that opening can be tried again from anywhere.
            let _ = pool.pause();
            opening(error)
        })?;
        Ok(Self {
            device: Mutex::new(device),
            pool,
            worker_life: uuid::Builder::from_random_bytes(life).into_uuid(),
        })
    }

    /// Captures a fact. Durable when this returns.
    ///
    /// # Errors
    /// `invalid`, `confirm_jump`, `id_reused`, `disk_full`, …: nothing was stored.
    pub fn capture(&self, capture: &str) -> Result<String, JsValue> {
        let capture: Capture = from_str(capture).map_err(malformed)?;
        let captured = self.lock().capture(capture, self.clock()).map_err(capturing)?;
        text(&captured)
    }

    /// A page of the timeline, newest first.
    ///
    /// # Errors
    /// `malformed` query, `storage`.
    pub fn timeline(&self, query: &str) -> Result<String, JsValue> {
        let query: TimelineQuery = from_str(query).map_err(malformed)?;
        text(&self.lock().timeline(&query).map_err(|error| storing(&error))?)
    }

    /// The vehicles, with their current mileage.
    ///
    /// # Errors
    /// `storage`.
    pub fn vehicles(&self) -> Result<String, JsValue> {
        text(&self.lock().vehicles().map_err(|error| storing(&error))?)
    }

    /// Everything that the server does not have or has refused.
    ///
    /// # Errors
    /// `storage`.
    pub fn pending(&self) -> Result<String, JsValue> {
        text(&self.lock().pending(now()).map_err(|error| storing(&error))?)
    }

    /// Syncing at a glance.
    ///
    /// # Errors
    /// `storage`.
    pub fn status(&self) -> Result<String, JsValue> {
        text(&self.lock().status(now()).map_err(|error| storing(&error))?)
    }

    /// Gives the token to sync with, or takes it away. Returns why syncing is blocked, if it is.
    #[wasm_bindgen(js_name = setToken)]
    pub fn set_token(&self, token: Option<String>) -> Option<String> {
        let blocked = self.lock().set_token(token.as_deref(), now());
        blocked.map(|why| why.to_string())
    }

    /// Syncs with the server at `url` until everything is there, or nothing more can be done now.
    ///
    /// # Errors
    /// `storage`; a server that is away is not an error.
    #[wasm_bindgen(js_name = syncOnce)]
    pub async fn sync_once(&self, url: String) -> Result<String, JsValue> {
        let http = Http::new(&url).map_err(|error| failure("malformed", error))?;
        let end = http.sync_once(&self.device, now).await.map_err(|error| storing(&error))?;
        text(&match end {
            SyncEnd::CaughtUp => json!({ "end": "caught_up" }),
            SyncEnd::Later(at) => json!({ "end": "later", "at": at }),
            SyncEnd::Blocked(why) => json!({ "end": "blocked", "why": why.to_string() }),
        })
    }

    /// Closes both files and lets other tabs open them.
    ///
    /// # Errors
    /// While a sync is under way this throws, and the device stays open.
    pub fn close(self) -> Result<(), JsValue> {
        let Self { device, pool, .. } = self;
        drop(device);
        pool.pause().map_err(|error| failure("storage", error))
    }
}

impl Device {
    pub(crate) fn lock(&self) -> MutexGuard<'_, motomind_core::Device> {
        self.device.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn clock(&self) -> Clock {
        Clock {
            wall_ms: now(),
            monotonic_ms: Some(steady_ms() as i64),
            boot_id: Some(self.worker_life),
        }
    }
}

pub(crate) fn now() -> Millis {
    js_sys::Date::now() as Millis
}

pub(crate) fn text(value: &impl Serialize) -> Result<String, JsValue> {
    serde_json::to_string(value).map_err(malformed)
}

pub(crate) fn id(text: &str) -> Result<Uuid, JsValue> {
    text.parse().map_err(malformed)
}

pub(crate) fn hash(text: &str) -> Result<Hash, JsValue> {
    text.parse().map_err(malformed)
}
