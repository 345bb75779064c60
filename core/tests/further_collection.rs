//! A collection that is declared, and nothing else: devices lay out its table, create, edit, list,
//! and merge. And what an older declaration has left: documents without a field, a mirror without
//! its column, an edit sealed before the upgrade.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[allow(dead_code)] // the tests of records use all of it
#[path = "records/server.rs"]
mod server;

use motomind_core::protocol::records::schema::{self, Collection, Field, Form, Key, Unique};
use motomind_core::protocol::records::{
    Action, Actor, Circumstances, FieldEdit, Patch, RecordIntent, Signature, Step, take_in,
};
use motomind_core::protocol::{DeviceId, Identity, OpState, TenantId, UserId};
use motomind_core::{Device, OpenOptions, RecordRef, RecordState};
use serde_json::{Map, Value, json};
use server::{Server, sync};
use tempfile::TempDir;
use uuid::Uuid;

const NOW: i64 = 1_800_000_000_000;

const fn field(name: &'static str, form: Form, required: bool) -> Field {
    Field { name, form, required }
}

const NAME: Field = field("name", Form::Line(1, 100), true);
const SERIAL: Field = field("serial", Form::Line(1, 50), false);
const NOTES: Field = field("notes", Form::Text(1_000), false);
const TAKEN: &[Unique] = &[Unique { code: "serial_taken", fields: &["serial"], only: None }];

/// What the older version of the app declared.
static OLDER: Collection =
    Collection { name: "tools", key: Key::Made, fields: &[NAME, SERIAL], unique: TAKEN };

static TOOLS: [Collection; 1] = [Collection {
    name: "tools",
    key: Key::Made,
    fields: &[NAME, SERIAL, NOTES, field("size_mm", Form::Integer(1, 100), false)],
    unique: TAKEN,
}];

fn declare() {
    let _ = schema::declare(&TOOLS);
    assert_eq!(schema::find("tools").unwrap().fields.len(), 4);
}

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

    /// Closed, changed, and opened again.
    fn upgraded(self, change: impl FnOnce(&rusqlite::Connection)) -> Self {
        let Self { device, dir, user } = self;
        drop(device);
        change(&rusqlite::Connection::open(dir.path().join("mirror.db")).unwrap());
        let device = open(&dir, user, user as u8 + 100);
        Self { device, dir, user }
    }

    fn fields(&self, record: &RecordRef) -> Map<String, Value> {
        self.device.record(record).unwrap().unwrap().fields
    }
}

fn open(dir: &TempDir, user: u128, seed: u8) -> Device {
    let file = |name: &str| dir.path().join(name).to_str().unwrap().to_string();
    let user_id = UserId(Uuid::from_u128(user));
    let mut device = Device::open(OpenOptions {
        journal: file("journal.db"),
        mirror: file("mirror.db"),
        vfs: None,
        identity: Some(Identity { tenant_id: TenantId(Uuid::from_u128(1)), user_id }),
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

#[test]
fn a_declaration_is_all_that_a_collection_takes() {
    declare();
    let mut server = Server::new();
    let (mut a, mut b) = (Phone::new(2), Phone::new(3));
    let made = json!({ "name": "Wrench", "serial": "S1", "notes": "worn" });
    let wrench = a.device.create("tools", map(made), NOW).unwrap().record;
    let listed = a.device.records("tools", false).unwrap();
    assert_eq!((listed.len(), listed[0].marks.state), (1, RecordState::Pending));
    assert!(a.device.take_changes().tables.contains("tools"));
    let refused = a.device.create("tools", map(json!({ "size_mm": 7 })), NOW).unwrap_err();
    assert!(refused.to_string().contains("name"), "{refused}");
    sync(&mut a.device, &mut server, NOW);
    sync(&mut b.device, &mut server, NOW);
    assert_eq!(b.fields(&wrench), a.fields(&wrench));

    // Texts merge, other values compete, on the screen of everyone.
    let edit = |name: &str, notes: &str| map(json!({ "name": name, "notes": notes }));
    a.device.edit(&wrench, edit("Spanner", "very worn"), NOW).unwrap();
    b.device.edit(&wrench, edit("Key", "worn out"), NOW).unwrap();
    for _ in 0..2 {
        sync(&mut a.device, &mut server, NOW);
        sync(&mut b.device, &mut server, NOW);
    }
    for phone in [&a, &b] {
        assert_eq!(phone.fields(&wrench)["notes"], "very worn out");
        let conflicts = phone.device.conflicts().unwrap();
        assert_eq!(conflicts.len(), 1);
        let values = &conflicts[0].conflict.values;
        let values: Vec<_> = values.iter().map(|one| one.value.as_str().unwrap()).collect();
        assert!(values.contains(&"Spanner") && values.contains(&"Key"), "{values:?}");
    }
    b.device.resolve(&wrench, "name", json!("Key"), NOW).unwrap();

    // What only one may have is refused, with the field; and deleting is undone.
    let again = b.device.create("tools", map(json!({ "name": "Other", "serial": "S1" })), NOW);
    assert_eq!(again.unwrap().warnings[0].code, "serial_taken");
    sync(&mut b.device, &mut server, NOW);
    let pending = b.device.pending(NOW).unwrap();
    assert_eq!(pending[0].reason.as_ref().unwrap().code, "serial_taken");
    b.device.discard(pending[0].op_id, "twice", NOW).unwrap();
    b.device.delete(&wrench, None, NOW).unwrap();
    assert!(b.device.records("tools", false).unwrap().is_empty());
    b.device.restore_record(&wrench, NOW).unwrap();
    for _ in 0..2 {
        sync(&mut b.device, &mut server, NOW);
        sync(&mut a.device, &mut server, NOW);
    }
    assert!(a.device.conflicts().unwrap().is_empty());
    assert_eq!(a.fields(&wrench), b.fields(&wrench));
    assert_eq!(a.fields(&wrench), server.documents[&wrench].fields());
}

/// A record of the older version, in the server's log.
fn older_record(server: &mut Server) -> RecordRef {
    let tool = RecordRef::new("tools", Uuid::from_u128(7));
    let set = |name: &str, value: &str| (name.to_string(), FieldEdit::Set(value.into()));
    let intent = RecordIntent {
        collection: "tools".into(),
        record_id: tool.id,
        step: Step {
            action: Action::Create,
            patch: Patch::from([set("name", "Wrench"), set("serial", "S1")]),
            reassign_to: None,
        },
        heads: Vec::new(),
        instead: Vec::new(),
        extra: Map::new(),
    };
    let signature =
        Signature { actor: Actor::Device(DeviceId(Uuid::from_u128(9))), user: None, at: NOW };
    let around = Circumstances { signature, now: NOW, accepted: &[] };
    let taken = take_in(&OLDER, None, &intent, &intent.step, &around).unwrap();
    server.tell(&tool, taken.changes.clone(), None);
    let document = motomind_core::protocol::records::Document::of_changes(
        schema::find("tools").unwrap(),
        tool.id,
        &taken.changes,
    );
    server.documents.insert(tool.clone(), document.unwrap());
    tool
}

#[test]
fn an_edit_from_before_an_upgrade_goes_on_after_it() {
    declare();
    let mut server = Server::new();
    let tool = older_record(&mut server);
    let (mut a, mut b) = (Phone::new(2), Phone::new(3));
    for phone in [&mut a, &mut b] {
        sync(&mut phone.device, &mut server, NOW);
    }
    // Sealed at the heads of a document that has no notes, and says nothing of what it does not
    // know: as the older version seals it.
    let edit = a.device.edit(&tool, map(json!({ "name": "Old wrench" })), NOW).unwrap();
    let mut a = a.upgraded(|mirror| {
        let older = "DROP TABLE tools;
                     CREATE TABLE tools (id BLOB PRIMARY KEY, name TEXT, serial TEXT);
                     UPDATE mirror SET layout = 'older';";
        mirror.execute_batch(older).unwrap();
    });
    assert_eq!(a.fields(&tool), map(json!({ "name": "Old wrench", "serial": "S1" })));
    assert_eq!(a.device.records("tools", false).unwrap()[0].fields["name"], "Old wrench");
    // The field that is new is there to write into, on both devices, and becomes one text.
    a.device.edit(&tool, map(json!({ "notes": "left shelf ", "size_mm": 13 })), NOW).unwrap();
    b.device.edit(&tool, map(json!({ "notes": "worn " })), NOW).unwrap();
    for _ in 0..2 {
        sync(&mut a.device, &mut server, NOW);
        sync(&mut b.device, &mut server, NOW);
    }
    let settled = a.device.operation(edit.op_id.unwrap(), NOW).unwrap().unwrap();
    assert_eq!(settled.state, OpState::Accepted);
    assert_eq!(a.device.verify().unwrap(), Ok(()));
    for phone in [&a, &b] {
        assert!(phone.device.pending(NOW).unwrap().is_empty());
        let fields = phone.fields(&tool);
        assert_eq!((&fields["name"], &fields["size_mm"]), (&json!("Old wrench"), &json!(13)));
        let notes = fields["notes"].as_str().unwrap();
        assert!(notes.contains("left shelf ") && notes.contains("worn "), "{notes}");
        assert!(phone.device.conflicts().unwrap().is_empty());
        assert_eq!(fields, server.documents[&tool].fields());
    }
}
