//! The device's figures, each as a ratio to a bare baseline in the same run.
//!
//! ```text
//! cargo bench -p motomind-core --bench figures            # all
//! cargo bench -p motomind-core --bench figures -- capture # one: capture, timeline, apply, open, photos
//! ```
//! Machines drift; ratios carry over. Baseline and subject take turns in small blocks, and the
//! medians of single operations are compared.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "figures/bare.rs"]
mod bare;
#[path = "figures/photos.rs"]
mod photos;
#[path = "figures/records.rs"]
mod records;

use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use chrono::NaiveDate;
use motomind_core::protocol::{Event, EventRecord, Identity, TenantId, UserId, VehicleId};
use motomind_core::{Capture, Device, OpenOptions, TimelineQuery, mirror};
use rusqlite::Connection;
use serde_json::json;
use serde_json::value::RawValue;
use tempfile::TempDir;
use uuid::Uuid;

const NOW: i64 = 1_760_000_000_000;

fn main() {
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let run = |name: &str| wanted.is_empty() || wanted.iter().any(|w| w == name);
    if run("capture") {
        capture();
    }
    if run("timeline") {
        timeline();
    }
    if run("apply") {
        apply();
    }
    if run("open") {
        open();
    }
    if run("photos") {
        photos::photos();
    }
    if run("records") {
        records::records();
    }
}

fn options(dir: &Path) -> OpenOptions {
    let file = |name: &str| dir.join(name).to_str().unwrap().to_string();
    OpenOptions {
        journal: file("journal.db"),
        mirror: file("mirror.db"),
        vfs: None,
        identity: Some(Identity {
            tenant_id: TenantId(Uuid::from_u128(1)),
            user_id: UserId(Uuid::from_u128(2)),
        }),
        key: None,
        seed: [3; 32],
        now: NOW,
    }
}

fn day() -> NaiveDate {
    NaiveDate::from_ymd_opt(2025, 10, 9).unwrap()
}

fn fuel(vehicle: u128, index: i64) -> Capture {
    let at = NOW + index * 600_000;
    let mut capture =
        Capture::new(VehicleId(Uuid::from_u128(vehicle)), "fuel", at, day(), "America/Denver");
    capture.miles = Some(50_000 + index);
    capture.total_minor = Some(4_812);
    capture.vendor = Some("Sinclair Leadville".into());
    capture.payload.insert("gallons".into(), json!(12.345));
    capture
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn timed(times: &mut Vec<Duration>, work: impl FnOnce()) {
    let start = Instant::now();
    work();
    times.push(start.elapsed());
}

/// A durable capture against a bare durable insert of the same bytes, and against the floor: one
/// 4 KiB overwrite with `fdatasync`.
fn capture() {
    const BLOCKS: i64 = 60;
    const PER_BLOCK: i64 = 50;
    let dir = TempDir::new().unwrap();
    let mut device = Device::open(options(dir.path())).unwrap();
    let bare = Connection::open(dir.path().join("bare.db")).unwrap();
    bare.execute_batch(
        "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
         CREATE TABLE captures (pos INTEGER PRIMARY KEY, text TEXT NOT NULL);",
    )
    .unwrap();
    let block = File::create(dir.path().join("block")).unwrap();
    block.write_all_at(&[0; 1 << 20], 0).unwrap();
    block.sync_all().unwrap();
    let text = "x".repeat(900);
    let (mut ours, mut inserts, mut floor) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..BLOCKS {
        for index in 0..PER_BLOCK {
            let capture = fuel(u128::from(index as u64 % 5) + 10, round * PER_BLOCK + index);
            timed(&mut ours, || {
                black_box(device.capture(capture, NOW).unwrap());
            });
            timed(&mut inserts, || {
                bare.prepare_cached("INSERT INTO captures (text) VALUES (?1)")
                    .unwrap()
                    .execute([&text])
                    .unwrap();
            });
            timed(&mut floor, || {
                block.write_all_at(&[7; 4096], (index as u64) * 4096).unwrap();
                block.sync_data().unwrap();
            });
        }
        if round == 9 {
            // Warm: both WALs have been written around once.
            ours.clear();
            inserts.clear();
            floor.clear();
        }
    }
    let (ours, inserts, floor) = (median(&mut ours), median(&mut inserts), median(&mut floor));
    println!("capture(), durable                 {:8.1} µs", micros(ours));
    println!("bare one-row insert, WAL/FULL      {:8.1} µs", micros(inserts));
    println!("4 KiB overwrite + fdatasync        {:8.1} µs", micros(floor));
    println!("capture rate / bare insert rate    {:8.2}", micros(inserts) / micros(ours));
    println!("capture time / overwrite time      {:8.2}", micros(ours) / micros(floor));
}

fn change(seq: u64, vehicles: u64) -> Box<RawValue> {
    let vehicle = VehicleId(Uuid::from_u128(u128::from(seq % vehicles) + 10));
    let mut id = [0; 10];
    id[2..].copy_from_slice(&seq.to_be_bytes());
    let at = NOW + i64::try_from(seq / vehicles).unwrap() * 60_000;
    let event_id = motomind_core::protocol::uuid_v7(at, id);
    let mut event = Event::new(event_id.into(), vehicle, "fuel", at, day(), "America/Denver");
    event.miles = Some(i64::try_from(seq / vehicles).unwrap());
    event.total_minor = Some(4_812);
    event.vendor = Some("Sinclair Leadville".into());
    event.payload.insert("gallons".into(), json!(12.345));
    let record = EventRecord {
        event,
        received_at: at,
        op_id: None,
        device_id: None,
        user_id: None,
        corrects: None,
        flags: Vec::new(),
        extra: serde_json::Map::new(),
    };
    let change = json!({ "seq": seq, "kind": "event", "data": record });
    RawValue::from_string(change.to_string()).unwrap()
}

/// A mirror file with so many events, as pulling would have made it.
fn build_mirror(dir: &Path, events: u64, vehicles: u64) {
    drop(Device::open(options(dir)).unwrap());
    let conn = Connection::open(dir.join("mirror.db")).unwrap();
    conn.execute_batch("PRAGMA synchronous = OFF").unwrap();
    for page in 0..events.div_ceil(1_000) {
        let first = page * 1_000 + 1;
        let changes: Vec<_> =
            (first..=(first + 999).min(events)).map(|seq| change(seq, vehicles)).collect();
        let tx = conn.unchecked_transaction().unwrap();
        let applied = mirror::apply(&tx, &changes, first - 1, 1).unwrap();
        tx.execute("UPDATE mirror SET seq = ?1", [applied.seq as i64]).unwrap();
        tx.commit().unwrap();
    }
}

/// The newest 50 events of one vehicle, ours against a bare prepared query on the same file, in a
/// small and a large mirror.
fn timeline() {
    let measured = [(10_000_u64, 10_u64), (1_000_000, 1_000)].map(|(events, vehicles)| {
        let dir = TempDir::new().unwrap();
        build_mirror(dir.path(), events, vehicles);
        let (mut ours, mut bare) = (Vec::new(), Vec::new());
        for round in 0..6 {
            let device = Device::open(options(dir.path())).unwrap();
            for index in 0..300_u64 {
                let vehicle = Some(VehicleId(Uuid::from_u128(u128::from(index % 10) + 10)));
                let query = TimelineQuery { vehicle, ..Default::default() };
                timed(&mut ours, || {
                    assert_eq!(black_box(device.timeline(&query).unwrap()).entries.len(), 50);
                });
            }
            drop(device);
            bare_timeline(dir.path(), &mut bare);
            if round == 0 {
                ours.clear();
                bare.clear();
            }
        }
        let (ours, bare) = (median(&mut ours), median(&mut bare));
        println!("newest 50 of a vehicle in {events:>9}  {:8.1} µs", micros(ours));
        println!("the bare query on the same file      {:8.1} µs", micros(bare));
        println!("ours / bare                          {:8.2}", micros(ours) / micros(bare));
        ours
    });
    let growth = micros(measured[1]) / micros(measured[0]);
    println!("ours at 1,000,000 / ours at 10,000   {growth:8.2}");
}

fn bare_timeline(dir: &Path, times: &mut Vec<Duration>) {
    let conn = Connection::open(dir.join("mirror.db")).unwrap();
    conn.execute_batch("PRAGMA locking_mode = EXCLUSIVE").unwrap();
    let mut statement = conn
        .prepare(
            "SELECT event_id, vehicle_id, type, occurred_at, date, miles, seq, state, data
             FROM events WHERE vehicle_id = ?1 AND hidden = 0
             ORDER BY occurred_at DESC, event_id DESC LIMIT 50",
        )
        .unwrap();
    for index in 0..300_u64 {
        let vehicle = Uuid::from_u128(u128::from(index % 10) + 10);
        timed(times, || {
            let rows: Vec<(Vec<u8>, String, i64, String)> = statement
                .query_map([vehicle.as_bytes().as_slice()], |row| {
                    Ok((row.get(0)?, row.get(2)?, row.get(3)?, row.get(8)?))
                })
                .unwrap()
                .collect::<Result<_, _>>()
                .unwrap();
            assert_eq!(black_box(rows).len(), 50);
        });
    }
}

/// Applying pulled pages against bare inserts of the same rows into the same tables.
fn apply() {
    const EVENTS: u64 = 100_000;
    let pages: Vec<Vec<Box<RawValue>>> = (0..EVENTS / 1_000)
        .map(|page| (1..=1_000).map(|index| change(page * 1_000 + index, 100)).collect())
        .collect();
    let dir = TempDir::new().unwrap();
    drop(Device::open(options(dir.path())).unwrap());
    let conn = Connection::open(dir.path().join("mirror.db")).unwrap();
    conn.execute_batch("PRAGMA synchronous = NORMAL").unwrap();
    let start = Instant::now();
    for (index, page) in pages.iter().enumerate() {
        let tx = conn.unchecked_transaction().unwrap();
        mirror::apply(&tx, page, index as u64 * 1_000, 1).unwrap();
        tx.commit().unwrap();
    }
    let ours = start.elapsed();
    let (_, bare) = bare::inserts(&conn, dir.path());
    let rate = |time: Duration| EVENTS as f64 / time.as_secs_f64();
    println!("apply pulled pages                 {:8.0} events/s", rate(ours));
    println!("bare inserts of the same rows      {:8.0} events/s", rate(bare));
    println!("apply / bare                       {:8.2}", rate(ours) / rate(bare));
}

/// Opening a device with 20,000 captures that the server does not have.
fn open() {
    const PENDING: i64 = 20_000;
    let dir = TempDir::new().unwrap();
    let mut device = Device::open(options(dir.path())).unwrap();
    let captures = (0..PENDING).map(|index| fuel(10 + (index % 40) as u128, index)).collect();
    let stored = device.capture_all(captures, NOW).unwrap();
    assert!(stored.iter().all(Result::is_ok));
    drop(device);
    let mut times = Vec::new();
    for _ in 0..5 {
        timed(&mut times, || {
            let device = Device::open(options(dir.path())).unwrap();
            assert_eq!(device.status(NOW).unwrap().unsent, PENDING as u64);
        });
    }
    let device = Device::open(options(dir.path())).unwrap();
    println!("open with 20,000 pending           {:8.1} ms", micros(median(&mut times)) / 1e3);
    println!("resident memory of the process     {:8.1} MiB", kib("VmRSS:") as f64 / 1024.0);
    drop(device);
}

/// A line of the process's status, KiB.
fn kib(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap_or("");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).unwrap_or(0)
}
