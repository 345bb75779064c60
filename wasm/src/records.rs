//! Records as JavaScript sees them. A record is named by `{"collection", "id"}`; each write carries
//! an id that its caller has made, so that it can be asked for again.

use motomind_core::protocol::OpId;
use motomind_core::{CaptureError, Clock, Edited, RecordRef};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, from_str};
use uuid::Uuid;
use wasm_bindgen::prelude::*;

use crate::device::{Device, id, text};
use crate::failure::{capturing, malformed, storing};

/// A record, or one that is to be made.
#[derive(Deserialize)]
struct Named {
    collection: String,
    id: Option<Uuid>,
}

/// A write to a record, and whether it was made before under this id.
#[derive(Serialize)]
struct Written {
    #[serde(flatten)]
    edited: Edited,
    duplicate: bool,
}

#[wasm_bindgen]
impl Device {
    /// Creates a record; `{"collection", "id": null}` lets the device name it.
    ///
    /// # Errors
    /// `invalid`, `disk_full`, …: nothing was stored.
    pub fn create(&self, record: &str, fields: &str, op_id: &str) -> Result<String, JsValue> {
        let named: Named = from_str(record).map_err(malformed)?;
        let fields = object(fields)?;
        let record = RecordRef::new(&*named.collection, named.id.unwrap_or_default());
        self.written(&record, op_id, |device, clock| match named.id {
            Some(_) => device.create_as(&record, fields, clock),
            None => device.create(&named.collection, fields, clock),
        })
    }

    /// Changes fields of a record; `null` clears one.
    ///
    /// # Errors
    /// As `create`; `unknown_record`.
    pub fn edit(&self, record: &str, fields: &str, op_id: &str) -> Result<String, JsValue> {
        let (record, fields) = (named(record)?, object(fields)?);
        self.written(&record, op_id, |device, clock| device.edit(&record, fields, clock))
    }

    /// Marks a record as deleted.
    ///
    /// # Errors
    /// As `edit`.
    #[wasm_bindgen(js_name = deleteRecord)]
    pub fn delete_record(
        &self,
        record: &str,
        reassign_to: Option<String>,
        op_id: &str,
    ) -> Result<String, JsValue> {
        let record = named(record)?;
        let to = reassign_to.map(|text| id(&text)).transpose()?;
        self.written(&record, op_id, |device, clock| device.delete(&record, to, clock))
    }

    /// Takes the mark of deletion away.
    ///
    /// # Errors
    /// As `edit`.
    #[wasm_bindgen(js_name = restoreRecord)]
    pub fn restore_record(&self, record: &str, op_id: &str) -> Result<String, JsValue> {
        let record = named(record)?;
        self.written(&record, op_id, |device, clock| device.restore_record(&record, clock))
    }

    /// Decides between competing values of a field; `value` is JSON.
    ///
    /// # Errors
    /// As `edit`.
    pub fn resolve(
        &self,
        record: &str,
        field: &str,
        value: &str,
        op_id: &str,
    ) -> Result<String, JsValue> {
        let (record, value): (_, Value) = (named(record)?, from_str(value).map_err(malformed)?);
        self.written(&record, op_id, |device, clock| device.resolve(&record, field, value, clock))
    }

    /// Replaces a refused or unsent creation or edit by a mended one.
    ///
    /// # Errors
    /// As `edit`; `unknown_operation`, `already_superseded`, `already_accepted`.
    #[wasm_bindgen(js_name = amendEdit)]
    pub fn amend_edit(&self, write: &str, fields: &str, op_id: &str) -> Result<String, JsValue> {
        let (write, fields) = (OpId(id(write)?), object(fields)?);
        let nothing = RecordRef::new("", Uuid::nil());
        self.written(&nothing, op_id, |device, clock| device.amend_edit(write, fields, clock))
    }

    /// Says that a record whose creation was refused is the same as an existing one. What became of
    /// it is told once: asked again under the same id, it names nothing.
    ///
    /// # Errors
    /// `not_refused`, `unknown_record`, `storage`.
    #[wasm_bindgen(js_name = sameAs)]
    pub fn same_as(&self, refused: &str, existing: &str, op_id: &str) -> Result<String, JsValue> {
        let (refused, existing) = (named(refused)?, named(existing)?);
        let moved = self.once(op_id, |device, clock| device.same_as(&refused, &existing, clock))?;
        text(&moved.unwrap_or_default())
    }

    /// Records of a collection by their labels.
    ///
    /// # Errors
    /// `invalid` for a collection that this version does not know.
    pub fn records(&self, collection: &str, deleted_too: bool) -> Result<String, JsValue> {
        text(&self.lock().records(collection, deleted_too).map_err(capturing)?)
    }

    /// One record, deleted or not; `null` where nothing is known of it.
    ///
    /// # Errors
    /// As `records`.
    pub fn record(&self, record: &str) -> Result<String, JsValue> {
        text(&self.lock().record(&named(record)?).map_err(capturing)?)
    }

    /// Every field of every record with competing values.
    ///
    /// # Errors
    /// `storage`.
    pub fn conflicts(&self) -> Result<String, JsValue> {
        text(&self.lock().conflicts().map_err(|error| storing(&error))?)
    }

    /// Who changed what of a record and when, oldest first.
    ///
    /// # Errors
    /// As `records`; `unknown_record`.
    pub fn history(&self, record: &str) -> Result<String, JsValue> {
        text(&self.lock().history(&named(record)?).map_err(capturing)?)
    }
}

impl Device {
    fn written(
        &self,
        record: &RecordRef,
        op_id: &str,
        act: impl FnOnce(&mut motomind_core::Device, Clock) -> Result<Edited, CaptureError>,
    ) -> Result<String, JsValue> {
        let done = self.once(op_id, act)?;
        let duplicate = done.is_none();
        let edited = match done {
            Some(edited) => edited,
            None => self.edited_before(record, OpId(id(op_id)?))?,
        };
        text(&Written { edited, duplicate })
    }

    /// What was written before under this id; its record is the one that the journal names.
    fn edited_before(&self, record: &RecordRef, op_id: OpId) -> Result<Edited, JsValue> {
        let stored = self.lock().operation(op_id, 0).map_err(|error| storing(&error))?;
        let change = stored.and_then(|stored| stored.change);
        let record = change.map_or_else(
            || record.clone(),
            |change| RecordRef::new(&*change.collection, change.record_id),
        );
        Ok(Edited { record, op_id: Some(op_id), warnings: Vec::new() })
    }
}

fn named(text: &str) -> Result<RecordRef, JsValue> {
    let named: Named = from_str(text).map_err(malformed)?;
    let id = named.id.ok_or_else(|| malformed("the record has no id"))?;
    Ok(RecordRef::new(&*named.collection, id))
}

fn object(text: &str) -> Result<Map<String, Value>, JsValue> {
    from_str(text).map_err(malformed)
}
