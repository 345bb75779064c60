//! Changes of records said by hand, and what a device makes of the log's answer.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::HashMap;

use motomind_protocol::records::schema::{COLLECTIONS, Collection};
use motomind_protocol::records::{
    Action, Document, FieldEdit, Instead, Patch, RecordIntent, Splice, Step, TextEdit,
};
use motomind_protocol::wire::RecordChange;
use motomind_protocol::{Body, Hash, OpId, Operation, SealedOperation};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::server::{NOON, Sender, new_id};

/// Fields set to values; `null` clears one.
#[must_use]
pub fn set(fields: Value) -> Patch {
    let Value::Object(fields) = fields else { panic!("not fields: {fields}") };
    fields.into_iter().map(|(name, value)| (name, FieldEdit::Set(value))).collect()
}

/// Characters put in at a place of a text.
#[must_use]
pub fn typed(field: &str, at: usize, insert: &str) -> Patch {
    let splice = Splice { at, delete: 0, insert: insert.into() };
    let edit = TextEdit { splices: vec![splice], over: Vec::new() };
    [(field.to_string(), FieldEdit::Text(edit))].into()
}

/// A step.
#[must_use]
pub fn step(action: Action, patch: Patch) -> Step {
    Step { action, patch, reassign_to: None }
}

/// An intent at heads.
#[must_use]
pub fn intent(collection: &str, record_id: Uuid, step: Step, heads: &[Hash]) -> RecordIntent {
    RecordIntent {
        collection: collection.into(),
        record_id,
        step,
        heads: heads.to_vec(),
        instead: Vec::new(),
        extra: Map::new(),
    }
}

/// What is to be done instead if an operation was accepted after all.
#[must_use]
pub fn instead(op_id: OpId, step: Step) -> Instead {
    Instead { op_id, step }
}

impl Sender {
    /// An operation around an intent, before it is sealed.
    #[must_use]
    pub fn intended(&mut self, intent: RecordIntent) -> Operation {
        let (op_id, lane) = (OpId(new_id()), intent.record_id);
        self.operation_of(op_id, lane, NOON, Body::Record(Box::new(intent)))
    }

    /// A sealed creation.
    #[must_use]
    pub fn create(&mut self, collection: &str, id: Uuid, fields: Value) -> SealedOperation {
        let operation =
            self.intended(intent(collection, id, step(Action::Create, set(fields)), &[]));
        self.sealed(&operation)
    }

    /// A sealed edit of a document.
    #[must_use]
    pub fn edit(&mut self, seen: &Mirrored, patch: Patch) -> SealedOperation {
        self.act(seen, step(Action::Edit, patch))
    }

    /// A sealed step on a document.
    #[must_use]
    pub fn act(&mut self, seen: &Mirrored, step: Step) -> SealedOperation {
        let heads = seen.document.heads();
        let operation = self.intended(intent(&seen.collection, seen.id, step, &heads));
        self.sealed(&operation)
    }

    /// The records that the log makes, as a device reads it.
    pub async fn records(&self) -> HashMap<(String, Uuid), Mirrored> {
        let (changes, _) = self.pull_all().await;
        mirrored(&changes)
    }

    /// One of them.
    ///
    /// # Panics
    /// When the log does not have it.
    pub async fn record(&self, collection: &str, id: Uuid) -> Mirrored {
        self.records().await.remove(&(collection.to_string(), id)).expect("the record")
    }
}

/// A record as a device has it.
#[derive(Clone, Debug)]
pub struct Mirrored {
    /// Its collection.
    pub collection: String,
    /// Its id.
    pub id: Uuid,
    /// Its document.
    pub document: Document,
    /// Log entries of it so far.
    pub entries: usize,
}

impl Mirrored {
    /// A field's value; null where it has none.
    #[must_use]
    pub fn field(&self, name: &str) -> Value {
        self.document.fields().remove(name).unwrap_or_default()
    }
}

/// Documents from the entries of a log.
#[must_use]
pub fn mirrored(changes: &[Value]) -> HashMap<(String, Uuid), Mirrored> {
    mirrored_in(COLLECTIONS, changes)
}

/// Documents of some collections from the entries of a log.
#[must_use]
pub fn mirrored_in(
    collections: &'static [Collection],
    changes: &[Value],
) -> HashMap<(String, Uuid), Mirrored> {
    let mut records: HashMap<(String, Uuid), Mirrored> = HashMap::new();
    for entry in changes.iter().filter(|change| change["kind"] == "record") {
        let change: RecordChange = serde_json::from_value(entry["data"].clone()).unwrap();
        let collection = collections.iter().find(|one| one.name == change.collection);
        let collection = collection.expect("a known collection");
        let record = records.entry((change.collection.clone(), change.id));
        let record = record.or_insert_with(|| Mirrored {
            collection: change.collection.clone(),
            id: change.id,
            document: Document::new(collection, change.id),
            entries: 0,
        });
        if change.whole {
            record.document = Document::new(collection, change.id);
        }
        record.document.apply(&change.changes).unwrap();
        record.entries += 1;
    }
    records
}
