//! Records: 10,000 vehicles from the mirror, an edit's cost and bytes, a document after 1,000 edits.

use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use motomind_core::protocol::records::{
    Action, Actor, Circumstances, Document, RecordIntent, Signature, Step, Taken, take,
};
use motomind_core::protocol::{DeviceId, UserId};
use motomind_core::{Device, RecordRef, mirror};
use rusqlite::Connection;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use uuid::Uuid;

use super::{NOW, change, fuel, median, micros, options, timed};

const VEHICLES: u64 = 10_000;

pub(crate) fn records() {
    listing();
    editing();
    a_thousand_edits();
}

fn signature(device: u128) -> Signature {
    Signature {
        actor: Actor::Device(DeviceId(Uuid::from_u128(device))),
        user: Some(UserId(Uuid::from_u128(2))),
        at: NOW,
    }
}

fn taken(existing: Option<&Document>, of: &RecordRef, patch: Value, device: u128) -> Taken {
    let action = if existing.is_some() { Action::Edit } else { Action::Create };
    let step = Step { action, patch: serde_json::from_value(patch).unwrap(), reassign_to: None };
    let intent = RecordIntent {
        collection: of.collection.clone(),
        record_id: of.id,
        heads: existing.map(Document::heads).unwrap_or_default(),
        step,
        instead: Vec::new(),
        extra: Map::new(),
    };
    let around = Circumstances { signature: signature(device), now: NOW, accepted: &[] };
    take(existing, &intent, &intent.step, &around).unwrap()
}

fn entry(seq: u64, of: &RecordRef, changes: &[Vec<u8>]) -> Box<RawValue> {
    let changes: Vec<String> = changes.iter().map(|change| STANDARD.encode(change)).collect();
    let data = json!({ "collection": of.collection, "id": of.id, "changes": changes });
    let entry = json!({ "seq": seq, "kind": "record", "data": data });
    RawValue::from_string(entry.to_string()).unwrap()
}

fn vehicle(seq: u64) -> Box<RawValue> {
    let of = RecordRef::new("vehicles", Uuid::from_u128(u128::from(seq) + 10));
    let patch = json!({
        "nickname": { "set": format!("Van {seq}") },
        "make": { "set": "Ford" }, "model": { "set": "F-150" }, "year": { "set": 2018 },
        "license_plate": { "set": format!("ABC-{seq}") }, "color": { "set": "blue" },
        "manufacturer_mpg": { "set": 20 }, "timezone": { "set": "America/Denver" },
    });
    entry(seq, &of, &taken(None, &of, patch, 77).changes)
}

/// A mirror of 10,000 vehicles with two readings each.
fn build(dir: &Path) {
    drop(Device::open(options(dir)).unwrap());
    let conn = Connection::open(dir.join("mirror.db")).unwrap();
    conn.execute_batch("PRAGMA synchronous = OFF").unwrap();
    let tx = conn.unchecked_transaction().unwrap();
    let vehicles: Vec<_> = (1..=VEHICLES).map(vehicle).collect();
    mirror::apply(&tx, &vehicles, 0, 1).unwrap();
    let readings: Vec<_> = (VEHICLES + 1..=3 * VEHICLES).map(|seq| change(seq, VEHICLES)).collect();
    mirror::apply(&tx, &readings, VEHICLES, 1).unwrap();
    tx.execute("UPDATE mirror SET seq = ?1", [(3 * VEHICLES) as i64]).unwrap();
    tx.commit().unwrap();
}

/// Opening and listing, against the same columns by bare SQL on the same file.
fn listing() {
    let dir = TempDir::new().unwrap();
    build(dir.path());
    let (mut both, mut lists) = (Vec::new(), Vec::new());
    let (mut bare_both, mut bare_lists) = (Vec::new(), Vec::new());
    for _ in 0..25 {
        timed(&mut both, || {
            let device = Device::open(options(dir.path())).unwrap();
            timed(&mut lists, || {
                assert_eq!(black_box(device.vehicles().unwrap()).len(), VEHICLES as usize);
            });
        });
        timed(&mut bare_both, || {
            let conn = Connection::open(dir.path().join("mirror.db")).unwrap();
            timed(&mut bare_lists, || {
                assert_eq!(bare_vehicles(&conn), VEHICLES as usize);
            });
        });
    }
    let ratio = |ours: Duration, bare: Duration| micros(ours) / micros(bare);
    let (lists, bare_lists) = (median(&mut lists), median(&mut bare_lists));
    let (both, bare_both) = (median(&mut both), median(&mut bare_both));
    println!("list 10,000 vehicles               {:8.1} ms", micros(lists) / 1e3);
    println!("the bare query on the same file    {:8.1} ms", micros(bare_lists) / 1e3);
    println!("list / bare                        {:8.2}", ratio(lists, bare_lists));
    println!("open and list                      {:8.1} ms", micros(both) / 1e3);
    println!("open and list / bare               {:8.2}", ratio(both, bare_both));
}

/// Reads every column of every row where it lies, and says how many rows there are.
fn bare_vehicles(conn: &Connection) -> usize {
    let mut statement = conn
        .prepare(
            "SELECT v.id, v.label, v.state, v.garage_id, v.make, v.model, v.trim, v.color, v.vin,
               v.license_plate, v.nickname, v.timezone, v.hero_photo, v.deleted_at, v.refused,
               v.conflicts, v.year, v.manufacturer_mpg, v.manufacturer_service_interval_miles,
               v.current_mileage_override,
               (SELECT miles FROM events e
                WHERE e.vehicle_id = v.id AND e.miles IS NOT NULL AND e.hidden = 0
                  AND e.state <> 'rejected'
                ORDER BY e.at DESC, e.seq IS NULL DESC, e.seq DESC LIMIT 1)
             FROM vehicles v WHERE v.deleted_at IS NULL ORDER BY v.label, v.id",
        )
        .unwrap();
    let mut rows = statement.query([]).unwrap();
    let mut count = 0;
    while let Some(row) = rows.next().unwrap() {
        for column in 0..21 {
            black_box(row.get_ref(column).unwrap());
        }
        count += 1;
    }
    count
}

/// One durable edit against one durable capture, and what it weighs on the wire.
fn editing() {
    let dir = TempDir::new().unwrap();
    build(dir.path());
    let mut device = Device::open(options(dir.path())).unwrap();
    let (mut edits, mut captures) = (Vec::new(), Vec::new());
    for index in 0..1_000_u64 {
        let of = RecordRef::new("vehicles", Uuid::from_u128(u128::from(index) + 11));
        let fields = Map::from_iter([("color".to_string(), json!(format!("red {index}")))]);
        timed(&mut edits, || {
            black_box(device.edit(&of, fields, NOW).unwrap());
        });
        let mut capture = fuel(u128::from(index) + 11, 9_000);
        capture.miles = None;
        timed(&mut captures, || {
            black_box(device.capture(capture, NOW).unwrap());
        });
    }
    let (edit, capture) = (median(&mut edits), median(&mut captures));
    println!("edit one field, durable            {:8.1} µs", micros(edit));
    println!("capture(), durable, in turn        {:8.1} µs", micros(capture));
    println!("edit / capture                     {:8.2}", micros(edit) / micros(capture));
    drop(device);
    let journal = Connection::open(dir.path().join("journal.db")).unwrap();
    let sealed = "SELECT avg(length(CAST(text AS BLOB))) FROM operations WHERE action = 'edit'";
    let sealed: f64 = journal.query_row(sealed, [], |row| row.get(0)).unwrap();
    println!("sealed operation of an edit        {sealed:8.0} bytes");
    let of = RecordRef::new("vehicles", Uuid::from_u128(11));
    let before = taken(None, &of, json!({ "nickname": { "set": "Van 1" } }), 77).document;
    let after = taken(Some(&before), &of, json!({ "color": { "set": "red 1" } }), 78);
    let logged = entry(10_001, &of, &after.changes).get().len();
    println!("its entry in the log               {logged:8} bytes");
}

/// A document after 1,000 edits by three devices, never compacted.
fn a_thousand_edits() {
    let of = RecordRef::new("reminders", Uuid::from_u128(7));
    let mut document =
        taken(None, &of, json!({ "title": { "set": "Oil" }, "status": { "set": "active" } }), 78)
            .document;
    let mut takes = Vec::new();
    for index in 0..1_000_u32 {
        let patch = match index % 3 {
            0 => json!({ "due_miles": { "set": 50_000 + index } }),
            1 => json!({ "title": { "set": format!("Oil {index}") } }),
            _ => {
                // Written into until it is nearly full, then over.
                let delete = if index < 400 { 0 } else { 7 };
                let splice = json!({ "at": 0, "delete": delete, "insert": "drain. " });
                json!({ "description": { "text": { "splices": [splice] } } })
            }
        };
        timed(&mut takes, || {
            document = taken(Some(&document), &of, patch, 78 + u128::from(index) % 3).document;
        });
    }
    let size = document.save().len();
    println!("document of 1,000 edits, 3 devices {size:8} bytes");
    println!("merging one of these edits         {:8.1} µs", micros(median(&mut takes)));
}
