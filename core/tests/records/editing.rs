//! What a person edits is shown at once, comes to everyone, and merges.

use motomind_core::protocol::code;
use motomind_core::*;
use serde_json::{Value, json};
use uuid::Uuid;

use super::server::{Server, sync, token_of};
use super::{NOW, Phone, VIN, map, reading};

#[test]
fn an_edit_is_shown_at_once_and_comes_to_everyone() {
    let mut server = Server::new();
    let (mut a, mut b) = (Phone::new(2), Phone::new(3));
    let van = a.device.create("vehicles", map(json!({ "nickname": "Van" })), NOW).unwrap().record;
    assert_eq!(a.row(&van).unwrap().label, "Van");
    assert_eq!(a.row(&van).unwrap().marks.state, RecordState::Pending);
    assert_eq!(a.device.vehicles().unwrap()[0].pending, 1);
    sync(&mut a.device, &mut server, NOW);
    assert_eq!(a.row(&van).unwrap().marks.state, RecordState::Agreed);
    sync(&mut b.device, &mut server, NOW);
    assert_eq!(b.fields(&van), a.fields(&van));

    a.device.take_changes();
    let edit = map(json!({ "color": "red", "year": 2020 }));
    a.device.edit(&van, edit, NOW + 1).unwrap();
    let changes = a.device.take_changes();
    assert!(changes.tables.contains("vehicles") && changes.tables.contains("pending"));
    assert!(changes.records.contains(&van));
    b.device.edit(&van, map(json!({ "vin": VIN.to_lowercase() })), NOW + 1).unwrap();
    for phone in [&mut a, &mut b] {
        sync(&mut phone.device, &mut server, NOW + 2);
    }
    sync(&mut a.device, &mut server, NOW + 3);
    let wanted = map(json!({ "nickname": "Van", "color": "red", "year": 2020, "vin": VIN }));
    assert_eq!(a.fields(&van), wanted);
    assert_eq!(b.fields(&van), wanted);
    assert_eq!(a.device.vehicles().unwrap()[0].vehicle.vin.as_deref(), Some(VIN));
    let history = a.device.history(&van).unwrap();
    assert_eq!(history.len(), 3);
    assert_eq!(history[0].by.device_id, Some(a.device.identity().device_id));
    assert!(a.device.edit(&van, map(json!({ "color": "red" })), NOW).unwrap().op_id.is_none());
}

#[test]
fn competing_values_stay_to_choose_from() {
    let mut server = Server::new();
    let (mut a, mut b) = (Phone::new(2), Phone::new(3));
    let van = a.device.create("vehicles", map(json!({ "nickname": "Van" })), NOW).unwrap().record;
    sync(&mut a.device, &mut server, NOW);
    sync(&mut b.device, &mut server, NOW);
    a.device.edit(&van, map(json!({ "nickname": "Old van" })), NOW).unwrap();
    b.device.edit(&van, map(json!({ "nickname": "Blue van" })), NOW).unwrap();
    sync(&mut a.device, &mut server, NOW);
    sync(&mut b.device, &mut server, NOW);
    sync(&mut a.device, &mut server, NOW);
    let conflicts = a.device.conflicts().unwrap();
    assert_eq!(conflicts, b.device.conflicts().unwrap());
    let values: Vec<_> = conflicts[0].conflict.values.iter().map(|v| v.value.clone()).collect();
    assert!(values.contains(&json!("Old van")) && values.contains(&json!("Blue van")));
    assert_eq!(a.row(&van).unwrap().marks.conflicts, 1);
    b.device.resolve(&van, "nickname", json!("Old van"), NOW).unwrap();
    assert!(b.device.conflicts().unwrap().is_empty());
    sync(&mut b.device, &mut server, NOW);
    sync(&mut a.device, &mut server, NOW);
    assert!(a.device.conflicts().unwrap().is_empty());
    assert_eq!(a.fields(&van)["nickname"], "Old van");
}

/// What has one record by its key is begun a second time before the first time was sent.
#[test]
fn what_is_begun_again_comes_after_what_was_done_between() {
    for deleted in [false, true] {
        let mut server = Server::new();
        let mut a = Phone::new(2);
        let collection = "user_maintenance_preferences";
        let van = a.device.create("vehicles", map(json!({})), NOW).unwrap().record;
        sync(&mut a.device, &mut server, NOW);
        let interval = |source: &str| {
            map(json!({ "user_id": Uuid::from_u128(2), "vehicle_id": van.id,
                        "interval_type": "oil_change", "interval_value": 5000,
                        "interval_unit": "miles", "source": source }))
        };
        let begun = a.device.create(collection, interval("manual"), NOW).unwrap().record;
        a.device.edit(&begun, map(json!({ "source": "dealer" })), NOW + 1).unwrap();
        if deleted {
            a.device.delete(&begun, None, NOW + 2).unwrap();
        }
        let again = a.device.create(collection, interval("sticker"), NOW + 3).unwrap();
        assert_eq!(again.record, begun);
        assert_eq!(a.fields(&begun)["source"], "sticker");
        assert_eq!(a.row(&begun).unwrap().deleted_at, None);
        let nothing_new = a.device.create(collection, interval("sticker"), NOW + 4).unwrap();
        assert_eq!(nothing_new.op_id, None);
        sync(&mut a.device, &mut server, NOW + 5);
        assert!(a.device.pending(NOW + 5).unwrap().is_empty());
        assert!(a.device.conflicts().unwrap().is_empty());
        let there = &server.documents[&begun];
        assert_eq!(
            (there.fields()["source"].as_str(), there.deleted_at()),
            (Some("sticker"), None)
        );
        assert_eq!(a.fields(&begun), there.fields());
    }
}

/// Whose it is, is asked before anything is sealed, as far as the device knows the person's role.
#[test]
fn what_is_someone_elses_is_refused_before_it_is_sealed() {
    let mut server = Server::new();
    let (mut a, mut b) = (Phone::new(2), Phone::new(3));
    let van = a.device.create("vehicles", map(json!({})), NOW).unwrap().record;
    let of = |user: u128| {
        map(json!({ "user_id": Uuid::from_u128(user), "vehicle_id": van.id, "title": "Noise",
                    "interval_type": "oil_change", "interval_value": 5000,
                    "interval_unit": "miles" }))
    };
    let (mut thread, mut interval) = (of(2), of(2));
    thread.retain(|name, _| !name.starts_with("interval"));
    interval.remove("title");
    let thread = a.device.create("conversation_threads", thread, NOW).unwrap().record;
    let mine = a.device.create("user_maintenance_preferences", interval, NOW).unwrap().record;
    let profile =
        a.device.create("profiles", map(json!({ "full_name": "A" })), NOW).unwrap().record;
    for phone in [&mut a, &mut b] {
        sync(&mut phone.device, &mut server, NOW);
    }
    let refused = |outcome: Result<Edited, CaptureError>| {
        let Err(CaptureError::Invalid(violations)) = outcome else { panic!("{outcome:?}") };
        (violations[0].code.clone(), violations[0].field.clone())
    };
    let said = |field: &str| (code::FORBIDDEN.to_string(), field.to_string());
    b.device.set_token(Some(&token_of(3, "technician")), NOW);
    let renamed = map(json!({ "title": "Rattle" }));
    let device = &mut b.device;
    assert_eq!(refused(device.edit(&thread, renamed.clone(), NOW)), said("user_id"));
    assert_eq!(refused(device.delete(&mine, None, NOW)), said("user_id"));
    let name = map(json!({ "full_name": "B" }));
    assert_eq!(refused(device.edit(&profile, name, NOW)), said("record_id"));
    let mut given = of(2);
    given.remove("title");
    given.insert("interval_type".into(), json!("tire_rotation"));
    assert_eq!(refused(device.create("user_maintenance_preferences", given, NOW)), said("user_id"));
    assert!(device.pending(NOW).unwrap().is_empty());
    // What is theirs they change; to give it away asks for a manager.
    let mut own = of(3);
    own.retain(|name, _| !name.starts_with("interval"));
    let own = device.create("conversation_threads", own, NOW).unwrap().record;
    let away = map(json!({ "user_id": Uuid::from_u128(2) }));
    assert_eq!(refused(device.edit(&own, away.clone(), NOW)), said("user_id"));
    // Without a token the device does not know: the server judges.
    device.set_token(None, NOW);
    device.edit(&own, away, NOW).unwrap();
    device.set_token(Some(&token_of(3, "manager")), NOW);
    device.edit(&thread, renamed, NOW).unwrap();
}

#[test]
fn bad_fields_are_named_before_anything_is_sealed() {
    let mut a = Phone::new(2);
    let van = a.device.create("vehicles", map(json!({ "vin": VIN })), NOW).unwrap().record;
    let mut named = |collection: &str, fields: Value| {
        let refused = a.device.create(collection, map(fields), NOW).unwrap_err();
        let CaptureError::Invalid(violations) = refused else { panic!("{refused}") };
        (violations[0].field.clone(), violations[0].code.clone())
    };
    let said = |field: &str, code: &str| (field.to_string(), code.to_string());
    assert_eq!(named("vehicles", json!({ "year": 1800 })), said("year", code::OUT_OF_RANGE));
    assert_eq!(named("vehicles", json!({ "vin": "short" })), said("vin", code::BAD_FORMAT));
    assert_eq!(named("vehicles", json!({ "wings": 2 })), said("wings", code::UNKNOWN_FIELD));
    assert_eq!(named("garages", json!({})), said("name", code::MISSING));
    assert_eq!(named("starships", json!({})), said("collection", code::UNSUPPORTED));
    assert_eq!(
        named("reminders", json!({ "title": "x", "status": "active", "description": 7 })),
        said("description", code::WRONG_TYPE)
    );
    let again = a.device.create("vehicles", map(json!({ "vin": VIN })), NOW).unwrap();
    assert_eq!(again.warnings[0].code, "vin_taken");
    let edited = a.device.edit(&van, map(json!({ "color": "red" })), NOW).unwrap();
    assert!(edited.warnings.is_empty());
    let nowhere = RecordRef::new("vehicles", Uuid::from_u128(9));
    let refused = a.device.edit(&nowhere, map(json!({ "color": "red" })), NOW).unwrap_err();
    assert!(matches!(refused, CaptureError::UnknownRecord(_)));
    assert_eq!(a.device.pending(NOW).unwrap().len(), 3);
}

#[test]
fn deleting_and_restoring_keep_what_it_says() {
    let mut server = Server::new();
    let mut a = Phone::new(2);
    let van = a.device.create("vehicles", map(json!({ "nickname": "Van" })), NOW).unwrap().record;
    sync(&mut a.device, &mut server, NOW);
    a.device.delete(&van, None, NOW).unwrap();
    assert!(a.device.vehicles().unwrap().is_empty());
    assert_eq!(a.row(&van).unwrap().deleted_at, Some(NOW));
    sync(&mut a.device, &mut server, NOW);
    assert!(a.device.delete(&van, None, NOW).unwrap().op_id.is_none());
    a.device.restore_record(&van, NOW + 5).unwrap();
    assert_eq!(a.device.vehicles().unwrap()[0].name, "Van");
    sync(&mut a.device, &mut server, NOW + 5);
    assert_eq!(a.row(&van).unwrap().marks, RecordMarks::default());
}

#[test]
fn the_mileage_that_a_person_sets_wins() {
    let mut server = Server::new();
    let mut a = Phone::new(2);
    let van = a.device.create("vehicles", map(json!({ "nickname": "Van" })), NOW).unwrap().record;
    a.device.capture(reading(van.id, 100), NOW).unwrap();
    let miles = |a: &Phone| a.device.vehicles().unwrap()[0].miles;
    assert_eq!(miles(&a), Some(100));
    a.device.edit(&van, map(json!({ "current_mileage_override": 250 })), NOW).unwrap();
    assert_eq!(miles(&a), Some(250));
    sync(&mut a.device, &mut server, NOW);
    assert_eq!(miles(&a), Some(250));
}

#[test]
fn an_export_holds_edits_too() {
    let mut a = Phone::new(2);
    a.device.create("vehicles", map(json!({ "nickname": "Van" })), NOW).unwrap();
    let mut out = Vec::new();
    assert_eq!(a.device.export(ExportScope::Unsettled, &mut out, NOW).unwrap(), 1);
    let line: ExportLine =
        serde_json::from_slice(out.split(|b| *b == b'\n').nth(1).unwrap()).unwrap();
    let operation = line.sealed.open().unwrap();
    assert_eq!(operation.intent().unwrap().collection, "vehicles");
    assert_eq!(a.device.verify().unwrap(), Ok(()));
}

/// A pull brings an own edit before the reply to its push: it is not done twice.
#[test]
fn an_edit_that_the_log_brings_first_is_there_once() {
    let mut server = Server::new();
    let mut a = Phone::new(2);
    let start = json!({ "title": "Oil", "status": "active", "description": "drain" });
    let oil = a.device.create("reminders", map(start), NOW).unwrap().record;
    sync(&mut a.device, &mut server, NOW);
    a.device.edit(&oil, map(json!({ "description": "drain, fill" })), NOW).unwrap();
    a.device.on_poke(NOW);
    let Step::Send(requests) = a.device.next_step(NOW).unwrap() else { panic!() };
    let (push, pull): (Vec<_>, Vec<_>) = requests.iter().partition(|r| r.method == "POST");
    let late = server.answer(push[0], NOW);
    let reply = server.answer(pull[0], NOW);
    a.device.on_reply(pull[0].id, &reply, NOW).unwrap();
    assert_eq!(a.fields(&oil)["description"], "drain, fill");
    // And amended before the reply comes, it is amended over what arrived.
    let op = a.device.pending(NOW).unwrap()[0].op_id;
    a.device.amend_edit(op, map(json!({ "description": "drain, refill" })), NOW).unwrap();
    assert_eq!(a.fields(&oil)["description"], "drain, refill");
    a.device.on_reply(push[0].id, &late, NOW).unwrap();
    assert_eq!(a.fields(&oil)["description"], "drain, refill");
    sync(&mut a.device, &mut server, NOW);
    assert_eq!(server.documents[&oil].fields()["description"], "drain, refill");
    assert_eq!(a.fields(&oil)["description"], "drain, refill");
}
