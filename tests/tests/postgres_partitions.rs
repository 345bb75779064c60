//! Partitions are made ahead by maintenance, also for years whose events already rest in the
//! default partition.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of tests

use chrono::NaiveDate;
use motomind_server::catalogue;
use motomind_server::maintenance::{
    ADOPT_ROWS_MIN, PartitionReport, YEARS_AHEAD, maintain_partitions,
};
use motomind_tests::postgres::{Database, Postgres, as_tenant, count, role};
use uuid::Uuid;

fn day(year: i32) -> NaiveDate {
    NaiveDate::from_ymd_opt(year, 6, 1).unwrap()
}

/// `rows` events on the days of a year, with every kind of column filled.
async fn events(database: &Database, tenant: Uuid, vehicle: Uuid, year: i32, rows: i32) {
    let client = database.connect(role::CLIENT).await;
    let write = format!(
        "INSERT INTO vehicle_events (vehicle_id, type, occurred_at, date, notes, payload, fix)
         SELECT '{vehicle}', 'parking', '{year}-01-01Z'::timestamptz, '{year}-01-01'::date + n, E'n\\n' || n,
                jsonb_build_object('n', n, 'z', NULL), '{{\"latitude\":0,\"longitude\":0,\"source\":\"gps\"}}'
           FROM generate_series(0, {rows} - 1) AS n"
    );
    as_tenant(&client, tenant, &write).await.unwrap();
}

async fn fingerprint(database: &Database) -> String {
    let admin = database.admin().await;
    let all = "SELECT md5(string_agg(e::text, '|' ORDER BY tenant_id, id)) FROM vehicle_events e";
    admin.query_one(all, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn rows_that_came_before_their_partition_are_moved_into_it() {
    let database = Postgres::shared().database().await;
    let mut admin = database.admin().await;
    let (one, two) = (database.tenant_with_vehicle().await, database.tenant_with_vehicle().await);
    for (tenant, vehicle) in [one, two] {
        for (year, rows) in [(1987, 3), (2030, 40), (2031, 365), (2033, 1)] {
            events(&database, tenant, vehicle, year, rows).await;
        }
    }
    let before = fingerprint(&database).await;
    let log = count(&admin, "SELECT count(*) FROM change_log").await;
    let report = maintain_partitions(&mut admin, day(2029), ADOPT_ROWS_MIN).await.unwrap();
    assert_eq!(report.made, [(2030, 80), (2031, 730)]);
    assert_eq!(report.resting, [(1987, 6), (2033, 2)]);
    assert_eq!(fingerprint(&database).await, before);
    assert_eq!(count(&admin, "SELECT count(*) FROM vehicle_events_2031").await, 730);
    assert_eq!(count(&admin, "SELECT count(*) FROM change_log").await, log, "moving is no change");
    assert_eq!(catalogue::check(&admin).await.unwrap(), []);
    let ahead = "SELECT last_year::bigint FROM partition_coverage";
    assert_eq!(count(&admin, ahead).await, i64::from(2029 + YEARS_AHEAD));
    // Again: nothing to do. With a low bar, the old years get their own too.
    let again = maintain_partitions(&mut admin, day(2029), ADOPT_ROWS_MIN).await.unwrap();
    assert_eq!(again, PartitionReport { made: vec![], resting: report.resting });
    let all = maintain_partitions(&mut admin, day(2029), 1).await.unwrap();
    assert_eq!((all.made, all.resting), (vec![(1987, 6), (2033, 2)], vec![]));
    assert_eq!(fingerprint(&database).await, before);
    assert_eq!(
        count(&admin, "SELECT count(*) FROM job_freshness WHERE job = 'partitions'").await,
        1
    );
    // New events of such a year go to its partition, are logged, and are as immutable as any.
    events(&database, one.0, one.1, 2031, 5).await;
    assert_eq!(count(&admin, "SELECT count(*) FROM change_log").await, log + 5);
    assert_eq!(count(&admin, "SELECT count(*) FROM vehicle_events_default").await, 0);
    assert!(admin.batch_execute("DELETE FROM vehicle_events_2031").await.is_err());
}

#[tokio::test]
async fn two_runs_at_once_and_writers_meanwhile_are_harmless() {
    let database = Postgres::shared().database().await;
    let (tenant, vehicle) = database.tenant_with_vehicle().await;
    let (mut one, mut two) = (database.admin().await, database.admin().await);
    let (first, second, ()) = futures::join!(
        maintain_partitions(&mut one, day(2032), ADOPT_ROWS_MIN),
        maintain_partitions(&mut two, day(2032), ADOPT_ROWS_MIN),
        async {
            for _ in 0..10 {
                events(&database, tenant, vehicle, 2033, 3).await;
            }
        },
    );
    let mut made = [first.unwrap().made, second.unwrap().made].concat();
    made.sort_unstable();
    assert_eq!(made.iter().map(|(year, _)| *year).collect::<Vec<_>>(), [2032, 2033, 2034]);
    assert_eq!(count(&one, "SELECT count(*) FROM vehicle_events_2033").await, 30);
    assert_eq!(count(&one, "SELECT count(*) FROM change_log WHERE kind = 'event'").await, 30);
}

#[tokio::test]
async fn a_move_that_alters_a_row_is_refused() {
    let database = Postgres::shared().database().await;
    let (tenant, vehicle) = database.tenant_with_vehicle().await;
    events(&database, tenant, vehicle, 2035, 4).await;
    let before = fingerprint(&database).await;
    let admin = database.admin().await;
    let tampering = "BEGIN;
        CREATE TABLE target (LIKE vehicle_events INCLUDING DEFAULTS INCLUDING GENERATED);
        CREATE FUNCTION tamper() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.notes := ''x''; RETURN NEW; END';
        CREATE TRIGGER tamper BEFORE INSERT ON target FOR EACH ROW EXECUTE FUNCTION tamper();
        GRANT ALL ON target TO motomind_system;
        SET LOCAL ROLE motomind_owner;
        SELECT move_default_events('target', '2035-01-01', '2036-01-01');
        COMMIT";
    let error = admin.batch_execute(tampering).await.unwrap_err();
    assert!(
        error.as_db_error().unwrap().message().contains("changed them: 4 rows before, 4 after")
    );
    admin.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(fingerprint(&database).await, before);
    // Nobody else may call it.
    let server = database.connect(role::SERVER).await;
    for call in [
        "SELECT move_default_events('vehicle_events_2025', '2035-01-01', '2036-01-01')",
        "SELECT make_event_partition(2040)",
    ] {
        assert!(as_tenant(&server, tenant, call).await.is_err(), "{call}");
    }
}
