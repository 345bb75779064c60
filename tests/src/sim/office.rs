//! What happens to records at the server: other SQL clients write, histories are bounded.

use motomind_protocol::records::Action;
use serde_json::{Value, json};
use uuid::Uuid;

use super::editors::{Edit, all_of, seen_in};
use super::inventing::{TEXTS, WORDS};
use super::records::{Key, Row};
use super::world::{Checked, World};

impl World {
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
        // Whoever registers a garage that is there already names it anew.
        let before = self.server.tenant.records.row(key).and_then(|row| row.fields.get("name"));
        if let Some(name) = row.fields.get("name").filter(|name| Some(*name) != before) {
            edit.sets.insert("name".into(), name.clone());
        }
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
        let records = &self.server.tenant.records;
        let long = records.documents().filter(|(_, document)| document.history().len() > 2);
        let keys: Vec<Key> = long.map(|(key, _)| key).collect();
        // Somebody may be away while a record begins again more than once.
        let again: Vec<Key> =
            keys.iter().copied().filter(|key| records.has_begun_again(*key)).collect();
        let keys = if again.is_empty() || self.dice.permille(400) { keys } else { again };
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
