//! Vehicles, garages, reminders and the other records that several people edit.

use motomind_core::protocol::OpId;
use motomind_core::protocol::records::Revision;
use motomind_core::{Aside, Edited, RecordConflict, RecordEntry, RecordRef};
use uuid::Uuid;

use super::MotoMind;
use crate::failure::MotoMindError;
use crate::types::{JsonFields, JsonText, MovedRecord, RecordShown};

#[uniffi::export]
impl MotoMind {
    /// Records of a collection as they are shown, by their labels.
    ///
    /// # Errors
    /// `Invalid` for a collection that this version does not know.
    pub async fn records(
        &self,
        collection: String,
        deleted_too: bool,
    ) -> Result<Vec<RecordEntry>, MotoMindError> {
        self.work(move |device, _| Ok(device.records(&collection, deleted_too)?)).await
    }

    /// One record, deleted or not; none where this device knows nothing of it.
    ///
    /// # Errors
    /// As `records`.
    pub async fn record(&self, record: RecordRef) -> Result<Option<RecordShown>, MotoMindError> {
        self.work(move |device, _| Ok(device.record(&record)?.map(RecordShown::from))).await
    }

    /// Creates a record; its id is made.
    ///
    /// # Errors
    /// `Invalid` names the fields to mend; nothing was stored then.
    pub async fn create(
        &self,
        collection: String,
        fields: JsonFields,
    ) -> Result<Edited, MotoMindError> {
        self.work(move |device, clock| Ok(device.create(&collection, fields, clock)?)).await
    }

    /// Creates a record under an id that the caller has made, so that others can name it.
    ///
    /// # Errors
    /// As `create`.
    pub async fn create_as(
        &self,
        record: RecordRef,
        fields: JsonFields,
    ) -> Result<Edited, MotoMindError> {
        self.work(move |device, clock| Ok(device.create_as(&record, fields, clock)?)).await
    }

    /// Changes fields of a record; `null` clears one. Long texts and objects are given whole.
    ///
    /// # Errors
    /// `Invalid` names the fields to mend; `Unknown`. Nothing was stored then.
    pub async fn edit(
        &self,
        record: RecordRef,
        fields: JsonFields,
    ) -> Result<Edited, MotoMindError> {
        self.work(move |device, clock| Ok(device.edit(&record, fields, clock)?)).await
    }

    /// Replaces a refused or unsent creation or edit by a mended one.
    ///
    /// # Errors
    /// As `edit`; `TooLate`.
    pub async fn amend_edit(
        &self,
        op_id: OpId,
        fields: JsonFields,
    ) -> Result<Edited, MotoMindError> {
        self.work(move |device, clock| Ok(device.amend_edit(op_id, fields, clock)?)).await
    }

    /// Marks a record as deleted. A deleted garage's vehicles go to `reassign_to`, or to none.
    ///
    /// # Errors
    /// As `edit`.
    pub async fn delete(
        &self,
        record: RecordRef,
        reassign_to: Option<Uuid>,
    ) -> Result<Edited, MotoMindError> {
        self.work(move |device, clock| Ok(device.delete(&record, reassign_to, clock)?)).await
    }

    /// Takes the mark of deletion away.
    ///
    /// # Errors
    /// As `edit`.
    pub async fn restore_record(&self, record: RecordRef) -> Result<Edited, MotoMindError> {
        self.work(move |device, clock| Ok(device.restore_record(&record, clock)?)).await
    }

    /// Every field of every record that has competing values, who wrote each, and when.
    ///
    /// # Errors
    /// The storage's.
    pub async fn conflicts(&self) -> Result<Vec<RecordConflict>, MotoMindError> {
        self.work(|device, _| Ok(device.conflicts()?)).await
    }

    /// Decides between competing values of a field.
    ///
    /// # Errors
    /// As `edit`.
    pub async fn resolve(
        &self,
        record: RecordRef,
        field: String,
        value: JsonText,
    ) -> Result<Edited, MotoMindError> {
        self.work(move |device, clock| Ok(device.resolve(&record, &field, value, clock)?)).await
    }

    /// Who changed what of a record, when and on which device, oldest first.
    ///
    /// # Errors
    /// As `records`; `Unknown`.
    pub async fn history(&self, record: RecordRef) -> Result<Vec<Revision>, MotoMindError> {
        self.work(move |device, _| Ok(device.history(&record)?)).await
    }

    /// Says that a record whose creation was refused is the same as an existing one.
    ///
    /// # Errors
    /// `TooLate`, `Unknown`.
    pub async fn same_as(
        &self,
        refused: RecordRef,
        existing: RecordRef,
    ) -> Result<MovedRecord, MotoMindError> {
        self.work(move |device, clock| Ok(device.same_as(&refused, &existing, clock)?.into())).await
    }

    /// How many captures and edits wait for a record whose creation was refused.
    ///
    /// # Errors
    /// The storage's.
    pub async fn waiting_for(&self, record: RecordRef) -> Result<u64, MotoMindError> {
        self.work(move |device, _| Ok(device.waiting_for(&record)?)).await
    }

    /// Entries of the server's log on records that could not be read, or are of a newer version.
    ///
    /// # Errors
    /// The storage's.
    pub async fn records_aside(&self) -> Result<Vec<Aside>, MotoMindError> {
        self.work(|device, _| Ok(device.records_aside()?)).await
    }
}
