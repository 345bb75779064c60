//! Photos as JavaScript sees them. Bytes cross the border
//! as `Uint8Array`s of at most 1 MiB, given or asked for.

use js_sys::{Object, Reflect, Uint8Array};
use motomind_core::photo::PreviewAbsence;
use motomind_core::protocol::{EventId, Hash};
use motomind_core::{
    AddedPhoto, Capture, CaptureError, FlagsShown, HostPreview, NewPhoto, PhotoEdit, PhotoHandle,
    PhotoMeta, PhotoTarget, Variant,
};
use serde::Deserialize;
use serde_json::{Value, from_str, json};
use uuid::Uuid;
use wasm_bindgen::prelude::*;

use crate::device::{Device, hash, id, now, text};
use crate::failure::{capturing, failure, malformed, storing};
use crate::picked::{GivenPhoto, Picked};

/// Where a photo belongs: `{"session", "step"?}` or `{"event"}`.
#[derive(Deserialize)]
#[serde(untagged)]
enum Target {
    Session {
        session: Uuid,
        #[serde(default)]
        step: Option<String>,
    },
    Event {
        event: EventId,
    },
}

impl From<Target> for PhotoTarget {
    fn from(target: Target) -> Self {
        match target {
            Target::Session { session, step } => Self::Session { id: session, step },
            Target::Event { event } => Self::Event(event),
        }
    }
}

#[wasm_bindgen]
impl Device {
    /// Begins a photo; `target` is `{"session", "step"?}` or `{"event"}`, `meta` says what the host
    /// knows of it (`{}` if nothing). Returns what to write to.
    ///
    /// # Errors
    /// `no_room`, `photo`, `session_over`, `unknown_session`, `unknown_operation`, `invalid`, …
    #[wasm_bindgen(js_name = beginPhoto)]
    pub fn begin_photo(&self, target: &str, meta: &str) -> Result<u64, JsValue> {
        let target: Target = from_str(target).map_err(malformed)?;
        let meta: PhotoMeta = from_str(meta).map_err(malformed)?;
        let begun = self.lock().begin_photo(target.into(), meta, self.clock());
        Ok(begun.map_err(capturing)?.0)
    }

    /// Takes the next bytes of a photo, at most 1 MiB.
    ///
    /// # Errors
    /// `photo`, `no_room`, `disk_full`, …: nothing is left of the photo. `piece_too_large` changes
    /// nothing.
    #[wasm_bindgen(js_name = writePhoto)]
    pub fn write_photo(&self, photo: u64, bytes: &[u8]) -> Result<(), JsValue> {
        self.lock().write_photo(PhotoHandle(photo), bytes).map_err(capturing)
    }

    /// Ends a photo; durable when this returns. `preview` is the host's small picture of it, at most
    /// 1,600 pixels long; without one, `makePreview` is to follow. Where the photo is of an event,
    /// what puts it there gets the id that the caller has made.
    ///
    /// # Errors
    /// As `writePhoto`; `session_over`: nothing is left of the photo. `id_reused`: it was put there
    /// before under this id.
    #[wasm_bindgen(js_name = finishPhoto)]
    pub fn finish_photo(
        &self,
        photo: u64,
        preview: Option<Vec<u8>>,
        op_id: &str,
    ) -> Result<String, JsValue> {
        let preview = preview.map_or(HostPreview::Later, HostPreview::Bytes);
        let finish = |device: &mut motomind_core::Device, _| {
            device.finish_photo(PhotoHandle(photo), preview)
        };
        let Some(added) = self.once(op_id, finish)? else {
            self.abandon_photo(photo)?;
            return Err(capturing(CaptureError::IdReused));
        };
        added_text(&added)
    }

    /// Gives a photo up that is being written.
    ///
    /// # Errors
    /// `not_being_written`, `storage`.
    #[wasm_bindgen(js_name = abandonPhoto)]
    pub fn abandon_photo(&self, photo: u64) -> Result<(), JsValue> {
        self.lock().abandon_photo(PhotoHandle(photo)).map_err(capturing)
    }

    /// Hands in the small picture of a photo that has none yet; without one, that is noted.
    ///
    /// # Errors
    /// `unknown_photo`, `disk_full`, …
    #[wasm_bindgen(js_name = makePreview)]
    pub fn make_preview(&self, photo: &str, preview: Option<Vec<u8>>) -> Result<String, JsValue> {
        let preview = preview.map_or(HostPreview::None, HostPreview::Bytes);
        let made = self.lock().make_preview(hash(photo)?, preview, now()).map_err(capturing)?;
        text(&preview_json(made))
    }

    /// Captures an event with its photos at once. Each is
    /// `{ read: (from, to) => Uint8Array, meta: text, preview? }`.
    /// After a crash there is all of it, or a session with the photos that had been added.
    ///
    /// # Errors
    /// As `capture` and `beginPhoto`: nothing of it is kept. `host` where a file cannot be read.
    #[wasm_bindgen(js_name = captureWithPhotos)]
    pub fn capture_with_photos(
        &self,
        capture: &str,
        photos: Vec<GivenPhoto>,
    ) -> Result<String, JsValue> {
        let capture: Capture = from_str(capture).map_err(malformed)?;
        let photos: Result<Vec<NewPhoto<Picked>>, JsValue> =
            photos.into_iter().map(GivenPhoto::picked).collect();
        let captured = self.lock().capture_with_photos(capture, photos?, self.clock());
        text(&captured.map_err(capturing)?)
    }

    /// Puts a photo that is known here on another event.
    ///
    /// # Errors
    /// `unknown_photo`, `unknown_operation`, `invalid`, …
    #[wasm_bindgen(js_name = attachPhoto)]
    pub fn attach_photo(
        &self,
        event: &str,
        photo: &str,
        meta: &str,
        op_id: &str,
    ) -> Result<String, JsValue> {
        let meta: PhotoMeta = from_str(meta).map_err(malformed)?;
        let (event, photo) = (EventId(id(event)?), hash(photo)?);
        self.stated(op_id, |device, clock| device.attach_photo(event, photo, &meta, clock))
    }

    /// Says anew what a photo on an event is.
    ///
    /// # Errors
    /// As `attachPhoto`.
    #[wasm_bindgen(js_name = describePhoto)]
    pub fn describe_photo(
        &self,
        event: &str,
        photo: &str,
        edit: &str,
        op_id: &str,
    ) -> Result<String, JsValue> {
        let edit: PhotoEdit = from_str(edit).map_err(malformed)?;
        let (event, photo) = (EventId(id(event)?), hash(photo)?);
        self.stated(op_id, |device, clock| device.describe_photo(event, photo, edit, clock))
    }

    /// Takes a photo off an event. Its bytes stay.
    ///
    /// # Errors
    /// As `attachPhoto`.
    #[wasm_bindgen(js_name = removePhoto)]
    pub fn remove_photo(
        &self,
        event: &str,
        photo: &str,
        reason: &str,
        op_id: &str,
    ) -> Result<String, JsValue> {
        let (event, photo) = (EventId(id(event)?), hash(photo)?);
        self.stated(op_id, |device, clock| device.remove_photo(event, photo, reason, clock))
    }

    /// The photos on an event, and where their bytes are.
    ///
    /// # Errors
    /// `storage`.
    pub fn photos(&self, event: &str) -> Result<String, JsValue> {
        let event = EventId(id(event)?);
        text(&self.lock().photos(event).map_err(|error| storing(&error))?)
    }

    /// At most 1 MiB of a photo (`original`) or its small picture (`preview`) from an offset, as
    /// `{ bytes: Uint8Array, total, mime }`; `undefined` where they are not on this device.
    ///
    /// # Errors
    /// `malformed`, `storage`.
    #[wasm_bindgen(js_name = readPhoto)]
    pub fn read_photo(
        &self,
        photo: &str,
        which: &str,
        offset: f64,
        most: u32,
    ) -> Result<JsValue, JsValue> {
        let (photo, which) = (hash(photo)?, variant(which)?);
        let read = self.lock().read_photo(photo, which, offset as u64, most as usize);
        let Some(piece) = read.map_err(|error| storing(&error))? else {
            return Ok(JsValue::UNDEFINED);
        };
        let shown = Object::new();
        Reflect::set(&shown, &"bytes".into(), &Uint8Array::from(piece.bytes.as_slice()))?;
        Reflect::set(&shown, &"total".into(), &(piece.total as f64).into())?;
        Reflect::set(&shown, &"mime".into(), &piece.mime.as_str().into())?;
        Ok(shown.into())
    }

    /// Fetches a photo (`original`) or its small picture (`preview`) with the next sync.
    ///
    /// # Errors
    /// `malformed`, `storage`.
    #[wasm_bindgen(js_name = fetchPhoto)]
    pub fn fetch_photo(&self, photo: &str, which: &str) -> Result<(), JsValue> {
        let (photo, which) = (hash(photo)?, variant(which)?);
        self.lock().fetch_photo(photo, which, now()).map_err(capturing)
    }

    /// Reads every photo that rests here and names those whose bytes are not what their hash says.
    ///
    /// # Errors
    /// `storage`.
    #[wasm_bindgen(js_name = verifyPhotos)]
    pub fn verify_photos(&self) -> Result<String, JsValue> {
        text(&self.lock().verify_photos().map_err(|error| storing(&error))?)
    }
}

pub(crate) fn variant(name: &str) -> Result<Variant, JsValue> {
    let named = [Variant::Original, Variant::Preview].into_iter().find(|one| one.name() == name);
    named.ok_or_else(|| failure("malformed", "neither `original` nor `preview`"))
}

fn added_text(added: &AddedPhoto) -> Result<String, JsValue> {
    text(&json!({
        "photo": added.facts.sha256,
        "facts": added.facts,
        "flags": FlagsShown::from(added.flags),
        "notes": added.notes,
        "preview": preview_json(added.preview.clone()),
        "duplicate": added.duplicate,
        "op_id": added.op_id,
    }))
}

/// `null` where it is to be made later, `{"sha256"}`, or `{"absent"}` with the reason.
fn preview_json(made: Option<Result<Hash, PreviewAbsence>>) -> Value {
    made.map_or(Value::Null, |made| match made {
        Ok(sha256) => json!({ "sha256": sha256 }),
        Err(why) => json!({ "absent": why }),
    })
}
