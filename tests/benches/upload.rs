//! Uploads of a photo, hashed and synced, as a ratio to a plain PUT of the same bytes over loopback
//! in the same run: a handler that writes the body to a file and syncs it, and does nothing else.
//! And how soon another device shows an event whose photo is still going up.
//!
//! The photo store is below `TMPDIR`: it is the disk there that is measured.
//!
//! ```text
//! cargo bench -p motomind-tests --bench upload
//! ```
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod process;

use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, State};
use axum::routing::put;
use chrono::NaiveDate;
use futures::StreamExt;
use motomind_core::http::{Http, SyncEnd};
use motomind_core::protocol::{Claims, limits::PIECE_BYTES_MAX};
use motomind_core::{Capture, Device, HostPreview, NewPhoto, OpenOptions, PhotoMeta, UploadState};
use motomind_protocol::{Role, limits};
use motomind_server::{serve, settings::Settings};
use motomind_tests::postgres::{Database, Durability, Postgres, role};
use motomind_tests::server::{SECRET, token};
use motomind_tests::tus::{Phone, original, photo};
use process::Server;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use uuid::Uuid;

const BYTES: usize = 60_000_000;
const ROUNDS: u64 = 5;

#[tokio::main]
async fn main() {
    let postgres = Postgres::private(Durability::Real);
    let database = postgres.database().await;
    let (tenant, vehicle) = database.tenant_with_vehicle().await;
    let (store, plain) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let mut settings =
        Settings::new("127.0.0.1:0".parse().unwrap(), database.url(role::SERVER), SECRET.into());
    settings.rate_burst = 1_000_000;
    settings.photo_store = Some(store.path().to_str().unwrap().into());
    let server = serve::start(settings).await.unwrap();
    let phone = Phone::new(&server.url(), tenant, Role::Technician);
    let address = plain_server(&plain).await;
    let (mut whole, mut chunks, mut large) = (Vec::new(), Vec::new(), Vec::new());
    let mut puts = Vec::new();
    for round in 0..ROUNDS {
        let pictures: Vec<Vec<u8>> = (0..3).map(|nth| photo(3 * round + nth, BYTES)).collect();
        whole.push(upload(&phone, &pictures[0], BYTES).await);
        chunks.push(upload(&phone, &pictures[1], limits::UPLOAD_CHUNK_BYTES).await);
        large.push(upload(&phone, &pictures[2], PIECE_BYTES_MAX).await);

        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let started = Instant::now();
        let reply = http.put(&address).body(pictures[0].clone()).send().await.unwrap();
        assert!(reply.status().is_success());
        puts.push(started.elapsed().as_secs_f64());
    }
    let rate = |mut times: Vec<f64>| {
        times.sort_by(f64::total_cmp);
        BYTES as f64 / 1e6 / times[times.len() / 2]
    };
    let put = rate(puts);
    println!("plain PUT, written and synced         {put:8.0} MB/s");
    for (name, times) in [("in one PATCH", whole), ("in 256 KiB", chunks), ("in 1 MiB", large)] {
        let rate = rate(times);
        println!("upload {name:<12}                   {rate:8.0} MB/s {:8.2} of it", rate / put);
    }
    shown_meanwhile(&server.url(), tenant, vehicle).await;
    server.stop().await;
    memory(&database, tenant, &store).await;
}

/// Uploads a photo in chunks of so many bytes; how long that took, s.
async fn upload(phone: &Phone, picture: &[u8], chunk: usize) -> f64 {
    let metadata = original(picture);
    let started = Instant::now();
    let upload = phone.create(picture.len(), &metadata).await;
    let mut offset = 0;
    for chunk in picture.chunks(chunk) {
        offset = phone.append(&upload, offset, chunk).await;
    }
    started.elapsed().as_secs_f64()
}

fn now() -> i64 {
    chrono::Utc::now().timestamp_millis()
}

/// A device of a new person.
fn device(folder: &Path, tenant: Uuid) -> Mutex<Device> {
    let token = token(tenant, Uuid::new_v4(), Role::Technician);
    let file = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let mut device = Device::open(OpenOptions {
        journal: file("journal.db"),
        mirror: file("mirror.db"),
        vfs: None,
        identity: Some(Claims::peek(&token).unwrap().identity()),
        key: None,
        seed: [*Uuid::new_v4().as_bytes(), *Uuid::new_v4().as_bytes()].concat().try_into().unwrap(),
        now: now(),
    })
    .unwrap();
    device.set_token(Some(&token), now());
    Mutex::new(device)
}

/// One device captures with a large photo and syncs, another one waits for the event.
async fn shown_meanwhile(url: &str, tenant: Uuid, vehicle: Uuid) {
    let (one, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (taker, viewer) = (device(one.path(), tenant), device(other.path(), tenant));
    let http = Http::new(url).unwrap();
    while http.sync_once(&viewer, now).await.unwrap() != SyncEnd::CaughtUp {}
    let day = NaiveDate::from_ymd_opt(2026, 11, 20).unwrap();
    let capture = Capture::new(vehicle.into(), "damage", now(), day, "America/Denver");
    let picture = photo(1_000, BYTES);
    let taken = NewPhoto {
        bytes: picture.as_slice(),
        meta: PhotoMeta::default(),
        preview: HostPreview::None,
    };
    let captured = taker.lock().unwrap().capture_with_photos(capture, vec![taken], now()).unwrap();
    let event = captured.op_id.into();
    let started = Instant::now();
    let sending = async {
        while http.sync_once(&taker, now).await.unwrap() != SyncEnd::CaughtUp {}
        started.elapsed()
    };
    let watching = async {
        loop {
            http.sync_once(&viewer, now).await.unwrap();
            let shown = viewer.lock().unwrap().photos(event).unwrap();
            if let Some(shown) = shown.first() {
                assert!(!shown.original.on_server, "the photo was there with its event");
                let acked = taker.lock().unwrap().uploads().unwrap()[0].acked;
                return (started.elapsed(), acked);
            }
        }
    };
    let (stored, (shown, acked)): (Duration, (Duration, u64)) = futures::join!(sending, watching);
    assert_eq!(taker.lock().unwrap().uploads().unwrap()[0].state, UploadState::Stored);
    println!("an event with a photo of {BYTES} bytes, from the capture on:");
    println!("  shown on another device after       {:8.1} ms", shown.as_secs_f64() * 1e3);
    println!("  of its photo the server had then    {acked:8} bytes");
    println!("  the photo stored after              {:8.1} ms", stored.as_secs_f64() * 1e3);
}

/// What a server process of its own needs for one upload: in one request, and where a server that
/// was not there at the beginning puts it together.
async fn memory(database: &Database, tenant: Uuid, store: &TempDir) {
    let picture = photo(2_000, BYTES);
    let (first, rest) = picture.split_at(BYTES / 2);
    let begun = {
        let server = Server::with_photos(database, store.path());
        let phone = Phone::new(&server.url, tenant, Role::Technician);
        phone.upload(&photo(2_001, 1_000), &original(&photo(2_001, 1_000))).await;
        let idle = server.resident_mib();
        let whole = photo(2_002, BYTES);
        let upload = phone.create(BYTES, &original(&whole)).await;
        phone.append(&upload, 0, &whole).await;
        println!("memory of the server for one upload   {:8.1} MiB", server.most_mib() - idle);
        let begun = phone.create(BYTES, &original(&picture)).await;
        assert_eq!(phone.append(&begun, 0, first).await, first.len() as u64);
        begun
    };
    let server = Server::with_photos(database, store.path());
    let phone = Phone::new(&server.url, tenant, Role::Technician);
    phone.upload(&photo(2_003, 1_000), &original(&photo(2_003, 1_000))).await;
    let idle = server.resident_mib();
    phone.append(&begun, first.len() as u64, rest).await;
    println!("  for one put together by another one {:8.1} MiB", server.most_mib() - idle);
}

/// What a PUT costs that does nothing but keep the bytes.
async fn plain_server(folder: &TempDir) -> String {
    let file = folder.path().join("photo");
    let keep = async |State(file): State<std::path::PathBuf>, body: Body| {
        let mut file = tokio::fs::File::create(file).await.unwrap();
        let mut body = body.into_data_stream();
        while let Some(bytes) = body.next().await {
            file.write_all(&bytes.unwrap()).await.unwrap();
        }
        file.flush().await.unwrap();
        file.sync_all().await.unwrap();
    };
    let router = Router::new().route("/photo", put(keep)).layer(DefaultBodyLimit::disable());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router.with_state(file)).await });
    format!("http://{address}/photo")
}
