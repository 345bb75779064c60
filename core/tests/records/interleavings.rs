//! Any interleaving of edits, deletions, changes by SQL, refusals, lost replies, reopenings and
//! syncs over three devices ends in equal documents and rows; nothing anyone typed is gone.

use std::collections::BTreeSet;

use motomind_core::protocol::records::Document;
use motomind_core::{FailureKind, RecordRef, Step};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::server::{Server, sync};
use super::{NOW, Phone, documents_of, map};

fn reminder() -> RecordRef {
    RecordRef::new("reminders", Uuid::from_u128(7))
}

/// A value that someone set, and all that they had seen by then.
struct Write {
    value: (String, Value),
    seen: BTreeSet<String>,
    place: String,
}

struct World {
    server: Server,
    phones: Vec<Phone>,
    writes: Vec<Write>,
    typed: Vec<char>,
    count: u32,
}

#[derive(Clone, Debug)]
struct Act {
    phone: usize,
    kind: u8,
    /// How far into the text, of 65,536.
    place: u16,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = (0..3usize, 0..16u8, any::<u16>()).prop_map(|(phone, kind, place)| Act {
        phone,
        kind,
        place,
    });
    proptest::collection::vec(act, 1..40)
}

fn said(field: &str, value: &Value) -> String {
    format!("{field}={value}")
}

impl World {
    fn new() -> Self {
        let mut server = Server::new();
        let record = reminder();
        let start = json!({ "title": "t0", "status": "active", "due_miles": 0 });
        server.write(&record, start, None);
        let mut phones: Vec<Phone> = (2..5).map(Phone::new).collect();
        for phone in &mut phones {
            sync(&mut phone.device, &mut server, NOW);
        }
        Self { server, phones, writes: Vec::new(), typed: Vec::new(), count: 0 }
    }

    fn seen_by(&self, phone: usize) -> BTreeSet<String> {
        seen(&self.phones[phone].device.history(&reminder()).unwrap())
    }

    fn unique(&mut self) -> u32 {
        self.count += 1;
        self.count
    }

    fn set(&mut self, phone: usize, field: &str, value: Value) {
        let seen = self.seen_by(phone);
        let fields = Map::from_iter([(field.to_string(), value.clone())]);
        self.phones[phone].device.edit(&reminder(), fields, NOW).unwrap();
        self.note(field, value, seen);
    }

    fn note(&mut self, field: &str, value: Value, seen: BTreeSet<String>) {
        let place = said(field, &value);
        self.writes.push(Write { value: (field.into(), value), seen, place });
    }

    /// Puts a few characters somewhere into the description, in an edit that may be refused.
    fn type_in(&mut self, act: &Act, refused: bool) {
        let phone = &mut self.phones[act.phone];
        let shown = phone.fields(&reminder());
        let mut text: Vec<char> =
            shown.get("description").and_then(Value::as_str).unwrap_or("").chars().collect();
        let typed = char::from_u32(0x4e00 + self.count).unwrap();
        self.count += 1;
        let at = (usize::from(act.place) * (text.len() + 1)) >> 16;
        text.splice(at..at, [typed, 'é']);
        self.typed.extend([typed, 'é']);
        let mut fields = json!({ "description": text.into_iter().collect::<String>() });
        if refused {
            fields["vehicle_id"] = Uuid::from_u128(99).to_string().into();
        }
        phone.device.edit(&reminder(), map(fields), NOW).unwrap();
    }

    /// A push arrives and its reply does not.
    fn lose_a_reply(&mut self, phone: usize) {
        let device = &mut self.phones[phone].device;
        device.on_poke(NOW);
        if let Step::Send(requests) = device.next_step(NOW).unwrap() {
            for request in requests {
                self.server.answer(&request, NOW);
                device.on_failure(request.id, FailureKind::Network, NOW);
            }
        }
    }

    /// What was refused is mended, or in part given up.
    fn mend(&mut self, phone: usize) {
        let device = &mut self.phones[phone].device;
        for item in device.pending(NOW).unwrap() {
            if item.reason.is_some() {
                device.amend_edit(item.op_id, map(json!({ "vehicle_id": null })), NOW).unwrap();
            }
        }
    }

    fn step(&mut self, act: &Act) {
        let record = reminder();
        let n = self.unique();
        match act.kind {
            0 | 1 => self.set(act.phone, "title", json!(format!("t{n}"))),
            2 => self.set(act.phone, "due_miles", json!(n)),
            3..=5 => self.type_in(act, false),
            6 => self.type_in(act, true),
            7 => self.mend(act.phone),
            8 => {
                let device = &mut self.phones[act.phone].device;
                match device.record(&record).unwrap().unwrap().deleted_at {
                    None => device.delete(&record, None, NOW).unwrap(),
                    Some(_) => device.restore_record(&record, NOW).unwrap(),
                };
            }
            9 => {
                let document = &self.server.documents[&record];
                let (seen, deleted_at) = (seen(&document.history()), document.deleted_at());
                self.server.write(&record, json!({ "title": format!("t{n}") }), deleted_at);
                self.note("title", json!(format!("t{n}")), seen);
            }
            10 => self.lose_a_reply(act.phone),
            11 => {
                // Never one that another opening had: the same entropy makes the same ids.
                let seed = 50 + u8::try_from(n).unwrap();
                let phone = self.phones.remove(act.phone).reopened(seed);
                self.phones.insert(act.phone, phone);
            }
            _ => sync(&mut self.phones[act.phone].device, &mut self.server, NOW),
        }
    }

    fn come_to_rest(&mut self) {
        for _ in 0..3 {
            for phone in 0..3 {
                self.mend(phone);
                sync(&mut self.phones[phone].device, &mut self.server, NOW);
            }
        }
    }
}

fn seen(history: &[motomind_core::protocol::records::Revision]) -> BTreeSet<String> {
    history
        .iter()
        .flat_map(|one| one.fields.iter().map(|(name, value)| said(name, value)))
        .collect()
}

fn competing(document: &Document, field: &str) -> BTreeSet<String> {
    let conflicts = document.conflicts();
    match conflicts.iter().find(|conflict| conflict.field == field) {
        Some(conflict) => {
            conflict.values.iter().map(|competing| said(field, &competing.value)).collect()
        }
        None => BTreeSet::from([said(field, &document.fields()[field])]),
    }
}

fn holds(acts: &[Act]) -> Result<(), TestCaseError> {
    let mut world = World::new();
    for act in acts {
        world.step(act);
    }
    world.come_to_rest();
    let record = reminder();
    let document = world.server.documents[&record].clone();
    for phone in &world.phones {
        prop_assert_eq!(phone.device.pending(NOW).unwrap(), vec![]);
        let row = phone.row(&record).unwrap();
        prop_assert_eq!(&row.fields, &document.fields());
        prop_assert_eq!(row.deleted_at, document.deleted_at());
        prop_assert_eq!(row.marks.conflicts, document.conflicts().len() as u64);
        prop_assert_eq!((row.marks.refused, row.marks.state), Default::default());
    }
    // Whatever nobody replaced who had seen it is there.
    for field in ["title", "due_miles"] {
        let of_field = || world.writes.iter().filter(|write| write.value.0 == field);
        let replaced = |write: &&Write| of_field().any(|other| other.seen.contains(&write.place));
        let living: BTreeSet<String> =
            of_field().filter(|write| !replaced(write)).map(|write| write.place.clone()).collect();
        if !living.is_empty() {
            prop_assert_eq!(competing(&document, field), living);
        }
    }
    // All that was typed is there.
    let mut typed = world.typed.clone();
    let fields = document.fields();
    let text = fields.get("description").and_then(Value::as_str).unwrap_or("");
    let mut there: Vec<char> = text.chars().collect();
    typed.sort_unstable();
    there.sort_unstable();
    prop_assert_eq!(there, typed);
    for phone in world.phones {
        prop_assert_eq!(&documents_of(phone)[0].2, &document.heads());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_interleaving_converges_and_keeps_all_words(acts in acts()) {
        holds(&acts)?;
    }
}

/// A refused edit that is mended while a later one, made without it, has not been sent: what the
/// later one put in is told of the text that it saw.
#[test]
fn a_mended_edit_does_not_move_what_was_written_without_it() {
    let act = |kind, place| Act { phone: 1, kind, place };
    let written = [act(6, 0), act(3, 0), act(3, 0), act(12, 0), act(6, 64_000)];
    holds(&written).unwrap();
}

/// Few in each run; `PROPTEST_CASES` for a soak.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(24)
}
