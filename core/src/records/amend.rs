//! Mending and taking back edits that the server has not accepted, for all this device knows.
//!
//! Any of the operations that a new one takes the place of may have arrived. What is to be done
//! then is said for each: the step that leads from the record with that one to what is wanted.

use std::collections::BTreeSet;

use motomind_protocol::records::{
    self, Action, Circumstances, Instead, Patch, RecordIntent, Step, signature_of,
};
use motomind_protocol::{OpId, OpState, Operation, Violation, code};
use serde_json::{Map, Value};

use super::edit::{Edited, find, intent, with_fields};
use super::overlay;
use super::replay::{Replay, Shown};
use crate::capture::Draft;
use crate::device::Device;
use crate::error::CaptureError;
use crate::fact::{Captured, Clock};
use crate::journal::{self, Stored};
use crate::mirror::{self, RecordRef};

/// An operation on a record that may be replaced.
struct Replaceable {
    stored: Stored,
    record: RecordRef,
    action: Action,
    /// What takes its place names these.
    chain: Vec<OpId>,
}

impl Replaceable {
    /// An operation whose id is another's is put aside here, and nothing is said of it.
    fn aside(&self, why: String) -> Vec<(OpId, String)> {
        let foreign = self.stored.has_a_foreign_id();
        foreign.then_some((self.stored.sealed.op_id, why)).into_iter().collect()
    }
}

impl Device {
    /// Replaces a refused or unsent creation or edit by a mended one: what it said, with these
    /// fields instead. `null` clears a field.
    ///
    /// # Errors
    /// As [`Device::edit`]; also [`CaptureError::UnknownOperation`],
    /// [`CaptureError::AlreadySuperseded`], [`CaptureError::AlreadyAccepted`].
    pub fn amend_edit(
        &mut self,
        op_id: OpId,
        fields: Map<String, Value>,
        clock: impl Into<Clock>,
    ) -> Result<Edited, CaptureError> {
        let clock = clock.into();
        let old = self.replaceable(op_id)?;
        if !matches!(old.action, Action::Create | Action::Edit) {
            let message = "only a creation or an edit has fields to mend; discard this one";
            let violation = Violation::new("action", code::IMMUTABLE, message);
            return Err(CaptureError::Invalid(vec![violation]));
        }
        let replay = self.replay_for(&old)?;
        let is_held = old.chain.iter().any(|op| replay.holds(*op));
        // A creation that is unsettled again: a restored server has lost the record.
        let is_lost = is_held && old.action == Action::Create;
        let without = if is_lost { Shown::of(None) } else { without(&replay, &old.chain) };
        // Edits that follow a creation are done over it again, and are none of its words.
        let said = match without.document {
            None if is_lost => begun(&old.stored.operation()?),
            None => replay.shown_with(|own| own.op_id == op_id),
            Some(_) => with(&replay, &old.chain, op_id),
        };
        if !said.has(op_id) && !is_held {
            // What it says counts over what this device does not have, such as a lost mirror.
            return Err(CaptureError::UnknownRecord(old.record));
        }
        let wanted = with_fields(replay.collection, &said.fields(), fields.clone());
        let action = match without.document {
            None => Action::Create,
            Some(_) if replay.collection.key != motomind_protocol::records::Key::Made => old.action,
            Some(_) => Action::Edit,
        };
        let mut patch = without.patch_to(replay.collection, &wanted);
        // What no field is called goes along, for the rules to name it.
        let unknown = wanted.iter().filter(|(name, _)| replay.collection.field(name).is_none());
        patch.extend(unknown.map(|(name, value)| {
            (name.clone(), motomind_protocol::records::FieldEdit::Set(value.clone()))
        }));
        let mut intent = intent(&replay, Step { action, patch, reassign_to: None });
        let warnings = self.try_out(&replay, &without, &intent, clock)?;
        if is_held && !is_lost {
            say_again(&mut intent.step.patch, &old.stored.operation()?);
        }
        let said_at_last = with(&replay, &old.chain, op_id).fields();
        let wanted = with_fields(replay.collection, &said_at_last, fields);
        for may_be in self.may_have_arrived(&old)? {
            let shown = with(&replay, &old.chain, may_be);
            let patch = shown.patch_to(replay.collection, &wanted);
            let step = Step { action: Action::Edit, patch, reassign_to: None };
            intent.instead.push(Instead { op_id: may_be, step });
        }
        let draft = self.draft_in_place(intent, &old, clock)?;
        let new = draft.op_id;
        self.seal_all(vec![draft], old.aside(format!("amended as {new}")))?;
        overlay::show(self, BTreeSet::from([old.record.clone()]));
        Ok(Edited { record: old.record, op_id: Some(new), warnings })
    }

    /// Takes a creation or an edit back that the server has not accepted.
    pub(crate) fn discard_edit(
        &mut self,
        op_id: OpId,
        reason: String,
        clock: Clock,
    ) -> Result<Captured, CaptureError> {
        let old = self.replaceable(op_id)?;
        if old.chain.is_empty() {
            // Its id is someone else's: nothing may be said of it.
            self.set_aside(op_id, reason)?;
            return Ok(Captured { op_id, duplicate: false, warnings: Vec::new() });
        }
        let draft = self.discarding(&old, clock)?;
        let new = draft.op_id;
        self.seal_all(vec![draft], old.aside(reason))?;
        overlay::show(self, BTreeSet::from([old.record.clone()]));
        Ok(Captured { op_id: new, duplicate: false, warnings: Vec::new() })
    }

    /// The operation that takes one back; `None` where nothing may be said of its id.
    pub(super) fn discard_draft(
        &mut self,
        op_id: OpId,
        clock: Clock,
    ) -> Result<Option<Draft>, CaptureError> {
        let old = self.replaceable(op_id)?;
        if old.chain.is_empty() {
            return Ok(None);
        }
        self.discarding(&old, clock).map(Some)
    }

    fn discarding(&mut self, old: &Replaceable, clock: Clock) -> Result<Draft, CaptureError> {
        let replay = self.replay_for(old)?;
        let without = without(&replay, &old.chain);
        let wanted = without.fields();
        let nothing = Step { action: Action::Nothing, patch: Patch::new(), reassign_to: None };
        let mut intent = intent(&replay, nothing);
        for may_be in self.may_have_arrived(old)? {
            let shown = with(&replay, &old.chain, may_be);
            if without.document.is_none() && old.action != Action::Create {
                if self.noting_damage(mirror::position(&self.conn))?.has_the_whole_log() {
                    // There is no such record: its creation was refused, or taken back.
                    continue;
                }
                // What was there before is not known here, such as after the loss of a mirror.
                return Err(CaptureError::UnknownRecord(old.record.clone()));
            }
            let action = match (&without.document, without.deleted_at(), shown.deleted_at()) {
                (None, ..) | (_, Some(_), None) => Action::Delete,
                (_, None, Some(_)) => Action::Restore,
                _ => Action::Edit,
            };
            let patch = match without.document {
                Some(_) => shown.patch_to(replay.collection, &wanted),
                None => Patch::new(),
            };
            let step = Step { action, patch, reassign_to: None };
            intent.instead.push(Instead { op_id: may_be, step });
        }
        self.draft_in_place(intent, old, clock)
    }

    /// An operation that takes the place of another. In a record's lane it comes last.
    fn draft_in_place(
        &mut self,
        intent: RecordIntent,
        old: &Replaceable,
        clock: Clock,
    ) -> Result<Draft, CaptureError> {
        let mut draft = self.draft(intent, old.chain.clone(), clock)?;
        let own = old.stored.sealed.op_id;
        draft.needs.retain(|op| *op != own);
        Ok(draft)
    }

    fn replay_for(&mut self, old: &Replaceable) -> Result<Replay, CaptureError> {
        let _ = crate::overlay::mend(self);
        let (collection, id) = (find(&old.record.collection)?, old.record.id);
        let op_id = Some(old.stored.sealed.op_id);
        Ok(self.noting_damage(Replay::read_for(&self.conn, collection, id, op_id))?)
    }

    fn replaceable(&self, op_id: OpId) -> Result<Replaceable, CaptureError> {
        let stored = journal::find(&self.conn, op_id)?.ok_or(CaptureError::UnknownOperation)?;
        match stored.state {
            OpState::Superseded => return Err(CaptureError::AlreadySuperseded),
            OpState::Accepted => return Err(CaptureError::AlreadyAccepted),
            _ => {}
        }
        let operation = stored.operation()?;
        let intent = operation.intent().ok_or(CaptureError::UnknownOperation)?;
        let mut chain = journal::replaced_with(&self.conn, op_id)?;
        if stored.has_a_foreign_id() {
            chain.remove(0);
        }
        let record = RecordRef::new(&*intent.collection, intent.record_id);
        Ok(Replaceable { record, action: intent.step.action, chain, stored })
    }

    /// Those of the chain that the server may have accepted.
    fn may_have_arrived(&self, old: &Replaceable) -> Result<Vec<OpId>, CaptureError> {
        let mut may_be = Vec::new();
        for op in &old.chain {
            let stored = journal::find(&self.conn, *op)?;
            may_be.extend(stored.filter(Stored::may_have_arrived).map(|_| *op));
        }
        Ok(may_be)
    }
}

/// What a creation says by itself, of whose record the copy of the document holds more by now.
fn begun(creation: &Operation) -> Shown {
    let taken = creation.intent().and_then(|intent| {
        let (signature, now) = (signature_of(creation, i64::MAX), creation.clock.wall_ms);
        let around = Circumstances { signature, now, accepted: &[] };
        records::take(None, intent, &intent.step, &around).ok()
    });
    Shown::of(taken.map(|taken| taken.document))
}

/// Adds what an operation said to what takes its place. The copy of the document holds it, and yet
/// it is unsettled: the server was restored and has lost it, and the copy is of before that. So
/// the copy does not tell what is missing there.
fn say_again(patch: &mut Patch, old: &Operation) {
    let said = old.intent().map(|intent| intent.step.patch.clone()).unwrap_or_default();
    for (name, edit) in said {
        patch.entry(name).or_insert(edit);
    }
}

/// The record as if none of a chain had arrived. What follows a refused creation counts over it.
fn without(replay: &Replay, chain: &[OpId]) -> Shown {
    replay.shown_with(|own| (own.creates() || !own.refused) && !chain.contains(&own.op_id))
}

/// The record as if of a chain this one alone had arrived.
fn with(replay: &Replay, chain: &[OpId], op_id: OpId) -> Shown {
    replay.shown_with(|own| {
        let counts = (own.creates() || !own.refused) && !chain.contains(&own.op_id);
        own.op_id == op_id || counts
    })
}
