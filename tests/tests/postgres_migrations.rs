//! Migrations go up, down to nothing, and up again from every version with data in place.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of tests

use motomind_protocol::records::schema::COLLECTIONS;
use motomind_protocol::wire::Change;
use motomind_server::catalogue;
use motomind_server::migrate::{self, MIGRATIONS, MigrateError};
use motomind_tests::postgres::{Postgres, count};
use tokio_postgres::Client;

const TENANT: &str = "00000000-0000-7000-8000-00000000000a";
const ID: &str = "00000000-0000-7000-8000-00000000000b";

/// Rows for each table, from the version that makes it.
const SEEDS: &[(i32, &str, &str)] = &[
    (1, "tenants", "(id, name) VALUES ('{t}', 'T')"),
    (2, "profiles", "(tenant_id, id, email) VALUES ('{t}', '{id}', 'a@b')"),
    (3, "garages", "(tenant_id, id, name) VALUES ('{t}', '{id}', 'G')"),
    (4, "vehicles", "(tenant_id, id, garage_id) VALUES ('{t}', '{id}', '{id}')"),
    (
        10,
        "vehicle_events",
        "(tenant_id, id, vehicle_id, type, occurred_at, date, miles) VALUES
         ('{t}', '{id}', '{id}', 'odometer', '1985-05-05Z', '1985-05-05', 0),
         ('{t}', '{t}', '{id}', 'odometer', '2025-05-05Z', '2025-05-05', 9)",
    ),
    (
        13,
        "operations",
        "(tenant_id, op_id, outcome, superseded_by) VALUES ('{t}', '{id}', 'closed', '{id}')",
    ),
    (
        14,
        "rejected_operations",
        "(tenant_id, op_id, hash, text, code, rejection)
         VALUES ('{t}', '{id}', sha256('x'), 'x', 'malformed', '{}')",
    ),
    (15, "devices", "(tenant_id, id, user_id) VALUES ('{t}', '{id}', '{id}')"),
    (23, "reminders", "(tenant_id, id, vehicle_id, title) VALUES ('{t}', '{id}', '{id}', 'Oil')"),
    (
        24,
        "user_maintenance_preferences",
        "(tenant_id, user_id, vehicle_id, interval_type, interval_value, interval_unit)
         VALUES ('{t}', '{id}', '{id}', 'oil_change', 5000, 'miles')",
    ),
    (
        25,
        "vehicle_spec_enhancements",
        "(tenant_id, vehicle_id, category) VALUES ('{t}', '{id}', 'engine')",
    ),
    (
        26,
        "vehicle_images",
        "(tenant_id, id, vehicle_id, photo, image_type)
         VALUES ('{t}', '{id}', '{id}', repeat('0', 64), 'hero')",
    ),
    (
        27,
        "conversation_threads",
        "(tenant_id, id, vehicle_id, user_id) VALUES ('{t}', '{id}', '{id}', '{id}')",
    ),
    (
        28,
        "earlier_documents",
        "(tenant_id, collection, record_id, nth, document, heads)
         VALUES ('{t}', 'vehicles', '{id}', 1, 'x', '')",
    ),
    (
        43,
        "photo_metadata",
        "(tenant_id, sha256, bytes, mime) VALUES ('{t}', repeat('0', 64), 9, 'image/jpeg')",
    ),
    (
        44,
        "event_photos",
        "(tenant_id, id, event_id, photo, sequence) VALUES ('{t}', '{id}', '{id}', repeat('0', 64), 1)",
    ),
    (
        45,
        "location_corrections",
        "(tenant_id, id, event_id, latitude, longitude, method)
         VALUES ('{t}', '{id}', '{id}', 0, 0, 'map_pin')",
    ),
    (
        46,
        "capture_sessions",
        "(tenant_id, id, vehicle_id, flow, path, started_at, last_activity_at, ended_at, status, reason)
         VALUES ('{t}', '{id}', '{id}', 'fuel', 'quick', '2025-05-05Z', '2025-05-05Z', '2025-05-05Z',
                 'abandoned', 'timeout')",
    ),
];

async fn seed(client: &Client, version: i32) {
    for (since, table, rows) in SEEDS.iter().filter(|(since, ..)| *since <= version) {
        let rows = rows.replace("{t}", TENANT).replace("{id}", ID);
        let write = format!("INSERT INTO {table} {rows} ON CONFLICT DO NOTHING");
        client
            .batch_execute(&write)
            .await
            .unwrap_or_else(|error| panic!("{table} at {version} ({since}): {error:?}"));
    }
}

/// Every row is there, and devices get to know all of it.
async fn complete(client: &Client) {
    for (_, table, rows) in SEEDS {
        let expected = if *table == "vehicle_events" { 2 } else { 1 };
        let there = count(client, &format!("SELECT count(*) FROM {table}")).await;
        assert_eq!(there, expected, "{table} {rows}");
    }
    assert_eq!(catalogue::check(client).await.unwrap(), []);
    let log = client.query("SELECT entry FROM change_log ORDER BY seq", &[]).await.unwrap();
    for (index, row) in log.iter().enumerate() {
        let change: Change = serde_json::from_str(row.get(0)).unwrap();
        assert_eq!(change.seq, index as u64 + 1);
    }
    assert_eq!(count(client, "SELECT head FROM tenant_counters").await, log.len() as i64);
    let known = "SELECT count(DISTINCT entity_id) FROM change_log WHERE kind = 'event'";
    assert_eq!(count(client, known).await, 2);
    for collection in COLLECTIONS {
        let queued = format!(
            "SELECT count(*) FROM record_queue q JOIN {0} r ON (r.tenant_id, r.id) = (q.tenant_id, q.record_id)
             WHERE q.collection = '{0}'",
            collection.name
        );
        assert_eq!(count(client, &queued).await, 1, "{}", collection.name);
    }
    let all = COLLECTIONS.len() as i64;
    assert_eq!(count(client, "SELECT count(*) FROM record_queue").await, all);
    let registered =
        "SELECT count(*) FROM event_registry r JOIN change_log l USING (tenant_id, seq)
                       WHERE l.entity_id = r.event_id AND r.effective";
    assert_eq!(count(client, registered).await, 2);
}

async fn objects(client: &Client) -> i64 {
    let all = "SELECT (SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace)
                    + (SELECT count(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace)
                    + (SELECT count(*) FROM pg_policy)";
    count(client, all).await
}

#[tokio::test]
async fn up_from_every_version_with_data_and_down_to_nothing() {
    let database = Postgres::shared().empty_database().await;
    let mut client = database.admin().await;
    let before = objects(&client).await;
    let last = MIGRATIONS.last().unwrap().version;
    // Step by step, with data for each version before the next one.
    for migration in MIGRATIONS {
        assert!(!migrate::is_current(&client).await.unwrap());
        let done = migrate::up(&mut client, Some(migration.version)).await.unwrap();
        assert_eq!(done, [migration.name]);
        seed(&client, migration.version).await;
    }
    assert!(migrate::is_current(&client).await.unwrap());
    complete(&client).await;
    // Back to every version and up again, with the data that this version has.
    for migration in MIGRATIONS.iter().rev() {
        let keep = migration.version;
        let undone = migrate::down(&mut client, keep).await.unwrap();
        let newer = MIGRATIONS.iter().filter(|one| one.version > keep).count();
        assert_eq!(undone.len(), newer);
        for (_, table, _) in SEEDS.iter().filter(|(since, ..)| *since <= keep) {
            assert!(
                count(&client, &format!("SELECT count(*) FROM {table}")).await > 0,
                "{table} at {keep}"
            );
        }
        migrate::up(&mut client, None).await.unwrap();
        seed(&client, last).await;
        complete(&client).await;
    }
    let undone = migrate::down(&mut client, -1).await.unwrap();
    assert_eq!(undone.len(), MIGRATIONS.len());
    assert_eq!(objects(&client).await, before, "nothing is left");
    assert!(migrate::down(&mut client, -1).await.unwrap().is_empty());
    migrate::up(&mut client, None).await.unwrap();
    assert_eq!(catalogue::check(&client).await.unwrap(), []);
}

#[tokio::test]
async fn a_changed_file_and_a_newer_database_are_refused() {
    let database = Postgres::shared().database().await;
    let mut client = database.admin().await;
    let all = migrate::status(&client).await.unwrap();
    assert_eq!(all.len(), MIGRATIONS.len());
    assert!(all.iter().all(|one| one.applied_at.is_some() && one.duration_ms.is_some()));
    client
        .batch_execute("UPDATE schema_migrations SET checksum = 'other' WHERE version = 3")
        .await
        .unwrap();
    for result in [migrate::up(&mut client, None).await, migrate::down(&mut client, -1).await] {
        assert!(matches!(result, Err(MigrateError::Changed { name }) if name == "003_garages"));
    }
    client
        .batch_execute("UPDATE schema_migrations SET version = 999 WHERE version = 3")
        .await
        .unwrap();
    assert!(matches!(
        migrate::up(&mut client, None).await,
        Err(MigrateError::Newer { database: 999, .. })
    ));
    assert_eq!(count(&client, "SELECT count(*) FROM vehicles").await, 0, "nothing was done");
}

#[tokio::test]
async fn two_runners_at_once_do_the_work_once() {
    let database = Postgres::shared().empty_database().await;
    let (mut one, mut two) = (database.admin().await, database.admin().await);
    let (one, two) = futures::join!(migrate::up(&mut one, None), migrate::up(&mut two, None));
    assert_eq!(one.unwrap().len() + two.unwrap().len(), MIGRATIONS.len());
}

#[tokio::test]
async fn a_failing_step_is_rolled_back_and_named() {
    let database = Postgres::shared().empty_database().await;
    let mut client = database.admin().await;
    client.batch_execute("CREATE TABLE garages (mine integer)").await.unwrap();
    let error = migrate::up(&mut client, None).await.unwrap_err();
    assert!(matches!(error, MigrateError::Failed { name: "003_garages", .. }), "{error}");
    assert_eq!(count(&client, "SELECT max(version)::bigint FROM schema_migrations").await, 2);
    client.batch_execute("DROP TABLE garages").await.unwrap();
    migrate::up(&mut client, None).await.unwrap();
}
