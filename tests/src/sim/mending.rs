//! How people see to edits that wait or were refused: amend, take back, try again, or say that a
//! refused record is one that exists.

use motomind_core::{CaptureError, Edited, Moved};
use motomind_protocol::records::Action;
use motomind_protocol::{OpId, OpState, VehicleId};
use serde_json::{Map, Value};

use super::editing::as_ref;
use super::editors::{Edit, seen_in, stands};
use super::records::Key;
use super::world::{Checked, World};

impl World {
    /// Amends or takes back an edit that is pending.
    pub(super) fn mend_some_edit(&mut self, index: usize) -> Checked {
        let refused = self.pending_as(index, &[OpState::Rejected])?;
        for op in refused {
            if self.editors.edit(op).is_some() && self.dice.permille(500) {
                return self.try_again_or_mend(index, op, false, false);
            }
        }
        let states = [OpState::Queued, OpState::Sending, OpState::Rejected, OpState::Waiting];
        let mut pending = self.pending_as(index, &states)?;
        pending.retain(|op| self.editors.edit(*op).is_some());
        let discard = self.dice.permille(400);
        match self.dice.pick(&pending).copied() {
            Some(op) => self.mend_edit(index, op, discard),
            None => Ok(()),
        }
    }

    /// A person sees to a refused edit.
    ///
    /// # Errors
    /// A violated invariant.
    pub fn see_to_edit(&mut self, index: usize, op: OpId, discard: bool, last: bool) -> Checked {
        let done = self.try_again_or_mend(index, op, discard, last);
        self.looked(index, done)
    }

    fn try_again_or_mend(&mut self, index: usize, op: OpId, discard: bool, last: bool) -> Checked {
        if self.dice.permille(700) && self.settle_as_same(index, op)? {
            return Ok(());
        }
        if self.phones[index].device.is_none() {
            return Ok(());
        }
        if !last && self.dice.permille(400) {
            let clock = self.phones[index].clock(self.now);
            let Some(device) = self.phones[index].device.as_mut() else {
                return Ok(());
            };
            let tried = device.retry(op, clock).map_err(|error| error.to_string());
            self.trace.count("edit retried");
            return match self.survived(index, tried)? {
                Some(()) => self.ask(index),
                None => Ok(()),
            };
        }
        self.mend_edit(index, op, discard)
    }

    /// A refused creation turns out to be what someone else has registered. Returns whether so.
    fn settle_as_same(&mut self, index: usize, op: OpId) -> Checked<bool> {
        let clock = self.phones[index].clock(self.now);
        let Some(from) = self.editors.edit(op).map(|edit| edit.key) else {
            return Ok(false);
        };
        let Some(device) = self.phones[index].device.as_mut() else {
            return Ok(false);
        };
        let pending = device.pending(clock).map_err(|error| error.to_string())?;
        let reason = pending.into_iter().find(|item| item.op_id == op).and_then(|i| i.reason);
        let Some(existing) = reason.and_then(|reason| reason.taken_by) else {
            return Ok(false);
        };
        let to: Key = (from.0, existing);
        let result = device.same_as(&as_ref(from), &as_ref(to), clock);
        self.note(|| format!("{index} says that {from:?} is the same as {to:?}: {result:?}"));
        match result {
            Ok(moved) => {
                self.trace.count("settled as the same");
                self.move_session(index, from, to, true);
                self.editors.joined.push((index, from, to));
                let rows = self.phones[index].journal().map_err(|error| error.to_string())?;
                for row in rows {
                    if !self.phones[index].held.contains(&row.sealed.op_id) {
                        self.adopt(index, &row)?;
                    }
                }
                self.check_moved(index, from, to, &moved)?;
                self.editors.joined.retain(|(of, ..)| *of != index);
                self.ask(index)?;
                Ok(true)
            }
            Err(CaptureError::Store(error)) => {
                if self.survived::<()>(index, Err(error.to_string()))?.is_none() {
                    self.editors.joined.push((index, from, to));
                    self.move_session(index, from, to, false);
                }
                Ok(true)
            }
            Err(CaptureError::NotRefused | CaptureError::UnknownRecord(_)) => Ok(false),
            Err(error) => Err(format!("phone {index} cannot join {from:?} and {to:?}: {error}")),
        }
    }

    /// What is being photographed goes on with the vehicle that is there.
    fn move_session(&mut self, index: usize, from: Key, to: Key, is_sure: bool) {
        let session = self.phones[index].kept.session.as_mut();
        if let Some(session) = session.filter(|session| session.vehicle.0 == from.1) {
            match is_sure {
                true => session.vehicle = VehicleId(to.1),
                false => session.perhaps = Some(VehicleId(to.1)),
            }
        }
    }

    /// What was typed for a refused record is said of the existing one, or stands there already,
    /// or the person was told.
    fn check_moved(&self, index: usize, from: Key, to: Key, moved: &Moved) -> Checked {
        let view = self.view(index, to)?.ok_or(format!("phone {index} does not show {to:?}"))?;
        let there = seen_in(&view.fields, &view.conflicting);
        let ops = moved.moved.iter().map(|(old, new)| (*old, Some(*new)));
        for (old, new) in ops.chain(moved.closed.iter().map(|old| (*old, None))) {
            let Some(edit) = self.editors.edit(old).filter(|edit| edit.key == from) else {
                continue;
            };
            let says = new.and_then(|new| self.editors.edit(new));
            for (field, value) in edit.sets.iter().filter(|_| !edit.discard) {
                let said = says.is_some_and(|edit| edit.sets.contains_key(field));
                let told = moved.typed.iter().any(|t| t.field == *field && t.value == *value);
                let wanted = (field.clone(), value.to_string());
                let anew = self.editors.edits().any(|(other, edit)| {
                    other != old && edit.key == from && edit.sets.contains_key(field)
                });
                if !said && !told && !anew && !stands(&there, &wanted) {
                    return Err(format!(
                        "phone {index} moved {old} to {to:?} without its {field} {value}: {moved:?}"
                    ));
                }
            }
        }
        Ok(())
    }

    fn mend_edit(&mut self, index: usize, op: OpId, discard: bool) -> Checked {
        let Some(old) = self.editors.edit(op).cloned() else {
            return Ok(());
        };
        let view = self.view(index, old.key)?;
        let mut saw = old.saw.clone();
        saw.extend(view.iter().flat_map(|view| seen_in(&view.fields, &view.conflicting)));
        let mut edit = Edit { saw, replaces: Some(op), discard, ..old.clone() };
        edit.erased.clear();
        let has_fields = matches!(old.action, Action::Create | Action::Edit);
        if discard || !has_fields || old.discard {
            edit.discard = true;
            edit.sets.clear();
            edit.typed.clear();
            return self
                .change(index, edit, |device, clock| {
                    let captured = device.discard(op, "not mine", clock)?;
                    let record = as_ref(old.key);
                    Ok(Edited { record, op_id: Some(captured.op_id), warnings: Vec::new() })
                })
                .map(drop);
        }
        let mut fields = Map::new();
        let names: Vec<String> = edit.sets.keys().filter(|n| !n.contains('.')).cloned().collect();
        for name in names.into_iter().filter(|_| self.dice.permille(500)) {
            let value = self.editors.word(&name);
            edit.sets.insert(name.clone(), value.clone());
            fields.insert(name, value);
        }
        if old.key.0 == "vehicles" {
            let vin = if self.dice.permille(300) { self.some_vin() } else { Value::Null };
            fields.insert("vin".into(), vin);
        }
        self.change(index, edit, |device, clock| device.amend_edit(op, fields, clock)).map(drop)
    }
}
