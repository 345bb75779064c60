//! Encryption at rest: with the feature `encryption` nothing readable rests in the files; without
//! it a key is refused openly instead of being ignored.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use motomind_core::protocol::{Identity, TenantId, UserId};
use motomind_core::*;
use tempfile::TempDir;
use uuid::Uuid;

const NOW: i64 = 1_760_000_000_000;

fn options(dir: &TempDir, key: Option<&str>) -> OpenOptions {
    let file = |name: &str| dir.path().join(name).to_str().unwrap().to_string();
    OpenOptions {
        journal: file("journal.db"),
        mirror: file("mirror.db"),
        vfs: None,
        identity: Some(Identity {
            tenant_id: TenantId(Uuid::from_u128(1)),
            user_id: UserId(Uuid::from_u128(2)),
        }),
        key: key.map(str::to_owned),
        seed: [1; 32],
        now: NOW,
    }
}

#[cfg(not(feature = "encryption"))]
#[test]
fn a_build_without_encryption_says_so() {
    let dir = TempDir::new().unwrap();
    assert!(matches!(Device::open(options(&dir, Some("k"))), Err(OpenError::NoEncryption)));
}

#[cfg(feature = "encryption")]
#[test]
fn nothing_readable_rests_in_the_files_and_only_the_key_opens_them() {
    use motomind_core::protocol::VehicleId;

    const CANARY: &str = "canary in the coal mine";
    let dir = TempDir::new().unwrap();
    let mut device = Device::open(options(&dir, Some("correct horse"))).unwrap();
    let day = chrono::NaiveDate::from_ymd_opt(2025, 10, 9).unwrap();
    let vehicle = VehicleId(Uuid::from_u128(3));
    let mut capture = Capture::new(vehicle, "odometer", NOW, day, "America/Denver");
    capture.miles = Some(54_120);
    capture.notes = Some(CANARY.into());
    let op_id = device.capture(capture, NOW).unwrap().op_id;
    let files = |dir: &TempDir| -> Vec<Vec<u8>> {
        let entries = std::fs::read_dir(dir.path()).unwrap();
        entries.map(|entry| std::fs::read(entry.unwrap().path()).unwrap()).collect()
    };
    let readable = |bytes: &Vec<u8>| {
        bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes())
            || bytes.starts_with(b"SQLite format 3")
    };
    // While open, with everything still in the logs, and after closing.
    assert!(files(&dir).len() >= 2 && !files(&dir).iter().any(readable));
    drop(device);
    assert!(!files(&dir).iter().any(readable));

    assert!(matches!(Device::open(options(&dir, Some("wrong"))), Err(OpenError::WrongKey)));
    assert!(matches!(
        Device::open(options(&dir, None)),
        Err(OpenError::WrongKey | OpenError::JournalDamaged(_))
    ));
    let device = Device::open(options(&dir, Some("correct horse"))).unwrap();
    assert_eq!(device.pending(NOW).unwrap()[0].op_id, op_id);
}
