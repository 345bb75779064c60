//! Push over HTTP, token and row-level security, against the bare SQL ceiling: the same rows into
//! the same tables with the same triggers, set by set, as the same role, in the same run. And what
//! the server process holds in memory meanwhile.
//!
//! ```text
//! cargo bench -p motomind-tests --bench push
//! ```
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod process;

use std::time::{Duration, Instant};

use motomind_protocol::SealedOperation;
use motomind_tests::postgres::{Database, Durability, Postgres, role};
use motomind_tests::server::{Sender, accepted, reading};
use process::Server;
use tokio_postgres::Client;
use uuid::Uuid;

/// Operations of one push.
const BATCH: usize = 200;

/// Pushes of one writer in one round.
const PUSHES: usize = 20;

/// Rounds; the median counts.
const ROUNDS: usize = 5;

#[tokio::main]
async fn main() {
    let postgres = Postgres::private(Durability::Real);
    let database = postgres.database().await;
    let server = Server::start(&database);
    println!("resident memory of the server, idle      {:6.1} MiB", server.resident_mib());
    for writers in [1, 4] {
        let (mut pushes, mut bare) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            pushes.push(over_http(&database, &server, writers).await);
            bare.push(over_sql(&database, writers).await);
        }
        let events = (writers * PUSHES * BATCH) as f64;
        let rate = |times: &mut Vec<Duration>| {
            times.sort_unstable();
            events / times[times.len() / 2].as_secs_f64()
        };
        let (push, bare) = (rate(&mut pushes), rate(&mut bare));
        println!("{writers} writers, batches of {BATCH}:");
        println!("  push over HTTP, token and RLS          {push:8.0} events/s");
        println!("  bare SQL, the same inserts             {bare:8.0} events/s");
        println!("  push / bare                            {:8.2}", push / bare);
    }
    println!("resident memory of the server, loaded    {:6.1} MiB", server.resident_mib());
}

/// One writer's pushes, made beforehand: a vehicle's readings, rising.
fn batches(device: &mut Sender, vehicle: Uuid) -> Vec<Vec<SealedOperation>> {
    (0..PUSHES)
        .map(|push| {
            let readings = (0..BATCH).map(|step| (push * BATCH + step) as i64);
            readings
                .map(|n| {
                    let mut event = reading(vehicle, n, n);
                    event.notes = Some("read at the pump after filling up".into());
                    device.seal(event)
                })
                .collect()
        })
        .collect()
}

async fn over_http(database: &Database, server: &Server, writers: usize) -> Duration {
    let mut work = Vec::new();
    for _ in 0..writers {
        let (tenant, vehicle) = database.tenant_with_vehicle().await;
        let mut device = Sender::of(&server.url, tenant, motomind_protocol::Role::Technician);
        let bodies: Vec<String> = batches(&mut device, vehicle)
            .into_iter()
            .map(|batch| serde_json::to_string(&device.batch(batch)).unwrap())
            .collect();
        work.push((device, bodies));
    }
    let started = Instant::now();
    let running: Vec<_> = work
        .into_iter()
        .map(|(device, bodies)| {
            tokio::spawn(async move {
                for body in bodies {
                    let reply = device.push_body(body).await;
                    let reply: motomind_protocol::wire::PushResponse =
                        motomind_tests::server::read(reply).await;
                    assert_eq!(reply.outcomes.len(), BATCH);
                    reply.outcomes.iter().for_each(|one| {
                        accepted(&one.outcome);
                    });
                }
            })
        })
        .collect();
    for writer in running {
        writer.await.unwrap();
    }
    started.elapsed()
}

/// The columns of one batch, as the ceiling inserts them.
struct Columns {
    ids: Vec<Uuid>,
    vehicles: Vec<Uuid>,
    ats: Vec<i64>,
    miles: Vec<i32>,
    notes: Vec<String>,
    payloads: Vec<String>,
    bodies: Vec<String>,
    hashes: Vec<Vec<u8>>,
    places: Vec<i64>,
}

impl Columns {
    fn of(batch: &[SealedOperation]) -> Self {
        let read = |sealed: &SealedOperation| sealed.open().unwrap();
        let operations: Vec<_> = batch.iter().map(read).collect();
        let events: Vec<_> = operations.iter().map(|one| one.event().unwrap()).collect();
        let json = |event: &&motomind_protocol::Event| serde_json::to_string(event).unwrap();
        Self {
            ids: events.iter().map(|event| event.id.0).collect(),
            vehicles: events.iter().map(|event| event.vehicle_id.0).collect(),
            ats: events.iter().map(|event| event.occurred_at).collect(),
            miles: events.iter().map(|event| event.miles.unwrap() as i32).collect(),
            notes: events.iter().map(|event| event.notes.clone().unwrap()).collect(),
            payloads: events.iter().map(|_| "{}".to_string()).collect(),
            bodies: events.iter().map(json).collect(),
            hashes: batch.iter().map(|sealed| sealed.hash.0.to_vec()).collect(),
            places: operations.iter().map(|one| one.device_seq as i64).collect(),
        }
    }
}

async fn over_sql(database: &Database, writers: usize) -> Duration {
    let mut work = Vec::new();
    for _ in 0..writers {
        let (tenant, vehicle) = database.tenant_with_vehicle().await;
        let mut device = Sender::of("", tenant, motomind_protocol::Role::Technician);
        let columns: Vec<Columns> =
            batches(&mut device, vehicle).iter().map(|batch| Columns::of(batch)).collect();
        let client = database.connect(role::SERVER).await;
        work.push((client, device, columns));
    }
    let started = Instant::now();
    let running: Vec<_> = work
        .into_iter()
        .map(|(client, device, columns)| tokio::spawn(insert_all(client, device, columns)))
        .collect();
    for writer in running {
        writer.await.unwrap();
    }
    started.elapsed()
}

async fn insert_all(mut client: Client, device: Sender, batches: Vec<Columns>) {
    let events = client
        .prepare(
            "INSERT INTO vehicle_events
               (tenant_id, id, vehicle_id, type, occurred_at, date, timezone, miles, notes, payload,
                body, received_at, op_id, device_id, user_id)
             SELECT $1, id, vehicle_id, 'odometer', from_epoch_ms(at), '2026-03-01', 'America/Denver',
                    miles, notes, payload::jsonb, body, from_epoch_ms($2), id, $3, $4
             FROM unnest($5::uuid[], $6::uuid[], $7::bigint[], $8::int[], $9::text[], $10::text[],
                         $11::text[]) AS e (id, vehicle_id, at, miles, notes, payload, body)",
        )
        .await
        .unwrap();
    let number = client.prepare("SELECT entity_id, seq FROM number_changes()").await.unwrap();
    let operations = client
        .prepare(
            "INSERT INTO operations (tenant_id, op_id, hash, outcome, seq, device_id, incarnation,
                                     device_seq, user_id)
             SELECT $1, op_id, hash, 'accepted', seq, $2, $3, device_seq, $4
             FROM unnest($5::uuid[], $6::bytea[], $7::bigint[], $8::bigint[])
               AS o (op_id, hash, seq, device_seq)",
        )
        .await
        .unwrap();
    let now = chrono::Utc::now().timestamp_millis();
    for batch in batches {
        let transaction = client.transaction().await.unwrap();
        let setting = format!("SET LOCAL app.current_tenant_id = '{}'", device.tenant);
        transaction.batch_execute(&setting).await.unwrap();
        transaction
            .execute(
                &events,
                &[
                    &device.tenant,
                    &now,
                    &device.device,
                    &device.user,
                    &batch.ids,
                    &batch.vehicles,
                    &batch.ats,
                    &batch.miles,
                    &batch.notes,
                    &batch.payloads,
                    &batch.bodies,
                ],
            )
            .await
            .unwrap();
        let numbered = transaction.query(&number, &[]).await.unwrap();
        let ids: Vec<Uuid> = numbered.iter().map(|row| row.get(0)).collect();
        let seqs: Vec<i64> = numbered.iter().map(|row| row.get(1)).collect();
        assert_eq!(ids.len(), BATCH);
        let identity = (&device.tenant, &device.device, &device.incarnation, &device.user);
        let (tenant, own, life, user) = identity;
        transaction
            .execute(
                &operations,
                &[tenant, own, life, user, &ids, &batch.hashes, &seqs, &batch.places],
            )
            .await
            .unwrap();
        transaction.commit().await.unwrap();
    }
}
