//! First sync by pages: 100,000 events over HTTP, token and row-level security into an empty
//! mirror, as a ratio to bare inserts of the same rows into the same tables in the same run.
//!
//! ```text
//! cargo bench -p motomind-tests --bench pull
//! ```
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "../../core/benches/figures/bare.rs"]
mod bare;

use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use jsonwebtoken::{EncodingKey, Header};
use motomind_core::http::{Http, SyncEnd};
use motomind_core::protocol::{AppMetadata, Claims, Role};
use motomind_core::{Device, OpenOptions};
use motomind_server::{serve, settings::Settings};
use motomind_tests::postgres::{Database, Durability, Postgres, role};
use rusqlite::Connection;
use tempfile::TempDir;
use uuid::Uuid;

const EVENTS: usize = 100_000;
const ROUNDS: usize = 3;
const SECRET: &str = "a secret of at least thirty-two characters";

#[tokio::main]
async fn main() {
    let postgres = Postgres::private(Durability::Real);
    let database = postgres.database().await;
    let (tenant, _) = database.tenant_with_vehicle().await;
    fill(&database, tenant).await;
    let mut settings =
        Settings::new("127.0.0.1:0".parse().unwrap(), database.url(role::SERVER), SECRET.into());
    settings.rate_burst = 1_000_000;
    let server = serve::start(settings).await.unwrap();
    let (mut pulls, mut inserts) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let dir = TempDir::new().unwrap();
        pulls.push(pull(&server.url(), tenant, dir.path()).await);
        let pulled = Connection::open(dir.path().join("mirror.db")).unwrap();
        let (rows, took) = bare::inserts(&pulled, dir.path());
        assert_eq!(rows, EVENTS);
        inserts.push(took);
    }
    server.stop().await;
    let rate = |times: &mut Vec<Duration>| {
        times.sort_unstable();
        EVENTS as f64 / times[times.len() / 2].as_secs_f64()
    };
    let (pull, bare) = (rate(&mut pulls), rate(&mut inserts));
    println!("pull of {EVENTS} into an empty mirror   {pull:8.0} events/s");
    println!("bare inserts of the same rows          {bare:8.0} events/s");
    println!("pull / bare                            {:8.2}", pull / bare);
}

/// Events that another SQL client wrote: one statement, numbered at its commit.
async fn fill(database: &Database, tenant: Uuid) {
    let admin = database.admin().await;
    let vehicles = "INSERT INTO vehicles (tenant_id, id, nickname)
         SELECT $1, gen_random_uuid(), 'van ' || n FROM generate_series(1, 100) n";
    admin.execute(vehicles, &[&tenant]).await.unwrap();
    let events =
        "WITH v AS (SELECT id, row_number() OVER () AS n FROM vehicles WHERE tenant_id = $1)
         INSERT INTO vehicle_events (tenant_id, id, vehicle_id, type, occurred_at, date, timezone,
                                     miles, total_minor, vendor, payload)
         SELECT $1, gen_random_uuid(), v.id, 'fuel',
                timestamptz '2026-01-01' + i * interval '1 minute',
                (timestamptz '2026-01-01' + i * interval '1 minute')::date, 'America/Denver',
                i, 4812, 'Sinclair Leadville', '{\"gallons\": 12.345, \"price_per_gallon\": 3.899}'
         FROM generate_series(1, $2::bigint) AS g (i) JOIN v ON v.n = 1 + i % 100";
    admin.execute(events, &[&tenant, &(EVENTS as i64)]).await.unwrap();
}

fn now() -> i64 {
    chrono::Utc::now().timestamp_millis()
}

async fn pull(url: &str, tenant: Uuid, dir: &Path) -> Duration {
    let claims = Claims {
        sub: Uuid::new_v4().into(),
        exp: 4_000_000_000,
        iss: None,
        aud: Some("authenticated".into()),
        role: None,
        app_metadata: AppMetadata { tenant_id: tenant.into(), role: Role::Technician },
    };
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let token = jsonwebtoken::encode(&Header::default(), &claims, &key).unwrap();
    let file = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    let mut device = Device::open(OpenOptions {
        journal: file("journal.db"),
        mirror: file("mirror.db"),
        vfs: None,
        identity: Some(claims.identity()),
        key: None,
        seed: [9; 32],
        now: now(),
    })
    .unwrap();
    device.set_token(Some(&token), now());
    let (device, http) = (Mutex::new(device), Http::new(url).unwrap());
    let start = Instant::now();
    assert_eq!(http.sync_once(&device, now).await.unwrap(), SyncEnd::CaughtUp);
    let took = start.elapsed();
    assert!(device.lock().unwrap().status(now()).unwrap().seq as usize >= EVENTS);
    took
}
