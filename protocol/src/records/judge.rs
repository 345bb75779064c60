//! What whoever judges an operation on a record asks, the server, its models and a device alike.
//! What became of other operations, and what other records there are, is told by the caller.

use uuid::Uuid;

use super::claims::{Claim, claims, references};
use super::compact::take_over_chain;
use super::document::{Actor, Document, Signature};
use super::intent::{Action, FieldEdit, Over, RecordIntent, Step};
use super::merge::{Circumstances, Taken, take_in};
use super::schema::Collection;
use crate::wire::Rejection;
use crate::{Millis, OpId, Operation, code, limits};

/// The collection whose records vehicles are in.
const GARAGES: &str = "garages";

/// What became of an operation, for those that name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is in the log.
    Accepted,
    /// It was refused; it may be offered again.
    Refused,
    /// It is closed for ever.
    Closed {
        /// What took its place.
        by: OpId,
    },
}

/// What closing a superseded operation takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closing {
    /// It has not arrived: the log says that it never will.
    Unseen,
    /// It was refused: whoever sent it knows.
    Refused,
    /// It is closed already.
    Done,
}

/// What an operation closes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Closed {
    /// Ids to be closed for ever …
    pub closed: Vec<OpId>,
    /// … and those, perhaps closed before, that the log tells of.
    pub logged: Vec<OpId>,
}

impl Closed {
    /// What had not arrived goes into the log, and so does the first where its sequence is needed.
    #[must_use]
    pub fn of(unaccepted: &[(OpId, Closing)], needs_seq: bool) -> Self {
        let mut found = Self::default();
        for (op_id, closing) in unaccepted {
            if *closing == Closing::Unseen || (needs_seq && found.logged.is_empty()) {
                found.logged.push(*op_id);
            }
            if *closing != Closing::Done {
                found.closed.push(*op_id);
            }
        }
        found
    }
}

/// The superseded operations that were not accepted, each once, in the order they are named.
#[must_use]
pub fn closings(
    operation: &Operation,
    fate: impl Fn(OpId) -> Option<Fate>,
) -> Vec<(OpId, Closing)> {
    let mut found: Vec<(OpId, Closing)> = Vec::new();
    for op_id in &operation.supersedes {
        let closing = match fate(*op_id) {
            Some(Fate::Accepted) => continue,
            Some(Fate::Refused) => Closing::Refused,
            Some(Fate::Closed { .. }) => Closing::Done,
            None => Closing::Unseen,
        };
        if *op_id != operation.op_id && found.iter().all(|(one, _)| one != op_id) {
            found.push((*op_id, closing));
        }
    }
    found
}

/// The first of these operations that was accepted.
#[must_use]
pub fn first_accepted(ops: &[OpId], fate: impl Fn(OpId) -> Option<Fate>) -> Option<OpId> {
    ops.iter().copied().find(|op_id| fate(*op_id) == Some(Fate::Accepted))
}

/// What an operation must wait for: one that it needs, or what took that one's place, has not
/// arrived or was refused.
#[must_use]
pub fn unmet_need(operation: &Operation, fate: impl Fn(OpId) -> Option<Fate>) -> Option<OpId> {
    operation.needs.iter().find_map(|need| {
        let mut at = *need;
        for _ in 0..limits::AMENDMENTS_FOLLOWED_MAX {
            match fate(at) {
                Some(Fate::Accepted) => return None,
                Some(Fate::Closed { by }) if by != operation.op_id => at = by,
                Some(Fate::Closed { .. }) => return None,
                Some(Fate::Refused) | None => return Some(at),
            }
        }
        None
    })
}

/// Everything that an intent may do.
pub fn steps(intent: &RecordIntent) -> impl Iterator<Item = &Step> {
    std::iter::once(&intent.step).chain(intent.instead.iter().map(|instead| &instead.step))
}

/// Earlier edits that a step's texts count with.
pub fn earlier_edits(step: &Step) -> impl Iterator<Item = &Over> {
    step.patch.values().flat_map(|edit| match edit {
        FieldEdit::Text(edit) => edit.over.as_slice(),
        _ => &[],
    })
}

/// The records that a step refers to: field, collection, id.
#[must_use]
pub fn referred(collection: &Collection, step: &Step) -> Vec<(&'static str, &'static str, Uuid)> {
    let fields = step.patch.iter().filter_map(|(name, edit)| match edit {
        FieldEdit::Set(value) => Some((name.clone(), value.clone())),
        _ => None,
    });
    let mut named = references(collection, &fields.collect());
    let moved = step.reassign_to.filter(|_| step.action == Action::Delete);
    named.extend(moved.map(|garage| ("reassign_to", GARAGES, garage)));
    named
}

/// The refusal of a field that refers to what is not there.
#[must_use]
pub fn no_such(target: &str, field: &str) -> Rejection {
    let message = format!("there is no such record in {target}");
    Rejection::new(code::UNKNOWN_REFERENCE, message).field(field)
}

/// What a record claims that it did not claim before: nothing while it is deleted.
#[must_use]
pub fn new_claims(before: Option<&Document>, after: &Document) -> Vec<Claim> {
    let of = |document: &Document| match document.deleted_at() {
        None => claims(document.collection(), &document.fields()),
        Some(_) => Vec::new(),
    };
    let had = before.map(of).unwrap_or_default();
    of(after).into_iter().filter(|claim| !had.contains(claim)).collect()
}

/// What the change of an operation is signed with: never later than the clock of who judges it.
#[must_use]
pub fn signature_of(operation: &Operation, now: Millis) -> Signature {
    Signature {
        actor: Actor::Device(operation.device_id),
        user: Some(operation.user_id),
        at: operation.clock.wall_ms.min(now),
    }
}

/// Whether a document has everything that the person saw.
#[must_use]
pub fn knows_all(document: &Document, intent: &RecordIntent) -> bool {
    intent.heads.iter().all(|head| document.knows(head))
}

/// Takes a step over the document whose heads the person saw: the present one, or the newest of
/// those before its beginnings (`earlier`, the oldest first) that has them all.
///
/// # Errors
/// As [`super::take`].
pub fn take_as_seen(
    collection: &'static Collection,
    existing: Option<&Document>,
    earlier: &[&Document],
    intent: &RecordIntent,
    step: &Step,
    around: &Circumstances<'_>,
) -> Result<Taken, Box<Rejection>> {
    let overtaken = existing.filter(|existing| !knows_all(existing, intent));
    let seen = overtaken.and_then(|existing| {
        let place = earlier.iter().rposition(|document| knows_all(document, intent))?;
        Some((existing, &earlier[place..]))
    });
    match seen {
        Some((existing, olds)) => take_over_chain(existing, olds, intent, step, around),
        None => take_in(collection, existing, intent, step, around),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn op(n: u128) -> OpId {
        OpId(Uuid::from_u128(n))
    }

    fn operation(id: u128, supersedes: &[u128], needs: &[u128]) -> Operation {
        let ids = |all: &[u128]| all.iter().map(|n| op(*n)).collect::<Vec<_>>();
        let any = Uuid::nil();
        serde_json::from_value(json!({
            "op_id": op(id), "tenant_id": any, "user_id": any, "device_id": any, "incarnation": any,
            "device_seq": 1, "lane": any, "schema": 1, "supersedes": ids(supersedes),
            "needs": ids(needs), "clock": {"wall_ms": 50}, "prev_hash": crate::Hash::ZERO,
            "body": {"other": {}}
        }))
        .unwrap()
    }

    /// 1 was accepted, 2 refused, 3 closed by 1, 4 by 2, 5 by 3, 6 by 7; 8 has not come. From 100
    /// on each is closed by the next.
    fn fate(op_id: OpId) -> Option<Fate> {
        let closed = |by| Some(Fate::Closed { by: op(by) });
        match op_id.0.as_u128() {
            1 => Some(Fate::Accepted),
            2 => Some(Fate::Refused),
            3 => closed(1),
            4 => closed(2),
            5 => closed(3),
            6 => closed(7),
            n @ 100.. => closed(n + 1),
            _ => None,
        }
    }

    #[test]
    fn what_was_not_accepted_is_closed_once_and_told_where_nobody_knows_it() {
        let found = closings(&operation(9, &[3, 1, 8, 2, 9, 8], &[]), fate);
        let wanted = [(op(3), Closing::Done), (op(8), Closing::Unseen), (op(2), Closing::Refused)];
        assert_eq!(found, wanted);
        let closed = vec![op(8), op(2)];
        let told = Closed { closed: closed.clone(), logged: vec![op(8)] };
        assert_eq!(Closed::of(&found, false), told);
        assert_eq!(Closed::of(&found, true), Closed { closed, logged: vec![op(3), op(8)] });
        assert_eq!(first_accepted(&[op(2), op(8), op(1)], fate), Some(op(1)));
        assert_eq!(first_accepted(&[op(2), op(8)], fate), None);
    }

    #[test]
    fn an_operation_waits_for_what_took_the_place_of_what_it_needs() {
        let needs = |need: u128| unmet_need(&operation(7, &[], &[1, need]), fate);
        assert_eq!(needs(2), Some(op(2)));
        assert_eq!(needs(8), Some(op(8)));
        assert_eq!(needs(4), Some(op(2)));
        for met in [1, 3, 5, 6, 100] {
            assert_eq!(needs(met), None, "{met}");
        }
    }

    #[test]
    fn no_change_is_signed_later_than_now() {
        let one = operation(1, &[], &[]);
        assert_eq!((signature_of(&one, 40).at, signature_of(&one, 60).at), (40, 50));
    }
}
