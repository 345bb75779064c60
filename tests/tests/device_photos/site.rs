//! A server with a photo store of its own, phones before it, and what they take.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use chrono::NaiveDate;
use motomind_core::http::{Http, SyncEnd};
use motomind_core::protocol::{Claims, Fix, FixSource, Hash, Role, limits};
use motomind_core::{Capture, Device, HostPreview, NewPhoto, OpenOptions, PhotoMeta, Variant};
use motomind_server::serve::{Running, start};
use motomind_tests::postgres::{Database, Postgres};
use motomind_tests::server::{settings, token};
use tempfile::TempDir;
use uuid::Uuid;

pub(crate) fn now() -> i64 {
    chrono::Utc::now().timestamp_millis()
}

/// A server with a photo store of its own.
pub(crate) struct Site {
    pub(crate) database: Database,
    pub(crate) server: Running,
    pub(crate) tenant: Uuid,
    pub(crate) vehicle: Uuid,
    pub(crate) store: TempDir,
}

pub(crate) async fn site() -> Site {
    let database = Postgres::shared().database().await;
    let (tenant, vehicle) = database.tenant_with_vehicle().await;
    let store = TempDir::new().unwrap();
    let mut settings = settings(&database);
    settings.photo_store = Some(store.path().to_str().unwrap().into());
    (settings.rate_per_minute, settings.rate_burst) = (6_000_000, 1_000_000);
    let server = start(settings).await.unwrap();
    Site { database, server, tenant, vehicle, store }
}

pub(crate) fn open(dir: &Path, token: &str) -> Device {
    let file = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    let mut device = Device::open(OpenOptions {
        journal: file("journal.db"),
        mirror: file("mirror.db"),
        vfs: None,
        identity: Some(Claims::peek(token).unwrap().identity()),
        key: None,
        seed: [*Uuid::new_v4().as_bytes(), *Uuid::new_v4().as_bytes()].concat().try_into().unwrap(),
        now: now(),
    })
    .unwrap();
    device.set_token(Some(token), now());
    device
}

/// A phone of a new person, and its folder.
pub(crate) fn phone(site: &Site) -> (Mutex<Device>, TempDir, String) {
    let (dir, token) =
        (TempDir::new().unwrap(), token(site.tenant, Uuid::new_v4(), Role::Technician));
    (Mutex::new(open(dir.path(), &token)), dir, token)
}

pub(crate) fn scratch(vehicle: Uuid) -> Capture {
    let day = NaiveDate::from_ymd_opt(2026, 11, 20).unwrap();
    let mut capture = Capture::new(vehicle.into(), "damage", now(), day, "America/Denver");
    capture.fix = Some(Fix { accuracy_m: Some(300.0), ..Fix::at(39.7, -105.0, FixSource::Gps) });
    capture
}

pub(crate) fn pictures(all: &[Vec<u8>]) -> Vec<NewPhoto<&[u8]>> {
    all.iter()
        .map(|bytes| NewPhoto {
            bytes: bytes.as_slice(),
            meta: PhotoMeta::default(),
            preview: HostPreview::None,
        })
        .collect()
}

/// A picture that was taken, of those that the metadata tests use.
pub(crate) fn corpus(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/tests/data/photos").join(name);
    std::fs::read(path).unwrap()
}

pub(crate) async fn sync(http: &Http, device: &Mutex<Device>) {
    while http.sync_once(device, now).await.unwrap() != SyncEnd::CaughtUp {
        tokio::task::yield_now().await;
    }
}

pub(crate) fn whole(device: &Device, photo: Hash, variant: Variant) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        let piece = device
            .read_photo(photo, variant, bytes.len() as u64, limits::PIECE_BYTES_MAX)
            .unwrap()?;
        bytes.extend_from_slice(&piece.bytes);
        if bytes.len() as u64 == piece.total {
            return Some(bytes);
        }
        assert!(!piece.bytes.is_empty());
    }
}

pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let each = entries.map(|entry| entry.path());
    each.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}
