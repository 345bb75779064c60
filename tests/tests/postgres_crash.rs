//! Postgres is stopped without a shutdown while transactions run: what was committed is there with
//! its number, what was not has left nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of tests

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use motomind_tests::postgres::{Durability, Postgres, as_tenant, count, role};
use tokio_postgres::Client;
use uuid::Uuid;

/// Events of one transaction.
const ROWS: i64 = 7;

fn write(vehicle: Uuid) -> String {
    format!(
        "INSERT INTO vehicle_events (vehicle_id, type, occurred_at, date)
         SELECT '{vehicle}', 'parking', now(), '2026-05-05' FROM generate_series(1, {ROWS})"
    )
}

/// Writes until the connection is lost; counts what was acknowledged.
async fn writer(client: Client, tenant: Uuid, vehicle: Uuid, acknowledged: Arc<AtomicI64>) {
    while as_tenant_or_lost(&client, tenant, &write(vehicle)).await {
        acknowledged.fetch_add(ROWS, Ordering::SeqCst);
    }
}

async fn as_tenant_or_lost(client: &Client, tenant: Uuid, sql: &str) -> bool {
    let all = format!("BEGIN; SET LOCAL app.current_tenant_id = '{tenant}'; {sql}; COMMIT");
    client.batch_execute(&all).await.is_ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_immediate_stop_loses_nothing_acknowledged_and_leaves_nothing_half_done() {
    let postgres = Postgres::private(Durability::Quick);
    let database = postgres.database().await;
    let (tenant, vehicle) = database.tenant_with_vehicle().await;
    let mut before = 0;
    for _ in 0..3 {
        let acknowledged = Arc::new(AtomicI64::new(0));
        let mut writers = Vec::new();
        for _ in 0..4 {
            let client = database.connect(role::SERVER).await;
            writers.push(tokio::spawn(writer(client, tenant, vehicle, acknowledged.clone())));
        }
        // One that holds pending entries open when the end comes.
        let open = database.connect(role::SERVER).await;
        let unfinished = format!(
            "BEGIN; SET LOCAL app.current_tenant_id = '{tenant}'; {}",
            write(database.vehicle(tenant).await)
        );
        open.batch_execute(&unfinished).await.unwrap();
        while acknowledged.load(Ordering::SeqCst) < 10 * ROWS {
            tokio::task::yield_now().await;
        }
        postgres.cluster().stop_immediate();
        for writer in writers {
            writer.await.unwrap();
        }
        postgres.cluster().start();

        let admin = database.admin().await;
        let events = count(&admin, "SELECT count(*) FROM vehicle_events").await;
        assert!(
            events >= before + acknowledged.load(Ordering::SeqCst),
            "nothing acknowledged is lost"
        );
        assert_eq!(events % ROWS, 0, "no transaction by half");
        let log = "SELECT count(*) FROM change_log WHERE kind = 'event'";
        assert_eq!(count(&admin, log).await, events);
        let gaps = "SELECT head - (SELECT count(*) FROM change_log) FROM tenant_counters";
        assert_eq!(count(&admin, gaps).await, 0);
        assert_eq!(count(&admin, "SELECT count(*) FROM event_registry WHERE seq IS NULL").await, 0);
        assert_eq!(count(&admin, "SELECT count(*) FROM change_pending").await, 0);
        assert_eq!(count(&admin, "SELECT count(*) FROM change_marks").await, 0);
        before = events;
        let again = database.connect(role::SERVER).await;
        as_tenant(&again, tenant, &write(vehicle)).await.unwrap();
        before += ROWS;
    }
}
