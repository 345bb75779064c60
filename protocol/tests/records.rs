//! The laws of records.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use motomind_protocol::records::{
    self, Action, Actor, Circumstances, Document, FieldEdit, Over, Patch, RecordIntent, Signature,
    Splice, Step, Taken, TextEdit, take, text,
};
use motomind_protocol::wire::Rejection;
use motomind_protocol::{DeviceId, Hash, Millis, OpId, UserId, code};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use uuid::Uuid;

const NOW: Millis = 1_800_000_000_000;
const CAR: Uuid = Uuid::from_u128(7);

fn device(n: u128) -> Signature {
    Signature {
        actor: Actor::Device(DeviceId(Uuid::from_u128(n))),
        user: Some(UserId(Uuid::from_u128(100 + n))),
        at: NOW,
    }
}

fn intent(collection: &str, id: Uuid, action: Action, patch: Value) -> RecordIntent {
    let patch: Patch = serde_json::from_value(patch).unwrap();
    RecordIntent {
        collection: collection.into(),
        record_id: id,
        step: Step { action, patch, reassign_to: None },
        heads: Vec::new(),
        instead: Vec::new(),
        extra: Map::new(),
    }
}

fn at(mut intent: RecordIntent, heads: Vec<Hash>) -> RecordIntent {
    intent.heads = heads;
    intent
}

fn apply(
    document: Option<&Document>,
    intent: &RecordIntent,
    by: Signature,
    accepted: &[OpId],
) -> Result<Taken, Box<Rejection>> {
    take(document, intent, &intent.step, &Circumstances { signature: by, now: NOW, accepted })
}

fn reminder(description: &str) -> Document {
    let splice = Splice { at: 0, delete: 0, insert: description.into() };
    let mut patch = json!({ "title": { "set": "Oil" }, "status": { "set": "active" } });
    if !description.is_empty() {
        patch["description"] = json!({ "text": { "splices": [splice] } });
    }
    let create = intent("reminders", CAR, Action::Create, patch);
    apply(None, &create, device(1), &[]).unwrap().document
}

fn edited(document: &Document, seen: &[Hash], by: Signature, patch: Value) -> Document {
    let edit = at(intent("reminders", CAR, Action::Edit, patch), seen.to_vec());
    apply(Some(document), &edit, by, &[]).unwrap().document
}

fn shown(document: &Document, field: &str) -> Value {
    document.fields().get(field).cloned().unwrap_or_default()
}

#[test]
fn different_fields_merge_and_competing_values_stay_to_choose_from() {
    let before = reminder("");
    let seen = before.heads();
    let one = edited(&before, &seen, device(1), json!({ "priority": { "set": "high" } }));
    let two = edited(&one, &seen, device(2), json!({ "due_miles": { "set": 60_000 } }));
    assert_eq!(shown(&two, "priority"), "high");
    assert_eq!(shown(&two, "due_miles"), 60_000);
    assert!(two.conflicts().is_empty());

    let three = edited(&two, &seen, device(2), json!({ "priority": { "set": "low" } }));
    let conflicts = three.conflicts();
    assert_eq!(conflicts.len(), 1);
    assert_eq!(conflicts[0].field, "priority");
    assert_eq!(conflicts[0].values[0].value, shown(&three, "priority"));
    let users: Vec<_> = conflicts[0].values.iter().map(|value| value.by.user_id).collect();
    assert!(users.contains(&device(1).user) && users.contains(&device(2).user));

    let resolved =
        edited(&three, &three.heads(), device(3), json!({ "priority": { "set": "low" } }));
    assert!(resolved.conflicts().is_empty());
    assert_eq!(shown(&resolved, "priority"), "low");
}

#[test]
fn a_device_has_seen_its_own_changes() {
    let before = reminder("");
    let seen = before.heads();
    let one = edited(&before, &seen, device(1), json!({ "priority": { "set": "high" } }));
    let two = edited(&one, &seen, device(1), json!({ "priority": { "set": "low" } }));
    assert!(two.conflicts().is_empty());
    assert_eq!(shown(&two, "priority"), "low");
}

#[test]
fn two_texts_written_into_an_empty_field_are_both_there() {
    let before = reminder("");
    let seen = before.heads();
    let text = |words: &str| json!({ "description": { "text": { "splices": [{ "at": 0, "insert": words }] } } });
    let one = edited(&before, &seen, device(1), text("left front"));
    let two = edited(&one, &seen, device(2), text("torn belt"));
    let shown = shown(&two, "description");
    let shown = shown.as_str().unwrap();
    assert!(shown.contains("left front") && shown.contains("torn belt"), "{shown}");
}

#[test]
fn whoever_applies_the_changes_has_the_same_document() {
    let before = reminder("a");
    let mut copy =
        Document::load(records::find("reminders").unwrap(), CAR, &before.save()).unwrap();
    let edit = at(
        intent("reminders", CAR, Action::Edit, json!({ "priority": { "set": "high" } })),
        before.heads(),
    );
    let taken = apply(Some(&before), &edit, device(2), &[]).unwrap();
    copy.apply(&taken.changes).unwrap();
    assert_eq!(copy.heads(), taken.document.heads());
    assert_eq!(copy.fields(), taken.document.fields());
    copy.apply(&taken.changes).unwrap();
    assert_eq!(copy.heads(), taken.document.heads());
}

#[test]
fn history_says_who_changed_what_and_when() {
    let before = reminder("");
    let after = edited(
        &before,
        &before.heads(),
        Signature { at: NOW + 5, ..device(2) },
        json!({ "priority": { "set": "high" }, "due_miles": { "set": null } }),
    );
    let history = after.history();
    assert_eq!(history.len(), 2);
    assert_eq!(history[1].by.user_id, device(2).user);
    assert_eq!(history[1].by.at, NOW + 5);
    assert_eq!(history[1].fields.get("priority"), Some(&json!("high")));
    assert_eq!(history[1].fields.get("title"), None);
    let (first, last) = after.first_and_last().unwrap();
    assert_eq!((first.user_id, last.user_id), (device(1).user, device(2).user));
}

#[test]
fn deleting_keeps_what_the_record_says_and_restoring_ends() {
    let before = reminder("note");
    let delete = at(intent("reminders", CAR, Action::Delete, json!({})), before.heads());
    let deleted = apply(Some(&before), &delete, device(1), &[]).unwrap().document;
    assert_eq!(deleted.deleted_at(), Some(NOW));
    let edit = edited(&deleted, &before.heads(), device(2), json!({ "title": { "set": "Belt" } }));
    assert_eq!(shown(&edit, "title"), "Belt");
    assert_eq!(edit.deleted_at(), Some(NOW));
    let restore = at(intent("reminders", CAR, Action::Restore, json!({})), edit.heads());
    let restored = apply(Some(&edit), &restore, device(1), &[]).unwrap().document;
    assert_eq!(restored.deleted_at(), None);
    let late = Circumstances { signature: device(1), now: NOW + 31 * 86_400_000, accepted: &[] };
    let refused = take(Some(&deleted), &restore, &restore.step, &late).unwrap_err();
    assert_eq!(refused.code, code::RESTORE_EXPIRED);
}

#[test]
fn bad_input_is_refused_with_its_field_and_changes_nothing() {
    let before = reminder("abc");
    let refused = |patch: Value| {
        let edit = at(intent("reminders", CAR, Action::Edit, patch), before.heads());
        let refused = apply(Some(&before), &edit, device(2), &[]).unwrap_err();
        (refused.code, refused.field.unwrap_or_default())
    };
    let said = |code: &str, field: &str| (code.to_string(), field.to_string());
    assert_eq!(refused(json!({ "colour": { "set": 1 } })), said(code::UNKNOWN_FIELD, "colour"));
    assert_eq!(refused(json!({ "title": { "set": 7 } })), said(code::WRONG_TYPE, "title"));
    assert_eq!(refused(json!({ "title": { "set": null } })), said(code::MISSING, "title"));
    assert_eq!(
        refused(json!({ "description": { "set": "x" } })),
        said(code::WRONG_TYPE, "description")
    );
    let splice = |splices: Value| json!({ "description": { "text": { "splices": splices } } });
    let out = said(code::OUT_OF_RANGE, "description");
    assert_eq!(refused(splice(json!([{ "at": 4, "insert": "x" }]))), out);
    assert_eq!(refused(splice(json!([{ "at": 2, "delete": 2 }]))), out);
    assert_eq!(
        refused(splice(json!([{ "at": 2, "insert": "x" }, { "at": 1, "insert": "y" }]))),
        out
    );
    let most = u64::MAX;
    assert_eq!(refused(splice(json!([{ "at": 1, "delete": most }]))), out);
    let long = "x".repeat(1_001);
    let too_long = said(code::TOO_LONG, "description");
    assert_eq!(refused(splice(json!([{ "at": 0, "insert": long }]))), too_long);
    let nearly = "x".repeat(999);
    assert_eq!(refused(splice(json!([{ "at": 0, "insert": nearly }]))), too_long);

    let elsewhere = intent("reminders", Uuid::from_u128(8), Action::Edit, json!({}));
    assert_eq!(apply(None, &elsewhere, device(1), &[]).unwrap_err().code, code::UNKNOWN_RECORD);
    let again = intent("reminders", CAR, Action::Create, json!({ "title": { "set": "x" } }));
    let refused = apply(Some(&before), &again, device(2), &[]).unwrap_err();
    assert_eq!(refused.code, code::RECORD_ID_TAKEN);
}

#[test]
fn heads_that_do_not_exist_make_an_edit_concurrent_and_say_so() {
    let before = reminder("");
    let edit = at(
        intent("reminders", CAR, Action::Edit, json!({ "title": { "set": "Tyres" } })),
        vec![Hash::of(b"another record's")],
    );
    let taken = apply(Some(&before), &edit, device(2), &[]).unwrap();
    assert!(!taken.heads_known);
    assert_eq!(taken.document.conflicts()[0].field, "title");
}

#[test]
fn words_for_a_text_that_is_not_there_as_it_was_seen_are_kept() {
    let before = reminder("ab");
    let splices = json!([{ "at": 1, "delete": 1, "insert": "x" }, { "at": 9, "insert": "yz" }]);
    let patch = json!({ "description": { "text": { "splices": splices } } });
    let lost = vec![Hash::of(b"lost with the database")];
    let edit = at(intent("reminders", CAR, Action::Edit, patch), lost);
    let taken = apply(Some(&before), &edit, device(2), &[]).unwrap();
    let now = shown(&taken.document, "description");
    let now = now.as_str().unwrap();
    assert!("abxyz".chars().all(|letter| now.contains(letter)), "{now}");
}

#[test]
fn a_long_text_is_rewritten_beside_others_words() {
    let long = "x".repeat(900);
    let before = reminder(&long);
    let write =
        json!({ "description": { "text": { "splices": [{ "at": 900, "insert": "tail" }] } } });
    let one = edited(&before, &before.heads(), device(1), write);
    let rewrite = json!({
        "description": { "text": { "splices": [{ "at": 0, "delete": 900, "insert": "new" }] } },
        "priority": { "set": "low" },
    });
    let two = edited(&one, &before.heads(), device(2), rewrite.clone());
    assert_eq!(shown(&two, "description"), "newtail");
    assert_eq!(shown(&two, "priority"), "low");
    let alone = edited(&before, &before.heads(), device(2), rewrite);
    assert_eq!(shown(&alone, "description"), "new");
    let collection = records::find("reminders").unwrap();
    let copy = Document::of_changes(collection, CAR, &two.changes_since(&[])).unwrap();
    assert_eq!(copy.fields(), two.fields());
}

#[test]
fn two_people_who_make_a_natural_record_make_one() {
    let collection = records::find("user_maintenance_preferences").unwrap();
    let fields = json!({
        "user_id": Uuid::from_u128(101).to_string(), "vehicle_id": CAR.to_string(),
        "interval_type": "oil_change", "interval_value": 5_000, "interval_unit": "miles",
    });
    let id = collection.natural_id(fields.as_object().unwrap()).unwrap();
    let patch = |value: i64| {
        let mut patch = Map::new();
        for (name, field) in fields.as_object().unwrap() {
            patch.insert(name.clone(), json!({ "set": field }));
        }
        patch.insert("interval_value".into(), json!({ "set": value }));
        Value::Object(patch)
    };
    let create = |value| intent("user_maintenance_preferences", id, Action::Create, patch(value));
    let one = apply(None, &create(5_000), device(1), &[]).unwrap().document;
    let both = apply(Some(&one), &create(7_500), device(2), &[]).unwrap().document;
    let conflicts = both.conflicts();
    assert_eq!(conflicts.len(), 1, "{conflicts:?}");
    assert_eq!(conflicts[0].field, "interval_value");

    let other = intent("user_maintenance_preferences", CAR, Action::Create, patch(1));
    assert_eq!(apply(None, &other, device(1), &[]).unwrap_err().code, code::ID_MISMATCH);
    let moved = at(
        intent(
            "user_maintenance_preferences",
            id,
            Action::Edit,
            json!({ "interval_type": { "set": "air_filter" } }),
        ),
        both.heads(),
    );
    assert_eq!(apply(Some(&both), &moved, device(1), &[]).unwrap_err().code, code::IMMUTABLE);
}

#[test]
fn keys_of_an_object_merge_one_by_one() {
    let person = device(1).user.unwrap().0;
    let create = intent("profiles", person, Action::Create, json!({}));
    let before = apply(None, &create, device(1), &[]).unwrap().document;
    let keys = |keys: Value| {
        let edit = intent("profiles", person, Action::Edit, json!({"preferences": {"keys": keys}}));
        at(edit, before.heads())
    };
    let one = apply(Some(&before), &keys(json!({ "units": "metric" })), device(1), &[]);
    let one = one.unwrap().document;
    let two = apply(Some(&one), &keys(json!({ "theme": { "dark": true } })), device(2), &[]);
    let two = two.unwrap().document;
    assert_eq!(shown(&two, "preferences"), json!({ "units": "metric", "theme": { "dark": true } }));
    let three = apply(Some(&two), &keys(json!({ "units": "us" })), device(3), &[]).unwrap();
    assert_eq!(three.document.conflicts()[0].field, "preferences.units");
}

#[test]
fn a_row_written_beside_the_document_is_absorbed() {
    let before = reminder("old words");
    let mut row = before.fields();
    row.insert("title".into(), json!("Brakes"));
    row.insert("description".into(), json!("old and new words"));
    row.remove("priority");
    let server = Signature { actor: Actor::Server(Uuid::from_u128(9)), user: None, at: NOW };
    let collection = before.collection();
    let edit = edited(&before, &before.heads(), device(2), json!({ "priority": { "set": "low" } }));
    row.insert("priority".into(), json!("low"));
    let taken = records::absorb(Some(&edit), collection, CAR, &row, None, &server).unwrap();
    assert_eq!(taken.document.fields(), row);
    let again = records::absorb(Some(&taken.document), collection, CAR, &row, None, &server);
    assert!(again.unwrap().changes.is_empty());
}

#[test]
fn a_rejected_splice_before_leaves_the_next_one_standing() {
    // Seen: "abc" → (refused) "aXXc" → "aXX!c": the "!" comes after the "a", and "b" stays.
    let refused = OpId(Uuid::from_u128(55));
    let edit = TextEdit {
        over: vec![Over { op_id: refused, splices: text::difference("abc", "aXXc") }],
        splices: text::difference("aXXc", "aXX!c"),
    };
    let before = reminder("abc");
    let patch = json!({ "description": { "text": edit } });
    let edit = at(intent("reminders", CAR, Action::Edit, patch), before.heads());
    let taken = apply(Some(&before), &edit, device(1), &[]).unwrap();
    let now = shown(&taken.document, "description");
    assert!(now == "a!bc" || now == "ab!c", "{now}");
}

#[test]
fn an_edit_that_a_later_one_has_overtaken_changes_the_words_it_saw() {
    // Seen: "abc def" → (rests on the device) "def" → "new words def"; the last one arrives first.
    let rests = OpId(Uuid::from_u128(55));
    let first = text::difference("abc def", "def");
    let then = TextEdit {
        over: vec![Over { op_id: rests, splices: first.clone() }],
        splices: text::difference("def", "new words def"),
    };
    let before = reminder("abc def");
    let seen = before.heads();
    let after = edited(&before, &seen, device(1), json!({ "description": { "text": then } }));
    let first = json!({ "description": { "text": { "splices": first } } });
    let both = edited(&after, &seen, device(1), first.clone());
    assert_eq!(shown(&both, "description"), "new words def");
    // As from two devices.
    let two = edited(&after, &seen, device(2), first);
    assert_eq!(shown(&two, "description"), "new words def");
}

fn words() -> impl Strategy<Value = String> {
    proptest::collection::vec(prop_oneof!["[a-e]{0,4}", "[äßéñ🚗 ]{0,3}"], 0..4)
        .prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn a_difference_makes_one_text_of_the_other(before in words(), after in words()) {
        let splices = text::difference(&before, &after);
        prop_assert_eq!(text::spliced(&before, &splices), Some(after));
    }

    #[test]
    fn splices_over_what_is_there_stay_where_they_are(a in words(), b in words(), c in words()) {
        let (earlier, later) = (text::difference(&a, &b), text::difference(&b, &c));
        let moved = text::rebase([(earlier.as_slice(), true)], &later).unwrap();
        prop_assert_eq!(text::spliced(&b, &moved), Some(c));
    }

    #[test]
    fn splices_over_what_is_missing_keep_their_own_words(
        a in words(), b in words(), put in "[X-Z]{1,3}", place in any::<prop::sample::Index>(),
    ) {
        let earlier = text::difference(&a, &b);
        let at = place.index(b.chars().count() + 1);
        let insert = [Splice { at, delete: 0, insert: put.clone() }];
        let moved = text::rebase([(earlier.as_slice(), false)], &insert).unwrap();
        let now = text::spliced(&a, &moved).unwrap();
        prop_assert!(now.contains(&put));
        prop_assert_eq!(now.replacen(&put, "", 1), a);
    }

    #[test]
    fn any_splices_are_answered(a in words(), splices in proptest::collection::vec(
        (0usize..12, 0usize..12, "[a-c]{0,2}"), 0..5,
    )) {
        let splices: Vec<Splice> = splices
            .into_iter()
            .map(|(at, delete, insert)| Splice { at, delete, insert })
            .collect();
        let patch = Patch::from([(
            "description".to_string(),
            FieldEdit::Text(TextEdit { splices: splices.clone(), over: Vec::new() }),
        )]);
        let before = reminder(&a);
        let mut edit = at(intent("reminders", CAR, Action::Edit, json!({})), before.heads());
        edit.step.patch = patch;
        let taken = apply(Some(&before), &edit, device(2), &[]);
        match text::spliced(&a, &splices) {
            Some(now) => {
                let shown = shown(&taken.unwrap().document, "description");
                prop_assert_eq!(shown.as_str().unwrap_or(""), now);
            }
            None => prop_assert_eq!(taken.unwrap_err().code, code::OUT_OF_RANGE),
        }
    }
}
