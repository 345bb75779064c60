//! The model server's records: documents, the rows that other SQL clients see and write, and how
//! an intent becomes a change, by the same functions of `protocol` as on the real server.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use motomind_protocol::records::{
    self, Action, Actor, Circumstances, Collection, Document, FieldEdit, RecordIntent, Signature,
    Step, Taken, claim_taken, claims, compacted, may, may_touch, references, take, take_over_chain,
};
use motomind_protocol::wire::{ChangeKind, Outcome, RecordChange, Rejection};
use motomind_protocol::{Flag, Millis, OpId, Operation, VehicleId, code};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::tenant::{Fate, Pusher, Refused, Tenant, refuse};
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
    /// Accepted operations that only closed others.
    nothings: BTreeSet<OpId>,
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
        let knows_all = |document: &Document| intent.heads.iter().all(|head| document.knows(head));
        let seen = match knows_all(&self.document) {
            true => None,
            false => self.earlier.iter().rposition(|earlier| knows_all(earlier)),
        };
        match seen {
            Some(place) => {
                let olds: Vec<&Document> = self.earlier[place..].iter().map(|d| &**d).collect();
                take_over_chain(&self.document, &olds, intent, step, around)
            }
            None => take(Some(&self.document), intent, step, around),
        }
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

    /// The record that has what a live one with these fields would claim.
    fn taken_by(
        &self,
        collection: &Collection,
        key: Key,
        fields: &Map<String, Value>,
    ) -> Option<(records::Claim, Uuid)> {
        let wanted = claims(collection, fields);
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
        if live && self.records.taken_by(collection, key, &row.fields).is_some() {
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
    fn absorb(&mut self, key: Key, now: Millis, dice: &mut Dice) {
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
    fn keep(&mut self, key: Key, taken: Taken, op_id: Option<OpId>, dice: &mut Dice) -> u64 {
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

    /// Judges an operation on a record, from the roles on.
    pub(super) fn decide_record(
        &mut self,
        pusher: &Pusher,
        operation: &Operation,
        intent: &RecordIntent,
        dice: &mut Dice,
    ) -> Refused<Outcome> {
        let is_accepted = |op: &&OpId| matches!(self.fate(**op), Some(Fate::Accepted(_)));
        let arrived = operation.supersedes.iter().find(is_accepted).copied();
        let step = intent.step_after(arrived).clone();
        if !may(pusher.role, step.action) {
            return refuse(code::FORBIDDEN, None);
        }
        let takes_back = step.action == Action::Nothing && !operation.supersedes.is_empty();
        if takes_back && arrived.is_none() {
            let closed = self.close_all(operation, true, dice);
            self.records.nothings.insert(operation.op_id);
            let seq = closed.unwrap_or_else(|| self.log.head());
            return Ok(Outcome::Accepted { seq, flags: Vec::new() });
        }
        self.close_all(operation, false, dice);
        self.needed(operation)?;
        let Some(collection) = records::find(&intent.collection) else {
            return refuse(code::UNSUPPORTED, Some("collection"));
        };
        let key = (collection.name, intent.record_id);
        self.absorb(key, pusher.now, dice);
        if let Some(document) = self.records.document(key) {
            theirs_to_change(pusher, key, document)?;
        }
        let taken = self.take_intent(pusher, operation, intent, &step)?;
        theirs_to_change(pusher, key, &taken.document)?;
        self.check_references(collection, &step, &taken.document.fields())?;
        self.check_claims(collection, key, &taken.document)?;
        let mut flags = Vec::new();
        if !taken.heads_known {
            flags.push(Flag::Other("heads_unknown".into()));
            self.records.remarks.push("heads_unknown");
        }
        let was_live = self.records.row(key).is_some_and(|row| row.deleted_at.is_none());
        let seq = self.keep(key, taken, Some(operation.op_id), dice);
        if step.action == Action::Delete && was_live && key.0 == "garages" {
            self.empty_garage(key.1, step.reassign_to, pusher.now, dice);
        }
        Ok(Outcome::Accepted { seq, flags })
    }

    fn take_intent(
        &self,
        pusher: &Pusher,
        operation: &Operation,
        intent: &RecordIntent,
        step: &Step,
    ) -> Refused<Taken> {
        let overs = step.patch.values().filter_map(|edit| match edit {
            FieldEdit::Text(text) => Some(&text.over),
            _ => None,
        });
        let accepted: Vec<OpId> = overs
            .flatten()
            .map(|over| over.op_id)
            .filter(|op| matches!(self.fate(*op), Some(Fate::Accepted(_))))
            .collect();
        let around = Circumstances {
            signature: Signature {
                actor: Actor::Device(operation.device_id),
                user: Some(operation.user_id),
                at: operation.clock.wall_ms.min(pusher.now),
            },
            now: pusher.now,
            accepted: &accepted,
        };
        let known = records::find(&intent.collection).and_then(|collection| {
            self.records.documents.get(&(collection.name, intent.record_id))
        });
        let mut intent = intent.clone();
        if let Some(kept) = known.filter(|_| self.records.forgets_what_was_seen) {
            intent.heads = kept.document.heads();
        }
        let taken = match known {
            Some(kept) => kept.take(&intent, step, &around),
            None => take(None, &intent, step, &around),
        };
        taken.map_err(|refused| Box::new(Outcome::Rejected(*refused)))
    }

    /// What the step refers to is there; a garage must be live.
    fn check_references(
        &self,
        collection: &Collection,
        step: &Step,
        fields: &Map<String, Value>,
    ) -> Refused<()> {
        let named = references(collection, fields);
        let named = named.into_iter().filter(|(field, ..)| step.patch.contains_key(*field));
        let reassigned = step.reassign_to.map(|id| ("reassign_to", "garages", id));
        for (field, target, id) in named.chain(reassigned) {
            let row = self.records.row((target, id));
            if row.is_none_or(|row| target == "garages" && row.deleted_at.is_some()) {
                return refuse(code::UNKNOWN_REFERENCE, Some(field));
            }
        }
        Ok(())
    }

    fn check_claims(&self, collection: &Collection, key: Key, document: &Document) -> Refused<()> {
        if document.deleted_at().is_some() {
            return Ok(());
        }
        match self.records.taken_by(collection, key, &document.fields()) {
            Some((claim, by)) => Err(Box::new(Outcome::Rejected(claim_taken(&claim, by)))),
            None => Ok(()),
        }
    }

    /// The vehicles of a deleted garage go to another, or to none.
    fn empty_garage(&mut self, garage: Uuid, to: Option<Uuid>, now: Millis, dice: &mut Dice) {
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

    /// The creations that an operation needs are accepted.
    pub(super) fn needed(&self, operation: &Operation) -> Refused<()> {
        for need in &operation.needs {
            let mut id = *need;
            loop {
                match self.fate(id) {
                    None | Some(Fate::Waiting | Fate::Refused) => {
                        return Err(Box::new(Outcome::Waiting { parent: id.into() }));
                    }
                    Some(Fate::Closed(by)) => id = *by,
                    Some(Fate::Accepted(_)) if self.records.nothings.contains(&id) => {
                        return refuse(code::PARENT_REJECTED, None);
                    }
                    Some(Fate::Accepted(_)) => break,
                }
            }
        }
        Ok(())
    }

    /// What became of an operation.
    #[must_use]
    pub fn fate(&self, op: OpId) -> Option<&Fate> {
        self.operations.get(&op).map(|known| &known.fate)
    }
}

/// What belongs to one person is changed by that person and by managers.
fn theirs_to_change(pusher: &Pusher, key: Key, document: &Document) -> Refused<()> {
    let user = pusher.identity.user_id;
    may_touch(document.collection(), key.1, &document.fields(), user, pusher.role)
        .map_err(|refused| Box::new(Outcome::Rejected(*refused)))
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
