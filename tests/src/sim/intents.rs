//! How the model server judges an operation on a record, as `docs/protocol.md` says under "Changes of
//! records".
//!
//! What is asked of an operation, and how it becomes a change, is `protocol::records`, as on the
//! real server and on a device: an own reading of it here would only show that two people who read
//! one text can write one merge twice. Whether that merge keeps what it promises is not asked of
//! it: [`super::record_oracle`] looks for the very values and characters that people put in, and
//! knows nothing of heads and changes. The order in which it is asked, what is closed and what
//! follows are the model's own.

use motomind_protocol::records::{
    self, Action, Circumstances, Collection, Document, RecordIntent, Step, Taken, claim_taken,
    earlier_edits, first_accepted, may, may_touch, new_claims, no_such, referred, signature_of,
    unmet_need,
};
use motomind_protocol::wire::{Outcome, Rejection};
use motomind_protocol::{Flag, OpId, Operation, code};

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
        let arrived = first_accepted(&operation.supersedes, |op| self.judged(operation, op));
        let step = intent.step_after(arrived).clone();
        if !may(pusher.role, step.action) {
            return refuse(code::FORBIDDEN, None);
        }
        if step.action == Action::Nothing && !operation.supersedes.is_empty() {
            let closed = self.close_all(operation, true, dice);
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
        self.check_references(collection, key, &step)?;
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
        let overs = earlier_edits(step).map(|over| over.op_id);
        let is_accepted = |op: &OpId| self.judged(operation, *op) == Some(records::Fate::Accepted);
        let accepted: Vec<OpId> = overs.filter(is_accepted).collect();
        let signature = signature_of(operation, pusher.now);
        let around = Circumstances { signature, now: pusher.now, accepted: &accepted };
        let taken = self.records.take(key, intent, step, &around);
        taken.map_err(|refused| Box::new(Outcome::Rejected(*refused)))
    }

    /// What the step refers to is there; a garage must be live.
    fn check_references(&self, collection: &Collection, key: Key, step: &Step) -> Refused<()> {
        for (field, target, id) in referred(collection, step) {
            let row = self.records.row((target, id));
            let is_gone = row.is_none_or(|row| target == "garages" && row.deleted_at.is_some());
            if is_gone || id == key.1 {
                return Err(Box::new(Outcome::Rejected(no_such(target, field))));
            }
        }
        Ok(())
    }

    fn check_claims(&self, collection: &Collection, key: Key, after: &Document) -> Refused<()> {
        let wanted = new_claims(self.records.document(key), after);
        match self.records.taken_by(collection, key, &wanted) {
            Some((claim, by)) => Err(Box::new(Outcome::Rejected(claim_taken(&claim, by)))),
            None => Ok(()),
        }
    }

    /// The creations that an operation needs are accepted.
    pub(super) fn needed(&self, operation: &Operation) -> Refused<()> {
        match unmet_need(operation, |op| self.judged(operation, op)) {
            Some(need) => Err(Box::new(Outcome::Waiting { parent: need.into() })),
            None => Ok(()),
        }
    }

    /// What is not there because its creation was taken back was refused with it.
    pub(super) fn blame(&self, outcome: Outcome, operation: &Operation) -> Outcome {
        let absent = [code::UNKNOWN_VEHICLE, code::UNKNOWN_RECORD, code::UNKNOWN_REFERENCE];
        let mut fates = operation.needs.iter().map(|op| self.judged(operation, *op));
        match outcome {
            Outcome::Rejected(refused)
                if absent.contains(&refused.code.as_str())
                    && fates.any(|fate| matches!(fate, Some(records::Fate::Closed { .. }))) =>
            {
                let message = "the model server knows that it was taken back";
                let blamed = Rejection::new(code::PARENT_REJECTED, message);
                Outcome::Rejected(Rejection { field: refused.field, ..blamed })
            }
            outcome => outcome,
        }
    }

    /// What became of an operation that another one names, in the words of the protocol crate.
    fn judged(&self, by: &Operation, op: OpId) -> Option<records::Fate> {
        self.fate_to(by.user_id, op).map(|fate| match fate {
            Fate::Accepted(_) => records::Fate::Accepted,
            Fate::Refused => records::Fate::Refused,
            Fate::Closed(by) => records::Fate::Closed { by: *by },
        })
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
