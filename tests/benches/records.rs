//! 10,000 edits of vehicles in batches of 200, over HTTP, against the same rows updated by plain
//! SQL, set by set, in the same run; what the server process holds in memory meanwhile; and what
//! taking such rows into their documents costs.
//!
//! ```text
//! cargo bench -p motomind-tests --bench records
//! ```
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod process;

use std::time::{Duration, Instant};

use motomind_protocol::Role;
use motomind_protocol::wire::PushResponse;
use motomind_tests::postgres::{Database, Durability, Postgres, role};
use motomind_tests::records::set;
use motomind_tests::server::{Sender, accepted, new_id};
use process::Server;
use serde_json::json;
use uuid::Uuid;

/// Operations of one push, rows of one UPDATE.
const BATCH: usize = 200;

/// Vehicles.
const VEHICLES: usize = 1_000;

/// Edits of each vehicle in one round; 10,000 in all.
const EDITS: usize = 10;

/// Rounds; the median counts.
const ROUNDS: usize = 3;

#[tokio::main]
async fn main() {
    let postgres = Postgres::private(Durability::Real);
    let database = postgres.database().await;
    let server = Server::start(&database);
    println!("resident memory of the server, idle      {:6.1} MiB", server.resident_mib());
    let (mut pushes, mut bare, mut absorbed) = (Vec::new(), Vec::new(), Vec::new());
    let mut bytes = 0;
    for _ in 0..ROUNDS {
        let (tenant, _) = database.tenant_with_vehicle().await;
        let mut device = Sender::of(&server.url, tenant, Role::Technician);
        let vehicles = create(&mut device).await;
        let (pushed, sent) = over_http(&mut device, &vehicles).await;
        pushes.push(pushed);
        bytes = sent;
        let (updated, taken) = over_sql(&database, &device, &vehicles).await;
        bare.push(updated);
        absorbed.push(taken);
    }
    let edits = VEHICLES * EDITS;
    let median = |times: &mut Vec<Duration>| {
        times.sort_unstable();
        times[times.len() / 2].as_secs_f64()
    };
    let (push, bare, absorbed) = (median(&mut pushes), median(&mut bare), median(&mut absorbed));
    println!("{edits} edits of {VEHICLES} vehicles, batches of {BATCH}:");
    println!(
        "  push over HTTP, merged and projected   {push:8.2} s  {:6.0}/s",
        edits as f64 / push
    );
    println!(
        "  plain UPDATEs of the same rows         {bare:8.2} s  {:6.0}/s",
        edits as f64 / bare
    );
    println!("  push / plain                           {:8.2}", push / bare);
    println!("  sealed and sent, each                  {:6} bytes", bytes / edits);
    println!("{VEHICLES} rows written by SQL, taken into documents and pulled:");
    println!("  in                                     {absorbed:8.2} s");
    println!("resident memory of the server, loaded    {:6.1} MiB", server.resident_mib());
}

async fn create(device: &mut Sender) -> Vec<Uuid> {
    let vehicles: Vec<Uuid> = (0..VEHICLES).map(|_| new_id()).collect();
    for group in vehicles.chunks(BATCH) {
        let batch = group
            .iter()
            .map(|id| device.create("vehicles", *id, json!({"nickname": "Van", "year": 2020})))
            .collect();
        device.outcomes(batch).await.iter().for_each(|outcome| {
            accepted(outcome);
        });
    }
    vehicles
}

async fn over_http(device: &mut Sender, vehicles: &[Uuid]) -> (Duration, usize) {
    let records = device.records().await;
    let seen = |id: &Uuid| &records[&("vehicles".to_string(), *id)];
    let mut bodies = Vec::new();
    for round in 0..EDITS {
        for group in vehicles.chunks(BATCH) {
            let edits = group.iter().map(|id| {
                let fields = json!({"nickname": format!("Van {round}"), "color": "white"});
                device.edit(seen(id), set(fields))
            });
            let edits = edits.collect();
            bodies.push(serde_json::to_string(&device.batch(edits)).unwrap());
        }
    }
    let bytes = bodies.iter().map(String::len).sum();
    let started = Instant::now();
    for body in bodies {
        let reply: PushResponse = motomind_tests::server::read(device.push_body(body).await).await;
        reply.outcomes.iter().for_each(|one| {
            accepted(&one.outcome);
        });
    }
    (started.elapsed(), bytes)
}

async fn over_sql(database: &Database, device: &Sender, vehicles: &[Uuid]) -> (Duration, Duration) {
    let mut client = database.connect(role::CLIENT).await;
    let update = "UPDATE vehicles v SET nickname = w.nickname, color = 'grey'
                    FROM unnest($1::uuid[], $2::text[]) AS w (id, nickname)
                   WHERE v.id = w.id AND v.tenant_id = current_tenant_id()";
    let update = client.prepare(update).await.unwrap();
    let cursor = device.pull_all().await.1;
    let started = Instant::now();
    for round in 0..EDITS {
        for group in vehicles.chunks(BATCH) {
            let names: Vec<String> = group.iter().map(|_| format!("Bus {round}")).collect();
            let transaction = client.transaction().await.unwrap();
            let setting = format!("SET LOCAL app.current_tenant_id = '{}'", device.tenant);
            transaction.batch_execute(&setting).await.unwrap();
            let rows = transaction.execute(&update, &[&group, &names]).await.unwrap();
            assert_eq!(rows as usize, group.len());
            transaction.commit().await.unwrap();
        }
    }
    let updated = started.elapsed();
    let started = Instant::now();
    let page = device.pull(Some(&cursor)).await;
    assert_eq!(page.head - page.seq, 0, "in one page");
    assert_eq!(page.changes.len(), vehicles.len());
    (updated, started.elapsed())
}
