//! Uploads, and what the field does to them: connections cut at any byte in either direction, the
//! server killed in the middle. Every photo arrives as it was taken, and little travels twice.
//!
//! Counts by environment: `UPLOADS` (200), `KILLS` (10).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use futures::StreamExt as _;
use motomind_protocol::{Hash, Role, limits};
use motomind_server::serve::start;
use motomind_tests::dice::Dice;
use motomind_tests::postgres::{Database, Postgres, count, role};
use motomind_tests::proxy::{Faults, Proxy};
use motomind_tests::server::{SECRET, settings};
use motomind_tests::tus::{BYTES, Begun, Phone, begun, offset_of, original, photo};
use reqwest::{Method, StatusCode};
use tempfile::TempDir;

const FAULTS: Faults =
    Faults { request_cut_permille: 400, reply_cut_permille: 100, within_bytes: 700_000 };

/// Replies are short: cut within these many bytes, or they never are.
const REPLY_FAULTS: Faults =
    Faults { request_cut_permille: 0, reply_cut_permille: 250, within_bytes: 500 };

/// Headers of one request, at most.
const HEADERS_BYTES_MAX: u64 = 2_000;

fn rounds(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

fn files(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| if entry.path().is_dir() { files(&entry.path()) } else { 1 }).sum()
}

/// How much a phone puts in one request.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Manner {
    /// As our devices do.
    Chunks,
    /// As the system's own transfers do: the whole rest.
    Rest,
}

/// Uploads through whatever comes between; how many requests that took.
async fn persist(phone: &Phone, photo: &[u8], manner: Manner) -> u64 {
    let mut requests = 0;
    let upload = loop {
        requests += 1;
        let create =
            phone.request(Method::POST, "/v1/uploads").header("upload-length", photo.len());
        if let Ok(reply) = create.header("upload-metadata", original(photo)).send().await {
            break begun(reply).await;
        }
    };
    let mut offset = upload.offset;
    while offset < photo.len() as u64 {
        requests += 1;
        let rest = &photo[usize::try_from(offset).unwrap()..];
        let length = if manner == Manner::Rest { rest.len() } else { limits::UPLOAD_CHUNK_BYTES };
        let sent = phone.appending(&upload, offset, &rest[..rest.len().min(length)]).send().await;
        offset = match sent {
            Ok(reply) if reply.status() == StatusCode::NO_CONTENT => offset_of(&reply),
            Ok(reply) if reply.status() != StatusCode::CONFLICT => {
                panic!("{:?} {:?}", reply.status(), reply.text().await)
            }
            _ => loop {
                requests += 1;
                let head = phone.as_holder(Method::HEAD, &upload.path, &upload.capability);
                if let Ok(reply) = head.send().await {
                    assert_eq!(reply.status(), StatusCode::OK);
                    let now = offset_of(&reply);
                    assert!(now >= offset, "what was acknowledged is gone: {now} after {offset}");
                    break now;
                }
            },
        };
    }
    requests
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_uploads_arrive_whole_and_little_travels_twice() {
    let uploads = rounds("UPLOADS", 200);
    let database = Postgres::shared().database().await;
    let (tenant, _) = database.tenant_with_vehicle().await;
    let store = TempDir::new().unwrap();
    let mut settings = settings(&database);
    settings.photo_store = Some(store.path().to_str().unwrap().into());
    (settings.rate_per_minute, settings.rate_burst) = (6_000_000, 1_000_000);
    let server = start(settings).await.unwrap();
    let direct = Phone::new(&server.url(), tenant, Role::Technician).with_fresh_connections();
    let mut dice = Dice::new(5);
    let (mut bytes, mut cuts, mut resent) = (0, 0, 0);
    for (manner, faults) in [
        (Manner::Chunks, FAULTS),
        (Manner::Rest, FAULTS),
        (Manner::Chunks, REPLY_FAULTS),
        (Manner::Rest, REPLY_FAULTS),
    ] {
        let proxy = Proxy::start(server.address, faults, dice.number()).await.unwrap();
        let phone = direct.by_way_of(&proxy.url());
        let (mut wanted, mut requests) = (0, 0);
        for _ in 0..uploads.div_ceil(4) {
            let length = usize::try_from(1 + dice.below(1_500_000)).unwrap().max(40);
            let picture = photo(dice.number(), length);
            requests += persist(&phone, &picture, manner).await;
            assert!(direct.download(Hash::of(&picture)).await == picture);
            wanted += length as u64;
        }
        let twice = proxy.passed_bytes().saturating_sub(wanted + requests * HEADERS_BYTES_MAX);
        let bound = proxy.cuts() * limits::UPLOAD_CHUNK_BYTES as u64;
        assert!(proxy.cuts() > uploads / 20, "{manner:?}: only {} cuts", proxy.cuts());
        assert!(twice <= bound, "{manner:?}: {twice} bytes again after {} cuts", proxy.cuts());
        (bytes, cuts, resent) = (bytes + wanted, cuts + proxy.cuts(), resent + twice);
    }
    eprintln!("{uploads} uploads, {bytes} bytes, {cuts} cuts, at most {resent} bytes sent again");
    assert_eq!(files(&store.path().join("uploads")), 0);
    let admin = database.admin().await;
    assert_eq!(count(&admin, "SELECT running_bytes FROM photo_usage").await, 0);
    assert_eq!(
        count(&admin, "SELECT stored_bytes FROM photo_usage").await,
        i64::try_from(bytes).unwrap()
    );
    server.stop().await;
}

/// A server process that is killed when dropped.
struct Process(Child);

impl Process {
    fn start(database: &Database, store: &Path, listen: &str) -> (Self, String) {
        let mut child = Command::new(env!("CARGO_BIN_EXE_field_server"))
            .args([listen, &database.url(role::SERVER), SECRET])
            .arg(store)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut address = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut address).unwrap();
        (Self(child), address.trim().to_string())
    }
}

impl Drop for Process {
    /// SIGKILL.
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Sends the rest of a photo and kills the server once so many steps of it have left.
async fn send_and_kill(
    phone: &Phone,
    upload: &Begun,
    rest: &[u8],
    offset: u64,
    after: usize,
    server: Arc<Mutex<Option<Process>>>,
) {
    let steps: Vec<Vec<u8>> = rest.chunks(64 * 1024).map(<[u8]>::to_vec).collect();
    let dying = server.clone();
    let steps = futures::stream::iter(steps).enumerate().map(move |(index, step)| {
        if index == after {
            drop(dying.lock().unwrap().take());
        }
        Ok::<_, std::io::Error>(step)
    });
    let patch = phone.as_holder(Method::PATCH, &upload.path, &upload.capability);
    let patch = patch.header("content-type", BYTES).header("upload-offset", offset);
    let _ = patch.body(reqwest::Body::wrap_stream(steps)).send().await;
    drop(server.lock().unwrap().take());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_in_the_middle_of_uploads_loses_nothing_it_acknowledged() {
    let kills = rounds("KILLS", 10);
    let database = Postgres::shared().database().await;
    let (tenant, _) = database.tenant_with_vehicle().await;
    let store = TempDir::new().unwrap();
    let (first, address) = Process::start(&database, store.path(), "127.0.0.1:0");
    let server = Arc::new(Mutex::new(Some(first)));
    let phone = Phone::new(&format!("http://{address}"), tenant, Role::Technician);
    let phone = phone.with_fresh_connections();
    let mut dice = Dice::new(11);
    let mut pictures = Vec::new();
    for _ in 0..kills {
        let picture =
            photo(dice.number(), 1_000_000 + usize::try_from(dice.below(6_000_000)).unwrap());
        let upload = phone.create(picture.len(), &original(&picture)).await;
        let acknowledged = limits::UPLOAD_CHUNK_BYTES as u64;
        assert_eq!(
            phone.append(&upload, 0, &picture[..limits::UPLOAD_CHUNK_BYTES]).await,
            acknowledged
        );
        let rest = &picture[limits::UPLOAD_CHUNK_BYTES..];
        let after = usize::try_from(dice.below(rest.len() as u64 / 65_536 + 2)).unwrap();
        send_and_kill(&phone, &upload, rest, acknowledged, after, server.clone()).await;
        let again = Process::start(&database, store.path(), &address).0;
        *server.lock().unwrap() = Some(again);
        assert!(phone.offset(&upload).await >= acknowledged);
        pictures.push(picture);
    }
    for picture in &pictures {
        persist(&phone, picture, Manner::Chunks).await;
        assert!(phone.download(Hash::of(picture)).await == *picture);
    }
    drop(server.lock().unwrap().take());

    // Months later nothing is left of it but the photos.
    let mut settings = settings(&database);
    settings.photo_store = Some(store.path().to_str().unwrap().into());
    let later = chrono::Utc::now() + chrono::TimeDelta::days(60);
    let report = motomind_server::photos::sweep(settings, later).await.unwrap();
    assert_eq!(report.failed, 0);
    assert_eq!(files(&store.path().join("uploads")), 0);
    assert_eq!(files(&store.path().join("photos")), pictures.len());
    let admin = database.admin().await;
    assert_eq!(count(&admin, "SELECT count(*) FROM uploads").await, 0);
    assert_eq!(count(&admin, "SELECT running_bytes FROM photo_usage").await, 0);
}
