//! What people put into records: new ones, values, and words in texts.

use motomind_core::RecordView;
use motomind_protocol::records::{self, Action};
use motomind_protocol::{VehicleId, uuid_v7};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::editing::as_ref;
use super::editors::{Edit, seen_in};
use super::records::Key;
use super::world::{Checked, World};

/// Fields whose values are unique, by collection.
pub(super) const WORDS: &[(&str, &[&str])] = &[
    ("vehicles", &["nickname", "color", "make", "trim"]),
    ("garages", &["name", "address"]),
    ("reminders", &["due_miles"]),
    ("user_maintenance_preferences", &["source"]),
    ("profiles", &["full_name"]),
];

/// Long texts, by collection.
pub(super) const TEXTS: &[(&str, &str)] =
    &[("reminders", "description"), ("user_maintenance_preferences", "notes")];

impl World {
    pub(super) fn create_record(&mut self, index: usize) -> Checked {
        let (key, mut fields, thought_of) = self.something_new(index);
        let view = self.view(index, key)?;
        let saw = view.as_ref().map(|v| seen_in(&v.fields, &v.conflicting)).unwrap_or_default();
        let mut edit = Edit::of(key, Action::Create, saw);
        if !thought_of {
            self.invent_values(&mut edit, &mut fields, view.as_ref(), key.0 == "garages");
        }
        let record = as_ref(key);
        let told =
            self.change(index, edit, |device, clock| device.create_as(&record, fields, clock))?;
        if told && key.0 == "vehicles" {
            self.vehicles.push(VehicleId(key.1));
            self.trace.count("vehicle created on a phone");
        }
        Ok(())
    }

    /// What is to be created, what every such record has, and whether somebody has thought of the
    /// very same already.
    fn something_new(&mut self, index: usize) -> (Key, Map<String, Value>, bool) {
        let user = self.phones[index].identity.user_id.0;
        let clock = self.phones[index].clock(self.now);
        let vehicle = self.dice.pick(&self.vehicles).copied().unwrap_or(VehicleId(Uuid::nil()));
        let made = uuid_v7(clock, self.dice.bytes());
        match self.dice.below(10) {
            0..=2 => {
                let fields = [("vin".to_string(), self.some_vin())];
                (("vehicles", made), fields.into_iter().collect(), false)
            }
            3 => (("garages", made), Map::new(), false),
            4..=6 => {
                let (fields, thought_of) = self.some_reminder(vehicle);
                (("reminders", made), fields, thought_of)
            }
            7..=8 => {
                let interval = ["oil_change", "air_filter"][self.dice.index(2).unwrap_or(0)];
                let fields = object(json!({
                    "user_id": Uuid::from_u128(101).to_string(),
                    "vehicle_id": vehicle.0.to_string(),
                    "interval_type": interval,
                    "interval_value": 5_000, "interval_unit": "miles",
                }));
                let collection = records::find("user_maintenance_preferences");
                let id = collection.and_then(|collection| collection.natural_id(&fields));
                (("user_maintenance_preferences", id.unwrap_or(made)), fields, false)
            }
            _ => (("profiles", user), Map::new(), false),
        }
    }

    /// What a vehicle needs. Often somebody else has thought of it already.
    fn some_reminder(&mut self, vehicle: VehicleId) -> (Map<String, Value>, bool) {
        let rows = self.server.tenant.records.rows();
        let there = rows.filter(|(key, row)| {
            key.0 == "reminders"
                && row.deleted_at.is_none()
                && row.fields.contains_key("vehicle_id")
        });
        let there: Vec<_> = there.map(|(_, row)| row.fields.clone()).collect();
        if let Some(mut same) = self.dice.pick(&there).cloned()
            && self.dice.permille(600)
        {
            same.remove("description");
            return (same, true);
        }
        let title = ["Oil", "Oil", "Belt", "Tyres"][self.dice.index(4).unwrap_or(0)];
        let vehicle = vehicle.0.to_string();
        (object(json!({"title": title, "status": "active", "vehicle_id": vehicle})), false)
    }

    pub(super) fn some_vin(&mut self) -> Value {
        json!(format!("1M8GDM9AXKP04278{}", self.dice.below(6)))
    }

    /// Values for some fields, each one that nobody has used before.
    pub(super) fn invent_values(
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
    pub(super) fn write_into(&mut self, edit: &mut Edit, field: &str, shown: &str) -> String {
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
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}
