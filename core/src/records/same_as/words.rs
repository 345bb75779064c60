//! What was typed for the refused record comes to the existing one.
//!
//! Whoever typed it had not seen the existing record. So its values are put at no heads at all:
//! they compete with what others have put there, as if both had written into one record offline.

use std::collections::BTreeMap;

use motomind_protocol::records::{
    Action, Document, FieldEdit, Form, Patch, RecordIntent, Step, normalised,
};
use motomind_protocol::{OpId, limits};
use serde_json::{Map, Value};

use super::super::edit::intent;
use super::super::replay::{Own, Replay, Shown};
use super::{Moving, Typed};
use crate::device::Device;
use crate::error::CaptureError;
use crate::journal;

impl Device {
    /// Moves the creation and each edit of the refused record. One that has nothing to say there
    /// is taken back.
    pub(super) fn move_words(
        &mut self,
        old: &Replay,
        there: &Replay,
        moving: &mut Moving,
    ) -> Result<(), CaptureError> {
        let mut shown = there.shown();
        let last = said_last(old);
        let mut back = Vec::new();
        for own in &old.own {
            let Some(stored) = journal::find(&self.conn, own.op_id)? else { continue };
            let wanted = self.words_of(own, there, &shown, &last, moving);
            let patch = self.that_compete(there, &mut shown, wanted, moving);
            if patch.is_empty() {
                back.push(own.op_id);
                continue;
            }
            let supersedes = self.replaced(&stored, moving)?;
            let draft = self.draft(unseen(there, patch), supersedes, moving.clock)?;
            moving.replace(own.op_id, draft);
        }
        // Edits first: each is taken back from what the ones before it have left.
        for op_id in back.into_iter().rev() {
            if let Some(draft) = self.discard_draft(op_id, moving.clock)? {
                moving.drafts.push(draft);
            }
            let stored = journal::find(&self.conn, op_id)?;
            if stored.is_some_and(|stored| stored.has_a_foreign_id()) {
                moving.foreign.push(op_id);
            }
            moving.moved.closed.push(op_id);
        }
        self.add_texts(old, there, &shown, moving)
    }

    /// The values that an operation said last and the existing record does not have.
    fn words_of(
        &self,
        own: &Own,
        there: &Replay,
        shown: &Shown,
        last: &BTreeMap<String, OpId>,
        moving: &mut Moving,
    ) -> Patch {
        let mut words = Patch::new();
        let said = own.operation.intent().map(|intent| &intent.step.patch).into_iter().flatten();
        for (name, value) in said.flat_map(|(name, edit)| values_in(name, edit)) {
            if value.is_null() || there.collection.is_key(&name) {
                continue;
            }
            let value = match there.collection.field(&name) {
                Some(field) => normalised(field.form, value),
                None => value,
            };
            let existing = values(shown.document.as_ref(), &name);
            if existing.contains(&value) {
                continue;
            }
            if last.get(&name) == Some(&own.op_id) {
                put(&mut words, &name, value);
            } else if own.refused && !own.creates() {
                // It was not on the screen when the later one was made.
                note(moving, name, value, existing, false);
            }
        }
        words
    }

    /// Those of the words that the existing record can hold beside its own.
    fn that_compete(
        &self,
        there: &Replay,
        shown: &mut Shown,
        mut words: Patch,
        moving: &mut Moving,
    ) -> Patch {
        let signature = self.signature(moving.clock);
        while !words.is_empty() {
            let before = shown.document.as_ref();
            let tried = shown.try_out(
                &unseen(there, words.clone()),
                signature,
                self.server_now(moving.clock),
            );
            let drop = match &tried {
                Ok(after) => replaced(before, after, &words),
                Err(rejection) => {
                    let named = rejection.violations.iter().map(|violation| &violation.field);
                    let named = named.chain(&rejection.field).cloned();
                    named.filter(|name| words.contains_key(name)).collect::<Vec<_>>()
                }
            };
            let drop = match (&tried, drop.is_empty()) {
                (Ok(_), true) => break,
                (Err(_), true) => words.keys().cloned().collect(),
                _ => drop,
            };
            for name in drop {
                let lost = words.remove(&name);
                for (name, value) in lost.iter().flat_map(|edit| values_in(&name, edit)) {
                    note(moving, name.clone(), value, values(before, &name), false);
                }
            }
        }
        if words.is_empty() {
            return words;
        }
        for (name, value) in words.iter().flat_map(|(name, edit)| values_in(name, edit)) {
            let existing = values(shown.document.as_ref(), &name);
            if !existing.is_empty() {
                note(moving, name, value, existing, true);
            }
        }
        let intent = unseen(there, words.clone());
        let now = self.server_now(moving.clock);
        if let Ok(document) = shown.try_out(&intent, signature, now) {
            shown.document = Some(document);
        }
        words
    }

    /// Texts cannot compete: what was written for the refused record goes behind what the existing
    /// one says, as far as there is room.
    fn add_texts(
        &mut self,
        old: &Replay,
        there: &Replay,
        shown: &Shown,
        moving: &mut Moving,
    ) -> Result<(), CaptureError> {
        let written = old.shown().fields();
        let before = shown.fields();
        let mut wanted = before.clone();
        for field in there.collection.fields {
            let Form::Text(max) = field.form else { continue };
            let text = |fields: &Map<String, Value>| {
                fields.get(field.name).and_then(Value::as_str).unwrap_or_default().to_string()
            };
            let (mine, theirs) = (text(&written), text(&before));
            if mine.is_empty() || theirs.contains(&mine) {
                continue;
            }
            let both = if theirs.is_empty() { mine.clone() } else { format!("{theirs}\n{mine}") };
            let fits = both.chars().count() <= max.min(limits::TEXT_CHARS_MAX);
            if fits {
                wanted.insert(field.name.into(), both.into());
            }
            if !theirs.is_empty() {
                note(moving, field.name.into(), mine.into(), vec![theirs.into()], fits);
            }
        }
        let patch = shown.patch_to(there.collection, &wanted);
        if patch.is_empty() {
            return Ok(());
        }
        let step = Step { action: Action::Edit, patch, reassign_to: None };
        let draft = self.draft(intent(there, step), Vec::new(), moving.clock)?;
        moving.moved.filled = Some(draft.op_id);
        moving.drafts.push(draft);
        Ok(())
    }
}

/// Which operation said a value last; what a person said before, they have replaced themselves.
fn said_last(old: &Replay) -> BTreeMap<String, OpId> {
    let mut last = BTreeMap::new();
    for own in &old.own {
        let said = own.operation.intent().map(|intent| &intent.step.patch).into_iter().flatten();
        for (name, _) in said.flat_map(|(name, edit)| values_in(name, edit)) {
            last.insert(name, own.op_id);
        }
    }
    last
}

/// The values that an edit of a field sets; of an object one for each key. Texts set none.
fn values_in(name: &str, edit: &FieldEdit) -> Vec<(String, Value)> {
    match edit {
        FieldEdit::Set(value) => vec![(name.to_string(), value.clone())],
        FieldEdit::Keys(keys) => {
            keys.iter().map(|(key, value)| (format!("{name}.{key}"), value.clone())).collect()
        }
        FieldEdit::Text(_) => Vec::new(),
    }
}

fn put(patch: &mut Patch, name: &str, value: Value) {
    let Some((object, key)) = name.split_once('.') else {
        patch.insert(name.into(), FieldEdit::Set(value));
        return;
    };
    let keys = patch.entry(object.into()).or_insert_with(|| FieldEdit::Keys(Map::new()));
    if let FieldEdit::Keys(keys) = keys {
        keys.insert(key.into(), value);
    }
}

/// What a record says of a field, the value that is shown first.
fn values(document: Option<&Document>, name: &str) -> Vec<Value> {
    let Some(document) = document else { return Vec::new() };
    let conflict = document.conflicts().into_iter().find(|conflict| conflict.field == name);
    if let Some(conflict) = conflict {
        return conflict.values.into_iter().map(|competing| competing.value).collect();
    }
    let fields = document.fields();
    let value = match name.split_once('.') {
        Some((object, key)) => fields.get(object).and_then(|object| object.get(key)),
        None => fields.get(name),
    };
    value.cloned().into_iter().collect()
}

/// Fields of which a value would be gone.
fn replaced(before: Option<&Document>, after: &Document, words: &Patch) -> Vec<String> {
    let gone = |(name, edit): &(&String, &FieldEdit)| {
        values_in(name, edit).into_iter().any(|(name, _)| {
            let after = values(Some(after), &name);
            values(before, &name).iter().any(|value| !after.contains(value))
        })
    };
    words.iter().filter(gone).map(|(name, _)| name.clone()).collect()
}

fn note(moving: &mut Moving, field: String, value: Value, existing: Vec<Value>, kept: bool) {
    let existing = existing.into_iter().next().unwrap_or_default();
    moving.moved.typed.push(Typed { field, value, existing, kept });
}

/// An edit by someone who has seen nothing of the record.
fn unseen(there: &Replay, patch: Patch) -> RecordIntent {
    let step = Step { action: Action::Edit, patch, reassign_to: None };
    RecordIntent { heads: Vec::new(), ..intent(there, step) }
}
