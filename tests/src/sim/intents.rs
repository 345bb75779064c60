//! How the model server judges an operation on a record, as `docs/protocol.md` says under "Changes of
//! records".

use motomind_protocol::records::{
    self, Action, Actor, Circumstances, Collection, Document, FieldEdit, RecordIntent, Signature,
    Step, Taken, claim_taken, may, may_touch, references,
};
use motomind_protocol::wire::Outcome;
use motomind_protocol::{Flag, OpId, Operation, code};
use serde_json::{Map, Value};

use super::records::Key;
use super::tenant::{Fate, Pusher, Refused, Tenant, refuse};
use crate::dice::Dice;

impl Tenant {
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
        if step.action == Action::Nothing && !operation.supersedes.is_empty() {
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
        let taken = self.take_intent(pusher, operation, key, intent, &step)?;
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
        key: Key,
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
        let taken = self.records.take(key, intent, step, &around);
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
