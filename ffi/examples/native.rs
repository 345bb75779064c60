//! What capturing and a page of 50 cost without a border: to compare the figures of Kotlin and
//! Python with. Prints medians, µs.
#![allow(clippy::print_stdout)]

use std::time::Instant;

use motomind_core::protocol::{Identity, TenantId, UserId, VehicleId};
use motomind_core::{Capture, Device, OpenOptions, TimelineQuery};
use uuid::Uuid;

const TIMES: usize = 2_000;
/// 2026-03-01, UTC ms.
const NOON: i64 = 1_772_366_400_000;

fn median(
    mut call: impl FnMut() -> Result<(), Box<dyn std::error::Error>>,
) -> Result<f64, Box<dyn std::error::Error>> {
    let mut took = Vec::with_capacity(TIMES);
    for _ in 0..TIMES {
        let start = Instant::now();
        call()?;
        took.push(start.elapsed().as_secs_f64() * 1e6);
    }
    took.sort_by(f64::total_cmp);
    Ok(took[TIMES / 2])
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = std::env::temp_dir().join(format!("motomind-native-{}", std::process::id()));
    std::fs::create_dir_all(&directory)?;
    let file = |name: &str| directory.join(name).display().to_string();
    let started = Instant::now();
    let identity =
        Identity { tenant_id: TenantId(Uuid::from_u128(1)), user_id: UserId(Uuid::from_u128(2)) };
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)?;
    let mut device = Device::open(OpenOptions {
        journal: file("journal.db"),
        mirror: file("mirror.db"),
        vfs: None,
        identity: Some(identity),
        key: None,
        seed,
        now: NOON,
    })?;
    let truck = VehicleId(Uuid::from_u128(3));
    let day = chrono::NaiveDate::from_ymd_opt(2026, 3, 1).unwrap_or_default();
    let mut capture = Capture::new(truck, "damage", NOON, day, "America/Denver");
    capture.notes = Some("a scratch".into());
    capture.payload.insert("description".into(), "a scratch".into());
    let query = TimelineQuery { vehicle: Some(truck), limit: 50, ..TimelineQuery::default() };
    device.capture(capture.clone(), NOON)?;
    device.timeline(&query)?;
    println!("native first_row_ms {}", started.elapsed().as_millis());
    let captured = median(|| Ok(device.capture(capture.clone(), NOON).map(drop)?))?;
    println!("native capture_us {captured:.0}");
    println!("native page_us {:.0}", median(|| Ok(device.timeline(&query).map(drop)?))?);
    drop(device);
    std::fs::remove_dir_all(&directory)?;
    Ok(())
}
