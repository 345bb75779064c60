//! The device as JavaScript sees it: opening, what it shows, syncing.

use std::sync::{Mutex, MutexGuard, PoisonError};

use motomind_core::protocol::{Hash, Identity, Millis, OpId, VehicleId};
use motomind_core::{CaptureError, Clock, OpenOptions, TimelineQuery};
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
    /// Its files in OPFS; none where it lives in memory.
    pool: Option<OpfsSAHPoolUtil>,
    /// Names the span in which the steady clock runs: the life of this worker.
    worker_life: Uuid,
}

#[wasm_bindgen]
impl Device {
    /// Opens or creates the device in the OPFS directory `name`, or in memory without one.
    /// `identity` is `{"tenant_id", "user_id"}`, needed at the first opening only; `seed` 32 fresh
    /// bytes from `crypto.getRandomValues`; `key` encrypts, in a build that can.
    ///
    /// # Errors
    /// `already_open`, `wrong_identity`, `no_identity`, `newer_schema`, `journal_damaged`, …
    pub async fn open(
        name: Option<String>,
        identity: Option<String>,
        seed: Vec<u8>,
        key: Option<String>,
    ) -> Result<Device, JsValue> {
        console_error_panic_hook::set_once();
        let identity: Option<Identity> =
            identity.map(|text| from_str(&text)).transpose().map_err(malformed)?;
        let seed = <[u8; 32]>::try_from(seed)
            .map_err(|_| failure("malformed", "the seed must have 32 bytes"))?;
        let mut life = [0; 16];
        getrandom::fill(&mut life).map_err(|error| failure("no_entropy", error))?;
        let worker_life = uuid::Builder::from_random_bytes(life).into_uuid();
        let pool = match &name {
            Some(name) => Some(files::take(name).await?),
            None => None,
        };
        // In memory every device has names of its own.
        let of_its_own = |file: &str| match name {
            Some(_) => file.to_string(),
            None => format!("{worker_life}-{file}"),
        };
        let options = OpenOptions {
            journal: of_its_own("journal.db"),
            mirror: of_its_own("mirror.db"),
            vfs: name,
            identity,
            key,
            seed,
            now: now(),
        };
        let device = motomind_core::Device::open(options).map_err(|error| {
            // Let go of the files, so that opening can be tried again from anywhere.
            let _ = pool.as_ref().map(OpfsSAHPoolUtil::pause);
            opening(error)
        })?;
        Ok(Self { device: Mutex::new(device), pool, worker_life })
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

    /// One vehicle, deleted or not; `null` where it is not known here.
    ///
    /// # Errors
    /// `storage`.
    pub fn vehicle(&self, vehicle: &str) -> Result<String, JsValue> {
        let vehicle = VehicleId(id(vehicle)?);
        text(&self.lock().vehicle(vehicle).map_err(|error| storing(&error))?)
    }

    /// Live garages by name.
    ///
    /// # Errors
    /// `storage`.
    pub fn garages(&self) -> Result<String, JsValue> {
        text(&self.lock().garages().map_err(|error| storing(&error))?)
    }

    /// What has changed since it was last asked: `{"tables", "vehicles", "records"}`.
    ///
    /// # Errors
    /// `malformed`.
    #[wasm_bindgen(js_name = takeChanges)]
    pub fn take_changes(&self) -> Result<String, JsValue> {
        let changes = self.lock().take_changes();
        text(&json!({
            "tables": changes.tables,
            "vehicles": changes.vehicles,
            "records": changes.records,
        }))
    }

    /// Everything that the server does not have or has refused.
    ///
    /// # Errors
    /// `storage`.
    pub fn pending(&self) -> Result<String, JsValue> {
        text(&self.lock().pending(now()).map_err(|error| storing(&error))?)
    }

    /// One operation of this device, whatever its state; `null` where the journal has it not.
    ///
    /// # Errors
    /// `storage`.
    pub fn operation(&self, op_id: &str) -> Result<String, JsValue> {
        let op_id = OpId(id(op_id)?);
        text(&self.lock().operation(op_id, now()).map_err(|error| storing(&error))?)
    }

    /// Offers a refused or resting operation again as it is.
    ///
    /// # Errors
    /// `unknown_operation`, `storage`.
    pub fn retry(&self, op_id: &str) -> Result<(), JsValue> {
        self.lock().retry(OpId(id(op_id)?), now()).map_err(capturing)
    }

    /// Syncing at a glance.
    ///
    /// # Errors
    /// `storage`.
    pub fn status(&self) -> Result<String, JsValue> {
        text(&self.lock().status(now()).map_err(|error| storing(&error))?)
    }

    /// Closes both files and lets other tabs open them.
    ///
    /// # Errors
    /// While a sync is under way this throws, and the device stays open.
    pub fn close(self) -> Result<(), JsValue> {
        let Self { device, pool, .. } = self;
        drop(device);
        pool.map_or(Ok(()), |pool| pool.pause().map_err(|error| failure("storage", error)))
    }
}

impl Device {
    pub(crate) fn lock(&self) -> MutexGuard<'_, motomind_core::Device> {
        self.device.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something under an id that the caller has made; `None` where it was done before.
    pub(crate) fn once<T>(
        &self,
        op_id: &str,
        act: impl FnOnce(&mut motomind_core::Device, Clock) -> Result<T, CaptureError>,
    ) -> Result<Option<T>, JsValue> {
        let (op_id, clock) = (OpId(id(op_id)?), self.clock());
        self.lock().once(op_id, |device| act(device, clock)).map_err(capturing)
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
