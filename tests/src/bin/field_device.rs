//! A device process to be killed: captures without end, prints each capture that was acknowledged,
//! and syncs every few. `field_device DIR URL TOKEN VEHICLE COUNT [PHOTO_BYTES]` ends after COUNT
//! captures, when everything is synced; COUNT 0 only syncs. With PHOTO_BYTES each capture has a
//! photo of up to so many.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::io::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use chrono::NaiveDate;
use motomind_core::http::{Http, SyncEnd};
use motomind_core::protocol::{Claims, Fix, FixSource};
use motomind_core::{Capture, Device, HostPreview, NewPhoto, OpenOptions, PhotoMeta};
use motomind_tests::tus::photo;
use uuid::Uuid;

type Failure = Box<dyn std::error::Error>;

/// Captures between two syncs.
const SYNC_EVERY: u64 = 4;

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// A photo of up to so many bytes, where there is to be one.
fn picture(most: u64) -> Option<Vec<u8>> {
    let (high, low) = Uuid::new_v4().as_u64_pair();
    let bytes = usize::try_from(high % most.max(1)).unwrap_or(0).max(40);
    (most > 0).then(|| photo(low, bytes))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (dir, url, token, vehicle, count, photo_bytes) = match arguments.as_slice() {
        [dir, url, token, vehicle, count] => (dir, url, token, vehicle, count, 0),
        [dir, url, token, vehicle, count, photo_bytes] => {
            (dir, url, token, vehicle, count, photo_bytes.parse::<u64>()?)
        }
        _ => return Err("field_device DIR URL TOKEN VEHICLE COUNT [PHOTO_BYTES]".into()),
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
        let photos = picture(photo_bytes);
        let photos = photos.iter().map(|bytes| NewPhoto {
            bytes: bytes.as_slice(),
            meta: PhotoMeta::default(),
            preview: HostPreview::Later,
        });
        let captured = device.lock().unwrap_or_else(PoisonError::into_inner).capture_with_photos(
            capture,
            photos.collect(),
            now(),
        )?;
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
