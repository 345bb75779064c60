//! Mirrors, documents and servers that have lost something.

use motomind_core::*;
use serde_json::json;
use uuid::Uuid;

use super::server::{Server, sync};
use super::{NOW, Phone, map, open};

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

/// A creation that is amended then begins the record again, with all that it said (ADR 8), and
/// edits made over it follow.
#[test]
fn an_amended_creation_begins_again_what_a_restored_server_has_lost() {
    for made in [true, false] {
        let mut server = Server::new();
        let (mut a, mut b) = (Phone::new(2), Phone::new(3));
        let van = a.device.create("vehicles", map(json!({})), NOW).unwrap().record;
        sync(&mut a.device, &mut server, NOW);
        let backup = server.clone();
        let (collection, mut start) = match made {
            true => ("reminders", json!({ "title": "Oil", "status": "active" })),
            false => (
                "user_maintenance_preferences",
                json!({ "user_id": Uuid::from_u128(2), "vehicle_id": van.id, "interval_value": 5000,
                        "interval_type": "oil_change", "interval_unit": "miles" }),
            ),
        };
        let (text, other) = if made { ("description", "priority") } else { ("notes", "source") };
        start[text] = json!("drain");
        let begun = a.device.create(collection, map(start.clone()), NOW).unwrap();
        let (record, op) = (begun.record, begun.op_id.unwrap());
        let later = map(json!({ text: "drain, fill" }));
        sync(&mut a.device, &mut server, NOW);
        a.device.edit(&record, later, NOW + 1).unwrap();
        server.restored(backup);
        a.device.on_poke(NOW);
        let Step::Send(requests) = a.device.next_step(NOW).unwrap() else { panic!() };
        for request in requests {
            match request.method {
                "GET" => {
                    let reply = server.answer(&request, NOW);
                    assert_eq!(reply.status, 409);
                    a.device.on_reply(request.id, &reply, NOW).unwrap();
                }
                _ => a.device.on_failure(request.id, FailureKind::Network, NOW),
            }
        }
        a.device.amend_edit(op, map(json!({ other: "high" })), NOW + 2).unwrap();
        start[text] = json!("drain, fill");
        start[other] = json!("high");
        assert_eq!(a.fields(&record), map(start.clone()));
        for _ in 0..3 {
            sync(&mut a.device, &mut server, NOW + 100_000);
        }
        sync(&mut b.device, &mut server, NOW);
        assert!(a.device.pending(NOW).unwrap().is_empty(), "{:?}", a.device.pending(NOW));
        assert_eq!(server.documents[&record].fields(), map(start.clone()));
        for phone in [&a, &b] {
            assert_eq!(phone.fields(&record), map(start.clone()));
        }
    }
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

/// A phone that has no cursor yet cannot notice that the log it begins to read is another one. That
/// the server knew its creation before says nothing of this log.
#[test]
fn what_a_server_knew_before_it_was_restored_is_offered_to_a_log_that_is_read_from_its_beginning() {
    let mut server = Server::new();
    let backup = server.clone();
    let (mut a, mut b) = (Phone::new(2), Phone::new(3));
    let van = a.device.create("vehicles", map(json!({ "nickname": "Van" })), NOW).unwrap().record;
    // It arrives, the answer is lost; asked again the server says that it knows it. No pull ends.
    let mut now = NOW;
    for answered in [false, true] {
        let Step::Send(requests) = a.device.next_step(now).unwrap() else { panic!() };
        for request in requests {
            let reply = server.answer(&request, now);
            if answered && request.method == "POST" {
                a.device.on_reply(request.id, &reply, now).unwrap();
            } else {
                a.device.on_failure(request.id, FailureKind::Network, now);
            }
        }
        now += 3_600_000;
    }
    assert_eq!(a.device.pending(now).unwrap(), []);
    server.restored(backup);
    for title in ["Oil", "Tires"] {
        let due = json!({ "title": title, "status": "active" });
        b.device.create("reminders", map(due), now).unwrap();
    }
    sync(&mut b.device, &mut server, now);
    for _ in 0..2 {
        sync(&mut a.device, &mut server, now);
    }
    sync(&mut b.device, &mut server, now);
    assert_eq!(b.row(&van).map(|row| row.label), Some("Van".into()));
}
