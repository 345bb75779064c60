//! The invariants of records. Each says in a sentence what was promised and not kept.

use std::collections::{BTreeMap, BTreeSet};

use motomind_core::{RecordRef, RecordState};
use motomind_protocol::records::schema::COLLECTIONS;
use motomind_protocol::records::{Action, Conflict, Document};
use motomind_protocol::wire::ChangeKind;
use motomind_protocol::{OpId, OpState};
use serde_json::{Map, Value};

use super::editors::{Edit, Seen, seen_in, stands};
use super::records::Key;
use super::tenant::{Fate, Tenant};
use super::world::{Checked, World};

impl World {
    /// While things go on: what a person put in and the server has not refused is on their screen,
    /// or listed beside what competes with it; and what is agreed is what the log says.
    ///
    /// # Errors
    /// What is not shown, or wrongly.
    pub fn check_records_shown(&mut self, index: usize) -> Checked {
        let clock = self.phones[index].clock(self.now);
        let device = self.phones[index].device.as_ref().ok_or("the phone is off")?;
        let pending = device.pending(clock).map_err(|error| error.to_string())?;
        let unsettled = pending.iter().filter(|item| item.state != OpState::Rejected);
        let mut wanted: BTreeMap<(Key, &str), (OpId, Seen)> = BTreeMap::new();
        for item in unsettled {
            let Some(edit) = self.editors.edit(item.op_id) else {
                continue;
            };
            if self.depends_on_refused(index, edit)? {
                continue;
            }
            // A phone from a backup may know from the log that it has done this long ago, and that
            // someone has chosen otherwise since. Until it does, it shows this over earlier edits.
            let arrived = self.accepted.contains_key(&item.op_id);
            for (field, value) in &edit.sets {
                let set = (field.clone(), value.to_string());
                if arrived {
                    let earlier = wanted.get_mut(&(edit.key, field.as_str()));
                    earlier.into_iter().for_each(|of| of.1.extend([set.clone()]));
                    continue;
                }
                // While a mirror is built anew, what had arrived before an amendment comes back
                // later; and an amended edit counts after those that followed it, a creation first.
                let amended = edit.replaces.is_some();
                let of = wanted.entry((edit.key, field)).or_insert((item.op_id, Seen::new()));
                if !amended {
                    of.1.clear();
                }
                of.0 = item.op_id;
                of.1.insert(set);
                if amended {
                    of.1.insert((field.clone(), "any".into()));
                }
            }
        }
        let keys: BTreeSet<Key> = wanted.keys().map(|(key, _)| *key).collect();
        for key in keys {
            self.check_listed(index, key)?;
        }
        for ((key, field), (op, values)) in wanted {
            let view = device.record(&RecordRef::new(key.0, key.1));
            let view = view.map_err(|error| error.to_string())?;
            let seen = view.as_ref().map(|view| seen_in(&view.fields, &view.conflicting));
            let any = (field.to_string(), "any".to_string());
            let shown = seen.is_some_and(|seen| values.iter().any(|value| stands(&seen, value)));
            if !shown && !values.contains(&any) {
                return Err(format!(
                    "phone {index} does not show that {op} sets {field} of {key:?} to {values:?}, \
                     but {view:?}"
                ));
            }
        }
        self.check_agreed(index)
    }

    /// What a list shows of a record is what the record shows of itself.
    fn check_listed(&self, index: usize, key: Key) -> Checked {
        let device = self.phones[index].device.as_ref().ok_or("the phone is off")?;
        let view = device.record(&RecordRef::new(key.0, key.1));
        let view = view.map_err(|error| error.to_string())?;
        let rows = device.records(key.0, true).map_err(|error| error.to_string())?;
        let row = rows.into_iter().find(|row| row.id == key.1);
        let listed = row.map(|row| (row.fields, row.deleted_at));
        let shown = view.map(|view| (view.fields, view.deleted_at));
        if listed != shown {
            return Err(format!("phone {index} lists {listed:?} of {key:?} and shows {shown:?}"));
        }
        Ok(())
    }

    /// Whether an edit is on a record whose mirror may have been lost, or whose creation was
    /// refused: then nobody promises that it is shown.
    fn depends_on_refused(&self, index: usize, edit: &Edit) -> Checked<bool> {
        let device = self.phones[index].device.as_ref().ok_or("the phone is off")?;
        let view = device.record(&RecordRef::new(edit.key.0, edit.key.1));
        let view = view.map_err(|error| error.to_string())?;
        let agreed = view.as_ref().is_some_and(|view| view.agreed.is_some());
        let own = view.is_some_and(|view| view.marks.state == RecordState::Pending);
        Ok(!agreed && !own)
    }

    /// What is agreed is what the server's log says up to where the phone stands. Only while no
    /// restore has given the log another past.
    fn check_agreed(&mut self, index: usize) -> Checked {
        if self.restores > 0 {
            return Ok(());
        }
        let clock = self.phones[index].clock(self.now);
        let documents = self.server.tenant.records.documents();
        let keys: Vec<Key> = documents.map(|(key, _)| key).collect();
        let Some(key) = self.dice.pick(&keys).copied() else {
            return Ok(());
        };
        let device = self.phones[index].device.as_ref().ok_or("the phone is off")?;
        let seq = device.status(clock).map_err(|error| error.to_string())?.seq;
        let told = document_at(&self.server.tenant, key, seq)?.map(|d| d.fields());
        let view = device.record(&RecordRef::new(key.0, key.1));
        let view = view.map_err(|error| error.to_string())?;
        let agreed = view.as_ref().and_then(|view| view.agreed.clone());
        if agreed != told {
            return Err(format!(
                "phone {index} at {seq} has {agreed:?} agreed of {key:?}, the log says {told:?}"
            ));
        }
        Ok(())
    }

    /// After quiet: every phone has the records of the server, with their conflicts and history.
    ///
    /// # Errors
    /// How they differ.
    pub fn check_records_mirrored(&self, index: usize) -> Checked {
        let device = self.phones[index].device.as_ref().ok_or("is off")?;
        let records = &self.server.tenant.records;
        for collection in COLLECTIONS {
            let rows = device.records(collection.name, true).map_err(|error| error.to_string())?;
            let there: BTreeSet<_> = rows.iter().map(|row| row.id).collect();
            let on_server = records.documents().filter(|(key, _)| key.0 == collection.name);
            let on_server: BTreeSet<_> = on_server.map(|(key, _)| key.1).collect();
            if there != on_server {
                return Err(format!(
                    "phone {index} has {there:?} of {}, the server {on_server:?}",
                    collection.name
                ));
            }
            for row in rows {
                let key = (collection.name, row.id);
                let Some((document, server)) = records.document(key).zip(records.row(key)) else {
                    continue;
                };
                let shown = (&row.fields, row.deleted_at, row.marks.state);
                let wanted = (&server.fields, server.deleted_at, RecordState::Agreed);
                if shown != wanted {
                    return Err(format!(
                        "phone {index} shows {shown:?} of {key:?}, the server {wanted:?}"
                    ));
                }
                self.check_same_document(index, key, document)?;
            }
        }
        Ok(())
    }

    fn check_same_document(&self, index: usize, key: Key, document: &Document) -> Checked {
        let device = self.phones[index].device.as_ref().ok_or("is off")?;
        let record = RecordRef::new(key.0, key.1);
        let view = device.record(&record).map_err(|error| error.to_string())?;
        let view = view.ok_or(format!("phone {index} lists {key:?} and does not show it"))?;
        let conflicts = document.conflicts();
        if view.conflicting != conflicts || view.fields != document.fields() {
            return Err(format!(
                "phone {index} has other values of {key:?} than the server: {:?} {:?}; {:?} \
                 {conflicts:?}",
                view.fields,
                view.conflicting,
                document.fields()
            ));
        }
        let history = device.history(&record).map_err(|error| error.to_string())?;
        let changes = |history: Vec<motomind_protocol::records::Revision>| {
            history.into_iter().map(|one| one.hash).collect::<BTreeSet<_>>()
        };
        if changes(history) != changes(document.history()) {
            return Err(format!("phone {index} has another history of {key:?} than the server"));
        }
        Ok(())
    }

    /// After quiet: nothing that anyone put in is gone, unless someone who had seen it took it
    /// away or chose another value.
    ///
    /// # Errors
    /// What is gone.
    pub fn check_nothing_lost(&self) -> Checked {
        if let Some(op) = doubled(&self.server.tenant) {
            return Err(format!("{op} is twice in the log"));
        }
        let held: BTreeSet<OpId> = self.phones.iter().flat_map(|p| p.held.clone()).collect();
        for (op, edit) in self.editors.edits() {
            let accepted = matches!(self.server.tenant.fate(op), Some(Fate::Accepted(_)));
            if !accepted || !held.contains(&op) || edit.discard {
                continue;
            }
            let Some(document) = self.server.tenant.records.document(edit.key) else {
                return Err(format!("{op} was accepted and its record {:?} is gone", edit.key));
            };
            let (fields, conflicts) = (document.fields(), document.conflicts());
            self.check_values(op, edit, &seen_in(&fields, &conflicts), &conflicts)?;
            self.check_characters(op, edit, &fields)?;
        }
        Ok(())
    }

    fn check_values(&self, op: OpId, edit: &Edit, there: &Seen, all: &[Conflict]) -> Checked {
        for (field, value) in &edit.sets {
            let wanted = (field.clone(), value.to_string());
            if stands(there, &wanted) || field == "deleted_at" {
                continue;
            }
            let replaced = |(other, later): (OpId, &Edit)| {
                // An amended creation comes before the edits that followed it; and what a device
                // offers again to a restored server comes after what it has done since.
                let mended = edit.action == Action::Create && edit.replaces.is_some();
                let follows = (mended || self.restores > 0) && later.user == edit.user;
                let touches = later.sets.contains_key(field)
                    && (follows
                        || self.editors.was_overtaken_by(edit, later)
                        || self.editors.had_seen(later, &wanted)
                        || self.had_seen_before(other, later, &wanted));
                other != op && later.key == edit.key && (touches || later.replaces == Some(op))
            };
            let by_sql = |later: &Edit| {
                later.key == edit.key
                    && later.sets.contains_key(field)
                    && stands(&later.saw, &wanted)
            };
            if !self.editors.edits().any(replaced) && !self.editors.by_sql.iter().any(by_sql) {
                return Err(format!(
                    "{op} set {field} of {:?} to {value}, nobody who saw it chose otherwise, and \
                     it is gone: {there:?} {all:?}",
                    edit.key
                ));
            }
        }
        Ok(())
    }

    /// Whether whoever made an edit had seen a value when they did something to the record before.
    /// A phone that builds its mirror anew shows a record as it once was; what it has seen of it
    /// by its own changes, and what these set, counts as seen nevertheless (the change is made at
    /// the device's own last one, too).
    fn had_seen_before(&self, op: OpId, edit: &Edit, value: &(String, String)) -> bool {
        let place = |op: OpId| match self.server.tenant.fate(op) {
            Some(Fate::Accepted(seq)) => Some(*seq),
            _ => None,
        };
        let Some(at) = place(op) else { return false };
        self.editors.edits().any(|(other, earlier)| {
            let own = earlier.user.is_some() && earlier.user == edit.user;
            own && earlier.key == edit.key
                && (stands(&earlier.saw, value)
                    || earlier.sets.get(&value.0).map(ToString::to_string).as_ref()
                        == Some(&value.1))
                && place(other).is_some_and(|before| before < at)
        })
    }

    fn check_characters(&self, op: OpId, edit: &Edit, fields: &Map<String, Value>) -> Checked {
        for (field, typed) in &edit.typed {
            let text = fields.get(field).and_then(Value::as_str).unwrap_or("");
            for character in typed.chars() {
                let count = text.chars().filter(|other| *other == character).count();
                // A restored server may have lost what was written and then be told, when taking it
                // out is taken back, to put it there again; offered anew it is there once more.
                let put_back = |(op, eraser): (OpId, &Edit)| {
                    let erased = eraser.erased.get(field).is_some_and(|e| e.contains(character));
                    let back = erased && self.editors.replacements(op).next().is_some();
                    back && eraser.key == edit.key && eraser.user == edit.user
                };
                let may_be_twice = self.restores > 0 && self.editors.edits().any(put_back);
                if count > 1 && !may_be_twice {
                    return Err(format!(
                        "{op} wrote {character} once and it is there {count} times"
                    ));
                }
                let erases = |later: &Edit| {
                    let erased = later.erased.get(field);
                    // Of two phones that are one device each counts as having seen what the other
                    // wrote, so that its places are others than it saw.
                    let twin = later.user.is_some_and(|user| self.editors.split.contains(&user))
                        && (erased.is_some() || later.replaces.is_some());
                    later.key == edit.key && (twin || erased.is_some_and(|e| e.contains(character)))
                };
                let erased = self.editors.edits().any(|(_, later)| erases(later))
                    || self.editors.by_sql.iter().any(erases)
                    || self.editors.replacements(op).next().is_some();
                if count == 0 && !erased {
                    return Err(format!(
                        "{op} wrote {character} into {field} of {:?}, nobody took it out, and it \
                         is gone: {text}",
                        edit.key
                    ));
                }
            }
        }
        Ok(())
    }
}

/// An operation that is in the log of records twice.
fn doubled(tenant: &Tenant) -> Option<OpId> {
    let mut seen = BTreeSet::new();
    let told = tenant.log.entries().iter().filter_map(|entry| match &entry.change.what {
        ChangeKind::Record(change) => change.op_id,
        _ => None,
    });
    told.into_iter().find(|op| !seen.insert(*op))
}

/// A record's document as the log says up to a sequence.
fn document_at(tenant: &Tenant, key: Key, seq: u64) -> Checked<Option<Document>> {
    let mut document: Option<Document> = None;
    let collection = motomind_protocol::records::find(key.0).ok_or("no such collection")?;
    for entry in tenant.log.entries().iter().take_while(|entry| entry.change.seq <= seq) {
        let ChangeKind::Record(change) = &entry.change.what else {
            continue;
        };
        if (change.collection.as_str(), change.id) != key {
            continue;
        }
        let grown = match &mut document {
            Some(document) if !change.whole => document.apply(&change.changes),
            other => Document::of_changes(collection, key.1, &change.changes)
                .map(|document| *other = Some(document)),
        };
        grown.map_err(|error| format!("the log of {key:?} cannot be read: {error}"))?;
    }
    Ok(document)
}
