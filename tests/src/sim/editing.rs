//! What people do to records: edit, delete, restore, and choose between competing values.

use motomind_core::{CaptureError, Edited, RecordRef, RecordView};
use motomind_protocol::records::{self, Action};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::editors::{Edit, seen_in};
use super::inventing::WORDS;
use super::records::Key;
use super::world::{Checked, World};

/// How often people come to records of which collection.
const LIKED: &[(&str, usize)] = &[
    ("vehicles", 5),
    ("reminders", 5),
    ("garages", 1),
    ("profiles", 1),
    ("user_maintenance_preferences", 3),
];

/// Whether every change of a field is remembered. Identification numbers and garages are not: more
/// than one person sets the same, and the server moves vehicles by itself.
fn is_followed(key: Key, field: &str) -> bool {
    let words = WORDS.iter().any(|(name, fields)| *name == key.0 && fields.contains(&field));
    words || field.contains('.') || field == records::DELETED_AT
}

pub(super) fn as_ref(key: Key) -> RecordRef {
    RecordRef::new(key.0, key.1)
}

impl World {
    /// Someone does something to a record.
    ///
    /// # Errors
    /// A violated invariant.
    pub fn edit_something(&mut self, index: usize) -> Checked {
        for _ in 0..=self.dice.below(3) {
            let done = match self.dice.below(20) {
                0..=2 => self.create_record(index),
                3 => self.delete_or_restore(index),
                4..=6 => self.resolve_conflict(index),
                7..=8 => self.mend_some_edit(index),
                _ => self.edit_record(index),
            };
            self.looked(index, done)?;
            if self.phones[index].device.is_none() {
                break;
            }
        }
        Ok(())
    }

    /// What a look at a phone gave, unless the power went over it: looking lays fresh captures over
    /// the mirror.
    pub(super) fn looked(&mut self, index: usize, result: Checked) -> Checked {
        if result.is_err() && self.phones[index].disk.power_is_out() {
            self.lose_power(index);
            return Ok(());
        }
        result
    }

    /// The record as a phone shows it.
    pub(super) fn view(&self, index: usize, key: Key) -> Checked<Option<RecordView>> {
        let device = self.phones[index].device.as_ref().ok_or("the phone is off")?;
        device.record(&as_ref(key)).map_err(|error| error.to_string())
    }

    fn a_record(&mut self, index: usize, deleted_too: bool) -> Checked<Option<(Key, RecordView)>> {
        let Some(device) = self.phones[index].device.as_ref() else {
            return Ok(None);
        };
        let mut rows = Vec::new();
        for (name, often) in LIKED {
            let all = device.records(name, deleted_too).map_err(|error| error.to_string())?;
            // Those that are there from the beginning meet the most people.
            rows.extend(all.iter().take(2).flat_map(|row| vec![(*name, row.id); *often]));
            rows.extend(all.iter().skip(2).map(|row| (*name, row.id)));
        }
        let Some((name, id)) = self.dice.pick(&rows).copied() else {
            return Ok(None);
        };
        let view = self.view(index, (name, id))?;
        match view {
            Some(view) => Ok(Some(((name, id), view))),
            None => Err(format!("phone {index} lists {name} {id} and does not show it")),
        }
    }

    fn edit_record(&mut self, index: usize) -> Checked {
        let Some((key, view)) = self.a_record(index, false)? else {
            return Ok(());
        };
        self.edit_this(index, key, &view)?;
        match self.dice.permille(250) {
            true => self.edit_elsewhere(index, key),
            false => Ok(()),
        }
    }

    /// Somebody else comes to the same record at the same moment.
    fn edit_elsewhere(&mut self, index: usize, key: Key) -> Checked {
        let others: Vec<usize> = self.on().into_iter().filter(|other| *other != index).collect();
        let Some(other) = self.dice.pick(&others).copied() else {
            return Ok(());
        };
        let view = self.view(other, key);
        let done = view.and_then(|view| match view {
            Some(view) => self.edit_this(other, key, &view),
            None => Ok(()),
        });
        self.looked(other, done)
    }

    fn edit_this(&mut self, index: usize, key: Key, view: &RecordView) -> Checked {
        let saw = seen_in(&view.fields, &view.conflicting);
        let mut edit = Edit::of(key, Action::Edit, saw);
        let mut fields = Map::new();
        self.invent_values(&mut edit, &mut fields, Some(view), false);
        if key.0 == "vehicles" && self.dice.permille(150) {
            fields.insert("vin".into(), self.some_vin());
        }
        if key.0 == "vehicles" && self.dice.permille(250) {
            let garages = self.server.tenant.records.rows();
            let garages: Vec<Uuid> =
                garages.filter(|(key, _)| key.0 == "garages").map(|(key, _)| key.1).collect();
            let to = self.dice.pick(&garages).map_or(Value::Null, |id| json!(id.to_string()));
            fields.insert("garage_id".into(), to);
        }
        let record = as_ref(key);
        self.change(index, edit, |device, clock| device.edit(&record, fields, clock)).map(drop)
    }

    fn delete_or_restore(&mut self, index: usize) -> Checked {
        let Some((key, view)) = self.a_record(index, true)? else {
            return Ok(());
        };
        let saw = seen_in(&view.fields, &view.conflicting);
        let record = as_ref(key);
        if view.deleted_at.is_some() {
            self.trace.count("record restored");
            let edit = Edit::of(key, Action::Restore, saw);
            self.change(index, edit, |device, clock| device.restore_record(&record, clock))
        } else {
            self.trace.count("record deleted");
            let edit = Edit::of(key, Action::Delete, saw);
            self.change(index, edit, |device, clock| device.delete(&record, None, clock))
        }
        .map(drop)
    }

    fn resolve_conflict(&mut self, index: usize) -> Checked {
        let Some(device) = self.phones[index].device.as_ref() else {
            return Ok(());
        };
        let conflicts = device.conflicts().map_err(|error| error.to_string())?;
        let Some(found) = self.dice.pick(&conflicts).cloned() else {
            return Ok(());
        };
        self.trace.count("conflict seen");
        let Some(collection) = records::find(&found.record.collection) else {
            return Err(format!("a conflict of no collection: {found:?}"));
        };
        let key = (collection.name, found.record.id);
        let Some(view) = self.view(index, key)? else {
            return Err(format!(
                "phone {index} has a conflict in what it does not show: {found:?}"
            ));
        };
        let field = found.conflict.field;
        let values = found.conflict.values;
        let Some(value) = self.dice.pick(&values).map(|one| one.value.clone()) else {
            return Err(format!("a conflict without values: {field}"));
        };
        let mut edit = Edit::of(key, Action::Edit, seen_in(&view.fields, &view.conflicting));
        if is_followed(key, &field) {
            edit.sets.insert(field.clone(), value.clone());
        }
        let record = as_ref(key);
        self.change(index, edit, |device, clock| device.resolve(&record, &field, value, clock))
            .map(drop)
    }

    /// Does something to a record and remembers it. Returns whether it was stored.
    pub(super) fn change(
        &mut self,
        index: usize,
        mut edit: Edit,
        call: impl FnOnce(&mut motomind_core::Device, i64) -> Result<Edited, CaptureError>,
    ) -> Checked<bool> {
        edit.user = Some(self.phones[index].identity.user_id);
        edit.made = self.editors.order();
        let clock = self.phones[index].clock(self.now);
        let Some(device) = self.phones[index].device.as_mut() else {
            return Ok(false);
        };
        let result = call(device, clock);
        self.note(|| {
            let said = result.as_ref().map(|edited| edited.op_id);
            format!("{index} {:?} {:?} sets {:?} types {:?} erases {:?} instead of {:?}, discard {}: {said:?}",
                edit.action, edit.key, edit.sets, edit.typed, edit.erased, edit.replaces, edit.discard)
        });
        match result {
            Ok(Edited { op_id: Some(op), .. }) => {
                if edit.replaces == Some(op) {
                    return Err(format!("phone {index} took the place of {op} by itself"));
                }
                let what = match (edit.discard, edit.replaces) {
                    (true, _) => "edit discarded",
                    (_, Some(_)) => "edit amended",
                    _ => "edited",
                };
                self.trace.count(what);
                self.editors.edits.insert(op, edit);
                self.phones[index].held.push(op);
                self.ask(index)?;
                Ok(true)
            }
            Ok(Edited { op_id: None, .. }) => Ok(false),
            Err(CaptureError::Store(error)) => {
                if self.survived::<()>(index, Err(error.to_string()))?.is_none() {
                    self.editors.doubtful.push((index, edit));
                }
                Ok(false)
            }
            Err(CaptureError::Invalid(violations)) => {
                self.trace.count("edit refused by the device");
                self.note(|| format!("    {violations:?}"));
                Ok(false)
            }
            Err(
                CaptureError::AlreadySuperseded
                | CaptureError::AlreadyAccepted
                | CaptureError::UnknownOperation
                | CaptureError::UnknownRecord(_),
            ) => Ok(false),
            Err(error) => Err(format!("phone {index} cannot edit {:?}: {error}", edit.key)),
        }
    }
}
