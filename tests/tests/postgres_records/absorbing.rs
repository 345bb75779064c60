//! Rows are taken in under their locks: whoever holds one delays that one alone.

use std::time::Duration;

use motomind_protocol::Role;
use motomind_server::serve::start;
use motomind_tests::postgres::{Database, Postgres, as_tenant, count, role};
use motomind_tests::records::{mirrored, set};
use motomind_tests::server::{Sender, accepted, serve, settings, told};
use serde_json::{Value, json};
use tokio_postgres::Client;
use uuid::Uuid;

use super::row_of;

/// SQL updates and pushes at the same time: every value that anyone wrote is in the history, and
/// row and document agree at the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sql_changes_are_picked_up_under_concurrent_pushes() {
    let database = Postgres::shared().database().await;
    let (tenant, first) = database.tenant_with_vehicle().await;
    let vehicles = [first, database.vehicle(tenant).await, database.vehicle(tenant).await];
    let server = serve(&database).await;
    let viewer = Sender::new(&server, tenant, Role::Viewer);
    let records = viewer.records().await;
    let seen = vehicles.map(|id| records[&("vehicles".to_string(), id)].clone());
    let mut running = Vec::new();
    for racer in 0..3 {
        let mut device = Sender::new(&server, tenant, Role::Technician);
        let seen = seen.clone();
        running.push(tokio::spawn(async move {
            for round in 0..10 {
                let batch = seen.iter().map(|one| {
                    device.edit(one, set(json!({"nickname": format!("device {racer}/{round}")})))
                });
                let batch = batch.collect();
                device.outcomes(batch).await.iter().for_each(|outcome| {
                    accepted(outcome);
                });
                device.pull(None).await;
            }
        }));
    }
    for racer in 0..2 {
        let client = database.connect(role::CLIENT).await;
        running.push(tokio::spawn(async move {
            for round in 0..20 {
                let vehicle = vehicles[(racer + round) % 3];
                let write = format!(
                    "UPDATE vehicles SET color = 'sql {racer}/{round}' WHERE id = '{vehicle}'"
                );
                as_tenant(&client, tenant, &write).await.unwrap();
            }
        }));
    }
    for one in running {
        one.await.unwrap();
    }
    let records = viewer.records().await;
    let mut typed = 0;
    for id in vehicles {
        let one = &records[&("vehicles".to_string(), id)];
        let row = row_of(&database, id).await;
        assert_eq!(row["color"], one.field("color"), "nothing that SQL wrote is undone");
        assert_eq!(row["nickname"], one.field("nickname"));
        let history = one.document.history();
        typed += history.iter().filter(|one| one.by.device_id.is_some()).count();
    }
    assert_eq!(typed, 3 * 10 * 3, "every push is there");
    let admin = database.admin().await;
    assert_eq!(count(&admin, "SELECT count(*) FROM record_queue").await, 0);
    server.stop().await;
}

/// Vehicles whose documents have begun.
async fn vehicles(database: &Database, count: usize) -> (Uuid, Vec<Uuid>) {
    let (tenant, first) = database.tenant_with_vehicle().await;
    let mut vehicles = vec![first];
    while vehicles.len() < count {
        vehicles.push(database.vehicle(tenant).await);
    }
    (tenant, vehicles)
}

#[tokio::test]
async fn a_row_that_is_held_delays_that_row_alone() {
    let database = Postgres::shared().database().await;
    let (tenant, vehicles) = vehicles(&database, 3).await;
    let server = serve(&database).await;
    let viewer = Sender::new(&server, tenant, Role::Viewer);
    told(&server, tenant).await;
    let client = database.connect(role::CLIENT).await;
    as_tenant(&client, tenant, "UPDATE vehicles SET color = 'red'").await.unwrap();
    let holder = database.admin().await;
    let held = vehicles[1];
    let hold = format!("BEGIN; SELECT FROM vehicles WHERE id = '{held}' FOR UPDATE");
    holder.batch_execute(&hold).await.unwrap();
    let colors = async || {
        let records = viewer.records().await;
        let color = |id: &Uuid| records[&("vehicles".to_string(), *id)].field("color");
        vehicles.iter().map(color).collect::<Vec<Value>>()
    };
    assert_eq!(colors().await, [json!("red"), Value::Null, json!("red")]);
    holder.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(colors().await, [json!("red"), json!("red"), json!("red")]);
    assert_eq!(count(&holder, "SELECT count(*) FROM record_queue").await, 0);
    server.stop().await;
}

/// Takes the lock that absorbers of a tenant take, until the transaction ends.
async fn hold_absorbers(client: &Client, tenant: Uuid) {
    let hold = format!(
        "BEGIN; SELECT pg_advisory_xact_lock(hashtextextended('motomind absorbs {tenant}', 0))"
    );
    client.batch_execute(&hold).await.unwrap();
}

#[tokio::test]
async fn whoever_meets_an_absorber_goes_on_and_a_push_takes_in_its_own_record() {
    let database = Postgres::shared().database().await;
    let (tenant, vehicles) = vehicles(&database, 2).await;
    let server = serve(&database).await;
    let mut device = Sender::new(&server, tenant, Role::Technician);
    let records = device.records().await;
    let client = database.connect(role::CLIENT).await;
    as_tenant(&client, tenant, "UPDATE vehicles SET color = 'red'").await.unwrap();
    let absorber = database.admin().await;
    hold_absorbers(&absorber, tenant).await;
    let seen = records[&("vehicles".to_string(), vehicles[0])].clone();
    let now = device.record("vehicles", seen.id).await;
    assert_eq!(now.entries, seen.entries, "served as it is, meanwhile");

    let edit = device.edit(&seen, set(json!({"nickname": "Workshop"})));
    accepted(&device.outcome(edit).await);
    let records = device.records().await;
    let one = &records[&("vehicles".to_string(), vehicles[0])];
    assert_eq!((one.field("color"), one.field("nickname")), (json!("red"), json!("Workshop")));
    assert_eq!(one.entries, seen.entries + 2, "what SQL wrote, then what the device did");
    let other = &records[&("vehicles".to_string(), vehicles[1])];
    assert_eq!(other.field("color"), Value::Null);
    let row = row_of(&database, vehicles[0]).await;
    assert_eq!((&row["color"], &row["nickname"]), (&json!("red"), &json!("Workshop")));

    absorber.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(device.record("vehicles", vehicles[1]).await.field("color"), "red");
    assert_eq!(count(&absorber, "SELECT count(*) FROM record_queue").await, 0);
    server.stop().await;
}

/// A device that is told of nothing believes that there is nothing, and does not ask again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pull_waits_for_whoever_takes_rows_in() {
    let database = Postgres::shared().database().await;
    let (tenant, vehicles) = vehicles(&database, 1).await;
    let server = serve(&database).await;
    let device = Sender::new(&server, tenant, Role::Technician);
    device.records().await;
    let client = database.connect(role::CLIENT).await;
    let absorber = database.admin().await;
    hold_absorbers(&absorber, tenant).await;
    as_tenant(&client, tenant, "UPDATE vehicles SET color = 'red'").await.unwrap();
    let pulling = tokio::spawn(async move { device.record("vehicles", vehicles[0]).await });
    let waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
                   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    while count(&client, waiting).await == 0 {
        assert!(!pulling.is_finished(), "it did not wait");
    }
    absorber.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(pulling.await.unwrap().field("color"), "red");
    server.stop().await;
}

/// More rows than one page, and more than one pull waits for; several pulls at once. Each row is
/// taken in once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_long_queue_is_taken_in_once_however_many_pull() {
    const GARAGES: usize = 2_300;
    let database = Postgres::shared().database().await;
    let (tenant, _) = database.tenant_with_vehicle().await;
    let mut settings = settings(&database);
    settings.rate_burst = 1_000_000; // they ask again and again while others take rows in
    let server = start(settings).await.unwrap();
    let client = database.connect(role::CLIENT).await;
    let write = format!(
        "INSERT INTO garages (name) SELECT 'Yard ' || n FROM generate_series(1, {GARAGES}) AS n"
    );
    as_tenant(&client, tenant, &write).await.unwrap();
    let pulling = (0..2).map(|_| {
        let viewer = Sender::new(&server, tenant, Role::Viewer);
        tokio::spawn(async move {
            let (mut changes, mut cursor) = (Vec::new(), None);
            while changes.len() < GARAGES + 1 {
                let page = viewer.pull(cursor.as_deref()).await;
                changes.extend(page.changes.iter().map(|change| change.get().to_string()));
                cursor = Some(page.next_cursor);
            }
            changes
        })
    });
    let all = futures::future::join_all(pulling);
    let all = tokio::time::timeout(Duration::from_secs(120), all).await.expect("all of it");
    for changes in all {
        let changes = changes.unwrap();
        let changes: Vec<Value> =
            changes.iter().map(|change| serde_json::from_str(change).unwrap()).collect();
        let records = mirrored(&changes);
        assert_eq!(records.len(), GARAGES + 1);
        assert!(records.values().all(|record| record.entries == 1));
    }
    let admin = database.admin().await;
    assert_eq!(count(&admin, "SELECT count(*) FROM record_queue").await, 0);
    server.stop().await;
}
