//! Records on the device: what a person edits is shown at once, safe, sent, and merged.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "records/server.rs"]
mod server;

use chrono::NaiveDate;
use motomind_core::protocol::records::{Document, schema};
use motomind_core::protocol::{Hash, Identity, OpState, TenantId, UserId, VehicleId, code};
use motomind_core::*;
use serde_json::{Map, Value, json};
use server::{Server, sync};
use tempfile::TempDir;
use uuid::Uuid;

const NOW: i64 = 1_800_000_000_000;

struct Phone {
    device: Device,
    dir: TempDir,
    user: u128,
}

impl Phone {
    fn new(user: u128) -> Self {
        let dir = TempDir::new().unwrap();
        let device = open(&dir, user, user as u8);
        Self { device, dir, user }
    }

    fn reopened(self, seed: u8) -> Self {
        let Self { device, dir, user } = self;
        drop(device);
        let device = open(&dir, user, seed);
        Self { device, dir, user }
    }

    fn fields(&self, record: &RecordRef) -> Map<String, Value> {
        self.device.record(record).unwrap().map(|view| view.fields).unwrap_or_default()
    }

    fn row(&self, record: &RecordRef) -> Option<RecordEntry> {
        let rows = self.device.records(&record.collection, true).unwrap();
        rows.into_iter().find(|row| row.id == record.id)
    }
}

fn open(dir: &TempDir, user: u128, seed: u8) -> Device {
    let file = |name: &str| dir.path().join(name).to_str().unwrap().to_string();
    let identity = Identity {
        tenant_id: TenantId(Uuid::from_u128(1)),
        user_id: UserId(Uuid::from_u128(user)),
    };
    let mut device = Device::open(OpenOptions {
        journal: file("journal.db"),
        mirror: file("mirror.db"),
        vfs: None,
        identity: Some(identity),
        key: None,
        seed: [seed; 32],
        now: NOW,
    })
    .unwrap();
    device.set_token(Some(&server::token(user)), NOW);
    device
}

fn map(fields: Value) -> Map<String, Value> {
    fields.as_object().unwrap().clone()
}

const VIN: &str = "1HGCM82633A004352";

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
fn a_refused_edit_parks_and_the_others_stand() {
    let mut server = Server::new();
    let (mut a, mut b) = (Phone::new(2), Phone::new(3));
    let van = a.device.create("vehicles", map(json!({ "nickname": "Van" })), NOW).unwrap().record;
    sync(&mut a.device, &mut server, NOW);
    b.device.create("vehicles", map(json!({ "nickname": "Car", "vin": VIN })), NOW).unwrap();
    sync(&mut b.device, &mut server, NOW);
    let vin = map(json!({ "vin": VIN, "trim": "LX" }));
    let refused = a.device.edit(&van, vin, NOW).unwrap().op_id.unwrap();
    a.device.edit(&van, map(json!({ "color": "red" })), NOW).unwrap();
    sync(&mut a.device, &mut server, NOW);
    let pending = a.device.pending(NOW).unwrap();
    assert_eq!(pending.len(), 1);
    let reason = pending[0].reason.as_ref().unwrap();
    assert_eq!((reason.code.as_str(), reason.field.as_deref()), ("vin_taken", Some("vin")));
    let view = a.device.record(&van).unwrap().unwrap();
    assert_eq!(view.fields, map(json!({ "nickname": "Van", "color": "red" })));
    assert_eq!((view.marks.refused, view.marks.state), (1, RecordState::Agreed));
    assert_eq!(view.refusals[0].0, refused);
    // It is mended: what it said else stays.
    let other = "1HGCM82633A004353";
    a.device.amend_edit(refused, map(json!({ "vin": other })), NOW).unwrap();
    assert_eq!(a.row(&van).unwrap().marks.refused, 0);
    sync(&mut a.device, &mut server, NOW);
    assert!(a.device.pending(NOW).unwrap().is_empty());
    let fields = &server.documents[&van].fields();
    assert_eq!((&fields["vin"], &fields["trim"]), (&json!(other), &json!("LX")));
    assert_eq!(&a.fields(&van), fields);
}

#[test]
fn an_amendment_leaves_a_field_as_a_later_edit_set_it() {
    let mut server = Server::new();
    let (mut a, mut b) = (Phone::new(2), Phone::new(3));
    let van = a.device.create("vehicles", map(json!({ "nickname": "Van" })), NOW).unwrap().record;
    b.device.create("vehicles", map(json!({ "nickname": "Car", "vin": VIN })), NOW).unwrap();
    sync(&mut b.device, &mut server, NOW);
    sync(&mut a.device, &mut server, NOW);
    let first = map(json!({ "vin": VIN, "trim": "LX", "make": "Fort" }));
    let refused = a.device.edit(&van, first, NOW).unwrap().op_id.unwrap();
    sync(&mut a.device, &mut server, NOW);
    a.device.edit(&van, map(json!({ "make": "Ford" })), NOW).unwrap();
    a.device.amend_edit(refused, map(json!({ "vin": null })), NOW).unwrap();
    let wanted = map(json!({ "nickname": "Van", "trim": "LX", "make": "Ford" }));
    assert_eq!(a.fields(&van), wanted);
    sync(&mut a.device, &mut server, NOW);
    assert_eq!((a.fields(&van), server.documents[&van].fields()), (wanted.clone(), wanted));
    assert!(server.documents[&van].conflicts().is_empty());
}

#[test]
fn a_refused_edit_is_given_up_or_offered_again() {
    let mut server = Server::new();
    let mut a = Phone::new(2);
    let van = a.device.create("vehicles", map(json!({ "nickname": "Van" })), NOW).unwrap().record;
    let car = a.device.create("vehicles", map(json!({ "vin": VIN })), NOW).unwrap().record;
    let first = a.device.edit(&van, map(json!({ "vin": VIN })), NOW).unwrap().op_id.unwrap();
    sync(&mut a.device, &mut server, NOW);
    assert_eq!(a.device.pending(NOW).unwrap().len(), 1);
    server.write(&car, json!({ "vin": null }), None);
    a.device.retry(first, NOW).unwrap();
    sync(&mut a.device, &mut server, NOW);
    assert!(a.device.pending(NOW).unwrap().is_empty());
    assert_eq!(a.fields(&van)["vin"], VIN);

    let second = a.device.edit(&car, map(json!({ "vin": VIN })), NOW).unwrap().op_id.unwrap();
    assert_eq!(a.fields(&car)["vin"], VIN);
    sync(&mut a.device, &mut server, NOW);
    a.device.discard(second, "typo", NOW).unwrap();
    sync(&mut a.device, &mut server, NOW);
    assert!(a.device.pending(NOW).unwrap().is_empty());
    assert_eq!(a.row(&car).unwrap().marks, RecordMarks::default());
    assert_eq!(a.device.operation(second, NOW).unwrap().unwrap().state, OpState::Superseded);
}

/// Of two edits of one text the first is refused: the second one's words are still there.
#[test]
fn words_over_a_refused_edit_stay() {
    let mut server = Server::new();
    let mut a = Phone::new(2);
    let fields = json!({ "title": "Oil", "status": "active", "description": "drain, fill" });
    let oil = a.device.create("reminders", map(fields), NOW).unwrap().record;
    sync(&mut a.device, &mut server, NOW);
    let nowhere = Uuid::from_u128(5).to_string();
    let bad = json!({ "description": "warm up, drain, fill", "vehicle_id": nowhere });
    a.device.edit(&oil, map(bad), NOW).unwrap();
    let more = json!({ "description": "warm up, drain, fill, check" });
    a.device.edit(&oil, map(more), NOW).unwrap();
    assert_eq!(a.fields(&oil)["description"], "warm up, drain, fill, check");
    sync(&mut a.device, &mut server, NOW);
    assert_eq!(a.fields(&oil)["description"], "drain, fill, check");
    assert_eq!(server.documents[&oil].fields()["description"], "drain, fill, check");
    let refused = a.device.pending(NOW).unwrap()[0].op_id;
    a.device.amend_edit(refused, map(json!({ "vehicle_id": null })), NOW).unwrap();
    sync(&mut a.device, &mut server, NOW);
    assert_eq!(a.fields(&oil)["description"], "warm up, drain, fill, check");
    assert_eq!(server.documents[&oil].fields(), a.fields(&oil));
}

fn reading(vehicle: Uuid, miles: i64) -> Capture {
    let day = NaiveDate::from_ymd_opt(2025, 10, 9).unwrap();
    let mut capture = Capture::new(VehicleId(vehicle), "odometer", NOW, day, "America/Denver");
    capture.miles = Some(miles);
    capture
}

#[test]
fn two_people_register_one_car_and_it_becomes_one() {
    let mut server = Server::new();
    let (mut a, mut b) = (Phone::new(2), Phone::new(3));
    let theirs = json!({ "nickname": "Van", "vin": VIN });
    let there = b.device.create("vehicles", map(theirs), NOW).unwrap().record;
    sync(&mut b.device, &mut server, NOW);
    let mine = json!({ "nickname": "Old van", "vin": VIN, "color": "blue" });
    let here = a.device.create("vehicles", map(mine), NOW).unwrap().record;
    a.device.edit(&here, map(json!({ "trim": "LX" })), NOW).unwrap();
    let captured = a.device.capture(reading(here.id, 100), NOW).unwrap();
    let due = json!({ "title": "Oil", "status": "active", "vehicle_id": here.id.to_string() });
    let oil = a.device.create("reminders", map(due), NOW).unwrap().record;
    let interval = json!({
        "user_id": Uuid::from_u128(2).to_string(), "vehicle_id": here.id.to_string(),
        "interval_type": "oil_change", "interval_value": 5_000, "interval_unit": "miles",
    });
    a.device.create("user_maintenance_preferences", map(interval), NOW).unwrap();
    sync(&mut a.device, &mut server, NOW);
    let row = a.row(&here).unwrap();
    assert_eq!((row.marks.state, row.fields["trim"].as_str()), (RecordState::Refused, Some("LX")));
    let states: Vec<_> = a.device.pending(NOW).unwrap().iter().map(|item| item.state).collect();
    assert_eq!(states[0], OpState::Rejected);
    assert!(states[1..].iter().all(|state| *state == OpState::Waiting), "{states:?}");
    let reason = a.device.pending(NOW).unwrap()[0].reason.clone().unwrap();
    assert_eq!(reason.taken_by, Some(there.id));

    let moved = a.device.same_as(&here, &there, NOW).unwrap();
    assert!(moved.moved.contains_key(&captured.op_id));
    assert!(a.row(&here).is_none());
    assert_eq!(a.fields(&there)["color"], "blue");
    assert_eq!(a.fields(&oil)["vehicle_id"], there.id.to_string());
    sync(&mut a.device, &mut server, NOW);
    assert!(a.device.pending(NOW).unwrap().is_empty(), "{:#?}", a.device.pending(NOW).unwrap());
    sync(&mut b.device, &mut server, NOW);
    for phone in [&a, &b] {
        let vehicles = phone.device.vehicles().unwrap();
        assert_eq!(vehicles.len(), 1);
        assert_eq!(vehicles[0].miles, Some(100));
        let wanted = json!({ "nickname": "Van", "vin": VIN, "color": "blue", "trim": "LX" });
        assert_eq!(phone.fields(&there), map(wanted));
        let intervals = phone.device.records("user_maintenance_preferences", false).unwrap();
        assert_eq!(intervals[0].fields["vehicle_id"], there.id.to_string());
    }
    assert!(matches!(a.device.same_as(&here, &there, NOW), Err(CaptureError::NotRefused)));
}

#[test]
fn a_refused_creation_is_mended_and_what_waits_for_it_follows() {
    let mut server = Server::new();
    let (mut a, mut b) = (Phone::new(2), Phone::new(3));
    b.device.create("vehicles", map(json!({ "vin": VIN })), NOW).unwrap();
    sync(&mut b.device, &mut server, NOW);
    let here = a.device.create("vehicles", map(json!({ "vin": VIN })), NOW).unwrap();
    let (record, creation) = (here.record, here.op_id.unwrap());
    a.device.capture(reading(record.id, 100), NOW).unwrap();
    a.device.edit(&record, map(json!({ "color": "red" })), NOW).unwrap();
    sync(&mut a.device, &mut server, NOW);
    // Mended, and mended again before it is sent: what waits names the first.
    let fields = || map(json!({ "vin": "1HGCM82633A004353" }));
    let mended = a.device.amend_edit(creation, fields(), NOW).unwrap().op_id.unwrap();
    assert_eq!(a.row(&record).unwrap().marks.state, RecordState::Pending);
    a.device.amend_edit(mended, map(json!({ "nickname": "Van" })), NOW).unwrap();
    assert_eq!(a.fields(&record)["color"], "red");
    sync(&mut a.device, &mut server, NOW);
    assert!(a.device.pending(NOW).unwrap().is_empty(), "{:#?}", a.device.pending(NOW).unwrap());
    let wanted = json!({ "vin": "1HGCM82633A004353", "nickname": "Van", "color": "red" });
    assert_eq!(a.fields(&record), map(wanted));
    assert_eq!(a.device.vehicle(VehicleId(record.id)).unwrap().unwrap().miles, Some(100));
}

/// The reply is lost: what was amended or discarded had arrived.
#[test]
fn what_had_arrived_is_amended_and_taken_back() {
    for discards in [false, true] {
        let mut server = Server::new();
        let mut a = Phone::new(2);
        let start = json!({ "title": "Oil", "status": "active", "description": "drain" });
        let oil = a.device.create("reminders", map(start), NOW).unwrap().record;
        sync(&mut a.device, &mut server, NOW);
        let edit = json!({ "description": "drain, fill", "priority": "low", "due_miles": 5_000 });
        let op = a.device.edit(&oil, map(edit), NOW).unwrap().op_id.unwrap();
        let Step::Send(requests) = a.device.next_step(NOW).unwrap() else { panic!() };
        for request in requests {
            server.answer(&request, NOW);
            a.device.on_failure(request.id, FailureKind::Network, NOW);
        }
        let wanted = if discards {
            a.device.discard(op, "wrong", NOW).unwrap();
            json!({ "title": "Oil", "status": "active", "description": "drain" })
        } else {
            let fields = json!({ "description": "drain, refill", "due_miles": null });
            a.device.amend_edit(op, map(fields), NOW).unwrap();
            json!({ "title": "Oil", "status": "active", "description": "drain, refill", "priority": "low" })
        };
        assert_eq!(a.fields(&oil), map(wanted.clone()));
        sync(&mut a.device, &mut server, NOW);
        assert!(a.device.pending(NOW).unwrap().is_empty());
        assert_eq!(server.documents[&oil].fields(), map(wanted.clone()), "discards: {discards}");
        assert_eq!(a.fields(&oil), map(wanted));
    }
}

#[test]
fn a_creation_that_had_arrived_is_taken_back_as_a_deletion() {
    let mut server = Server::new();
    let mut a = Phone::new(2);
    let made = a.device.create("vehicles", map(json!({ "nickname": "Van" })), NOW).unwrap();
    let Step::Send(requests) = a.device.next_step(NOW).unwrap() else { panic!() };
    for request in requests {
        server.answer(&request, NOW);
        a.device.on_failure(request.id, FailureKind::Network, NOW);
    }
    a.device.discard(made.op_id.unwrap(), "twice", NOW).unwrap();
    assert!(a.row(&made.record).is_none());
    sync(&mut a.device, &mut server, NOW);
    assert!(server.documents[&made.record].deleted_at().is_some());
    assert!(a.device.vehicles().unwrap().is_empty());
    assert!(a.device.pending(NOW).unwrap().is_empty());
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

/// The mirror is a cache: without it everything comes back from the log and the journal.
#[test]
fn a_lost_mirror_is_rebuilt() {
    let mut server = Server::new();
    let mut a = Phone::new(2);
    let van = a.device.create("vehicles", map(json!({ "nickname": "Van" })), NOW).unwrap().record;
    sync(&mut a.device, &mut server, NOW);
    a.device.edit(&van, map(json!({ "color": "red" })), NOW).unwrap();
    let new = a.device.create("garages", map(json!({ "name": "North" })), NOW).unwrap().record;
    let before = a.fields(&van);
    let Phone { device, dir, user } = a;
    drop(device);
    for name in ["mirror.db", "mirror.db-wal"] {
        let _ = std::fs::remove_file(dir.path().join(name));
    }
    let device = open(&dir, user, 9);
    let mut a = Phone { device, dir, user };
    assert_eq!(a.row(&new).unwrap().label, "North");
    // The journal knows that one as accepted and its log as not pulled.
    assert_eq!(a.fields(&van), before);
    let Step::Send(requests) = a.device.next_step(NOW).unwrap() else { panic!() };
    for request in requests.iter().filter(|request| request.method == "GET") {
        let reply = server.answer(request, NOW);
        a.device.on_reply(request.id, &reply, NOW).unwrap();
    }
    assert_eq!(a.fields(&van), before);
}

/// The server comes back from a backup without what it had accepted.
#[test]
fn a_restored_server_gets_every_edit_again() {
    let mut server = Server::new();
    let (mut a, mut b) = (Phone::new(2), Phone::new(3));
    let start = json!({ "title": "Oil", "status": "active", "description": "drain" });
    let oil = a.device.create("reminders", map(start), NOW).unwrap().record;
    sync(&mut a.device, &mut server, NOW);
    sync(&mut b.device, &mut server, NOW);
    let backup = server.clone();
    a.device.edit(&oil, map(json!({ "description": "drain, fill" })), NOW).unwrap();
    sync(&mut a.device, &mut server, NOW);
    server.restored(backup);
    b.device.edit(&oil, map(json!({ "priority": "high" })), NOW).unwrap();
    let wanted = json!({ "title": "Oil", "status": "active", "description": "drain, fill" });
    assert_eq!(a.fields(&oil), map(wanted));
    for _ in 0..2 {
        sync(&mut b.device, &mut server, NOW);
        sync(&mut a.device, &mut server, NOW);
    }
    sync(&mut b.device, &mut server, NOW);
    let wanted = json!({
        "title": "Oil", "status": "active", "description": "drain, fill", "priority": "high",
    });
    for phone in [&a, &b] {
        assert_eq!(phone.fields(&oil), map(wanted.clone()));
    }
}

/// What is amended between the server's return from a backup and the new mirror says again what
/// the server has lost, though the old mirror holds it.
#[test]
fn an_amendment_says_again_what_a_restored_server_has_lost() {
    let mut server = Server::new();
    let mut a = Phone::new(2);
    let start = json!({ "title": "Oil", "status": "active", "description": "drain" });
    let oil = a.device.create("reminders", map(start), NOW).unwrap().record;
    sync(&mut a.device, &mut server, NOW);
    let backup = server.clone();
    let edit = map(json!({ "description": "drain, fill", "due_miles": 90_000 }));
    let op = a.device.edit(&oil, edit, NOW).unwrap().op_id.unwrap();
    sync(&mut a.device, &mut server, NOW);
    server.restored(backup);
    a.device.on_poke(NOW);
    let Step::Send(requests) = a.device.next_step(NOW).unwrap() else { panic!() };
    for request in requests.iter().filter(|request| request.method == "GET") {
        let reply = server.answer(request, NOW);
        assert_eq!(reply.status, 409);
        a.device.on_reply(request.id, &reply, NOW).unwrap();
    }
    a.device.amend_edit(op, map(json!({ "priority": "high" })), NOW).unwrap();
    let wanted = json!({
        "title": "Oil", "status": "active", "description": "drain, fill", "due_miles": 90_000,
        "priority": "high",
    });
    assert_eq!(a.fields(&oil), map(wanted.clone()));
    for _ in 0..3 {
        sync(&mut a.device, &mut server, NOW);
    }
    assert_eq!(a.fields(&oil), map(wanted.clone()));
    assert_eq!(server.documents[&oil].fields(), map(wanted));
}

/// A log that still knows our cursor lacks what it had promised.
#[test]
fn an_edit_that_the_log_has_lost_is_offered_again() {
    let mut server = Server::new();
    let (mut a, mut b) = (Phone::new(2), Phone::new(3));
    let van = a.device.create("vehicles", map(json!({ "nickname": "Van" })), NOW).unwrap().record;
    sync(&mut a.device, &mut server, NOW);
    sync(&mut b.device, &mut server, NOW);
    let backup = server.clone();
    a.device.edit(&van, map(json!({ "color": "red" })), NOW).unwrap();
    let Step::Send(requests) = a.device.next_step(NOW).unwrap() else { panic!() };
    let push = requests.iter().find(|request| request.method == "POST").unwrap();
    let reply = server.answer(push, NOW);
    a.device.on_reply(push.id, &reply, NOW).unwrap();
    for request in requests.iter().filter(|request| request.method == "GET") {
        a.device.on_failure(request.id, FailureKind::Network, NOW);
    }
    server = backup;
    b.device.edit(&van, map(json!({ "year": 2020 })), NOW).unwrap();
    sync(&mut b.device, &mut server, NOW);
    sync(&mut a.device, &mut server, NOW);
    assert_eq!(server.documents[&van].fields()["color"], "red");
    assert_eq!(a.fields(&van), server.documents[&van].fields());
    // And what changes nothing is not offered for ever.
    a.device.resolve(&van, "color", json!("red"), NOW).unwrap();
    sync(&mut a.device, &mut server, NOW);
    let pushes = server.pushes;
    for _ in 0..5 {
        sync(&mut a.device, &mut server, NOW);
    }
    assert!(server.pushes <= pushes + 1);
}

/// One entry that makes no sense is kept aside and marked; every other one flows.
#[test]
fn a_damaged_entry_stops_nothing_and_heals() {
    let mut server = Server::new();
    let mut a = Phone::new(2);
    let van = RecordRef::new("vehicles", Uuid::from_u128(7));
    let car = RecordRef::new("vehicles", Uuid::from_u128(8));
    server.write(&van, json!({ "nickname": "Van" }), None);
    sync(&mut a.device, &mut server, NOW);
    // Its change is damaged; the next one builds on it.
    let before = server.documents[&van].heads();
    server.write(&van, json!({ "color": "red" }), None);
    let lost = server.documents[&van].changes_since(&before);
    let good = server.log.last().unwrap().clone();
    server.log.last_mut().unwrap()["data"]["changes"] = json!(["AAAA"]);
    server.write(&van, json!({ "year": 2020 }), None);
    server.append("record", json!({ "collection": "vehicles", "id": van.id, "changes": 7 }));
    server.append("record", json!({ "changes": [] }));
    server.append("record", json!("nonsense"));
    server.write(&car, json!({ "nickname": "Car" }), None);
    // Another record's change, under this one's name.
    let stolen = server.documents[&car].changes_since(&[]);
    server.tell(&van, stolen, None);
    sync(&mut a.device, &mut server, NOW);
    assert_eq!(a.fields(&car), map(json!({ "nickname": "Car" })));
    assert_eq!(a.fields(&van), map(json!({ "nickname": "Van" })));
    let view = a.device.record(&van).unwrap().unwrap();
    assert_eq!(view.aside.len(), 4);
    assert!(view.aside.iter().all(|aside| aside.damage.is_some()));
    assert_eq!(a.device.records_aside().unwrap().len(), 6);
    assert_eq!(a.device.status(NOW).unwrap().seq, server.head());
    // It can still be edited, and the device goes on after opening again.
    a.device.edit(&van, map(json!({ "trim": "LX" })), NOW).unwrap();
    let mut a = a.reopened(9);
    assert_eq!(a.fields(&van)["trim"], "LX");
    // The missing change comes after all: with what waited for it all is there.
    assert_eq!(good["data"]["id"], van.id.to_string());
    server.tell(&van, lost, None);
    sync(&mut a.device, &mut server, NOW);
    assert_eq!(a.fields(&van)["color"], "red");
}

#[test]
fn what_a_newer_server_says_is_kept_and_shown_after_an_update() {
    let mut server = Server::new();
    let mut a = Phone::new(2);
    let van = RecordRef::new("vehicles", Uuid::from_u128(7));
    server.write(&van, json!({ "nickname": "Van" }), None);
    let trailer = RecordRef::new("trailers", Uuid::from_u128(8));
    server.tell(&trailer, vec![vec![1, 2, 3]], None);
    sync(&mut a.device, &mut server, NOW);
    let aside = a.device.records_aside().unwrap();
    assert_eq!((aside.len(), aside[0].damage.as_deref()), (1, None));
    a.device.edit(&van, map(json!({ "color": "red" })), NOW).unwrap();
    let before = (a.fields(&van), a.row(&van));
    // The mirror is of a version that knew vehicles without colours and years.
    let Phone { device, dir, user } = a;
    drop(device);
    {
        let mirror = rusqlite::Connection::open(dir.path().join("mirror.db")).unwrap();
        mirror
            .execute_batch(
                "DROP TABLE vehicles; DROP TABLE garages;
                 CREATE TABLE vehicles (id BLOB PRIMARY KEY, nickname TEXT);
                 CREATE TABLE trucks (id BLOB PRIMARY KEY);
                 INSERT INTO record_tables VALUES ('trucks');
                 UPDATE mirror SET layout = 'older';",
            )
            .unwrap();
    }
    let device = open(&dir, user, 9);
    let a = Phone { device, dir, user };
    assert_eq!((a.fields(&van), a.row(&van)), before);
    assert!(a.device.garages().unwrap().is_empty());
    assert_eq!(a.device.records_aside().unwrap(), aside);
    assert_eq!(a.device.status(NOW).unwrap().seq, server.head(), "nothing is pulled again");
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

#[path = "records/hostile.rs"]
mod hostile;
#[path = "records/interleavings.rs"]
mod interleavings;

/// The documents' heads, once the device is closed.
fn documents_of(phone: Phone) -> Vec<(String, Uuid, Vec<Hash>)> {
    let Phone { device, dir, .. } = phone;
    drop(device);
    let mirror = rusqlite::Connection::open(dir.path().join("mirror.db")).unwrap();
    let mut statement =
        mirror.prepare("SELECT collection, id, doc FROM record_docs ORDER BY 1, 2").unwrap();
    let rows = statement.query_map([], |row| {
        let (name, id, bytes): (String, Vec<u8>, Vec<u8>) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let id = Uuid::from_slice(&id).unwrap();
        let document = Document::load(schema::find(&name).unwrap(), id, &bytes).unwrap();
        Ok((name, id, document.heads()))
    });
    rows.unwrap().collect::<Result<_, _>>().unwrap()
}
