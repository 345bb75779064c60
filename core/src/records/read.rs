//! What is shown of records.

use motomind_protocol::records::schema::collections;
use motomind_protocol::records::{Conflict, Revision};
use motomind_protocol::{OpId, Violation, wire::Rejection};
use serde::Serialize;
use serde_json::{Map, Value};

use super::edit::find;
use super::replay::Replay;
use crate::device::Device;
use crate::error::{CaptureError, StoreError};
use crate::ids::read_id;
use crate::journal;
use crate::mirror::{Aside, RecordEntry, RecordMarks, RecordRef, records as docs};

/// A record with everything that this device knows of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
pub struct RecordView {
    /// The record.
    pub record: RecordRef,
    /// Its fields that have a value, own edits included.
    pub fields: Map<String, Value>,
    /// Its fields as agreed with the server; `None` where it has none of it yet.
    pub agreed: Option<Map<String, Value>>,
    /// When it was deleted, UTC ms.
    pub deleted_at: Option<i64>,
    /// Where it stands.
    #[serde(flatten)]
    pub marks: RecordMarks,
    /// Fields with competing values.
    pub conflicting: Vec<Conflict>,
    /// Own operations on it that the server has refused, oldest first, with the reason.
    pub refusals: Vec<(OpId, Rejection)>,
    /// Entries of the server's log on it that could not be read; what they say is not shown.
    pub aside: Vec<Aside>,
}

/// A field of a record with competing values.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
pub struct RecordConflict {
    /// The record.
    pub record: RecordRef,
    /// What lists call it.
    pub label: String,
    /// The field and its values.
    #[serde(flatten)]
    pub conflict: Conflict,
}

impl Device {
    /// Records of a collection as they are shown, by their labels.
    ///
    /// # Errors
    /// [`CaptureError::Invalid`] for a collection that this version does not know.
    pub fn records(
        &self,
        collection: &str,
        deleted_too: bool,
    ) -> Result<Vec<RecordEntry>, CaptureError> {
        let rows = docs::rows(&self.conn, find(collection)?, deleted_too);
        Ok(self.noting_damage(rows)?)
    }

    /// One record, deleted or not; `None` where this device knows nothing of it.
    ///
    /// # Errors
    /// As [`Device::records`].
    pub fn record(&self, record: &RecordRef) -> Result<Option<RecordView>, CaptureError> {
        let collection = find(&record.collection)?;
        let replay = self.noting_damage(Replay::read(&self.conn, collection, record.id))?;
        let mut aside = self.noting_damage(docs::aside(&self.conn, Some(record.id)))?;
        aside.retain(|aside| aside.collection.as_deref() == Some(collection.name));
        let shown = replay.shown();
        let Some(document) = &shown.document else {
            let row = self.noting_damage(docs::row(&self.conn, collection, record.id))?;
            return Ok(row.map(|row| plain(record, row, aside)));
        };
        let conflicting = document.conflicts();
        let mut refusals = Vec::new();
        for own in replay.own.iter().filter(|own| own.refused) {
            let reason = journal::find(&self.conn, own.op_id)?.and_then(|stored| stored.reason);
            refusals.extend(reason.map(|reason| (own.op_id, reason)));
        }
        Ok(Some(RecordView {
            record: record.clone(),
            fields: document.fields(),
            agreed: replay.agreed.as_ref().map(motomind_protocol::records::Document::fields),
            deleted_at: document.deleted_at(),
            marks: RecordMarks {
                state: shown.state,
                refused: shown.refused,
                conflicts: conflicting.len() as u64,
            },
            conflicting,
            refusals,
            aside,
        }))
    }

    /// Every field of every record that has competing values, who wrote each, and when.
    ///
    /// # Errors
    /// [`StoreError`] when the mirror cannot be read.
    pub fn conflicts(&self) -> Result<Vec<RecordConflict>, StoreError> {
        self.noting_damage(self.read_conflicts())
    }

    fn read_conflicts(&self) -> Result<Vec<RecordConflict>, StoreError> {
        let mut conflicts = Vec::new();
        for collection in collections() {
            let sql = format!(
                "SELECT id, label FROM {} WHERE conflicts > 0 ORDER BY id",
                collection.name
            );
            let mut statement = self.conn.prepare_cached(&sql)?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let (id, label): (_, String) = (read_id(row, 0)?, row.get(1)?);
                let shown = Replay::read(&self.conn, collection, id)?.shown();
                let found = shown.document.map(|document| document.conflicts());
                conflicts.extend(found.into_iter().flatten().map(|conflict| RecordConflict {
                    record: RecordRef::new(collection.name, id),
                    label: label.clone(),
                    conflict,
                }));
            }
        }
        Ok(conflicts)
    }

    /// Who changed what of a record, when and on which device, oldest first: what is agreed, then
    /// own edits that are not yet.
    ///
    /// # Errors
    /// As [`Device::records`]; [`CaptureError::UnknownRecord`].
    pub fn history(&self, record: &RecordRef) -> Result<Vec<Revision>, CaptureError> {
        let collection = find(&record.collection)?;
        let replay = self.noting_damage(Replay::read(&self.conn, collection, record.id))?;
        let document = replay.shown().document;
        let document = document.ok_or_else(|| CaptureError::UnknownRecord(record.clone()))?;
        Ok(document.history())
    }

    /// Entries of the server's log on records that could not be read, or are of collections that
    /// a newer version knows. They are kept and read again after an update of the app.
    ///
    /// # Errors
    /// [`StoreError`] when the mirror cannot be read.
    pub fn records_aside(&self) -> Result<Vec<Aside>, StoreError> {
        self.noting_damage(docs::aside(&self.conn, None))
    }

    /// What a refusal of an edit names, for a form to show beside its fields.
    #[must_use]
    pub fn fields_to_mend(reason: &Rejection) -> Vec<Violation> {
        match reason.violations.is_empty() {
            false => reason.violations.clone(),
            true => vec![Violation::new(
                reason.field.clone().unwrap_or_default(),
                &*reason.code,
                &*reason.message,
            )],
        }
    }
}

/// A row that came without a document.
fn plain(record: &RecordRef, row: RecordEntry, aside: Vec<Aside>) -> RecordView {
    RecordView {
        record: record.clone(),
        agreed: Some(row.fields.clone()),
        fields: row.fields,
        deleted_at: row.deleted_at,
        marks: row.marks,
        conflicting: Vec::new(),
        refusals: Vec::new(),
        aside,
    }
}
