//! The model server's records: documents, and the rows that other SQL clients see and write. An
//! intent becomes a change by the same functions of `protocol` as on the real server.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use motomind_protocol::records::{
    self, Actor, Circumstances, Collection, Document, RecordIntent, Signature, Step, Taken, claims,
    compacted, take, take_as_seen,
};
use motomind_protocol::wire::{ChangeKind, RecordChange, Rejection};
use motomind_protocol::{Millis, OpId, VehicleId};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::tenant::Tenant;
use crate::dice::Dice;

/// Names a record.
pub type Key = (&'static str, Uuid);

/// A record's row, as other SQL clients read and write it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    /// Columns that have a value.
    pub fields: Map<String, Value>,
    /// When it was deleted, UTC ms.
    pub deleted_at: Option<Millis>,
}

/// A record's document, and what it was before each new beginning, the oldest first.
#[derive(Clone, Debug)]
struct Kept {
    document: Arc<Document>,
    earlier: Vec<Arc<Document>>,
}

/// Every record of a tenant.
#[derive(Clone, Debug, Default)]
pub struct Records {
    rows: BTreeMap<Key, Row>,
    documents: BTreeMap<Key, Kept>,
    /// Rows that were written beside their documents.
    queue: BTreeSet<Key>,
    /// Intents are taken at the heads of the document, not at those that the person saw.
    pub forgets_what_was_seen: bool,
    /// What happened, for whoever counts.
    pub remarks: Vec<&'static str>,
}

impl Kept {
    /// Takes a step, over the document whose heads the person saw.
    fn take(
        &self,
        intent: &RecordIntent,
        step: &Step,
        around: &Circumstances<'_>,
    ) -> Result<Taken, Box<Rejection>> {
        let earlier: Vec<&Document> = self.earlier.iter().map(|document| &**document).collect();
        let document = &self.document;
        take_as_seen(document.collection(), Some(document), &earlier, intent, step, around)
    }
}

impl Records {
    /// Every row.
    pub fn rows(&self) -> impl Iterator<Item = (Key, &Row)> {
        self.rows.iter().map(|(key, row)| (*key, row))
    }

    /// One row.
    #[must_use]
    pub fn row(&self, key: Key) -> Option<&Row> {
        self.rows.get(&key)
    }

    /// A record's document.
    #[must_use]
    pub fn document(&self, key: Key) -> Option<&Document> {
        self.documents.get(&key).map(|kept| &*kept.document)
    }

    /// Every record that has a document.
    pub fn documents(&self) -> impl Iterator<Item = (Key, &Document)> {
        self.documents.iter().map(|(key, kept)| (*key, &*kept.document))
    }

    /// Whether a record's document has begun again.
    #[must_use]
    pub fn has_begun_again(&self, key: Key) -> bool {
        self.documents.get(&key).is_some_and(|kept| !kept.earlier.is_empty())
    }

    /// Whether rows wait to be absorbed.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Whether a vehicle exists and is live.
    #[must_use]
    pub fn has_live_vehicle(&self, id: VehicleId) -> bool {
        self.rows.get(&("vehicles", id.0)).is_some_and(|row| row.deleted_at.is_none())
    }

    /// Takes a step of an intent over a record's document.
    pub(super) fn take(
        &self,
        key: Key,
        intent: &RecordIntent,
        step: &Step,
        around: &Circumstances<'_>,
    ) -> Result<Taken, Box<Rejection>> {
        match self.documents.get(&key) {
            Some(kept) if self.forgets_what_was_seen => {
                let heads = kept.document.heads();
                kept.take(&RecordIntent { heads, ..intent.clone() }, step, around)
            }
            Some(kept) => kept.take(intent, step, around),
            None => take(None, intent, step, around),
        }
    }

    /// The live record that has one of these claims of another one.
    pub(super) fn taken_by(
        &self,
        collection: &Collection,
        key: Key,
        wanted: &[records::Claim],
    ) -> Option<(records::Claim, Uuid)> {
        let others = self.rows.range((key.0, Uuid::nil())..=(key.0, Uuid::max()));
        let others = others.filter(|(other, row)| **other != key && row.deleted_at.is_none());
        for (other, row) in others {
            let has = claims(collection, &row.fields);
            if let Some(claim) = wanted.iter().find(|claim| has.contains(claim)) {
                return Some((claim.clone(), other.1));
            }
        }
        None
    }
}

impl Tenant {
    /// Another SQL client writes a row. Returns whether the database let it: a unique column may
    /// hold another record's value.
    pub fn write_row(&mut self, key: Key, row: Row) -> bool {
        let Some(collection) = records::find(key.0) else {
            return false;
        };
        let live = row.deleted_at.is_none();
        let wanted = claims(collection, &row.fields);
        if live && self.records.taken_by(collection, key, &wanted).is_some() {
            return false;
        }
        self.records.rows.insert(key, row);
        self.records.queue.insert(key);
        true
    }

    /// Takes every row that was written beside its document into it.
    pub fn absorb_all(&mut self, now: Millis, dice: &mut Dice) {
        for key in self.records.queue.clone() {
            self.absorb(key, now, dice);
        }
    }

    /// # Panics
    /// When a document cannot take its row's values, which the database has checked.
    #[allow(clippy::expect_used)]
    pub(super) fn absorb(&mut self, key: Key, now: Millis, dice: &mut Dice) {
        if !self.records.queue.remove(&key) {
            return;
        }
        let Some((collection, row)) = records::find(key.0).zip(self.records.rows.get(&key)) else {
            return;
        };
        let signature = self.server_signature(now);
        let known = self.records.document(key);
        let (fields, deleted_at) = (&row.fields, row.deleted_at);
        let taken = records::absorb(known, collection, key.1, fields, deleted_at, &signature);
        let taken = taken.expect("a row fits its document");
        self.records.remarks.push("absorbed");
        self.keep(key, taken, None, dice);
    }

    fn server_signature(&self, now: Millis) -> Signature {
        let epoch = Uuid::from_u128(self.log.epoch().into());
        Signature { actor: Actor::Server(epoch), user: None, at: now }
    }

    /// Stores a document with its row, and its new changes in the log.
    pub(super) fn keep(
        &mut self,
        key: Key,
        taken: Taken,
        op_id: Option<OpId>,
        dice: &mut Dice,
    ) -> u64 {
        let Taken { document, changes, .. } = taken;
        let row = Row { fields: document.fields(), deleted_at: document.deleted_at() };
        self.records.rows.insert(key, row);
        let document = Arc::new(document);
        match self.records.documents.get_mut(&key) {
            Some(kept) => kept.document = document,
            None => {
                let _ = self.records.documents.insert(key, Kept { document, earlier: Vec::new() });
            }
        }
        if changes.is_empty() {
            return self.log.head();
        }
        self.log.append(entry(key, op_id, changes, false), dice)
    }

    /// A record's history is bounded: its document begins again.
    pub fn compact(&mut self, key: Key, now: Millis, dice: &mut Dice) {
        self.absorb(key, now, dice);
        let Some(kept) = self.records.documents.get_mut(&key) else {
            return;
        };
        let Some(short) = compacted(&kept.document, key.1) else {
            return;
        };
        let changes = short.changes_since(&[]);
        let old = std::mem::replace(&mut kept.document, Arc::new(short));
        kept.earlier.push(old);
        let again = kept.earlier.len() > 1;
        self.records.remarks.push(if again { "compacted again" } else { "compacted" });
        self.log.append(entry(key, None, changes, true), dice);
    }

    /// The vehicles of a deleted garage go to another, or to none.
    pub(super) fn empty_garage(
        &mut self,
        garage: Uuid,
        to: Option<Uuid>,
        now: Millis,
        dice: &mut Dice,
    ) {
        let from = Value::String(garage.to_string());
        let lives_there = |row: &Row| row.fields.get("garage_id") == Some(&from);
        let moved: Vec<Key> = self
            .records
            .rows()
            .filter(|(key, row)| key.0 == "vehicles" && lives_there(row))
            .map(|(key, _)| key)
            .collect();
        for key in moved {
            self.absorb(key, now, dice);
            if let Some(row) = self.records.rows.get_mut(&key) {
                match to {
                    Some(to) => {
                        let _ = row.fields.insert("garage_id".into(), to.to_string().into());
                    }
                    None => drop(row.fields.remove("garage_id")),
                }
                self.records.queue.insert(key);
                self.records.remarks.push("garage emptied");
                self.absorb(key, now, dice);
            }
        }
    }
}

fn entry(key: Key, op_id: Option<OpId>, changes: Vec<Vec<u8>>, whole: bool) -> ChangeKind {
    ChangeKind::Record(Box::new(RecordChange {
        collection: key.0.into(),
        id: key.1,
        op_id,
        changes,
        whole,
        extra: Map::new(),
    }))
}
