//! What people do to records: create, edit, write, delete, restore, choose between competing
//! values, and see to what was refused. Every value and every character that they put in is one
//! that nobody else puts in, so that it can be looked for later.

use std::collections::{BTreeMap, BTreeSet};

use motomind_core::{CaptureError, Edited, RecordRef, RecordView};
use motomind_protocol::records::{self, Action, Conflict, Document, schema};
use motomind_protocol::{OpId, OpState, Operation, UserId, VehicleId, uuid_v7};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::records::{Key, Row};
use super::world::{Checked, World};

/// Fields whose values are unique, by collection.
const WORDS: &[(&str, &[&str])] = &[
    ("vehicles", &["nickname", "color", "make", "trim"]),
    ("garages", &["name", "address"]),
    ("reminders", &["due_miles"]),
    ("user_maintenance_preferences", &["source"]),
    ("profiles", &["full_name"]),
];

/// Long texts, by collection.
const TEXTS: &[(&str, &str)] =
    &[("reminders", "description"), ("user_maintenance_preferences", "notes")];

/// How often people come to records of which collection.
const LIKED: &[(&str, usize)] = &[
    ("vehicles", 5),
    ("reminders", 5),
    ("garages", 1),
    ("profiles", 1),
    ("user_maintenance_preferences", 3),
];

/// First of the characters that people write; each is written once.
const FIRST_CHARACTER: u32 = 0x4e00;

/// What stands on a screen of a record: fields with each value that is shown or competes.
pub type Seen = BTreeSet<(String, String)>;

/// What a person did to a record.
#[derive(Clone, Debug)]
pub struct Edit {
    /// The record.
    pub key: Key,
    /// Kind of change.
    pub action: Action,
    /// Values that nobody else sets, by field.
    pub sets: BTreeMap<String, Value>,
    /// Characters put into a text.
    pub typed: BTreeMap<String, String>,
    /// Characters taken out of a text.
    pub erased: BTreeMap<String, String>,
    /// What stood on the screen.
    pub saw: Seen,
    /// The edit whose place it takes.
    pub replaces: Option<OpId>,
    /// It takes that one back.
    pub discard: bool,
    /// Who did it; `None` for another SQL client.
    pub user: Option<UserId>,
    /// Its place in the order in which people did things.
    pub made: u32,
}

/// What people did to records.
#[derive(Debug, Default)]
pub struct Editors {
    edits: BTreeMap<OpId, Edit>,
    /// What other SQL clients did; their writes have no operation.
    pub by_sql: Vec<Edit>,
    /// People two of whose phones are one device to the server: a clone, or one from a backup.
    /// What either has seen and done counts as seen by both.
    pub split: BTreeSet<UserId>,
    /// Edits whose answer the power took, with their phone.
    doubtful: Vec<(usize, Edit)>,
    /// Records that a phone said to be the same: the refused one, the existing one.
    joined: Vec<(usize, Key, Key)>,
    unique: u32,
    made: u32,
}

impl Edit {
    fn of(key: Key, action: Action, saw: Seen) -> Self {
        Self {
            key,
            action,
            sets: BTreeMap::new(),
            typed: BTreeMap::new(),
            erased: BTreeMap::new(),
            saw,
            replaces: None,
            discard: false,
            user: None,
            made: 0,
        }
    }
}

impl Editors {
    /// What a person remembers of an edit.
    #[must_use]
    pub fn edit(&self, op: OpId) -> Option<&Edit> {
        self.edits.get(&op)
    }

    /// Every edit.
    pub fn edits(&self) -> impl Iterator<Item = (OpId, &Edit)> {
        self.edits.iter().map(|(op, edit)| (*op, edit))
    }

    /// Whether whoever made an edit counts as having seen a value.
    #[must_use]
    pub fn had_seen(&self, edit: &Edit, value: &(String, String)) -> bool {
        let one_device = edit.user.is_some_and(|user| self.split.contains(&user));
        let twins = self.edits.values().filter(|other| one_device && other.user == edit.user);
        let mut twins = twins.filter(|other| other.key == edit.key);
        edit.saw.contains(value)
            || twins.any(|twin| {
                let set = twin.sets.get(&value.0).map(Value::to_string);
                set.as_ref() == Some(&value.1) || twin.saw.contains(value)
            })
    }

    /// Whether an edit is an amendment of one that the same person had followed up with a later
    /// one. Where both set a field, the amendment leaves it as the later one set it.
    #[must_use]
    pub fn was_overtaken_by(&self, edit: &Edit, later: &Edit) -> bool {
        let mut first = edit;
        while let Some(before) = first.replaces.and_then(|op| self.edit(op)) {
            first = before;
        }
        later.user == edit.user && first.made < later.made && later.made < edit.made
    }

    /// What took an edit's place.
    pub fn replacements(&self, op: OpId) -> impl Iterator<Item = OpId> {
        let by = self.edits.iter().filter(move |(_, edit)| edit.replaces == Some(op));
        by.map(|(op, _)| *op)
    }

    /// An edit that was stored though the power took the answer.
    pub fn adopt(&mut self, phone: usize, op: OpId, key: Key, action: Action, text: &str) -> bool {
        let is_it = |(of, edit): &&(usize, Edit)| {
            let said = edit.sets.values().all(|value| text.contains(&value.to_string()));
            *of == phone && edit.key == key && said && (edit.action == action || edit.discard)
        };
        match self.doubtful.iter().find(is_it) {
            Some((_, edit)) => {
                self.edits.insert(op, edit.clone());
                true
            }
            None => false,
        }
    }

    /// An operation that followed from saying that two records are the same: it takes the place of
    /// one that spoke of the refused record, or fills what the existing one lacked.
    pub fn follow(&mut self, phone: usize, op: OpId, operation: &Operation, key: Key) -> bool {
        let mut joined = self.joined.iter().filter(|(of, ..)| *of == phone);
        let Some((_, from, to)) = joined.next_back().copied() else {
            return false;
        };
        let old = operation.supersedes.first().and_then(|old| Some((*old, self.edit(*old)?)));
        let edit = match old {
            Some((old, edit)) => {
                let discard = operation.intent().is_some_and(|i| i.step.action == Action::Nothing);
                Edit { key, replaces: Some(old), discard, ..edit.clone() }
            }
            None if key == to => {
                let of_it = self.edits.values().filter(|edit| edit.key == from);
                let mut filled = Edit::of(key, Action::Edit, Seen::new());
                let patch = operation.intent().map(|intent| &intent.step.patch);
                // Of what the creation set and what edits of it set later, the one that is filled in.
                let said = |name: &str, value: &Value| {
                    let edit = patch.and_then(|patch| patch.get(name));
                    matches!(edit, Some(records::FieldEdit::Set(set)) if set == value)
                };
                let sets = of_it.flat_map(|edit| edit.sets.clone());
                filled.sets = sets.filter(|(name, value)| said(name, value)).collect();
                filled
            }
            // A record whose id follows from its vehicle is made anew; the old one is taken back.
            None if matches!(
                records::find(key.0).map(|c| c.key),
                Some(schema::Key::Natural(_))
            ) =>
            {
                Edit::of(key, Action::Create, Seen::new())
            }
            None => return false,
        };
        let made = self.order();
        self.edits.insert(op, Edit { made, ..edit });
        true
    }

    /// Whether a phone has moved captures to this vehicle.
    #[must_use]
    pub fn moved_to(&self, phone: usize, vehicle: VehicleId) -> bool {
        self.joined.iter().any(|(of, _, to)| *of == phone && to.1 == vehicle.0)
    }

    /// A phone's journal has been looked at: nothing is in doubt any more.
    pub fn settle_doubts(&mut self, phone: usize) {
        self.doubtful.retain(|(of, _)| *of != phone);
        self.joined.retain(|(of, ..)| *of != phone);
    }

    /// Whether an answer of this phone is in doubt.
    #[must_use]
    pub fn doubts(&self, phone: usize) -> bool {
        self.doubtful.iter().any(|(of, _)| *of == phone)
            || self.joined.iter().any(|(of, ..)| *of == phone)
    }

    fn order(&mut self) -> u32 {
        self.made += 1;
        self.made
    }

    fn number(&mut self) -> u32 {
        self.unique += 1;
        self.unique
    }

    fn character(&mut self) -> char {
        let number = self.number();
        char::from_u32(FIRST_CHARACTER + number % 20_000).unwrap_or('x')
    }

    fn word(&mut self, field: &str) -> Value {
        let number = self.number();
        match field {
            "due_miles" => json!(1_000_000 + number),
            _ => json!(format!("{field} {number}.")),
        }
    }
}

/// What stands on a screen.
#[must_use]
pub fn seen_in(fields: &Map<String, Value>, conflicts: &[Conflict]) -> Seen {
    let mut seen = Seen::new();
    for (name, value) in fields {
        match value {
            Value::Object(keys) => {
                let key =
                    |(key, value): (&String, &Value)| (format!("{name}.{key}"), value.to_string());
                seen.extend(keys.iter().map(key));
            }
            value => {
                let _ = seen.insert((name.clone(), value.to_string()));
            }
        }
    }
    for conflict in conflicts {
        for one in &conflict.values {
            seen.insert((conflict.field.clone(), one.value.to_string()));
        }
    }
    seen
}

fn as_ref(key: Key) -> RecordRef {
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
    fn view(&self, index: usize, key: Key) -> Checked<Option<RecordView>> {
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

    fn create_record(&mut self, index: usize) -> Checked {
        let user = self.phones[index].identity.user_id.0;
        let clock = self.phones[index].clock(self.now);
        let vehicle = self.dice.pick(&self.vehicles).copied().unwrap_or(VehicleId(Uuid::nil()));
        let made = uuid_v7(clock, self.dice.bytes());
        let mut fields = Map::new();
        let key: Key = match self.dice.below(10) {
            0..=2 => {
                fields.insert("vin".into(), self.some_vin());
                ("vehicles", made)
            }
            3 => ("garages", made),
            4..=6 => {
                let title = ["Oil", "Belt", "Tyres"][self.dice.index(3).unwrap_or(0)];
                fields.insert("title".into(), json!(title));
                fields.insert("status".into(), json!("active"));
                fields.insert("vehicle_id".into(), json!(vehicle.0.to_string()));
                ("reminders", made)
            }
            7..=8 => {
                let interval = ["oil_change", "air_filter"][self.dice.index(2).unwrap_or(0)];
                let of_all = json!({
                    "user_id": Uuid::from_u128(101).to_string(),
                    "vehicle_id": vehicle.0.to_string(),
                    "interval_type": interval,
                    "interval_value": 5_000, "interval_unit": "miles",
                });
                fields = of_all.as_object().cloned().unwrap_or_default();
                let collection = records::find("user_maintenance_preferences");
                let id = collection.and_then(|collection| collection.natural_id(&fields));
                ("user_maintenance_preferences", id.unwrap_or(made))
            }
            _ => ("profiles", user),
        };
        let view = self.view(index, key)?;
        let saw = view.as_ref().map(|v| seen_in(&v.fields, &v.conflicting)).unwrap_or_default();
        let mut edit = Edit::of(key, Action::Create, saw);
        self.invent_values(&mut edit, &mut fields, view.as_ref(), key.0 == "garages");
        let record = as_ref(key);
        let told =
            self.change(index, edit, |device, clock| device.create_as(&record, fields, clock))?;
        if told && key.0 == "vehicles" {
            self.vehicles.push(VehicleId(made));
            self.trace.count("vehicle created on a phone");
        }
        Ok(())
    }

    fn some_vin(&mut self) -> Value {
        json!(format!("1M8GDM9AXKP04278{}", self.dice.below(6)))
    }

    /// Values for some fields, each one that nobody has used before.
    fn invent_values(
        &mut self,
        edit: &mut Edit,
        fields: &mut Map<String, Value>,
        view: Option<&RecordView>,
        all: bool,
    ) {
        let words = WORDS.iter().find(|(name, _)| *name == edit.key.0);
        for field in words.map_or(&[][..], |(_, fields)| *fields) {
            if all || self.dice.permille(450) {
                let value = self.editors.word(field);
                edit.sets.insert((*field).to_string(), value.clone());
                fields.insert((*field).to_string(), value);
            }
        }
        if edit.key.0 == "profiles" && self.dice.permille(600) {
            let shown = view.and_then(|view| view.fields.get("preferences")?.as_object());
            let mut object = shown.cloned().unwrap_or_default();
            let key = ["units", "theme"][self.dice.index(2).unwrap_or(0)];
            let value = self.editors.word(key);
            edit.sets.insert(format!("preferences.{key}"), value.clone());
            object.insert(key.into(), value);
            fields.insert("preferences".into(), Value::Object(object));
        }
        if let Some((_, field)) = TEXTS.iter().find(|(name, _)| *name == edit.key.0)
            && self.dice.permille(700)
        {
            let shown = view.and_then(|view| view.fields.get(*field)?.as_str()).unwrap_or("");
            let text = self.write_into(edit, field, shown);
            fields.insert((*field).to_string(), text.into());
        }
    }

    /// Writes at some places of a text, and takes out what stood at another.
    fn write_into(&mut self, edit: &mut Edit, field: &str, shown: &str) -> String {
        let mut chars: Vec<char> = shown.chars().collect();
        if self.dice.permille(300)
            && let Some(at) = self.dice.index(chars.len())
        {
            let most = (chars.len() - at).min(3) as u64;
            let count = 1 + usize::try_from(self.dice.below(most)).unwrap_or(0);
            let erased: String = chars.drain(at..at + count).collect();
            edit.erased.insert(field.into(), erased);
        }
        for _ in 0..=self.dice.below(2) {
            let at = self.dice.index(chars.len() + 1).unwrap_or(0);
            let character = self.editors.character();
            chars.insert(at, character);
            edit.typed.entry(field.into()).or_default().push(character);
        }
        chars.into_iter().collect()
    }

    fn edit_record(&mut self, index: usize) -> Checked {
        let Some((key, view)) = self.a_record(index, false)? else {
            return Ok(());
        };
        let saw = seen_in(&view.fields, &view.conflicting);
        let mut edit = Edit::of(key, Action::Edit, saw);
        let mut fields = Map::new();
        self.invent_values(&mut edit, &mut fields, Some(&view), false);
        if key.0 == "vehicles" && self.dice.permille(150) {
            fields.insert("vin".into(), self.some_vin());
        }
        if key.0 == "vehicles" && self.dice.permille(150) {
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
        edit.sets.insert(field.clone(), value.clone());
        let record = as_ref(key);
        self.change(index, edit, |device, clock| device.resolve(&record, &field, value, clock))
            .map(drop)
    }

    /// Amends or takes back an edit that is pending.
    fn mend_some_edit(&mut self, index: usize) -> Checked {
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
            Ok(_) => {
                self.trace.count("settled as the same");
                self.editors.joined.push((index, from, to));
                let rows = self.phones[index].journal().map_err(|error| error.to_string())?;
                for row in rows {
                    if !self.phones[index].held.contains(&row.sealed.op_id) {
                        self.adopt(index, &row)?;
                    }
                }
                self.editors.joined.retain(|(of, ..)| *of != index);
                self.ask(index)?;
                Ok(true)
            }
            Err(CaptureError::Store(error)) => {
                if self.survived::<()>(index, Err(error.to_string()))?.is_none() {
                    self.editors.joined.push((index, from, to));
                }
                Ok(true)
            }
            Err(CaptureError::NotRefused | CaptureError::UnknownRecord(_)) => Ok(false),
            Err(error) => Err(format!("phone {index} cannot join {from:?} and {to:?}: {error}")),
        }
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

    /// Does something to a record and remembers it. Returns whether it was stored.
    fn change(
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

    /// Another SQL client writes a record's row.
    pub fn write_record_by_sql(&mut self) {
        let rows = self.server.tenant.records.rows();
        let keys: Vec<Key> = rows.map(|(key, _)| key).collect();
        let (key, mut row) = match self.dice.pick(&keys).copied() {
            Some(key) if !self.dice.permille(100) => {
                (key, self.server.tenant.records.row(key).cloned().unwrap_or_default())
            }
            _ => {
                let id = Uuid::from_u128(0x200 + u128::from(self.dice.below(2)));
                let fields = [("name".to_string(), json!("a garage"))].into_iter().collect();
                (("garages", id), Row { fields, deleted_at: None })
            }
        };
        let saw = self.server.tenant.records.document(key).map(all_of).unwrap_or_default();
        let mut edit = Edit::of(key, Action::Edit, saw);
        edit.saw.extend(seen_in(&row.fields, &[]));
        let words = WORDS.iter().find(|(name, _)| *name == key.0).map_or(&[][..], |(_, w)| *w);
        for field in words {
            if self.dice.permille(400) {
                let value = self.editors.word(field);
                edit.sets.insert((*field).to_string(), value.clone());
                row.fields.insert((*field).to_string(), value);
            }
        }
        if let Some((_, field)) = TEXTS.iter().find(|(name, _)| *name == key.0)
            && self.dice.permille(500)
        {
            let shown = row.fields.get(*field).and_then(Value::as_str).unwrap_or("").to_string();
            let text = self.write_into(&mut edit, field, &shown);
            row.fields.insert((*field).to_string(), text.into());
        }
        row.deleted_at = match row.deleted_at {
            None if self.dice.permille(100) => Some(self.now),
            Some(at) if self.dice.permille(300) => Some(at),
            _ => None,
        };
        self.note(|| format!("sql writes {key:?} {row:?}"));
        if self.server.tenant.write_row(key, row) {
            self.editors.by_sql.push(edit);
        }
    }

    /// The server bounds the history of some record.
    ///
    /// # Errors
    /// A violated invariant.
    pub fn compact_something(&mut self) -> Checked {
        let head = self.server.tenant.log.head();
        let documents = self.server.tenant.records.documents();
        let long = documents.filter(|(_, document)| document.history().len() > 2);
        let keys: Vec<Key> = long.map(|(key, _)| key).collect();
        if let Some(key) = self.dice.pick(&keys).copied() {
            self.note(|| format!("the server compacts {key:?}"));
            self.server.tenant.compact(key, self.now, &mut self.server.dice);
        }
        self.account_for(head)
    }

    /// Someone at the office restores every deleted vehicle, so that captures on it can arrive.
    pub(super) fn bring_vehicles_back(&mut self) {
        let rows = self.server.tenant.records.rows();
        let deleted = rows.filter(|(key, row)| key.0 == "vehicles" && row.deleted_at.is_some());
        let deleted: Vec<(Key, Row)> = deleted.map(|(key, row)| (key, row.clone())).collect();
        for (key, row) in deleted {
            let back = Row { deleted_at: None, ..row };
            if !self.server.tenant.write_row(key, back.clone()) {
                let mut plain = back;
                plain.fields.remove("vin");
                plain.fields.remove("license_plate");
                self.server.tenant.write_row(key, plain);
            }
        }
    }
}

/// Everything that a document shows or lists as competing.
#[must_use]
pub fn all_of(document: &Document) -> Seen {
    seen_in(&document.fields(), &document.conflicts())
}
