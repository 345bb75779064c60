//! Bounding a document's history.
//!
//! Automerge never forgets a change: every later one builds on its hash. What can be done is to
//! begin again. The compacted document has the same beginning as every document of the record,
//! then one change for each value that lives, under the actor, person and time that made it,
//! concurrent to the others, so that conflicts and who-changed-last stay. Its changes have other
//! hashes: a device replaces its copy by it, and an intent at heads of the old document is
//! translated, which needs the old one. The server keeps that.

use std::collections::BTreeSet;

use automerge::{ChangeHash, ObjId, ROOT, ReadDoc, Value as Stored};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::document::{Actor, DELETED_AT, Document, Put, Signature, read_scalar};
use super::intent::{Action, FieldEdit, Over, RecordIntent, Step, TextEdit};
use super::merge::{Circumstances, Taken, take_in};
use super::schema::Form;
use super::text;
use crate::wire::Rejection;
use crate::{Hash, UserId};

/// A value that lives, and what made it.
struct Living {
    /// Automerge's order of competing values: counter, then actor.
    order: (u64, Vec<u8>),
    hash: ChangeHash,
    signature: Signature,
    put: Put,
}

/// The same record without its history: every value that lives, competing ones too, with who made
/// each and when, and who made the record.
///
/// Returns `None` where the document holds something that this version does not know; it is then
/// left as it is.
#[must_use]
pub fn compacted(document: &Document, id: Uuid) -> Option<Document> {
    begin_again(document, id).map(|again| again.document)
}

/// A document begun again.
struct Again {
    document: Document,
    /// For each change that made a living value, the one that makes it now.
    changes: Vec<(ChangeHash, ChangeHash)>,
    /// Those that make texts.
    texts: Vec<ChangeHash>,
}

fn begin_again(document: &Document, id: Uuid) -> Option<Again> {
    let creator = document.history().into_iter().next()?;
    let mut again = Again {
        document: Document::new(document.collection(), id),
        changes: Vec::new(),
        texts: Vec::new(),
    };
    again.document.sign(&document.signature(&ChangeHash(creator.hash.0))?);
    let mut living = living(document)?;
    // In the old order, so that of competing values the same one is shown.
    living.sort_by(|one, other| one.order.cmp(&other.order));
    for Living { hash, signature, put, .. } in living {
        let is_text = matches!(put, Put::Text(..));
        again.document.put(id, &[], &signature, vec![put]).ok()?;
        let now = again.document.last_by(signature.actor)?;
        again.changes.push((hash, now));
        if is_text {
            again.texts.push(now);
        }
    }
    let same = again.document.fields() == document.fields()
        && again.document.conflicts() == document.conflicts()
        && again.document.deleted_at() == document.deleted_at();
    same.then_some(again)
}

fn living(document: &Document) -> Option<Vec<Living>> {
    let mut living = Vec::new();
    for field in document.collection().fields {
        match field.form {
            Form::Text(_) => living.extend(living_text(document, field.name)),
            Form::Map(_) => {
                let (_, object) = document.automerge().get(ROOT, field.name).ok()??;
                let keys: Vec<String> = document.automerge().keys(&object).collect();
                for key in keys {
                    living.extend(living_values(document, &object, &key, |value| {
                        let value = read_scalar(Form::Json(0), value).unwrap_or_default();
                        Put::Keys(field.name, [(key.clone(), value)].into_iter().collect())
                    })?);
                }
            }
            form => living.extend(living_values(document, &ROOT, field.name, |value| {
                let value = read_scalar(form, value).unwrap_or_default();
                Put::Value(field.name, form, value)
            })?),
        }
    }
    let deletions = living_values(document, &ROOT, DELETED_AT, |v| Put::DeletedAt(v.as_i64()))?;
    living.extend(deletions);
    Some(living)
}

fn living_values(
    document: &Document,
    object: &ObjId,
    key: &str,
    put: impl Fn(&automerge::ScalarValue) -> Put,
) -> Option<Vec<Living>> {
    let mut living = Vec::new();
    for (stored, op) in document.automerge().get_all(object, key).ok()? {
        let Stored::Scalar(value) = &stored else {
            return None;
        };
        let hash = document.automerge().hash_for_opid(&op)?;
        let signature = document.signature(&hash)?;
        let order = match &op {
            ObjId::Id(counter, actor, _) => (*counter, actor.to_bytes().to_vec()),
            ObjId::Root => return None,
        };
        living.push(Living { order, hash, signature, put: put(value) });
    }
    Some(living)
}

/// A text as a whole, under whoever changed it last.
fn living_text(document: &Document, name: &'static str) -> Option<Living> {
    let fields = document.fields();
    let words = fields.get(name)?.as_str()?;
    let last = document.history().into_iter().rev().find(|one| one.fields.contains_key(name))?;
    let hash = ChangeHash(last.hash.0);
    let signature = document.signature(&hash)?;
    let put = Put::Text(name, text::difference("", words));
    // First of all, so that whoever sees a text by this has not thereby seen a later value.
    Some(Living { order: (0, Vec::new()), hash, signature, put })
}

/// Takes a step of an intent whose heads are those of `old`, the document before it was compacted.
///
/// What the person saw of the living values, they have seen of the new ones; texts are merged in
/// the old document first.
///
/// # Errors
/// As [`super::take`].
pub fn take_over_compacted(
    existing: &Document,
    old: &Document,
    intent: &RecordIntent,
    step: &Step,
    around: &Circumstances<'_>,
) -> Result<Taken, Box<Rejection>> {
    take_over_chain(existing, &[old], intent, step, around)
}

/// As [`take_over_compacted`], for a record that has begun again several times since: `olds` are
/// its documents before each beginning, the oldest first, and the intent's heads are of the first
/// of them.
///
/// # Errors
/// As [`super::take`].
pub fn take_over_chain(
    existing: &Document,
    olds: &[&Document],
    intent: &RecordIntent,
    step: &Step,
    around: &Circumstances<'_>,
) -> Result<Taken, Box<Rejection>> {
    let all_known =
        olds.first().is_none_or(|old| old.known(&intent.heads).len() >= intent.heads.len());
    let (mut intent, mut step) = (intent.clone(), step.clone());
    for (place, old) in olds.iter().enumerate() {
        let next = olds.get(place + 1).copied().unwrap_or(existing);
        let Some(again) = begin_again(old, intent.record_id) else {
            return take_in(existing.collection(), Some(existing), &intent, &step, around);
        };
        (intent, step) = translated(next, old, &again, intent, &step, around)?;
    }
    let taken = take_in(existing.collection(), Some(existing), &intent, &step, around)?;
    Ok(Taken { heads_known: all_known, ..taken })
}

/// An intent at heads of `old` as one at heads of `next`, which began as `again`.
fn translated(
    next: &Document,
    old: &Document,
    again: &Again,
    mut intent: RecordIntent,
    step: &Step,
    around: &Circumstances<'_>,
) -> Result<(RecordIntent, Step), Box<Rejection>> {
    let mut seen = old.known(&intent.heads);
    seen.extend(old.last_by(around.signature.actor));
    let unseen: BTreeSet<ChangeHash> =
        old.automerge().get_changes_meta(&seen).into_iter().map(|meta| meta.hash).collect();
    let known = again.changes.iter().filter(|(before, _)| !unseen.contains(before));
    let heads = known.map(|(_, now)| *now).chain(again.texts.iter().copied());
    let heads: Vec<Hash> = heads.map(|head| Hash(head.0)).collect();
    let step = with_texts_merged(old, &intent, step, around)?;
    let step = with_texts_followed(next, old, &intent, &step, around, &heads);
    intent.heads = heads;
    Ok((intent, step))
}

/// The step with its texts' splices as they stand in the old document at last.
fn with_texts_merged(
    old: &Document,
    intent: &RecordIntent,
    step: &Step,
    around: &Circumstances<'_>,
) -> Result<Step, Box<Rejection>> {
    let is_text =
        |edit: &FieldEdit| matches!(edit, FieldEdit::Text(text) if !follows(text, around));
    let mut texts = step.clone();
    texts.action = Action::Edit;
    texts.patch.retain(|_, edit| is_text(edit));
    let merged = take_in(old.collection(), Some(old), intent, &texts, around)?.document.fields();
    let shown = old.fields();
    let mut step = step.clone();
    for (name, edit) in step.patch.iter_mut().filter(|(_, edit)| is_text(edit)) {
        let words = |fields: &Map<String, Value>| {
            fields.get(name).and_then(Value::as_str).unwrap_or("").to_string()
        };
        let splices = text::difference(&words(&shown), &words(&merged));
        *edit = FieldEdit::Text(TextEdit { splices, over: Vec::new() });
    }
    Ok(step)
}

/// Whether a change of a text counts over an earlier one that was accepted, perhaps since the
/// document began again: then it is not in the old one.
fn follows(edit: &TextEdit, around: &Circumstances<'_>) -> bool {
    edit.over.iter().any(|over| around.accepted.contains(&over.op_id))
}

/// The step with texts that follow others told as changes of what this document began again with.
fn with_texts_followed(
    existing: &Document,
    old: &Document,
    intent: &RecordIntent,
    step: &Step,
    around: &Circumstances<'_>,
    heads: &[Hash],
) -> Step {
    let words = |fields: &Map<String, Value>, name: &str| {
        fields.get(name).and_then(Value::as_str).unwrap_or("").to_string()
    };
    let seen = old.fields_at(&intent.heads);
    let begun = existing.fields_at(heads);
    let mut step = step.clone();
    for (name, edit) in &mut step.patch {
        let FieldEdit::Text(text) = edit else { continue };
        let accepted = text.over.iter().find(|over| around.accepted.contains(&over.op_id));
        let Some(op_id) = accepted.map(|over| over.op_id) else { continue };
        let before = text.over.iter().try_fold(words(&seen, name), |words, over| {
            super::text::spliced(&words, &over.splices)
        });
        if let Some(before) = before {
            let splices = super::text::difference(&words(&begun, name), &before);
            text.over = vec![Over { op_id, splices }];
        }
    }
    step
}

impl Document {
    /// Who made a change; `None` for those that every document begins with.
    pub(super) fn signature(&self, hash: &ChangeHash) -> Option<Signature> {
        let meta = self.automerge().get_change_meta_by_hash(hash)?;
        let actor = Actor::read(&meta.actor)?;
        let user: Option<UserId> = meta.message.as_deref().and_then(|user| user.parse().ok());
        Some(Signature { actor, user, at: meta.timestamp })
    }
}
