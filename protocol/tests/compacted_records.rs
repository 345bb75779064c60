//! A document whose history was bounded says the same, and merges the same.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;

use motomind_protocol::records::{
    Action, Actor, Circumstances, Document, Patch, RecordIntent, Signature, Step, compacted, take,
    take_over_chain, take_over_compacted,
};
use motomind_protocol::{DeviceId, Hash, Millis, UserId};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use uuid::Uuid;

const NOW: Millis = 1_800_000_000_000;
const ID: Uuid = Uuid::from_u128(7);

/// A person changes a field at what they saw some edits ago.
#[derive(Clone, Debug)]
struct Edit {
    device: u128,
    seen: prop::sample::Index,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    Priority(u8),
    Miles(Option<u32>),
    Write(u8),
    Delete,
}

fn edits(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Edit>> {
    let what = prop_oneof![
        (0u8..3).prop_map(What::Priority),
        proptest::option::of(0u32..4).prop_map(What::Miles),
        (0u8..26).prop_map(What::Write),
        Just(What::Delete),
    ];
    let edit = (1u128..4, any::<prop::sample::Index>(), what)
        .prop_map(|(device, seen, what)| Edit { device, seen, what });
    proptest::collection::vec(edit, count)
}

fn intent(action: Action, patch: Value, heads: Vec<Hash>) -> RecordIntent {
    let patch: Patch = serde_json::from_value(patch).unwrap();
    RecordIntent {
        collection: "reminders".into(),
        record_id: ID,
        step: Step { action, patch, reassign_to: None },
        heads,
        instead: Vec::new(),
        extra: Map::new(),
    }
}

fn around(device: u128, at: Millis) -> Circumstances<'static> {
    let signature = Signature {
        actor: Actor::Device(DeviceId(Uuid::from_u128(device))),
        user: Some(UserId(Uuid::from_u128(100 + device))),
        at,
    };
    Circumstances { signature, now: NOW, accepted: &[] }
}

fn begun() -> Document {
    let create = json!({ "title": { "set": "Oil" }, "status": { "set": "active" } });
    let create = intent(Action::Create, create, Vec::new());
    take(None, &create, &create.step, &around(1, NOW)).unwrap().document
}

fn meant(edit: &Edit, heads: Vec<Hash>) -> RecordIntent {
    let patch = match edit.what {
        What::Priority(n) => {
            let word = ["low", "medium", "high"][usize::from(n)];
            json!({ "priority": { "set": word } })
        }
        What::Miles(miles) => json!({ "due_miles": { "set": miles } }),
        What::Write(n) => {
            let letter = char::from(b'a' + n).to_string();
            let splices = json!([{ "at": 0, "insert": letter }]);
            json!({ "description": { "text": { "splices": splices } } })
        }
        What::Delete => json!({}),
    };
    let action = if matches!(edit.what, What::Delete) { Action::Delete } else { Action::Edit };
    intent(action, patch, heads)
}

/// Conflicts as sets: which of competing values is shown may differ where neither had seen the other.
fn conflicts(document: &Document) -> BTreeSet<(String, BTreeSet<String>)> {
    let conflicts = document.conflicts().into_iter();
    let values = |values: Vec<motomind_protocol::records::Competing>| {
        values.iter().map(|one| one.value.to_string()).collect()
    };
    conflicts.map(|one| (one.field, values(one.values))).collect()
}

proptest! {
    #[test]
    fn compacting_keeps_values_conflicts_and_who(
        before in edits(0..12),
        late in edits(0..6),
        after in edits(0..4),
    ) {
        let mut document = begun();
        let mut known = vec![document.heads()];
        for (n, edit) in before.iter().enumerate() {
            let intent = meant(edit, edit.seen.get(&known).clone());
            let around = around(edit.device, NOW + 1 + n as Millis);
            document = take(Some(&document), &intent, &intent.step, &around).unwrap().document;
            known.push(document.heads());
        }
        let short = compacted(&document, ID).unwrap();
        prop_assert_eq!(short.fields(), document.fields());
        prop_assert_eq!(short.conflicts(), document.conflicts());
        prop_assert_eq!(short.deleted_at(), document.deleted_at());
        let (first, last) = document.first_and_last().unwrap();
        let (short_first, short_last) = short.first_and_last().unwrap();
        prop_assert_eq!(short_first, first);
        if !matches!(before.last().map(|edit| &edit.what), Some(What::Delete | What::Write(_))) {
            prop_assert!(short_last.at <= last.at);
        }

        // Devices that have only the old document go on.
        let (mut long, mut new) = (document.clone(), short.clone());
        for (n, edit) in late.iter().enumerate() {
            // Each from a device of its own, that has not edited before.
            let device = 10 + n as u128;
            let intent = meant(edit, edit.seen.get(&known).clone());
            let around = around(device, NOW + 100 + n as Millis);
            long = take(Some(&long), &intent, &intent.step, &around).unwrap().document;
            let taken = take_over_compacted(&new, &document, &intent, &intent.step, &around);
            let taken = taken.unwrap();
            let mut copy = new.clone();
            copy.apply(&taken.changes).unwrap();
            prop_assert_eq!(copy.fields(), taken.document.fields());
            new = taken.document;
        }
        // It begins again once more; who was away all the time still knows only the first one.
        let short = compacted(&new, ID).unwrap();
        let mut newest = short;
        for (n, edit) in after.iter().enumerate() {
            let intent = meant(edit, edit.seen.get(&known).clone());
            let around = around(30 + n as u128, NOW + 200 + n as Millis);
            long = take(Some(&long), &intent, &intent.step, &around).unwrap().document;
            let olds = [&document, &new];
            let taken = take_over_chain(&newest, &olds, &intent, &intent.step, &around);
            newest = taken.unwrap().document;
        }
        let new = newest;
        let letters = |document: &Document| {
            let fields = document.fields();
            let text = fields.get("description").and_then(Value::as_str).unwrap_or("");
            let mut letters: Vec<char> = text.chars().collect();
            letters.sort_unstable();
            letters
        };
        prop_assert_eq!(letters(&new), letters(&long));
        prop_assert_eq!(conflicts(&new), conflicts(&long));
        prop_assert_eq!(new.deleted_at().is_some(), long.deleted_at().is_some());
    }
}

#[test]
fn a_thousand_edits_become_a_few() {
    let mut document = begun();
    for n in 0..1_000_u128 {
        let patch = json!({ "due_miles": { "set": n } });
        let intent = intent(Action::Edit, patch, document.heads());
        let around = around(1 + n % 3, NOW + n as Millis);
        document = take(Some(&document), &intent, &intent.step, &around).unwrap().document;
    }
    let short = compacted(&document, ID).unwrap();
    println!("{} bytes become {}", document.save().len(), short.save().len());
    assert!(short.save().len() * 3 < document.save().len());
    assert_eq!(short.first_and_last(), document.first_and_last());
}

#[test]
fn a_text_is_written_into_twice_before_the_device_knows_of_the_short_document() {
    let begun = begun();
    let write = |at: usize, words: &str, over: Value| {
        let text = json!({ "splices": [{ "at": at, "insert": words }], "over": over });
        intent(Action::Edit, json!({ "description": { "text": text } }), begun.heads())
    };
    let first = write(0, "left front", json!([]));
    let short = compacted(&begun, ID).unwrap();
    let by = around(2, NOW + 1);
    let taken = take_over_compacted(&short, &begun, &first, &first.step, &by).unwrap();
    let op = motomind_protocol::OpId(Uuid::from_u128(55));
    let over = json!([{ "op_id": op, "splices": [{ "at": 0, "insert": "left front" }] }]);
    let second = write(10, ", torn", over);
    let by = Circumstances { accepted: &[op], ..by };
    let taken = take_over_compacted(&taken.document, &begun, &second, &second.step, &by).unwrap();
    assert_eq!(taken.document.fields().get("description"), Some(&json!("left front, torn")));
}
