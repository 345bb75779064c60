//! What the server refuses is mended, given up or offered again; the other edits stand.

use motomind_core::protocol::{OpState, VehicleId};
use motomind_core::*;
use serde_json::json;
use uuid::Uuid;

use super::server::{Server, sync};
use super::{NOW, Phone, VIN, map, reading};

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
