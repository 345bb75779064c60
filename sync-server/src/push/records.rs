//! Judging changes of records: a run of them at once, over documents loaded together.

use std::collections::HashSet;

use deadpool_postgres::Transaction;
use motomind_protocol::records::{
    Action, Circumstances, Document, Fate, RecordIntent, Step, Taken, claim_taken, earlier_edits,
    first_accepted, knows_all, may, may_touch, new_claims, no_such, referred, signature_of, steps,
    take_as_seen,
};
use motomind_protocol::wire::Rejection;
use motomind_protocol::{Flag, OpId, Operation, VehicleId, code, limits};
use uuid::Uuid;

use super::intents::{self, key_of};
use super::judge::{self, Verdict};
use super::read::Received;
use super::store::Writes;
use super::{Sitting, load, needs};
use crate::error::Error;
use crate::records::{GARAGES, Key, VEHICLES, find_in};

/// A remark: the person had seen a document that the server does not have any more.
const HEADS_UNKNOWN: &str = "heads_unknown";

/// What an operation is to do, after what it supersedes is known.
enum Meant {
    /// Only to close others.
    Nothing,
    /// To change the record.
    Step(Step),
}

impl<'a> Sitting<'a> {
    /// Judges changes of records and writes what was accepted.
    pub(super) async fn judge_records(
        &mut self,
        transaction: &Transaction<'_>,
        places: &[usize],
    ) -> Result<(), Error> {
        let batch = self.batch;
        let run: Vec<(usize, &'a Received, &'a RecordIntent)> = places
            .iter()
            .filter_map(|place| {
                let received = batch.items[*place].received()?;
                Some((*place, received, received.operation.intent()?))
            })
            .collect();
        if run.is_empty() {
            return Ok(());
        }
        self.load_records(transaction, &run).await?;
        for (place, received, intent) in run {
            let verdict = self.judge_record(transaction, place, received, intent).await?;
            let verdict = needs::blame(verdict, &received.operation, &self.known);
            judge::remember(received, &verdict, &mut self.known, self.bench);
            self.verdicts[place] = Some(verdict);
        }
        self.shelf.project_as(transaction, self.bench.caller.user_id).await?;
        self.shelf.write(transaction).await
    }

    async fn load_records(
        &mut self,
        transaction: &Transaction<'_>,
        run: &[(usize, &'a Received, &'a RecordIntent)],
    ) -> Result<(), Error> {
        let caller = self.bench.caller.identity();
        let mut ids: HashSet<Uuid> = HashSet::new();
        for (_, received, intent) in run {
            ids.insert(received.operation.op_id.0);
            ids.extend(received.operation.supersedes.iter().map(|op| op.0));
            ids.extend(steps(intent).flat_map(earlier_edits).map(|over| over.op_id.0));
        }
        let ids: Vec<Uuid> = ids.into_iter().collect();
        load::operations(transaction, caller, &ids, &mut self.known).await?;
        let operations = run.iter().map(|(_, received, _)| &received.operation);
        needs::load(transaction, caller, operations, &mut self.known).await?;
        let all = self.shelf.collections;
        let keys = run.iter().filter_map(|(.., intent)| key_of(intent, all));
        self.shelf.load(transaction, keys).await?;
        let named = run.iter().flat_map(|(.., intent)| intents::referred(intent, all));
        self.shelf.ask_there(transaction, named).await?;
        let intents = run.iter().map(|(.., intent)| *intent);
        let wanted = intents::likely_claims(&self.shelf, intents);
        self.shelf.ask(transaction, wanted).await
    }

    async fn judge_record(
        &mut self,
        transaction: &Transaction<'_>,
        place: usize,
        received: &'a Received,
        intent: &RecordIntent,
    ) -> Result<Verdict, Error> {
        if self.foreign_device {
            return Ok(judge::foreign_device());
        }
        if let Some(verdict) = judge::known_before(received, &mut self.known, self.bench) {
            return Ok(verdict);
        }
        let operation = &received.operation;
        let accepted = first_accepted(&operation.supersedes, |op_id| self.known.fate(op_id));
        let meant = match intent.step_after(accepted) {
            step if step.action == Action::Nothing => Meant::Nothing,
            step => Meant::Step(step.clone()),
        };
        let action = intent.step_after(accepted).action;
        if !may(self.bench.caller.role, action) {
            let message = "your role does not allow this";
            return Ok(Verdict::Rejected(Rejection::new(code::FORBIDDEN, message)));
        }
        let (closes, needs_seq) = (!operation.supersedes.is_empty(), accepted.is_none());
        if closes {
            let only_closes = needs_seq && matches!(meant, Meant::Nothing);
            self.close(transaction, place, operation, only_closes).await?;
        }
        match meant {
            Meant::Nothing if self.closed[place].is_some() => Ok(Verdict::NothingToRetract),
            Meant::Nothing if accepted.is_some() => {
                Ok(Verdict::Recorded { is_logged: false, flags: Vec::new() })
            }
            Meant::Nothing => {
                let message = "it does nothing and takes nothing back";
                Ok(Verdict::Rejected(Rejection::new(code::MALFORMED, message)))
            }
            Meant::Step(step) => self.take_step(transaction, operation, intent, &step).await,
        }
    }

    /// Closes what the operation supersedes and was not accepted.
    async fn close(
        &mut self,
        transaction: &Transaction<'_>,
        place: usize,
        operation: &Operation,
        needs_seq: bool,
    ) -> Result<(), Error> {
        let superseded = judge::superseded(operation, &self.known);
        let mut writes = Writes { by: Some(operation.op_id), ..Writes::default() };
        writes.close(&superseded.unaccepted, needs_seq);
        writes.store(transaction, self.bench).await?;
        self.closed[place] = writes.logged.first().copied();
        self.known.close(&writes.closed, operation.op_id, operation.user_id);
        Ok(())
    }

    async fn take_step(
        &mut self,
        transaction: &Transaction<'_>,
        operation: &Operation,
        intent: &RecordIntent,
        step: &Step,
    ) -> Result<Verdict, Error> {
        if let Some(waiting) = needs::unmet(operation, &self.known) {
            return Ok(waiting);
        }
        let Some(key) = key_of(intent, self.shelf.collections) else {
            let message = format!("this version knows no collection {}", intent.collection);
            let rejection = Rejection::new(code::UNSUPPORTED, message).field("collection");
            return Ok(Verdict::Rejected(rejection));
        };
        if self.shelf.is_unreadable(key) {
            return Ok(Verdict::Rejected(unreadable()));
        }
        if let Some(document) = self.shelf.document(key)
            && !knows_all(document, intent)
        {
            self.shelf.load_earlier(transaction, key).await?;
        }
        let taken = self.theirs_to_change(key, self.shelf.document(key));
        let taken = taken.and_then(|()| self.taken(key, operation, intent, step));
        let taken = taken
            .and_then(|taken| self.theirs_to_change(key, Some(&taken.document)).map(|()| taken));
        let taken = match taken {
            Ok(taken) => taken,
            Err(rejection) => return Ok(Verdict::Rejected(*rejection)),
        };
        if let Some(rejection) = self.bad_reference(transaction, key, step).await? {
            return Ok(Verdict::Rejected(rejection));
        }
        if let Some(rejection) = self.taken_claim(transaction, key, &taken).await? {
            return Ok(Verdict::Rejected(rejection));
        }
        let was_live = self.shelf.is_live(key);
        let is_logged = !taken.changes.is_empty();
        let flags =
            if taken.heads_known { Vec::new() } else { vec![Flag::Other(HEADS_UNKNOWN.into())] };
        if is_logged {
            self.shelf.change(key, Some(operation.op_id), taken.document, taken.changes)?;
        }
        let is_live = self.shelf.is_live(key);
        if key.collection.name == VEHICLES {
            let vehicle = VehicleId(key.id);
            if is_live {
                self.known.vehicles.insert(vehicle);
            } else {
                self.known.vehicles.remove(&vehicle);
            }
        }
        if key.collection.name == GARAGES && was_live && !is_live {
            self.empty_garage(transaction, key, step.reassign_to).await?;
        }
        Ok(Verdict::Recorded { is_logged, flags })
    }

    fn taken(
        &self,
        key: Key,
        operation: &Operation,
        intent: &RecordIntent,
        step: &Step,
    ) -> Result<Taken, Box<Rejection>> {
        let overs = earlier_edits(step).map(|over| over.op_id);
        let is_accepted = |op_id: &OpId| self.known.fate(*op_id) == Some(Fate::Accepted);
        let accepted: Vec<OpId> = overs.filter(is_accepted).collect();
        let now = self.bench.now;
        let around =
            Circumstances { signature: signature_of(operation, now), now, accepted: &accepted };
        let existing = self.shelf.document(key);
        let earlier: Vec<&Document> = self.shelf.earlier(key).iter().rev().collect();
        let taken = take_as_seen(key.collection, existing, &earlier, intent, step, &around)?;
        let grown: usize = taken.changes.iter().map(Vec::len).sum();
        let bytes = self.shelf.record(key).map_or(0, |record| record.bytes);
        let operations = taken.document.operations();
        if bytes + grown > limits::DOCUMENT_BYTES_MAX
            || operations > limits::DOCUMENT_OPERATIONS_MAX
        {
            let message = "the record's history has no room for it; make another record";
            return Err(Box::new(Rejection::new(code::TOO_LARGE, message)));
        }
        Ok(taken)
    }

    /// Whether the record, as it is or would be, is this person's to change.
    fn theirs_to_change(
        &self,
        key: Key,
        document: Option<&Document>,
    ) -> Result<(), Box<Rejection>> {
        let caller = &self.bench.caller;
        document.map_or(Ok(()), |document| {
            may_touch(key.collection, key.id, &document.fields(), caller.user_id, caller.role)
        })
    }

    /// The refusal of what the step refers to and is not there.
    async fn bad_reference(
        &mut self,
        transaction: &Transaction<'_>,
        key: Key,
        step: &Step,
    ) -> Result<Option<Rejection>, Error> {
        for (field, target, id) in referred(key.collection, step) {
            // A garage that is deleted takes no vehicles.
            if id == key.id || !self.is_there(transaction, target, id).await? {
                return Ok(Some(no_such(target, field)));
            }
        }
        Ok(None)
    }

    async fn is_there(
        &mut self,
        transaction: &Transaction<'_>,
        target: &str,
        id: Uuid,
    ) -> Result<bool, Error> {
        let Some(collection) = find_in(self.shelf.collections, target) else {
            return Ok(false);
        };
        let key = Key { collection, id };
        self.shelf.is_there(transaction, key).await
    }

    /// The refusal of a claim that another live record has.
    async fn taken_claim(
        &mut self,
        transaction: &Transaction<'_>,
        key: Key,
        taken: &Taken,
    ) -> Result<Option<Rejection>, Error> {
        if key.collection.unique.is_empty() {
            return Ok(None);
        }
        for claim in new_claims(self.shelf.document(key), &taken.document) {
            self.shelf.project_as(transaction, self.bench.caller.user_id).await?;
            if let Some(holder) = self.shelf.holder(transaction, key, &claim).await? {
                return Ok(Some(claim_taken(&claim, holder)));
            }
        }
        Ok(None)
    }

    /// What happens to a garage that is deleted, as it does when another SQL client deletes one:
    /// rows change, and documents follow them.
    async fn empty_garage(
        &mut self,
        transaction: &Transaction<'_>,
        garage: Key,
        reassign_to: Option<Uuid>,
    ) -> Result<(), Error> {
        let tenant = self.bench.caller.tenant_id;
        self.shelf.project_as(transaction, self.bench.caller.user_id).await?;
        self.shelf.write(transaction).await?;
        let vehicles = load::vehicles_in(transaction, tenant, &[garage.id]).await?;
        let statement = transaction.prepare_cached("SELECT empty_garage($1, $2)").await?;
        transaction.execute(&statement, &[&garage.id, &reassign_to]).await?;
        let Some(collection) = find_in(self.shelf.collections, VEHICLES) else {
            return Ok(());
        };
        let vehicles = vehicles.into_iter().map(|id| Key { collection, id: id.0 });
        let keys: Vec<Key> = vehicles.chain([garage]).collect();
        self.shelf.load_again(transaction, &keys).await
    }
}

/// The refusal of a change to a record whose document cannot be read: offered again until an
/// operator has mended it.
fn unreadable() -> Rejection {
    let message = "the server cannot read this record; the change is kept and offered again, and \
                   an operator can mend the record";
    Rejection::new(code::SERVER_FAULT, message).field("record_id")
}
