//! A photo's way into the journal, against bare writes of the same bytes in the same pieces.

use std::path::Path;
use std::time::{Duration, Instant};

use motomind_core::protocol::flow;
use motomind_core::{Device, HostPreview, PhotoMeta, PhotoTarget};
use rusqlite::{Connection, params};
use tempfile::TempDir;

use super::{NOW, median, options, timed};

const PIECE: usize = 256 * 1024;
const MIB: usize = 1024 * 1024;

/// A real beginning; behind it bytes that differ from photo to photo.
fn photo(bytes: usize, seed: u64) -> Vec<u8> {
    let head = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/photos/north_west.jpg");
    let mut photo = std::fs::read(head).unwrap();
    let mut state = seed | 1;
    while photo.len() < bytes {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        photo.extend_from_slice(&state.to_be_bytes());
    }
    photo.truncate(bytes);
    photo
}

/// Photos of 5 and 60 MB: stored, hashed and read for their facts, against the same pieces inserted
/// into a bare table, each a transaction of its own that is not waited for and a last one that is.
pub(crate) fn photos() {
    for (bytes, rounds) in [(5_000_000, 24), (60_000_000, 5)] {
        let dir = TempDir::new().unwrap();
        let mut device = Device::open(options(dir.path())).unwrap();
        let session = device.begin_session(vehicle(), "document", flow::Path::Quick, NOW).unwrap();
        let bare = bare(dir.path());
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for round in 0..rounds {
            let photo = photo(bytes, round * 7 + 3);
            let target = PhotoTarget::Session { id: session.id, step: None };
            timed(&mut ours, || {
                let meta = PhotoMeta::default();
                device.add_photo(target, &photo[..], meta, HostPreview::Later, NOW).unwrap();
            });
            timed(&mut theirs, || write_bare(&bare, &photo, round as i64));
            if round == 0 {
                ours.clear();
                theirs.clear();
            }
        }
        let (ours, theirs) = (median(&mut ours), median(&mut theirs));
        let rate = |time: Duration| bytes as f64 / 1e6 / time.as_secs_f64();
        println!(
            "photo of {:>2} MB, stored              {:8.1} MB/s",
            bytes / 1_000_000,
            rate(ours)
        );
        println!("bare writes of the same pieces       {:8.1} MB/s", rate(theirs));
        println!("photo / bare                         {:8.2}", rate(ours) / rate(theirs));
    }
    memory();
}

fn vehicle() -> motomind_core::protocol::VehicleId {
    motomind_core::protocol::VehicleId(uuid::Uuid::from_u128(10))
}

fn bare(dir: &Path) -> Connection {
    let bare = Connection::open(dir.join("bare.db")).unwrap();
    bare.execute_batch(
        "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
         CREATE TABLE chunks (photo INTEGER, chunk INTEGER, bytes BLOB NOT NULL,
                              PRIMARY KEY (photo, chunk)) STRICT;
         CREATE TABLE photos (n INTEGER PRIMARY KEY) STRICT;",
    )
    .unwrap();
    bare
}

fn write_bare(bare: &Connection, photo: &[u8], n: i64) {
    let mut insert = bare.prepare_cached("INSERT INTO chunks VALUES (?1, ?2, ?3)").unwrap();
    bare.execute_batch("PRAGMA synchronous = NORMAL").unwrap();
    for (chunk, piece) in photo.chunks(PIECE).enumerate() {
        insert.execute(params![n, chunk as i64, piece]).unwrap();
    }
    bare.execute_batch("PRAGMA synchronous = FULL").unwrap();
    bare.execute("INSERT INTO photos VALUES (?1)", [n]).unwrap();
}

/// Memory while a photo of 60 MB is stored, above what the process took before it.
fn memory() {
    let dir = TempDir::new().unwrap();
    let mut device = Device::open(options(dir.path())).unwrap();
    let session = device.begin_session(vehicle(), "document", flow::Path::Quick, NOW).unwrap();
    let head = photo(MIB, 1);
    let piece = vec![7; MIB];
    // What was measured before counts no more.
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let idle = super::kib("VmRSS:");
    let target = PhotoTarget::Session { id: session.id, step: None };
    let handle = device.begin_photo(target, PhotoMeta::default(), NOW).unwrap();
    let start = Instant::now();
    device.write_photo(handle, &head).unwrap();
    for _ in 1..60 {
        device.write_photo(handle, &piece).unwrap();
    }
    device.finish_photo(handle, HostPreview::Later).unwrap();
    let most = super::kib("VmHWM:");
    println!("60 MiB in                            {:8.1} ms", start.elapsed().as_secs_f64() * 1e3);
    println!("memory above idle meanwhile          {:8.1} MiB", (most - idle) as f64 / 1024.0);
}
