//! A device process to be killed: captures without end, prints each capture that was acknowledged,
//! and syncs every few. `field_device DIR URL TOKEN VEHICLE COUNT` ends after COUNT captures, when
//! everything is synced; COUNT 0 only syncs.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::io::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use chrono::NaiveDate;
use motomind_core::http::{Http, SyncEnd};
use motomind_core::protocol::{Claims, Fix, FixSource};
use motomind_core::{Capture, Device, OpenOptions};
use uuid::Uuid;

type Failure = Box<dyn std::error::Error>;

/// Captures between two syncs.
const SYNC_EVERY: u64 = 4;

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [dir, url, token, vehicle, count] = arguments.as_slice() else {
        return Err("field_device DIR URL TOKEN VEHICLE COUNT".into());
    };
    let mut seed = [0; 32];
    seed[..16].copy_from_slice(Uuid::new_v4().as_bytes());
    seed[16..].copy_from_slice(Uuid::new_v4().as_bytes());
    let mut device = Device::open(OpenOptions {
        journal: format!("{dir}/journal.db"),
        mirror: format!("{dir}/mirror.db"),
        vfs: None,
        identity: Some(Claims::peek(token)?.identity()),
        key: None,
        seed,
        now: now(),
    })?;
    device.set_token(Some(token), now());
    let device = Mutex::new(device);
    let http = Http::new(url)?;
    for index in 0..count.parse::<u64>()? {
        let day = NaiveDate::from_ymd_opt(2026, 11, 20).unwrap_or_default();
        let mut capture = Capture::new(vehicle.parse()?, "damage", now(), day, "America/Denver");
        capture.payload.insert("description".into(), format!("scratch {index}").into());
        capture.fix = Some(Fix::at(39.7, -105.0, FixSource::Gps));
        let captured =
            device.lock().unwrap_or_else(PoisonError::into_inner).capture(capture, now())?;
        // From here on this capture must never be lost.
        println!("{}", captured.op_id);
        std::io::stdout().flush()?;
        if index % SYNC_EVERY == 0 {
            http.sync_once(&device, now).await?;
        }
    }
    while http.sync_once(&device, now).await? != SyncEnd::CaughtUp {}
    println!("synced");
    Ok(())
}
