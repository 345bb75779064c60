//! Two people register one car: what was refused becomes part of what is there.

use motomind_core::protocol::flow::Path;
use motomind_core::protocol::{OpState, VehicleId};
use motomind_core::*;
use serde_json::{Value, json};
use uuid::Uuid;

use super::server::{Server, sync};
use super::{NOW, Phone, VIN, map, open, reading};

/// The values of a field that compete, on whichever record, in the order of the alphabet.
fn values(phone: &Phone, field: &str) -> Vec<String> {
    let conflicts = phone.device.conflicts().unwrap();
    let of_field = conflicts.iter().filter(|found| found.conflict.field == field);
    let values = of_field.flat_map(|found| &found.conflict.values);
    let mut values: Vec<String> =
        values.map(|one| one.value.as_str().unwrap_or_default().to_string()).collect();
    values.sort();
    values
}

/// A refused vehicle on the second phone, and the one on the first phone that has its VIN.
fn registered_twice(mine: Value, theirs: Value) -> (Server, Phone, Phone, RecordRef, RecordRef) {
    let mut server = Server::new();
    let (mut a, mut b) = (Phone::new(2), Phone::new(3));
    let with_vin = |mut fields: Value| {
        fields["vin"] = VIN.into();
        map(fields)
    };
    let there = b.device.create("vehicles", with_vin(theirs), NOW).unwrap().record;
    sync(&mut b.device, &mut server, NOW);
    let here = a.device.create("vehicles", with_vin(mine), NOW).unwrap().record;
    (server, a, b, here, there)
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

    // At that very moment it is being photographed.
    let photographed = a.device.begin_session(VehicleId(here.id), "damage", Path::Guided, NOW);
    let photographed = photographed.unwrap().id;
    let moved = a.device.same_as(&here, &there, NOW).unwrap();
    let session = a.device.session(photographed, NOW).unwrap().unwrap();
    assert_eq!(session.vehicle_id, VehicleId(there.id));
    assert!(moved.moved.contains_key(&captured.op_id));
    let typed = Typed {
        field: "nickname".into(),
        value: json!("Old van"),
        existing: json!("Van"),
        kept: true,
    };
    assert_eq!(moved.typed, [typed]);
    assert!(a.row(&here).is_none());
    assert_eq!(a.fields(&there)["color"], "blue");
    assert_eq!(values(&a, "nickname"), ["Old van", "Van"]);
    assert_eq!(a.fields(&oil)["vehicle_id"], there.id.to_string());
    sync(&mut a.device, &mut server, NOW);
    assert!(a.device.pending(NOW).unwrap().is_empty(), "{:#?}", a.device.pending(NOW).unwrap());
    sync(&mut b.device, &mut server, NOW);
    for phone in [&a, &b] {
        let vehicles = phone.device.vehicles().unwrap();
        assert_eq!(vehicles.len(), 1);
        assert_eq!(vehicles[0].miles, Some(100));
        let mut fields = phone.fields(&there);
        assert!(fields.remove("nickname").is_some());
        assert_eq!(fields, map(json!({ "vin": VIN, "color": "blue", "trim": "LX" })));
        assert_eq!(values(phone, "nickname"), ["Old van", "Van"]);
        let intervals = phone.device.records("user_maintenance_preferences", false).unwrap();
        assert_eq!(intervals[0].fields["vehicle_id"], there.id.to_string());
    }
    assert!(matches!(a.device.same_as(&here, &there, NOW), Err(CaptureError::NotRefused)));
}

/// What was typed into the refused record's later edits is as good as what its creation said; what
/// a person has replaced themselves is not said again.
#[test]
fn later_edits_of_a_refused_record_move_too() {
    let (mut server, mut a, mut b, here, there) =
        registered_twice(json!({ "nickname": "Old", "trim": "LX" }), json!({ "trim": "EX" }));
    let first = a.device.edit(&here, map(json!({ "nickname": "Older" })), NOW).unwrap().op_id;
    let same = a.device.edit(&here, map(json!({ "trim": "EX" })), NOW).unwrap().op_id;
    let last = a.device.edit(&here, map(json!({ "color": "blue" })), NOW).unwrap().op_id;
    sync(&mut a.device, &mut server, NOW);
    let moved = a.device.same_as(&here, &there, NOW).unwrap();
    assert!(moved.moved.contains_key(&first.unwrap()) && moved.moved.contains_key(&last.unwrap()));
    assert_eq!(moved.closed.first(), same.as_ref());
    assert!(moved.typed.is_empty(), "{:?}", moved.typed);
    for _ in 0..2 {
        sync(&mut a.device, &mut server, NOW);
        sync(&mut b.device, &mut server, NOW);
    }
    let wanted = json!({ "vin": VIN, "nickname": "Older", "trim": "EX", "color": "blue" });
    for phone in [&a, &b] {
        assert_eq!(phone.fields(&there), map(wanted.clone()));
        assert!(phone.device.conflicts().unwrap().is_empty());
        assert!(phone.device.pending(NOW).unwrap().is_empty());
    }
    assert_eq!(a.device.verify().unwrap(), Ok(()));
}

/// A record whose id follows from the refused one's becomes another record, its later edits with
/// it, though the creation was amended after them.
#[test]
fn later_edits_of_a_record_that_is_about_the_refused_one_move() {
    let (mut server, mut a, mut b, here, there) = registered_twice(json!({}), json!({}));
    let fields = json!({
        "user_id": Uuid::from_u128(2).to_string(), "vehicle_id": here.id.to_string(),
        "interval_type": "oil_change", "interval_value": 5_000, "interval_unit": "miles",
        "notes": "with the filter",
    });
    let interval = a.device.create("user_maintenance_preferences", map(fields), NOW).unwrap();
    let edit = map(json!({ "interval_value": 6_000, "notes": "with the oil filter" }));
    a.device.edit(&interval.record, edit, NOW).unwrap();
    let more = map(json!({ "notes": "with the oil filter and washer" }));
    a.device.edit(&interval.record, more, NOW).unwrap();
    let unit = map(json!({ "interval_unit": "months" }));
    a.device.amend_edit(interval.op_id.unwrap(), unit, NOW).unwrap();
    sync(&mut a.device, &mut server, NOW);
    a.device.same_as(&here, &there, NOW).unwrap();
    assert!(a.row(&interval.record).is_none());
    for _ in 0..2 {
        sync(&mut a.device, &mut server, NOW);
        sync(&mut b.device, &mut server, NOW);
    }
    for phone in [&a, &b] {
        assert!(phone.device.pending(NOW).unwrap().is_empty());
        let rows = phone.device.records("user_maintenance_preferences", true).unwrap();
        assert_eq!(rows.len(), 1);
        let fields = &rows[0].fields;
        assert_eq!(fields["vehicle_id"], there.id.to_string());
        assert_eq!(
            (&fields["interval_value"], &fields["interval_unit"]),
            (&json!(6_000), &json!("months"))
        );
        assert_eq!(fields["notes"], "with the oil filter and washer");
    }
}

/// Texts cannot compete: both are there, one behind the other, or the caller is told.
#[test]
fn both_texts_are_there() {
    for (length, fits) in [(10, true), (600, false)] {
        let mut server = Server::new();
        let (mut a, mut b) = (Phone::new(2), Phone::new(3));
        let (mine, theirs) = ("m".repeat(length), "t".repeat(length));
        let fields = |text: &str| {
            map(
                json!({ "title": "Oil", "status": "active", "due_miles": 5_000, "description": text }),
            )
        };
        let there = b.device.create("reminders", fields(&theirs), NOW).unwrap().record;
        sync(&mut b.device, &mut server, NOW);
        let here = a.device.create("reminders", fields(""), NOW).unwrap().record;
        a.device.edit(&here, map(json!({ "description": mine.clone() })), NOW).unwrap();
        sync(&mut a.device, &mut server, NOW);
        let moved = a.device.same_as(&here, &there, NOW).unwrap();
        let typed = Typed {
            field: "description".into(),
            value: json!(mine),
            existing: json!(theirs),
            kept: fits,
        };
        assert_eq!(moved.typed, [typed]);
        assert_eq!(moved.filled.is_some(), fits);
        sync(&mut a.device, &mut server, NOW);
        sync(&mut b.device, &mut server, NOW);
        let wanted = if fits { format!("{theirs}\n{mine}") } else { theirs };
        for phone in [&a, &b] {
            assert_eq!(phone.fields(&there)["description"], wanted);
            assert!(phone.device.pending(NOW).unwrap().is_empty());
        }
    }
}

/// A device that has changed the existing record has seen what it says: the server would take what
/// was typed before for a choice. It is not said, and the caller is told.
#[test]
fn what_cannot_compete_is_told() {
    let (mut server, mut a, mut b, here, there) =
        registered_twice(json!({ "nickname": "Old", "trim": "LX" }), json!({ "nickname": "Van" }));
    sync(&mut a.device, &mut server, NOW);
    a.device.edit(&there, map(json!({ "color": "red" })), NOW).unwrap();
    sync(&mut b.device, &mut server, NOW);
    b.device.edit(&there, map(json!({ "trim": "EX" })), NOW).unwrap();
    sync(&mut b.device, &mut server, NOW);
    sync(&mut a.device, &mut server, NOW);
    let moved = a.device.same_as(&here, &there, NOW).unwrap();
    let told = |field: &str, value: &str, existing: &str, kept| Typed {
        field: field.into(),
        value: json!(value),
        existing: json!(existing),
        kept,
    };
    assert_eq!(
        moved.typed,
        [told("nickname", "Old", "Van", false), told("trim", "LX", "EX", true)]
    );
    sync(&mut a.device, &mut server, NOW);
    sync(&mut b.device, &mut server, NOW);
    assert_eq!(b.fields(&there)["nickname"], "Van");
    assert_eq!(values(&b, "trim"), ["EX", "LX"]);
}

/// The device dies, or its disk is full, with a part of the move written: nothing has moved, and
/// the move can be made again.
#[test]
fn a_move_is_whole_or_not_at_all() {
    let (mut server, mut a, _b, here, there) =
        registered_twice(json!({ "nickname": "Old" }), json!({ "nickname": "Van" }));
    a.device.edit(&here, map(json!({ "color": "blue" })), NOW).unwrap();
    for miles in [100, 200] {
        a.device.capture(reading(here.id, miles), NOW).unwrap();
    }
    sync(&mut a.device, &mut server, NOW);
    let pending = a.device.pending(NOW).unwrap();
    for written in 0..4 {
        a = with_journal(
            a,
            &format!(
                "CREATE TRIGGER full BEFORE INSERT ON operations
             WHEN (SELECT count(*) FROM operations) >= {} BEGIN SELECT RAISE(ABORT, 'full'); END",
                pending.len() + written
            ),
        );
        assert!(a.device.same_as(&here, &there, NOW).is_err());
        a = with_journal(a, "DROP TRIGGER full");
        assert_eq!(a.device.pending(NOW).unwrap(), pending, "{written} written");
        assert_eq!(a.fields(&there), map(json!({ "nickname": "Van", "vin": VIN })));
    }
    a.device.same_as(&here, &there, NOW).unwrap();
    sync(&mut a.device, &mut server, NOW);
    assert!(a.device.pending(NOW).unwrap().is_empty());
    assert_eq!(values(&a, "nickname"), ["Old", "Van"]);
    assert_eq!(a.device.vehicle(VehicleId(there.id)).unwrap().unwrap().miles, Some(200));
    assert_eq!(a.device.verify().unwrap(), Ok(()));
}

/// The phone after a statement was run on its journal, closed meanwhile.
fn with_journal(phone: Phone, sql: &str) -> Phone {
    let Phone { device, dir, user } = phone;
    drop(device);
    let journal = rusqlite::Connection::open(dir.path().join("journal.db")).unwrap();
    journal.execute_batch(sql).unwrap();
    drop(journal);
    // Another seed each time: the same entropy makes the same ids.
    let seed = sql.len() as u8;
    let device = open(&dir, user, seed);
    Phone { device, dir, user }
}
