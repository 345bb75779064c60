//! What people remember of what they did to records. Every value and every character that they put
//! in is one that nobody else puts in, so that it can be looked for later.

use std::collections::{BTreeMap, BTreeSet};

use motomind_protocol::records::{self, Action, Conflict, Document, schema};
use motomind_protocol::{OpId, Operation, UserId, VehicleId};
use serde_json::{Map, Value, json};

use super::records::Key;

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
    pub(super) edits: BTreeMap<OpId, Edit>,
    /// What other SQL clients did; their writes have no operation.
    pub by_sql: Vec<Edit>,
    /// People two of whose phones are one device to the server: a clone, or one from a backup.
    /// What either has seen and done counts as seen by both.
    pub split: BTreeSet<UserId>,
    /// Edits whose answer the power took, with their phone.
    pub(super) doubtful: Vec<(usize, Edit)>,
    /// Records that a phone said to be the same: the refused one, the existing one.
    pub(super) joined: Vec<(usize, Key, Key)>,
    unique: u32,
    made: u32,
}

impl Edit {
    pub(super) fn of(key: Key, action: Action, saw: Seen) -> Self {
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
        stands(&edit.saw, value)
            || twins.any(|twin| {
                let set = twin.sets.get(&value.0).map(Value::to_string);
                set.as_ref() == Some(&value.1) || stands(&twin.saw, value)
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
    pub fn adopt(&mut self, phone: usize, operation: &Operation, key: Key, text: &str) -> bool {
        let op = operation.op_id;
        let action = operation.intent().map(|intent| intent.step.action);
        let is_it = |(of, edit): &&(usize, Edit)| {
            // An amendment leaves what later edits have set, and does not say it again.
            let amends = edit.replaces.is_some_and(|old| operation.supersedes.contains(&old));
            let said = edit.sets.values().all(|value| text.contains(&value.to_string()));
            let does = Some(edit.action) == action || edit.discard || begins_again(edit, action);
            *of == phone && edit.key == key && (amends || said) && does
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
        let patch = operation.intent().map(|intent| &intent.step.patch);
        let says = |name: &str, value: &Value| patch.is_some_and(|patch| said(patch, name, value));
        let old = operation.supersedes.first().and_then(|old| Some((*old, self.edit(*old)?)));
        let edit = match old {
            Some((old, edit)) => {
                let discard = operation.intent().is_some_and(|i| i.step.action == Action::Nothing);
                // Where the existing record has another value, the person is told.
                let mut moved = Edit { key, replaces: Some(old), discard, ..edit.clone() };
                moved.sets.retain(|name, value| discard || says(name, value));
                moved
            }
            None if key == to => {
                let of_it = self.edits.values().filter(|edit| edit.key == from);
                let mut filled = Edit::of(key, Action::Edit, Seen::new());
                // Of what the creation set and what edits of it set later, the one that is filled in.
                let sets = of_it.flat_map(|edit| edit.sets.clone());
                filled.sets = sets.filter(|(name, value)| says(name, value)).collect();
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

    pub(super) fn order(&mut self) -> u32 {
        self.made += 1;
        self.made
    }

    pub(super) fn number(&mut self) -> u32 {
        self.unique += 1;
        self.unique
    }

    pub(super) fn character(&mut self) -> char {
        let number = self.number();
        char::from_u32(FIRST_CHARACTER + number % 20_000).unwrap_or('x')
    }

    pub(super) fn word(&mut self, field: &str) -> Value {
        let number = self.number();
        match field {
            "due_miles" => json!(1_000_000 + number),
            _ => json!(format!("{field} {number}.")),
        }
    }
}

/// Whether a person began what has one record by its key, and their device, which had begun it for
/// them before, took that for a change of it.
fn begins_again(edit: &Edit, action: Option<Action>) -> bool {
    let has_key = records::find(edit.key.0).is_some_and(|c| c.key != schema::Key::Made);
    let changes = matches!(action, Some(Action::Edit | Action::Restore));
    has_key && edit.action == Action::Create && changes
}

/// Whether a patch gives a field, or a key of an object, this value.
fn said(patch: &records::Patch, name: &str, value: &Value) -> bool {
    let (field, key) = name.split_once('.').map_or((name, None), |(field, key)| (field, Some(key)));
    match (patch.get(field), key) {
        (Some(records::FieldEdit::Set(set)), None) => set == value,
        (Some(records::FieldEdit::Keys(keys)), Some(key)) => keys.get(key) == Some(value),
        _ => false,
    }
}

/// Whether a value stands on a screen; null stands where nothing else does.
#[must_use]
pub fn stands(seen: &Seen, value: &(String, String)) -> bool {
    let is_empty = || !seen.iter().any(|(name, _)| *name == value.0);
    seen.contains(value) || value.1 == "null" && is_empty()
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

/// Everything that a document shows or lists as competing.
#[must_use]
pub fn all_of(document: &Document) -> Seen {
    seen_in(&document.fields(), &document.conflicts())
}
