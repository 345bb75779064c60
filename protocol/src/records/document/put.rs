//! Making changes of a document.

use automerge::transaction::{CommitOptions, Transactable, Transaction};
use automerge::{
    AutomergeError, Change, ObjId, PatchLog, ROOT, ReadDoc, ScalarValue, Value as Stored,
};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::scalar::scalar;
use super::{DELETED_AT, Document, Signature};
use crate::records::Splice;
use crate::records::schema::Form;
use crate::{Hash, Millis};

/// A change of a field, ready to be made: its value has the field's form.
pub(in crate::records) enum Put {
    /// The value, or null.
    Value(&'static str, Form, Value),
    /// Splices in the text at the heads of the change.
    Text(&'static str, Vec<Splice>),
    /// Keys of an object.
    Keys(&'static str, Map<String, Value>),
    /// The mark of deletion, or none.
    DeletedAt(Option<Millis>),
}

impl Put {
    /// Whether a text loses so much that it is quicker to make a document of what was seen and
    /// change that: Automerge looks for each character from the beginning when it changes a
    /// document at heads that are not its last.
    fn takes_out_much(&self) -> bool {
        const MUCH: usize = 64;
        match self {
            Self::Text(_, splices) => {
                splices.iter().map(|splice| splice.delete).sum::<usize>() > MUCH
            }
            _ => false,
        }
    }
}

/// Why a change could not be made.
#[derive(Debug, thiserror::Error)]
pub(in crate::records) enum CannotPut {
    #[error("{0} changes in a place that its text does not have")]
    OutOfRange(&'static str),
    #[error(transparent)]
    Automerge(#[from] AutomergeError),
    #[error("the document does not fit this transaction")]
    Mismatch,
}

impl Document {
    /// Makes a change at what a person has seen, and at whatever the same actor did before: a
    /// person has seen their own doing. Returns the bytes of new changes; none if nothing changed.
    pub(in crate::records) fn put(
        &mut self,
        id: Uuid,
        seen: &[Hash],
        signature: &Signature,
        puts: Vec<Put>,
    ) -> Result<(), CannotPut> {
        self.give_birth(id);
        let mut at = self.known(seen);
        let all_known = at.len() == seen.len();
        self.automerge.set_actor(signature.actor.id());
        let own = self.automerge.get_last_local_change().map(|change| change.hash());
        at.extend(own.into_iter().chain(self.births()));
        at.sort_unstable();
        at.dedup();
        let puts: Vec<Put> = match all_known {
            true => puts,
            false => {
                let tx = self.automerge.transaction_at(PatchLog::inactive(), &at);
                let tx = tx.map_err(|_| CannotPut::Mismatch)?;
                puts.into_iter().map(|put| placed(&tx, put)).collect()
            }
        };
        if self.automerge.get_heads().iter().all(|head| at.contains(head)) {
            return commit(self.automerge.transaction(), puts, signature);
        }
        let (long, short): (Vec<Put>, Vec<Put>) = puts.into_iter().partition(Put::takes_out_much);
        if !long.is_empty() {
            let mut seen = self.automerge.fork_at(&at)?;
            seen.set_actor(signature.actor.id());
            commit(seen.transaction(), long, signature)?;
            let change = seen.get_last_local_change();
            at.extend(change.iter().map(Change::hash));
            self.automerge.apply_changes(change)?;
        }
        if short.is_empty() {
            return Ok(());
        }
        let tx = self.automerge.transaction_at(PatchLog::inactive(), &at);
        commit(tx.map_err(|_| CannotPut::Mismatch)?, short, signature)
    }

    /// Adds a change that says nothing but who made it.
    pub(in crate::records) fn sign(&mut self, signature: &Signature) {
        self.automerge.set_actor(signature.actor.id());
        let mut options = CommitOptions::default().with_time(signature.at);
        options.message = signature.user.map(|user| user.to_string());
        self.automerge.empty_commit(options);
    }
}

/// Makes a change of these, or none.
fn commit(mut tx: Transaction<'_>, puts: Vec<Put>, signature: &Signature) -> Result<(), CannotPut> {
    for put in puts {
        if let Err(error) = put_one(&mut tx, put) {
            tx.rollback();
            return Err(error);
        }
    }
    let mut options = CommitOptions::default().with_time(signature.at);
    options.message = signature.user.map(|user| user.to_string());
    tx.commit_with(options);
    Ok(())
}

fn put_one(tx: &mut Transaction<'_>, put: Put) -> Result<(), CannotPut> {
    match put {
        Put::Value(name, form, value) => choose(tx, &ROOT, name, scalar(form, value))?,
        Put::DeletedAt(at) => {
            let at = at.map_or(ScalarValue::Null, ScalarValue::Int);
            choose(tx, &ROOT, DELETED_AT, at)?;
        }
        Put::Keys(name, keys) => {
            let (_, object) = tx.get(ROOT, name)?.ok_or(CannotPut::OutOfRange(name))?;
            for (key, value) in keys {
                if key.is_empty() {
                    return Err(CannotPut::OutOfRange(name));
                }
                choose(tx, &object, &key, scalar(Form::Json(0), value))?;
            }
        }
        Put::Text(name, splices) => {
            let (_, object) = tx.get(ROOT, name)?.ok_or(CannotPut::OutOfRange(name))?;
            let length = tx.length(&object);
            let mut before = length;
            for splice in splices.iter().rev() {
                // Backwards, so that places stay what they were in the text before any of it.
                let end = splice.at.checked_add(splice.delete);
                if end.is_none_or(|end| end > before) {
                    return Err(CannotPut::OutOfRange(name));
                }
                before = splice.at;
                let delete =
                    isize::try_from(splice.delete).map_err(|_| CannotPut::OutOfRange(name))?;
                tx.splice_text(&object, splice.at, delete, &splice.insert)?;
            }
        }
    }
    Ok(())
}

/// A change of a text that this document does not have as it was seen: places say nothing then.
/// What was put in is kept, as near as it fits, and nothing is taken out.
fn placed(tx: &Transaction<'_>, put: Put) -> Put {
    let Put::Text(name, splices) = put else {
        return put;
    };
    let length = match tx.get(ROOT, name) {
        Ok(Some((_, object))) => tx.length(&object),
        _ => 0,
    };
    let near = splices.into_iter().map(|splice| Splice {
        at: splice.at.min(length),
        delete: 0,
        insert: splice.insert,
    });
    Put::Text(name, near.collect())
}

/// Puts a value, also where it is the one that is shown. Automerge would then change nothing, or
/// only take competing ones away, and what a person chose would be lost beside a value that
/// someone else sets meanwhile.
fn choose(
    tx: &mut Transaction<'_>,
    object: &ObjId,
    key: &str,
    value: ScalarValue,
) -> Result<(), AutomergeError> {
    if matches!(tx.get(object, key)?, Some((Stored::Scalar(shown), _)) if *shown == value) {
        tx.delete(object, key)?;
    }
    tx.put(object, key, value)
}
