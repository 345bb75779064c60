//! Edits that their record has left behind: its document began again without its history, or its
//! creation was taken back.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "records/server.rs"]
#[allow(dead_code)]
mod server;

use motomind_core::protocol::records::{
    Actor, Circumstances, Document, RecordIntent, Signature, compacted, take_over_chain,
};
use motomind_core::protocol::wire::{ChangeKind, PushRequest, RecordChange};
use motomind_core::protocol::{Identity, Operation, TenantId, UserId};
use motomind_core::*;
use serde_json::{Map, Value, json};
use server::Server;
use tempfile::TempDir;
use uuid::Uuid;

const NOW: i64 = 1_800_000_000_000;

fn open(dir: &TempDir) -> Device {
    let file = |name: &str| dir.path().join(name).to_str().unwrap().to_string();
    let identity =
        Identity { tenant_id: TenantId(Uuid::from_u128(1)), user_id: UserId(Uuid::from_u128(7)) };
    let mut device = Device::open(OpenOptions {
        journal: file("journal.db"),
        mirror: file("mirror.db"),
        vfs: None,
        identity: Some(identity),
        key: None,
        seed: [7; 32],
        now: NOW,
    })
    .unwrap();
    device.set_token(Some(&server::token(7)), NOW);
    device
}

fn map(fields: Value) -> Map<String, Value> {
    fields.as_object().unwrap().clone()
}

fn description(fields: &Map<String, Value>) -> &str {
    fields.get("description").and_then(Value::as_str).unwrap_or_default()
}

/// Lets a device pull while its pushes fail. Returns what it would have pushed.
fn pull(device: &mut Device, server: &mut Server, now: i64) -> Vec<Operation> {
    device.on_poke(now);
    let mut pushed = Vec::new();
    for _ in 0..20 {
        let Step::Send(requests) = device.next_step(now).unwrap() else { break };
        for request in requests {
            if request.path == "/v1/sync/push" {
                let push: PushRequest = serde_json::from_slice(&server::body(&request)).unwrap();
                pushed.extend(push.operations.iter().map(|sealed| sealed.open().unwrap()));
                device.on_failure(request.id, FailureKind::Network, now);
            } else {
                let reply = server.answer(&request, now);
                device.on_reply(request.id, &reply, now).unwrap();
            }
        }
    }
    pushed
}

/// The record's document begins again. Returns it as it was.
fn begin_again(server: &mut Server, record: &RecordRef) -> Document {
    let old = server.documents[record].clone();
    let short = compacted(&old, record.id).unwrap();
    let change = RecordChange {
        collection: record.collection.clone(),
        id: record.id,
        op_id: None,
        changes: short.changes_since(&[]),
        whole: true,
        extra: Map::new(),
    };
    let kind = serde_json::to_value(ChangeKind::Record(Box::new(change))).unwrap();
    server.append("record", kind["data"].clone());
    server.documents.insert(record.clone(), short);
    old
}

/// The record as the server will have it once it has taken these.
fn judged(server: &Server, record: &RecordRef, olds: &[&Document], ops: &[Operation]) -> Document {
    let mut document = server.documents[record].clone();
    let mut accepted = Vec::new();
    for operation in ops {
        let intent: &RecordIntent = operation.intent().unwrap();
        let signature = Signature {
            actor: Actor::Device(operation.device_id),
            user: Some(operation.user_id),
            at: operation.clock.wall_ms,
        };
        let around = Circumstances { signature, now: NOW, accepted: &accepted };
        let taken = take_over_chain(&document, olds, intent, &intent.step, &around).unwrap();
        assert!(taken.heads_known);
        document = taken.document;
        accepted.push(operation.op_id);
    }
    document
}

#[test]
fn edits_of_before_two_new_beginnings_are_shown_as_the_server_will_take_them() {
    let mut server = Server::new();
    let record = RecordRef::new("reminders", Uuid::from_u128(0x300));
    let first = json!({"title": "Oil", "status": "active", "description": "change the oil"});
    server.write(&record, first, None);
    let dir = TempDir::new().unwrap();
    let mut device = open(&dir);
    pull(&mut device, &mut server, NOW);

    let edit = json!({"description": "change the oil soon", "due_miles": 5_000});
    device.edit(&record, map(edit), NOW).unwrap();
    let edit = json!({"description": "change all the oil soon"});
    device.edit(&record, map(edit), NOW).unwrap();
    server.write(&record, json!({"description": "please change the oil"}), None);
    let eldest = begin_again(&mut server, &record);
    pull(&mut device, &mut server, NOW + 600_000);
    let text = json!({"description": "please change the oil!", "due_miles": 6_000});
    server.write(&record, text, None);
    let older = begin_again(&mut server, &record);
    server.write(&record, json!({"priority": "high"}), None);
    let pushed = pull(&mut device, &mut server, NOW + 1_200_000);

    let wanted = judged(&server, &record, &[&eldest, &older], &pushed);
    let view = device.record(&record).unwrap().unwrap();
    assert_eq!(description(&view.fields), "please change all the oil soon!");
    assert_eq!(view.fields, wanted.fields());
    assert_eq!(view.conflicting, wanted.conflicts());
    assert_eq!(view.conflicting.len(), 1, "5,000 and 6,000 miles compete: {view:?}");
    drop(device);
    assert_eq!(earlier_documents(&dir), 2);

    // Once everything is settled nothing leads back.
    let mut device = open(&dir);
    for operation in pushed {
        device.discard(operation.op_id, "not mine", NOW + 1_200_000).unwrap();
    }
    server::sync(&mut device, &mut server, NOW + 4_800_000);
    drop(device);
    let device = open(&dir);
    assert_eq!(device.record(&record).unwrap().unwrap().fields, server.documents[&record].fields());
    drop(device);
    assert_eq!(earlier_documents(&dir), 0);
}

#[test]
fn an_edit_of_a_record_that_was_taken_back_can_be_taken_back() {
    let mut server = Server::new();
    let dir = TempDir::new().unwrap();
    let mut device = open(&dir);
    pull(&mut device, &mut server, NOW);
    let fields = json!({"title": "Oil", "status": "active"});
    let created = device.create("reminders", map(fields), NOW).unwrap();
    let edited = device.edit(&created.record, map(json!({"due_miles": 5_000})), NOW).unwrap();
    // For all the device knows, both may have arrived.
    assert_eq!(pull(&mut device, &mut server, NOW).len(), 2);

    device.discard(created.op_id.unwrap(), "not mine", NOW).unwrap();
    device.discard(edited.op_id.unwrap(), "not mine", NOW).unwrap();
    assert!(device.record(&created.record).unwrap().is_none());
    server::sync(&mut device, &mut server, NOW + 4_800_000);
    assert!(device.pending(NOW + 4_800_000).unwrap().is_empty());
    assert!(server.documents.is_empty());
}

fn earlier_documents(dir: &TempDir) -> i64 {
    let mirror = rusqlite::Connection::open(dir.path().join("mirror.db")).unwrap();
    mirror.query_row("SELECT count(*) FROM record_earlier", [], |row| row.get(0)).unwrap()
}
