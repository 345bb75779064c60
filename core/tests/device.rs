//! The device by itself: what is captured stays captured.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use chrono::NaiveDate;
use motomind_core::protocol::{
    Fix, FixSource, Identity, OpState, TenantId, UserId, VehicleId, code, limits,
};
use motomind_core::*;
use tempfile::TempDir;
use uuid::Uuid;

const NOW: i64 = 1_760_000_000_000;

fn someone(user: u128) -> Identity {
    Identity { tenant_id: TenantId(Uuid::from_u128(1)), user_id: UserId(Uuid::from_u128(user)) }
}

fn options(dir: &TempDir, seed: u8) -> OpenOptions {
    let file = |name: &str| dir.path().join(name).to_str().unwrap().to_string();
    OpenOptions {
        journal: file("journal.db"),
        mirror: file("mirror.db"),
        vfs: None,
        identity: Some(someone(2)),
        key: None,
        seed: [seed; 32],
        now: NOW,
    }
}

fn truck() -> VehicleId {
    VehicleId(Uuid::from_u128(77))
}

fn reading(miles: i64) -> Capture {
    let day = NaiveDate::from_ymd_opt(2025, 10, 9).unwrap();
    let mut capture = Capture::new(truck(), "odometer", NOW, day, "America/Denver");
    capture.miles = Some(miles);
    capture
}

fn timeline(device: &Device) -> Vec<TimelineEntry> {
    device
        .timeline(&TimelineQuery { vehicle: Some(truck()), ..Default::default() })
        .unwrap()
        .entries
}

#[test]
fn a_capture_survives_being_dropped_without_closing() {
    let dir = TempDir::new().unwrap();
    let mut device = Device::open(options(&dir, 1)).unwrap();
    let first = device.capture(reading(100), NOW).unwrap();
    let second = device.capture(reading(110), NOW + 1).unwrap();
    drop(device);
    let device = Device::open(options(&dir, 2)).unwrap();
    let pending: Vec<_> = device.pending(NOW + 5).unwrap().iter().map(|item| item.op_id).collect();
    assert_eq!(pending, [first.op_id, second.op_id]);
    assert_eq!(device.verify().unwrap(), Ok(()));
    assert_eq!(timeline(&device).len(), 2);
}

#[test]
fn capturing_twice_with_one_id_is_one_capture() {
    let dir = TempDir::new().unwrap();
    let mut device = Device::open(options(&dir, 1)).unwrap();
    let mut capture = reading(100);
    capture.op_id = Some(Uuid::from_u128(9).into());
    assert!(!device.capture(capture.clone(), NOW).unwrap().duplicate);
    assert!(device.capture(capture.clone(), NOW + 1).unwrap().duplicate);
    capture.miles = Some(101);
    assert!(matches!(device.capture(capture, NOW), Err(CaptureError::IdReused)));
    assert_eq!(device.pending(NOW).unwrap().len(), 1);
}

#[test]
fn a_second_process_is_told_and_another_user_is_kept_out() {
    let dir = TempDir::new().unwrap();
    let device = Device::open(options(&dir, 1)).unwrap();
    assert!(matches!(Device::open(options(&dir, 2)), Err(OpenError::AlreadyOpen)));
    drop(device);
    let stranger = OpenOptions { identity: Some(someone(3)), ..options(&dir, 3) };
    assert!(matches!(Device::open(stranger), Err(OpenError::WrongIdentity(_))));
    let remembered = OpenOptions { identity: None, ..options(&dir, 4) };
    assert_eq!(Device::open(remembered).unwrap().identity().identity, someone(2));
    let nobody = OpenOptions { identity: None, ..options(&TempDir::new().unwrap(), 5) };
    assert!(matches!(Device::open(nobody), Err(OpenError::NoIdentity | OpenError::Store(_))));
}

#[test]
fn invalid_captures_are_refused_whole_and_say_what_to_mend() {
    let dir = TempDir::new().unwrap();
    let mut device = Device::open(options(&dir, 1)).unwrap();
    let mut bad = reading(-1);
    bad.fix = Some(Fix::at(f64::NAN, 200.0, FixSource::Gps));
    let Err(CaptureError::Invalid(violations)) = device.capture(bad, NOW) else {
        panic!("it was taken")
    };
    let fields: Vec<_> = violations.iter().map(|v| (v.field.as_str(), v.code.as_str())).collect();
    assert_eq!(
        fields,
        [
            ("miles", code::OUT_OF_RANGE),
            ("fix.latitude", code::NOT_FINITE),
            ("fix.longitude", code::OUT_OF_RANGE)
        ]
    );
    let mut long = reading(1);
    long.extra.insert("new_key".into(), "x".repeat(limits::OPERATION_BYTES_MAX).into());
    assert!(matches!(device.capture(long, NOW), Err(CaptureError::Seal(_))));
    assert!(device.pending(NOW).unwrap().is_empty());
    // A refusal leaves no gap in the chain.
    device.capture(reading(1), NOW).unwrap();
    assert_eq!(device.verify().unwrap(), Ok(()));
}

#[test]
fn a_wild_jump_is_confirmed_first() {
    let dir = TempDir::new().unwrap();
    let mut device = Device::open(options(&dir, 1)).unwrap();
    device.capture(reading(54_000), NOW).unwrap();
    let mut typo = reading(541_200);
    typo.occurred_at += 1;
    let refused = device.capture(typo.clone(), NOW + 1);
    assert!(matches!(refused, Err(CaptureError::ConfirmJump { before: 54_000, .. })));
    typo.payload.insert("confirmed_jump".into(), true.into());
    let warned = device.capture(typo, NOW + 1).unwrap().warnings;
    assert!(warned.iter().any(|warning| warning.code == "odometer_jump"));
}

#[test]
fn amending_and_discarding_keep_the_journal_and_change_the_screen() {
    let dir = TempDir::new().unwrap();
    let mut device = Device::open(options(&dir, 1)).unwrap();
    let first = device.capture(reading(100), NOW).unwrap().op_id;
    let amended = device.amend(first, reading(105), NOW + 1).unwrap().op_id;
    let shown: Vec<_> = timeline(&device).iter().map(|e| (e.event_id.into(), e.miles)).collect();
    assert_eq!(shown, [(amended, Some(105))]);
    assert!(matches!(device.amend(first, reading(1), NOW), Err(CaptureError::AlreadySuperseded)));
    device.discard(amended, "wrong vehicle", NOW + 2).unwrap();
    assert!(timeline(&device).is_empty());
    assert_eq!(device.operation(first, NOW).unwrap().unwrap().state, OpState::Superseded);
    assert_eq!(device.verify().unwrap(), Ok(()));
}

#[test]
fn a_lost_or_damaged_mirror_is_rebuilt_from_the_journal() {
    let dir = TempDir::new().unwrap();
    let mut device = Device::open(options(&dir, 1)).unwrap();
    device.capture(reading(100), NOW).unwrap();
    drop(device);
    let mirror = dir.path().join("mirror.db");
    std::fs::remove_file(&mirror).unwrap();
    let device = Device::open(options(&dir, 2)).unwrap();
    assert_eq!(timeline(&device).len(), 1);
    drop(device);
    std::fs::write(&mirror, vec![0x5a; 40_000]).unwrap();
    let device = Device::open(options(&dir, 3)).unwrap();
    assert_eq!(timeline(&device).len(), 1);
}

#[test]
fn a_damaged_journal_is_reported_salvaged_and_never_recreated() {
    let dir = TempDir::new().unwrap();
    let mut device = Device::open(options(&dir, 1)).unwrap();
    for miles in 0..300 {
        device.capture(reading(miles), NOW + miles).unwrap();
    }
    drop(device);
    let journal = dir.path().join("journal.db");
    let mut bytes = std::fs::read(&journal).unwrap();
    let middle = bytes.len() / 2 / 4096 * 4096;
    bytes[middle..middle + 4096].fill(0xff);
    std::fs::write(&journal, &bytes).unwrap();
    assert!(matches!(Device::open(options(&dir, 2)), Err(OpenError::JournalDamaged(_))));
    assert_eq!(std::fs::read(&journal).unwrap(), bytes);

    let into = dir.path().join("salvaged.db").to_str().unwrap().to_string();
    let salvaged = salvage(journal.to_str().unwrap(), &into, None, None).unwrap();
    assert!(salvaged.recovered > 250 && salvaged.unreadable > 0, "{salvaged:?}");
    let device = Device::open(OpenOptions { journal: into, ..options(&dir, 3) }).unwrap();
    assert_eq!(device.pending(NOW).unwrap().len() as u64, salvaged.recovered);
    assert_eq!(std::fs::read(&journal).unwrap(), bytes);
}

#[test]
fn captured_facts_cannot_be_changed_or_deleted_by_sql() {
    let dir = TempDir::new().unwrap();
    let mut device = Device::open(options(&dir, 1)).unwrap();
    device.capture(reading(100), NOW).unwrap();
    drop(device);
    let journal = rusqlite::Connection::open(dir.path().join("journal.db")).unwrap();
    for sql in [
        "UPDATE operations SET text = 'x'",
        "UPDATE operations SET hash = zeroblob(32)",
        "DELETE FROM operations",
    ] {
        assert!(journal.execute(sql, []).is_err(), "{sql}");
    }
}

#[test]
fn the_timeline_pages_by_key_and_filters() {
    let dir = TempDir::new().unwrap();
    let mut device = Device::open(options(&dir, 1)).unwrap();
    for index in 0..25 {
        let mut capture = reading(index);
        capture.occurred_at = NOW + index / 2; // pairs share an instant
        if index % 5 == 0 {
            capture.kind = "service".into();
            capture.payload.insert("kind".into(), "oil_change".into());
        }
        device.capture(capture, NOW).unwrap();
    }
    let mut query = TimelineQuery { limit: 4, ..Default::default() };
    let mut seen = Vec::new();
    loop {
        let page = device.timeline(&query).unwrap();
        seen.extend(page.entries.iter().map(|entry| entry.event_id));
        match page.next {
            Some(next) => query.before = Some(next),
            None => break,
        }
    }
    assert_eq!(seen.len(), 25);
    seen.dedup();
    assert_eq!(seen.len(), 25);
    let services = TimelineQuery { kind: Some("maintenance".into()), ..Default::default() };
    assert_eq!(device.timeline(&services).unwrap().entries.len(), 5);
    let tomorrow = NaiveDate::from_ymd_opt(2025, 10, 10);
    let none = TimelineQuery { from: tomorrow, ..Default::default() };
    assert!(device.timeline(&none).unwrap().entries.is_empty());
}

#[test]
fn a_journal_of_a_newer_app_is_left_alone() {
    let dir = TempDir::new().unwrap();
    let mut device = Device::open(options(&dir, 1)).unwrap();
    device.capture(reading(100), NOW).unwrap();
    drop(device);
    let journal = dir.path().join("journal.db");
    let set_version = |version: i64| {
        let conn = rusqlite::Connection::open(&journal).unwrap();
        conn.pragma_update(None, "user_version", version).unwrap();
    };
    let known: i64 = {
        let conn = rusqlite::Connection::open(&journal).unwrap();
        conn.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
    };
    set_version(99);
    let refused = Device::open(options(&dir, 2));
    assert!(matches!(refused, Err(OpenError::NewerSchema { found: 99, .. })));
    set_version(known);
    assert_eq!(Device::open(options(&dir, 3)).unwrap().pending(NOW).unwrap().len(), 1);
}

#[test]
fn a_mirror_of_another_version_is_emptied_and_shows_unsent_captures_again() {
    let dir = TempDir::new().unwrap();
    let mut device = Device::open(options(&dir, 1)).unwrap();
    let op_id = device.capture(reading(100), NOW).unwrap().op_id;
    drop(device);
    let mirror = rusqlite::Connection::open(dir.path().join("mirror.db")).unwrap();
    mirror
        .execute_batch("PRAGMA user_version = 99; ALTER TABLE events RENAME COLUMN data TO later;")
        .unwrap();
    drop(mirror);
    let device = Device::open(options(&dir, 2)).unwrap();
    assert_eq!(timeline(&device)[0].event_id, op_id.into());
}

/// A device with so many captures, closed, and the pages of one of its files.
fn pages_of(dir: &TempDir, file: &str, captures: i64) -> Vec<u8> {
    let mut device = Device::open(options(dir, 1)).unwrap();
    for miles in 0..captures {
        device.capture(reading(miles), NOW + miles).unwrap();
    }
    drop(device);
    std::fs::read(dir.path().join(file)).unwrap()
}

#[test]
fn any_damaged_page_of_the_mirror_costs_nothing_but_the_mirror() {
    let dir = TempDir::new().unwrap();
    let whole = pages_of(&dir, "mirror.db", 120);
    let pages = whole.len() / 4096;
    assert!(pages > 20);
    for page in 1..pages {
        let mut damaged = whole.clone();
        damaged[page * 4096..(page + 1) * 4096].fill(0xff);
        std::fs::write(dir.path().join("mirror.db"), &damaged).unwrap();
        let mut device = Device::open(options(&dir, u8::try_from(page + 1).unwrap())).unwrap();
        let more = reading(1_000 + page as i64);
        let op_id = device.capture(more, NOW + 10_000).unwrap().op_id;
        // The first look may find the damage; the next call that may change something mends it.
        let _ = device.timeline(&TimelineQuery { limit: 500, ..Default::default() });
        let _ = device.vehicles();
        device.set_token(None, NOW);
        device.capture(reading(2_000 + page as i64), NOW + 20_000).unwrap();
        let query = TimelineQuery { limit: 500, ..Default::default() };
        let shown = device.timeline(&query).unwrap().entries;
        assert!(shown.iter().any(|entry| entry.event_id == op_id.into()), "page {page}");
        assert_eq!(shown.len(), 120 + 2 * page, "page {page}");
    }
}

#[test]
fn salvage_counts_what_a_damaged_right_edge_has_cost() {
    let dir = TempDir::new().unwrap();
    let whole = pages_of(&dir, "journal.db", 200);
    let journal = dir.path().join("journal.db");
    // Newest captures lie on the last pages of the table.
    let conn = rusqlite::Connection::open(&journal).unwrap();
    let last: i64 = conn
        .query_row("SELECT max(pageno) FROM dbstat WHERE name = 'operations'", [], |row| row.get(0))
        .unwrap_or(whole.len() as i64 / 4096);
    drop(conn);
    let mut damaged = whole.clone();
    let at = (last as usize - 1) * 4096;
    damaged[at..at + 4096].fill(0xff);
    std::fs::write(&journal, &damaged).unwrap();
    let into = dir.path().join("salvaged.db").to_str().unwrap().to_string();
    let salvaged = salvage(journal.to_str().unwrap(), &into, None, None).unwrap();
    assert!(salvaged.recovered > 150, "{salvaged:?}");
    assert_eq!(salvaged.recovered + salvaged.unreadable, 200, "{salvaged:?}");
}
