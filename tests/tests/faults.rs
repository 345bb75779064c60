//! Real devices, real server, real Postgres, and what the field does to them: processes killed at
//! any moment, connections cut in either direction, Postgres stopped without warning. Nothing that
//! was acknowledged may be lost, nothing may arrive twice.
//!
//! Counts by environment: `KILLS` (10), `PG_STOPS` (2).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};

use chrono::NaiveDate;
use jsonwebtoken::{EncodingKey, Header};
use motomind_core::http::{Http, SyncEnd};
use motomind_core::protocol::{AppMetadata, Claims, Role};
use motomind_core::{Capture, Device, OpenOptions};
use motomind_server::{serve, settings::Settings};
use motomind_tests::dice::Dice;
use motomind_tests::postgres::{Database, Durability, Postgres, role};
use motomind_tests::process::Process;
use motomind_tests::proxy::{Faults, Proxy};
use tempfile::TempDir;
use tokio::sync::watch;
use uuid::Uuid;

const SECRET: &str = "a secret of at least thirty-two characters";
const FAULTS: Faults =
    Faults { request_cut_permille: 150, reply_cut_permille: 200, within_bytes: 4_000 };

fn count(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

fn token(tenant: Uuid, user: Uuid) -> String {
    let claims = Claims {
        sub: user.into(),
        exp: 4_000_000_000,
        iss: None,
        aud: Some("authenticated".into()),
        role: Some("authenticated".into()),
        app_metadata: AppMetadata { tenant_id: tenant.into(), role: Role::Technician },
    };
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    jsonwebtoken::encode(&Header::default(), &claims, &key).unwrap()
}

/// Ids of the tenant's events in Postgres; fails when one is there twice.
async fn arrived(database: &Database, tenant: Uuid) -> BTreeSet<Uuid> {
    let rows = database
        .admin()
        .await
        .query("SELECT id FROM vehicle_events WHERE tenant_id = $1", &[&tenant])
        .await
        .unwrap();
    let ids: BTreeSet<Uuid> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(ids.len(), rows.len(), "an event arrived twice");
    ids
}

fn start_server(database: &Database, listen: &str) -> (Process, String) {
    let url = database.url(role::SERVER);
    let arguments = [listen, url.as_str(), SECRET];
    let mut server = Process::start(env!("CARGO_BIN_EXE_field_server"), &arguments);
    let address = server.line().expect("the server ended before it served");
    (server, address)
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_device_and_server_processes_loses_and_doubles_nothing() {
    let kills = count("KILLS", 10);
    let database = Postgres::shared().database().await;
    let (tenant, vehicle) = database.tenant_with_vehicle().await;
    let (mut server, address) = start_server(&database, "127.0.0.1:0");
    let proxy = Proxy::start(address.parse().unwrap(), FAULTS, 1).await.unwrap();
    let dir = TempDir::new().unwrap();
    let path = dir.path().to_str().unwrap().to_owned();
    let (token, vehicle) = (token(tenant, Uuid::new_v4()), vehicle.to_string());
    let device = env!("CARGO_BIN_EXE_field_device");
    let mut dice = Dice::new(7);
    let mut acknowledged = BTreeSet::new();
    for round in 0..kills {
        let arguments = [path.as_str(), &proxy.url(), &token, &vehicle, "1000000"];
        let mut process = Process::start(device, &arguments);
        for _ in 0..1 + dice.below(25) {
            acknowledged.insert(process.line().expect("the device ended by itself"));
        }
        if round % 3 == 2 {
            server.kill();
            (server, _) = start_server(&database, &address);
        }
        acknowledged.extend(process.kill());
    }
    proxy.heal();
    let arguments = [path.as_str(), &proxy.url(), &token, &vehicle, "0"];
    let mut last = Process::start(device, &arguments);
    assert_eq!(last.line().as_deref(), Some("synced"));
    last.kill();
    // A line cut short by the kill was not an acknowledgement.
    let acknowledged: BTreeSet<Uuid> =
        acknowledged.iter().filter_map(|line| line.parse().ok()).collect();
    let arrived = arrived(&database, tenant).await;
    let lost: Vec<_> = acknowledged.difference(&arrived).collect();
    assert!(lost.is_empty(), "{} lost: {lost:?}", lost.len());
    eprintln!(
        "{kills} SIGKILLs, {} connections cut: {} acknowledged, {} arrived, 0 lost, 0 doubled",
        proxy.cuts(),
        acknowledged.len(),
        arrived.len()
    );
    server.kill();
}

fn now() -> i64 {
    chrono::Utc::now().timestamp_millis()
}

fn open(dir: &Path, token: &str) -> Device {
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

fn scratch(vehicle: Uuid, number: usize) -> Capture {
    let day = NaiveDate::from_ymd_opt(2026, 11, 20).unwrap();
    let mut capture = Capture::new(vehicle.into(), "damage", now(), day, "America/Denver");
    capture.payload.insert("description".into(), format!("scratch {number}").into());
    capture
}

/// Captures and syncs until told to stop; then until everything is there. Returns what was
/// acknowledged.
async fn work(
    device: Arc<Mutex<Device>>,
    http: Http,
    vehicle: Uuid,
    progress: watch::Sender<usize>,
    stop: watch::Receiver<bool>,
) -> BTreeSet<Uuid> {
    let mut acknowledged = BTreeSet::new();
    while !*stop.borrow() {
        for _ in 0..5 {
            let capture = scratch(vehicle, acknowledged.len());
            let captured = device.lock().unwrap().capture(capture, now()).unwrap();
            acknowledged.insert(captured.op_id.0);
        }
        progress.send_modify(|count| *count += 5);
        http.sync_once(&device, now).await.unwrap();
    }
    while http.sync_once(&device, now).await.unwrap() != SyncEnd::CaughtUp {
        tokio::task::yield_now().await;
    }
    assert_eq!(device.lock().unwrap().pending(now()).unwrap(), []);
    acknowledged
}

async fn reach(progress: &mut watch::Receiver<usize>, more: usize) {
    let goal = *progress.borrow() + more;
    progress.wait_for(|count| *count >= goal).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_postgres_under_load_loses_and_doubles_nothing() {
    let stops = count("PG_STOPS", 2);
    let postgres = Postgres::private(Durability::Real);
    let database = postgres.database().await;
    let (tenant, vehicle) = database.tenant_with_vehicle().await;
    let mut settings =
        Settings::new("127.0.0.1:0".parse().unwrap(), database.url(role::SERVER), SECRET.into());
    settings.rate_per_minute = 6_000_000;
    settings.rate_burst = 1_000_000;
    let server = serve::start(settings).await.unwrap();
    let (progress, mut seen) = watch::channel(0);
    let (stop, stopped) = watch::channel(false);
    let dirs = [TempDir::new().unwrap(), TempDir::new().unwrap(), TempDir::new().unwrap()];
    let workers: Vec<_> = dirs
        .iter()
        .map(|dir| {
            let device = Arc::new(Mutex::new(open(dir.path(), &token(tenant, Uuid::new_v4()))));
            let http = Http::new(&server.url()).unwrap();
            let (progress, stopped) = (progress.clone(), stopped.clone());
            tokio::spawn(work(device, http, vehicle, progress, stopped))
        })
        .collect();
    for _ in 0..stops {
        reach(&mut seen, 60).await;
        tokio::task::block_in_place(|| postgres.cluster().stop_immediate());
        // Capturing goes on without it.
        reach(&mut seen, 30).await;
        tokio::task::block_in_place(|| postgres.cluster().start());
    }
    reach(&mut seen, 60).await;
    stop.send(true).unwrap();
    let mut acknowledged = BTreeSet::new();
    for worker in workers {
        acknowledged.extend(worker.await.unwrap());
    }
    let arrived = arrived(&database, tenant).await;
    assert_eq!(arrived, acknowledged);
    eprintln!(
        "{stops} immediate stops: {} acknowledged, {} arrived, 0 lost, 0 doubled",
        acknowledged.len(),
        arrived.len()
    );
    server.stop().await;
}
